package store

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// errAbandoned is what becomes of a connection to a server that is not the primary any more.
	errAbandoned = errors.New("the connection's server is not the primary any more")
	errNoPrimary = errors.New("no Sentinel has named the primary yet")
	// errMaxClients is what go-redis takes for an answer to its greeting, and then meets a connection that has ended.
	errMaxClients = errors.New("max number of clients reached")
)

var tooMany = []byte("-ERR max number of clients reached")

// keepAlive finds dead peers of idle connections. Those in use have timeouts, and subscriptions their pings.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialer makes the connections, and keeps hold of them to end those to a server that was demoted. Nothing else would: such
// a server lives, answers, and keeps subscriptions, to which nothing is published any more.
type dialer struct {
	dial   dialFunc // immutable
	follow bool     // target is dialed, not what go-redis asks for; immutable

	mu     sync.Mutex
	target string                // guarded by mu
	conns  map[*tracked]struct{} // guarded by mu
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func newDialer(o Options) *dialer {
	return &dialer{dial: baseDial(o), follow: o.Mode == ModeSentinel, conns: make(map[*tracked]struct{})}
}

// baseDial is the way to every server.
func baseDial(o Options) dialFunc {
	if o.Dialer != nil {
		return o.Dialer
	}
	plain := &net.Dialer{Timeout: o.DialTimeout, KeepAliveConfig: keepAlive}
	if o.TLS == nil {
		return plain.DialContext
	}
	return (&tls.Dialer{NetDialer: plain, Config: o.TLS}).DialContext
}

// DialContext connects to the target, or to addr if none is followed. The context's [tap] is told.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	if d.follow {
		addr = d.target
	}
	d.mu.Unlock()
	if addr == "" {
		return nil, errNoPrimary
	}
	conn, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	t := &tracked{Conn: conn, dialer: d, addr: addr}
	d.mu.Lock()
	late := d.follow && d.target != addr
	if !late {
		d.conns[t] = struct{}{}
	}
	d.mu.Unlock()
	if late {
		_ = conn.Close()
		return nil, errAbandoned
	}
	tell(ctx, t)
	if raw, ok := conn.(syscall.Conn); ok {
		return trackedSocket{t, raw}, nil
	}
	return t, nil
}

// point has addr dialed from now on, and ends the connections to other servers. It reports whether addr is new.
func (d *dialer) point(addr string) bool {
	d.mu.Lock()
	changed := d.target != addr
	d.target = addr
	d.mu.Unlock()
	if changed {
		d.abandon(func(t *tracked) bool { return t.addr != addr })
	}
	return changed
}

// abandon ends connections.
func (d *dialer) abandon(which func(*tracked) bool) {
	d.mu.Lock()
	var found []*tracked
	for t := range d.conns {
		if which(t) {
			found = append(found, t)
		}
	}
	d.mu.Unlock()
	for _, t := range found {
		t.abandoned.Store(true)
		_ = t.Close()
	}
}

// tracked is a connection that its dialer can end.
type tracked struct {
	net.Conn
	dialer    *dialer
	addr      string
	abandoned atomic.Bool
	greeted   bool // something was read; owned by who reads
}

// trackedSocket lets go-redis look at the socket of a connection that has lain idle.
type trackedSocket struct {
	*tracked
	syscall.Conn
}

// Read tells apart what was ended on purpose, and a server that has no room.
func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if !t.greeted && bytes.HasPrefix(p[:n], tooMany) {
		return 0, errMaxClients
	}
	t.greeted = t.greeted || n > 0
	return n, t.reason(err)
}

// Write tells apart what was ended on purpose.
func (t *tracked) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	return n, t.reason(err)
}

func (t *tracked) reason(err error) error {
	if err != nil && t.abandoned.Load() {
		return errAbandoned
	}
	return err
}

// Close ends the connection, and the dialer's hold of it.
func (t *tracked) Close() error {
	t.dialer.mu.Lock()
	delete(t.dialer.conns, t)
	t.dialer.mu.Unlock()
	return t.Conn.Close()
}
