package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// holdJitter is by how much the hold-down of a check is longer at most, so that gateways which all lose the same Redis in
// the same moment do not leave the Service in one moment either.
const holdJitter = 0.5

// holdInterval is how often held checks are looked at: how long one has failed must not depend on who asks.
const holdInterval = time.Second

// failing is the error of a check that fails, with since when.
type failing struct {
	err   error
	since time.Time
	held  bool // not for so long that the node is taken out of service for it
}

func (f *failing) Error() string { return f.err.Error() }
func (f *failing) Unwrap() error { return f.err }

// heldCheck is a check whose failure is passed over for a while. It turns green again at once.
type heldCheck struct {
	// immutable
	name   string
	ready  func(context.Context) error
	hold   time.Duration
	logger *slog.Logger
	turns  prometheus.Counter

	mu     sync.Mutex
	proven bool      // it has been green: before that nothing is passed over
	since  time.Time // of the first failure; zero while it is green
	red    bool
}

// look runs the check and gives nil or a [failing].
func (h *heldCheck) look(ctx context.Context) error {
	begin := time.Now()
	err := h.probe(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return err // whoever asked has gone: what was cut short says nothing
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		if h.red && h.proven {
			h.logger.Info("readiness is green again", "check", h.name, "failed_for", time.Since(h.since))
		}
		h.proven, h.since, h.red = true, time.Time{}, false
		return nil
	}
	if h.since.IsZero() {
		h.since = begin
	}
	if !h.red && (!h.proven || time.Since(h.since) >= h.hold) {
		h.red = true
		if h.proven {
			h.turns.Inc()
			h.logger.Warn("readiness turns red", "check", h.name, "failed_for", time.Since(h.since), "error", err)
		}
	}
	return &failing{err: err, since: h.since, held: !h.red}
}

// probe runs the check itself. One that panics fails: nobody else would catch it on the goroutine of [holdDown.run].
func (h *heldCheck) probe(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check panicked: %v", p)
		}
	}()
	return h.ready(ctx)
}

// failedFor is for how long the check has failed; 0 while it is green.
func (h *heldCheck) failedFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		return 0
	}
	return time.Since(h.since)
}

// holdDown looks after the checks whose failure is passed over for a while.
type holdDown struct {
	hold       time.Duration // of this node, with its jitter
	logger     *slog.Logger
	registerer prometheus.Registerer
	turns      *prometheus.CounterVec
	checks     []*heldCheck
}

func newHoldDown(hold time.Duration, logger *slog.Logger, registerer prometheus.Registerer) *holdDown {
	d := &holdDown{
		hold: hold + time.Duration(holdJitter*rand.Float64()*float64(hold)), logger: logger, registerer: registerer,
		turns: metric.Counters("signalbox_readiness_red_total",
			"Times that a check turned readiness red after its hold-down, by check.", "check"),
	}
	registerer.MustRegister(d.turns)
	return d
}

// check puts a check under the hold-down.
func (d *holdDown) check(name string, ready func(context.Context) error) Check {
	h := &heldCheck{name: name, ready: ready, hold: d.hold, logger: d.logger, turns: d.turns.WithLabelValues(name)}
	d.checks = append(d.checks, h)
	d.registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signalbox_readiness_failing_seconds", Help: "How long a check of readiness has failed, the hold-down included; 0 while it is green.",
		ConstLabels: prometheus.Labels{"check": name},
	}, func() float64 { return h.failedFor().Seconds() }))
	return Check{Name: name, Ready: h.look}
}

// run looks at the checks until ctx ends.
func (d *holdDown) run(ctx context.Context) error {
	tick := time.NewTicker(holdInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, h := range d.checks {
				looking, done := context.WithTimeout(ctx, checkTimeout)
				_ = h.look(looking) // it keeps what it saw
				done()
			}
		case <-ctx.Done():
			return nil
		}
	}
}
