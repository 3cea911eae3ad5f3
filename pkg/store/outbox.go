package store

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The kinds of what webhooks tell.
const (
	HookRoomCreated = "room.created"
	HookRoomClosed  = "room.closed"
	HookRoomFull    = "room.full"
	HookPeerJoined  = "peer.joined"
	HookPeerLeft    = "peer.left"
	HookCallOutcome = "call.outcome"
)

// HookKinds are all of them.
var HookKinds = []string{HookRoomCreated, HookRoomClosed, HookRoomFull, HookPeerJoined, HookPeerLeft, HookCallOutcome}

// HookEvent is something that webhooks are to tell. It is written in the same script as the change that it tells of.
type HookEvent struct {
	// ID is the same however often the event is told: a seat has one for its beginning and one for its end, a room too. Those
	// of one seat, and those of one room, are the same but for the kind behind the last '-'.
	ID   string
	Room Room
	// Epoch and Seq are the room's after the change.
	Epoch string
	Seq   int64
	Kind  string
	// Time is when it happened, by Redis' clock.
	Time time.Time
	// Data is a JSON object, by kind:
	//
	//	room.created  {"capacity":n}
	//	room.full     {"capacity":n}
	//	room.closed   {"reason":"empty" or "closed","duration":ms}
	//	peer.joined   {"peer":"..","profile":{..}}
	//	peer.left     {"profile":{..},"event":{the left-peer event},"duration":ms}; duration is missing where it is not known
	//	call.outcome  as given to [Store.Report]
	Data []byte
}

var errHookEvent = errors.New("store: not an event for webhooks")

// hookFields is the number of an entry's fields: "1 <id> <app>/<room> <epoch> <seq> <kind> <unix ms> <data>".
const hookFields = 8

func parseHookEvent(text string) (HookEvent, error) {
	parts := strings.SplitN(text, " ", hookFields)
	if len(parts) != hookFields || parts[0] != recordVersion {
		return HookEvent{}, errHookEvent
	}
	app, room, _ := strings.Cut(parts[2], "/")
	seq, err := strconv.ParseInt(parts[4], 10, 64)
	at, err2 := strconv.ParseInt(parts[6], 10, 64)
	e := HookEvent{
		ID: parts[1], Room: Room{App: app, Name: room}, Epoch: parts[3], Seq: seq, Kind: parts[5],
		Time: time.UnixMilli(at), Data: []byte(parts[7]),
	}
	if err != nil || err2 != nil || e.Room.check() != nil {
		return HookEvent{}, errHookEvent
	}
	return e, nil
}

// validEntered checks what a seat is told by: "<unix ms> <epoch>-<seq>-<peer>", or nothing.
func validEntered(entered, peer string) bool {
	if entered == "" {
		return true
	}
	since, id, _ := strings.Cut(entered, " ")
	_, err := strconv.ParseInt(since, 10, 64)
	return err == nil && strings.HasSuffix(id, "-"+peer) && !strings.Contains(id, " ")
}

// Report is what a client tells of its call.
type Report struct {
	Seat
	// Request is the number of the client's request: with one it takes effect once; 0 for none.
	Request int64
	// ID makes the event's: it is the same when the report is sent again.
	ID string
	// Data is a JSON object.
	Data []byte
}

// Report notes what a client says of its call, and has webhooks tell it, if they tell of its room. done learns whether it came before: then
// nothing is told. Refusals: not_member, ErrFenced.
func (s *Store) Report(r Report, done func(again bool, err error)) {
	err := r.Seat.check()
	if err == nil && !validID(r.ID) {
		err = wire.Errorf(wire.CodeBadRequest, "not an id")
	}
	if err != nil {
		done(false, err)
		return
	}
	c := s.newCall(s.scripts.report, r.Seat, r.Request, func(reply []any, err error) { done(integer(reply, 1) == 1, err) })
	c.add(r.ID)
	c.addBytes(r.Data)
	s.router.submit(c)
}
