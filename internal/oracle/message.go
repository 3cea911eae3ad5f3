package oracle

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Message is one that a scripted client sends: its payload says which.
type Message struct {
	// ID is of its own in the whole run.
	ID string

	client *Client
	kind   messageKind
	room   string
}

// messageKind says to whom.
type messageKind struct {
	to             string // a peer; "" is the room
	echo, volatile bool
}

// Send is what a message is to be.
type Send struct {
	Room string
	// To is a peer's id; to the whole room if empty.
	To string
	// Echo and Volatile are as in [wire.Publish].
	Echo, Volatile bool
}

// Sending notes that a message is about to be sent, after all those before it: a client's messages are recorded in the
// order in which it sends them.
func (c *Client) Sending(s Send) *Message {
	c.oracle.mu.Lock()
	c.sent++
	m := &Message{
		ID: fmt.Sprintf("%s-%d", c.name, c.sent), client: c, room: s.Room,
		kind: messageKind{to: s.To, echo: s.Echo, volatile: s.Volatile},
	}
	c.oracle.mu.Unlock()
	c.note(record{kind: sent, room: s.Room, msg: m})
	return m
}

const dataHead, dataFilling = `{"m":"`, `","filling":"`

// Data gives the payload, an object, with some filling.
func (m *Message) Data(filling int) []byte {
	return []byte(dataHead + m.ID + dataFilling + strings.Repeat("x", filling) + `"}`)
}

// idIn reads a payload; it gives "" for one that is none of ours.
func idIn(data []byte) string {
	rest, ok := bytes.CutPrefix(data, []byte(dataHead))
	if !ok {
		return ""
	}
	id, _, ok := bytes.Cut(rest, []byte(dataFilling))
	if !ok {
		return ""
	}
	return string(id)
}

// Sent notes the outcome: the number that the reply tells (0 if it does not), or an error. A refusal is certain if it is a
// [*wire.Error] itself and not retryable; after any other error the message may have been sent. So it may after not_member:
// a client that sends it again after a resume gets that if it has lost the seat since.
func (m *Message) Sent(seq int64, err error) {
	switch {
	case err == nil:
		m.client.note(record{kind: acked, room: m.room, msg: m, seq: seq})
	default:
		refusal := (*wire.Error)(nil)
		lostSeat := errors.As(err, &refusal) && refusal.Code == wire.CodeNotMember
		m.client.note(record{kind: failed, room: m.room, msg: m, text: err.Error(), refuse: certain(err) && !lostSeat})
	}
}

// what names the message in findings.
func (m *Message) what() string {
	if m.kind.to != "" {
		return "signal " + m.ID
	}
	return "message " + m.ID
}
