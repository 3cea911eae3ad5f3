package room

import (
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// recoveryPause is how long after putting its seats back a node waits, for others to do so, before its clients start
	// over from a snapshot: what they see of each other must not come and go.
	recoveryPause = 2500 * time.Millisecond
	// maxRepairs is how often in a row a room is put right before a seat that is missing all the same is given up.
	maxRepairs = 5
)

// repairs reports whether the room is being put right. What is sent to it meanwhile would be in front of the snapshot from
// which all start over, and reach nobody.
func (st *seat) repairs() bool { return following(st.local.now.Load()) == repairing }

// repair begins to put right what Redis has of the room. The shard is locked.
func (s *Service) repair(l *local, reason string) {
	if l.epoch == "" {
		return // nothing is known, and nobody is seated
	}
	s.metrics.replays.WithLabelValues(reason).Inc()
	l.pass(repairing)
	if l.forked {
		s.later(l, 0, s.rebirth)
	} else {
		s.later(l, 0, s.restore)
	}
}

// rebirth gives the room another epoch, as its log has other events than this node has seen.
func (s *Service) rebirth(l *local, ticket int) {
	var epoch string
	var last int64
	if !s.with(l, ticket, func(*shard) { epoch, last = l.epoch, l.last }) {
		return
	}
	s.opts.Store.Rebirth(l.room, epoch, last, func(err error) {
		s.with(l, ticket, func(*shard) {
			if err != nil {
				s.later(l, retryPause, s.rebirth)
				return
			}
			l.forked = false
			s.later(l, 0, s.restore)
		})
	})
}

// restore has the store put the node's seats back. The store is called under the lock, so that no seat is asked for between
// the look at those that there are and the call, which gives up all others; its answer must not be, if it comes at once.
func (s *Service) restore(l *local, ticket int) {
	s.with(l, ticket, func(sh *shard) {
		s.takeAllAway(sh, l)
		if len(l.seats) == 0 {
			return
		}
		v := &l.view
		call := store.Restore{
			Room: l.room, Node: s.opts.Node, Epoch: l.epoch, Seq: l.last, Lost: l.lost,
			Capacity: v.capacity, Version: v.version, Locked: v.locked, Presenter: v.presenter,
			Spotlight: v.spotlight, Properties: v.properties, Created: v.created, Hooks: v.hooks, Rules: v.rules,
		}
		for peer, st := range l.seats {
			if st.firm() {
				call.Seats = append(call.Seats, st.restore())
			} else {
				call.Seats = append(call.Seats, store.RestoreSeat{Peer: peer, Asked: true})
			}
		}
		for _, peer := range s.leaves.in(l.room) { // their own way is chosen already
			if l.seats[peer] == nil {
				call.Seats = append(call.Seats, store.RestoreSeat{Peer: peer, Asked: true})
			}
		}
		call.LeftHead, call.LeftTail = wire.SplitLeftOf(l.room.Name, wire.ReasonDisconnected)
		s.opts.Store.Restore(call, func(restored *store.Restored, err error) {
			s.agenda.add(0, func() {
				s.with(l, ticket, func(sh *shard) { s.restored(sh, l, restored, err) })
			})
		})
	})
}

// takeAllAway takes the seats away of which an event that waits says so: they must not be put back. The shard is locked.
func (s *Service) takeAllAway(sh *shard, l *local) {
	for _, event := range l.waiting.all() {
		d := delivery{event: event}
		if !d.takesSeat() || event.Epoch != l.epoch {
			continue
		}
		left := leftOf(&event)
		if st := l.seats[left.Peer]; st != nil && st.firm() && event.Seq > max(st.since, st.last) {
			s.takeAway(sh, st, event.Seq, &left)
		}
	}
}

// restore describes the seat to the store.
func (st *seat) restore() store.RestoreSeat {
	m := st.member
	policy := m.policyOf(st.room.Name)
	joined := &wire.JoinedPeer{Peer: wire.Peer{
		ID: m.id, Order: st.order, User: m.user, Name: m.name, State: wire.Object(st.state)}}
	return store.RestoreSeat{
		Peer: m.id, Generation: m.generation, Order: st.order, Grace: m.graceOf(&policy), Profile: m.profile, State: st.state, Entered: st.entered,
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
		if st == nil || !st.firm() {
			continue // its peer has left, or asks anew
		}
		switch status {
		case store.SeatAdded:
			s.metrics.restored.Inc()
		case store.SeatFull, store.SeatGone:
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

// closeSeat takes a seat, or a place in the queue, from its peer because it was lost.
func (s *Service) closeSeat(sh *shard, st *seat) {
	s.closeSeatFor(sh, st, &wire.Closed{Reason: wire.ReasonClosed})
}

// closeSeatFor takes a seat, or a place in the queue, from its peer, which is told, without a number: this is no event of the room. The
// shard is locked.
func (s *Service) closeSeatFor(sh *shard, st *seat, why *wire.Closed) {
	s.remove(sh, st)
	body := wire.AppendEventBody(nil, st.room.Name, why)
	st.member.subscriber.Deliver(wire.EventFrame(0, body))
}

// lookAgain asks for the snapshot from which all start over.
func (s *Service) lookAgain(l *local, ticket int) {
	var waiting int // how many events waited when it was asked
	if !s.with(l, ticket, func(*shard) { waiting = len(l.waiting.all()) }) {
		return
	}
	s.opts.Store.Snapshot(store.Look{Room: l.room, Members: true}, func(snapshot *store.Snapshot, err error) {
		s.with(l, ticket, func(sh *shard) {
			switch {
			case err != nil:
				s.later(l, retryPause, s.lookAgain)
			case !s.complete(sh, l, snapshot):
				l.repairs++
				s.later(l, retryPause, s.restore)
			default:
				l.waiting.void(waiting, snapshot.Epoch)
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
		if generation, ok := held[peer]; !st.firm() || ok && generation == st.member.generation {
			continue
		}
		if l.repairs < maxRepairs {
			return false
		}
		s.closeSeat(sh, st)
	}
	return snapshot.Found
}

// startOver gives all seats the snapshot, and goes on above it. The shard is locked.
func (s *Service) startOver(sh *shard, l *local, snapshot *store.Snapshot) {
	l.repairs, l.lost = 0, false
	if len(l.seats) == 0 {
		return
	}
	l.learn(snapshot)
	l.last, l.mark = snapshot.Seq, mark{}
	l.first, l.behind = snapshot.Seq, 0
	l.answers.forget()
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
