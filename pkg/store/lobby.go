package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Rules are what a room has of a policy, from its beginning on.
type Rules struct {
	// Keep is how long the room stays when nobody has a seat in it; 0 ends it at once.
	Keep time.Duration
	// Succession has the peer that is there and has been for the longest time become the presenter when the presenter leaves.
	Succession bool
	// Moderated has who is no moderator wait until one lets it in.
	Moderated bool
	// Waiting is how many may wait for a seat, or to be let in.
	Waiting int
}

// encode is the text of the room's field, without who waits.
func (r Rules) encode() string {
	return milliseconds(max(r.Keep, 0)) + " " + flag(r.Succession) + " " + flag(r.Moderated) + " " + strconv.Itoa(max(r.Waiting, 0))
}

// Waiting is somebody who waits for a seat.
type Waiting struct {
	ID   string
	Node string
	// Generation is that of the connection that waits, or did last.
	Generation int64
	// Moderated tells that it waits to be let in, not for a seat alone.
	Moderated bool
	// Away is set while its connection is lost and its place is kept.
	Away    bool
	Profile []byte
	// Arrived is as of [Place].
	Arrived int64
}

// Place is a place in the queue.
type Place struct {
	// Position begins with 1; 0 for who has been seated this moment, and is about to learn of it.
	Position int
	// Count is how many wait.
	Count int
	// Moderated is as of [Waiting].
	Moderated bool
	// Arrived rises from each place in the queue to the next. It is when who waits came, by Redis' clock in ms, or little more.
	Arrived int64
}

// Waited is a place in the queue that a node asks for again: see [Join]. Where Redis has lost it, which another epoch, or a room whose numbers
// have gone back, tell, the place is put back before those that came later, and the call is refused as unavailable, to be made again, as
// long as the partition's gate is shut. Else it is refused with not_member: the place was taken away.
type Waited struct {
	// Arrived is the [Place]'s.
	Arrived int64
	// Epoch and Seq are those of the last event at which the peer is known to have had the place.
	Epoch string
	Seq   int64
	// Admitted tells that the peer does not wait to be let in.
	Admitted bool
}

// arguments are what the script is told of it.
func (w *Waited) arguments() []string {
	if w == nil {
		return []string{"0", "", "0"}
	}
	return []string{strconv.FormatInt(w.Arrived, 10), w.Epoch, strconv.FormatInt(w.Seq, 10)}
}

func (w *Waited) check() error {
	if w != nil && (w.Arrived < 1 || !validID(w.Epoch) || w.Seq < 0) {
		return wire.Errorf(wire.CodeInternal, "not a place in a queue")
	}
	return nil
}

// The types of events about who waits that are not for clients.
const (
	// TypeAdmitted tells a node that peer To has a seat now: a [Store.Join] gives the snapshot.
	TypeAdmitted = "admitted"
	// TypeDenied tells a node that peer To waits no more, see [DeniedBy].
	TypeDenied = "denied"
	// TypeQueue tells a node who waits in the room, see [QueueOf].
	TypeQueue = "queue"
)

// DeniedBy reads why somebody waits no more, who did it, and what was said about it, from an event of type [TypeDenied].
func DeniedBy(event Event) (reason, by, text string) {
	var body struct{ Reason, By, Text string }
	_ = json.Unmarshal(event.Body, &body) // the script has made it
	return body.Reason, body.By, body.Text
}

// DeniedPlace reads which place an event of type [TypeDenied] is about, by when its peer had come.
func DeniedPlace(event Event) (arrived int64) {
	var body struct{ Arrived int64 }
	_ = json.Unmarshal(event.Body, &body) // the script has made it
	return body.Arrived
}

// QueueOf reads who waits, in order, from an event of type [TypeQueue], and whether each waits to be let in.
func QueueOf(event Event) (peers []string, moderated []bool) {
	var body struct{ Peers string }
	_ = json.Unmarshal(event.Body, &body) // the script has made it
	for _, place := range strings.Fields(body.Peers) {
		peer, why, _ := strings.Cut(place, ":")
		peers, moderated = append(peers, peer), append(moderated, why == "m")
	}
	return peers, moderated
}

// Admit lets somebody in who waits for it in a moderated room, or sends somebody away who waits.
type Admit struct {
	Seat
	// Request is as in [Send].
	Request int64
	// Deny sends away.
	Deny bool
	// Target is a peer's id; empty for all who wait.
	Target string
	// By is the moderator's id, empty for the operator.
	By string
}

// Admit lets in, or sends away. Refusals: not_member, [ErrFenced], peer_gone when the target does not wait for that, outcome_unknown.
func (s *Store) Admit(a Admit, done func(Controlled, error)) {
	err := a.checkActor()
	if err == nil && a.Target != "" && !validID(a.Target) || a.By != "" && !validID(a.By) {
		err = wire.Errorf(wire.CodeBadRequest, "not a peer id")
	}
	if err != nil {
		done(Controlled{}, err)
		return
	}
	c := s.newCall(s.scripts.admit, a.Seat, a.Request, answerControlled(done))
	action, target, by := "admit", a.Target, ""
	if a.Deny {
		action = "deny"
	}
	if target == "" {
		target = everybody
	}
	if a.By != "" {
		by = `,"by":"` + a.By + `"`
	}
	c.add(action, target, by)
	s.router.submit(c)
}

// Finish makes an end of some of a partition's rooms that nobody has had a seat in for as long as they stay, and of those whose time is
// over. It tells how many have ended, and how many are left. done is called as for the other calls.
func (s *Store) Finish(partition int, done func(finished, left int, err error)) {
	p, err := s.inPartition(partition)
	if err != nil {
		done(0, 0, err)
		return
	}
	c := s.partitionCall(s.scripts.finish, partition, noPeer, func(reply []any, err error) {
		done(int(integer(reply, 1)), int(integer(reply, 2)), err)
	}, p.ends(), p.holders())
	c.add(strconv.Itoa(maxReap))
	c.addBytes(wire.SplitLeft(wire.ReasonExpired))
	s.router.submit(c)
}

// decodePlace reads the reply of status waiting.
func decodePlace(reply []any) *Place {
	why, _ := at(reply, 5).(string)
	arrived, _ := at(reply, 6).(string)
	place := &Place{Position: int(integer(reply, 3)), Count: int(integer(reply, 4)), Moderated: why == "m"}
	place.Arrived, _ = strconv.ParseInt(arrived, 10, 64) // the script has made it
	return place
}

// waits reports whether a reply is that of somebody who waits.
func waits(reply []any) bool {
	status, _ := at(reply, 0).(string)
	return status == statusWaiting
}

// decodeWaiting reads "<node> <arrived> <status> <generation> <grace> <why> <lengths of profile, state and head> <profile>...".
func decodeWaiting(peer, record string) (Waiting, error) {
	parts := strings.SplitN(record, " ", 10)
	if len(parts) != 10 {
		return Waiting{}, fmt.Errorf("a place of %d parts", len(parts))
	}
	generation, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return Waiting{}, err
	}
	arrived, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return Waiting{}, err
	}
	length, err := strconv.Atoi(parts[6])
	if err != nil || length < 0 || length > len(parts[9]) {
		return Waiting{}, fmt.Errorf("a place with a profile of %q bytes", parts[6])
	}
	return Waiting{
		ID: peer, Node: parts[0], Generation: generation, Away: parts[2] == statusAway, Moderated: parts[5] == "m",
		Profile: []byte(parts[9][:length]), Arrived: arrived,
	}, nil
}
