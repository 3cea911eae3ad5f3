package socketio

import (
	"encoding/json"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Namespace is how an application serves one namespace. What is called for one session, whatever the namespace, is
// called one after the other; a handler that waits keeps its client waiting. All may be nil.
type Namespace struct {
	// Connect is called when a client asks for the namespace. With an error it does not get in: see [Refusal]. What is
	// sent to the socket meanwhile goes out behind the answer, if it is let in, and else nowhere.
	Connect func(*Socket) error
	// Event is called with each event. answer is nil unless the client asks for an acknowledgement; then it may be called
	// once, from any goroutine, at any time; a second call does nothing.
	Event func(s *Socket, e Event, answer func(Ack))
	// Disconnect is called once for each socket that was let in, as the last of all.
	Disconnect func(*Socket, Reason)
}

// Event is an event, from or to a client. JSON and attachments that came from a client are the receiver's to keep.
type Event struct {
	Name string
	// Args are the arguments, each one value of JSON. To a client they are sent as they are, and have to be valid.
	Args []json.RawMessage
	// Attachments are the arguments' bytes; {"_placeholder":true,"num":i} stands for each in Args.
	Attachments [][]byte
}

// Ack is the answer to an event; the fields are as in [Event].
type Ack struct {
	Args        []json.RawMessage
	Attachments [][]byte
}

// Message is an event that is built once and can be sent to many sockets of one namespace. It is never changed.
type Message struct {
	packets []*outgoing
	// Most messages have no attachments: this is their one packet, and the list of it, without memory of its own.
	text outgoing
	list [1]*outgoing
}

// NewMessage builds an event for the sockets of a namespace.
func NewMessage(namespace string, e Event) *Message {
	return newMessage(Packet{Type: PacketEvent, Namespace: namespace, ID: NoAck, Name: e.Name, Args: e.Args}, e.Attachments)
}

// newMessage builds a packet with its attachments, which decide whether it is a binary one.
func newMessage(p Packet, attachments [][]byte) *Message {
	if p.Attachments = len(attachments); p.Attachments > 0 {
		switch p.Type {
		case PacketEvent:
			p.Type = PacketBinaryEvent
		case PacketAck:
			p.Type = PacketBinaryAck
		}
	}
	size := len(p.Namespace) + len(p.Name) + len(p.Data) + 32
	for _, arg := range p.Args {
		size += len(arg) + 1
	}
	m := &Message{text: makeText(EngineMessage, size, func(b []byte) []byte { return AppendPacket(b, p) })}
	m.list[0] = &m.text
	m.packets = m.list[:]
	for _, attachment := range attachments {
		m.packets = append(m.packets, newBinary(attachment))
	}
	return m
}

// connected answers a CONNECT that was granted. Protocol 4 has no ids of sockets.
func connected(s *Socket) *Message {
	p := Packet{Type: PacketConnect, Namespace: s.namespace}
	if s.client.session.version == Version4 {
		p.Data = wire.AppendString([]byte(`{"sid":`), s.id)
		if s.pid != "" {
			p.Data = wire.AppendString(append(p.Data, `,"pid":`...), s.pid)
		}
		p.Data = append(p.Data, '}')
	}
	return newMessage(p, nil)
}

// refused answers a CONNECT that was not.
func refused(v Version, namespace string, why *Refusal) *Message {
	p := Packet{Type: PacketConnectError, Namespace: namespace}
	if v == Version3 {
		p.Data = wire.AppendString(nil, why.Message)
		return newMessage(p, nil)
	}
	p.Data = wire.AppendString([]byte(`{"message":`), why.Message)
	if len(why.Data) > 0 {
		p.Data = append(append(p.Data, `,"data":`...), why.Data...)
	}
	p.Data = append(p.Data, '}')
	return newMessage(p, nil)
}
