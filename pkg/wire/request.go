package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Request is one message from client to server.
type Request struct {
	// ID is the client's own counter, at least 1.
	ID int64
	// Body is one of the pointer types below; its type is the message's.
	Body RequestBody
}

// Room is the room that the request is about; "" if it is about none.
func (r Request) Room() string {
	switch body := r.Body.(type) {
	case *Join:
		return body.Room
	case *Leave:
		return body.Room
	case *Signal:
		return body.Room
	case *Publish:
		return body.Room
	case *SetState:
		return body.Room
	case *Peers:
		return body.Room
	case *UpdateRoom:
		return body.Room
	case *Control:
		return body.Room
	case *AskHistory:
		return body.Room
	case *Undo:
		return body.Room
	case *Clear:
		return body.Room
	case *Report:
		return body.Room
	}
	return ""
}

// RequestBody is what a [Request] asks for.
type RequestBody interface {
	// Type is the message's type on the wire.
	Type() Type
	decode(*fields)
	encode(*encoder)
}

// Hello opens a session. Answered by [Welcome].
type Hello struct {
	// Token is a JWT; without one, App names an app that lets anonymous clients in, and Name is the display name.
	Token string
	App   string
	Name  string
	// Resume is the resume token of a session that goes on, in place of Token and App; Rooms says what the client has
	// seen of each room in which it believes to have a seat.
	Resume string
	Rooms  map[string]Position
	// Resumable asks for a resume token, and for seats that are kept for a while when the connection is lost.
	Resumable bool
	// Attempt counts the connections that the client tried for this session, from 1; 0 if not said. The highest one has
	// the session.
	Attempt int64
	// Client names the client's software, for logs.
	Client string
}

// Position is how far a client has seen a room: Seq is that of its last event, in one life of the room. It can be read from
// a reply that is a [Snapshot], too.
type Position struct {
	Epoch string
	Seq   int64
}

// Join takes a seat. Answered by [Snapshot].
type Join struct {
	Room string
	// State is the peer's own first state.
	State Object
	// Capacity is the number of seats of a room that this join creates; 0 leaves it to the policy.
	Capacity int
	// Wait takes a place in the queue where there is no seat, or a moderator has to let one in: the answer has [Snapshot].Waiting then.
	Wait bool
}

// Leave gives a seat up. Answered by [Done].
type Leave struct{ Room string }

// Signal sends Data, a JSON object, to one peer. Answered by [Done].
type Signal struct {
	Room string
	To   string
	// Offer is set when Data is an offer, which asks for an answer.
	Offer bool
	// Answers is the number of the peer's offer that Data answers; 0 if it answers none, or the client does not say.
	Answers int64
	// Data is a slice of the message and only valid as long as it.
	Data json.RawMessage
}

// Publish sends Data, any JSON value, to the room. Answered by [Done].
type Publish struct {
	Room  string
	Topic string
	// Data is a slice of the message and only valid as long as it.
	Data json.RawMessage
	// Echo asks for the message oneself, too.
	Echo bool
	// Volatile messages are not logged: at most once.
	Volatile bool
	// Keep has the message kept for those who join later, with one of [KeptTopics].
	Keep bool
}

// SetState merges State into the peer's own state; a value of null deletes its key. Answered by [Done].
type SetState struct {
	Room  string
	State Object
}

// UpdateRoom changes what is given of a room that still has Version. Answered by [Updated].
type UpdateRoom struct {
	Room    string
	Version int64
	RoomChange
}

// RoomChange is a change of a room: what is nil stays as it is.
type RoomChange struct {
	Capacity *int
	Locked   *bool
	// Presenter is a peer id; "" clears it (null on the wire).
	Presenter *string
	// Properties are merged by key; a value of null deletes its key.
	Properties Object
	// Spotlight replaces the rotation, see [Spotlight]; the JSON text null clears it.
	Spotlight json.RawMessage
}

// Control mutes, unmutes or kicks one peer, or all but oneself when To is empty, lets in or sends away one who waits, or all, or closes
// the room. Answered by [Controlled].
type Control struct {
	Room   string
	Action string
	// Kind is audio or video, with mute and unmute.
	Kind string
	To   string
	// Text is what is said about it, with kick and close: see [ValidText].
	Text string
}

// Peers asks for the head count, or with List for the whole [Snapshot].
type Peers struct {
	Room string
	List bool
}

// Report is the outcome of a client's ICE (RFC 8445). Answered by [Nothing].
type Report struct {
	Room string
	// Peer is the other side.
	Peer string
	// Outcome is connected, failed or disconnected.
	Outcome string
	// Milliseconds since the negotiation began, or with Again since the connection was lost; of a disconnected one how long it was there.
	Milliseconds int64
	// Again is true when it had been connected before.
	Again bool
	// Restarts is how often ICE was restarted since the report before.
	Restarts int
	// Local and Remote are candidate types (RFC 8445, section 5.1.1): host, srflx, prflx, relay. Of a failure they are the furthest that
	// there were.
	Local  string
	Remote string
	// Protocol is udp, tcp or tls: of a relay the one by which it is reached.
	Protocol string
	// Reason is a word for a failure.
	Reason string
}

// Ping is answered at once by [Pong].
type Ping struct{}

// Type names the message on the wire.
func (*Hello) Type() Type { return TypeHello }

// Type names the message on the wire.
func (*Join) Type() Type { return TypeJoin }

// Type names the message on the wire.
func (*Leave) Type() Type { return TypeLeave }

// Type names the message on the wire.
func (*Signal) Type() Type { return TypeSignal }

// Type names the message on the wire.
func (*Publish) Type() Type { return TypePublish }

// Type names the message on the wire.
func (*SetState) Type() Type { return TypeState }

// Type names the message on the wire.
func (*UpdateRoom) Type() Type { return TypeRoom }

// Type names the message on the wire.
func (*Control) Type() Type { return TypeControl }

// Type names the message on the wire.
func (*Peers) Type() Type { return TypePeers }

// Type names the message on the wire.
func (*Report) Type() Type { return TypeReport }

// Type names the message on the wire.
func (*Ping) Type() Type { return TypePing }

// newRequestBody gives an empty body of a type, or nil when no request has it.
func newRequestBody(t Type) RequestBody {
	switch t {
	case TypeSignal:
		return new(Signal)
	case TypePublish:
		return new(Publish)
	case TypeState:
		return new(SetState)
	case TypePing:
		return new(Ping)
	case TypeJoin:
		return new(Join)
	case TypeLeave:
		return new(Leave)
	case TypeHello:
		return new(Hello)
	case TypeRoom:
		return new(UpdateRoom)
	case TypeControl:
		return new(Control)
	case TypePeers:
		return new(Peers)
	case TypeReport:
		return new(Report)
	case TypeHistory:
		return new(AskHistory)
	case TypeUndo:
		return new(Undo)
	case TypeClear:
		return new(Clear)
	case TypeRefresh:
		return new(Refresh)
	case TypeICE:
		return new(AskICE)
	}
	return nil
}

// DecodeRequest decodes one request and checks it against limits. The error is always an [*Error] with a code for the
// client; the request's ID is set whenever it could be read, so that the error can answer it.
func DecodeRequest(message []byte, limits Limits) (Request, error) {
	var request Request
	f, _ := readFields(message, limits.withDefaults())
	defer f.release()
	request.ID = f.id()
	f.need("type")
	body := newRequestBody(Type(f.bytes("type")))
	if body == nil {
		f.fail(CodeBadRequest, "unknown type")
	}
	if f.err != nil {
		return request, f.err
	}
	if body.decode(f); f.err != nil {
		return request, f.err
	}
	request.Body = body
	return request, nil
}

// AppendRequest appends a request to b.
func AppendRequest(b []byte, request Request) []byte {
	e := encoder{b: b}
	e.open()
	e.int("id", request.ID)
	e.str("type", string(request.Body.Type()))
	request.Body.encode(&e)
	e.close()
	return e.b
}

func (m *Hello) decode(f *fields) {
	m.Token = f.text("token")
	m.App = f.optional("app", ValidKey)
	m.Name = f.optional("name", ValidDisplayName)
	m.Resume = f.text("resume")
	m.Client = f.optional("client", ValidDisplayName)
	f.nested("rooms", func(rooms *fields) {
		m.Rooms = make(map[string]Position, len(rooms.list))
		rooms.eachRoom(func(room string, f *fields) {
			var position Position
			position.decode(f)
			m.Rooms[room] = position
		})
	})
	m.Resumable = f.boolean("resumable")
	m.Attempt = f.integer("attempt", 1)
}

func (m *Hello) encode(e *encoder) {
	e.text("token", m.Token)
	e.text("app", m.App)
	e.text("name", m.Name)
	e.text("resume", m.Resume)
	e.text("client", m.Client)
	if m.Rooms != nil {
		e.nested("rooms", func(e *encoder) {
			for _, room := range sortedKeys(m.Rooms, nil) {
				e.name(room)
				e.open()
				position := m.Rooms[room]
				position.encode(e)
				e.close()
				e.b = append(e.b, ',')
			}
		})
	}
	e.flag("resumable", m.Resumable)
	e.count("attempt", m.Attempt)
}

func (p *Position) decode(f *fields) {
	p.Epoch = f.required("epoch", ValidID)
	f.need("seq")
	p.Seq = f.integer("seq", 0)
}

func (p *Position) encode(e *encoder) {
	e.str("epoch", p.Epoch)
	e.int("seq", p.Seq)
}

func (m *Join) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.State = f.object("state")
	m.Capacity = f.count("capacity", 1)
	m.Wait = f.boolean("wait")
}

func (m *Join) encode(e *encoder) {
	e.str("room", m.Room)
	e.object("state", m.State)
	e.count("capacity", int64(m.Capacity))
	e.flag("wait", m.Wait)
}

func (m *Leave) decode(f *fields)  { m.Room = f.required("room", ValidRoom) }
func (m *Leave) encode(e *encoder) { e.str("room", m.Room) }

func (m *Signal) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.To = f.required("to", ValidID)
	m.Offer = f.boolean("offer")
	m.Answers = f.integer("answers", 0)
	if m.Data = f.payload("data"); f.err == nil && m.Data[0] != '{' {
		f.fail(CodeBadRequest, "data must be an object")
	}
}

func (m *Signal) encode(e *encoder) {
	e.str("room", m.Room)
	e.str("to", m.To)
	e.flag("offer", m.Offer)
	e.count("answers", m.Answers)
	e.raw("data", m.Data)
}

func (m *Publish) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.Topic = f.optional("topic", ValidTopic)
	m.Data = f.payload("data")
	m.Echo = f.boolean("echo")
	m.Volatile = f.boolean("volatile")
	if m.Keep = f.boolean("keep"); !m.Keep || f.err != nil {
		return
	}
	if m.Volatile {
		f.fail(CodeBadRequest, "what is volatile is not kept")
	}
	checkKept(f, m.Topic)
}

func checkKept(f *fields, topic string) {
	if !slices.Contains(KeptTopics, topic) {
		f.fail(CodeBadRequest, "messages are kept of the topics %s", strings.Join(KeptTopics, " and "))
	}
}

func (m *Publish) encode(e *encoder) {
	e.str("room", m.Room)
	e.text("topic", m.Topic)
	e.raw("data", m.Data)
	e.flag("echo", m.Echo)
	e.flag("volatile", m.Volatile)
	e.flag("keep", m.Keep)
}

func (m *SetState) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	f.need("state")
	m.State = f.object("state")
}

func (m *SetState) encode(e *encoder) {
	e.str("room", m.Room)
	e.object("state", m.State)
}

func (m *UpdateRoom) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	f.need("version")
	m.Version = f.integer("version", 1)
	m.RoomChange.decode(f)
	if c := m.RoomChange; c.Capacity == nil && c.Locked == nil && c.Presenter == nil && c.Properties == nil && c.Spotlight == nil {
		f.fail(CodeBadRequest, "nothing to change")
	}
	if f.err == nil && m.Spotlight != nil && !f.isNull("spotlight") {
		_, f.err = parseSpotlight(m.Spotlight)
	}
}

func (m *UpdateRoom) encode(e *encoder) {
	e.str("room", m.Room)
	e.int("version", m.Version)
	m.RoomChange.encode(e)
}

func (m *RoomChange) decode(f *fields) {
	if f.get("capacity") != nil {
		capacity := f.count("capacity", 1)
		m.Capacity = &capacity
	}
	if f.get("locked") != nil {
		locked := f.boolean("locked")
		m.Locked = &locked
	}
	if f.get("presenter") != nil {
		var presenter string
		if !f.isNull("presenter") {
			presenter = f.optional("presenter", ValidID)
		}
		m.Presenter = &presenter
	}
	m.Properties = f.object("properties")
	if raw := f.get("spotlight"); raw != nil {
		if raw[0] != '{' && !f.isNull("spotlight") {
			f.fail(CodeBadRequest, "spotlight must be an object or null")
		}
		if len(raw) > f.limits.StateBytes {
			f.fail(CodeTooLarge, "spotlight has %d bytes; %d are allowed", len(raw), f.limits.StateBytes)
		}
		m.Spotlight = bytes.Clone(raw) // outlives the message, like a state
	}
}

func (m *RoomChange) encode(e *encoder) {
	if m.Capacity != nil {
		e.int("capacity", int64(*m.Capacity))
	}
	if m.Locked != nil {
		e.bool("locked", *m.Locked)
	}
	if m.Presenter != nil {
		e.nullable("presenter", *m.Presenter)
	}
	e.object("properties", m.Properties)
	e.raw("spotlight", m.Spotlight)
}

func (m *Control) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	f.need("action")
	m.Action = f.word("action", ActionMute, ActionUnmute, ActionKick, ActionClose, ActionAdmit, ActionDeny)
	m.Kind = f.word("kind", KindAudio, KindVideo)
	m.To = f.optional("to", ValidID)
	m.Text = f.text("text")
	mutes := m.Action == ActionMute || m.Action == ActionUnmute
	switch {
	case f.err != nil:
	case (m.Kind != "") != mutes:
		f.fail(CodeBadRequest, "kind goes with mute and unmute, and with them alone")
	case m.Action == ActionClose && m.To != "":
		f.fail(CodeBadRequest, "a room is closed for everybody")
	case m.Text != "" && m.Action != ActionKick && m.Action != ActionClose:
		f.fail(CodeBadRequest, "text goes with kick and close, and with them alone")
	case !ValidText(m.Text):
		f.fail(CodeBadRequest, "text must be up to %d bytes of printable text", MaxText)
	}
}

func (m *Control) encode(e *encoder) {
	e.str("room", m.Room)
	e.str("action", m.Action)
	e.text("kind", m.Kind)
	e.text("to", m.To)
	e.text("text", m.Text)
}

func (m *Peers) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.List = f.boolean("list")
}

func (m *Peers) encode(e *encoder) {
	e.str("room", m.Room)
	e.flag("list", m.List)
}

func (m *Report) decode(f *fields) {
	m.Room = f.optional("room", ValidRoom)
	m.Peer = f.optional("peer", ValidID)
	f.need("outcome")
	m.Outcome = f.word("outcome", "connected", "failed", "disconnected")
	m.Milliseconds = f.integer("ms", 0)
	m.Local = f.word("local", "host", "srflx", "prflx", "relay")
	m.Remote = f.word("remote", "host", "srflx", "prflx", "relay")
	m.Protocol = f.word("protocol", "udp", "tcp", "tls")
	m.Reason = f.optional("reason", ValidKey)
	m.Again = f.boolean("again")
	m.Restarts = f.count("restarts", 0)
}

func (m *Report) encode(e *encoder) {
	e.text("room", m.Room)
	e.text("peer", m.Peer)
	e.str("outcome", m.Outcome)
	e.count("ms", m.Milliseconds)
	e.text("local", m.Local)
	e.text("remote", m.Remote)
	e.text("protocol", m.Protocol)
	e.text("reason", m.Reason)
	e.flag("again", m.Again)
	e.count("restarts", int64(m.Restarts))
}

func (*Ping) decode(*fields)  {}
func (*Ping) encode(*encoder) {}
