package room

import (
	"bytes"
	"errors"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// place is what a seat has whose peer waits for it. Guarded by the shard's lock.
//
// The store seats who waits in the call that frees a seat, and has the node learn of it. The node then asks for the seat as it did at
// first, and gets the snapshot, as who has a seat does: so one that was told wrongly, or not at all, is told right by asking again. What is
// asked names the place, which is put back by that if Redis has lost it.
type place struct {
	queued
	call    store.Join // what is asked again
	arrived int64
	// asking is set while it is asked again: what happens in the room meanwhile may be after the snapshot.
	asking bool
	// untold is set until the client of a session that was resumed has been told its place.
	untold bool
}

// queued is a place as the client is told it, and as of which number of the room that is.
type queued struct {
	as    wire.Waiting
	epoch string
	seq   int64
}

// takePlace notes that a peer has to wait. [Service.placed] follows once it was told so. The shard is locked.
func (s *Service) takePlace(st *seat, call *store.Join, snapshot *store.Snapshot) {
	st.place = &place{queued: queuedOf(snapshot), call: *call, arrived: snapshot.Place.Arrived}
	st.waiting = nil
	st.admitted = st.admitted || snapshot.Place.Position == 0 // it has been seated before this was known
}

// queuedOf gives the place of who waits.
func queuedOf(snapshot *store.Snapshot) queued {
	return queued{as: waitingOf(snapshot.Place), epoch: snapshot.Epoch, seq: snapshot.Seq}
}

// waitingOf gives a place as the client is told it.
func waitingOf(where *store.Place) wire.Waiting {
	return wire.Waiting{Position: max(where.Position, 1), Count: max(where.Count, 1), Reason: wire.WaitReason(where.Moderated)}
}

// placed goes on with a place that the client knows of, by what was told of it meanwhile. The shard is locked.
func (s *Service) placed(sh *shard, st *seat) {
	queued, denied := st.queued, st.denied
	st.queued, st.denied = nil, nil
	switch {
	case denied != nil && store.DeniedPlace(*denied) >= st.place.arrived:
		s.deny(sh, st, denied)
		return
	case queued != nil:
		s.tellPlace(st, *queued)
	}
	if st.admitted {
		s.askAgain(st)
	}
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
	p := st.place
	if st.removed || p == nil || p.asking || p.untold || st.leaving {
		return
	}
	p.asking, st.admitted = true, false
	st.joins++
	call := p.call
	call.Waited = &store.Waited{Arrived: p.arrived, Epoch: p.epoch, Seq: p.seq, Admitted: p.as.Reason != wire.WaitModerated}
	if st.local.epoch == p.epoch {
		call.Waited.Seq = max(p.seq, st.local.last)
	}
	s.opts.Store.Join(call, func(snapshot *store.Snapshot, err error) {
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
		s.tellPlace(st, queuedOf(snapshot))
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
	default: // it was taken away, or lost with Redis' data, and there is none any more
		s.closeSeat(sh, st)
	}
}

// tellPlace tells a client its place, if it is another one. What an answer says may be older than what the node was told since. The shard is
// locked.
func (s *Service) tellPlace(st *seat, now queued) {
	p := st.place
	if now.epoch == p.epoch && now.seq < p.seq {
		return
	}
	same := p.as == now.as
	p.queued = now
	if !same && !p.untold {
		s.deliverPlace(st)
	}
}

func (s *Service) deliverPlace(st *seat) {
	body := wire.AppendEventBody(nil, st.room.Name, &st.place.as)
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
		switch st := l.seats[event.To]; {
		case st == nil:
		case st.place == nil || st.place.untold:
			told := *event
			told.Body = bytes.Clone(event.Body)
			st.denied = &told
		case store.DeniedPlace(*event) >= st.place.arrived: // and not one that it had before
			s.deny(sh, st, event)
		}
	case store.TypeQueue:
		peers, moderated := store.QueueOf(*event)
		for i, peer := range peers {
			st := l.seats[peer]
			if st == nil {
				continue
			}
			where := store.Place{Position: i + 1, Count: len(peers), Moderated: moderated[i]}
			now := queued{as: waitingOf(&where), epoch: event.Epoch, seq: event.Seq}
			if st.place == nil {
				st.queued = &now
			} else {
				s.tellPlace(st, now)
			}
		}
	default:
		return false
	}
	return true
}

// deny ends the wait of who was sent away. The shard is locked.
func (s *Service) deny(sh *shard, st *seat, event *store.Event) {
	var closed wire.Closed
	closed.Reason, closed.By, closed.Text = store.DeniedBy(*event)
	s.closeSeatFor(sh, st, &closed)
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
	m.eachSeat(func(sh *shard, st *seat) {
		if st.place != nil && st.place.untold && !st.removed {
			st.place.untold = false
			m.service.deliverPlace(st)
			m.service.placed(sh, st)
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
