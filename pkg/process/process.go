// Package process is what the programs have in common as processes: how they end, and their log.
package process

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// exitAtOnce is the exit code after a second signal, as shells give it to what was interrupted.
const exitAtOnce = 130

// UntilSignal gives a context that ends with the first SIGTERM or SIGINT. Nothing takes that back, and a second signal ends the process
// at once. stop has signals be what they were.
func UntilSignal() (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // as long as the process: it ends it
		<-signals
		cancel()
		<-signals
		os.Exit(exitAtOnce)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// Log is a program's log.
type Log struct {
	*slog.Logger
	// Level is the least weight of what is logged; it may be set at any time.
	Level *slog.LevelVar
	// Buffer is what lines wait in.
	Buffer *telemetry.Buffer

	end context.CancelFunc
}

// StartLog starts a log of a form, see [telemetry.NewLogger], whose lines wait in a buffer of so many. Close must follow.
func StartLog(out io.Writer, level slog.Level, form string, lines int) *Log {
	l := &Log{Level: new(slog.LevelVar), Buffer: telemetry.NewBuffer(out, lines)}
	l.Level.Set(level)
	l.Logger = telemetry.NewLogger(l.Buffer, l.Level, form)
	running, end := context.WithCancel(context.Background())
	l.end = end
	go l.Buffer.Run(running) // until Close
	return l
}

// Close writes the lines that wait. What is logged later may be lost.
func (l *Log) Close() {
	l.end()
	l.Buffer.Flush()
}
