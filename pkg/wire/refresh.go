package wire

// Refresh goes on with the session under a new token of the same user, as the one before is about to expire. Answered by
// [Refreshed].
type Refresh struct{ Token string }

// Refreshed answers [Refresh].
type Refreshed struct {
	// Expires is when the session has to be refreshed again by, in Unix milliseconds.
	Expires int64
	// Resume takes the place of the session's resume token; "" where it has none.
	Resume string
}

// Expiring tells that the token expires At, in Unix milliseconds: the connection is closed then, unless the session is refreshed.
type Expiring struct{ At int64 }

// Type names the message on the wire.
func (*Refresh) Type() Type { return TypeRefresh }

func (m *Refresh) decode(f *fields) {
	f.need("token")
	m.Token = f.text("token")
}

func (m *Refresh) encode(e *encoder) { e.str("token", m.Token) }

func (m *Refreshed) encode(e *encoder) {
	e.int("expires", m.Expires)
	e.text("resume", m.Resume)
}

func (m *Refreshed) decode(f *fields) {
	m.Expires = f.integer("expires", 0)
	m.Resume = f.text("resume")
}

// Type names the message on the wire.
func (*Expiring) Type() Type { return TypeExpiring }

func (m *Expiring) encode(e *encoder) { e.int("at", m.At) }
func (m *Expiring) decode(f *fields)  { m.At = f.integer("at", 0) }
