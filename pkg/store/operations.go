package store

import (
	"bytes"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Join takes a seat, or with Wait a place in the queue: the snapshot has a Place then. Refusals: [ErrNoRoom] when it may not be made, room_full, room_locked, unavailable while lost seats are put back, ErrSuperseded when a
// later connection of the session holds the seat, ErrLapsed when the node was given up. A seat that the session has already
// is the caller's from then on, and answered with the snapshot, New unset.
func (s *Store) Join(j Join, done func(*Snapshot, error)) {
	if err := j.check(); err != nil {
		done(nil, err)
		return
	}
	epoch := newEpoch()
	c := s.newCall(s.scripts.join, j.Seat, j.Request, func(reply []any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		snapshot, err := decodeSnapshot(j.Room, j.Peer, reply)
		if err == nil && waits(reply) {
			snapshot.Place = decodePlace(reply)
		}
		done(snapshot, err)
	})
	c.addBytes(j.Profile)
	c.add(j.State.encode(), strconv.Itoa(j.Capacity), j.mode(), epoch)
	c.addBytes(j.EventHead, j.EventTail)
	c.add(milliseconds(j.Grace))
	c.addBytes(j.Back)
	c.add(milliseconds(s.opts.RecoveryTime), lifeOf(epoch, j.Hooks), j.Rules.encode())
	c.add(j.Waited.arguments()...)
	if len(j.SameUser) > 0 || j.Before != "" {
		c.addBytes(j.SameUser, j.ReplacedHead, j.ReplacedTail)
		c.add(j.Before)
	}
	s.router.submit(c)
}

// mode is what the script has to know of the joiner.
func (j *Join) mode() string {
	mode := ""
	if j.Moderator {
		mode += "m"
	}
	if j.FirstModerates {
		mode += "k"
	}
	if !j.NoCreate {
		mode += "c"
	}
	if j.Wait {
		mode += "w"
	}
	if j.Waited != nil && j.Waited.Admitted {
		mode += "l"
	}
	return mode
}

func (j *Join) check() error {
	if err := j.Seat.check(); err != nil {
		return err
	}
	if j.Before != "" && !validID(j.Before) {
		return wire.Errorf(wire.CodeBadRequest, "not a peer's id")
	}
	if j.Capacity < 1 {
		return wire.Errorf(wire.CodeBadRequest, "a capacity of %d", j.Capacity)
	}
	if j.Grace < 0 {
		return wire.Errorf(wire.CodeBadRequest, "a grace of %v", j.Grace)
	}
	if j.State.reserved() {
		return refusal(string(wire.CodeForbidden))
	}
	if err := j.Waited.check(); err != nil {
		return err
	}
	return checkEvent(j.EventHead, j.EventTail)
}

// Leave gives a seat up and tells the others. The last one to leave removes the room; nothing is then told
// and Seq is that of the room's last event. Refusals: not_member, ErrFenced, outcome_unknown.
func (s *Store) Leave(l Leave, done func(left Left, err error)) {
	err := l.Seat.check()
	if err == nil {
		err = checkEvent(l.Event, nil)
	}
	if err != nil {
		done(Left{}, err)
		return
	}
	c := s.newCall(s.scripts.leave, l.Seat, l.Request, func(reply []any, err error) {
		done(Left{Seq: integer(reply, 1), Repeated: at(reply, 0) == statusRepeated}, err)
	})
	c.addBytes(l.Event)
	s.router.submit(c)
}

// Lose notes that a seat's connection is lost: it is away for its grace, or given up if it has none. Refusals: not_member,
// ErrFenced.
func (s *Store) Lose(l Lose, done func(seq int64, err error)) {
	err := l.Seat.check()
	if err == nil {
		err = checkEvent(l.Away, nil)
	}
	if err == nil {
		err = checkEvent(l.Left, nil)
	}
	if err != nil {
		done(0, err)
		return
	}
	c := s.newCall(s.scripts.lose, l.Seat, 0, answerSeq(done))
	c.addBytes(l.Away, l.Left)
	s.router.submit(c)
}

// Resume takes a seat over from an earlier connection of its session, and tells what the client has missed. Refusals:
// not_member when the seat is no more, ErrSuperseded, ErrLapsed.
func (s *Store) Resume(r Resume, done func(*Resumed, error)) {
	err := r.Seat.check()
	if err == nil && (!validID(r.Epoch) || r.Seq < 0) {
		err = wire.Errorf(wire.CodeBadRequest, "not a place in a room's order")
	}
	if err == nil {
		err = checkEvent(r.Back, nil)
	}
	if err != nil {
		done(nil, err)
		return
	}
	c := s.newCall(s.scripts.resume, r.Seat, 0, func(reply []any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		if waits(reply) {
			snapshot, err := decodeSnapshot(r.Room, r.Peer, reply)
			if err == nil {
				snapshot.Place = decodePlace(reply)
			}
			done(&Resumed{Snapshot: snapshot}, err)
			return
		}
		resumed := &Resumed{Request: integer(reply, 3), Known: integer(reply, 4) == 1}
		if resumed.Snapshot, err = decodeSnapshot(r.Room, r.Peer, reply); err == nil {
			resumed.Missed, err = s.decodeRecords(r.Room, at(reply, 5))
		}
		if err != nil {
			done(nil, err)
			return
		}
		done(resumed, nil)
	})
	c.add(r.Epoch, strconv.FormatInt(r.Seq, 10))
	c.addBytes(r.Back)
	c.add(newEpoch(), flag(r.Members))
	s.router.submit(c)
}

// Send relays a message and gives its sequence number. Refusals: not_member, peer_gone, ErrFenced, outcome_unknown.
func (s *Store) Send(m Send, done func(seq int64, err error)) {
	if err := m.check(); err != nil {
		done(0, err)
		return
	}
	to, except := m.To, noPeer
	if to == "" {
		to = everybody
		if !m.Echo {
			except = m.Peer
		}
	}
	s.router.submit(s.newMessage(m, to, except, answerSeq(done)))
}

func (m *Send) check() error {
	if err := m.Seat.check(); err != nil {
		return err
	}
	if m.To != "" && !validID(m.To) {
		return wire.Errorf(wire.CodeBadRequest, "not a peer id")
	}
	if !validType(m.Type) {
		return wire.Errorf(wire.CodeBadRequest, "not an event type")
	}
	return checkEvent(m.Event, nil)
}

// SetState merges into the peer's state and tells the others. Refusals: not_member, ErrFenced, too_large,
// forbidden for the reserved keys, outcome_unknown.
func (s *Store) SetState(m SetState, done func(seq int64, err error)) {
	err := m.Seat.check()
	if err == nil {
		err = checkEvent(m.Event, nil)
	}
	if err != nil {
		done(0, err)
		return
	}
	c := s.newCall(s.scripts.state, m.Seat, m.Request, answerSeq(done))
	c.add(strconv.Itoa(m.MaxKeys), strconv.Itoa(m.MaxBytes))
	c.addBytes(m.Event)
	c.addState(m.State)
	s.router.submit(c)
}

// UpdateRoom changes the room and tells everybody, the caller too. Refusals: not_member, ErrFenced, conflict
// (version is then the current one), peer_gone when the presenter has no seat, too_large, outcome_unknown. A request that
// comes again is answered with version 0 when that is not known any more.
func (s *Store) UpdateRoom(u UpdateRoom, done func(seq, version int64, err error)) {
	if err := u.check(); err != nil {
		done(0, 0, err)
		return
	}
	c := s.newCall(s.scripts.room, u.Seat, u.Request, func(reply []any, err error) {
		done(integer(reply, 1), integer(reply, 2), err)
	})
	var capacity, locked, presenter string
	if u.Capacity != nil {
		capacity = strconv.Itoa(*u.Capacity)
	}
	if u.Locked != nil {
		locked = flag(*u.Locked)
	}
	if u.Presenter != nil {
		if presenter = *u.Presenter; presenter == "" {
			presenter = noPeer
		}
	}
	c.add(strconv.FormatInt(u.Version, 10), capacity, locked, presenter, compact(u.Spotlight),
		strconv.Itoa(u.MaxKeys), strconv.Itoa(u.MaxBytes))
	c.addBytes(u.EventHead, u.EventTail)
	c.addState(u.Properties)
	s.router.submit(c)
}

func (u *UpdateRoom) check() error {
	if err := u.Seat.checkActor(); err != nil {
		return err
	}
	if u.Capacity != nil && *u.Capacity < 1 {
		return wire.Errorf(wire.CodeBadRequest, "a capacity of %d", *u.Capacity)
	}
	if u.Presenter != nil && *u.Presenter != "" && !validID(*u.Presenter) {
		return wire.Errorf(wire.CodeBadRequest, "not a peer id")
	}
	return checkEvent(u.EventHead, u.EventTail)
}

// Control mutes, unmutes or kicks. With nobody affected nothing is told to anybody. A request that comes again is answered
// without an epoch, and with nobody affected when the number is not known any more. Refusals: not_member, ErrFenced, peer_gone,
// outcome_unknown.
func (s *Store) Control(m Control, done func(Controlled, error)) {
	if err := m.check(); err != nil {
		done(Controlled{}, err)
		return
	}
	c := s.newCall(s.scripts.control, m.Seat, m.Request, answerControlled(done))
	key, target := StateMutedAudio, m.Target
	if m.Media == MediaVideo {
		key = StateMutedVideo
	}
	if target == "" {
		target = everybody
	}
	c.add(string(m.Action), key, target)
	c.addBytes(m.Event, m.EventHead, m.EventTail)
	s.router.submit(c)
}

func (m *Control) check() error {
	if err := m.Seat.checkActor(); err != nil {
		return err
	}
	if m.Target != "" && !validID(m.Target) {
		return wire.Errorf(wire.CodeBadRequest, "not a peer id")
	}
	switch m.Action {
	case ActionMute, ActionUnmute:
		if m.Media != MediaAudio && m.Media != MediaVideo {
			return wire.Errorf(wire.CodeBadRequest, "nothing that can be muted")
		}
		return checkEvent(m.Event, nil)
	case ActionKick:
		return checkEvent(m.EventHead, m.EventTail)
	}
	return wire.Errorf(wire.CodeBadRequest, "not an action")
}

// Snapshot reads a room. A room that does not exist is not an error: Found is false. Refusals, with As set:
// not_member, ErrFenced.
func (s *Store) Snapshot(l Look, done func(*Snapshot, error)) {
	seat := Seat{Room: l.Room}
	err := l.Room.check()
	if l.As != nil {
		seat = *l.As
		seat.Room = l.Room
		if err == nil {
			err = seat.check()
		}
	}
	if err != nil {
		done(nil, err)
		return
	}
	c := s.newCall(s.scripts.snapshot, seat, 0, func(reply []any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(decodeSnapshot(l.Room, "", reply))
	})
	c.add(flag(l.Members))
	s.router.submit(c)
}

// lifeOf names a room's life by its first epoch where webhooks are to tell of it.
func lifeOf(epoch string, hooks bool) string {
	if hooks {
		return epoch
	}
	return ""
}

// newEpoch names a room's life at random, so that nobody takes a new life for the old one.
func newEpoch() string { return rand.Text()[:12] }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// answerSeq is the answer of a script that gives one sequence number.
func answerSeq(done func(int64, error)) func([]any, error) {
	return func(reply []any, err error) { done(integer(reply, 1), err) }
}

// answerControlled is the answer of scripts whose reply has the room's last event, how many peers are affected, and the epoch.
func answerControlled(done func(Controlled, error)) func([]any, error) {
	return func(reply []any, err error) {
		epoch, _ := at(reply, 3).(string)
		done(Controlled{Epoch: epoch, Seq: integer(reply, 1), Affected: int(integer(reply, 2))}, err)
	}
}

// checkEvent checks that an event's object, maybe in two parts, is what a record can carry.
func checkEvent(head, tail []byte) error {
	end := tail
	if len(end) == 0 {
		end = head
	}
	if !bytes.HasPrefix(head, []byte(bodyStart)) || !bytes.HasSuffix(end, []byte("}")) {
		return wire.Errorf(wire.CodeInternal, "not an event")
	}
	return nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
