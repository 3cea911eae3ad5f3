package classic

import (
	"encoding/json"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// facts are what a frame says, read once for all its receivers.
type facts struct {
	event *wire.Event // nil if it cannot be read
	room  string      // as classic clients call it; "" for an event of no room
	text  json.RawMessage
}

// factsKey is the key of a frame's facts.
type factsKey struct{}

func (p *Peer) factsOf(frame *wire.Frame) *facts {
	return frame.Derived(factsKey{}, func() any {
		_, event, err := wire.DecodeServer(frame.Text())
		if err != nil || event == nil {
			p.namespace.events.opts.Logger.Error("an event cannot be read", "kind", string(frame.Kind()), "error", err)
			return &facts{}
		}
		return &facts{event: event, room: classicRoom(event.Room), text: frame.Text()}
	}).(*facts)
}

// Deliver tells the client of an event. It does not block.
func (p *Peer) Deliver(frame *wire.Frame) {
	f := p.factsOf(frame)
	if f.event == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	how := &p.namespace.plain
	if f.room != "" {
		s := p.seats[f.room]
		if s != nil && s.waits {
			if !p.waited(f) {
				return
			}
		} else if s == nil || !p.take(f, s) {
			return // before joined and after leaved nothing of a room is told
		}
		if p.namespace.profile.SenderID && s.capacity > 2 {
			how = &p.namespace.signed
		}
	}
	p.tell(frame, f, how)
	if f.room == "" {
		p.tellServers(f)
	}
	if frame.Watched() {
		frame.Written(p.socket.ID()) // as far as can be told: a client that polls fetches it when it does
	}
	if _, closed := f.event.Body.(*wire.Closed); closed && f.room != "" {
		p.left(f.room)
	}
}

// tellServers has pages that look for no native events hear of ICE servers, too. mu is held.
func (p *Peer) tellServers(f *facts) {
	if servers, ok := f.event.Body.(*wire.ICE); ok {
		o := object{b: []byte{'{'}}
		o.ice(servers)
		p.emit(eventICE, append(o.b, '}'))
	}
}

// tell puts an event to the client. What is put in the same way to many is made once. mu is held.
func (p *Peer) tell(frame *wire.Frame, f *facts, how *variant) {
	if !p.recoverable {
		p.socket.Send(frame.Derived(how, func() any { return how.put(f) }).(*socketio.Message))
		return
	}
	s := p.seats[f.room]
	if s == nil || len(p.seats) > 1 || s.place.since > s.place.seq {
		p.socket.Send(how.put(f, p.behind()...))
		return
	}
	// Who is in this room alone has the same offset as all others who are.
	p.socket.Send(frame.Derived(&how.placed, func() any { return how.put(f, p.behind()...) }).(*socketio.Message))
}

// behind gives what is behind the arguments of an event that is put to this client alone. mu is held.
func (p *Peer) behind() []json.RawMessage {
	if !p.recoverable {
		return nil
	}
	return []json.RawMessage{text(p.offset())}
}

// take notes in a seat what an event changes, and reports whether the client is to hear of it. mu is held.
func (p *Peer) take(f *facts, s *seat) bool {
	seq := f.event.Seq
	if seq > 0 { // else it is the gateway's own word, which changes nothing of what the client has heard
		s.place.seq = seq
	}
	known, noted := seq <= s.place.since, seq <= s.replay
	switch body := f.event.Body.(type) {
	case *wire.JoinedPeer:
		return !known && (noted || p.arrived(s, body.Peer.ID))
	case *wire.LeftPeer:
		return !known && (noted || s.gone(body.Peer))
	case *wire.RoomChanged:
		if body.Capacity != nil && !known {
			s.capacity = *body.Capacity
		}
	case *wire.Resync:
		p.align(f.room, s, &body.Snapshot)
	}
	return true
}

// variant is one way to put events to clients. Its address is the key of what is put so.
type variant struct {
	namespace string
	kind      Kind
	signed    bool // messages have their sender behind the data
	placed    byte // its address is the key of what has an offset, too
}

// put makes of an event what clients get to see. behind are the arguments behind all others.
func (v *variant) put(f *facts, behind ...json.RawMessage) *socketio.Message {
	if f.room == "" {
		return v.event(eventControl, behind, json.RawMessage("null"), f.text)
	}
	room := text(f.room)
	switch body := f.event.Body.(type) {
	case *wire.Signaled:
		return v.message(behind, room, body.From, body.Data, nil)
	case *wire.Message:
		if body.Topic == topicBinary {
			if data, attachments, ok := unpackBinary(body.Data); ok {
				return v.message(behind, room, body.From, data, attachments)
			}
		}
		return v.message(behind, room, body.From, body.Data, nil)
	case *wire.JoinedPeer:
		if v.kind == Call {
			return v.event(eventOtherJoin, behind, room, text(body.Peer.ID))
		}
	case *wire.LeftPeer:
		return v.event(eventBye, behind, room, text(body.Peer))
	}
	if f.room == f.event.Room {
		return v.event(eventControl, behind, room, f.text)
	}
	return v.event(eventControl, behind, room, withRoom(f.text, f.room))
}

func (v *variant) message(behind []json.RawMessage, room json.RawMessage, from string, data json.RawMessage, attachments [][]byte) *socketio.Message {
	args := []json.RawMessage{room, data}
	switch {
	case v.kind == Chat:
		args = []json.RawMessage{room, text(from), data}
	case v.signed:
		args = append(args, text(from))
	}
	return socketio.NewMessage(v.namespace, socketio.Event{Name: eventMessage, Args: append(args, behind...), Attachments: attachments})
}

func (v *variant) event(name string, behind []json.RawMessage, args ...json.RawMessage) *socketio.Message {
	return socketio.NewMessage(v.namespace, socketio.Event{Name: name, Args: append(args, behind...)})
}
