package wire

import (
	"bytes"
	"encoding/json"
)

// ReplyBody is the result of a request that succeeded.
type ReplyBody interface {
	decode(*fields)
	encode(*encoder)
}

// Welcome answers [Hello].
type Welcome struct {
	// Session is the session's public id, and its peer id in every room.
	Session string
	App     string
	User    string
	Name    string
	// Node is the name of the gateway that serves the session.
	Node string
	// Version is the protocol's.
	Version int
	// Resume is the token with which the session can be resumed, for Grace milliseconds after its connection is lost;
	// "" and 0 where it cannot.
	Resume string
	Grace  int64
	// Resumed is true when a session goes on, and Rooms then says what became of its rooms.
	Resumed bool
	Rooms   map[string]ResumedRoom
	// Heartbeat is the period in milliseconds in which the server pings.
	Heartbeat int64
	// Time is the server's clock in Unix milliseconds.
	Time       int64
	ICEServers []ICEServer
	// ICEExpires is as Expires in [ICE].
	ICEExpires int64
	Limits     SessionLimits
}

// size guesses the length of the encoded welcome, to spare it from growing step by step.
func (m *Welcome) size() int {
	const envelope, room = 448, 96
	return envelope + len(m.Session) + len(m.App) + len(m.User) + len(m.Name) + len(m.Node) + len(m.Resume) +
		room*len(m.Rooms) + iceServerSize*len(m.ICEServers)
}

// ResumedRoom is what became of a room in a resume.
type ResumedRoom struct {
	// Result is [ResumeReplayed], [ResumeResync], [ResumeWaiting] or [ResumeGone].
	Result string
	// Request is the highest id of the session's requests that took effect in the room; 0 if none is known.
	Request int64
}

// SessionLimits tells a client what it may send.
type SessionLimits struct {
	// MessageBytes is how long a message may be.
	MessageBytes int
	// RequestsPerSecond is how many requests are taken on average, and RequestsBurst how many at once.
	RequestsPerSecond int
	RequestsBurst     int
	// Rooms is in how many rooms the session may be.
	Rooms int
	// StateBytes is how long the JSON of a state may be.
	StateBytes int
	// InFlight is how many requests may wait for their reply; further ones are read later.
	InFlight int
}

// Snapshot is a room as of Seq. Answers [Join], and [Peers] with List.
type Snapshot struct {
	Room string
	// Self is the receiver's own peer id; "" for who has no seat.
	Self string
	// Epoch names one life of the room.
	Epoch    string
	Seq      int64
	Version  int64
	Capacity int
	Count    int
	Locked   bool
	// Presenter is a peer id, or "".
	Presenter  string
	Properties Object
	// Spotlight is the rotation as it was set, or nil.
	Spotlight json.RawMessage
	// Created is when the room began, in Unix milliseconds.
	Created int64
	// Peers holds everybody by order, the receiver included.
	Peers []Peer
	// Queue holds those who wait for a seat, in order.
	Queue []Waiter
	// RelayOnly asks the receiver to send media through TURN servers alone.
	RelayOnly bool
	// Waiting is the receiver's own place, where it has no seat but waits for one; the snapshot has no peers then.
	Waiting *Waiting
}

// Peer is one seat in a room.
type Peer struct {
	ID string
	// Order is the peer's number in the order of joining. Of two peers the later one is polite (W3C WebRTC, section 10.7).
	Order int64
	User  string
	Name  string
	State Object
	// Away is true while the peer's connection is lost and its seat kept.
	Away bool
}

// Done answers [Leave], [Signal], [Publish] and [SetState] with the number of the event that it caused.
type Done struct {
	Seq int64
	// Repeated is true when the request came again after a resume and had taken effect before; what else the reply said
	// then may not be known any more, and is 0.
	Repeated bool
	// Filtered is true when nothing went on, as the app lets no such candidate pass; there is no event then.
	Filtered bool
}

// Updated answers [UpdateRoom] with the room's new version.
type Updated struct {
	Seq, Version int64
	// Repeated is as in [Done].
	Repeated bool
}

// Controlled answers [Control] with the number of peers that it reached.
type Controlled struct {
	Seq      int64
	Affected int
	// Repeated is as in [Done].
	Repeated bool
}

// HeadCount answers [Peers] without List.
type HeadCount struct {
	Room            string
	Count, Capacity int
}

// Pong answers [Ping] with the server's clock in Unix milliseconds.
type Pong struct{ Time int64 }

// Nothing answers [Report].
type Nothing struct{}

// Reply is one answer as a client reads it.
type Reply struct {
	// Re is the request's id; 0 where the server could not read it.
	Re int64
	// Err is set when the request was refused; otherwise the body waits for [Reply.Decode].
	Err *Error

	ok []byte
}

// Decode reads the body of a reply that is no error; which type it has follows from the request. It needs the message
// that the reply came in; the body does not.
func (r *Reply) Decode(body ReplyBody) error {
	f, _ := readFields(r.ok, clientLimits)
	defer f.release()
	if f.err == nil {
		body.decode(f)
	}
	if f.err != nil {
		return f.err
	}
	return nil
}

// AppendReply appends the reply to request re.
func AppendReply(b []byte, re int64, body ReplyBody) []byte {
	e := encoder{b: b}
	e.open()
	e.int("re", re)
	e.key("ok")
	e.open()
	body.encode(&e)
	e.close()
	e.close()
	return e.b
}

// AppendError appends the refusal of request re.
func AppendError(b []byte, re int64, refusal *Error) []byte {
	e := encoder{b: b}
	e.open()
	e.int("re", re)
	e.nested("error", refusal.encode)
	e.close()
	return e.b
}

func (m *Welcome) encode(e *encoder) {
	e.str("session", m.Session)
	e.str("app", m.App)
	e.str("user", m.User)
	e.text("name", m.Name)
	e.str("node", m.Node)
	e.int("version", int64(m.Version))
	e.text("resume", m.Resume)
	e.count("grace", m.Grace)
	e.flag("resumed", m.Resumed)
	if m.Rooms != nil {
		e.nested("rooms", func(e *encoder) {
			for _, room := range sortedKeys(m.Rooms, nil) {
				e.name(room)
				e.open()
				e.str("result", m.Rooms[room].Result)
				e.count("request", m.Rooms[room].Request)
				e.close()
				e.b = append(e.b, ',')
			}
		})
	}
	e.int("heartbeat", m.Heartbeat)
	e.int("time", m.Time)
	encodeICEServers(e, m.ICEServers)
	e.count("iceExpires", m.ICEExpires)
	e.nested("limits", m.Limits.encode)
}

func (m *Welcome) decode(f *fields) {
	m.Session = f.required("session", ValidID)
	m.App = f.required("app", anyText)
	m.User = f.required("user", anyText)
	m.Name = f.text("name")
	m.Node = f.required("node", anyText)
	f.need("version")
	m.Version = f.count("version", 1)
	m.Resume = f.text("resume")
	m.Grace = f.integer("grace", 0)
	m.Resumed = f.boolean("resumed")
	f.nested("rooms", func(rooms *fields) {
		m.Rooms = make(map[string]ResumedRoom, len(rooms.list))
		rooms.eachRoom(func(room string, f *fields) {
			m.Rooms[room] = ResumedRoom{Result: f.required("result", ValidKey), Request: f.integer("request", 0)}
		})
	})
	m.Heartbeat = f.integer("heartbeat", 0)
	m.Time = f.integer("time", 0)
	m.ICEServers = decodeICEServers(f)
	m.ICEExpires = f.integer("iceExpires", 0)
	f.nested("limits", m.Limits.decode)
}

func (l *SessionLimits) encode(e *encoder) {
	e.int("messageBytes", int64(l.MessageBytes))
	e.int("requestsPerSecond", int64(l.RequestsPerSecond))
	e.int("requestsBurst", int64(l.RequestsBurst))
	e.int("rooms", int64(l.Rooms))
	e.int("stateBytes", int64(l.StateBytes))
	e.int("inFlight", int64(l.InFlight))
}

func (l *SessionLimits) decode(f *fields) {
	l.MessageBytes = f.count("messageBytes", 0)
	l.RequestsPerSecond = f.count("requestsPerSecond", 0)
	l.RequestsBurst = f.count("requestsBurst", 0)
	l.Rooms = f.count("rooms", 0)
	l.StateBytes = f.count("stateBytes", 0)
	l.InFlight = f.count("inFlight", 0)
}

func (m *Snapshot) encode(e *encoder) {
	e.str("room", m.Room)
	m.encodeState(e)
}

// size guesses the length of the encoded snapshot, to spare it from growing step by step.
func (m *Snapshot) size() int {
	const envelope, seat = 384, 224
	return envelope + seat*len(m.Peers)
}

// encodeState appends all fields but the room, which an event has in front.
func (m *Snapshot) encodeState(e *encoder) {
	e.text("self", m.Self)
	e.str("epoch", m.Epoch)
	e.int("seq", m.Seq)
	e.int("version", m.Version)
	e.int("capacity", int64(m.Capacity))
	e.int("count", int64(m.Count))
	e.bool("locked", m.Locked)
	e.nullable("presenter", m.Presenter)
	e.objectOrEmpty("properties", m.Properties)
	e.rawOrNull("spotlight", m.Spotlight)
	e.int("created", m.Created)
	e.key("peers")
	e.b = append(e.b, '[')
	for i := range m.Peers {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.open()
		m.Peers[i].encode(e)
		e.close()
	}
	e.b = append(e.b, ']', ',')
	if len(m.Queue) > 0 {
		e.key("queue")
		e.b = append(e.b, '[')
		for i := range m.Queue {
			if i > 0 {
				e.b = append(e.b, ',')
			}
			e.open()
			m.Queue[i].encode(e)
			e.close()
		}
		e.b = append(e.b, ']', ',')
	}
	e.flag("relayOnly", m.RelayOnly)
	if m.Waiting != nil {
		e.nested("waiting", m.Waiting.encode)
	}
}

func (m *Snapshot) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.Self = f.optional("self", ValidID)
	m.Epoch = f.required("epoch", anyText)
	m.Seq = f.integer("seq", 0)
	m.Version = f.integer("version", 0)
	m.Capacity = f.count("capacity", 0)
	m.Count = f.count("count", 0)
	m.Locked = f.boolean("locked")
	if !f.isNull("presenter") {
		m.Presenter = f.optional("presenter", ValidID)
	}
	m.Properties = orNil(f.object("properties"))
	if !f.isNull("spotlight") {
		m.Spotlight = bytes.Clone(f.get("spotlight"))
	}
	m.Created = f.integer("created", 0)
	f.each("peers", func(f *fields) {
		var peer Peer
		peer.decode(f)
		m.Peers = append(m.Peers, peer)
	})
	f.each("queue", func(f *fields) {
		var waiter Waiter
		waiter.decode(f)
		m.Queue = append(m.Queue, waiter)
	})
	m.RelayOnly = f.boolean("relayOnly")
	f.nested("waiting", func(f *fields) {
		m.Waiting = new(Waiting)
		m.Waiting.decode(f)
	})
}

// encodeHead appends the fields up to the order, whose value may come from elsewhere.
func (p *Peer) encodeHead(e *encoder) {
	e.str("id", p.ID)
	e.key("order")
}

func (p *Peer) encodeTail(e *encoder) {
	e.str("user", p.User)
	e.text("name", p.Name)
	e.objectOrEmpty("state", p.State)
	e.flag("away", p.Away)
}

func (p *Peer) encode(e *encoder) {
	e.str("id", p.ID)
	e.int("order", p.Order)
	p.encodeTail(e)
}

func (p *Peer) decode(f *fields) {
	p.ID = f.required("id", ValidID)
	p.Order = f.integer("order", 0)
	p.User = f.text("user")
	p.Name = f.text("name")
	p.State = orNil(f.object("state"))
	p.Away = f.boolean("away")
}

// An empty object and an absent one are the same to a reader: nil.
func orNil(o Object) Object {
	if len(o) == 0 {
		return nil
	}
	return o
}

func (m *Done) encode(e *encoder) {
	e.int("seq", m.Seq)
	e.flag("repeated", m.Repeated)
	e.flag("filtered", m.Filtered)
}

func (m *Done) decode(f *fields) {
	m.Seq = f.integer("seq", 0)
	m.Repeated = f.boolean("repeated")
	m.Filtered = f.boolean("filtered")
}

func (m *Updated) encode(e *encoder) {
	e.int("seq", m.Seq)
	e.int("version", m.Version)
	e.flag("repeated", m.Repeated)
}

func (m *Updated) decode(f *fields) {
	m.Seq = f.integer("seq", 0)
	m.Version = f.integer("version", 0)
	m.Repeated = f.boolean("repeated")
}

func (m *Controlled) encode(e *encoder) {
	e.int("seq", m.Seq)
	e.int("affected", int64(m.Affected))
	e.flag("repeated", m.Repeated)
}

func (m *Controlled) decode(f *fields) {
	m.Seq = f.integer("seq", 0)
	m.Affected = f.count("affected", 0)
	m.Repeated = f.boolean("repeated")
}

func (m *HeadCount) encode(e *encoder) {
	e.str("room", m.Room)
	e.int("count", int64(m.Count))
	e.int("capacity", int64(m.Capacity))
}

func (m *HeadCount) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.Count = f.count("count", 0)
	m.Capacity = f.count("capacity", 0)
}

func (m *Pong) encode(e *encoder) { e.int("time", m.Time) }
func (m *Pong) decode(f *fields)  { m.Time = f.integer("time", 0) }

func (*Nothing) encode(*encoder) {}
func (*Nothing) decode(*fields)  {}
