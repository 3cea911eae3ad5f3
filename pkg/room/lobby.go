package room

import (
	"errors"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// place is what a seat has whose peer waits for it. Guarded by the shard's lock.
//
// The store seats who waits in the call that frees a seat, and has the node learn of it. The node then asks for the seat as it did at
// first, and gets the snapshot, as who has a seat does: so one that was told wrongly, or not at all, is told right by asking again.
type place struct {
	call store.Join // what is asked again
	last wire.Waiting
	// asking is set while it is asked again: what happens in the room meanwhile may be after the snapshot.
	asking bool
	// untold is set until the client of a session that was resumed has been told its place.
	untold bool
}

// takePlace notes that a peer has to wait. The shard is locked.
func (s *Service) takePlace(st *seat, call *store.Join, where *store.Place) {
	st.place = &place{call: *call, last: waitingOf(where)}
	st.waiting = nil
	if st.admitted || where.Position == 0 {
		s.askAgain(st) // it has been seated before this was known
	}
}

// waitingOf gives a place as the client is told it.
func waitingOf(where *store.Place) wire.Waiting {
	return wire.Waiting{Position: max(where.Position, 1), Count: max(where.Count, 1), Reason: wire.WaitReason(where.Moderated)}
}

// askAgain asks for the seat of who waits, soon. The shard is locked.
func (s *Service) askAgain(st *seat) {
	s.agenda.add(0, func() { s.ask(st) })
}

// ask calls the store under the lock, so that a leave after it is carried out after it, too; its answer must not come under it.
func (s *Service) ask(st *seat) {
	sh := s.table.shard(st.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if st.removed || st.place == nil || st.place.asking || st.leaving {
		return
	}
	st.place.asking, st.admitted = true, false
	st.joins++
	s.opts.Store.Join(st.place.call, func(snapshot *store.Snapshot, err error) {
		s.agenda.add(0, func() { s.askedAgain(st, snapshot, err) })
	})
}

// askedAgain takes the answer.
func (s *Service) askedAgain(st *seat, snapshot *store.Snapshot, err error) {
	m := st.member
	sh := s.table.shard(st.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st.joins--
	if st.removed || st.place == nil {
		return
	}
	st.place.asking = false
	if err == nil && st.waiting.overran() {
		err = wire.Errorf(wire.CodeUnavailable, "too much happened in the room meanwhile")
	}
	switch refusal := m.refusal(err); {
	case refusal == nil && snapshot.Place != nil:
		st.waiting = nil
		s.tellPlace(st, waitingOf(snapshot.Place))
		if st.admitted || snapshot.Place.Position == 0 {
			s.askAgain(st)
		}
	case refusal == nil:
		st.place = nil
		s.metrics.joined.Inc()
		s.open(sh, st, snapshot, func() {
			m.subscriber.Deliver(wire.MessageFrame(&wire.Seated{Snapshot: *m.snapshot(snapshot)}))
		})
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrSuperseded), errors.Is(err, store.ErrLapsed):
		// The session goes on elsewhere, or comes back.
	case refusal.Code == wire.CodeUnavailable:
		st.waiting = nil
		s.agenda.add(retryPause, func() { s.ask(st) })
	default: // the place was lost with Redis' data, and there is none any more
		s.closeSeat(sh, st)
	}
}

// tellPlace tells a client its place, if it is another one. The shard is locked.
func (s *Service) tellPlace(st *seat, now wire.Waiting) {
	if st.place.last == now && !st.place.untold {
		return
	}
	st.place.last, st.place.untold = now, false
	body := wire.AppendEventBody(nil, st.room.Name, &now)
	st.member.subscriber.Deliver(wire.EventFrame(0, body))
}

// lobby takes what the store has a node learn about those who wait. It reports false for other events. The shard is locked.
func (s *Service) lobby(sh *shard, l *local, event *store.Event) bool {
	switch event.Type {
	case store.TypeAdmitted:
		if st := l.seats[event.To]; st != nil {
			st.admitted = true
			if st.place != nil {
				s.askAgain(st)
			}
		}
	case store.TypeDenied:
		if st := l.seats[event.To]; st != nil && st.place != nil {
			var closed wire.Closed
			closed.Reason, closed.By, closed.Text = store.DeniedBy(*event)
			s.closeSeatFor(sh, st, &closed)
		}
	case store.TypeQueue:
		peers, moderated := store.QueueOf(*event)
		for i, peer := range peers {
			if st := l.seats[peer]; st != nil && st.place != nil && !st.place.untold {
				s.tellPlace(st, waitingOf(&store.Place{Position: i + 1, Count: len(peers), Moderated: moderated[i]}))
			}
		}
	default:
		return false
	}
	return true
}

// waits reports whether nothing of the room is for the peer yet: it waits for a seat.
func (st *seat) waits() bool { return st.place != nil && !st.place.asking }

// places counts those who wait.
func (l *local) places() int {
	count := 0
	for _, st := range l.seats {
		if st.place != nil {
			count++
		}
	}
	return count
}

// askAll asks again for all who wait in a room. The shard is locked.
func (s *Service) askAll(l *local) {
	for _, st := range l.seats {
		if st.place != nil {
			s.askAgain(st)
		}
	}
}

// tellPlaces tells the client of a session that was resumed where it waits.
func (m *Member) tellPlaces() {
	m.eachSeat(func(_ *shard, st *seat) {
		if st.place != nil && st.place.untold && !st.removed {
			m.service.tellPlace(st, st.place.last)
		}
	})
}

// admit lets in, or sends away, who waits.
func (m *Member) admit(id int64, request *wire.Control, done func(wire.Controlled, error)) {
	m.service.opts.Store.Admit(store.Admit{
		Seat: m.asking(m.room(request.Room)), Request: id, Deny: request.Action == wire.ActionDeny, Target: request.To, By: m.id,
	}, func(c store.Controlled, err error) {
		finish(done, wire.Controlled{Seq: c.Seq, Affected: c.Affected}, m.outcome(request.Room, err))
	})
}
