package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// Event is one message from server to client that answers no request.
type Event struct {
	// Room and Seq are the room and the event's number in it; "" and 0 for [ICE] and [GoAway].
	Room string
	Seq  int64
	// Body is one of the pointer types below, or nil for a type that this version does not know.
	Body EventBody
}

// EventBody is what happened.
type EventBody interface {
	// Type is the message's type on the wire.
	Type() Type
	decode(*fields)
	encode(*encoder)
}

// JoinedPeer tells that somebody took a seat.
type JoinedPeer struct{ Peer Peer }

// LeftPeer tells that a seat was given up: Reason is left, disconnected, kicked, closed, expired or replaced; By is who kicked, or
// closed the room, and Text what they say about it.
type LeftPeer struct{ Peer, Reason, By, Text string }

// AwayPeer tells that a peer's connection is lost and its seat kept.
type AwayPeer struct{ Peer string }

// BackPeer tells that an away peer came back.
type BackPeer struct{ Peer string }

// StateChanged tells what changed in a peer's state; a value of null deletes its key.
type StateChanged struct {
	Peer  string
	State Object
}

// Signaled is what a peer sent to the receiver alone.
type Signaled struct {
	From string
	// Offer is set when Data is an offer: an answer to it names its number.
	Offer bool
	Data  json.RawMessage
}

// Message is what a peer published. From is empty when it comes from the app itself.
type Message struct {
	From     string
	Topic    string
	Data     json.RawMessage
	Volatile bool
	// Kept tells that the message is kept for those who join later, and Time when it was taken, in Unix milliseconds.
	Kept bool
	Time int64
}

// RoomChanged tells what changed in the room; By is empty when nobody did it.
type RoomChanged struct {
	Version int64
	By      string
	RoomChange
}

// Controlling tells that By muted or unmuted To, or everybody but By when To is empty. By is empty when no peer did it. With the
// action move, To is the receiver, and asked to leave for the room Target.
type Controlling struct{ Action, Kind, To, By, Target string }

// Closed tells that the receiver's own seat was taken from it: Reason is kicked, closed, replaced, expired or denied. Text is what who did it says about it, for people.
type Closed struct{ Reason, By, Text string }

// Resync replaces all that a client knew of a room.
type Resync struct{ Snapshot }

// GoAway tells that the gateway drains: come back after RetryAfter, before Deadline, both in milliseconds from now.
type GoAway struct{ RetryAfter, Deadline int64 }

// Type names the message on the wire.
func (*JoinedPeer) Type() Type { return TypeJoinedPeer }

// Type names the message on the wire.
func (*LeftPeer) Type() Type { return TypeLeftPeer }

// Type names the message on the wire.
func (*AwayPeer) Type() Type { return TypeAwayPeer }

// Type names the message on the wire.
func (*BackPeer) Type() Type { return TypeBackPeer }

// Type names the message on the wire.
func (*StateChanged) Type() Type { return TypeState }

// Type names the message on the wire.
func (*Signaled) Type() Type { return TypeSignal }

// Type names the message on the wire.
func (*Message) Type() Type { return TypeMessage }

// Type names the message on the wire.
func (*RoomChanged) Type() Type { return TypeRoom }

// Type names the message on the wire.
func (*Controlling) Type() Type { return TypeControl }

// Type names the message on the wire.
func (*Closed) Type() Type { return TypeClosed }

// Type names the message on the wire.
func (*Resync) Type() Type { return TypeResync }

// Type names the message on the wire.
func (*GoAway) Type() Type { return TypeGoAway }

func newEventBody(t Type) EventBody {
	switch t {
	case TypeSignal:
		return new(Signaled)
	case TypeMessage:
		return new(Message)
	case TypeJoinedPeer:
		return new(JoinedPeer)
	case TypeLeftPeer:
		return new(LeftPeer)
	case TypeAwayPeer:
		return new(AwayPeer)
	case TypeBackPeer:
		return new(BackPeer)
	case TypeState:
		return new(StateChanged)
	case TypeRoom:
		return new(RoomChanged)
	case TypeControl:
		return new(Controlling)
	case TypeWaiting:
		return new(Waiting)
	case TypeSeated:
		return new(Seated)
	case TypeWaitingPeer:
		return new(WaitingPeer)
	case TypeGonePeer:
		return new(GonePeer)
	case TypeUndone:
		return new(Undone)
	case TypeCleared:
		return new(Cleared)
	case TypeClosed:
		return new(Closed)
	case TypeResync:
		return new(Resync)
	case TypeICE:
		return new(ICE)
	case TypeGoAway:
		return new(GoAway)
	case TypeExpiring:
		return new(Expiring)
	}
	return nil
}

// AppendEventBody appends an event as it is written before its number is known: an object that begins with its type.
// [AppendNumbered] makes the message of it.
//
// [Resync] and [Seated] are the exceptions: they have their room and number within themselves, and are whole already.
func AppendEventBody(b []byte, room string, body EventBody) []byte {
	e := encoder{b: slices.Grow(b, len(room)+eventSize(body))}
	if snapshot := snapshotOf(body); snapshot != nil {
		room = snapshot.Room
	}
	e.begin(room, body.Type())
	body.encode(&e)
	e.close()
	return e.b
}

// AppendNumbered appends the message that puts seq into an event body.
func AppendNumbered(b []byte, seq int64, body []byte) []byte {
	b = strconv.AppendInt(append(b, `{"seq":`...), seq, 10)
	b = append(b, ',')
	return append(b, body[1:]...)
}

// AppendEvent appends an event.
func AppendEvent(b []byte, event Event) []byte {
	if event.Seq == 0 || snapshotOf(event.Body) != nil {
		return AppendEventBody(b, event.Room, event.Body)
	}
	return AppendNumbered(b, event.Seq, AppendEventBody(nil, event.Room, event.Body))
}

// snapshotOf gives the snapshot of an event that is one; nil for others.
func snapshotOf(body EventBody) *Snapshot {
	switch m := body.(type) {
	case *Resync:
		return &m.Snapshot
	case *Seated:
		return &m.Snapshot
	}
	return nil
}

// eventSize guesses an event's length, to spare what carries data from growing step by step.
func eventSize(body EventBody) int {
	const envelope = 192 // keys, ids, a number
	switch m := body.(type) {
	case *Message:
		return envelope + len(m.Data)
	case *Signaled:
		return envelope + len(m.Data)
	case *ICE:
		return envelope + iceServerSize*len(m.Servers)
	case *Resync:
		return envelope + m.Snapshot.size()
	case *Seated:
		return envelope + m.Snapshot.size()
	}
	return envelope
}

// SplitJoined gives the body of a [JoinedPeer] event in two parts, between which the peer's order belongs: the
// order is known only to the script that takes the seat.
func SplitJoined(room string, peer *Peer) (head, tail []byte) {
	e := encoder{b: make([]byte, 0, 96+len(room)+len(peer.ID))}
	e.begin(room, TypeJoinedPeer)
	e.key("peer")
	e.open()
	peer.encodeHead(&e)
	t := encoder{b: append(make([]byte, 0, 64+len(peer.User)+len(peer.Name)), ',')}
	peer.encodeTail(&t)
	t.close()
	return e.b, append(t.b, '}')
}

// SplitRoomChanged gives the body of a [RoomChanged] event in two parts, between which the new version belongs.
func SplitRoomChanged(room, by string, change *RoomChange) (head, tail []byte) {
	e := encoder{}
	e.begin(room, TypeRoom)
	e.key("version")
	t := encoder{b: []byte{','}}
	t.text("by", by)
	change.encode(&t)
	t.close()
	return e.b, t.b
}

// SplitKicked gives the body of a [LeftPeer] event in two parts, between which the kicked peer's id belongs. text is what by says about
// it, empty for nothing.
func SplitKicked(room, by, text string) (head, tail []byte) {
	return splitLeft(room, ReasonKicked, by, text)
}

// SplitClosed gives the body of a [LeftPeer] event in two parts, between which the id of a peer belongs whose room by has closed, who
// is empty when no peer did it. text is as in [SplitKicked].
func SplitClosed(room, by, text string) (head, tail []byte) {
	return splitLeft(room, ReasonClosed, by, text)
}

// SplitLeftOf gives the body of a [LeftPeer] event of a room in two parts, between which the peer's id belongs.
func SplitLeftOf(room, reason string) (head, tail []byte) { return splitLeft(room, reason, "", "") }

func splitLeft(room, reason, by, text string) (head, tail []byte) {
	e := encoder{b: make([]byte, 0, 64+len(room))}
	e.begin(room, TypeLeftPeer)
	e.key("peer")
	e.b = append(e.b, '"')
	t := encoder{b: append(make([]byte, 0, 48+len(by)+len(text)), '"', ',')}
	t.str("reason", reason)
	t.text("by", by)
	t.text("text", text)
	t.close()
	return e.b, t.b
}

// begin opens an event: its type first, so that a stored body can be told from anything else.
func (e *encoder) begin(room string, t Type) {
	e.open()
	e.str("type", string(t))
	e.text("room", room)
}

func (m *JoinedPeer) encode(e *encoder) { e.nested("peer", m.Peer.encode) }

func (m *JoinedPeer) decode(f *fields) {
	f.need("peer")
	f.nested("peer", m.Peer.decode)
}

func (m *LeftPeer) encode(e *encoder) {
	e.str("peer", m.Peer)
	e.str("reason", m.Reason)
	e.text("by", m.By)
	e.text("text", m.Text)
}

func (m *LeftPeer) decode(f *fields) {
	m.Peer = f.required("peer", ValidID)
	m.Reason = f.required("reason", ValidKey)
	m.By = f.optional("by", ValidID)
	m.Text = f.text("text")
}

func (m *AwayPeer) encode(e *encoder) { e.str("peer", m.Peer) }
func (m *AwayPeer) decode(f *fields)  { m.Peer = f.required("peer", ValidID) }

func (m *BackPeer) encode(e *encoder) { e.str("peer", m.Peer) }
func (m *BackPeer) decode(f *fields)  { m.Peer = f.required("peer", ValidID) }

func (m *StateChanged) encode(e *encoder) {
	e.str("peer", m.Peer)
	e.objectOrEmpty("state", m.State)
}

func (m *StateChanged) decode(f *fields) {
	m.Peer = f.required("peer", ValidID)
	m.State = orNil(f.object("state"))
}

func (m *Signaled) encode(e *encoder) {
	e.str("from", m.From)
	e.flag("offer", m.Offer)
	e.raw("data", m.Data)
}

// OfferFrom gives the peer that made an offer, of the body of an event; "" where it is none. It reads no further than that.
func OfferFrom(body []byte) string {
	// Within a text there would be backslashes before the quotes.
	_, rest, found := bytes.Cut(body, []byte(`,"from":"`))
	if !found {
		return ""
	}
	from, rest, _ := bytes.Cut(rest, []byte(`"`))
	if !bytes.HasPrefix(rest, []byte(`,"offer":true,`)) {
		return ""
	}
	return string(from)
}

func (m *Signaled) decode(f *fields) {
	m.From = f.required("from", ValidID)
	m.Offer = f.boolean("offer")
	m.Data = f.payload("data")
}

func (m *Message) encode(e *encoder) {
	e.text("from", m.From)
	e.text("topic", m.Topic)
	e.flag("kept", m.Kept)
	e.count("time", m.Time)
	e.raw("data", m.Data)
	e.flag("volatile", m.Volatile)
}

func (m *Message) decode(f *fields) {
	m.From = f.optional("from", ValidID)
	m.Topic = f.optional("topic", ValidTopic)
	m.Data = f.payload("data")
	m.Volatile = f.boolean("volatile")
	m.Kept = f.boolean("kept")
	m.Time = f.integer("time", 0)
}

func (m *RoomChanged) encode(e *encoder) {
	e.int("version", m.Version)
	e.text("by", m.By)
	m.RoomChange.encode(e)
}

func (m *RoomChanged) decode(f *fields) {
	f.need("version")
	m.Version = f.integer("version", 1)
	m.By = f.optional("by", ValidID)
	m.RoomChange.decode(f)
}

func (m *Controlling) encode(e *encoder) {
	e.str("action", m.Action)
	e.text("kind", m.Kind)
	e.text("to", m.To)
	e.text("by", m.By)
	e.text("target", m.Target)
}

func (m *Controlling) decode(f *fields) {
	m.Action = f.required("action", ValidKey)
	m.Kind = f.optional("kind", ValidKey)
	m.To = f.optional("to", ValidID)
	m.By = f.optional("by", ValidID)
	m.Target = f.optional("target", ValidRoom)
}

func (m *Closed) encode(e *encoder) {
	e.str("reason", m.Reason)
	e.text("by", m.By)
	e.text("text", m.Text)
}

func (m *Closed) decode(f *fields) {
	m.Reason = f.required("reason", ValidKey)
	m.By = f.optional("by", ValidID)
	m.Text = f.text("text")
}

func (m *Resync) encode(e *encoder) { m.Snapshot.encodeState(e) }
func (m *Resync) decode(f *fields)  { m.Snapshot.decode(f) }

func (m *GoAway) encode(e *encoder) {
	e.int("retryAfter", m.RetryAfter)
	e.int("deadline", m.Deadline)
}

func (m *GoAway) decode(f *fields) {
	m.RetryAfter = f.integer("retryAfter", 0)
	m.Deadline = f.integer("deadline", 0)
}
