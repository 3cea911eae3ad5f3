package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Keep relays a message to everybody, and keeps it for those who join later, as long as the room lasts.
type Keep struct {
	Seat
	// Request is as in [Send].
	Request int64
	// Topic is [wire.TopicChat] or [wire.TopicWhiteboard]: what is kept of each has bounds of its own.
	Topic string
	// Echo has the message reach the sender too.
	Echo bool
	// Profile is the sender's, as in [Join]: it may have left by the time that somebody reads the message.
	Profile []byte
	// EventHead is the message event up to its time, a number, behind which the data follows and the object ends.
	EventHead []byte
	Data      json.RawMessage
	// Most and MostBytes bound what is kept of the topic; the oldest messages go. The last one stays.
	Most, MostBytes int
}

// Placed is where a call for what is kept stands in the room's order. Of one that took effect before there is no epoch.
type Placed struct {
	Epoch string
	Seq   int64
	// Dropped is how many older messages went for one that is kept, Of the number of the message that was taken back, 0 for none.
	Dropped int
	Of      int64
}

// answerPlaced is the answer of scripts whose reply has the room's last event, a number, and the epoch.
func answerPlaced(done func(Placed, error), number func(*Placed, int64)) func([]any, error) {
	return func(reply []any, err error) {
		placed := Placed{Seq: integer(reply, 1)}
		placed.Epoch, _ = at(reply, 3).(string)
		number(&placed, integer(reply, 2))
		done(placed, err)
	}
}

// Keep relays a message that is kept. Refusals: as of [Store.Send], but peer_gone.
func (s *Store) Keep(m Keep, done func(Placed, error)) {
	if err := m.check(); err != nil {
		done(Placed{}, err)
		return
	}
	except := noPeer
	if !m.Echo && !m.Operator {
		except = m.Peer
	}
	c := s.newKeptCall(s.scripts.keep, m.Seat, m.Topic, m.Request, answerPlaced(done, func(p *Placed, dropped int64) { p.Dropped = int(dropped) }))
	c.add(except)
	c.addBytes(m.EventHead, m.Data, m.Profile)
	c.add(strconv.Itoa(m.Most), strconv.Itoa(m.MostBytes))
	s.router.submit(c)
}

func (m *Keep) check() error {
	err := m.checkActor()
	if err == nil {
		err = checkTopic(m.Topic)
	}
	if err == nil && (m.Most < 1 || m.MostBytes < 1 || len(m.Data) == 0) {
		err = wire.Errorf(wire.CodeBadRequest, "nothing to keep")
	}
	if err == nil && !bytes.HasPrefix(m.EventHead, []byte(bodyStart)) {
		err = wire.Errorf(wire.CodeInternal, "not an event")
	}
	return err
}

// checkTopic keeps names that the scripts make keys of to those that an end of the room removes.
func checkTopic(topic string) error {
	if !slices.Contains(wire.KeptTopics, topic) {
		return wire.Errorf(wire.CodeBadRequest, "not a topic of which messages are kept")
	}
	return nil
}

// newKeptCall makes a call for what is kept of a topic.
func (s *Store) newKeptCall(script *script, seat Seat, topic string, request int64, answer func([]any, error)) *call {
	p := &s.partitions[partitionOf(seat.Room, len(s.partitions))]
	c := s.newCall(script, seat, request, answer, p.kept(seat.Room, topic))
	c.add(topic)
	return c
}

// Erase takes back what is kept of a topic.
type Erase struct {
	Seat
	// Request is as in [Send].
	Request int64
	Topic   string
	// All erases everything. Otherwise Of is the number of the message, 0 for the caller's last one.
	All bool
	Of  int64
	// Any lets the caller erase what others have said.
	Any bool
	// EventHead and EventTail are the event, cut where the number of the message belongs; with All, EventHead is the whole.
	EventHead, EventTail []byte
}

// Erase takes back kept messages and tells everybody; if there was nothing, nothing is told. Refusals: not_member, [ErrFenced], forbidden
// for a message of somebody else, outcome_unknown.
func (s *Store) Erase(e Erase, done func(Placed, error)) {
	if err := e.check(); err != nil {
		done(Placed{}, err)
		return
	}
	c := s.newKeptCall(s.scripts.erase, e.Seat, e.Topic, e.Request, answerPlaced(done, func(p *Placed, of int64) { p.Of = of }))
	what := "last"
	switch {
	case e.All:
		what = "all"
	case e.Of > 0:
		what = strconv.FormatInt(e.Of, 10)
	}
	c.add(what, flag(e.Any))
	c.addBytes(e.EventHead, e.EventTail)
	s.router.submit(c)
}

func (e *Erase) check() error {
	err := e.checkActor()
	if err == nil {
		err = checkTopic(e.Topic)
	}
	if err == nil && e.Of < 0 {
		err = wire.Errorf(wire.CodeBadRequest, "a message %d", e.Of)
	}
	if err == nil {
		err = checkEvent(e.EventHead, e.EventTail)
	}
	return err
}

// Kept is a message that was kept.
type Kept struct {
	Seq int64
	// Time is when Redis took it, to the millisecond.
	Time time.Time
	// Peer is the sender's id, empty for the operator, and Profile its profile, as it was.
	Peer    string
	Profile []byte
	Data    json.RawMessage
}

// History is what is kept of a topic, the last messages, the oldest first.
type History struct {
	// Seq and Epoch are the room's: what comes after Seq is told by events.
	Seq   int64
	Epoch string
	// Dropped is how many messages went because there were too many.
	Dropped  int64
	Messages []Kept
}

// History gives the last messages that are kept of a topic, at most so many, and with a number above 0 those before the message of that
// number. Refusals: not_member, [ErrFenced], and for the operator [ErrNoRoom].
func (s *Store) History(seat Seat, topic string, before int64, most int, done func(*History, error)) {
	err := seat.checkActor()
	if err == nil {
		err = checkTopic(topic)
	}
	if err == nil && (most < 1 || before < 0) {
		err = wire.Errorf(wire.CodeBadRequest, "no messages")
	}
	if err != nil {
		done(nil, err)
		return
	}
	c := s.newKeptCall(s.scripts.history, seat, topic, 0, func(reply []any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(decodeHistory(reply))
	})
	c.add(strconv.Itoa(most), strconv.FormatInt(before, 10))
	s.router.submit(c)
}

func decodeHistory(reply []any) (*History, error) {
	h := &History{Seq: integer(reply, 1), Dropped: integer(reply, 3)}
	h.Epoch, _ = at(reply, 2).(string)
	entries, _ := at(reply, 4).([]any)
	h.Messages = make([]Kept, 0, len(entries))
	for _, entry := range entries {
		text, _ := entry.(string)
		kept, err := decodeKept(text)
		if err != nil {
			return nil, wire.Errorf(wire.CodeInternal, "what the store has kept is damaged")
		}
		h.Messages = append(h.Messages, kept)
	}
	return h, nil
}

var errKept = errors.New("not a kept message")

// decodeKept reads "<seq> <time> <peer or -> <length of the profile> <profile><data>".
func decodeKept(entry string) (Kept, error) {
	var numbers [3]int64
	var kept Kept
	rest := []byte(entry)
	for i := range 4 {
		field, behind, ok := bytes.Cut(rest, []byte{' '})
		if !ok {
			return Kept{}, errKept
		}
		rest = behind
		if i == 2 {
			kept.Peer = string(field)
			continue
		}
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return Kept{}, err
		}
		numbers[min(i, 2)] = n
	}
	length := numbers[2]
	if length < 0 || length > int64(len(rest)) {
		return Kept{}, errKept
	}
	if kept.Peer == noPeer {
		kept.Peer = operator
	}
	kept.Seq, kept.Time = numbers[0], time.UnixMilli(numbers[1])
	kept.Profile, kept.Data = rest[:length:length], rest[length:]
	return kept, nil
}
