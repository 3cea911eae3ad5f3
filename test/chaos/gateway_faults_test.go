package chaos

import (
	"testing"
	"time"
)

func gatewayFaults() []*fault {
	return []*fault{
		{name: "none", quick: true, inject: noFault},
	}
}

func noFault(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	l := c.newLoad(loadOptions{calls: 20})
	s := c.newLoad(loadOptions{calls: 5, short: true})
	began := time.Now()
	c.hold(5 * time.Second)
	f.spread("latency", c.watch.latencies(began, time.Now(), nil))
	c.settle(l, s)
	f.spread("setup", s.setups)
}
