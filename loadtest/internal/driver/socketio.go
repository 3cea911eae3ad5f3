package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// socketIODriver speaks Engine.IO 4 and Socket.IO 5, as clients of 3.x and 4.x do, over WebSocket from the start. The
// events are those of stock pages (docs/classic.md).
type socketIODriver struct {
	namespace string // "" is the root
}

// namespaceOf is where a server has rooms of that kind.
func namespaceOf(opts Options) string {
	if opts.Chat {
		return "/chat"
	}
	return ""
}

// socketIOPackets is what both transports have in common: the packets.
type socketIOPackets struct {
	*waiter
	events Events
	prefix string // what stands between a packet's type and its content: the namespace and a comma
	id     string
}

type socketIOPeer struct {
	*socket
	socketIOPackets
}

func newPackets(namespace string, events Events) socketIOPackets {
	p := socketIOPackets{waiter: newWaiter(), events: events}
	if namespace != "" {
		p.prefix = namespace + ","
	}
	return p
}

func (*socketIODriver) Close() error { return nil }

func (d *socketIODriver) Connect(ctx context.Context, to Endpoint, events Events) (Peer, error) {
	s, err := open(ctx, to, "/socket.io/?EIO=4&transport=websocket", "")
	if err != nil {
		return nil, err
	}
	p := &socketIOPeer{socket: s, socketIOPackets: newPackets(d.namespace, events)}
	if err := p.connect(); err != nil {
		s.cut()
		return nil, fmt.Errorf("connect: %w", err)
	}
	go p.read() // until the connection ends
	return p, nil
}

// connect waits for the handshake's packet and asks for the namespace.
func (p *socketIOPeer) connect() error {
	text, err := p.next()
	if err != nil {
		return err
	}
	if len(text) == 0 || text[0] != '0' {
		return fmt.Errorf("not a handshake: %.80s", text)
	}
	if err := p.send(opText, []byte("40"+p.prefix)); err != nil {
		return err
	}
	for {
		text, err := p.next()
		if err != nil {
			return err
		}
		if done, err := p.connected(text); done || err != nil {
			return err
		}
	}
}

// connected reads the answer to the request for a namespace, and reports whether a packet is it.
func (p *socketIOPackets) connected(packet []byte) (bool, error) {
	rest, ok := bytes.CutPrefix(packet, []byte("40"+p.prefix))
	if !ok {
		if bytes.HasPrefix(packet, []byte("44")) {
			return true, &RefusedError{Request: "connect", Answer: string(packet)}
		}
		return false, nil
	}
	var answer struct {
		SID string `json:"sid"`
	}
	err := json.Unmarshal(rest, &answer)
	p.id = answer.SID
	return true, err
}

func (p *socketIOPackets) ID() string { return p.id }

// appendEvent begins an event of a room; number is that of its acknowledgement, 0 for none.
func (p *socketIOPackets) appendEvent(b []byte, number int64, name, room string) []byte {
	b = append(append(b, "42"...), p.prefix...)
	if number > 0 {
		b = strconv.AppendInt(b, number, 10)
	}
	b = append(append(append(b, `["`...), name...), `","`...)
	return append(append(b, room...), '"')
}

// acknowledged reads what a server's application has answered.
func acknowledged(request string, text []byte) error {
	var answers []struct {
		OK    bool `json:"ok"`
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &answers); err != nil {
		return err
	}
	switch {
	case len(answers) == 1 && answers[0].OK:
		return nil
	case len(answers) == 1 && answers[0].Error.Code == "room_full":
		return ErrFull
	}
	return &RefusedError{Request: request, Answer: string(text)}
}

// request sends an event and waits for its acknowledgement.
func (p *socketIOPeer) request(ctx context.Context, name, room string) error {
	text, err := p.ask(ctx, p.socket, name, func(b []byte, number int64) []byte {
		return append(p.appendEvent(b, number, name, room), ']')
	})
	if err != nil {
		return err
	}
	return acknowledged(name, text)
}

func (p *socketIOPeer) Join(ctx context.Context, room string) error {
	return p.request(ctx, "join", room)
}

func (p *socketIOPeer) Leave(ctx context.Context, room string) error {
	return p.request(ctx, "leave", room)
}

// Send needs no address: a call's room has one other member.
func (p *socketIOPeer) Send(room, _ string, payload []byte) error { return p.Broadcast(room, payload) }

func (p *socketIOPeer) Broadcast(room string, payload []byte) error {
	b := append(p.appendEvent(p.socket.begin(), 0, "message", room), ',')
	return p.write(append(append(b, payload...), ']'))
}

func (p *socketIOPeer) Close() error {
	p.closed.Store(true)
	if err := p.send(opText, []byte("41"+p.prefix)); err != nil {
		return err
	}
	return p.socket.close(1000)
}

func (p *socketIOPeer) Cut() { p.cut() }

var socketIOPong = []byte("3")

func (p *socketIOPeer) read() {
	for {
		text, err := p.next()
		if err == nil {
			var ping bool
			if ping, err = p.take(text); ping {
				err = p.send(opText, socketIOPong)
			}
		}
		if err != nil {
			p.lost(p.socket, p.events, err)
			return
		}
	}
}

var (
	socketIOEvent     = []byte("42")
	socketIOAck       = []byte("43")
	socketIOOtherJoin = []byte(`["otherjoin",`)
	socketIOMessage   = []byte(`["message",`)
	socketIOError     = []byte(`["error",`)
)

// take looks at one packet of Engine.IO, and reports whether it is a ping.
func (p *socketIOPackets) take(packet []byte) (ping bool, err error) {
	if len(packet) == 1 {
		switch packet[0] {
		case '1':
			return false, errEnded
		case '2':
			return true, nil
		}
		return false, nil
	}
	if rest, ok := bytes.CutPrefix(packet, socketIOAck); ok {
		number, rest := leadingNumber(bytes.TrimPrefix(rest, []byte(p.prefix)))
		p.answered(number, rest)
		return false, nil
	}
	rest, ok := bytes.CutPrefix(packet, socketIOEvent)
	if !ok {
		if bytes.HasPrefix(packet, []byte("41")) {
			return false, errEnded
		}
		return false, nil
	}
	rest = bytes.TrimPrefix(rest, []byte(p.prefix))
	switch {
	case bytes.HasPrefix(rest, socketIOMessage):
		if stamp, ok := StampIn(rest); ok {
			p.events.Message(Message{Stamp: stamp})
		} else {
			p.events.Refused(fmt.Errorf("a message of nobody: %.80s", rest))
		}
	case bytes.HasPrefix(rest, socketIOOtherJoin):
		var names []string
		if err := json.Unmarshal(rest, &names); err != nil || len(names) < 3 {
			p.events.Refused(fmt.Errorf("an event of another form: %.80s", rest))
			return false, nil
		}
		p.events.Arrived(names[1], names[2])
	case bytes.HasPrefix(rest, socketIOError):
		p.events.Refused(&RefusedError{Request: "event", Answer: string(rest)})
	}
	return false, nil
}
