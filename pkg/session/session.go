package session

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What clients are told at an end that all transports know.
const (
	movedReason    = "the gateway is going away"
	internalReason = "internal error"
)

// Session is one client on a [Conn]. It costs one goroutine, the reader, and while there is something to write a second
// one.
type Session struct {
	core
	queue    queue // the core's sink, and the connection's only writer
	welcomed bool  // the welcome is on its way; guarded by mu
}

func newSession(server *Server, conn Conn, client Client) *Session {
	s := new(Session)
	s.numbered = true
	s.begin(server, client, &s.queue)
	s.queue = queue{conn: conn, server: server, overflow: func() {
		s.logger().Info("session is too slow", "queue_messages", server.opts.QueueMessages, "queue_bytes", server.opts.QueueBytes)
	}}
	return s
}

// run serves the connection until it ends. Whatever happens, the seats are given up and the writer has ended when it
// returns.
func (s *Session) run(ctx context.Context) cause {
	s.queue.conn.Bind(s.queue.Deliver)
	if !s.server.roster.add(s) {
		s.Move()
	}
	defer s.server.roster.remove(s)
	hello := time.AfterFunc(s.server.opts.HelloTimeout, func() {
		s.queue.Close(wire.CloseHelloTimeout, "no hello in time")
	})
	stop := context.AfterFunc(ctx, func() { s.Move() })
	end, panicked := s.serve(hello)
	if panicked {
		// What was answered before the fault is still written, then goodbye. Reading goes on to see the client's own,
		// and only a transport that panics again keeps the rest from being awaited.
		s.queue.Close(wire.CloseInternal, internalReason)
		end, _ = s.serve(hello)
	}
	hello.Stop()
	stop()
	s.queue.close(farewell{code: wire.CloseGoingAway, silent: true}) // the connection is closed already
	s.finish(end)
	s.queue.wait()
	return end
}

// serve reads and handles requests until the connection ends, or one of them panics: that is the end of its session,
// and of nobody else's.
func (s *Session) serve(hello *time.Timer) (end cause, panicked bool) {
	defer func() {
		if fault := recover(); fault != nil {
			s.failed(fault)
			end, panicked = cause{word: wire.CloseInternal.String(), initiator: "server"}, true
		}
	}()
	for {
		request, err := s.queue.conn.Read()
		if s.queue.ended() {
			// Nothing is taken after a farewell; reading goes on until the client has closed its side.
			if err == nil || errors.As(err, new(*wire.Error)) {
				continue
			}
		}
		if err != nil {
			var refusal *wire.Error
			if !errors.As(err, &refusal) {
				return s.explain(err), false
			}
			s.refuseMessage(request.ID, refusal)
			continue
		}
		if !s.admit() {
			continue
		}
		s.server.metrics.requests.byType[request.Body.Type()].Inc()
		switch {
		case s.identity == nil:
			s.hello(request, hello)
		case s.rises(request.ID):
			s.dispatch(request)
		}
	}
}

// hello opens the session: the first request must be one.
func (s *Session) hello(request wire.Request, timeout *time.Timer) {
	hello, ok := request.Body.(*wire.Hello)
	if !ok {
		s.refuse(request.ID, wire.Errorf(wire.CodeUnauthorized, "say hello first"))
		return
	}
	timeout.Stop() // a resume waits for Redis, and has a time of its own
	if refusal := s.enter(hello); refusal != nil {
		s.refuse(request.ID, refusal)
		if code := closeOf(refusal); code != 0 {
			s.queue.Close(code, string(refusal.Code))
			return
		}
		timeout.Reset(s.server.opts.HelloTimeout)
		s.countBad() // nobody stays before the door for ever
		return
	}
	s.queue.Reply(request.ID, s.welcome())
	s.queue.unbounded(s.member.Begin)
	s.greeted()
}

// closeOf is how a connection is closed whose hello was refused; 0 leaves it open for another one.
func closeOf(refusal *wire.Error) wire.CloseCode {
	switch refusal.Code {
	case wire.CodeResumeRefused:
		return 0 // the client says hello anew
	case wire.CodeUnavailable:
		return wire.CloseMoved // it comes back
	case wire.CodeInternal:
		return wire.CloseInternal
	}
	return wire.CloseUnauthorized
}

// explain tells why reading has ended.
func (s *Session) explain(err error) cause {
	if said := s.queue.farewell(); said != nil && !said.lost {
		return cause{word: said.code.String(), initiator: "server", final: final(said.code)}
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
			return cause{word: code.String(), initiator: "server", final: final(code)}
		}
	}
	return cause{word: "lost", initiator: "network"}
}
