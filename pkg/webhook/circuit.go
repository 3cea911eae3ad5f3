package webhook

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// circuitFailures in a row open an endpoint's circuit: from then on one post at a time tries whether it is back.
const circuitFailures = 3

// circuits are what this gateway knows of how the endpoints do, and how many posts to each are under way: a receiver that hangs holds
// a few of the gateway's posts, and no more.
type circuits struct {
	most    int // posts to one endpoint at a time
	retry   func() *backoff.ExponentialBackOff
	mu      sync.Mutex
	circuit map[store.Queue]*circuit // guarded by mu
}

// circuit is one endpoint's. Guarded by circuits.mu.
type circuit struct {
	fingerprint string
	underWay    int
	failures    int // in a row
	closedUntil time.Time
	pause       *backoff.ExponentialBackOff
}

// of gives an endpoint's circuit: a new one when its configuration has changed. The caller holds mu.
func (c *circuits) of(q store.Queue, fingerprint string) *circuit {
	one := c.circuit[q]
	if one == nil || one.fingerprint != fingerprint {
		one = &circuit{fingerprint: fingerprint, pause: c.retry()}
		c.circuit[q] = one
	}
	return one
}

// begin reports whether a post may be sent now, and counts it if so.
func (c *circuits) begin(q store.Queue, fingerprint string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.of(q, fingerprint)
	if one.underWay >= c.most || one.failures >= circuitFailures && (one.underWay > 0 || now.Before(one.closedUntil)) {
		return false
	}
	one.underWay++
	return true
}

// end notes what became of a post.
func (c *circuits) end(q store.Queue, fingerprint string, ok bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.of(q, fingerprint)
	one.underWay = max(0, one.underWay-1)
	if ok {
		one.failures = 0
		one.pause.Reset()
		return
	}
	one.failures++
	if one.failures >= circuitFailures {
		one.closedUntil = now.Add(one.pause.NextBackOff())
	}
}

// open reports whether an endpoint takes nothing, as far as is known.
func (c *circuits) open(q store.Queue) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.circuit[q]
	return one != nil && one.failures >= circuitFailures
}
