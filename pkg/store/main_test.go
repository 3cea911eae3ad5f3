package store_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has the model be tried with 40 runs on each deployment, as each takes long with the race detector; -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "40"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
