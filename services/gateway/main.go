// Command gateway is one node of a Signalbox cluster.
package main

//go:generate go test -run TestMetricsPage -update .

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/process"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/gateway/probe"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == probe.Command {
		os.Exit(runProbe(os.Args[2:]))
	}
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

// runProbe looks at a cluster from outside, as its clients see it.
func runProbe(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return probe.Main(ctx, args, os.Environ(), os.Stdout, os.Stderr)
}

// run serves until the first SIGTERM or SIGINT. Nothing takes that back, and a second signal ends the process at once.
func run(config *app.Config) error {
	spareCollections()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, stop := process.UntilSignal()
	defer stop()
	log := process.StartLog(os.Stderr, config.Log.SlogLevel(), config.Log.Format, config.Log.Buffer)
	defer log.Close()
	for _, warning := range config.Warnings() {
		log.Warn(warning)
	}
	memory := newReturner()
	if os.Getenv("GOGC") != "off" { // giving back takes collections
		go memory.run(ctx)
	}
	newRegistry := func() *prometheus.Registry { return newRegistry(log.Buffer, memory) }
	gateway, err := app.OpenPatiently(ctx, app.Options{
		Config: config, Logger: log.Logger, Level: app.NewLogLevel(log.Level, log.Logger), Registry: newRegistry(), Hangup: hangup,
	}, newRegistry)
	if err != nil && ctx.Err() != nil {
		return nil // told to end before Redis was there
	}
	if err != nil {
		return err
	}
	return gateway.RunAnew(ctx, newRegistry)
}

// newRegistry makes the registry of a gateway, with the metrics of the process.
func newRegistry(log *telemetry.Buffer, memory *returner) *prometheus.Registry {
	registry := telemetry.NewRegistry(telemetry.ReadBuild())
	log.Register(registry)
	memory.register(registry)
	return registry
}
