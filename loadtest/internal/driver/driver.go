// Package driver holds the clients that a load is made of: one connection each, in the protocol of the server under test,
// with frames built by hand. It does as little as a client can, and the same for every protocol, because it shares the
// machine with what it measures.
package driver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Endpoint is the way to one gateway.
type Endpoint struct {
	Addr   string // host:port
	Source net.IP // the address to come from; nil lets the system choose
	App    string // whose client it is, of a server with several; the demo if empty. Native only
	// Traffic, if not nil, counts the connection's bytes.
	Traffic *Traffic
}

// Traffic counts the bytes of many connections, as TCP carries them.
type Traffic struct{ Sent, Received atomic.Int64 }

// Message is one that came, as far as a driver looks into it.
type Message struct {
	Stamp Stamp
	// Number is the server's own number of the message in its room; 0 where the protocol has none.
	Number int64
}

// Events are called from the peer's reader, one at a time. They must not wait.
type Events struct {
	Message func(Message)
	// Arrived tells that somebody has taken a seat in a room.
	Arrived func(room, id string)
	// Refused tells that a message that was sent was not taken, or that the server says something that it should not.
	Refused func(error)
	// Lost tells once that the connection has ended and nobody here has closed it.
	Lost func(error)
}

// Peer is one client with one connection. Join and Leave are for one goroutine at a time, the others for any.
type Peer interface {
	// ID is how other peers address this one.
	ID() string
	// Join takes a seat. ErrFull says that there was none.
	Join(ctx context.Context, room string) error
	Leave(ctx context.Context, room string) error
	// Send is for one other peer in the room.
	Send(room, to string, payload []byte) error
	// Broadcast is for everybody in the room, oneself included.
	Broadcast(room string, payload []byte) error
	// Close says goodbye in the protocol's own way.
	Close() error
	// Cut drops the connection without a word.
	Cut()
}

// Resumer is a peer whose session outlives its connection.
type Resumer interface {
	// Resume takes the session over on another connection, after Cut. Events go on as before.
	Resume(ctx context.Context, to Endpoint) (Peer, error)
}

// Options are what a load asks of all its peers.
type Options struct {
	// Chat says that rooms have many members who broadcast, where a protocol or its server tells such from calls.
	Chat bool
	// Direct says that peers send to one another, where that takes a subscription.
	Direct bool
}

// Driver makes peers of one protocol.
type Driver interface {
	Connect(ctx context.Context, to Endpoint, events Events) (Peer, error)
	// Close gives up what the driver itself holds, once its peers are closed.
	Close() error
}

// The protocols.
const (
	Native     = "native"
	SocketIO   = "socketio"
	Polling    = "polling"
	Centrifugo = "centrifugo"
)

// Names lists the protocols.
var Names = []string{Native, SocketIO, Polling, Centrifugo}

// New gives the driver of a protocol.
func New(name string, opts Options) (Driver, error) {
	switch name {
	case Native:
		return &nativeDriver{}, nil
	case SocketIO:
		return &socketIODriver{namespace: namespaceOf(opts)}, nil
	case Polling:
		return newPollingDriver(namespaceOf(opts)), nil
	case Centrifugo:
		return &centrifugoDriver{direct: opts.Direct}, nil
	}
	return nil, fmt.Errorf("driver: there is no protocol %q", name)
}

// ErrFull says that a room has no seat left.
var ErrFull = errors.New("the room is full")

// BusyError says that a server takes no connection now, and when to come back.
type BusyError struct {
	Status     string
	RetryAfter time.Duration
}

func (e *BusyError) Error() string { return "the server is busy: " + e.Status }

// RefusedError is a request that was answered with an error.
type RefusedError struct {
	Request string
	Answer  string
}

func (e *RefusedError) Error() string { return e.Request + " was refused: " + e.Answer }

// errEnded is what a request gets when its connection ends.
var errEnded = errors.New("the connection has ended")

// replyTimeout bounds a request, and writeTimeout one write: a server that is stuck must not stop the load for ever.
const (
	replyTimeout = 20 * time.Second
	writeTimeout = 10 * time.Second
	dialTimeout  = 20 * time.Second
)
