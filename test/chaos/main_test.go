// Package chaos breaks a cluster of real gateway processes and real Redis servers in every way that one machine can, while
// scripted calls go on, and asks an oracle afterwards whether anything was lost, told twice or left behind.
//
//	go test ./test/chaos                        a few faults, the quickest and most telling ones
//	CHAOS=all go test -timeout 90m ./test/chaos  every fault
//	CHAOS=gateway-kill go test ./test/chaos     one of them
//
// Each fault prints one line with what was measured; with CHAOS_RESULTS it goes to that file, too, as JSON, from which
// `make chaos-docs` writes the table in docs/guarantees.md.
package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// The environment that chooses what runs.
const (
	envFaults  = "CHAOS"
	envResults = "CHAOS_RESULTS"
	envGateway = "SIGNALBOX_GATEWAY" // a binary to use instead of building one
)

// folder holds the built gateway, and is removed in the end.
var folder string

// gatewayBinary builds the gateway once.
var gatewayBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(envGateway); path != "" {
		return path, nil
	}
	path := filepath.Join(folder, "gateway")
	if out, err := exec.Command("go", "build", "-o", path, "../../services/gateway").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "signalbox-chaos-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// chosen are the faults to be injected in this run.
func chosen(t *testing.T) []*fault {
	all := faults()
	switch which := os.Getenv(envFaults); which {
	case "":
		return slices.DeleteFunc(all, func(f *fault) bool { return !f.quick })
	case "all":
		return all
	default:
		names := strings.Split(which, ",")
		for _, name := range names {
			require.True(t, slices.ContainsFunc(all, func(f *fault) bool { return f.name == name }), "there is no fault %q", name)
		}
		return slices.DeleteFunc(all, func(f *fault) bool { return !slices.Contains(names, f.name) })
	}
}
