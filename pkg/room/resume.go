package room

import (
	"errors"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// resume is a session's seats on their way to its new connection.
type resume struct {
	member *Member
	done   func(map[string]wire.ResumedRoom, error)

	mu    sync.Mutex
	left  int // rooms that are not answered yet
	rooms map[string]wire.ResumedRoom
	err   error
}

// Resume takes over the seats of an earlier connection of the session, in the rooms that the client believes to be in.
// When done has told what became of them, and the client has been told, [Member.Begin] lets events go to it. Refusals:
// limit, resume_refused when a later connection has the session, unavailable.
func (m *Member) Resume(positions map[string]wire.Position, done func(map[string]wire.ResumedRoom, error)) {
	if limit := m.service.opts.PerSession; len(positions) > limit {
		done(nil, wire.Errorf(wire.CodeLimit, "a session can be in %d rooms", limit))
		return
	}
	if len(positions) == 0 {
		done(nil, nil)
		return
	}
	r := &resume{member: m, done: done, left: len(positions), rooms: make(map[string]wire.ResumedRoom, len(positions))}
	seats := make([]*seat, 0, len(positions))
	for name, position := range positions {
		if st := m.resume(r, name, position); st != nil {
			seats = append(seats, st)
		}
	}
	for _, st := range seats {
		m.service.displace(st)
	}
}

// displace closes the connection of this node whose seat another one of its session takes. It comes after all that is asked of
// Redis for the new one: the end of the old one, which loses its seats in all rooms, is to find them taken.
func (s *Service) displace(st *seat) {
	if st.displaced != nil {
		s.detach(st.displaced, true)
		st.displaced = nil
	}
}

// resume takes over the seat in one room.
func (m *Member) resume(r *resume, name string, position wire.Position) *seat {
	st, refusal := m.reserve(m.room(name), true)
	if refusal != nil {
		r.answered(name, wire.ResumedRoom{}, refusal)
		return nil
	}
	st.position = position
	m.service.opts.Store.Resume(store.Resume{
		Seat: m.asking(st.room), Epoch: position.Epoch, Seq: position.Seq,
		Back: wire.AppendEventBody(nil, name, &wire.BackPeer{Peer: m.id}), Members: m.whole,
	}, func(resumed *store.Resumed, err error) { m.resumed(r, st, resumed, err) })
	return st
}

// resumed takes the answer for one room.
func (m *Member) resumed(r *resume, st *seat, resumed *store.Resumed, err error) {
	s := m.service
	sh := s.table.shard(st.room)
	sh.mu.Lock()
	switch {
	case err == nil && st.waiting.overran():
		err = wire.Errorf(wire.CodeUnavailable, "too much happened in the room while resuming it")
	case errors.Is(err, store.ErrSuperseded): // the connection stays: its client may begin a new session on it
		err = wire.Errorf(wire.CodeResumeRefused, "a later connection has the session")
	}
	result, refusal := wire.ResumedRoom{}, m.refusal(err)
	switch {
	case refusal == nil && resumed.Snapshot.Place != nil:
		st.joins--
		permissions, _ := m.grant(st.room.Name)
		policy := m.policyOf(st.room.Name)
		call := m.joinCall(st.room, &policy, permissions, &wire.Join{Room: st.room.Name, Wait: true})
		s.takePlace(st, call, resumed.Snapshot)
		st.place.untold = true
		result = wire.ResumedRoom{Result: wire.ResumeWaiting}
	case refusal == nil:
		st.resumed = resumed // Begin goes on with it
		result = wire.ResumedRoom{Result: wire.ResumeResync, Request: resumed.Request}
		if resumed.Known {
			result.Result = wire.ResumeReplayed
		}
	default:
		st.joins--
		st.unsure = refusal.Code == wire.CodeUnavailable // it may have been taken over
		s.lose(sh, st)
		if refusal.Code == wire.CodeNotMember {
			result, refusal = wire.ResumedRoom{Result: wire.ResumeGone}, nil
		}
	}
	sh.mu.Unlock()
	r.answered(st.room.Name, result, refusal)
}

// answered notes one room's result; the last one ends the resume.
func (r *resume) answered(room string, result wire.ResumedRoom, refusal *wire.Error) {
	r.mu.Lock()
	if refusal != nil && r.err == nil {
		r.err = refusal
	}
	r.rooms[room] = result
	r.left--
	over := r.left == 0
	r.mu.Unlock()
	if !over {
		return
	}
	counted := r.member.service.metrics.resumes
	if r.err != nil {
		counted.WithLabelValues("refused").Inc()
		r.done(nil, r.err)
		return
	}
	for _, result := range r.rooms {
		counted.WithLabelValues(result.Result).Inc()
	}
	r.done(r.rooms, nil)
}

// Begin delivers what was missed in the rooms that were resumed, and then what comes.
func (m *Member) Begin() {
	m.eachResumed(m.service.begin)
	m.tellPlaces()
}

// Returned gives, once a resume is answered and before [Member.Begin], the rooms as they were then, with all members if the
// member has Whole, and what Begin is to deliver of them: in each room what was missed, up to its snapshot's number.
func (m *Member) Returned() (rooms []*wire.Snapshot, missed []*wire.Frame) {
	m.eachResumed(func(_ *shard, st *seat) {
		rooms = append(rooms, m.snapshot(st.resumed.Snapshot))
		missed = append(missed, st.missed()...)
	})
	return rooms, missed
}

// eachResumed does something with every seat that was taken over and does not go on yet, with its shard locked.
func (m *Member) eachResumed(do func(*shard, *seat)) {
	m.eachSeat(func(sh *shard, st *seat) {
		if st.resumed != nil && !st.removed {
			do(sh, st)
		}
	})
}

// eachSeat does something with every seat that the member has or asks for, with its shard locked.
func (m *Member) eachSeat(do func(*shard, *seat)) {
	m.mu.Lock()
	seats := make([]*seat, 0, len(m.seats))
	for _, st := range m.seats {
		seats = append(seats, st)
	}
	m.mu.Unlock()
	for _, st := range seats {
		sh := m.service.table.shard(st.room)
		sh.mu.Lock()
		do(sh, st)
		sh.mu.Unlock()
	}
}

// missed gives what the peer of a resumed seat has missed, made once: what is derived from the frames is to be kept.
func (st *seat) missed() []*wire.Frame {
	if st.frames == nil {
		for _, event := range st.resumed.Missed {
			if event.Type != store.TypeEpoch {
				st.frames = append(st.frames, wire.EventFrame(event.Seq, event.Body))
			}
		}
	}
	return st.frames
}

// begin has a resumed seat go on where its peer was. The shard is locked.
func (s *Service) begin(sh *shard, st *seat) {
	resumed, snapshot, missed := st.resumed, st.resumed.Snapshot, st.missed()
	st.resumed, st.frames = nil, nil
	st.joins--
	st.request = resumed.Request
	st.epoch, st.last, st.since = snapshot.Epoch, snapshot.Seq, snapshot.Seq
	st.learn(snapshot)
	l := sh.rooms[st.room]
	s.follow(l, st, snapshot)
	if !resumed.Known {
		s.resync(st, snapshot)
		s.catchUp(sh, st)
		return
	}
	st.since = st.position.Seq
	if last := len(resumed.Missed) - 1; last >= 0 && l.epoch == snapshot.Epoch && l.mark.seq == 0 {
		l.mark = mark{seq: resumed.Missed[last].Seq, hash: hashOf(&resumed.Missed[last])}
	}
	for _, frame := range missed {
		st.member.subscriber.Deliver(frame)
		s.metrics.delivered.Inc()
	}
	s.catchUp(sh, st)
}
