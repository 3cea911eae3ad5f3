package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// centrifugoDriver speaks the JSON protocol of Centrifugo's bidirectional clients. A room is a channel of the namespace
// "room"; what is for one peer alone goes through a channel of its own in the namespace "peer".
type centrifugoDriver struct {
	direct bool // peers listen on channels of their own
}

type centrifugoPeer struct {
	*socket
	*waiter
	events Events
	id     string
	pong   bool // the server wants an answer to its pings
}

// centrifugoReply is what is read of replies and of pushes that bear no message.
type centrifugoReply struct {
	ID    int64 `json:"id"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Connect struct {
		Client string `json:"client"`
		Pong   bool   `json:"pong"`
	} `json:"connect"`
	Push struct {
		Channel string `json:"channel"`
		Join    *struct {
			Info struct {
				Client string `json:"client"`
			} `json:"info"`
		} `json:"join"`
	} `json:"push"`
}

func (r *centrifugoReply) err(request string) error {
	if r.Error == nil {
		return nil
	}
	return &RefusedError{Request: request, Answer: fmt.Sprint(r.Error.Code, " ", r.Error.Message)}
}

func (*centrifugoDriver) Close() error { return nil }

func (d *centrifugoDriver) Connect(ctx context.Context, to Endpoint, events Events) (Peer, error) {
	s, err := open(ctx, to, "/connection/websocket", "")
	if err != nil {
		return nil, err
	}
	p := &centrifugoPeer{socket: s, waiter: newWaiter(), events: events}
	if err := p.connect(ctx, d.direct); err != nil {
		s.cut()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return p, nil
}

func (p *centrifugoPeer) connect(ctx context.Context, direct bool) error {
	if err := p.send(opText, []byte(`{"id":1,"connect":{"name":"loadtest"}}`)); err != nil {
		return err
	}
	p.last = 1
	text, err := p.next()
	if err != nil {
		return err
	}
	var reply centrifugoReply
	if err := json.Unmarshal(text, &reply); err != nil {
		return err
	}
	if err := reply.err("connect"); err != nil {
		return err
	}
	p.id, p.pong = reply.Connect.Client, reply.Connect.Pong
	go p.read() // until the connection ends
	if !direct {
		return nil
	}
	return p.request(ctx, "subscribe", "peer:"+p.id)
}

// request sends a command about a channel and waits for its reply.
func (p *centrifugoPeer) request(ctx context.Context, command, channel string) error {
	text, err := p.ask(ctx, p.socket, command, func(b []byte, number int64) []byte {
		return append(appendCommand(b, number, command, channel), `}}`...)
	})
	if err != nil {
		return err
	}
	var reply centrifugoReply
	if err := json.Unmarshal(text, &reply); err != nil {
		return err
	}
	return reply.err(command)
}

// appendCommand begins a command about a channel.
func appendCommand(b []byte, number int64, command, channel string) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), number, 10)
	b = append(append(append(b, `,"`...), command...), `":{"channel":"`...)
	return append(append(b, channel...), '"')
}

func (p *centrifugoPeer) ID() string { return p.id }

func (p *centrifugoPeer) Join(ctx context.Context, room string) error {
	return p.request(ctx, "subscribe", "room:"+room)
}

func (p *centrifugoPeer) Leave(ctx context.Context, room string) error {
	return p.request(ctx, "unsubscribe", "room:"+room)
}

func (p *centrifugoPeer) Send(_, to string, payload []byte) error {
	return p.publish("peer:"+to, payload)
}

func (p *centrifugoPeer) Broadcast(room string, payload []byte) error {
	return p.publish("room:"+room, payload)
}

func (p *centrifugoPeer) publish(channel string, payload []byte) error {
	b := p.socket.begin()
	b = append(appendCommand(b, p.number(), "publish", channel), `,"data":`...)
	return p.write(append(append(b, payload...), `}}`...))
}

func (p *centrifugoPeer) Close() error { return p.socket.close(1000) }

func (p *centrifugoPeer) Cut() { p.cut() }

func (p *centrifugoPeer) read() {
	for {
		text, err := p.next()
		for err == nil && len(text) > 0 {
			// A frame can hold several replies, one a line.
			var line []byte
			line, text, _ = bytes.Cut(text, []byte{'\n'})
			err = p.take(line)
		}
		if err != nil {
			p.lost(p.socket, p.events, err)
			return
		}
	}
}

var (
	centrifugoPing  = []byte(`{}`)
	centrifugoID    = []byte(`{"id":`)
	centrifugoError = []byte(`,"error"`)
)

func (p *centrifugoPeer) take(line []byte) error {
	if bytes.Equal(line, centrifugoPing) {
		if p.pong {
			return p.send(opText, centrifugoPing)
		}
		return nil
	}
	if rest, ok := bytes.CutPrefix(line, centrifugoID); ok {
		number, rest := leadingNumber(rest)
		if !p.answered(number, line) && bytes.HasPrefix(rest, centrifugoError) {
			p.events.Refused(&RefusedError{Request: "message", Answer: string(line)})
		}
		return nil
	}
	if stamp, ok := StampIn(line); ok {
		p.events.Message(Message{Stamp: stamp})
		return nil
	}
	var push centrifugoReply
	if err := json.Unmarshal(line, &push); err != nil {
		p.events.Refused(fmt.Errorf("a push of another form: %.80s", line))
		return nil
	}
	if join := push.Push.Join; join != nil && join.Info.Client != p.id {
		p.events.Arrived(strings.TrimPrefix(push.Push.Channel, "room:"), join.Info.Client)
	}
	return nil
}
