package room

import (
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// How a node follows a room, see local.state:
//
//	          Lost                Resubscribed
//	whole ----------> broken -------------------> catching --> whole
//	  |                                              |
//	  | Emptied, an event of another epoch           | the log does not have what was missed
//	  +----------------> repairing <-----------------+
//	                         |
//	                         +--> whole, with a resync for every seat
//
// While it is not whole, events wait. All that is done here is done for a ticket of the room, and void once it has another.

const (
	// recoveryPause is how long after putting its seats back a node waits, for others to do so, before its clients start
	// over from a snapshot: what they see of each other must not come and go.
	recoveryPause = 2500 * time.Millisecond
	// retryPause is between attempts when Redis does not answer.
	retryPause = 500 * time.Millisecond
	// maxRepairs is how often in a row a room is put right before a seat that is missing all the same is given up.
	maxRepairs = 5
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
		if l.state != repairing && l.epoch != "" {
			s.repair(l, "emptied")
		}
	})
}

// each does something with every room of a partition, with its shard locked.
func (s *Service) each(partition int, do func(*shard, *local)) {
	for i := range s.table.shards {
		sh := &s.table.shards[i]
		sh.mu.Lock()
		for _, l := range sh.rooms {
			if l.partition == partition {
				do(sh, l)
			}
		}
		sh.mu.Unlock()
	}
}

// later does something with a room after a pause, unless it has passed to another state by then. The shard is locked.
func (s *Service) later(l *local, pause time.Duration, do func(*local, int)) {
	ticket := l.ticket
	s.agenda.add(pause, func() { do(l, ticket) })
}

// with locks a room's shard, and reports false when the room's ticket is another one.
func (s *Service) with(l *local, ticket int, do func(*shard)) bool {
	sh := s.table.shard(l.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l.ticket != ticket {
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

// replay asks for the events after the last one that is known; from that one on, to see whether it is still the same.
func (s *Service) replay(l *local, ticket int) {
	var epoch string
	var since int64
	if !s.with(l, ticket, func(*shard) {
		if epoch, since = l.epoch, l.last; l.mark.seq > 0 {
			since = l.mark.seq - 1
		}
	}) {
		return
	}
	s.opts.Store.Replay(l.room, epoch, since, func(replayed *store.Replayed, err error) {
		s.with(l, ticket, func(sh *shard) { s.replayed(sh, l, replayed, err) })
	})
}

// replayed takes the answer. The shard is locked.
func (s *Service) replayed(sh *shard, l *local, replayed *store.Replayed, err error) {
	switch {
	case err != nil:
		s.later(l, retryPause, s.replay)
		return
	case !replayed.Known:
		s.repair(l, "log")
		return
	}
	missed := replayed.Missed
	if l.mark.seq > 0 {
		if len(missed) == 0 || missed[0].Seq != l.mark.seq || hashOf(&missed[0]) != l.mark.hash {
			s.rewound(l)
			return
		}
		missed = missed[1:]
	}
	s.metrics.replays.WithLabelValues("replayed").Inc()
	s.goOn(sh, l, missed)
}

// goOn delivers what was missed, and what has waited for it. The shard is locked.
func (s *Service) goOn(sh *shard, l *local, missed []store.Event) {
	if s.broken[l.partition].Load() {
		l.waiting = append(missed, l.waiting...)
		l.pass(broken)
		return
	}
	l.pass(whole)
	waiting, overrun := l.waiting, l.overrun
	l.waiting, l.overrun = nil, false
	for _, events := range [][]store.Event{missed, waiting} {
		for _, event := range events {
			s.arrive(sh, l, event)
		}
	}
	if overrun && l.state == whole {
		s.catch(l)
	}
}

// rewound gives a room another epoch whose log has other events than this node has seen. The shard is locked.
func (s *Service) rewound(l *local) {
	l.pass(repairing)
	epoch, last := l.epoch, l.last
	s.later(l, 0, func(l *local, ticket int) {
		s.opts.Store.Rebirth(l.room, epoch, last, func(err error) {
			s.with(l, ticket, func(*shard) {
				if err != nil {
					s.later(l, retryPause, func(l *local, ticket int) { s.with(l, ticket, func(*shard) { s.rewound(l) }) })
					return
				}
				s.repair(l, "rewound")
			})
		})
	})
}

// repair begins to put right what Redis has of the room. The shard is locked.
func (s *Service) repair(l *local, reason string) {
	if l.epoch == "" {
		return // nothing is known, and nobody is seated
	}
	s.metrics.replays.WithLabelValues(reason).Inc()
	l.pass(repairing)
	s.later(l, 0, s.restore)
}

// restore has the store put the node's seats back.
func (s *Service) restore(l *local, ticket int) {
	call := store.Restore{Room: l.room, Node: s.opts.Node}
	if !s.with(l, ticket, func(*shard) {
		call.Epoch, call.Seq = l.epoch, l.last
		v := &l.view
		call.Capacity, call.Version, call.Locked, call.Presenter = v.capacity, v.version, v.locked, v.presenter
		call.Spotlight, call.Properties, call.Created = v.spotlight, v.properties, v.created
		for peer, st := range l.seats {
			if !st.settled() || !st.seated {
				call.Seats = append(call.Seats, store.RestoreSeat{Peer: peer, Asked: true})
				continue
			}
			call.Seats = append(call.Seats, st.restore())
		}
	}) {
		return
	}
	call.LeftHead, call.LeftTail = wire.SplitLeftOf(l.room.Name, wire.ReasonDisconnected)
	s.opts.Store.Restore(call, func(restored *store.Restored, err error) {
		s.with(l, ticket, func(sh *shard) { s.restored(sh, l, restored, err) })
	})
}

// restore describes the seat to the store.
func (st *seat) restore() store.RestoreSeat {
	m := st.member
	joined := &wire.JoinedPeer{Peer: wire.Peer{
		ID: m.id, Order: st.order, User: m.user, Name: m.name, State: wire.Object(st.state)}}
	return store.RestoreSeat{
		Peer: m.id, Generation: m.generation, Order: st.order, Grace: m.grace, Profile: m.profile, State: st.state,
		Joined: wire.AppendEventBody(nil, st.room.Name, joined),
		Back:   wire.AppendEventBody(nil, st.room.Name, &wire.BackPeer{Peer: m.id}),
	}
}

// restored takes the answer. The shard is locked.
func (s *Service) restored(sh *shard, l *local, restored *store.Restored, err error) {
	switch {
	case errors.Is(err, store.ErrLapsed):
		return // the gateway is about to end
	case err != nil:
		s.later(l, retryPause, s.restore)
		return
	}
	for peer, status := range restored.Seats {
		st := l.seats[peer]
		if st == nil {
			continue
		}
		switch status {
		case store.SeatAdded:
			s.metrics.restored.Inc()
		case store.SeatFull:
			s.closeSeat(sh, st)
		case store.SeatSuperseded:
			s.remove(sh, st)
			s.detach(st.member, true)
		}
	}
	if len(l.seats) == 0 {
		return
	}
	pause := time.Duration(0)
	if restored.Lost || restored.Snapshot.Epoch != l.epoch {
		pause = recoveryPause
	}
	s.later(l, pause, s.lookAgain)
}

// closeSeat takes a seat from its peer, which is told. The shard is locked.
func (s *Service) closeSeat(sh *shard, st *seat) {
	s.remove(sh, st)
	body := wire.AppendEventBody(nil, st.room.Name, &wire.Closed{Reason: wire.ReasonClosed})
	st.member.subscriber.Deliver(wire.EventFrame(st.last+1, body))
}

// lookAgain asks for the snapshot from which all start over.
func (s *Service) lookAgain(l *local, ticket int) {
	s.opts.Store.Snapshot(store.Look{Room: l.room, Members: true}, func(snapshot *store.Snapshot, err error) {
		s.with(l, ticket, func(sh *shard) {
			switch {
			case err != nil:
				s.later(l, retryPause, s.lookAgain)
			case !s.complete(sh, l, snapshot):
				l.repairs++
				s.later(l, retryPause, s.restore)
			default:
				s.startOver(sh, l, snapshot)
			}
		})
	})
}

// complete reports whether a snapshot has all the seats that this node believes to have. The shard is locked.
func (s *Service) complete(sh *shard, l *local, snapshot *store.Snapshot) bool {
	held := make(map[string]int64, len(l.seats))
	for i := range snapshot.Members {
		if member := &snapshot.Members[i]; member.Node == s.opts.Node {
			held[member.ID] = member.Generation
		}
	}
	for peer, st := range l.seats {
		if generation, ok := held[peer]; !st.settled() || !st.seated || ok && generation == st.member.generation {
			continue
		}
		if l.repairs < maxRepairs {
			return false
		}
		s.closeSeat(sh, st)
	}
	return snapshot.Found || len(l.seats) > 0 && l.repairs >= maxRepairs
}

// startOver gives all seats the snapshot, and goes on above it. The shard is locked.
func (s *Service) startOver(sh *shard, l *local, snapshot *store.Snapshot) {
	l.repairs = 0
	if len(l.seats) == 0 {
		return
	}
	l.learn(snapshot)
	l.last, l.mark = snapshot.Seq, mark{}
	for _, st := range l.seats {
		if !st.seated || st.removed {
			continue // its own answer is still to come
		}
		st.epoch, st.since, st.last = snapshot.Epoch, snapshot.Seq, snapshot.Seq
		st.learn(snapshot)
		s.resync(st, snapshot)
	}
	s.goOn(sh, l, nil)
}

// resync has a peer start over from a snapshot.
func (s *Service) resync(st *seat, snapshot *store.Snapshot) {
	s.metrics.resyncs.Inc()
	st.member.subscriber.Deliver(wire.MessageFrame(&wire.Resync{Snapshot: *st.member.snapshot(snapshot)}))
}

// suspect looks into it when Redis does not know a seat that this node believes its peer to have: Redis may have lost it, or
// it was taken away a moment ago. It reports false when this node does not believe so.
func (s *Service) suspect(st *seat) bool {
	sh := s.table.shard(st.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.rooms[st.room]
	if l == nil || !st.seated || !st.settled() {
		return false
	}
	if l.state == whole {
		s.catch(l)
		s.agenda.add(retryPause, func() { s.verify(st) })
	}
	return true
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
		if l := sh.rooms[st.room]; l != nil && st.seated && st.settled() && l.state == whole {
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
		s.agenda.add(0, func() { m.detached(takenOver) })
	}
}
