// Command relay is a STUN and TURN server for the clients of a Signalbox cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-rtc/signalbox/pkg/config"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

// exitAtOnce is the exit code after a second signal, as shells give it to what was interrupted.
const exitAtOnce = 130

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
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	level := new(slog.LevelVar)
	level.Set(c.Log.SlogLevel())
	log := telemetry.NewBuffer(os.Stderr, c.Log.Buffer)
	logging, stopLogging := context.WithCancel(context.Background())
	go log.Run(logging) // until run returns
	defer func() {
		stopLogging()
		log.Flush()
	}()
	logger := telemetry.NewLogger(log, level, c.Log.Format)
	for _, warning := range c.Warnings() {
		logger.Warn(warning)
	}
	go func() { // as long as the process: it ends it
		<-signals
		cancel()
		<-signals
		os.Exit(exitAtOnce)
	}()
	registry := telemetry.NewRegistry(telemetry.ReadBuild())
	log.Register(registry)
	relay, err := app.Open(ctx, app.Options{Config: c, Logger: logger, Level: gateway.NewLogLevel(level, logger), Registry: registry})
	if err != nil {
		return err
	}
	return relay.Run(ctx)
}
