// Package webhook tells the backends of apps what happens in their rooms: it posts what the outboxes of package store hold.
//
// An event is told at least once, by the same id each time, and those of one room in their order. Each gateway runs an [Engine]; one
// at a time has a partition. How a receiver gets each event exactly once is said in docs/webhooks.md.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// Options configures an [Engine]. The zero value of a field is its default; Store, Self and Endpoints have none.
type Options struct {
	Store *store.Store
	// Self is this process' id in the cluster.
	Self      string
	Endpoints Source
	// Guard makes the connections (to public addresses alone).
	Guard *Guard
	// AllowHTTP allows URLs of http.
	AllowHTTP bool
	// TLS is for connections to endpoints; nil for the system's certificates.
	TLS *tls.Config
	// Timeout is how long a post may take (15 s).
	Timeout time.Duration
	// MinRetry (1 s) and MaxRetry (5 min) bound the pause before a post is sent again, which doubles each time, give or take a half.
	MinRetry, MaxRetry time.Duration
	// MaxAge is how long an event is tried for before it is put among the dead letters (24 h).
	MaxAge time.Duration
	// Batch is the most events of one post (100).
	Batch int
	// Window is how many events of a queue are held in memory (1000), and twice as many where those are all of rooms that wait and
	// others' are looked for behind them.
	Window int
	// Concurrency is how many posts are under way at most (64), and PerEndpoint how many to one endpoint (4).
	Concurrency, PerEndpoint int
	// Poll is how often it is looked whether there is something to tell (500 ms).
	Poll time.Duration
	// Lease is how long another gateway waits before it goes on where one has died (15 s).
	Lease time.Duration
	// Patience is how long posts under way may still take when Run is to end (2 s).
	Patience time.Duration
	// Tracer makes the spans of posts, of those for which Sample gives true; nil for none, and for all.
	Tracer trace.Tracer
	Sample func() bool
	// Logger takes what goes wrong, which may be often.
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// transport replaces the network, for tests on fake time.
	transport http.RoundTripper
}

// countEvery is how often it is looked how many events were dropped, and how many endpoints want nothing.
const countEvery = 10 * time.Second

// maxTaken is how many partitions a gateway takes at one look, so that the others get some.
const maxTaken = 8

func (o *Options) validate() error {
	if o.Store == nil || o.Self == "" || o.Endpoints == nil {
		return errors.New("webhook: a store, a node's id and endpoints are needed")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.Timeout, 15 * time.Second}, {&o.MinRetry, time.Second}, {&o.MaxRetry, 5 * time.Minute}, {&o.MaxAge, 24 * time.Hour},
		{&o.Poll, 500 * time.Millisecond}, {&o.Lease, 15 * time.Second}, {&o.Patience, 2 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("webhook: a negative time: %v", *d.field)
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Batch, 100}, {&o.Window, 1000}, {&o.Concurrency, 64}, {&o.PerEndpoint, 4}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("webhook: a negative limit: %d", *d.field)
		}
	}
	if o.MinRetry > o.MaxRetry {
		return fmt.Errorf("webhook: the least pause %v is above the greatest %v", o.MinRetry, o.MaxRetry)
	}
	if o.Guard == nil {
		o.Guard = &Guard{}
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Engine delivers what the outboxes hold.
type Engine struct {
	opts     Options
	client   *http.Client
	metrics  *metrics
	circuits circuits
	slots    chan struct{} // one for each post under way
	counted  time.Time     // when it was last looked what was dropped; owned by Run

	mu       sync.Mutex
	working  map[int]load           // the partitions that this gateway has
	disabled map[store.Queue]string // endpoints that want nothing, by the fingerprint of their configuration
}

// load is what waits in a partition.
type load struct {
	pending int
	oldest  time.Time // zero if nothing waits
}

// New makes an engine that does nothing until it runs.
func New(opts Options) (*Engine, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		opts: opts, client: newClient(opts.Guard, opts.TLS), metrics: newMetrics(opts.Registerer),
		slots: make(chan struct{}, opts.Concurrency), working: make(map[int]load), disabled: make(map[store.Queue]string),
	}
	if opts.transport != nil {
		e.client.Transport = opts.transport
	}
	e.circuits = circuits{most: opts.PerEndpoint, retry: e.retry, circuit: make(map[store.Queue]*circuit)}
	return e, nil
}

// retry makes the pauses between posts that are not taken.
func (e *Engine) retry() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: e.opts.MinRetry, MaxInterval: e.opts.MaxRetry, Multiplier: 2, RandomizationFactor: 0.5,
	}
}

// Run delivers until ctx ends. Then it leaves posts that are under way a moment, and the rest to the other gateways.
func (e *Engine) Run(ctx context.Context) error {
	defer e.client.CloseIdleConnections()
	var workers sync.WaitGroup
	defer workers.Wait()
	// Posts outlive ctx by the time that they are left.
	posting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ending := context.AfterFunc(ctx, func() { time.AfterFunc(e.opts.Patience, stop) })
	defer ending()
	for {
		if err := e.look(ctx, func(partition int) {
			workers.Go(func() {
				newWorker(e, partition).run(ctx, posting)
				e.leave(partition)
			})
		}); err != nil && ctx.Err() == nil {
			e.opts.Logger.Warn("webhooks are not delivered: Redis does not answer", "error", err)
		}
		e.show()
		pause := e.opts.Poll/2 + rand.N(e.opts.Poll) //nolint:gosec // two gateways are not to look at the same time
		select {
		case <-ctx.Done():
			workers.Wait()
			return nil
		case <-time.After(pause):
		}
	}
}

// look takes partitions in which there is something to tell and that no gateway has.
func (e *Engine) look(ctx context.Context, work func(partition int)) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Lease)
	defer cancel()
	busy, err := e.opts.Store.BusyOutboxes(ctx)
	if err != nil {
		return err
	}
	count := time.Since(e.counted) >= countEvery
	if len(busy) > 0 || count {
		if err := e.readDisabled(ctx); err != nil {
			return err
		}
	}
	rand.Shuffle(len(busy), func(i, j int) { busy[i], busy[j] = busy[j], busy[i] })
	for _, partition := range busy[:min(len(busy), maxTaken)] {
		if e.enter(partition) {
			work(partition)
		}
	}
	if !count {
		return nil
	}
	e.counted = time.Now()
	trimmed, err := e.opts.Store.Trimmed(ctx)
	if err == nil {
		e.metrics.trimmed.Set(float64(trimmed))
	}
	return err
}

// enter reports whether this gateway does not work on a partition yet.
func (e *Engine) enter(partition int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, working := e.working[partition]
	if !working {
		e.working[partition] = load{}
	}
	return !working
}

func (e *Engine) leave(partition int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.working, partition)
}

// note keeps what waits in a partition.
func (e *Engine) note(partition int, l load) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.working[partition] = l
}

// show sets the gauges.
func (e *Engine) show() {
	e.mu.Lock()
	defer e.mu.Unlock()
	var pending int
	var age time.Duration
	now := e.now()
	for _, l := range e.working {
		pending += l.pending
		if !l.oldest.IsZero() {
			age = max(age, now.Sub(l.oldest))
		}
	}
	e.metrics.partitions.Set(float64(len(e.working)))
	e.metrics.pending.Set(float64(pending))
	e.metrics.oldest.Set(age.Seconds())
}

// now is the time by Redis' clock.
func (e *Engine) now() time.Time { return e.opts.Store.Clock(time.Now()) }

// readDisabled learns which endpoints want nothing any more, and forgets those whose configuration has changed.
func (e *Engine) readDisabled(ctx context.Context) error {
	disabled, err := e.opts.Store.DisabledEndpoints(ctx)
	if err != nil {
		return err
	}
	configured := 0
	for q, fingerprint := range disabled {
		endpoint, ok := e.opts.Endpoints.find(q.App, q.Endpoint)
		switch {
		case ok && endpoint.Fingerprint == fingerprint:
			configured++
		case ok:
			delete(disabled, q)
			if err := e.opts.Store.EnableEndpoint(ctx, q); err != nil {
				return err
			}
		}
	}
	e.metrics.disabled.Set(float64(configured))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disabled = disabled
	return nil
}

// isDisabled reports whether an endpoint, as it is configured, wants nothing any more.
func (e *Engine) isDisabled(q store.Queue, endpoint *Endpoint) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	fingerprint, ok := e.disabled[q]
	return ok && fingerprint == endpoint.Fingerprint
}

// disable notes that an endpoint wants nothing any more.
func (e *Engine) disable(ctx context.Context, q store.Queue, endpoint *Endpoint) {
	e.mu.Lock()
	e.disabled[q] = endpoint.Fingerprint
	e.mu.Unlock()
	if err := e.opts.Store.DisableEndpoint(ctx, q, endpoint.Fingerprint); err != nil {
		e.opts.Logger.Warn("an endpoint of webhooks that is gone may be asked again", "app", q.App, "endpoint", q.Endpoint, "error", err)
	}
	e.opts.Logger.Warn("an endpoint of webhooks says that it is gone: it is told nothing until its configuration changes",
		"app", q.App, "endpoint", q.Endpoint)
}
