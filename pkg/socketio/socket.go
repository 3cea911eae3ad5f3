package socketio

import (
	"encoding/json"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Socket is a client in one namespace. Its methods may be called from any goroutine and do not block.
type Socket struct {
	// Data is the application's own, to be set in Connect.
	Data any

	// immutable
	client    *client
	namespace string
	handlers  Namespace
	id        string // but for Recover, before the socket is let in
	pid       string // likewise, but for Recoverable
	auth      json.RawMessage
	query     url.Values

	mu      sync.Mutex
	state   socketState
	held    []*Message // sent while connecting
	nextAck int64
	acks    map[int64]*pendingAck
}

type socketState int

const (
	socketConnecting socketState = iota
	socketConnected
	socketGone
)

// pendingAck is an event of ours that a client has not acknowledged yet.
type pendingAck struct {
	answered func(Ack, error)
	timer    *time.Timer // nil without a time-out
}

// begin completes a socket that is about to be let in. Its id is the one that the client knows: in protocol 4 it is made
// of the session's.
func (s *Socket) begin(c *client, namespace Namespace) {
	s.client, s.handlers = c, namespace
	switch {
	case c.session.version == Version4:
		s.id = newID()
	case s.namespace == rootNamespace:
		s.id = c.session.id
	default:
		s.id = s.namespace + "#" + c.session.id
	}
}

// ID is what the client has as socket.id.
func (s *Socket) ID() string { return s.id }

// Recoverable has a client of protocol 5 be told, in the answer to its CONNECT, that it can come back by pid: it sends
// {"pid": pid, "offset": …} with its next CONNECT then, in one object with its auth. The offset is the last argument of the
// last event that it has handled, if that was a text. A client that is told the pid that it has sent has recovered. It is
// for Connect alone.
func (s *Socket) Recoverable(pid string) { s.pid = pid }

// Recover has a client of protocol 5 have an id that it has had before. It is for Connect alone, and to be called before
// anything else knows of the socket.
func (s *Socket) Recover(id string) { s.id = id }

// Fits reports whether the socket can be sent this much at once, beside as much again that comes meanwhile: with more, the
// client would be taken for one that is too slow.
func (s *Socket) Fits(packets, bytes int) bool {
	opts := s.client.options()
	return packets <= opts.QueuePackets/2 && bytes <= opts.QueueBytes/2
}

// Namespace names the namespace, "/" the root.
func (s *Socket) Namespace() string { return s.namespace }

// Session is the session that the socket is on.
func (s *Socket) Session() *Session { return s.client.session }

// Auth is the object that a client of protocol 5 has sent with its CONNECT, nil if none.
func (s *Socket) Auth() json.RawMessage { return s.auth }

// Query is what a client of protocol 4 has put behind the namespace's name. The handshake's is in Session.
func (s *Socket) Query() url.Values { return s.query }

// Emit sends an event.
func (s *Socket) Emit(e Event) { s.Send(NewMessage(s.namespace, e)) }

// Send sends an event that was built for the socket's namespace.
func (s *Socket) Send(m *Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(m)
}

// send is called with mu held, so that nothing follows a DISCONNECT.
func (s *Socket) send(m *Message) {
	switch s.state {
	case socketConnected:
		s.client.session.send(m.packets...)
	case socketConnecting:
		if len(s.held) < s.client.options().QueuePackets {
			s.held = append(s.held, m)
		} else {
			s.client.session.overflow()
		}
	}
}

// EmitWithAck sends an event and calls answered, once, with what the client answers, or with [ErrAckTimeout] after
// timeout (0 for none), [ErrTooManyAcks] or [ErrDisconnected]. It is called as a handler of the session is.
func (s *Socket) EmitWithAck(e Event, timeout time.Duration, answered func(Ack, error)) {
	if err := s.emitWithAck(e, timeout, answered); err != nil {
		s.client.session.run(func() { answered(Ack{}, err) })
	}
}

func (s *Socket) emitWithAck(e Event, timeout time.Duration, answered func(Ack, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == socketGone:
		return ErrDisconnected
	case len(s.acks) >= s.client.options().PendingAcks:
		return ErrTooManyAcks
	case s.acks == nil:
		s.acks = make(map[int64]*pendingAck)
	}
	id := s.nextAck
	s.nextAck++
	pending := &pendingAck{answered: answered}
	if timeout > 0 {
		pending.timer = time.AfterFunc(timeout, func() {
			s.client.session.run(func() { s.settle(id, Ack{}, ErrAckTimeout) })
		})
	}
	s.acks[id] = pending
	s.send(newMessage(Packet{Type: PacketEvent, Namespace: s.namespace, ID: id, Name: e.Name, Args: e.Args}, e.Attachments))
	return nil
}

// Disconnect puts the socket out of its namespace, and with closeSession ends the client's session, all namespaces
// included, after what was sent before.
func (s *Socket) Disconnect(closeSession bool) {
	s.mu.Lock()
	was := s.state
	s.send(newMessage(Packet{Type: PacketDisconnect, Namespace: s.namespace}, nil))
	s.state, s.held = socketGone, nil
	s.mu.Unlock()
	if was == socketConnected {
		s.client.session.run(func() { s.client.leave(s, ReasonServerDisconnect) })
	}
	if closeSession {
		s.client.session.Close()
	}
}

// admit answers the CONNECT and sends what was held back. It reports false when Disconnect was called meanwhile.
func (s *Socket) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != socketConnecting {
		return false
	}
	s.state = socketConnected
	s.send(connected(s))
	for _, m := range s.held {
		s.send(m)
	}
	s.held = nil
	return true
}

// end makes sure that nothing more is sent, and that nobody waits for acknowledgements. The session's handling is held.
func (s *Socket) end() {
	s.mu.Lock()
	s.state, s.held = socketGone, nil
	acks := s.acks
	s.acks = nil
	s.mu.Unlock()
	for _, pending := range acks {
		s.client.session.guard(func() { pending.settle(Ack{}, ErrDisconnected) })
	}
}

// event hands an event to the application.
func (s *Socket) event(p Packet, attachments [][]byte) {
	if s.handlers.Event == nil {
		return
	}
	var answer func(Ack)
	if p.ID != NoAck {
		answer = s.answerTo(p.ID)
	}
	s.handlers.Event(s, Event{Name: p.Name, Args: p.Args, Attachments: attachments}, answer)
}

// answerTo makes the function that answers an event.
func (s *Socket) answerTo(id int64) func(Ack) {
	var done atomic.Bool
	return func(a Ack) {
		if !done.Swap(true) {
			s.Send(newMessage(Packet{Type: PacketAck, Namespace: s.namespace, ID: id, Args: a.Args}, a.Attachments))
		}
	}
}

// settle ends the wait for an acknowledgement, if there is one. The session's handling is held.
func (s *Socket) settle(id int64, a Ack, err error) {
	s.mu.Lock()
	pending := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	if pending != nil {
		pending.settle(a, err)
	}
}

func (p *pendingAck) settle(a Ack, err error) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.answered(a, err)
}
