// Package session is one client's session, whatever its transport: what a client may send, its dispatch to the rooms, and
// what the client is told.
//
// There are two kinds of transports. A [Conn] is read from: [Server.Serve] has the loop that reads its requests, and the
// bounded queue with the only writer of the connection. Others call: see [Server.Attach].
package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Conn is a transport's connection. Read is called from one goroutine at a time, Write from one other; Close from any.
type Conn interface {
	// Bind tells where frames of the transport's own (pings, pongs) go, so that there is one writer. It is called once,
	// before anything else. send does not block.
	Bind(send func(*wire.Frame))
	// Read waits for the next request. What it returns is valid until the next call. A *wire.Error is a message that
	// was not valid: Request.ID says which, if it could be read, and the connection goes on. Any other error is the
	// end, an [Ended] where the transport knows why; the transport has closed the connection then.
	Read() (wire.Request, error)
	// Write sends frames in their order, with as few system calls as it can, within the transport's deadline.
	Write([]*wire.Frame) error
	// Close says goodbye with a code, where the connection still takes it, and makes Read return soon.
	Close(code wire.CloseCode, reason string)
}

// Parker is a [Conn] whose client can be waited for without a goroutine.
type Parker interface {
	// Park waits for the next request, and reports false when Read is to be called, be it that the connection cannot be
	// parked. When the client has been silent for a while, it reports true: nobody reads the connection then until
	// resume is called, once and on a goroutine of its own, which is soon after the client has sent something, or Close
	// was called.
	Park(resume func()) bool
}

// Ended is why a transport's Read came to an end.
type Ended interface {
	error
	// Ended gives the close code that was sent or received, 0 if there was none, and whether the client meant to end
	// its session.
	Ended() (code wire.CloseCode, left bool)
}

// Client is what is known of a client before it says hello.
type Client struct {
	// ID is the session's public id where the transport gives it: see [wire.ValidID]. No other session of the cluster may
	// have it, and nobody be able to guess it. One is made if it is "".
	ID string
	// Transport names the transport, for metrics: websocket, ...
	Transport string
	// Origin is the page's origin as the transport checked it, "" if the client sent none.
	Origin string
	// Remote is the client's address, with or without a port, for the log and for quotas of addresses.
	Remote string
	// Capacity is the number of seats of a room that the client creates, up to the most that its app allows; 0 leaves it
	// to the app's policy.
	Capacity int
}

// Options configures a [Server].
type Options struct {
	Rooms *room.Service
	Auth  *auth.Directory
	// Origin decides whether a page may use an app, once the app is known; nil allows all that connected.
	Origin func(app, origin string) bool
	// Hooks tells whether an app has webhooks that want to be told of a room, which its policy can forbid; nil: of none.
	Hooks func(app, room string) bool
	// Node is the gateway's name, as told to clients.
	Node string
	// Region is where the gateway stands, as metrics of calls have it; "" if that is all the same.
	Region string
	// ICE makes the ICE servers that clients are told; nil for none. ICEChangesPerSecond is how many are told in a second that theirs have
	// changed; 1000 if 0.
	ICE                 *ice.Issuer
	ICEChangesPerSecond int
	// Quotas hold apps, users, addresses and sessions to what they may use; nil sets none.
	Quotas *quota.Keeper
	// Tokens are those with which sessions are resumed; nil lets none be.
	Tokens *auth.ResumeTokens
	// Grace is how long a seat is kept when its connection is lost, where the app's policy does not say; 0 gives it
	// up at once.
	Grace time.Duration
	// SameUser is what becomes of a user's earlier seats, where the app's policy does not say; they are allowed if "".
	SameUser auth.SameUser
	// ExpiryNotice is how long before its token expires a client is told; nobody is if 0.
	ExpiryNotice time.Duration
	// ResumeTimeout is how long a resume may wait for Redis; 5 s if 0.
	ResumeTimeout time.Duration
	// Heartbeat is the transport's ping period, as told to clients; 25 s if 0.
	Heartbeat time.Duration
	// HelloTimeout is how long a connection may wait before its hello; 5 s if 0.
	HelloTimeout time.Duration
	// QueueMessages and QueueBytes bound what waits for a slow client; 512 and 1 MiB if 0.
	QueueMessages int
	QueueBytes    int
	// InFlight is how many requests may wait for their reply; 64 if 0.
	InFlight int
	// RequestsPerSecond and RequestsBurst are the rate limit; 50 and 100 if 0. A client over it is slowed down, and
	// closed when it has been so for RequestsWait (5 s if 0).
	RequestsPerSecond int
	RequestsBurst     int
	RequestsWait      time.Duration
	// BadMessages is how many messages that are not valid a session may send in all; 50 if 0.
	BadMessages int
	// MessageBytes, RoomsPerSession and StateBytes are told to clients; others check them.
	MessageBytes    int
	RoomsPerSession int
	StateBytes      int
	// Apps are those that have a label of their own in metrics; all others share one.
	Apps []string
	// Tracer makes the spans of connects and requests; nil for none.
	Tracer trace.Tracer
	// Sample decides of each connect and each request whether it begins a trace; all do if nil.
	Sample func() bool
	// TrustParents lets a client that comes with a place in a trace be part of it, with all its requests. Otherwise its spans
	// only have a link to it.
	TrustParents bool
	// Transports names the transports whose metrics are there from the start: see [Client].
	Transports []string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Rooms == nil || o.Auth == nil || o.Node == "" {
		return errors.New("session: rooms, a directory of apps and the node's name are needed")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Heartbeat, 25 * time.Second}, {&o.HelloTimeout, 5 * time.Second}, {&o.RequestsWait, 5 * time.Second}, {&o.ResumeTimeout, 5 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("session: a duration is negative: %v", *d.field)
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.QueueMessages, 512}, {&o.QueueBytes, 1 << 20}, {&o.InFlight, 64}, {&o.RequestsPerSecond, 50},
		{&o.RequestsBurst, 100}, {&o.BadMessages, 50}, {&o.ICEChangesPerSecond, 1000},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("session: a limit is negative: %d", *d.field)
		}
	}
	if o.ExpiryNotice < 0 {
		return fmt.Errorf("session: a notice of %v before a token expires", o.ExpiryNotice)
	}
	if o.Grace < 0 {
		return fmt.Errorf("session: a grace of %v", o.Grace)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Server serves sessions.
type Server struct {
	opts    Options
	metrics *metrics
	roster  *roster
	present *present
	ruled   ruled
	writers *writers
}

// NewServer makes a server without sessions.
func NewServer(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Server{opts: opts, metrics: newMetrics(opts.Registerer, opts.Region, opts.Transports, opts.Apps), roster: newRoster(), present: newPresent(), writers: newWriters()}, nil
}

// Serve runs one session on a connection, and calls ended when both have ended. It may return long before, when the session
// needs no goroutine, or goes on on another one. When ctx ends, the session is told to move to another gateway. The span
// context in ctx, if there is one, is the client's place in a trace.
func (s *Server) Serve(ctx context.Context, conn Conn, client Client, ended func()) {
	s.metrics.connections.WithLabelValues(client.Transport).Inc()
	session := newSession(s, conn, client, ended)
	session.traceConnect(ctx)
	session.start(ctx)
	session.read() //nolint:contextcheck // whether a line is logged does not depend on one
}

// ended counts a connection out.
func (s *Server) ended(transport string, started time.Time, end cause) {
	s.metrics.connections.WithLabelValues(transport).Dec()
	s.metrics.closed.WithLabelValues(end.word, end.initiator).Inc()
	s.metrics.durations.Observe(time.Since(started).Seconds())
}
