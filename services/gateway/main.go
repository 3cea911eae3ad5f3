// Command gateway is one node of a Signalbox cluster.
package main

//go:generate go test -run TestMetricsPage -update .

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
	"github.com/signalbox-rtc/signalbox/services/gateway/probe"
)

// exitAtOnce is the exit code after a second signal, as shells give it to what was interrupted.
const exitAtOnce = 130

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
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	level := new(slog.LevelVar)
	level.Set(config.Log.SlogLevel())
	log := telemetry.NewBuffer(os.Stderr, config.Log.Buffer)
	logging, stopLogging := context.WithCancel(context.Background())
	go log.Run(logging) // until run returns
	defer func() {
		stopLogging()
		log.Flush()
	}()
	logger := telemetry.NewLogger(log, level, config.Log.Format)
	for _, warning := range config.Warnings() {
		logger.Warn(warning)
	}
	go func() { // as long as the process: it ends it
		<-signals
		cancel()
		<-signals
		os.Exit(exitAtOnce)
	}()
	memory := newReturner()
	if os.Getenv("GOGC") != "off" { // giving back takes collections
		go memory.run(ctx)
	}
	newRegistry := func() *prometheus.Registry { return newRegistry(log, memory) }
	gateway, err := app.OpenPatiently(ctx, app.Options{
		Config: config, Logger: logger, Level: app.NewLogLevel(level, logger), Registry: newRegistry(), Hangup: hangup,
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
