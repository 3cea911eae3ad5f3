package session

import (
	"context"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Attached is a session on a transport that calls, where a [Conn] is read from. It has no goroutine of its own.
type Attached struct {
	core
	started      time.Time
	gate         gate
	token        string      // with which the client has come back, or can
	stopWatching func() bool // stops the watch over the context
	ended        sync.Once
	dispatching  bool // a request is being handed on, which must not happen beside the end; guarded by the core's mu
}

// gate stands before a transport's sink: it closes it once, and keeps its faults from others.
type gate struct {
	sink   Sink
	core   *core
	closed wire.CloseCode // how the session was closed by us, 0 if it was not; guarded by the core's mu
}

var _ Sink = (*gate)(nil)

// Attach opens a session that has said hello, for a transport that calls. A refusal is a [wire.Error]. What the session
// says goes to sink, which may be called before Attach has returned. When ctx ends, the client is told to move to
// another gateway. A session that was opened must be ended, also after its sink was closed.
//
// For a sink that is a [Returner], a resume token stands beside what says who the client is: the earlier session goes on if
// it can, for which Attach waits for the store, and else a new one begins.
func (s *Server) Attach(ctx context.Context, hello *wire.Hello, sink Sink, client Client) (*Attached, error) {
	a := &Attached{started: time.Now()}
	a.gate = gate{sink: sink, core: &a.core}
	a.begin(s, client, &a.gate)
	a.traceConnect(ctx)
	s.metrics.connections.WithLabelValues(client.Transport).Inc()
	s.metrics.requests.byType[wire.TypeHello].Inc()
	if refusal, code := a.hello(hello); refusal != nil { //nolint:contextcheck // what it asks of the store outlives it
		s.metrics.refused.WithLabelValues(string(refusal.Code)).Inc()
		s.ended(client.Transport, a.started, cause{word: code.String(), initiator: "server"})
		return nil, refusal
	}
	a.stopWatching = context.AfterFunc(ctx, func() { a.gate.Close(wire.CloseMoved, movedReason) })
	return a, nil
}

// hello opens the session. With a refusal comes the code that a connection would be closed with.
func (a *Attached) hello(hello *wire.Hello) (refusal *wire.Error, code wire.CloseCode) {
	defer func() {
		if fault := recover(); fault != nil {
			a.release()
			if a.member != nil {
				a.abandon()
			}
			a.uncount()
			a.failed(fault)
			refusal, code = wire.Errorf(wire.CodeInternal, "internal error"), wire.CloseInternal
		}
	}()
	if sink, ok := a.gate.sink.(Returner); ok {
		refusal = a.enterBy(hello, func(hello *wire.Hello) error { return a.returns(hello, sink) })
	} else {
		refusal = a.enter(hello)
	}
	if refusal == nil {
		a.member.Begin()
	}
	return refusal, wire.CloseUnauthorized
}

// ID is the session's public id, and its peer id in every room: that of an earlier session which goes on.
func (a *Attached) ID() string { return a.client.ID }

// Handle takes one request; its id must be higher than those before on this connection, and its memory is not kept. It is called from one
// goroutine at a time, Invalid included, and may keep it: so a client is held to its rate and to its requests in flight.
// The end of the session or of its context releases it. After that it does nothing.
func (a *Attached) Handle(request wire.Request) {
	defer a.contain()
	if a.released() || !a.admit() {
		return
	}
	a.server.metrics.requests.byType[request.Body.Type()].Inc()
	if a.rises(request.ID) && a.dispatches() {
		defer a.dispatched()
		a.dispatch(request)
	}
}

// dispatches and dispatched bracket what the end waits for. There is nothing to bracket when the session is over.
func (a *Attached) dispatches() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dispatching = !a.over
	return a.dispatching
}

func (a *Attached) dispatched() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dispatching = false
	a.changed.Broadcast()
}

// contain is deferred: a panic closes the session, and goes no further.
func (a *Attached) contain() {
	if fault := recover(); fault != nil {
		a.failed(fault)
		a.gate.Close(wire.CloseInternal, internalReason)
	}
}

// Invalid takes a message that was not valid. It is refused if its id could be read, and is above 0; too many of them
// close the session.
func (a *Attached) Invalid(id int64, refusal *wire.Error) {
	if a.released() {
		return
	}
	if id > 0 {
		a.refuseMessage(id, refusal)
		return
	}
	a.server.metrics.requests.invalid.Inc()
	a.countBad()
}

// End gives up the seats. left tells whether the client meant to go, or was lost. Nothing is delivered after it has
// returned. Only the first call counts; it may come from any goroutine, but from none of the sink's other methods than
// Close.
func (a *Attached) End(left bool) {
	a.ended.Do(func() {
		a.release()
		a.stopWatching()
		end := cause{word: "lost", initiator: "network"}
		switch code := a.settle(); {
		case code != 0:
			end = cause{word: code.String(), initiator: "server", final: final(code)}
		case left:
			end = cause{word: "normal", initiator: "client", left: true}
		}
		a.finish(end)
		a.server.ended(a.client.Transport, a.started, end)
	})
}

// settle waits for a request that is being handed on, and tells how the session was closed by us; 0 if it was not.
func (a *Attached) settle() wire.CloseCode {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.dispatching {
		a.changed.Wait()
	}
	return a.gate.closed
}

// Deliver implements [Sink].
func (g *gate) Deliver(frame *wire.Frame) {
	defer g.contain()
	g.sink.Deliver(frame)
}

// Reply implements [Sink].
func (g *gate) Reply(id int64, body wire.ReplyBody) {
	defer g.contain()
	g.sink.Reply(id, body)
}

// Refuse implements [Sink].
func (g *gate) Refuse(id int64, refusal *wire.Error) {
	defer g.contain()
	g.sink.Refuse(id, refusal)
}

// Close implements [Sink]. It does nothing when the session is over already.
func (g *gate) Close(code wire.CloseCode, reason string) {
	defer g.contain()
	c := g.core
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over, g.closed = true, code
	c.changed.Broadcast()
	c.mu.Unlock()
	g.sink.Close(code, reason)
}

// contain is deferred: a panic of the sink would end the process, on a goroutine that serves many sessions. What is
// closed because of it may end at once, which takes the locks that are held here: so it has a goroutine to itself.
func (g *gate) contain() {
	if fault := recover(); fault != nil {
		g.core.failed(fault)
		go g.Close(wire.CloseInternal, internalReason)
	}
}
