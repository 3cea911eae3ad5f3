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
// one. Where the connection is a [Parker], a silent one costs none.
type Session struct {
	core
	queue    queue // the core's sink, and the connection's only writer
	welcomed bool  // the welcome is on its way; guarded by mu

	// immutable
	started time.Time
	after   func()      // called when all is over
	parker  Parker      // nil if the connection cannot be parked
	resume  func()      // read, for the parker
	unwatch func() bool // stops the watch over the context

	// owned by the reader
	patience *time.Timer // ends a connection that says no hello; nil once it has
	joined   time.Time   // when it last asked for a room
	kept     bool        // the stack is kept since
}

func newSession(server *Server, conn Conn, client Client, after func()) *Session {
	s := &Session{started: time.Now(), after: after}
	s.numbered = true
	s.begin(server, client, &s.queue)
	s.queue = queue{conn: conn, server: server, core: &s.core, overflow: func() {
		s.logger().Info("session is too slow", "queue_messages", server.opts.QueueMessages, "queue_bytes", server.opts.QueueBytes)
	}}
	if prompter, ok := conn.(Prompter); ok && prompter.Prompt() {
		s.queue.prompter = prompter
	}
	s.parker, _ = conn.(Parker)
	s.resume = s.read
	return s
}

// start puts the session on the roster, and says how long there is for a hello.
func (s *Session) start(ctx context.Context) {
	s.queue.conn.Bind(s.queue.Deliver)
	if !s.server.roster.add(s) {
		s.Move()
	}
	s.patience = time.AfterFunc(s.server.opts.HelloTimeout, func() {
		s.queue.Close(wire.CloseHelloTimeout, "no hello in time")
	})
	s.unwatch = context.AfterFunc(ctx, func() { s.Move() })
}

// read serves the connection until it ends, or another goroutine is to go on: when there is something to do after the
// connection was parked, or at once, for the sake of a smaller stack.
func (s *Session) read() {
	end, result := s.serve()
	switch result {
	case parked: // another goroutine may have the session by now
		return
	case grown:
		go s.read()
		return
	case panicked:
		// What was answered before the fault is still written, then goodbye. Reading goes on to see the client's own,
		// and only a transport that panics again keeps the rest from being awaited.
		s.queue.Close(wire.CloseInternal, internalReason)
		end, _ = s.serve()
	}
	s.conclude(end)
}

// conclude ends the session after its connection. Whatever happens, the seats are given up and the writer has ended when it
// returns.
func (s *Session) conclude(end cause) {
	if s.patience != nil {
		s.patience.Stop()
	}
	s.unwatch()
	s.queue.close(farewell{code: wire.CloseGoingAway, silent: true}) // the connection is closed already
	s.finish(end)
	s.tracing.ended(end)
	s.queue.wait()
	s.server.roster.remove(s)
	s.server.ended(s.client.Transport, s.started, end)
	s.after()
}

// served is why a reader has stopped.
type served int

const (
	ended served = iota
	parked
	panicked
	// grown is after a request whose handling takes a deep stack. It would stay as large as it has become for as long as
	// the session waits for the next one, so that this one is waited for on another.
	grown
)

// serve reads and handles requests until there is a reason to stop. That one of them panics is the end of its session, and
// of nobody else's.
func (s *Session) serve() (end cause, result served) {
	defer func() {
		if fault := recover(); fault != nil {
			s.failed(fault)
			end, result = cause{word: wire.CloseInternal.String(), initiator: "server"}, panicked
		}
	}()
	for {
		if s.parks() && s.parker.Park(s.resume) {
			return cause{}, parked
		}
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
				return s.explain(err), ended
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
			s.hello(request)
		case s.rises(request.ID):
			s.dispatch(request)
		}
		if s.sheds(request.Body) {
			return cause{}, grown
		}
	}
}

// shedPause is how long a session that goes on joining rooms keeps the stack that it has grown: to grow it anew each time
// takes a good part of what a join costs.
const shedPause = time.Second

// sheds reports whether the reader is to go on with a smaller stack after a request.
func (s *Session) sheds(request wire.RequestBody) bool {
	switch request.(type) {
	case *wire.Hello:
		return true
	case *wire.Join:
		now := time.Now()
		s.kept = now.Sub(s.joined) < shedPause
		s.joined = now
		return !s.kept
	}
	if s.kept && time.Since(s.joined) >= shedPause {
		s.kept = false
		return true
	}
	return false
}

// parks reports whether the session may be left without a reader: it is one, and has not said its farewell, after which
// the client's is waited for.
func (s *Session) parks() bool { return s.parker != nil && s.identity != nil && !s.queue.ended() }

// hello opens the session: the first request must be one.
func (s *Session) hello(request wire.Request) {
	hello, ok := request.Body.(*wire.Hello)
	if !ok {
		s.refuse(request.ID, wire.Errorf(wire.CodeUnauthorized, "say hello first"))
		return
	}
	s.patience.Stop() // a resume waits for Redis, and has a time of its own
	if refusal := s.enter(hello); refusal != nil {
		s.refuse(request.ID, refusal)
		if code := closeOf(refusal); code != 0 {
			s.queue.Close(code, string(refusal.Code))
			return
		}
		s.patience.Reset(s.server.opts.HelloTimeout)
		s.countBad() // nobody stays before the door for ever
		return
	}
	s.patience = nil
	s.queue.Reply(request.ID, s.welcome())
	s.queue.unbounded(s.member.Begin)
	s.greeted()
}

// closeOf is how a connection is closed whose hello was refused; 0 leaves it open for another one.
func closeOf(refusal *wire.Error) wire.CloseCode {
	switch refusal.Code {
	case wire.CodeResumeRefused:
		return 0 // the client says hello anew
	case wire.CodeUnavailable, wire.CodeRateLimited:
		return wire.CloseMoved // it comes back
	case wire.CodeInternal:
		return wire.CloseInternal
	case wire.CodeLimit:
		return wire.CloseRateLimited
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
