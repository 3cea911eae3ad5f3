package wire

// Waiting is the receiver's own place in the queue for a seat: Position begins with 1, of Count who wait, and Reason is [WaitFull] or
// [WaitModerated].
type Waiting struct {
	Position, Count int
	Reason          string
}

// WaitReason gives why somebody waits: to be let in, or for a seat.
func WaitReason(moderated bool) string {
	if moderated {
		return WaitModerated
	}
	return WaitFull
}

// Seated gives the snapshot to who has waited and has a seat now.
type Seated struct{ Snapshot }

// Waiter is somebody who waits for a seat.
type Waiter struct {
	ID   string
	User string
	Name string
	// Reason is as of [Waiting].
	Reason string
	// Away is true while its connection is lost and its place kept.
	Away bool
}

// WaitingPeer tells that somebody waits for a seat: at the end of the queue.
type WaitingPeer struct {
	Peer   Waiter
	Reason string
}

// GonePeer tells that somebody waits no more and has no seat: Reason is left, disconnected, denied or expired.
type GonePeer struct{ Peer, Reason string }

// Type names the message on the wire.
func (*Waiting) Type() Type { return TypeWaiting }

// Type names the message on the wire.
func (*Seated) Type() Type { return TypeSeated }

// Type names the message on the wire.
func (*WaitingPeer) Type() Type { return TypeWaitingPeer }

// Type names the message on the wire.
func (*GonePeer) Type() Type { return TypeGonePeer }

func (m *Waiting) encode(e *encoder) {
	e.int("position", int64(m.Position))
	e.int("count", int64(m.Count))
	e.str("reason", m.Reason)
}

func (m *Waiting) decode(f *fields) {
	m.Position = f.count("position", 0)
	m.Count = f.count("count", 0)
	m.Reason = f.required("reason", ValidKey)
}

func (m *Seated) encode(e *encoder) { m.Snapshot.encodeState(e) }
func (m *Seated) decode(f *fields)  { m.Snapshot.decode(f) }

func (m *Waiter) encode(e *encoder) {
	e.str("id", m.ID)
	e.str("user", m.User)
	e.text("name", m.Name)
	e.text("reason", m.Reason)
	e.flag("away", m.Away)
}

func (m *Waiter) decode(f *fields) {
	m.ID = f.required("id", ValidID)
	m.User = f.text("user")
	m.Name = f.text("name")
	m.Reason = f.optional("reason", ValidKey)
	m.Away = f.boolean("away")
}

func (m *WaitingPeer) encode(e *encoder) {
	e.str("reason", m.Reason)
	e.nested("peer", m.Peer.encode)
}

func (m *WaitingPeer) decode(f *fields) {
	m.Reason = f.required("reason", ValidKey)
	f.need("peer")
	f.nested("peer", m.Peer.decode)
}

func (m *GonePeer) encode(e *encoder) {
	e.str("peer", m.Peer)
	e.str("reason", m.Reason)
}

func (m *GonePeer) decode(f *fields) {
	m.Peer = f.required("peer", ValidID)
	m.Reason = f.required("reason", ValidKey)
}
