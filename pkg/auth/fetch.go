package auth

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

const (
	// fetchLook is how often it is looked for keys that are to be fetched, beside when a token asks for some.
	fetchLook = 5 * time.Second
	// maxFetches is how many fetches go on at a time.
	maxFetches = 16
)

// fetcher keeps the published keys of all apps fresh. Its Run has all the goroutines: a token waits for keys, and never fetches
// them itself.
type fetcher struct {
	// immutable
	opts   *Options
	client *http.Client
	nudged chan struct{} // capacity 1: somebody waits
	slots  chan struct{} // one for each fetch that goes on

	refreshes *prometheus.CounterVec
	age       prometheus.Gauge

	mu   sync.Mutex
	sets []*keySet
}

func newFetcher(opts *Options) *fetcher {
	f := &fetcher{
		opts: opts, client: newClient(opts, 1), nudged: make(chan struct{}, 1), slots: make(chan struct{}, maxFetches),
		refreshes: metric.Counters("signalbox_jwks_refresh_total",
			"Fetches of apps' published keys, by result: ok, or error, after which those before stay for a while.", "result"),
		age: metric.Gauge("signalbox_jwks_age_seconds",
			"How old the oldest of the apps' published keys are that count; 0 if there are none."),
	}
	for _, result := range []string{"ok", "error"} {
		f.refreshes.WithLabelValues(result)
	}
	opts.Registerer.MustRegister(f.refreshes, f.age)
	return f
}

// set gives an app's keys: those that are there already, if it publishes them as before.
func (f *fetcher) set(a *App, opts *Options) *keySet {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sets {
		if s.is(a) {
			return s
		}
	}
	s := &keySet{app: a.ID, audience: a.Audience, issuer: a.Issuer, config: a.JWKS, opts: opts}
	f.sets = append(f.sets, s)
	return s
}

// keep forgets all sets but those of some apps.
func (f *fetcher) keep(apps map[string]*app) {
	f.mu.Lock()
	kept := f.sets[:0:0]
	for _, s := range f.sets {
		if a := apps[s.app]; a != nil && a.jwks == s {
			kept = append(kept, s)
		}
	}
	f.sets = kept
	f.mu.Unlock()
	f.nudge()
}

// nudge has run look.
func (f *fetcher) nudge() {
	select {
	case f.nudged <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	ticker := time.NewTicker(fetchLook)
	defer ticker.Stop()
	var fetching sync.WaitGroup
	defer fetching.Wait()
	for {
		for _, s := range f.due() {
			select {
			case f.slots <- struct{}{}:
			case <-ctx.Done():
			}
			fetching.Go(func() {
				f.fetch(ctx, s)
				<-f.slots
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-f.nudged:
		}
	}
}

// due gives the sets that are to be fetched now, and notes how old the oldest is.
func (f *fetcher) due() []*keySet {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, oldest := f.opts.Now(), time.Duration(0)
	var due []*keySet
	for _, s := range f.sets {
		if s.due(now) {
			due = append(due, s)
		}
		if age, ok := s.age(now); ok {
			oldest = max(oldest, age)
		}
	}
	f.age.Set(oldest.Seconds())
	return due
}

func (f *fetcher) fetch(ctx context.Context, s *keySet) {
	err := s.fetch(ctx, f.client)
	switch {
	case err == nil:
		f.refreshes.WithLabelValues("ok").Inc()
	case ctx.Err() == nil:
		f.refreshes.WithLabelValues("error").Inc()
		f.opts.Logger.Warn("an app's published keys cannot be fetched", "app", s.app, "error", oneLine(err))
	}
}
