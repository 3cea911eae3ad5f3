// Command signalctl is the operator's command line.
package main

//go:generate go test -run TestPage ./app -update

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-rtc/signalbox/services/signalctl/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(app.Main(ctx, app.Process{Args: os.Args[1:], Env: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
