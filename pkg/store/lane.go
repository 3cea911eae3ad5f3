package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// defaultMaxWait is how long a call may wait for its pipeline. Its caller has then given up, or is about to.
	defaultMaxWait = 3 * time.Second
	// maxBatchBytes keeps a batch of large calls from holding up the ones behind it.
	maxBatchBytes = 512 << 10
	// scriptLoads is how often a lane loads the scripts again for one batch before it gives up.
	scriptLoads = 3
)

var (
	errWaited    = errors.New("waited too long for a pipeline")
	errOvertaken = errors.New("the script was missing, and a later call of the room took effect meanwhile")
)

// lane is one ordered pipeline to one primary. Its goroutine sends whatever waits as one batch, reads all
// replies, answers, and begins again: calls gather while a batch is under way, and nothing waits for a timer.
// There is never a second batch under way, so calls take effect in the order in which they were made.
type lane struct {
	// Immutable.
	router  *router
	client  *redis.Client
	scripts *scripts
	timeout time.Duration // of a batch, dialing included
	wake    chan struct{} // capacity 1

	// Guarded by router.mu.
	queue   []*call
	retired bool

	// Owned by the lane's goroutine.
	batch  []*call
	pipe   redis.Pipeliner
	groups grouping
}

// run sends batches until the router is closed and nothing waits, or the lane is retired.
func (l *lane) run(ctx context.Context) {
	for {
		batch, open := l.router.take(l)
		if len(batch) > 0 {
			l.send(ctx, batch)
			l.router.settle(batch)
			continue
		}
		if !open {
			return
		}
		<-l.wake
	}
}

// send executes a batch and answers its calls, in order.
func (l *lane) send(ctx context.Context, batch []*call) {
	l.router.metrics.batch.Observe(float64(len(batch)))
	l.execute(ctx, batch)
	for range scriptLoads {
		again := unloaded(batch)
		if len(again) == 0 {
			break
		}
		l.router.metrics.errors.WithLabelValues(string(classNoScript)).Add(float64(len(again)))
		l.router.log.warn("noscript", "Redis does not know the scripts, loading them again")
		if err := l.load(ctx); err != nil {
			break // the calls keep their NOSCRIPT
		}
		l.execute(ctx, again)
	}
	now := time.Now()
	for _, c := range batch {
		if c.err != nil {
			l.router.failed(c.err)
		}
		c.finish(now)
	}
}

// execute sends calls as one pipeline and notes in each what came of it. Calls that have waited too long are not sent.
func (l *lane) execute(ctx context.Context, calls []*call) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	for _, c := range calls {
		c.sent(len(calls)) //nolint:contextcheck // a span is of its request, not of the pipeline
	}
	groups := l.groups.split(calls)
	defer l.groups.clear()
	if len(groups) == 0 {
		return
	}
	for _, g := range groups {
		g.cmd = redis.NewSliceCmd(ctx, g.args()...)
		_ = l.pipe.Process(ctx, g.cmd) // queues it only
		l.router.metrics.group.Observe(float64(len(g.calls)))
	}
	_, err := l.pipe.Exec(ctx)
	for _, g := range groups {
		g.settle(err)
	}
}

func (l *lane) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return l.scripts.load(ctx, l.client)
}

// unloaded returns the calls that failed for a missing script and may be sent again, in order. One that was
// overtaken may not: a later call of its room was carried out by Redis (whatever it answered) or may have
// been, and order in a room is never given up. It is answered unavailable, as if its reply had been lost.
func unloaded(batch []*call) []*call {
	var again []*call
	for i, c := range batch {
		if c.err == nil || classify(c.err) != classNoScript {
			continue
		}
		for _, later := range batch[i+1:] {
			if later.room == c.room && classify(later.err) != classNoScript && !errors.Is(later.err, errWaited) {
				c.err = errOvertaken
				break
			}
		}
		if !errors.Is(c.err, errOvertaken) {
			again = append(again, c)
		}
	}
	return again
}
