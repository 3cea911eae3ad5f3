// Package memnet is a network in memory for tests that run a whole cluster in one process.
//
// Everything in it blocks on sync.Cond and time.Timer alone, which testing/synctest counts as
// durably blocked: inside a bubble, deadlines and latency run on fake time. Connections behave
// like TCP where programs can tell: they are buffered, a close is seen as EOF after the last byte,
// writing to a closed peer fails with EPIPE, and an address without a listener refuses.
package memnet

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// networkName is what addresses return as their network.
const networkName = "mem"

// Ephemeral ports, for dialing ends and for listeners on port 0.
const (
	firstEphemeralPort = 1024
	ephemeralPorts     = 64000
)

// Network is a name space of listeners. The zero value is ready. Its methods may be called from
// several goroutines at once.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener // by address; guarded by mu
	picked    int                  // ports picked for listeners on port 0; guarded by mu
	dialed    int                  // connections dialed; guarded by mu
	latency   time.Duration        // guarded by mu
	// delays makes the function that gives each write its delay; guarded by mu
	delays func(from, to string) func() time.Duration
}

// SetLatency makes every connection dialed from now on deliver what is written that much later,
// in either direction, and makes dialing take one round trip. Order is kept. Zero, the default,
// delivers at once.
func (n *Network) SetLatency(oneWay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = oneWay
}

// SetDelays has every write on connections dialed from now on take a time of its own, beside the latency. It is called once
// for each direction of a connection, with the two addresses, and what it returns for each write, under a lock. Order is
// kept. Nil, the default, is none. [Label] says what stands for the dialing end's address, which is new with each
// connection.
func (n *Network) SetDelays(of func(from, to string) func() time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delays = of
}

// labelKey is the key of a label in a context.
type labelKey struct{}

// Label names who dials with the context.
func Label(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, labelKey{}, name)
}

// Listen takes connections for addr, a host and port as in net.Listen; any host name will do, and
// port 0 picks a free one. An address that is taken fails with EADDRINUSE.
func (n *Network) Listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: networkName, Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == "0" {
		addr = n.pickPort(host)
	}
	if _, taken := n.listeners[addr]; taken {
		return nil, &net.OpError{Op: "listen", Net: networkName, Addr: address(addr), Err: syscall.EADDRINUSE}
	}
	l := &listener{network: n, addr: address(addr)}
	l.changed.L = &l.mu
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	n.listeners[addr] = l
	return l, nil
}

// DialContext connects to the listener on addr, and fails with ECONNREFUSED when there is none. It
// has the form that net/http, gorilla/websocket and go-redis ask for; the name of the network is
// not looked at. As with TCP the connection stands before the listener accepts it. The result is a
// [*Conn].
func (n *Network) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	conn, err := n.dial(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: networkName, Addr: address(addr), Err: err}
	}
	return conn, nil
}

func (n *Network) dial(ctx context.Context, addr string) (*Conn, error) {
	n.mu.Lock()
	latency, delays := n.latency, n.delays
	local := n.clientAddress()
	n.mu.Unlock()
	if err := pause(ctx, 2*latency); err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	client, server := pair(local, l.addr, latency)
	if delays != nil {
		name, ok := ctx.Value(labelKey{}).(string)
		if !ok {
			name = local.String()
		}
		client.out.delay, server.out.delay = delays(name, addr), delays(addr, name)
	}
	if !l.offer(server) {
		return nil, syscall.ECONNREFUSED
	}
	return client, nil
}

// pickPort returns an address of the host that nothing listens on. The caller holds mu.
func (n *Network) pickPort(host string) string {
	for {
		addr := net.JoinHostPort(host, strconv.Itoa(firstEphemeralPort+n.picked%ephemeralPorts))
		n.picked++
		if _, taken := n.listeners[addr]; !taken {
			return addr
		}
	}
}

// clientAddress returns the next dialing end's address. All are on 127.0.0.1 until its ports are
// used up; then comes 127.0.1.1, so that no address comes twice in a test's life. The caller
// holds mu.
func (n *Network) clientAddress() address {
	host := netip.AddrFrom4([4]byte{127, 0, byte(n.dialed / ephemeralPorts), 1})
	port := firstEphemeralPort + n.dialed%ephemeralPorts
	n.dialed++
	return address(netip.AddrPortFrom(host, uint16(port)).String())
}

// forget takes a closed listener's address out of use.
func (n *Network) forget(l *listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, l.addr.String())
}

// Pipe returns the two ends of a connection without a listener, as net.Pipe does, but buffered.
func Pipe() (*Conn, *Conn) {
	return pair("pipe:1", "pipe:2", 0)
}

// address is a host and port that stands for itself.
type address string

func (address) Network() string  { return networkName }
func (a address) String() string { return string(a) }

// listener keeps connections that were dialed until they are accepted. The backlog has no bound: a
// test that never accepts sees it in its own memory.
type listener struct {
	network *Network // immutable
	addr    address  // immutable

	mu      sync.Mutex
	changed sync.Cond // the backlog grew or the listener was closed
	backlog []*Conn   // guarded by mu
	closed  bool      // guarded by mu
}

// Accept returns the next connection, a [*Conn], and net.ErrClosed once the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: networkName, Addr: l.addr, Err: net.ErrClosed}
	}
	conn := l.backlog[0]
	l.backlog = l.backlog[1:]
	return conn, nil
}

// Close frees the address and resets the connections that were not yet accepted.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return &net.OpError{Op: "close", Net: networkName, Addr: l.addr, Err: net.ErrClosed}
	}
	l.closed = true
	waiting := l.backlog
	l.backlog = nil
	l.changed.Broadcast()
	l.mu.Unlock()

	l.network.forget(l)
	for _, conn := range waiting {
		conn.Sever()
	}
	return nil
}

// Addr returns the address that was listened on, with the port that was picked.
func (l *listener) Addr() net.Addr { return l.addr }

// offer puts the server's end of a new connection into the backlog.
func (l *listener) offer(conn *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.backlog = append(l.backlog, conn)
	l.changed.Signal()
	return true
}

// pause waits for d unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
