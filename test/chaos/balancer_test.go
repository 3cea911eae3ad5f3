package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// What the load balancer does is what those in front of real clusters do: it asks for readiness, takes a gateway out after
// some failures in a row, tries another where a connection is refused, and when none is ready it tries them all.
const (
	probeEvery     = 250 * time.Millisecond
	probesToLose   = 2
	balancerTries  = 3
	connectTimeout = 2 * time.Second
)

type balancer struct {
	gateways func() []*gateway

	mu     sync.Mutex
	failed map[*gateway]int // guarded by mu; probes in a row, at least probesToLose before the first that succeeded
}

func newBalancer(gateways func() []*gateway) *balancer {
	return &balancer{gateways: gateways, failed: make(map[*gateway]int)}
}

// run probes until ctx ends.
func (b *balancer) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		var probing sync.WaitGroup
		for _, g := range b.gateways() {
			probing.Go(func() { b.note(g, g.ready()) })
		}
		probing.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *balancer) note(g *gateway, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ready {
		b.failed[g] = 0
	} else {
		b.failed[g]++
	}
}

// usable reports whether the balancer sends clients to a gateway.
func (b *balancer) usable(g *gateway) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	failed, known := b.failed[g]
	return known && failed < probesToLose
}

// pick chooses a gateway's address at random.
func (b *balancer) pick(not map[string]bool) (string, error) {
	var ready, any []string
	for _, g := range b.gateways() {
		public, _ := g.addresses()
		if public == "" || not[public] {
			continue
		}
		any = append(any, public)
		if b.usable(g) {
			ready = append(ready, public)
		}
	}
	if len(ready) == 0 {
		ready = any
	}
	if len(ready) == 0 {
		return "", errors.New("no gateway is up")
	}
	return ready[rand.IntN(len(ready))], nil
}

// dial connects a client to some gateway, whatever address it asked for.
func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	tried := make(map[string]bool)
	for {
		addr, err := b.pick(tried)
		if err != nil {
			return nil, err
		}
		conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, network, addr)
		if err == nil || len(tried) == balancerTries-1 {
			return conn, err
		}
		tried[addr] = true
	}
}

// target is pick for a proxy.
func (b *balancer) target() (string, error) { return b.pick(nil) }

// to dials one gateway alone.
func to(g *gateway) dialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		public, _ := g.addresses()
		return new(net.Dialer).DialContext(ctx, network, public)
	}
}
