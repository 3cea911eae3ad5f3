// Package faultproxy is a TCP proxy for tests that breaks the network on purpose: it delays, holds back, throttles and
// cuts what passes through it, each direction by itself.
//
// TCP hides the loss of packets from programs: what is lost is sent again, and all that follows waits for it. So a
// network that loses is one here that holds back for as long as TCP would take to repair it, and a network that is
// gone is one that holds back everything, the ends of connections too, until it is there again or the proxy ends.
package faultproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

// Options says where connections go.
type Options struct {
	// Target gives the address that a new connection leads to. An error refuses the connection.
	Target func() (string, error)
	// Mark, unless nil, sees each piece of what dialing ends send. A connection of which it was true of once is marked,
	// and has the faults of marked connections from then on. It is called from several goroutines.
	Mark func(piece []byte) bool
}

// Faults is what is wrong with the network; the zero value is a good one.
type Faults struct {
	// Up is the way from who dialed, Down the way back.
	Up, Down Direction
}

// Both gives the same fault in both directions.
func Both(d Direction) Faults { return Faults{Up: d, Down: d} }

// Direction is what is wrong with one way.
type Direction struct {
	// Hold lets nothing through.
	Hold bool
	// Latency delays everything, and Jitter by up to that much more. Order is kept.
	Latency, Jitter time.Duration
	// Loss is the share of packets that do not arrive at the first try, from 0 up to but without 1.
	Loss float64
	// BytesPerSecond throttles each connection; 0 does not.
	BytesPerSecond int
}

// Proxy takes connections. Its methods may be called from several goroutines at once.
type Proxy struct {
	opts     Options
	listener net.Listener

	running sync.WaitGroup // what Run has started

	mu      sync.Mutex
	changed chan struct{}      // guarded by mu; closed and replaced with every change of faults
	faults  Faults             // guarded by mu
	marked  Faults             // guarded by mu
	refuse  bool               // guarded by mu
	ended   bool               // guarded by mu; no connection is taken any more
	conns   map[*conn]struct{} // guarded by mu
}

// Listen opens a proxy on a port of its own of the loopback. It takes connections once it runs.
func Listen(opts Options) (*Proxy, error) {
	if opts.Target == nil {
		return nil, errors.New("faultproxy: no target")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Proxy{opts: opts, listener: listener, changed: make(chan struct{}), conns: make(map[*conn]struct{})}, nil
}

// Addr returns where the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Run takes connections until ctx ends, and then cuts them all and waits for what it has started.
func (p *Proxy) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			p.end()
			p.running.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		p.running.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// Set changes what is wrong with the network, for the connections that there are, unless they are marked, and for those to
// come.
func (p *Proxy) Set(f Faults) {
	p.change(func() { p.faults = f })
}

// SetMarked changes what is wrong with the network for marked connections.
func (p *Proxy) SetMarked(f Faults) {
	p.change(func() { p.marked = f })
}

// StallMarked breaks the connections that are marked now, and none of those to come, until they end.
func (p *Proxy) StallMarked(f Faults) {
	p.change(func() {
		for c := range p.conns {
			if c.marked.Load() {
				c.own = &f
			}
		}
	})
}

// Refuse has new connections reset at once, or taken again.
func (p *Proxy) Refuse(refuse bool) {
	p.change(func() { p.refuse = refuse })
}

func (p *Proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut resets all connections that there are, and tells how many it were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.reset()
	}
	return len(p.conns)
}

// Vanish resets the dialing ends alone, as a machine does that loses its network. The other ends hear of it unless what
// goes up is held.
func (p *Proxy) Vanish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.client.SetLinger(0)
		_ = c.client.Close()
	}
}

// Connections tells how many connections there are, and how many of them are marked.
func (p *Proxy) Connections() (all, marked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.marked.Load() {
			marked++
		}
	}
	return len(p.conns), marked
}

func (p *Proxy) end() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.Cut()
}

// serve carries one connection until it has ended.
func (p *Proxy) serve(client *net.TCPConn) {
	c := &conn{proxy: p, client: client, closed: make(chan struct{})}
	if !p.connect(c) {
		_ = client.SetLinger(0) // a reset, as of a machine that is not there
		_ = client.Close()
		return
	}
	c.carry()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// connect dials the target and registers the connection.
func (p *Proxy) connect(c *conn) bool {
	p.mu.Lock()
	refuse := p.refuse || p.ended
	p.mu.Unlock()
	if refuse {
		return false
	}
	addr, err := p.opts.Target()
	if err != nil {
		return false
	}
	server, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return false
	}
	c.server = server.(*net.TCPConn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = server.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// direction gives what is wrong with one way of a connection now, and what is closed when that changes.
func (p *Proxy) direction(c *conn, up bool) (Direction, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults
	switch {
	case c.own != nil:
		f = *c.own
	case c.marked.Load():
		f = p.marked
	}
	if up {
		return f.Up, p.changed
	}
	return f.Down, p.changed
}
