package webhook

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// maxCollect is how many entries of an outbox are taken at once.
const maxCollect = 500

// worker delivers what one partition holds, as long as this gateway has the partition and there is something. Owned by its goroutine;
// the posts that it starts give back their results.
type worker struct {
	engine    *Engine
	partition int
	queues    map[store.Queue]*queue
	until     time.Time // of the lease
	results   chan result
	posts     sync.WaitGroup
	underWay  int
	idle      int // looks in a row at which there was nothing
}

// result is what became of a post.
type result struct {
	queue    *queue
	endpoint Endpoint
	entries  []store.OutboxEntry
	answer   answer
}

func newWorker(e *Engine, partition int) *worker {
	return &worker{engine: e, partition: partition, queues: make(map[store.Queue]*queue), results: make(chan result, e.opts.Concurrency)}
}

// idleLooks at which there was nothing have the worker give the partition back.
const idleLooks = 4

// run works until ctx ends, nothing is left, or another gateway has the partition. Posts live as long as posting.
func (w *worker) run(ctx, posting context.Context) {
	ticker := time.NewTicker(w.engine.opts.Poll / 2)
	defer ticker.Stop()
	for ctx.Err() == nil && w.idle < idleLooks {
		held, more := w.collect()
		if !held {
			break
		}
		w.start(ctx, posting)
		w.count()
		if more {
			continue
		}
		if !w.await(ctx, posting, ticker.C) {
			break
		}
	}
	w.finish(posting)
}

// await takes results until the next look.
func (w *worker) await(ctx, posting context.Context, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case r := <-w.results:
			w.settle(posting, r)
			w.start(ctx, posting)
		}
	}
}

// finish waits for posts under way, and gives the partition back. posting ends them in time.
func (w *worker) finish(posting context.Context) {
	for w.underWay > 0 {
		w.settle(posting, <-w.results)
	}
	w.posts.Wait()
	if err := w.engine.opts.Store.ReleaseOutbox(w.partition, w.engine.opts.Self); err != nil {
		w.engine.opts.Logger.Debug("an outbox was not given back: its lease ends by itself", "error", err)
	}
}

// collect renews the lease, and forwards what is in the outbox to the queues. It reports whether the gateway has the partition, and
// whether there is more in the outbox. Where Redis does not answer it has it until its lease is over.
func (w *worker) collect() (held, more bool) {
	opts := &w.engine.opts
	asked := time.Now()
	collected, err := opts.Store.CollectOutbox(w.partition, opts.Self, opts.Lease, maxCollect)
	if err != nil {
		return asked.Before(w.until), false
	}
	if !collected.Held {
		return false, false
	}
	w.until = asked.Add(opts.Lease)
	if len(collected.Entries) > 0 {
		if err := opts.Store.RouteOutbox(w.partition, opts.Self, w.routes(collected.Entries)); err != nil {
			return !errors.Is(err, store.ErrFenced), false // what was not forwarded comes again
		}
	}
	for _, name := range collected.Queues {
		w.queue(name)
	}
	if len(w.queues) == 0 && len(collected.Entries) == 0 {
		w.idle++
	} else {
		w.idle = 0
	}
	return true, len(collected.Entries) == maxCollect
}

// routes says which endpoints want which events.
func (w *worker) routes(entries []store.OutboxEntry) []store.Route {
	routes := make([]store.Route, len(entries))
	for i, entry := range entries {
		routes[i].Entry = entry
		if entry.Event == nil {
			w.engine.opts.Logger.Warn("an event for webhooks cannot be read, and is dropped", "place", entry.Place)
			continue
		}
		room := entry.Event.Room
		for _, endpoint := range w.engine.opts.Endpoints(room.App) {
			if endpoint.wants(entry.Event.Kind, room.Name) {
				name := store.Queue{App: room.App, Endpoint: endpoint.ID}
				routes[i].To = append(routes[i].To, name)
				w.queue(name).stale = true
			}
		}
	}
	return routes
}

// queue gives the queue of a name.
func (w *worker) queue(name store.Queue) *queue {
	q := w.queues[name]
	if q == nil {
		q = newQueue(name)
		w.queues[name] = q
	}
	return q
}

// start sends what can be sent now. What cannot be read or written in Redis now is tried again at the next look.
func (w *worker) start(ctx, posting context.Context) {
	for name, q := range w.queues {
		if ctx.Err() != nil || !time.Now().Before(w.until) {
			return // somebody else may have the partition by now
		}
		if q.busy {
			continue
		}
		if q.thin() {
			q.rewind()
		}
		if w.forget(q) != nil || w.read(q, w.engine.opts.Window-len(q.window), false) != nil {
			continue
		}
		if len(q.window) == 0 {
			delete(w.queues, name)
			continue
		}
		endpoint, ok := w.engine.opts.Endpoints.find(name.App, name.Endpoint)
		switch {
		case !ok:
			w.park(q, q.window, reasonRemoved)
		case w.engine.isDisabled(name, &endpoint):
			w.park(q, q.window, reasonGone)
		default:
			w.park(q, q.outlived(w.engine.now().Add(-w.engine.opts.MaxAge), w.engine.circuits.open(name)), reasonExpired)
			w.send(posting, q, endpoint)
		}
	}
}

// read reads on in a queue, at most so many entries: into its window, or past that.
func (w *worker) read(q *queue, most int, past bool) error {
	if !q.stale || most <= 0 {
		return nil
	}
	entries, length, err := w.engine.opts.Store.ReadQueue(w.partition, q.name, q.after(), most)
	if err != nil {
		return err
	}
	q.take(entries, length, most, past)
	return nil
}

// send begins a post, if there is something to post and a place for it.
func (w *worker) send(posting context.Context, q *queue, endpoint Endpoint) {
	e, now := w.engine, time.Now()
	batch := q.next(now, e.opts.Batch)
	if len(batch) == 0 && len(q.window) >= e.opts.Window && !e.circuits.open(q.name) && w.read(q, 2*e.opts.Window-len(q.window), true) == nil {
		batch = q.next(now, e.opts.Batch) // what rooms that wait must not hold up
	}
	if len(batch) == 0 {
		return
	}
	select {
	case e.slots <- struct{}{}:
	default:
		return
	}
	if !e.circuits.begin(q.name, endpoint.Fingerprint, now) {
		<-e.slots
		return
	}
	q.busy = true
	w.underWay++
	w.posts.Go(func() {
		a := e.post(posting, &endpoint, batch)
		<-e.slots
		w.results <- result{queue: q, endpoint: endpoint, entries: batch, answer: a}
	})
}

// settle takes the result of a post.
func (w *worker) settle(posting context.Context, r result) {
	e, q, now := w.engine, r.queue, time.Now()
	w.underWay--
	q.busy = false
	if r.answer.result == resultTimeout && posting.Err() != nil {
		e.circuits.end(q.name, r.endpoint.Fingerprint, true, now) // it was cut off, and says nothing of the endpoint
		return
	}
	for _, entry := range r.entries {
		e.metrics.deliveries.WithLabelValues(kindLabel(entry.Event.Kind), r.answer.result).Inc()
	}
	// Who has said that it is gone has answered.
	e.circuits.end(q.name, r.endpoint.Fingerprint, r.answer.result == resultDelivered || r.answer.result == resultGone, now)
	switch r.answer.result {
	case resultDelivered:
		q.taken(r.entries)
		_ = w.forget(q) // at the next look, if not now
	case resultGone:
		e.disable(posting, q.name, &r.endpoint)
		w.park(q, r.entries, reasonGone)
	default:
		q.failed(r.entries, now, r.answer.after, e.retry)
		e.opts.Logger.Info("a post of webhooks failed", "app", q.name.App, "endpoint", q.name.Endpoint, "result", r.answer.result,
			"events", len(r.entries), "error", r.answer.err)
	}
}

// forget takes what was told out of the queue in Redis. If that does not answer before the lease is over, another gateway tells it
// again.
func (w *worker) forget(q *queue) error {
	if len(q.told) == 0 {
		return nil
	}
	err := w.engine.opts.Store.Delivered(w.partition, w.engine.opts.Self, q.name, slices.Collect(maps.Keys(q.told)))
	if err == nil {
		clear(q.told)
	}
	return err
}

// park puts events among the dead letters, in their order.
func (w *worker) park(q *queue, entries []store.OutboxEntry, reason string) {
	if len(entries) == 0 {
		return
	}
	parked := make([]store.OutboxEntry, 0, len(entries))
	for _, entry := range entries {
		if err := w.engine.opts.Store.Park(w.partition, w.engine.opts.Self, q.name, entry, reason); err != nil {
			break
		}
		parked = append(parked, entry)
		w.engine.metrics.letters.WithLabelValues(reason).Inc()
	}
	q.done(parked)
	if len(parked) > 0 {
		w.engine.opts.Logger.Warn("events for webhooks were put among the dead letters",
			"app", q.name.App, "endpoint", q.name.Endpoint, "reason", reason, "events", len(parked))
	}
}

// count notes what waits.
func (w *worker) count() {
	var l load
	for _, q := range w.queues {
		l.pending += max(q.length, len(q.window))
		if len(q.window) > 0 {
			if since := q.window[0].Since(); l.oldest.IsZero() || since.Before(l.oldest) {
				l.oldest = since
			}
		}
	}
	w.engine.note(w.partition, l)
}
