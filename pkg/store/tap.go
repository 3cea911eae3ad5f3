package store

import (
	"context"
	"errors"
	"net"
	"sync"
)

// tap gets the connection that is made for a context. A PubSub of go-redis dials with the context that it is given, and does
// not tell what it has got; its pools dial with others.
type tap struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

type tapKey struct{}

// tapped gives a context for which the dialer tells the tap what it has made.
func tapped(ctx context.Context) (context.Context, *tap) {
	t := new(tap)
	return context.WithValue(ctx, tapKey{}, t), t
}

// tell tells the context's tap, if it has one.
func tell(ctx context.Context, conn net.Conn) {
	t, ok := ctx.Value(tapKey{}).(*tap)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = append(t.conns, conn)
}

var errTap = errors.New("it is not known which connection is the subscription's")

// take gives the connection, if one alone was made: what belongs to somebody else must not be read.
func (t *tap) take() (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.conns) != 1 {
		return nil, errTap
	}
	return t.conns[0], nil
}
