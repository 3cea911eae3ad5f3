package cluster

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

const (
	// reapers is how many partitions one node works on at a time: one that does not answer holds up no other.
	reapers = 4
	// maxReapPause bounds the pause after a chunk of seats.
	maxReapPause = time.Second
)

// reaper gives up the seats of nodes whose lease has ended.
type reaper struct {
	store   *store.Store
	self    string
	lease   time.Duration
	timeout time.Duration // of one question to Redis
	cluster *Cluster      // for its logger
	metrics *reaperMetrics

	wake chan struct{} // capacity 1: a beat went well
}

func newReaper(c *Cluster) *reaper {
	return &reaper{
		store: c.opts.Store, self: c.opts.Self.ID, lease: c.opts.Lease, timeout: c.opts.Timeout, cluster: c,
		metrics: newReaperMetrics(c.opts.Registerer), wake: make(chan struct{}, 1),
	}
}

// look has the reaper look for dead nodes soon.
func (r *reaper) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (r *reaper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		if err := r.reapAll(ctx); err != nil && ctx.Err() == nil {
			r.cluster.opts.Logger.Warn("seats of dead nodes are not given up yet", "error", err)
		}
	}
}

// reapAll looks for dead nodes once, and gives up the seats of those that no other node works on.
func (r *reaper) reapAll(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, r.timeout)
	suspects := r.cluster.suspects.due(r.lease)
	condemned, err := r.store.Condemn(asking, r.lease, suspects)
	cancel()
	if err != nil {
		return err
	}
	r.cluster.suspects.clear(suspects)
	seen := time.Now()
	for _, node := range condemned {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.reap(ctx, node, seen); err != nil {
			return err
		}
	}
	return nil
}

// reap gives up the seats of one node, which was seen dead at a time of this node's clock. Where it fails, whoever claims
// the node once this claim has run out goes on.
func (r *reaper) reap(ctx context.Context, node store.Condemned, seen time.Time) error {
	asking, cancel := context.WithTimeout(ctx, r.timeout)
	claimed, err := r.store.Claim(asking, node.ID, r.self, r.lease)
	cancel()
	if err != nil || !claimed {
		return err
	}
	seats, err := r.walk(ctx, node.ID)
	if err != nil {
		return err
	}
	asking, cancel = context.WithTimeout(ctx, r.timeout)
	buried, err := r.store.Bury(asking, node.ID)
	cancel()
	if err != nil || !buried {
		return err
	}
	after := node.For + time.Since(seen)
	r.metrics.nodes.Inc()
	r.metrics.duration.Observe(after.Seconds())
	r.cluster.opts.Logger.Info("a dead node's seats were given up", "other", node.ID, "seats", seats, "after", after.String())
	return nil
}

// walk goes through all partitions, from one of this node's own choice: should another node's claim have run out, the two
// are not at the same place. It gives how many seats it gave up, and the first error; after one it goes on with the
// other partitions.
func (r *reaper) walk(ctx context.Context, node string) (seats int, first error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(r.self))
	count := r.store.Partitions()
	start := int(hash.Sum32() % uint32(count))

	var mu sync.Mutex // guards next, seats and first
	next := 0
	take := func() (partition int, more bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return (start + next - 1) % count, next <= count
	}
	var working sync.WaitGroup
	for range min(reapers, count) {
		working.Go(func() {
			for partition, more := take(); more && ctx.Err() == nil; partition, more = take() {
				reaped, err := r.empty(ctx, partition, node)
				mu.Lock()
				seats += reaped
				if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	working.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return seats, first
}

// empty gives up the node's seats in one partition, chunk by chunk. After each it pauses for as long as the chunk took,
// so that the others' calls get at least half of Redis' time.
func (r *reaper) empty(ctx context.Context, partition int, node string) (seats int, err error) {
	for {
		begin := time.Now()
		reaped, left, err := r.chunk(partition, node)
		r.metrics.seats.Add(float64(reaped))
		seats += reaped
		if err != nil || left == 0 {
			return seats, err
		}
		select {
		case <-time.After(min(time.Since(begin), maxReapPause)):
		case <-ctx.Done():
			return seats, ctx.Err()
		}
	}
}

// chunk waits for the store, which answers every call within seconds.
func (r *reaper) chunk(partition int, node string) (reaped, left int, err error) {
	done := make(chan struct{})
	r.store.Reap(partition, node, func(n, m int, e error) {
		reaped, left, err = n, m, e
		close(done)
	})
	<-done
	return reaped, left, err
}

type reaperMetrics struct {
	seats    prometheus.Counter
	nodes    prometheus.Counter
	duration prometheus.Histogram
}

func newReaperMetrics(reg prometheus.Registerer) *reaperMetrics {
	m := &reaperMetrics{
		seats: metric.Counter("signalbox_reaped_seats_total",
			"Seats of dead nodes that this node gave up."),
		nodes: metric.Counter("signalbox_reaped_nodes_total",
			"Dead nodes whose last seat this node saw given up."),
		duration: metric.Histogram("signalbox_reap_duration_seconds",
			"Time from the end of a dead node's lease until its last seat was given up.",
			[]float64{.1, .25, .5, 1, 2, 4, 8, 15, 30, 60, 300, 3600}),
	}
	reg.MustRegister(m.seats, m.nodes, m.duration)
	return m
}
