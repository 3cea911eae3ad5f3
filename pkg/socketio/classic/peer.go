package classic

import (
	"slices"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Peer is one socket and its session. What the client says goes from the socket's handlers to the session; what the
// session says comes by Deliver, Reply, Refuse and Close, from any goroutine, and goes to the socket without a wait.
type Peer struct {
	// immutable
	namespace *namespace
	socket    *socketio.Socket

	// owned by the socket's handlers, which run one after the other
	lastID int64

	// mu is held while the socket is sent to, so that what belongs together stays together, and never while the session
	// is called: that one calls back with locks held that it may then want.
	mu      sync.Mutex
	session Session // set by begin; the handlers read it without mu
	pending []pending
	seats   map[string]*seat // by the client's name of the room; nil while there is none
	places  map[string]place // where the client was, by the cluster's name of the room, until the session is open

	closed      bool // nothing is said to the client any more
	recoverable bool // the client can come back, and is told where it is
	recovered   bool // it has come back
	aligning    bool // it is being told what it cannot be told in part
}

// pending is a request that waits for its answer.
type pending struct {
	id     int64
	event  string
	effect effect
	room   string // as the client calls it
	answer func(socketio.Ack)
}

// effect is what the answer to a request brings beside the callback.
type effect uint8

const (
	effectNone   effect = iota
	effectJoin          // joined, or full, or error
	effectLeave         // leaved
	effectSignal        // none, and a peer that is gone was sent to as well
)

// begin gives a new peer its session. It reports false when it was closed meanwhile.
func (p *Peer) begin(session Session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session = session
	return !p.closed
}

// await notes a request before it is handed on. It reports false when nobody waits for answers any more.
func (p *Peer) await(q pending) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.pending = append(p.pending, q)
	}
	return !p.closed
}

// answered gives the request that an answer is for. mu is held.
func (p *Peer) answered(id int64) (pending, bool) {
	i := slices.IndexFunc(p.pending, func(q pending) bool { return q.id == id })
	if i < 0 {
		return pending{}, false
	}
	q := p.pending[i]
	p.pending = slices.Delete(p.pending, i, i+1)
	if len(p.pending) == 0 && cap(p.pending) > 8 {
		p.pending = nil // a burst is over
	}
	return q, true
}

// Reply brings the answer to a request that was granted. It does not block.
func (p *Peer) Reply(id int64, body wire.ReplyBody) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q, ok := p.answered(id)
	if !ok {
		return
	}
	answer := granted(q.room)
	switch result := body.(type) {
	case *wire.Snapshot:
		p.joined(&q, result, &answer)
	case *wire.Done:
		if q.effect == effectLeave {
			p.left(q.room)
			answer.text("id", p.socket.ID())
		} else {
			answer.number("seq", result.Seq)
		}
	case *wire.HeadCount:
		answer.number("count", int64(result.Count))
		answer.number("capacity", int64(result.Capacity))
	case *wire.Updated:
		answer.number("seq", result.Seq)
		answer.number("version", result.Version)
	case *wire.Controlled:
		answer.number("seq", result.Seq)
		answer.number("affected", int64(result.Affected))
	case *wire.Undid:
		answer.number("seq", result.Seq)
		answer.number("of", result.Of)
	case *wire.History:
		answer.raw("history", historyOf(result))
	case *wire.ICEServers:
		answer.ice(&result.ICE)
	}
	p.grant(&q, answer)
}

// grant ends a request that was granted. mu is held.
func (p *Peer) grant(q *pending, answer object) {
	p.namespace.events.metrics.count(q.event, resultOK)
	if q.answer != nil {
		q.answer(ack(append(answer.b, '}')))
	}
}

// Refuse brings the answer to a request that failed. It does not block.
func (p *Peer) Refuse(id int64, refusal *wire.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q, ok := p.answered(id)
	if !ok {
		return
	}
	switch {
	case q.effect == effectSignal && refusal.Code == wire.CodePeerGone:
		answer := granted(q.room)
		answer.number("seq", 0)
		p.grant(&q, answer)
		return
	case q.effect == effectJoin && refusal.Code == wire.CodeRoomFull:
		p.emit(eventFull, text(q.room), text(p.socket.ID()))
	case q.effect == effectJoin:
		o := object{b: []byte{'{'}}
		o.text("code", string(refusal.Code))
		o.text("message", inOwnWords(refusal.Message, q.room))
		o.text("room", q.room)
		p.emit(eventError, append(o.b, '}'))
	case q.effect == effectLeave && refusal.Code == wire.CodeNotMember && p.seats[q.room] != nil:
		p.left(q.room) // the seat was lost unnoticed: the page must not think that it has one
	}
	p.refuse(&q, refusal)
}

// refuse ends a request that was refused. mu is held.
func (p *Peer) refuse(q *pending, refusal *wire.Error) {
	p.namespace.events.metrics.count(q.event, string(refusal.Code))
	if q.answer != nil {
		q.answer(ack(refused(refusal, inOwnWords(refusal.Message, q.room))))
	}
}

// Close ends the socket after what was said before. With a final code its namespace is left, after which clients do not
// come back by themselves; with another one its whole session ends, after which they do. So does a client whose session
// was taken over: it has come by two connections, and this may be the one that it has. Requests that are under way are
// answered first, as their answers could not be told any more.
func (p *Peer) Close(code wire.CloseCode, reason string) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	for i := range p.pending {
		p.refuse(&p.pending[i], wire.Errorf(wire.CodeUnavailable, "the session has ended: %s", reason))
	}
	comesBack := code.Retryable() || code == wire.CloseTakenOver
	if !comesBack {
		o := object{b: []byte{'{'}}
		o.text("code", code.String())
		o.text("message", reason)
		p.emit(eventError, append(o.b, '}'))
	}
	p.closed = true
	p.pending, p.seats = nil, nil
	session := p.session
	p.mu.Unlock()
	if comesBack {
		p.socket.Session().Close()
	} else {
		p.socket.Disconnect(false)
	}
	if session != nil {
		session.End(false) // a socket that was not let in yet hears of no disconnect
	}
}

// emit sends an event to this client alone. mu is held.
func (p *Peer) emit(name string, args ...[]byte) {
	e := socketio.Event{Name: name}
	for _, arg := range args {
		e.Args = append(e.Args, arg)
	}
	e.Args = append(e.Args, p.behind()...)
	p.socket.Emit(e)
}
