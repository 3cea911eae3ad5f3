package session

import (
	"context"
	"crypto/rand"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Sink is where a session says what its client is to be told. No method may block, nor call back into the session, but
// that Close may lead to [Attached.End]: the others are called with locks held, and all from any goroutine. What comes
// after Close, or after the end, is to be dropped: there may be requests under way that are answered then.
type Sink interface {
	// Deliver tells an event.
	Deliver(*wire.Frame)
	// Reply answers a request.
	Reply(id int64, body wire.ReplyBody)
	// Refuse answers a request that failed.
	Refuse(id int64, refusal *wire.Error)
	// Close ends the connection after what was said before. Only the first call counts.
	Close(code wire.CloseCode, reason string)
}

var _ room.Subscriber = Sink(nil)

// core is what the sessions of all transports have in common: who the client is, its requests and their bounds. What it
// says goes to its sink.
type core struct {
	// immutable
	server *Server
	client Client // with an ID always; that of a session that is resumed is known once its hello was read
	sink   Sink

	// owned by the goroutine that has the requests: the reader, or the one that calls
	member *room.Member
	lastID int64
	// resumable is set when the client can come back: its seats are kept for a while, and its requests take effect once.
	resumable  bool
	generation int64  // of this connection among the session's
	resumed    bool   // the session has gone on from another connection, and rooms is what became of its rooms
	numbered   bool   // the client numbers its requests over the whole session, not over one connection
	whole      bool   // a resume has to tell who is in the rooms
	before     string // the client's session that did not go on: what it still has of seats makes room for this one's
	rooms      map[string]wire.ResumedRoom
	bad        int
	limiter    *rate.Limiter
	tracing    *tracing // nil unless the session is part of a trace
	app        *appMetrics
	candidates candidates
	quota      *quota.Session // nil before hello, after the end, and where there are none
	throttled  time.Time      // since when the session is over its rate; zero if it is not

	presence presence
	granted  atomic.Pointer[auth.Identity] // the identity, for rooms, which ask on any goroutine

	mu       sync.Mutex
	changed  sync.Cond // signalled when who waits may go on: inFlight has fallen, a request's time has come, or over
	inFlight int
	over     bool // no request may go on
	agenda   agenda
	told     ice.Told       // what the client was told of ICE servers
	opened   int            // how many members the connection has had: those before are of sessions that did not go on
	identity *auth.Identity // nil before hello; written by the requests' goroutine, which alone reads it without mu
}

// idLength is that of a session's id: 20 characters of 5 bits, 100 bits in all.
const idLength = 20

// begin completes a new core in its place.
func (c *core) begin(server *Server, client Client, sink Sink) {
	if client.ID == "" {
		client.ID = rand.Text()[:idLength]
	}
	c.server, c.client, c.sink = server, client, sink
	c.limiter = rate.NewLimiter(rate.Limit(server.opts.RequestsPerSecond), server.opts.RequestsBurst)
	c.changed.L = &c.mu
}

// cause is why a session ended, in the words of the metric.
type cause struct {
	word, initiator string
	left            bool // the client meant to go
	final           bool // the client is not to come back
}

// final reports whether a session is over with a connection that was closed so. One that was taken over is not: its seats
// are the other connection's by now, or will be.
func final(code wire.CloseCode) bool { return !code.Retryable() && code != wire.CloseTakenOver }

// finish gives up the seats, or keeps them for a client that may come back. Nothing is delivered after it has returned.
func (c *core) finish(end cause) {
	c.release()
	c.cancel()
	c.server.present.remove(c)
	c.uncount()
	if c.member == nil {
		return
	}
	switch {
	case end.left:
		c.member.End(wire.ReasonLeft)
	case c.resumable && !end.final:
		c.member.Lose()
	default:
		c.member.End(wire.ReasonDisconnected)
	}
	c.server.metrics.sessions.Dec()
	c.app.sessions.Dec()
	c.debug("session ended", "reason", end.word, "initiator", end.initiator)
}

// id is the session's public id, on any goroutine.
func (c *core) id() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.ID
}

// release lets no further request go on, nor wait.
func (c *core) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.changed.Broadcast()
}

func (c *core) released() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// refuseMessage answers a message that is not valid, and counts it.
func (c *core) refuseMessage(id int64, refusal *wire.Error) {
	c.server.metrics.requests.invalid.Inc()
	c.refuse(id, refusal)
	c.countBad()
}

// countBad closes the session when too many of its messages were not valid.
func (c *core) countBad() {
	if c.bad++; c.bad > c.server.opts.BadMessages {
		c.sink.Close(wire.CloseBadMessages, "too many messages that were not valid")
	}
}

// admit holds the session to its rate and to its bound of requests in flight, by keeping its goroutine. It reports false
// when the session has to end.
func (c *core) admit() bool {
	now := time.Now()
	reservation := c.limiter.ReserveN(now, 1)
	if delay := reservation.DelayFrom(now); delay > 0 {
		c.server.metrics.throttled.Inc()
		if c.throttled.IsZero() {
			c.throttled = now
		}
		if now.Sub(c.throttled)+delay > c.server.opts.RequestsWait {
			c.sink.Close(wire.CloseRateLimited, "too many requests")
			return false
		}
		c.pause(delay)
	} else if c.limiter.TokensAt(now) >= 1 {
		c.throttled = time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight >= c.server.opts.InFlight && !c.over {
		c.server.metrics.inFlight.Inc()
		for c.inFlight >= c.server.opts.InFlight && !c.over {
			c.changed.Wait()
		}
	}
	return !c.over
}

// pause waits for a time, or until the session is over.
func (c *core) pause(delay time.Duration) {
	due := false
	timer := time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		due = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !due && !c.over {
		c.changed.Wait()
	}
}

// began and done bracket a request that waits for its reply.
// pending is a request that waits for the store.
type pending struct {
	id    int64
	since time.Time
	timer *requestTimer
	trace *requestTrace // nil unless it is traced
}

// begun notes a request that is ended by [core.answer].
func (c *core) begun(request wire.Request) pending {
	c.mu.Lock()
	c.inFlight++
	c.mu.Unlock()
	p := pending{id: request.ID, since: time.Now(), timer: c.server.metrics.requests.timers[request.Body.Type()]}
	if c.server.opts.Tracer != nil {
		p.trace = c.traceRequest(p.timer, request)
	}
	return p
}

func (c *core) done() {
	c.mu.Lock()
	c.inFlight--
	c.mu.Unlock()
	c.changed.Signal()
}

func (c *core) refuse(id int64, refusal *wire.Error) { c.refuseIn(c.tracing.context(), id, refusal) }

// refuseIn is refuse for a request that is part of a trace.
func (c *core) refuseIn(span trace.SpanContext, id int64, refusal *wire.Error) {
	c.server.metrics.refused.WithLabelValues(string(refusal.Code)).Inc()
	if c.debugs() { // without its message, which may quote what the client sent
		c.debugIn(span, "request refused", "request", id, "code", string(refusal.Code))
	}
	c.sink.Refuse(id, refusal)
}

// failed notes a panic. It is the end of one session, and of nobody else's.
func (c *core) failed(fault any) {
	c.server.metrics.panics.Inc()
	c.logger().Error("panic in a session", "panic", fault, "stack", string(debug.Stack()))
}

// debug logs what logger would with a level of debugging, where mostly nobody reads it: to make a logger takes a kilobyte, which a
// hello is spared.
func (c *core) debug(message string, attributes ...any) {
	c.debugIn(c.tracing.context(), message, attributes...)
}

// debugIn is debug for what is part of a trace.
func (c *core) debugIn(span trace.SpanContext, message string, attributes ...any) {
	c.server.opts.Logger.Debug(message, append(c.who(span), attributes...)...)
}

// debugs reports whether somebody reads what [core.debug] writes: what is said of each request costs nothing else.
func (c *core) debugs() bool {
	return c.server.opts.Logger.Enabled(context.Background(), slog.LevelDebug)
}

func (c *core) logger() *slog.Logger { return c.server.opts.Logger.With(c.who(c.tracing.context())...) }

// who are the attributes by which a line of the log names the session, and the trace that the line is part of.
func (c *core) who(span trace.SpanContext) []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := []any{"session", c.client.ID, "transport", c.client.Transport}
	if c.identity != nil {
		who = append(who, "app", c.identity.App)
	}
	if span.IsSampled() {
		who = append(who, "trace_id", span.TraceID().String())
	}
	return who
}
