package telemetry

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// flushTimeout is how long the lines that wait at the end may take.
const flushTimeout = time.Second

// Buffer stands between a logger and what takes its lines, so that nobody waits who logs: a full pipe whose reader is
// stuck, or a slow disk, would stop everything in the process that has something to say. Lines wait in memory, and those
// for which there is no room are dropped and counted.
type Buffer struct {
	w       io.Writer
	lines   chan []byte
	dropped atomic.Uint64
	done    chan struct{} // closed when Run has nothing to write any more
}

var _ io.Writer = (*Buffer)(nil)

// NewBuffer makes a buffer of that many lines in front of w. Nothing is written until it runs.
func NewBuffer(w io.Writer, lines int) *Buffer {
	return &Buffer{w: w, lines: make(chan []byte, lines), done: make(chan struct{})}
}

// Write takes one line. It never waits and never fails.
func (b *Buffer) Write(line []byte) (int, error) {
	select {
	case b.lines <- append([]byte(nil), line...):
	default:
		b.dropped.Add(1)
	}
	return len(line), nil
}

// Dropped tells how many lines were dropped.
func (b *Buffer) Dropped() uint64 { return b.dropped.Load() }

// Register shows the number of lines that were dropped as a metric.
func (b *Buffer) Register(reg prometheus.Registerer) {
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "signalbox_log_dropped_total",
		Help: "Lines of the log that were dropped, because whoever takes the log did not take those before.",
	}, func() float64 { return float64(b.Dropped()) }))
}

// Run writes lines until ctx ends, and then those that wait. What it writes to cannot be interrupted: see Flush.
func (b *Buffer) Run(ctx context.Context) {
	defer close(b.done)
	for {
		select {
		case line := <-b.lines:
			_, _ = b.w.Write(line) // there is nobody to tell
		case <-ctx.Done():
			b.rest()
			return
		}
	}
}

func (b *Buffer) rest() {
	for {
		select {
		case line := <-b.lines:
			_, _ = b.w.Write(line)
		default:
			return
		}
	}
}

// Flush waits until Run, whose context has ended, has written what there was, or for a second.
func (b *Buffer) Flush() {
	timer := time.NewTimer(flushTimeout)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-timer.C:
	}
}
