package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// drainTimeout is how long calls that wait when Run ends are still sent.
const drainTimeout = 2 * time.Second

// router gives every call to the lane of its partition's primary, and moves partitions between lanes when the
// topology changes.
type router struct {
	// Immutable.
	maxQueued, batchCalls int
	lanesPerPrimary       int
	maxWait               time.Duration
	metrics               *metrics
	log                   *quietLog
	newLane               func(*redis.Client) *lane
	stale                 chan struct{} // capacity 1: the topology may have changed
	readonly              atomic.Bool   // a server has refused to write: it is no primary, or not any more

	mu     sync.Mutex
	routes []route           // one per partition; guarded by mu
	lanes  map[laneKey]*lane // guarded by mu
	spawn  func(*lane)       // starts a lane's goroutine, while run runs; guarded by mu
	queued int               // calls in queues and held back; guarded by mu
	closed bool              // no call is accepted any more; guarded by mu
	hurry  bool              // calls that wait are not sent any more; guarded by mu
}

type laneKey struct {
	primary *redis.Client
	number  int
}

// route is where one partition's calls go. Guarded by router.mu.
type route struct {
	lane     *lane
	inFlight int
	// next is the lane that the partition moves to as soon as nothing of it is in flight. Until then its new
	// calls are held back: two lanes at once could carry them out in the wrong order.
	next *lane
	held []*call
}

func newRouter(opts Options, m *metrics, log *quietLog) *router {
	return &router{
		maxQueued: opts.QueueCalls, batchCalls: opts.BatchCalls, lanesPerPrimary: opts.lanesPerPrimary, maxWait: opts.maxWait,
		metrics: m, log: log,
		stale:  make(chan struct{}, 1),
		routes: make([]route, opts.Partitions),
		lanes:  make(map[laneKey]*lane),
	}
}

// submit queues a call, or refuses it before it returns.
func (r *router) submit(c *call) {
	c.since = time.Now()
	r.mu.Lock()
	if r.closed || r.queued >= r.maxQueued {
		full := !r.closed
		r.mu.Unlock()
		if full {
			r.log.warn("queue", "the queue to Redis is full, calls are refused", "calls", r.maxQueued)
		}
		c.err = errWaited
		c.finish(c.since)
		return
	}
	r.queued++
	rt := &r.routes[c.partition]
	if rt.next != nil {
		rt.held = append(rt.held, c)
		r.mu.Unlock()
	} else {
		l := rt.lane
		l.queue = append(l.queue, c)
		first := len(l.queue) == 1
		r.mu.Unlock()
		if first {
			l.signal()
		}
	}
	r.metrics.waiting.Inc()
}

// take gives a lane its next batch; empty if nothing waits. open is false when the lane should then end.
func (r *router) take(l *lane) (batch []*call, open bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	n, size := 0, 0
	for n < len(l.queue) && n < r.batchCalls {
		c := l.queue[n]
		if size += c.size; n > 0 && size > maxBatchBytes {
			break
		}
		if r.hurry || now.Sub(c.since) > r.maxWait {
			c.err = errWaited
		}
		r.routes[c.partition].inFlight++
		n++
	}
	l.batch = append(l.batch[:0], l.queue[:n]...)
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	r.queued -= n
	r.metrics.waiting.Sub(float64(n))
	if r.closed && r.queued == 0 {
		for _, other := range r.lanes {
			other.signal() // each may end now
		}
	}
	return l.batch, !l.retired && (!r.closed || r.queued > 0)
}

// settle notes that a batch was answered, and moves partitions that waited for it.
func (r *router) settle(batch []*call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range batch {
		rt := &r.routes[c.partition]
		rt.inFlight--
		if rt.inFlight == 0 && rt.next != nil {
			rt.move()
		}
	}
	clear(batch)
}

// failed counts and logs why a call was not answered, and has the topology looked at.
func (r *router) failed(err error) {
	c := classify(err)
	switch {
	case errors.Is(err, errWaited):
		c = classTimeout
	case errors.Is(err, errOvertaken):
		c = classNoScript
	}
	r.metrics.errors.WithLabelValues(string(c)).Inc()
	r.log.warn("call "+string(c), "Redis did not answer a call", "class", string(c), "error", err)
	if c == classReadonly {
		r.readonly.Store(true)
	}
	if c.staleTopology() {
		r.refresh()
	}
}

// refresh has the topology read again soon.
func (r *router) refresh() {
	select {
	case r.stale <- struct{}{}:
	default:
	}
}

// assign says which primary each partition is on now, and begins the moves that follow from it.
func (r *router) assign(primaries []*redis.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, client := range primaries {
		key := laneKey{client, p % r.lanesPerPrimary}
		want := r.lanes[key]
		if want == nil {
			want = r.newLane(client)
			r.lanes[key] = want
			if r.spawn != nil {
				r.spawn(want)
			}
		}
		r.routes[p].direct(p, want)
	}
	for key, l := range r.lanes {
		used := func(rt route) bool { return rt.lane == l || rt.next == l }
		if !slices.ContainsFunc(r.routes, used) {
			l.retired = true
			delete(r.lanes, key)
			l.signal()
		}
	}
}

// direct sends partition p to lane want, at once or after what is in flight. The caller holds router.mu.
func (rt *route) direct(p int, want *lane) {
	if rt.lane == nil {
		rt.lane = want
		return
	}
	if rt.next == want || rt.next == nil && rt.lane == want {
		return
	}
	if rt.next == nil {
		// What was not sent yet goes along.
		rt.lane.queue = slices.DeleteFunc(rt.lane.queue, func(c *call) bool {
			if c.partition == p {
				rt.held = append(rt.held, c)
			}
			return c.partition == p
		})
	}
	rt.next = want
	if rt.inFlight == 0 {
		rt.move()
	}
}

// move completes a move. The caller holds router.mu.
func (rt *route) move() {
	rt.lane, rt.next = rt.next, nil
	rt.lane.queue = append(rt.lane.queue, rt.held...)
	rt.held = nil
	rt.lane.signal()
}

// run runs the lanes, and watch beside them, until ctx ends, then sends what waits for at most drainTimeout.
func (r *router) run(ctx context.Context, watch func(context.Context)) error {
	var running, watching sync.WaitGroup
	laneContext := context.WithoutCancel(ctx)
	r.mu.Lock()
	if r.spawn != nil || r.closed {
		r.mu.Unlock()
		return errors.New("store: Run was called before, or Close")
	}
	r.spawn = func(l *lane) { running.Go(func() { l.run(laneContext) }) }
	for _, l := range r.lanes {
		r.spawn(l)
	}
	r.mu.Unlock()

	watching.Go(func() { watch(ctx) })

	<-ctx.Done()
	r.close(false)
	timer := time.AfterFunc(drainTimeout, func() { r.close(true) })
	defer timer.Stop()
	watching.Wait() // before running: the watch may start a lane
	running.Wait()
	return nil
}

// close refuses calls from now on; hurry refuses those that wait, too.
func (r *router) close(hurry bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.hurry = true, r.hurry || hurry
	for _, l := range r.lanes {
		l.signal()
	}
}

// primaries are the servers that have a lane.
func (r *router) primaries() []*redis.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	var primaries []*redis.Client
	for key := range r.lanes {
		if key.number == 0 {
			primaries = append(primaries, key.primary)
		}
	}
	return primaries
}

// signal wakes the lane's goroutine.
func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
