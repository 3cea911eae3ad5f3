package room

import (
	"bytes"
	"hash/maphash"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// table holds the rooms in which this node has seats. A shard's lock covers its rooms and their seats, and is held
// while an event is handed to the receivers: that is a queue append each, and it keeps a join's snapshot and the
// events after it in order.
type table struct {
	seed   maphash.Seed
	shards [64]shard
}

type shard struct {
	mu    sync.Mutex
	rooms map[store.Room]*local
}

// seat is a session's place in a room, from the moment it asks for it. Guarded by its shard's lock.
type seat struct {
	member *Member
	room   store.Room
	local  *local // set when the seat is put into the table
	// joins are those under way, and resumes.
	joins int
	// leaving is set while a leave is under way: a join after it starts a new seat.
	leaving bool
	// gone is the number of the event by which it has left, while the answer to the leave has not come yet: nothing after it is for the peer.
	gone int64
	// left is set when a leave was answered with it: one that came after that has left nothing.
	left bool
	// seated is set while events go to the peer as they come. Before the first join's reply they wait, because only
	// the reply's snapshot tells which of them the peer knows already. They wait again when the seat is taken away
	// while another join is under way, because only its reply tells which of the two came first.
	seated bool
	// waiting is nil when there is nothing. A join fails if too many waited, because a gap would be silent.
	waiting *backlog
	// unsure is set when a join was not answered: it may have taken a seat.
	unsure bool
	// asked is how often Redis had lost data when the seat was asked for.
	asked int64
	// removed is set once the seat is out of the table.
	removed bool
	quota   Quota // what the seat is counted by; nil if it is not
	// epoch is the room's life that the peer has seen; since is the number of the snapshot with which it got its
	// present seat, and last that of the last event that was delivered.
	epoch string
	since int64
	last  int64
	// order, state and entered are what the peer's seat has in Redis, for putting it back.
	order   int64
	state   store.State
	entered string
	offers  offers
	// request is the highest number of a request that had taken effect when the seat was resumed: owned by the session.
	request int64
	// resumed is what a resume was answered, until the client has been welcomed, and frames what it missed; position is
	// what it had seen.
	resumed  *store.Resumed
	frames   []*wire.Frame
	position wire.Position
	// place is set while the peer waits for the seat. What is told of it may come before the answer that gives it, and is kept then:
	// admitted once there is a seat, queued the place, and denied that there is none any more.
	place    *place
	admitted bool
	queued   *queued
	denied   *store.Event
	// displaced is the member of the earlier connection whose place the seat has taken, until that one is told: owned by the
	// session.
	displaced *Member
}

func (t *table) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].rooms = make(map[store.Room]*local)
	}
}

func (t *table) shard(room store.Room) *shard {
	return &t.shards[maphash.Comparable(t.seed, room)%uint64(len(t.shards))]
}

// merge notes a change of the peer's state.
func (st *seat) merge(change wire.Object) { st.state = merged(st.state, store.State(change)) }

// settled reports whether the peer has the seat, for all that is known here, and no request about that is under way.
func (st *seat) settled() bool { return st.joins == 0 && !st.leaving && !st.removed }

// firm reports whether the peer has the seat, is told what happens, and asks for nothing else.
func (st *seat) firm() bool { return st.seated && st.settled() }

// Deliver hands one event of the store to the peers of this node that it is meant for. The store calls it in the
// order of seq for each room, and takes the event's body back: what is kept of it is copied.
func (s *Service) Deliver(event store.Event) {
	sh := s.table.shard(event.Room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.rooms[event.Room]
	switch {
	case l == nil:
		s.metrics.discarded.WithLabelValues("no_room").Inc()
	case event.Type == store.TypeFenced:
		s.fenced(sh, l, &event)
	case s.lobby(sh, l, &event):
	default:
		s.arrive(sh, l, event)
	}
}

// arrive takes an event of a room, which waits while it is not known what comes before it. The shard is locked.
func (s *Service) arrive(sh *shard, l *local, event store.Event) {
	switch {
	case l.state != whole, l.epoch == "" && l.unsure:
		l.hold(event)
	case event.Epoch == l.epoch && (l.witness() || l.isAnother(&event)):
		l.hold(event)
		l.forked = true
		s.repair(l, "rewound")
	case event.Epoch == l.epoch && l.bereaves(&event):
		l.hold(event)
		s.repair(l, "seat")
	case event.Epoch == l.epoch:
		l.note(&event)
		s.dispatch(sh, l, event)
	case event.Epoch == l.before:
		s.metrics.discarded.WithLabelValues("old").Inc()
	case l.epoch == "" && event.Type == store.TypeEpoch:
		l.unsure = true // whether the answer will be of this one or from before is not known
	case l.epoch == "":
		s.dispatch(sh, l, event) // the seats are asked for, and keep it
	default: // another life, of which this node has no snapshot
		l.hold(event)
		s.repair(l, "epoch")
	}
}

// bereaves reports whether an event says that a peer of this node has left or is away which asked for no such thing, and has its
// seat, for all that is known here. It is told to everybody but the peer, as if this node had caused it: others have taken the
// node for dead, or a leave that was given up for lost was carried out late. What comes after it is not for the peer.
func (l *local) bereaves(event *store.Event) bool {
	if event.Except == "" || event.Type != string(wire.TypeLeftPeer) && event.Type != string(wire.TypeAwayPeer) {
		return false
	}
	st := l.seats[event.Except]
	return st != nil && st.firm() && st.epoch == event.Epoch && event.Seq > max(st.since, st.last)
}

// dispatch gives an event to the seats that it is meant for. The shard is locked.
func (s *Service) dispatch(sh *shard, l *local, event store.Event) {
	if event.Type == store.TypeEpoch || event.Type == store.TypeFenced {
		return // for the node alone
	}
	d := delivery{event: event}
	switch {
	case event.To != "":
		if st := l.seats[event.To]; st != nil {
			d.give(st)
		}
	case d.takesSeat():
		s.deliverLoss(sh, l.seats, &d)
	default:
		for peer, st := range l.seats {
			if peer != event.Except {
				d.give(st)
			} else {
				st.leaves(&event)
			}
		}
	}
	s.count(&d)
}

// leaves notes that an event is the one by which the peer leaves that has asked for it. What comes after it, as who was called to the seat,
// may come before the answer.
func (st *seat) leaves(event *store.Event) {
	if st.leaving && event.Type == string(wire.TypeLeftPeer) && event.Epoch == st.epoch && event.Seq > max(st.since, st.last) {
		st.gone = event.Seq
	}
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
	// copied is set once the event's body is a copy, which all share that hold the event.
	copied bool
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
		if d.event.Trail != nil {
			d.frame.OnWritten(d.event.Trail.Written)
		}
	}
	if d.event.To != "" {
		st.offers.note(&d.event)
	}
	st.member.subscriber.Deliver(d.frame)
	d.given++
}

// due reports whether a seat is to get the event now, and notes it as seen.
func (d *delivery) due(st *seat) bool {
	if st.waits() {
		return false
	}
	if st.gone > 0 {
		d.seen++
		return false
	}
	if !st.seated {
		d.held++
		if st.waiting == nil {
			st.waiting = new(backlog)
		}
		if !d.copied && !st.waiting.overrun {
			d.event.Body, d.copied = bytes.Clone(d.event.Body), true
		}
		st.waiting.add(d.event)
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
	left := leftOf(&d.event)
	for peer, st := range seats {
		if peer != left.Peer {
			d.give(st)
			continue
		}
		if st.joins > 0 {
			st.seated = false
		}
		switch {
		case !d.due(st):
		case d.event.Seq <= st.since: // the loss of an earlier seat: the peer has come back since
			d.seen++
		default:
			s.takeAway(sh, st, d.event.Seq, &left)
			d.given++
		}
	}
}

// leftOf reads who has left.
func leftOf(event *store.Event) (left wire.LeftPeer) {
	if _, decoded, err := wire.DecodeServer(event.Body); err == nil {
		if body, ok := decoded.Body.(*wire.LeftPeer); ok {
			left = *body
		}
	}
	return left
}

// takeAway takes a seat from its peer, which is told. The shard is locked.
func (s *Service) takeAway(sh *shard, st *seat, seq int64, left *wire.LeftPeer) {
	s.lose(sh, st)
	body := wire.AppendEventBody(nil, st.room.Name, &wire.Closed{Reason: left.Reason, By: left.By, Text: left.Text})
	st.member.subscriber.Deliver(wire.EventFrame(seq, body))
}

// add puts a new seat into the table, in place of one that is leaving or of an earlier connection's, which [Service.displace]
// closes. The shard is locked.
func (s *Service) add(sh *shard, st *seat) {
	l := sh.rooms[st.room]
	if l == nil {
		l = &local{room: st.room, partition: s.opts.Store.Partition(st.room), seats: make(map[string]*seat, 1)}
		if s.broken[l.partition].Load() {
			l.pass(broken)
		}
		sh.rooms[st.room] = l
		s.metrics.rooms.Inc()
	}
	if old := l.seats[st.member.id]; old != nil {
		old.removed = true
		if old.member != st.member {
			st.displaced = old.member
		}
	} else {
		s.metrics.seats.Inc()
	}
	l.seats[st.member.id], st.local = st, l
}

// remove takes a seat out of the table, unless another one has taken its place. The shard is locked.
func (s *Service) remove(sh *shard, st *seat) {
	if st.removed {
		return
	}
	st.removed = true
	l := sh.rooms[st.room]
	delete(l.seats, st.member.id)
	s.metrics.seats.Dec()
	if st.quota != nil {
		st.quota.FreeSeat()
	}
	if len(l.seats) == 0 {
		l.pass(broken) // whatever is under way for the room finds that it is over
		delete(sh.rooms, st.room)
		s.metrics.rooms.Dec()
	}
	st.member.forget(st)
}

// lose takes a seat out of the table that its peer has no more, and sees to it that a join which was not answered leaves
// none behind. The shard is locked, so that a join after this comes after the leave in Redis, too.
func (s *Service) lose(sh *shard, st *seat) {
	s.remove(sh, st)
	if st.unsure {
		resuming := st.position.Epoch != "" // the session comes back for it
		s.depart(st.member.departure(st.room, wire.ReasonDisconnected, resuming))
	}
}

// open marks a seat as seated as of a snapshot, gives the join its answer, and then delivers what has waited and is
// newer. The shard is locked, so that nothing comes in between.
func (s *Service) open(sh *shard, st *seat, snapshot *store.Snapshot, answer func()) {
	if snapshot.New || st.epoch != snapshot.Epoch {
		st.since = snapshot.Seq
	}
	if st.epoch != snapshot.Epoch {
		st.epoch, st.last = snapshot.Epoch, snapshot.Seq
	}
	st.unsure = false
	st.learn(snapshot)
	s.follow(sh.rooms[st.room], st, snapshot)
	answer()
	s.catchUp(sh, st)
}

// follow has the node know the room at least as of a snapshot that one of its seats has got. The shard is locked.
func (s *Service) follow(l *local, st *seat, snapshot *store.Snapshot) {
	asked := st.asked
	st.asked = s.emptied.Load()
	switch {
	case l.state == repairing: // which ends with a snapshot for all
		return
	case l.before != "" && snapshot.Epoch == l.before: // it is from before the present epoch
		s.repair(l, "epoch")
		return
	}
	doubt := asked != st.asked // Redis may have lost the seat since
	if l.epoch == "" {
		doubt = doubt || l.unsure
		l.unsure = false
		l.learn(snapshot)
		for _, event := range st.waiting.all() {
			if event.Epoch == l.epoch {
				l.note(&event)
			} else {
				doubt = true // of an earlier life of the room, or a later one
			}
		}
	} else {
		l.learn(snapshot)
	}
	for _, other := range l.seats {
		if other.firm() && other.epoch != l.epoch {
			s.repair(l, "epoch")
			return
		}
	}
	if snapshot.Epoch == l.epoch && snapshot.Seq < l.first {
		// The answers of two peers have overtaken each other: for this one the node began to follow too late.
		l.first, l.behind = snapshot.Seq, snapshot.Seq
		doubt = true
	}
	if doubt && (l.state == whole || l.state == catching && l.behind > 0) {
		s.catch(l)
	}
}

// learn takes from a snapshot what Redis has of the seat.
func (st *seat) learn(snapshot *store.Snapshot) {
	for i := range snapshot.Members {
		if member := &snapshot.Members[i]; member.ID == st.member.id {
			st.order, st.state, st.entered = member.Order, member.State, member.Entered
		}
	}
}

// refused takes a join's refusal: what cannot become a seat any more goes, and a member stays one. The shard is locked.
func (s *Service) refused(sh *shard, st *seat, code wire.Code) {
	switch code {
	case wire.CodeUnavailable:
		st.unsure = true
	case wire.CodeRoomFull, wire.CodeRoomLocked, wire.CodeForbidden:
		st.unsure = false // an earlier join has left no seat either: this one would have found it
	}
	switch {
	case st.removed || st.seated || st.joins > 0:
	case st.epoch == "":
		s.lose(sh, st)
	default:
		s.catchUp(sh, st)
	}
}

// catchUp delivers what has waited, and goes on with what comes. The shard is locked.
func (s *Service) catchUp(sh *shard, st *seat) {
	if st.waiting.overran() {
		s.detach(st.member, false) // what was dropped is in the log, for the session when it comes back
		return
	}
	st.seated = true
	waiting := st.waiting
	st.waiting = nil
	for _, event := range waiting.all() {
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
