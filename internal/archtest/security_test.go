package archtest

import (
	"testing"

	"github.com/signalbox-rtc/signalbox/internal/testnames"
)

// Each threat names the test that shows what holds against it.
func TestThreatsNameTests(t *testing.T) {
	testnames.Table(t, root, "docs/security.md", "Threats", 40)
}
