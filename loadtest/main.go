// Command loadtest puts loads on signaling servers, ours and others, and tells what they bear. See loadtest/README.md.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/app"
)

// constants are those of the model of capacity, as `make loadtest-plan-measure` has measured them.
//
//go:embed plan/constants.json
var constants []byte

func main() { os.Exit(run()) }

// run gives the exit code: 1 when a run has not passed, and 2 for a command line that cannot be.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := app.Run(ctx, os.Args[1:], constants, os.Stdout, os.Stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	var usage *app.UsageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}
