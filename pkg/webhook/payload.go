package webhook

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// Payload is the body of a post.
type Payload struct {
	// Events are in the order in which they happened, those of one room at any rate.
	Events []Event `json:"events"`
}

// Event is something that happened in a room.
type Event struct {
	// ID is the same whenever the event is told.
	ID string `json:"id"`
	// Type is one of [store.HookKinds].
	Type string `json:"type"`
	App  string `json:"app"`
	Room string `json:"room"`
	// Epoch and Seq are the room's, as its clients and the server API see them.
	Epoch string    `json:"epoch"`
	Seq   int64     `json:"seq"`
	Time  time.Time `json:"time"`
	// Data is by Type a RoomData, PeerData or the outcome of a call as package room has it.
	Data any `json:"data"`
}

// RoomData is the data of room.created and room.full (capacity), and of room.closed (reason: empty, closed or expired, text and duration).
type RoomData struct {
	Capacity int    `json:"capacity,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Text is what who closed the room says about it.
	Text string `json:"text,omitempty"`
	// Duration is how long the room was there, in milliseconds.
	Duration *int64 `json:"duration,omitempty"`
}

// PeerData is the data of peer.joined and peer.left.
type PeerData struct {
	Peer string `json:"peer"`
	User string `json:"user"`
	Name string `json:"name,omitempty"`
	// Reason is why the peer has left, as in the left-peer event of the protocol, By who did it, if another peer did, and Text what was
	// said about it.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	Text   string `json:"text,omitempty"`
	// Duration is how long the peer had its seat, in milliseconds; absent where that is not known.
	Duration *int64 `json:"duration,omitempty"`
}

// stored is what an outbox has of an event, see [store.HookEvent].
type stored struct {
	Capacity int
	Reason   string
	Text     string
	Duration *int64
	Peer     string
	Profile  struct{ User, Name string }
	Event    struct{ Peer, Reason, By, Text string }
}

// newEvent makes an event's public form.
func newEvent(e *store.HookEvent) (Event, error) {
	event := Event{
		ID: e.ID, Type: e.Kind, App: e.Room.App, Room: e.Room.Name, Epoch: e.Epoch, Seq: e.Seq, Time: e.Time.UTC(),
		Data: json.RawMessage(e.Data),
	}
	if e.Kind == store.HookCallOutcome {
		return event, nil
	}
	var d stored
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return event, fmt.Errorf("webhook: an event's data: %w", err)
	}
	switch e.Kind {
	case store.HookPeerJoined:
		event.Data = PeerData{Peer: d.Peer, User: d.Profile.User, Name: d.Profile.Name}
	case store.HookPeerLeft:
		event.Data = PeerData{
			Peer: d.Event.Peer, User: d.Profile.User, Name: d.Profile.Name, Reason: d.Event.Reason, By: d.Event.By, Text: d.Event.Text,
			Duration: d.Duration,
		}
	default:
		event.Data = RoomData{Capacity: d.Capacity, Reason: d.Reason, Text: d.Text, Duration: d.Duration}
	}
	return event, nil
}

// encode makes the body of a post, and its id: the same for the same events.
func encode(entries []store.OutboxEntry) (id string, body []byte, err error) {
	payload := Payload{Events: make([]Event, 0, len(entries))}
	hash := sha256.New()
	for i := range entries {
		event, err := newEvent(entries[i].Event)
		if err != nil {
			return "", nil, err
		}
		payload.Events = append(payload.Events, event)
		_, _ = io.WriteString(hash, event.ID+"\n")
	}
	body, err = json.Marshal(payload)
	return "batch_" + base32.StdEncoding.EncodeToString(hash.Sum(nil))[:26], body, err
}
