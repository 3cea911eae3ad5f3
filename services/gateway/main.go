// Command gateway is one node of a Signalbox cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

func main() {
	config, err := app.Load(os.Args[1:], os.Environ(), os.Stdout)
	if errors.Is(err, app.ErrAnswered) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := run(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until the first SIGTERM or SIGINT; a second one ends the process at once.
func run(config *app.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)

	level := new(slog.LevelVar)
	level.Set(config.Log.SlogLevel())
	logger := telemetry.NewLogger(os.Stderr, level, config.Log.Format)
	for _, warning := range config.Warnings() {
		logger.Warn(warning)
	}
	newRegistry := func() *prometheus.Registry { return telemetry.NewRegistry(telemetry.ReadBuild()) }
	gateway, err := app.Open(ctx, app.Options{Config: config, Logger: logger, Registry: newRegistry()})
	if err != nil {
		return err
	}
	return gateway.RunAnew(ctx, newRegistry)
}
