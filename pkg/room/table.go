package room

import (
	"hash/maphash"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// table holds the seats of this node's sessions, by room. A shard's lock covers its rooms and their seats, and is held
// while an event is handed to the receivers: that is a queue append each, and it keeps a join's snapshot and the
// events after it in order.
type table struct {
	seed   maphash.Seed
	shards [64]shard
}

type shard struct {
	mu    sync.Mutex
	rooms map[store.Room]map[string]*seat // by room, then by peer id
}

// seat is a session's place in a room, from the moment it asks for it. Guarded by its shard's lock.
type seat struct {
	member *Member
	room   store.Room
	// joins are those under way.
	joins int
	// leaving is set while a leave is under way: a join after it starts a new seat.
	leaving bool
	// seated is set by the first join's reply. Until then what arrives waits, because only the reply's snapshot
	// tells which of it the peer knows already.
	seated  bool
	waiting []store.Event
	// overrun is set when more waited than maxWaiting: the join fails then, because a gap would be silent.
	overrun bool
	// removed is set once the seat is out of the table.
	removed bool
	// epoch and last are of the snapshot, then of the last event that was delivered.
	epoch string
	last  int64
}

// maxWaiting bounds the events that wait for a join's reply. Redis answers within seconds or the join fails.
const maxWaiting = 4096

func (t *table) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].rooms = make(map[store.Room]map[string]*seat)
	}
}

func (t *table) shard(room store.Room) *shard {
	return &t.shards[maphash.Comparable(t.seed, room)%uint64(len(t.shards))]
}

// Deliver hands one event of the store to the peers of this node that it is meant for. The store calls it in the
// order of seq for each room.
func (s *Service) Deliver(event store.Event) {
	sh := s.table.shard(event.Room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	seats := sh.rooms[event.Room]
	if seats == nil {
		s.metrics.discarded.WithLabelValues("no_room").Inc()
		return
	}
	d := delivery{event: event}
	switch {
	case event.To != "":
		if st := seats[event.To]; st != nil {
			d.give(st)
		}
	case d.takesSeat():
		s.deliverLoss(sh, seats, &d)
	default:
		for peer, st := range seats {
			if peer != event.Except {
				d.give(st)
			}
		}
	}
	s.count(&d)
}

// count notes what became of an event that found a room.
func (s *Service) count(d *delivery) {
	switch {
	case d.given > 0:
		s.metrics.delivered.Add(float64(d.given))
	case d.seen > 0:
		s.metrics.discarded.WithLabelValues("seen").Inc()
	case d.held == 0:
		s.metrics.discarded.WithLabelValues("no_peer").Inc()
	}
}

// delivery is one event on its way to its receivers: the frame is built for the first and shared by all.
type delivery struct {
	event store.Event
	frame *wire.Frame
	// How many seats got it, knew it, and hold it until their join is answered.
	given, seen, held int
}

// takesSeat reports whether the event takes a seat from a peer that did not ask for it. Everybody is told of that, and
// of all other departures everybody but the peer itself.
func (d *delivery) takesSeat() bool {
	return d.event.Type == string(wire.TypeLeftPeer) && d.event.Except == ""
}

// give delivers the event to one seat, unless the peer knows it already.
func (d *delivery) give(st *seat) {
	if !d.due(st) {
		return
	}
	if d.frame == nil {
		d.frame = wire.EventFrame(d.event.Seq, d.event.Body)
	}
	st.member.subscriber.Deliver(d.frame)
	d.given++
}

// due reports whether a seat is to get the event now, and notes it as seen.
func (d *delivery) due(st *seat) bool {
	if !st.seated {
		d.held++
		if len(st.waiting) == maxWaiting {
			st.overrun = true
			return false
		}
		st.waiting = append(st.waiting, d.event)
		return false
	}
	if d.event.Epoch != st.epoch || d.event.Seq <= st.last {
		d.seen++
		return false
	}
	st.last = d.event.Seq
	return true
}

// deliverLoss delivers the loss of a seat: when its peer is here, it is told that its seat is closed, and is a member
// no longer. The shard is locked.
func (s *Service) deliverLoss(sh *shard, seats map[string]*seat, d *delivery) {
	var left wire.LeftPeer
	if _, event, err := wire.DecodeServer(d.event.Body); err == nil {
		if body, ok := event.Body.(*wire.LeftPeer); ok {
			left = *body
		}
	}
	for peer, st := range seats {
		if peer != left.Peer {
			d.give(st)
			continue
		}
		if d.due(st) {
			s.remove(sh, st)
			body := wire.AppendEventBody(nil, d.event.Room.Name, &wire.Closed{Reason: left.Reason, By: left.By})
			st.member.subscriber.Deliver(wire.EventFrame(d.event.Seq, body))
			d.given++
		}
	}
}

// add puts a new seat into the table, in place of one that is leaving. The shard is locked.
func (s *Service) add(sh *shard, st *seat) {
	seats := sh.rooms[st.room]
	if seats == nil {
		seats = make(map[string]*seat, 1)
		sh.rooms[st.room] = seats
		s.metrics.rooms.Inc()
	}
	if old := seats[st.member.id]; old != nil {
		old.removed = true
	} else {
		s.metrics.seats.Inc()
	}
	seats[st.member.id] = st
}

// remove takes a seat out of the table, unless another one has taken its place. The shard is locked.
func (s *Service) remove(sh *shard, st *seat) {
	if st.removed {
		return
	}
	st.removed = true
	seats := sh.rooms[st.room]
	delete(seats, st.member.id)
	s.metrics.seats.Dec()
	if len(seats) == 0 {
		delete(sh.rooms, st.room)
		s.metrics.rooms.Dec()
	}
	st.member.forget(st)
}

// open marks a seat as seated as of a snapshot, gives the join its answer, and then delivers what has waited and is
// newer. The shard is locked, so that nothing comes in between.
func (s *Service) open(sh *shard, st *seat, snapshot *store.Snapshot, answer func()) {
	st.seated, st.epoch, st.last = true, snapshot.Epoch, snapshot.Seq
	answer()
	waiting := st.waiting
	st.waiting = nil
	for _, event := range waiting {
		if st.removed {
			return
		}
		d := delivery{event: event}
		if d.takesSeat() {
			s.deliverLoss(sh, map[string]*seat{st.member.id: st}, &d)
		} else {
			d.give(st)
		}
		s.count(&d)
	}
}
