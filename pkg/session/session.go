package session

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Session is one client. It costs one goroutine, the reader, and while there is something to write a second one.
type Session struct {
	// immutable
	server *Server
	conn   Conn
	client Client
	id     string

	// owned by the reader
	member    *room.Member
	lastID    int64
	bad       int
	limiter   *rate.Limiter
	throttled time.Time // since when the session is over its rate; zero if it is not

	queue queue

	mu       sync.Mutex
	answered sync.Cond // signalled when inFlight falls
	inFlight int
	expiry   *time.Timer
	identity *auth.Identity // nil before hello; written by the reader, which alone reads it without mu
}

var _ room.Subscriber = (*Session)(nil)

// idLength is that of a session's id: 20 characters of 5 bits, 100 bits in all.
const idLength = 20

func newSession(server *Server, conn Conn, client Client) *Session {
	s := &Session{server: server, conn: conn, client: client, id: rand.Text()[:idLength]}
	s.limiter = rate.NewLimiter(rate.Limit(server.opts.RequestsPerSecond), server.opts.RequestsBurst)
	s.answered.L = &s.mu
	s.queue = queue{
		conn: conn, metrics: server.metrics, maxMessages: server.opts.QueueMessages, maxBytes: server.opts.QueueBytes,
		overflow: func() {
			s.logger().Info("session is too slow", "queue_messages", server.opts.QueueMessages, "queue_bytes", server.opts.QueueBytes)
		},
	}
	return s
}

// Deliver queues an event for the client. It does not block.
func (s *Session) Deliver(frame *wire.Frame) { s.queue.send(frame) }

// cause is why a session ended, in the words of the metric.
type cause struct {
	word, initiator string
	left            bool // the client meant to go
}

// run serves the connection until it ends. Whatever happens, the seats are given up and the writer has ended when it
// returns.
func (s *Session) run(ctx context.Context) cause {
	s.conn.Bind(s.queue.send)
	hello := time.AfterFunc(s.server.opts.HelloTimeout, func() {
		s.queue.close(farewell{code: wire.CloseHelloTimeout, reason: "no hello in time"})
	})
	stop := context.AfterFunc(ctx, func() {
		s.queue.close(farewell{code: wire.CloseMoved, reason: "the gateway is going away"})
	})
	end, panicked := s.serve(ctx, hello)
	if panicked {
		// What was answered before the fault is still written, then goodbye. Reading goes on to see the client's own,
		// and only a transport that panics again keeps the rest from being awaited.
		s.queue.close(farewell{code: wire.CloseInternal, reason: "internal error"})
		end, _ = s.serve(ctx, hello)
	}
	hello.Stop()
	stop()
	s.finish(end)
	return end
}

// serve reads and handles requests until the connection ends, or one of them panics: that is the end of its session,
// and of nobody else's.
func (s *Session) serve(ctx context.Context, hello *time.Timer) (end cause, panicked bool) {
	defer func() {
		if fault := recover(); fault != nil {
			s.server.metrics.panics.Inc()
			s.logger().Error("panic in a session", "panic", fault, "stack", string(debug.Stack()))
			end, panicked = cause{word: wire.CloseInternal.String(), initiator: "server"}, true
		}
	}()
	for {
		request, err := s.conn.Read()
		if s.queue.ended() {
			// Nothing is taken after a farewell; reading goes on until the client has closed its side.
			if err == nil || errors.As(err, new(*wire.Error)) {
				continue
			}
		}
		if err != nil && !s.refuseMessage(request.ID, err) {
			return s.explain(err), false
		}
		if err != nil || !s.admit(ctx) {
			continue
		}
		s.server.metrics.requests.byType[request.Body.Type()].Inc()
		if s.identity == nil {
			s.hello(request, hello)
			continue
		}
		s.dispatch(request)
	}
}

// finish gives up what the session holds. The connection is closed already.
func (s *Session) finish(end cause) {
	s.queue.close(farewell{code: wire.CloseGoingAway, silent: true})
	s.mu.Lock()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.mu.Unlock()
	if s.member != nil {
		reason := wire.ReasonDisconnected
		if end.left {
			reason = wire.ReasonLeft
		}
		s.member.End(reason)
		s.server.metrics.sessions.Dec()
		s.logger().Debug("session ended", "reason", end.word, "initiator", end.initiator)
	}
	s.queue.wait()
}

// explain tells why reading has ended.
func (s *Session) explain(err error) cause {
	if said := s.queue.farewell(); said != nil && !said.lost {
		return cause{word: said.code.String(), initiator: "server"}
	}
	var ended Ended
	if errors.As(err, &ended) {
		code, left := ended.Ended()
		switch {
		case left:
			return cause{word: "normal", initiator: "client", left: true}
		case code == 0:
		case code == wire.CloseGoingAway || wire.CloseCodes[code] == "":
			return cause{word: code.String(), initiator: "client"}
		default: // a code of the transport's own: a rule was broken, or there was no sign of life
			return cause{word: code.String(), initiator: "server"}
		}
	}
	return cause{word: "lost", initiator: "network"}
}

// refuseMessage answers a message that is not valid. It reports false when err is not about a message but the end.
func (s *Session) refuseMessage(id int64, err error) bool {
	var refusal *wire.Error
	if !errors.As(err, &refusal) {
		return false
	}
	s.server.metrics.requests.invalid.Inc()
	s.refuse(id, refusal)
	if s.bad++; s.bad > s.server.opts.BadMessages {
		s.queue.close(farewell{code: wire.CloseBadMessages, reason: "too many messages that were not valid"})
	}
	return true
}

// admit holds the session to its rate and to its bound of requests in flight, by not reading on. It reports false when
// the session has to end.
func (s *Session) admit(ctx context.Context) bool {
	now := time.Now()
	reservation := s.limiter.ReserveN(now, 1)
	if delay := reservation.DelayFrom(now); delay > 0 {
		s.server.metrics.throttled.Inc()
		if s.throttled.IsZero() {
			s.throttled = now
		}
		if now.Sub(s.throttled)+delay > s.server.opts.RequestsWait {
			s.queue.close(farewell{code: wire.CloseRateLimited, reason: "too many requests"})
			return false
		}
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	} else if s.limiter.TokensAt(now) >= 1 {
		s.throttled = time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight >= s.server.opts.InFlight {
		s.server.metrics.inFlight.Inc()
		for s.inFlight >= s.server.opts.InFlight {
			s.answered.Wait()
		}
	}
	return true
}

// began and done bracket a request that waits for its reply.
func (s *Session) began() {
	s.mu.Lock()
	s.inFlight++
	s.mu.Unlock()
}

func (s *Session) done() {
	s.mu.Lock()
	s.inFlight--
	s.mu.Unlock()
	s.answered.Signal()
}

func (s *Session) reply(id int64, body wire.ReplyBody) { s.queue.send(wire.ReplyFrame(id, body)) }

func (s *Session) refuse(id int64, refusal *wire.Error) {
	s.server.metrics.refused.WithLabelValues(string(refusal.Code)).Inc()
	s.queue.send(wire.ErrorFrame(id, refusal))
}

func (s *Session) logger() *slog.Logger {
	s.mu.Lock()
	identity := s.identity
	s.mu.Unlock()
	logger := s.server.opts.Logger.With("session", s.id, "transport", s.client.Transport)
	if identity != nil {
		logger = logger.With("app", identity.App)
	}
	return logger
}
