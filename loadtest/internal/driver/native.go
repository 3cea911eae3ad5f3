package driver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
)

// nativeDriver speaks Signalbox's own protocol, version 1 (docs/protocol.md).
type nativeDriver struct{}

type nativePeer struct {
	*socket
	*waiter
	events Events
	id     string

	resumed bool          // set before the first event
	gone    chan struct{} // closed when the reader has ended

	resumeMu sync.Mutex
	token    string               // guarded by resumeMu
	attempt  int                  // guarded by resumeMu
	rooms    map[string]nativePos // guarded by resumeMu
}

// nativePos is how far a peer has seen a room.
type nativePos struct {
	Epoch string `json:"epoch"`
	Seq   int64  `json:"seq"`
}

var _ Resumer = (*nativePeer)(nil)

// welcome is what is read of the reply to hello, and of that to join.
type welcome struct {
	OK struct {
		Session string `json:"session"`
		Resume  string `json:"resume"`
		Self    string `json:"self"`
		Epoch   string `json:"epoch"`
		Seq     int64  `json:"seq"`
		Rooms   map[string]struct {
			Result string `json:"result"`
		} `json:"rooms"`
	} `json:"ok"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func (*nativeDriver) Close() error { return nil }

func (*nativeDriver) Connect(ctx context.Context, to Endpoint, events Events) (Peer, error) {
	p := &nativePeer{
		waiter: newWaiter(), events: events, gone: make(chan struct{}), attempt: 1, rooms: map[string]nativePos{},
	}
	hello := fmt.Sprintf(`"app":%q,"resumable":true,"client":"loadtest","attempt":1`, cmp.Or(to.App, "demo"))
	if _, err := p.connect(ctx, to, hello); err != nil {
		return nil, err
	}
	return p, nil
}

// connect opens a connection, says hello on it, and reads on in a goroutine.
func (p *nativePeer) connect(ctx context.Context, to Endpoint, hello string) (*welcome, error) {
	s, err := open(ctx, to, "/v1/connect", "signalbox.v1")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*welcome, error) {
		s.cut()
		return nil, fmt.Errorf("hello: %w", err)
	}
	b := strconv.AppendInt(append(s.begin(), `{"id":`...), p.number(), 10)
	if err := s.write(append(append(append(b, `,"type":"hello",`...), hello...), '}')); err != nil {
		return fail(err)
	}
	text, err := s.next()
	if err != nil {
		return fail(err)
	}
	reply := new(welcome)
	if err := json.Unmarshal(text, reply); err != nil {
		return fail(err)
	}
	if reply.Error != nil {
		return fail(errors.New(reply.Error.Code))
	}
	p.socket, p.id = s, reply.OK.Session
	p.resumeMu.Lock()
	p.token = reply.OK.Resume
	p.resumeMu.Unlock()
	go p.read() // until the connection ends
	return reply, nil
}

// Resume goes on with the session on another connection.
func (p *nativePeer) Resume(ctx context.Context, to Endpoint) (Peer, error) {
	<-p.gone // what has come until then is seen
	p.resumeMu.Lock()
	p.attempt++
	rooms, err := json.Marshal(p.rooms)
	hello := fmt.Sprintf(`"resume":%q,"attempt":%d,"rooms":%s`, p.token, p.attempt, rooms)
	next := &nativePeer{
		waiter: newWaiter(), events: p.events, gone: make(chan struct{}), resumed: true,
		attempt: p.attempt, token: p.token, rooms: maps.Clone(p.rooms),
	}
	p.resumeMu.Unlock()
	if err != nil {
		return nil, err
	}
	p.waiter.mu.Lock()
	next.last = p.last // requests of a session rise over all its connections
	p.waiter.mu.Unlock()
	reply, err := next.connect(ctx, to, hello)
	if err != nil {
		return nil, err
	}
	for room, resumed := range reply.OK.Rooms {
		if resumed.Result != "replayed" {
			next.Cut()
			return nil, &RefusedError{Request: "resume", Answer: room + " " + resumed.Result}
		}
	}
	return next, nil
}

func (p *nativePeer) ID() string { return p.id }

// request sends a request and waits for its reply.
func (p *nativePeer) request(ctx context.Context, kind, room string) (*welcome, error) {
	text, err := p.ask(ctx, p.socket, kind, func(b []byte, number int64) []byte {
		return append(appendHead(b, number, kind, room), '}')
	})
	if err != nil {
		return nil, err
	}
	reply := new(welcome)
	if err := json.Unmarshal(text, reply); err != nil {
		return nil, err
	}
	if reply.Error != nil {
		if reply.Error.Code == "room_full" {
			return nil, ErrFull
		}
		return nil, &RefusedError{Request: kind, Answer: reply.Error.Code + ": " + reply.Error.Message}
	}
	return reply, nil
}

// appendHead begins a request of a room.
func appendHead(b []byte, number int64, kind, room string) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), number, 10)
	b = append(append(b, `,"type":"`...), kind...)
	return append(append(append(b, `","room":"`...), room...), '"')
}

func (p *nativePeer) Join(ctx context.Context, room string) error {
	reply, err := p.request(ctx, "join", room)
	if err != nil {
		return err
	}
	p.resumeMu.Lock()
	p.rooms[room] = nativePos{Epoch: reply.OK.Epoch, Seq: reply.OK.Seq}
	p.resumeMu.Unlock()
	return nil
}

func (p *nativePeer) Leave(ctx context.Context, room string) error {
	p.resumeMu.Lock()
	delete(p.rooms, room)
	p.resumeMu.Unlock()
	_, err := p.request(ctx, "leave", room)
	return err
}

func (p *nativePeer) Send(room, to string, payload []byte) error {
	b := p.socket.begin()
	b = append(append(appendHead(b, p.number(), "signal", room), `,"to":"`...), to...)
	return p.write(append(append(append(b, `","data":`...), payload...), '}'))
}

func (p *nativePeer) Broadcast(room string, payload []byte) error {
	b := p.socket.begin()
	b = append(appendHead(b, p.number(), "publish", room), `,"echo":true,"data":`...)
	return p.write(append(append(b, payload...), '}'))
}

func (p *nativePeer) Close() error { return p.socket.close(1000) }

func (p *nativePeer) Cut() { p.cut() }

// read takes what comes until the connection ends.
func (p *nativePeer) read() {
	defer close(p.gone)
	for {
		text, err := p.next()
		if err != nil {
			p.lost(p.socket, p.events, err)
			return
		}
		p.take(text)
	}
}

var (
	nativeReply   = []byte(`{"re":`)
	nativeEvent   = []byte(`{"seq":`)
	nativeType    = []byte(`,"type":"`)
	nativeSignal  = []byte("signal")
	nativeMessage = []byte("message")
	nativeJoined  = []byte("joined-peer")
	nativeTaken   = []byte("closed") // by somebody else's doing
	nativeResync  = []byte(`{"type":"resync"`)
	nativeClosed  = []byte(`{"type":"closed"`)
	nativeOK      = []byte(`,"ok"`)
)

// take looks at the head of a message, which the gateway writes in one order always.
func (p *nativePeer) take(text []byte) {
	if rest, ok := bytes.CutPrefix(text, nativeReply); ok {
		number, rest := leadingNumber(rest)
		if !p.answered(number, text) && !bytes.HasPrefix(rest, nativeOK) {
			p.events.Refused(&RefusedError{Request: "message", Answer: string(text)})
		}
		return
	}
	rest, ok := bytes.CutPrefix(text, nativeEvent)
	if !ok {
		// An event of no room, or the gateway's own word about a seat, which no load leads to.
		if bytes.HasPrefix(text, nativeResync) || bytes.HasPrefix(text, nativeClosed) {
			p.events.Refused(fmt.Errorf("unexpected: %.120s", text))
		}
		return
	}
	seq, rest := leadingNumber(rest)
	rest, ok = bytes.CutPrefix(rest, nativeType)
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		p.events.Refused(fmt.Errorf("an event of another form: %.80s", text))
		return
	}
	switch kind := rest[:end]; {
	case bytes.Equal(kind, nativeSignal), bytes.Equal(kind, nativeMessage):
		stamp, ok := StampIn(text)
		if !ok {
			p.events.Refused(fmt.Errorf("a message of nobody: %.80s", text))
			return
		}
		if p.seen(text, seq) {
			p.events.Message(Message{Stamp: stamp, Number: seq})
		}
	case bytes.Equal(kind, nativeJoined):
		var event struct {
			Room string `json:"room"`
			Peer struct {
				ID string `json:"id"`
			} `json:"peer"`
		}
		if err := json.Unmarshal(text, &event); err != nil {
			p.events.Refused(err)
			return
		}
		if p.seen(text, seq) {
			p.events.Arrived(event.Room, event.Peer.ID)
		}
	case bytes.Equal(kind, nativeTaken):
		p.events.Refused(fmt.Errorf("unexpected: %.120s", text))
	default:
		p.seen(text, seq)
	}
}

var nativeRoom = []byte(`"room":"`)

// seen notes how far a room was seen, for a resume, and reports whether an event is to be taken: after a resume one may
// come a second time, with its number (docs/protocol.md, "Order and numbers").
func (p *nativePeer) seen(text []byte, seq int64) bool {
	at := bytes.Index(text, nativeRoom)
	if at < 0 {
		return true
	}
	name, _, _ := bytes.Cut(text[at+len(nativeRoom):], []byte{'"'})
	p.resumeMu.Lock()
	defer p.resumeMu.Unlock()
	position, ok := p.rooms[string(name)]
	if !ok {
		return true
	}
	if p.resumed && seq <= position.Seq {
		return false
	}
	position.Seq = max(seq, position.Seq)
	p.rooms[string(name)] = position
	return true
}

// leadingNumber reads a whole number from the head of a text.
func leadingNumber(text []byte) (int64, []byte) {
	var n int64
	for i, c := range text {
		if c < '0' || c > '9' {
			return n, text[i:]
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}
