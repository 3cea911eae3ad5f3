package room

import (
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// auditPause is between two looks at whether Redis and this node agree about the node's seats.
	auditPause = 10 * time.Second
	// auditTurn is how many looks it takes until every partition was compared seat by seat, and not by numbers alone.
	auditTurn = 6
)

// audits compare the seats that Redis holds for this node with those that the node believes to have. Where calls are carried
// out in the order in which they were made, and Redis keeps its data, both are the same. But a call whose connection broke may
// be carried out late: a join after the leave that followed it has a seat that nobody gives up, as its node lives. And an old
// state of Redis may lack a seat in a room in which nothing happens that would tell. Only what two looks in a row have
// found is acted upon: what is under way during one is over at the next.
//
// All of it is done in [Service.Run].
type audits struct {
	looks  int
	doubts []seats // of the last look, by partition
}

// seats is a set.
type seats map[store.HeldSeat]struct{}

// audit looks at all partitions, and again after a pause.
func (s *Service) audit() {
	s.audits.looks++
	numbers, listed := make([]int, len(s.broken)), make([]seats, len(s.broken))
	for partition := range listed {
		if s.audits.doubts[partition] != nil || partition%auditTurn == s.audits.looks%auditTurn {
			listed[partition] = make(seats)
		}
	}
	s.every(func(_ *shard, l *local) {
		numbers[l.partition] += l.held(nil) + l.places()
		listed[l.partition].believe(l)
		s.askAll(l) // should the word not have come that there is a seat
	})
	for partition, believed := range listed {
		if believed != nil {
			s.compare(partition, believed)
		} else {
			s.tally(partition, numbers[partition])
		}
	}
	s.agenda.add(auditPause, s.audit)
}

// believe notes the seats that this node believes to have in a room, unless the set is nil. The shard is locked.
func (s seats) believe(l *local) {
	if s == nil {
		return
	}
	for peer, st := range l.seats {
		if st.firm() || st.place != nil {
			s[store.HeldSeat{Room: l.room, Peer: peer}] = struct{}{}
		}
	}
}

// tally looks at the number of seats in one partition, and at the seats themselves where it is another one.
func (s *Service) tally(partition, believed int) {
	s.opts.Store.Held(partition, s.opts.Node, believed, func(_ []store.HeldSeat, differs bool, err error) {
		s.agenda.add(0, func() {
			if err != nil || !differs {
				s.audits.doubts[partition] = nil
				return
			}
			believed := make(seats)
			s.each(partition, func(_ *shard, l *local) { believed.believe(l) })
			s.compare(partition, believed)
		})
	})
}

// compare looks at one partition seat by seat.
func (s *Service) compare(partition int, believed seats) {
	s.opts.Store.Held(partition, s.opts.Node, -1, func(held []store.HeldSeat, _ bool, err error) {
		s.agenda.add(0, func() { s.compared(partition, believed, held, err) })
	})
}

// compared takes what Redis holds, and what the node believed when it asked.
func (s *Service) compared(partition int, believed seats, held []store.HeldSeat, err error) {
	before := s.audits.doubts[partition]
	s.audits.doubts[partition] = nil
	if err != nil {
		return
	}
	doubts := make(seats)
	doubt := func(seat store.HeldSeat, act func(store.HeldSeat)) {
		if _, twice := before[seat]; twice {
			act(seat)
		} else {
			doubts[seat] = struct{}{}
		}
	}
	there := make(seats, len(held))
	for _, seat := range held {
		there[seat] = struct{}{}
		if _, known := believed[seat]; !known && s.nobodys(seat) {
			doubt(seat, s.exorcise)
		}
	}
	for seat := range believed {
		if _, ok := there[seat]; !ok {
			doubt(seat, s.missing)
		}
	}
	if len(doubts) > 0 {
		s.audits.doubts[partition] = doubts
	}
}

// nobodys reports whether nobody has a seat, asks for it, or is about to give it up.
func (s *Service) nobodys(of store.HeldSeat) bool {
	sh := s.table.shard(of.Room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return s.isGhost(sh, of)
}

// isGhost is nobodys with the shard locked.
func (s *Service) isGhost(sh *shard, of store.HeldSeat) bool {
	if l := sh.rooms[of.Room]; l != nil && l.seats[of.Peer] != nil {
		return false
	}
	return !slices.Contains(s.leaves.in(of.Room), of.Peer)
}

// missing looks into a seat that Redis does not hold for the node.
func (s *Service) missing(of store.HeldSeat) {
	sh := s.table.shard(of.Room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.rooms[of.Room]
	if l == nil || l.state != whole || l.epoch == "" {
		return
	}
	if st := l.seats[of.Peer]; st != nil && st.firm() {
		s.catch(l)
	}
}

// exorcise gives up a seat that nobody has. The room tells of which connection it is.
func (s *Service) exorcise(ghost store.HeldSeat) {
	s.opts.Store.Snapshot(store.Look{Room: ghost.Room, Members: true}, func(snapshot *store.Snapshot, err error) {
		if err != nil {
			return // the next looks find it again
		}
		found := func(peer, node string, generation int64) {
			if peer == ghost.Peer && node == s.opts.Node {
				s.agenda.add(0, func() { s.giveUp(ghost, generation) })
			}
		}
		for i := range snapshot.Members {
			found(snapshot.Members[i].ID, snapshot.Members[i].Node, snapshot.Members[i].Generation)
		}
		for i := range snapshot.Waiting {
			found(snapshot.Waiting[i].ID, snapshot.Waiting[i].Node, snapshot.Waiting[i].Generation)
		}
	})
}

// giveUp gives up a seat of a connection that has none. Whoever asks for it from now on is heard after that: the lock keeps a
// join from coming in between.
func (s *Service) giveUp(ghost store.HeldSeat, generation int64) {
	sh := s.table.shard(ghost.Room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !s.isGhost(sh, ghost) {
		return
	}
	s.metrics.ghosts.Inc()
	s.opts.Logger.Warn("a seat that nobody has is given up", "app", ghost.Room.App, "room", ghost.Room.Name, "session", ghost.Peer)
	s.depart(departure{
		seat: store.Seat{Room: ghost.Room, Peer: ghost.Peer, Node: s.opts.Node, Generation: generation},
		left: wire.AppendEventBody(nil, ghost.Room.Name, &wire.LeftPeer{Peer: ghost.Peer, Reason: wire.ReasonDisconnected}),
	})
}
