// Command relay is a STUN and TURN server for the clients of a Signalbox cluster.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/signalbox-rtc/signalbox/pkg/config"
	"github.com/signalbox-rtc/signalbox/pkg/process"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

func main() {
	c, err := app.Load(os.Args[1:], os.Environ(), os.Stdout)
	if errors.Is(err, config.ErrAnswered) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until the first SIGTERM or SIGINT. Nothing takes that back, and a second signal ends the process at once.
func run(c *app.Config) error {
	ctx, stop := process.UntilSignal()
	defer stop()
	log := process.StartLog(os.Stderr, c.Log.SlogLevel(), c.Log.Format, c.Log.Buffer)
	defer log.Close()
	for _, warning := range c.Warnings() {
		log.Warn(warning)
	}
	registry := telemetry.NewRegistry(telemetry.ReadBuild())
	log.Buffer.Register(registry)
	relay, err := app.Open(ctx, app.Options{Config: c, Logger: log.Logger, Level: gateway.NewLogLevel(log.Level, log.Logger), Registry: registry})
	if err != nil {
		return err
	}
	return relay.Run(ctx)
}
