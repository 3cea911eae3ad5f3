package wire

import "encoding/json"

// AskHistory asks for the last messages that are kept of a topic, at most Limit of them; 0 leaves it to the server. Before is the number
// of a message: only what is older than it is asked for; 0 for what there is. Answered by [History].
type AskHistory struct {
	Room   string
	Topic  string
	Limit  int
	Before int64
}

// Undo takes back the kept message number Of, or the client's own last one when Of is 0. Answered by [Undid].
type Undo struct {
	Room  string
	Topic string
	Of    int64
}

// Clear takes back all that is kept of a topic. Answered by [Done].
type Clear struct {
	Room  string
	Topic string
}

// History answers [AskHistory].
type History struct {
	Room  string
	Topic string
	// Seq and Epoch are the room's: what comes after is told by events.
	Seq   int64
	Epoch string
	// Dropped is how many messages are not kept any more, because there were too many.
	Dropped int64
	// Messages are in order, the oldest first.
	Messages []KeptMessage
}

// KeptMessage is one message of a [History]. User and Name are the sender's, who may have left; From, User and Name are empty for
// the app itself.
type KeptMessage struct {
	// Seq is the message's own number.
	Seq  int64
	From string
	User string
	Name string
	// Time is when it was sent, in Unix milliseconds.
	Time int64
	Data json.RawMessage
}

// Undid answers [Undo]: Of is the message that was taken back, 0 if there was none.
type Undid struct {
	Seq, Of int64
	// Repeated is as in [Done].
	Repeated bool
}

// Undone tells that By took the kept message number Of back; By is empty when the app itself did it.
type Undone struct {
	Topic string
	Of    int64
	By    string
}

// Cleared tells that By took everything back that was kept of the topic; By is empty when the app itself did it.
type Cleared struct{ Topic, By string }

// Type names the message on the wire.
func (*AskHistory) Type() Type { return TypeHistory }

// Type names the message on the wire.
func (*Undo) Type() Type { return TypeUndo }

// Type names the message on the wire.
func (*Clear) Type() Type { return TypeClear }

// Type names the message on the wire.
func (*Undone) Type() Type { return TypeUndone }

// Type names the message on the wire.
func (*Cleared) Type() Type { return TypeCleared }

// decodeKeptTopic reads the room and the topic that requests about kept messages have.
func decodeKeptTopic(f *fields) (room, topic string) {
	room = f.required("room", ValidRoom)
	if topic = f.required("topic", ValidTopic); f.err == nil {
		checkKept(f, topic)
	}
	return room, topic
}

func encodeKeptTopic(e *encoder, room, topic string) {
	e.str("room", room)
	e.str("topic", topic)
}

func (m *AskHistory) decode(f *fields) {
	m.Room, m.Topic = decodeKeptTopic(f)
	m.Limit = f.count("limit", 1)
	m.Before = f.integer("before", 1)
}

func (m *AskHistory) encode(e *encoder) {
	encodeKeptTopic(e, m.Room, m.Topic)
	e.count("limit", int64(m.Limit))
	e.count("before", m.Before)
}

func (m *Undo) decode(f *fields) {
	m.Room, m.Topic = decodeKeptTopic(f)
	m.Of = f.integer("of", 1)
}

func (m *Undo) encode(e *encoder) {
	encodeKeptTopic(e, m.Room, m.Topic)
	e.count("of", m.Of)
}

func (m *Clear) decode(f *fields)  { m.Room, m.Topic = decodeKeptTopic(f) }
func (m *Clear) encode(e *encoder) { encodeKeptTopic(e, m.Room, m.Topic) }

func (m *History) encode(e *encoder) {
	encodeKeptTopic(e, m.Room, m.Topic)
	e.int("seq", m.Seq)
	e.str("epoch", m.Epoch)
	e.count("dropped", m.Dropped)
	e.key("messages")
	e.b = append(e.b, '[')
	for i := range m.Messages {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.open()
		m.Messages[i].encode(e)
		e.close()
	}
	e.b = append(e.b, ']', ',')
}

func (m *History) decode(f *fields) {
	m.Room = f.required("room", ValidRoom)
	m.Topic = f.required("topic", ValidTopic)
	m.Seq = f.integer("seq", 0)
	m.Epoch = f.required("epoch", anyText)
	m.Dropped = f.integer("dropped", 0)
	f.each("messages", func(f *fields) {
		var message KeptMessage
		message.decode(f)
		m.Messages = append(m.Messages, message)
	})
}

func (m *KeptMessage) encode(e *encoder) {
	e.int("seq", m.Seq)
	e.text("from", m.From)
	e.text("user", m.User)
	e.text("name", m.Name)
	e.int("time", m.Time)
	e.raw("data", m.Data)
}

func (m *KeptMessage) decode(f *fields) {
	m.Seq = f.integer("seq", 0)
	m.From = f.optional("from", ValidID)
	m.User = f.text("user")
	m.Name = f.text("name")
	m.Time = f.integer("time", 0)
	m.Data = f.payload("data")
}

func (m *Undid) encode(e *encoder) {
	e.int("seq", m.Seq)
	e.count("of", m.Of)
	e.flag("repeated", m.Repeated)
}

func (m *Undid) decode(f *fields) {
	m.Seq = f.integer("seq", 0)
	m.Of = f.integer("of", 0)
	m.Repeated = f.boolean("repeated")
}

func (m *Undone) encode(e *encoder) {
	e.str("topic", m.Topic)
	e.int("of", m.Of)
	e.text("by", m.By)
}

func (m *Undone) decode(f *fields) {
	m.Topic = f.required("topic", ValidTopic)
	m.Of = f.integer("of", 0)
	m.By = f.optional("by", ValidID)
}

func (m *Cleared) encode(e *encoder) {
	e.str("topic", m.Topic)
	e.text("by", m.By)
}

func (m *Cleared) decode(f *fields) {
	m.Topic = f.required("topic", ValidTopic)
	m.By = f.optional("by", ValidID)
}

// KeptHead gives the body of a kept [Message] up to its time, which only the script knows that takes it: `,"data":`, the data and the
// end follow.
func KeptHead(room, from, topic string) []byte {
	e := encoder{b: make([]byte, 0, 96+len(room)+len(from))}
	e.begin(room, TypeMessage)
	e.text("from", from)
	e.str("topic", topic)
	e.flag("kept", true)
	e.key("time")
	return e.b
}

// SplitUndone gives the body of an [Undone] event in two parts, between which the number of the message belongs.
func SplitUndone(room, topic, by string) (head, tail []byte) {
	e := encoder{}
	e.begin(room, TypeUndone)
	e.str("topic", topic)
	e.key("of")
	t := encoder{b: []byte{','}}
	t.text("by", by)
	t.close()
	return e.b, t.b
}
