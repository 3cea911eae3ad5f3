package store

import (
	"encoding/json"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// ErrFenced is the refusal of a call for a seat that another connection holds, or none. The caller has lost the seat (its
// node was thought dead, or the session moved) and must not speak for it any more.
var ErrFenced = errors.New("store: the seat is held by another connection")

// ErrSuperseded is the refusal of a call that would take a seat from a later connection of the same session.
var ErrSuperseded = errors.New("store: a later connection of the session holds the seat")

// The types of events that are not for clients.
const (
	// TypeFenced tells a node that the seat of peer To was taken over: its connection holds it no more. See [FencedBy].
	TypeFenced = "fenced"
	// TypeEpoch begins a room's next epoch: what was known of the room is void.
	TypeEpoch = "epoch"
)

// The reserved state keys. They hold `true` while a moderator has muted the peer; [Store.Control]
// alone writes them, and neither [Join] nor [SetState] may carry them.
const (
	StateMutedAudio = wire.StateMutedAudio
	StateMutedVideo = wire.StateMutedVideo
)

// Room names a room. App matches ^[a-z0-9][a-z0-9-]{0,62}$ and Name ^[A-Za-z0-9._~-]{1,128}$; the
// caller has checked that, a call with another name is refused with bad_request.
type Room struct {
	App, Name string
}

// Seat names a peer's seat in a room and the connection that speaks for it. Peer and Node are 1 to 64
// printable ASCII characters without space, ':', '*', '"' and '\\', and not "-" alone; a call with others
// is refused with bad_request.
type Seat struct {
	Room Room
	Peer string
	Node string
	// Generation orders the connections of one session: the seat is the latest one's. It is not below 0.
	Generation int64
	// Operator is set in place of Peer, Node and Generation for a call of the platform itself, see [ErrNoRoom].
	Operator bool
	// Span is that of the client's request where it is traced, else nil: the call becomes a part of its trace.
	Span trace.Span
}

// State maps top-level keys to raw JSON values, of a peer or of a room's properties. In a change, a
// value of null removes the key; keys that are not named stay as they are. The values must be valid
// JSON: the store passes them on unread.
type State map[string]json.RawMessage

// Join takes a seat, and makes the room when it is missing.
type Join struct {
	Seat
	// Request is the number of the client's request, 0 for none. It is noted when the seat is new: what the client asked for
	// an earlier seat in the room does not take effect again.
	Request int64
	// Profile is the peer's JSON object {"user":"..","name":".."}. The store does not look into it.
	Profile []byte
	// State is the peer's first state. The caller has checked its size.
	State State
	// Capacity is the number of seats that the room gets if this call makes it, at least 1.
	Capacity int
	// Moderator passes a locked door, and is let in without asking. It never passes a full room.
	Moderator bool
	// FirstModerates makes a moderator of who takes the room's first seat.
	FirstModerates bool
	// NoCreate refuses to make the room.
	NoCreate bool
	// Wait takes a place in the queue where there is no seat, or where it has to be let in.
	Wait bool
	// Waited is the place that the peer has in the queue, where its node asks for the seat again: if Redis has lost it, it is put back.
	// nil for a peer that asks for the first time.
	Waited *Waited
	// Rules are those of the room that this call makes; Waiting counts also in a room that has none.
	Rules Rules
	// EventHead and EventTail are the joined-peer event's JSON object, cut where the seat's order
	// (a number) belongs. Head starts with {"type":"joined-peer".
	EventHead, EventTail []byte
	// Grace is how long the seat is kept, away, when its connection is lost; 0 gives it up at once.
	Grace time.Duration
	// Back is the back-peer event's JSON object without seq, for a seat that the session has and that is away.
	Back []byte
	// SameUser is how the profile of the same user begins, in its JSON text; seats of such profiles are given up in favour of
	// this one. Empty lets them be.
	SameUser []byte
	// Before is a peer whose seat is given up, too: the same client, whose session did not go on. It may be empty.
	Before string
	// ReplacedHead and ReplacedTail are the left-peer event of such a seat, cut inside the quotes where the peer's id belongs.
	ReplacedHead, ReplacedTail []byte
	// Hooks has what happens in the room told to webhooks, if this call makes it: see outbox.go.
	Hooks bool
}

// Left is the answer to a leave.
type Left struct {
	// Seq is the number of the event by which the others are told, or of the room's last one.
	Seq int64
	// Repeated says that the request had taken effect before, maybe for an earlier seat: Seq is of then, and the seat, if there is one,
	// stays. Numbers of two epochs cannot be compared, so Seq alone does not tell.
	Repeated bool
}

// Leave gives a seat up.
type Leave struct {
	Seat
	// Request is as in [Send].
	Request int64
	// Event is the left-peer event's JSON object without seq.
	Event []byte
}

// Lose notes that a seat's connection is lost.
type Lose struct {
	Seat
	// Away is the away-peer event's JSON object without seq, and Left the left-peer event's, for a seat without a grace.
	Away, Left []byte
}

// Resume gives a seat to a new connection of its session.
type Resume struct {
	Seat
	// Epoch and Seq are those of the last event that the client has seen.
	Epoch string
	Seq   int64
	// Back is the back-peer event's JSON object without seq.
	Back []byte
	// Members asks for all members of the room, also where what was missed is known.
	Members bool
}

// Resumed is what became of a [Resume].
type Resumed struct {
	// Request is the number of the client's last request that took effect in the room, 0 if none is known.
	Request int64
	// Known tells whether all that the client missed is known: Missed has it, in order, and the snapshot has no other member
	// than the peer, unless all were asked for. Otherwise the client has to start over from the snapshot.
	Known    bool
	Missed   []Event
	Snapshot *Snapshot
}

// Send relays one message, to one peer or to all.
type Send struct {
	Seat
	// Request is the number of the client's request, by which it takes effect once; 0 for none.
	Request int64
	// To is the receiver's peer id; empty for everybody in the room.
	To string
	// Type is the event's type, the same word as in Event.
	Type string
	// Echo has a message to everybody reach the sender too.
	Echo bool
	// Volatile skips the room's log: the message is delivered at most once.
	Volatile bool
	// Event is the event's JSON object without seq; it starts with {"type":".
	Event []byte
}

// SetState merges into the peer's own state.
type SetState struct {
	Seat
	// Request is as in [Send].
	Request int64
	// State is what to set, and with null what to remove.
	State State
	// MaxKeys and MaxBytes bound the state after the merge; bytes are those of its keys and raw
	// values. 0 is no bound.
	MaxKeys, MaxBytes int
	// Event is the state event's JSON object without seq.
	Event []byte
}

// UpdateRoom changes a room's own fields, if its version is still the given one. Nil fields stay.
type UpdateRoom struct {
	Seat
	// Request is as in [Send].
	Request int64
	// Version is the room's version that the caller has seen.
	Version int64
	// Capacity is the new number of seats, at least 1. Fewer than are taken sends nobody away.
	Capacity *int
	// Locked keeps all but moderators from joining.
	Locked *bool
	// Presenter is the id of a peer in the room, or empty for none.
	Presenter *string
	// Properties is merged into the room's properties; null removes a key.
	Properties State
	// MaxKeys and MaxBytes bound the properties after the merge, as in [SetState].
	MaxKeys, MaxBytes int
	// Spotlight is raw JSON, null to clear it, nil to leave it.
	Spotlight json.RawMessage
	// EventHead and EventTail are the room event's JSON object, cut where the new version (a number)
	// belongs.
	EventHead, EventTail []byte
}

// Action is what [Control] does.
type Action string

// The actions of [Control].
const (
	ActionMute   Action = wire.ActionMute
	ActionUnmute Action = wire.ActionUnmute
	ActionKick   Action = wire.ActionKick
)

// Media is what is muted.
type Media string

// The media of [Control]: the values are the reserved state keys' endings.
const (
	MediaAudio Media = wire.KindAudio
	MediaVideo Media = wire.KindVideo
)

// Control acts on one peer or on all but the caller. The caller's permission is checked above.
type Control struct {
	Seat
	// Request is as in [Send].
	Request int64
	Action  Action
	// Media says what is muted or unmuted; a kick has none.
	Media Media
	// Target is a peer's id; empty for everybody but the caller.
	Target string
	// Event is the one control event of a mute or unmute, a JSON object without seq.
	Event []byte
	// EventHead and EventTail are a kick's left-peer event, one for each kicked peer, cut inside the
	// quotes where the peer's id belongs.
	EventHead, EventTail []byte
}

// Controlled is what became of a call in a room, all of one instant.
type Controlled struct {
	// Epoch and Seq are those of the room's last event, which the call has told if it has told any.
	Epoch string
	Seq   int64
	// Affected is how many peers it was applied to.
	Affected int
}

// Look asks for a snapshot.
type Look struct {
	Room Room
	// Members asks for the member list, not only for the room's fields and the count.
	Members bool
	// As, if set, requires that this seat is taken and held by its node: not_member or ErrFenced
	// otherwise. Its Room is not read.
	As *Seat
}

// Member is one seat of a snapshot.
type Member struct {
	ID string
	// Generation is that of the connection that holds the seat, or held it last.
	Generation int64
	// Order rises by one with every new seat of the room and is never used twice in an epoch.
	Order int64
	// Node holds the seat; "-" while it is away.
	Node string
	// Away is set while the peer's connection is lost and its seat is kept.
	Away    bool
	Profile []byte
	// State is nil when the peer has none.
	State State
	// Entered is what webhooks tell the seat by, empty in a room of which they do not: when it was taken, and an id.
	Entered string
}

// Snapshot is a room at one instant. The receiver of a snapshot owns it.
type Snapshot struct {
	// Found is false for a room that does not exist; all else but Room is then zero.
	Found bool
	Room  Room
	// Epoch names this life of the room: another epoch means that sequence numbers began again.
	Epoch string
	// Seq is the number of the last event that the snapshot includes.
	Seq             int64
	Capacity, Count int
	// Version rises with each change of the room's own fields; it guards [UpdateRoom].
	Version int64
	Locked  bool
	// Presenter is the presenting peer's id, empty for none.
	Presenter string
	// Properties is nil when there are none, Spotlight when there is none.
	Properties State
	Spotlight  json.RawMessage
	// Created is when the room was made, by Redis' clock, to the millisecond.
	Created time.Time
	// Rules is the room's field of that name without who waits, "" for none: it is for [Restore].
	Rules string
	// Waiting is who waits for a seat, in order; nil when members were only counted.
	Waiting []Waiting
	// Place is set in place of a seat for who has to wait.
	Place *Place
	// Hooks is the room's life by which webhooks tell of it, empty where they do not.
	Hooks string
	// Members is sorted by Order; nil when only counted.
	Members []Member
	// New is set by a join that took the seat, not by one that found it taken by the same node.
	New bool
	// Order is the joiner's own order, set by a join only.
	Order int64
}
