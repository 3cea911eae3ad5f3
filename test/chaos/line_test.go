package chaos

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/faultproxy"
)

// dialFunc makes network connections for a client.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// hold is a network that lets nothing through.
var hold = faultproxy.Direction{Hold: true}

// newProxy runs a fault proxy until the cluster ends.
func (c *cluster) newProxy(opts faultproxy.Options) *faultproxy.Proxy {
	c.t.Helper()
	proxy, err := faultproxy.Listen(opts)
	require.NoError(c.t, err)
	c.running.Go(func() {
		if err := proxy.Run(c.ctx); err != nil {
			c.t.Errorf("a proxy ends: %v", err)
		}
	})
	return proxy
}

// throughProxy dials a proxy, whatever address is asked for.
func throughProxy(proxy *faultproxy.Proxy) dialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, proxy.Addr())
	}
}

// line is a client's way into the network, which it can lose.
type line struct {
	proxy *faultproxy.Proxy

	mu   sync.Mutex
	dial dialFunc // guarded by mu; nil while there is no network
}

func (c *cluster) newLine() *line {
	proxy := c.newProxy(faultproxy.Options{Target: c.balancer.target})
	return &line{proxy: proxy, dial: throughProxy(proxy)}
}

func (l *line) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	dial := l.dial
	l.mu.Unlock()
	if dial == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ENETUNREACH}
	}
	return dial(ctx, network, addr)
}

// lose takes the network from the client, which notices at once, as a telephone's system does. The gateway hears nothing
// of it, now or later.
func (l *line) lose() {
	l.mu.Lock()
	l.dial = nil
	l.mu.Unlock()
	l.proxy.Set(faultproxy.Both(hold))
	l.proxy.Vanish()
}

// elsewhere gives the client another network.
func (l *line) elsewhere(dial dialFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dial = dial
}

// except dials any gateway but one.
func (c *cluster) except(g *gateway) dialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		public, _ := g.addresses()
		addr, err := c.balancer.pick(map[string]bool{public: true})
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

// switching dials in one way until it is switched over, and then in another.
func switching(over *atomic.Bool, first, second dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if over.Load() {
			return second(ctx, network, addr)
		}
		return first(ctx, network, addr)
	}
}

// once dials one gateway, and then never again.
func once(g *gateway) dialFunc {
	var mu sync.Mutex
	dialed := false
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if dialed {
			return nil, syscall.ENETUNREACH
		}
		conn, err := to(g)(ctx, network, addr)
		dialed = err == nil
		return conn, err
	}
}
