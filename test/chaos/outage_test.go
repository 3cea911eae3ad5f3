package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outage is a fault of Redis, or of the way there, which begins and ends while calls go on.
type outage struct {
	options
	calls int           // 15 if 0
	every time.Duration // 300 ms if 0
	for_  time.Duration // how long it lasts
	begin func(c *cluster)
	end   func(c *cluster) // nothing if nil

	// within is how soon after its end service must be back, where it is promised: for 99 of 100 clients.
	within time.Duration
	// drops says that clients may lose their connections.
	drops bool
	// leaves says that seats may be given up.
	leaves bool
	// during and after look at more: before its end, and when all are served again.
	during, after func(c *cluster)
	// settled looks at what is left.
	settled func(c *cluster)
}

// run is the fault's test.
func (o outage) run(t *testing.T, f *figures) {
	c := newCluster(t, f, o.options)
	if o.calls == 0 {
		o.calls = 15
	}
	if o.every == 0 {
		o.every = 300 * time.Millisecond
	}
	l := c.newLoad(loadOptions{calls: o.calls, every: o.every})
	before := time.Now()
	c.hold(2 * time.Second)
	calm := c.watch.latencies(before, time.Now(), nil)
	losses := c.watch.lossCount()

	broken := time.Now()
	o.begin(c)
	c.hold(o.for_)
	if o.during != nil {
		o.during(c)
	}
	if o.end != nil {
		o.end(c)
	}
	healed := time.Now()
	served := c.awaitService(l.parties(), healed)
	c.hold(2 * time.Second)
	if o.after != nil {
		o.after(c)
	}
	f.duration("lasted", healed.Sub(broken))
	if first := c.watch.firstFailure(broken); first > 0 {
		f.duration("first_refusal", first)
	}
	f.spread("back", served)
	f.duration("latency_before_p99", quantile(calm, 0.99))
	f.duration("latency_during_p99", quantile(c.watch.latencies(broken, healed, nil), 0.99))
	f.count("connections_lost", c.watch.lossCount()-losses)
	f.count("resyncs", c.watch.count(toldResync))
	c.settle(l)
	f.count("undelivered", c.watch.undelivered())
	f.count("reaped", int(c.sum(metricReaped)))
	if o.settled != nil {
		o.settled(c)
	}
	for _, g := range c.gateways {
		select {
		case <-g.running().Exited():
			t.Errorf("%s has ended", g.name)
		default:
		}
	}
	if !o.drops {
		require.Zero(t, c.watch.lossCount()-losses, "clients stay connected")
	}
	if !o.leaves {
		require.Zero(t, c.watch.count(toldDisconnected), "nobody is taken for gone")
	}
	_, final := c.watch.errors()
	for code := range final {
		require.Contains(t, []string{"peer_gone", "not_member", "outcome_unknown"}, code, "what failed could be tried again")
	}
	if o.within > 0 {
		require.Less(t, quantile(served, 0.99), 2*o.within, "the pauses between messages are in it, and other work on the machine")
	}
}

// awaitService waits until every client has got something that was sent after a moment, and gives how long after it that
// was.
func (c *cluster) awaitService(parties []*party, after time.Time) []time.Duration {
	c.t.Helper()
	var served []time.Duration
	c.await(settleTimeout, "everybody is served again", func() bool {
		served = c.watch.service(after)
		return len(served) >= len(parties)
	})
	return served
}
