package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/oracle"
)

// graceMost is how long after its end a session's seat may be seen at most, with the times below.
const graceMost = 45 * time.Second

// options say how a fault's cluster is made.
type options struct {
	redis    func(testing.TB) *redis // a single server if nil
	gateways int                     // 3 if 0
	// config is added to the gateways' configuration, as lines of YAML: sections of their own.
	config string
	// capacity is that of new rooms; 2 if 0.
	capacity int
	// lead gives the settings that lead gateway i to Redis, where it is not the way straight on.
	lead func(c *cluster, i int) []string
	// rewinds says that Redis may go back in time.
	rewinds bool
}

// cluster is what a fault is injected into: gateways, Redis, a load balancer, and clients with their record.
type cluster struct {
	t        *testing.T
	ctx      context.Context
	redis    *redis
	gateways []*gateway
	balancer *balancer
	oracle   *oracle.Oracle
	watch    *watch
	figures  *figures
	running  sync.WaitGroup

	mu      sync.Mutex
	parties []*party // guarded by mu
}

// newCluster starts everything, and ends it with the test.
func newCluster(t *testing.T, figures *figures, o options) *cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &cluster{
		t: t, ctx: ctx, figures: figures, watch: newWatch(),
		oracle: oracle.New(oracle.Options{Blocking: true, GhostAfter: graceMost, Rewinds: o.rewinds}),
	}
	if o.redis == nil {
		o.redis = func(tb testing.TB) *redis { return singleRedis(tb) }
	}
	if o.gateways == 0 {
		o.gateways = 3
	}
	if o.capacity == 0 {
		o.capacity = 2
	}
	c.redis = o.redis(t)
	figures.redis = c.redis.kind()
	c.balancer = newBalancer(func() []*gateway { return c.gateways })
	t.Cleanup(func() { // before the servers end
		cancel()
		c.endParties()
		c.running.Wait()
	})
	for i := range o.gateways {
		flags := c.redis.flags()
		if o.lead != nil {
			flags = o.lead(c, i)
		}
		c.gateways = append(c.gateways, newGateway(c, fmt.Sprint("g", i+1), flags, config(o)))
	}
	for _, g := range c.gateways {
		g.start()
	}
	c.running.Go(func() { c.balancer.run(ctx) })
	c.await(patience, "the balancer sees all gateways", func() bool {
		for _, g := range c.gateways {
			if !c.balancer.usable(g) {
				return false
			}
		}
		return true
	})
	return c
}

func config(o options) string {
	return fmt.Sprintf("listen: {public: '127.0.0.1:0', operations: '127.0.0.1:0', cluster: '127.0.0.1:0'}\n"+
		"demo: {enabled: true, capacity: %d}\n%s\n", o.capacity, strings.TrimSpace(o.config))
}

// await polls, and fails the test when the time is over.
func (c *cluster) await(timeout time.Duration, what string, condition func() bool) {
	c.t.Helper()
	if err := poll(c.ctx, timeout, what, condition); err != nil {
		c.t.Fatal(err)
	}
}

// hold lets a fault last.
func (c *cluster) hold(d time.Duration) {
	pause(c.ctx, d)
}

// pause waits, and gives false when ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// named gives the gateway of a name.
func (c *cluster) named(name string) *gateway {
	for _, g := range c.gateways {
		if g.name == name {
			return g
		}
	}
	return nil
}

// sum adds a metric of all gateways up.
func (c *cluster) sum(metric string, having ...string) float64 {
	total := 0.0
	for _, g := range c.gateways {
		total += g.metric(metric, having...)
	}
	return total
}

// logged counts the lines of all gateways' logs that have a text.
func (c *cluster) logged(text string) int {
	n := 0
	for _, g := range c.gateways {
		n += strings.Count(g.logText(), text)
	}
	return n
}

// all are the clients that there are, or were.
func (c *cluster) all() []*party {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*party(nil), c.parties...)
}

// endParties closes every client.
func (c *cluster) endParties() {
	var closing sync.WaitGroup
	for _, p := range c.all() {
		closing.Go(p.close)
	}
	closing.Wait()
}
