package room

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// How a node follows a room, see local.state:
//
//	          Lost                Resubscribed
//	whole ----------> broken -------------------> catching --> whole
//	  |                                              |
//	  | Emptied, an event of another epoch           | the log does not have what was missed, or a seat is missing
//	  +----------------> repairing <-----------------+
//	                         |
//	                         +--> whole, with a resync for every seat
//
// While it is not whole, events wait. All that is done here is done for a ticket of the room, and void once it has another.
// What is repairing is in repair.go.

const (
	// retryPause is between attempts when Redis does not answer.
	retryPause = 500 * time.Millisecond
	// burst is how many events that have waited go to the seats at a time, and burstPause what is between: the sessions'
	// queues are bounded, and those who can take them must not be closed for it.
	burst      = 128
	burstPause = 5 * time.Millisecond
)

// Lost is called when events of a partition may be missing from now on, until [Service.Resubscribed].
func (s *Service) Lost(partition int) {
	s.broken[partition].Store(true)
	s.each(partition, func(_ *shard, l *local) {
		if l.state == whole || l.state == catching {
			l.pass(broken)
		}
	})
}

// Resubscribed is called when events of a partition come again.
func (s *Service) Resubscribed(partition int) {
	s.broken[partition].Store(false)
	s.each(partition, func(_ *shard, l *local) {
		s.askAll(l)
		switch {
		case l.state == repairing:
			s.repair(l, "subscription") // its snapshot may be from before
		case l.state != broken:
		case l.epoch == "":
			l.pass(whole)
			l.unsure = true
		default:
			s.catch(l)
		}
	})
}

// Emptied is called when Redis has lost what it had of a partition. The seats are put back.
func (s *Service) Emptied(partition int) {
	s.emptied.Add(1)
	s.each(partition, func(_ *shard, l *local) {
		s.askAll(l)
		if l.epoch != "" { // also where it is repairing: what was done may be lost again
			l.lost = true
			s.repair(l, "emptied")
		}
	})
}

// each does something with every room of a partition, with its shard locked.
func (s *Service) each(partition int, do func(*shard, *local)) {
	s.every(func(sh *shard, l *local) {
		if l.partition == partition {
			do(sh, l)
		}
	})
}

// every does something with every room, with its shard locked.
func (s *Service) every(do func(*shard, *local)) {
	for i := range s.table.shards {
		sh := &s.table.shards[i]
		sh.mu.Lock()
		for _, l := range sh.rooms {
			do(sh, l)
		}
		sh.mu.Unlock()
	}
}

// later does something with a room after a pause, unless it has passed to another state by then. The shard is locked.
func (s *Service) later(l *local, pause time.Duration, do func(*local, int)) {
	ticket := l.ticket
	s.agenda.add(pause, func() { do(l, ticket) })
}

// with locks a room's shard, and reports false when the room's ticket is another one, or its last seat has gone.
func (s *Service) with(l *local, ticket int, do func(*shard)) bool {
	sh := s.table.shard(l.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l.ticket != ticket || len(l.seats) == 0 {
		return false
	}
	do(sh)
	return true
}

// catch asks the log for what may have been missed. The shard is locked.
func (s *Service) catch(l *local) {
	l.pass(catching)
	s.later(l, 0, s.replay)
}

// replay asks for the events after the last one that is known, and for the last one of the log that is, to see whether it is
// still the same.
func (s *Service) replay(l *local, ticket int) {
	var call store.Replay
	forked := false
	if !s.with(l, ticket, func(*shard) {
		if forked = l.witness(); forked {
			l.forked = true
			s.repair(l, "rewound")
			return
		}
		call = store.Replay{Room: l.room, Node: s.opts.Node, Epoch: l.epoch, Since: l.last, Mark: l.mark.seq}
		if l.behind > 0 {
			call.Since = l.behind
		}
	}) || forked {
		return
	}
	s.opts.Store.Replay(call, func(replayed *store.Replayed, err error) {
		s.with(l, ticket, func(sh *shard) { s.replayed(sh, l, replayed, err) })
	})
}

// replayed takes the answer. The shard is locked.
func (s *Service) replayed(sh *shard, l *local, replayed *store.Replayed, err error) {
	switch {
	case err != nil:
		s.later(l, retryPause, s.replay)
	case l.differs(replayed) || replayed.Known && l.belies(replayed):
		l.forked = true
		s.repair(l, "rewound")
	case !replayed.Known:
		s.repair(l, "log")
	case l.held(replayed.Missed) > replayed.Seats:
		// Redis has lost a seat, or it is with another gateway, which had no way to say so.
		l.lost = true
		s.replayAll(sh, l, replayed.Missed)
		s.repair(l, "seat")
	default:
		s.metrics.replays.WithLabelValues("replayed").Inc()
		s.goOn(sh, l, replayed.Missed)
	}
}

// differs reports whether the log has another event, or none, where it had one that this node knows.
func (l *local) differs(replayed *store.Replayed) bool {
	if replayed.Snapshot.Epoch != l.epoch || !replayed.MarkKnown {
		return false
	}
	return replayed.Mark == nil || hashOf(replayed.Mark) != l.mark.hash
}

// belies reports whether the log lacks an event that Redis had answered while events were missing. All of these answers are
// earlier than this one, as calls of a partition are answered in order.
func (l *local) belies(replayed *store.Replayed) bool {
	for _, said := range l.answers.takeDoubted() {
		if said.seq <= l.last {
			continue // what is there up to it is known
		}
		i, found := slices.BinarySearchFunc(replayed.Missed, said.seq, func(event store.Event, seq int64) int {
			return cmp.Compare(event.Seq, seq)
		})
		if !found || hashOf(&replayed.Missed[i]) != said.hash {
			return true
		}
	}
	return false
}

// held counts the seats that this node believes to have after the events that it has missed.
func (l *local) held(missed []store.Event) int {
	held := 0
	for _, st := range l.seats {
		if st.firm() {
			held++
		}
	}
	for i := range missed {
		if d := (delivery{event: missed[i]}); d.takesSeat() {
			if st := l.seats[leftOf(&d.event).Peer]; st != nil && st.firm() {
				held--
			}
		}
	}
	return held
}

// goOn delivers what was missed, and what has waited for it. The shard is locked.
func (s *Service) goOn(sh *shard, l *local, missed []store.Event) {
	if s.broken[l.partition].Load() {
		l.pass(broken) // what was missed will be asked for again, from where it was
		return
	}
	if len(missed) > 0 {
		if l.waiting == nil {
			l.waiting = new(backlog)
		}
		l.waiting.put(missed)
	}
	l.behind = 0
	s.drain(sh, l)
}

// drain delivers what waits, a burst at a time. The shard is locked.
func (s *Service) drain(sh *shard, l *local) {
	l.pass(whole)
	waiting := l.waiting
	l.waiting = nil
	for i, event := range waiting.all() {
		if i == burst {
			l.waiting = &backlog{events: waiting.events[i:], bytes: waiting.bytes, overrun: waiting.overrun}
			l.pass(catching)
			s.later(l, burstPause, func(l *local, ticket int) { s.with(l, ticket, func(sh *shard) { s.drain(sh, l) }) })
			return
		}
		waiting.bytes -= len(event.Body)
		if s.arrive(sh, l, event); l.state != whole { // it may wait again, and so does what comes after it
			if l.waiting == nil {
				l.waiting = new(backlog)
			}
			l.waiting.events = append(l.waiting.events, waiting.events[i+1:]...)
			l.waiting.bytes, l.waiting.overrun = waiting.bytes, waiting.overrun
			return
		}
	}
	if waiting.overran() {
		s.catch(l) // what was dropped is in the log
	}
}

// replayAll delivers what was missed at once, before the room is repaired. The shard is locked.
func (s *Service) replayAll(sh *shard, l *local, missed []store.Event) {
	l.pass(whole)
	for _, event := range missed {
		s.arrive(sh, l, event)
	}
}

// suspect looks into it when Redis does not know a seat that this node believes its peer to have: Redis may have lost it, or
// it was taken away a moment ago. It reports false when this node does not believe so.
func (s *Service) suspect(st *seat) bool {
	sh := s.table.shard(st.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.rooms[st.room]
	if l == nil || !st.firm() {
		return false
	}
	if l.state == whole {
		s.catch(l)
		s.agenda.add(retryPause, func() { s.verify(st) })
	}
	return true
}

// answered takes the number that Redis gave to an event of a peer of this node: see mark.
func (st *seat) answered(seq int64, hash uint64) {
	switch following(st.local.now.Load()) {
	case whole:
		st.local.answers.add(seq, hash)
	case broken, catching:
		st.local.answers.doubt(seq, hash)
	}
}

// noteState takes a change of its state that a peer has made itself: this node may hear of it nothing else.
func (s *Service) noteState(st *seat, change wire.Object) {
	if st == nil {
		return
	}
	sh := s.table.shard(st.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st.merge(change)
}

// verify closes a seat that Redis still does not know once all that was missed is known.
func (s *Service) verify(st *seat) {
	as := st.member.seat(st.room)
	s.opts.Store.Snapshot(store.Look{Room: st.room, As: &as}, func(_ *store.Snapshot, err error) {
		var refusal *wire.Error
		if !errors.As(err, &refusal) || refusal.Code != wire.CodeNotMember {
			return
		}
		sh := s.table.shard(st.room)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if l := sh.rooms[st.room]; l != nil && st.firm() && l.state == whole {
			s.closeSeat(sh, st)
		}
	})
}

// fenced takes the word that a seat has gone to another connection of its session. The shard is locked.
func (s *Service) fenced(sh *shard, l *local, event *store.Event) {
	st := l.seats[event.To]
	if st == nil || st.member.generation > store.FencedBy(*event) {
		return
	}
	s.metrics.fenced.Inc()
	s.remove(sh, st)
	s.detach(st.member, true)
}

// detach tells a session, soon, that it goes on elsewhere, or with another gateway.
func (s *Service) detach(m *Member, takenOver bool) {
	if m.detached != nil {
		s.agenda.add(0, func() {
			if takenOver {
				m.supersede()
			}
			m.detached(takenOver)
		})
	}
}
