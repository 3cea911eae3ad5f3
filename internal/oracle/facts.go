package oracle

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

type epochName struct{ room, id string }

// epoch is one life of a room, as all clients together saw it.
type epoch struct {
	epochName
	facts    map[int64]*fact
	firstAt  int // place of the first record that tells of it
	aliveAt  int // place of the last record at or after which it was alive for certain
	capacity int
	recapped bool // the capacity was changed
}

// fact is an event that somebody saw.
type fact struct {
	epoch    *epoch
	what     string
	seq      int64
	subject  string // a peer that is not told
	to       string // the only peer that is told; "" is everybody
	volatile bool
	msg      *fate
	by       string // who saw it first
}

func (r *replay) epoch(room, id string) *epoch {
	name := epochName{room, id}
	e := r.epochs[name]
	if e == nil {
		e = &epoch{epochName: name, facts: map[int64]*fact{}}
		r.epochs[name] = e
	}
	return e
}

// member is a peer as a client knows it.
type member struct {
	order int64
	away  bool
	state string
}

func membersOf(shot *wire.Snapshot) map[string]member {
	members := make(map[string]member, len(shot.Peers))
	for i := range shot.Peers {
		p := &shot.Peers[i]
		members[p.ID] = member{order: p.Order, away: p.Away, state: stateText(p.State)}
	}
	return members
}

// stateText is a state in one form. What moderators set comes by other events, and is left out.
func stateText(state wire.Object) string {
	text := ""
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if key != wire.StateMutedAudio && key != wire.StateMutedVideo && string(state[key]) != "null" {
			text += key + "=" + string(state[key]) + " "
		}
	}
	return text
}

// rises checks the number of an event.
func (r *replay) rises(s *stay, rec *record, what string) bool {
	switch {
	case rec.seq > s.last:
		return true
	case rec.seq == s.last && len(s.events) > 0:
		r.breach(RuleTwice, s, rec.seq, "it got %s after it had got seq %d", what, s.last)
	default:
		r.breach(RuleOrder, s, rec.seq, "it got %s after seq %d", what, s.last)
	}
	return false
}

// deliver takes an event into a stay.
func (r *replay) deliver(s *stay, rec *record) {
	f := r.factOf(rec)
	if !r.rises(s, rec, f.what) {
		return
	}
	s.last = rec.seq
	s.events = append(s.events, *rec)
	r.fact(s, rec, f)
	r.apply(s, rec)
}

// fact puts what somebody saw beside what others saw.
func (r *replay) fact(s *stay, rec *record, f fact) {
	if f.msg != nil {
		s.epoch.aliveAt = max(s.epoch.aliveAt, f.msg.sentAt)
	}
	f.epoch, f.seq, f.by = s.epoch, rec.seq, s.client.name
	other := s.epoch.facts[f.seq]
	switch {
	case other == nil:
		s.epoch.facts[f.seq] = &f
	case other.what != f.what:
		r.forks = append(r.forks, fork{stay: s, seq: f.seq, text: fmt.Sprintf("it got %s, and %s got %s", f.what, other.by, other.what)})
		return
	default:
		return
	}
	if f.msg == nil {
		return
	}
	if before := f.msg.at; before != nil && !r.anew(before.epoch, s.epoch) {
		r.breach(RuleOrder, s, f.seq, "it got %s, which %s got as seq %d", f.what, before.by, before.seq)
		return
	}
	f.msg.at = s.epoch.facts[f.seq]
}

// factOf says what an event is in words that all who saw it use alike.
func (r *replay) factOf(rec *record) fact {
	f := fact{what: describe(rec)}
	switch body := rec.body.(type) {
	case *wire.JoinedPeer:
		f.subject = body.Peer.ID
	case *wire.LeftPeer:
		f.subject = body.Peer
	case *wire.AwayPeer:
		f.subject = body.Peer
	case *wire.BackPeer:
		f.subject = body.Peer
	case *wire.StateChanged:
		f.subject = body.Peer
	case *wire.RoomChanged:
		f.subject = body.By
	case *wire.Controlling:
		f.subject = body.By
	case *wire.Message, *wire.Signaled:
		if f.msg = r.messages[rec.text]; f.msg != nil {
			f.to, f.volatile = f.msg.kind.to, f.msg.kind.volatile
		}
	}
	return f
}

// describe names what a record brought.
func describe(rec *record) string {
	switch body := rec.body.(type) {
	case *wire.JoinedPeer:
		return fmt.Sprintf("joined %s order %d", body.Peer.ID, body.Peer.Order)
	case *wire.LeftPeer:
		return "left " + body.Peer
	case *wire.AwayPeer:
		return "away " + body.Peer
	case *wire.BackPeer:
		return "back " + body.Peer
	case *wire.StateChanged:
		return fmt.Sprintf("state of %s: %s", body.Peer, stateChange(body.State))
	case *wire.RoomChanged:
		return fmt.Sprintf("room version %d", body.Version)
	case *wire.Controlling:
		return fmt.Sprintf("control %s %s by %s to %q", body.Action, body.Kind, body.By, body.To)
	case *wire.WaitingPeer:
		return "waiting " + body.Peer.ID + " " + body.Reason
	case *wire.GonePeer:
		return "gone " + body.Peer + " " + body.Reason
	case *wire.Waiting:
		return fmt.Sprintf("place %d of %d, %s", body.Position, body.Count, body.Reason)
	case *wire.Seated:
		return "seated in epoch " + body.Snapshot.Epoch
	case *wire.Message:
		return "message " + rec.text
	case *wire.Signaled:
		return "signal " + rec.text
	case *wire.Closed:
		return "closed " + body.Reason
	case *wire.Resync:
		return "resync to epoch " + body.Snapshot.Epoch
	}
	return fmt.Sprintf("%T", rec.body)
}

// stateChange is short for a state that changed.
func stateChange(state wire.Object) string {
	h := fnv.New64a()
	keys := slices.Sorted(maps.Keys(state))
	for _, key := range keys {
		_, _ = fmt.Fprintf(h, "%s=%s ", key, state[key])
	}
	return fmt.Sprintf("%v %s", keys, hex.EncodeToString(h.Sum(nil)[:4]))
}

// apply changes what a client knows of the others, and checks that this can be.
func (r *replay) apply(s *stay, rec *record) {
	switch body := rec.body.(type) {
	case *wire.JoinedPeer:
		r.applyJoined(s, rec.seq, &body.Peer)
	case *wire.LeftPeer:
		r.change(s, rec.seq, body.Peer, "left", func(member) bool { return true })
		delete(s.members, body.Peer)
	case *wire.AwayPeer:
		if m, ok := r.change(s, rec.seq, body.Peer, "away", func(m member) bool { return !m.away }); ok {
			m.away = true
			s.members[body.Peer] = m
		}
	case *wire.BackPeer:
		if m, ok := r.change(s, rec.seq, body.Peer, "back", func(m member) bool { return m.away }); ok {
			m.away = false
			s.members[body.Peer] = m
		}
	case *wire.StateChanged:
		r.change(s, rec.seq, body.Peer, "a state", func(member) bool { return true })
	case *wire.RoomChanged:
		if body.Capacity != nil {
			s.seats = *body.Capacity
			s.epoch.recapped = true
		}
	}
}

func (r *replay) applyJoined(s *stay, seq int64, peer *wire.Peer) {
	if old, in := s.members[peer.ID]; in {
		r.breach(RuleSeats, s, seq, "%s joined with order %d, and had joined with order %d", peer.ID, peer.Order, old.order)
	}
	if r.sessions[peer.ID] == nil {
		r.breach(RuleGhost, s, seq, "%s joined, and is nobody", peer.ID)
	}
	s.members[peer.ID] = member{order: peer.Order, away: peer.Away, state: stateText(peer.State)}
	if len(s.members) > s.seats && s.until == 0 {
		r.breach(RuleCapacity, s, seq, "%d seats are taken of %d", len(s.members), s.seats)
	}
}

// change checks that an event about a peer can be, and gives the peer.
func (r *replay) change(s *stay, seq int64, peer, what string, possible func(member) bool) (member, bool) {
	m, in := s.members[peer]
	switch {
	case peer == s.session:
		return m, false // its own view of itself is the application's
	case !in:
		r.breach(RuleSeats, s, seq, "it was told %s of %s, which has no seat", what, peer)
		return m, false
	case !possible(m):
		r.breach(RuleSeats, s, seq, "it was told %s of %s twice", what, peer)
	}
	return m, true
}
