package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Member is one session's part in the rooms of its app. Its methods may be called from one goroutine at a time, the
// session's; their callbacks come from another one, exactly once each, and must not block nor call back.
type Member struct {
	// immutable
	service    *Service
	id         string
	app        string
	user       string
	name       string
	profile    []byte
	capacity   int
	most       int // seats that this member may give a room
	grant      Grant
	subscriber Subscriber
	generation int64
	grace      time.Duration
	sameUser   []byte // how the profiles of seats begin that this one replaces; nil for none
	detached   func(takenOver bool)
	whole      bool
	before     string
	hooks      func(room string) bool // never nil
	policy     func(room string) Policy
	quota      Quota // nil for none

	span trace.Span // owned by the goroutine that has the requests

	mu         sync.Mutex // taken inside a shard's lock
	seats      map[string]*seat
	ended      bool
	superseded bool // a later connection of the session takes its seats, one by one
}

// Identity says who a member is.
type Identity struct {
	// ID is the session's public id, and the peer id in every room.
	ID   string
	App  string
	User string
	Name string
	// Capacity is the number of seats of a room that this member creates without asking for a number, and MaxCapacity
	// the most that it may ask for; 0 leaves them to the service.
	Capacity    int
	MaxCapacity int
	Grant       Grant
	// Generation orders the connections of one session: the latest has the seats.
	Generation int64
	// Grace is how long seats are kept when the connection is lost; 0 gives them up at once.
	Grace time.Duration
	// Replace has the member take the seats of the same user's other sessions, room by room.
	Replace bool
	// Before is the id of an earlier session of the same client that did not go on: in a room that this one joins, the seat
	// that it may still have there is given up. It may be empty.
	Before string
	// Whole has a resume bring all members of the rooms, for [Member.Returned].
	Whole bool
	// Policy gives the policy of a room; nil for rooms that have none.
	Policy func(room string) Policy
	// Hooks tells whether webhooks are to tell of a room, asked when this member makes it, and before it reports of its call. It
	// may be nil: of none.
	Hooks func(room string) bool
	// Quota is that of the app; nil for none.
	Quota Quota
	// Detached is called, from a goroutine of Run, when this connection holds its seats no more: because another one of the
	// session has taken them over, or for another reason, upon which the client should come back. It may be nil.
	Detached func(takenOver bool)
}

// profile is what the store keeps of a peer beside its state.
type profile struct {
	User string `json:"user"`
	Name string `json:"name,omitempty"`
}

// NewMember makes the member of a session; subscriber gets its events.
func (s *Service) NewMember(identity Identity, subscriber Subscriber) (*Member, error) {
	if !wire.ValidID(identity.ID) || identity.Grant == nil || subscriber == nil {
		return nil, errors.New("room: a member needs a valid id, a grant and a subscriber")
	}
	encoded, err := json.Marshal(profile{User: identity.User, Name: identity.Name})
	if err != nil {
		return nil, err
	}
	most := s.opts.MaxCapacity
	if identity.MaxCapacity > 0 {
		most = min(most, identity.MaxCapacity)
	}
	capacity := identity.Capacity
	if capacity == 0 {
		capacity = s.opts.Capacity
	}
	var replaces []byte
	if identity.Replace {
		replaces = sameUser(identity.User)
	}
	hooks := identity.Hooks
	if hooks == nil {
		hooks = func(string) bool { return false }
	}
	return &Member{
		generation: identity.Generation, grace: identity.Grace, sameUser: replaces, detached: identity.Detached,
		whole: identity.Whole, before: identity.Before, hooks: hooks, policy: identity.Policy, quota: identity.Quota,
		service: s, id: identity.ID, app: identity.App, user: identity.User, name: identity.Name, profile: encoded,
		capacity: min(capacity, most), most: most, grant: identity.Grant, subscriber: subscriber,
	}, nil
}

// Join takes a seat, or finds the one that the member has, or with Wait a place in the queue. Refusals: forbidden, limit, rate_limited,
// room_full, room_locked. When it succeeds, done runs before the first event after the snapshot is delivered. id is the request's number,
// 0 for none: what the client asked before, for an earlier seat in the room, does not take effect once more.
func (m *Member) Join(id int64, request *wire.Join, done func(*wire.Snapshot, error)) {
	policy := m.policyOf(request.Room)
	permissions, err := m.checkJoin(request, &policy)
	var st *seat
	if err == nil {
		st, err = m.reserve(m.room(request.Room), false)
	}
	if err != nil {
		m.service.metrics.joins.WithLabelValues(string(err.Code)).Inc()
		done(nil, err)
		return
	}
	making := m.makes(st.room)
	call := m.joinCall(st.room, &policy, permissions, request)
	call.Request, call.Span = id, m.span
	call.NoCreate = call.NoCreate || making.refusal != nil
	m.service.opts.Store.Join(*call, func(snapshot *store.Snapshot, err error) {
		m.joined(st, call, snapshot, making.answered(snapshot, err), done)
	})
	m.service.displace(st)
}

// joinCall is what the store is asked for a seat.
func (m *Member) joinCall(room store.Room, policy *Policy, permissions Permissions, request *wire.Join) *store.Join {
	capacity, _ := m.capacityOf(policy)
	if request.Capacity > 0 {
		capacity = request.Capacity
	}
	head, tail := wire.SplitJoined(room.Name, &wire.Peer{ID: m.id, User: m.user, Name: m.name, State: request.State})
	replacedHead, replacedTail := wire.SplitLeftOf(room.Name, wire.ReasonReplaced)
	return &store.Join{
		Seat: m.seat(room), Profile: m.profile, State: store.State(request.State), Capacity: capacity,
		Moderator: permissions.Moderate, FirstModerates: policy.FirstModerates, NoCreate: policy.NoCreate, Wait: request.Wait, Rules: m.service.rules(policy),
		EventHead: head, EventTail: tail, Grace: m.graceOf(policy),
		Back:     wire.AppendEventBody(nil, room.Name, &wire.BackPeer{Peer: m.id}),
		SameUser: m.sameUserOf(policy), Before: m.before, ReplacedHead: replacedHead, ReplacedTail: replacedTail,
		Hooks: m.hooks(room.Name),
	}
}

// checkJoin refuses what the token does not allow, or no room can be.
func (m *Member) checkJoin(request *wire.Join, policy *Policy) (Permissions, *wire.Error) {
	permissions, ok := m.grant(request.Room)
	_, most := m.capacityOf(policy)
	switch {
	case !ok:
		return permissions, wire.Errorf(wire.CodeForbidden, "the token does not allow room %q", request.Room)
	case request.Capacity > 0 && !permissions.SetCapacity:
		return permissions, wire.Errorf(wire.CodeForbidden, "the token does not allow to choose the capacity")
	case request.Capacity > most:
		return permissions, wire.Errorf(wire.CodeLimit, "a room has at most %d seats", most)
	}
	return permissions, m.checkState(request.State)
}

// checkState refuses a state that only a moderator can set; the wire has bounded its size.
func (m *Member) checkState(state wire.Object) *wire.Error {
	for _, key := range []string{wire.StateMutedAudio, wire.StateMutedVideo} {
		if _, ok := state[key]; ok {
			return wire.Errorf(wire.CodeForbidden, "%s is set by moderators", key)
		}
	}
	return nil
}

// reserve notes a join under way, so that events which come before its reply find a place to wait. back is set for one that comes
// back for a seat.
func (m *Member) reserve(room store.Room, back bool) (*seat, *wire.Error) {
	sh := m.service.table.shard(room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return nil, wire.Errorf(wire.CodeUnavailable, "the session has ended")
	}
	st := m.seats[room.Name]
	if st != nil && !st.leaving {
		st.joins++
		return st, nil
	}
	if limit := m.service.opts.PerSession; st == nil && len(m.seats) >= limit {
		return nil, wire.Errorf(wire.CodeLimit, "a session can be in %d rooms", limit)
	}
	var other *seat
	if l := sh.rooms[room]; l != nil {
		if other = l.seats[m.id]; other != nil && other.member != m && other.member.generation >= m.generation {
			return nil, wire.Errorf(wire.CodeResumeRefused, "a later connection has the session")
		}
	}
	st = &seat{member: m, room: room, joins: 1, asked: m.service.emptied.Load()}
	if refusal := st.asks(other, back); refusal != nil {
		return nil, refusal
	}
	if m.seats == nil {
		m.seats = make(map[string]*seat, 1)
	}
	m.seats[room.Name] = st
	m.service.add(sh, st)
	return st, nil
}

// joined takes a join's reply.
func (m *Member) joined(st *seat, call *store.Join, snapshot *store.Snapshot, err error, done func(*wire.Snapshot, error)) {
	if result := m.finishJoin(st, call, snapshot, err, done); result == "ok" {
		m.service.metrics.joined.Inc()
	} else {
		m.service.metrics.joins.WithLabelValues(result).Inc()
	}
}

func (m *Member) finishJoin(st *seat, call *store.Join, snapshot *store.Snapshot, err error, done func(*wire.Snapshot, error)) string {
	sh := m.service.table.shard(st.room)
	sh.mu.Lock()
	st.joins--
	if err == nil && st.waiting.overran() && !st.seated {
		err = wire.Errorf(wire.CodeUnavailable, "too much happened in the room while joining it")
	}
	if err == nil && snapshot.Place != nil {
		if !st.removed {
			m.service.takePlace(st, call, snapshot)
		}
		done(m.snapshot(snapshot), nil)
		if !st.removed {
			m.service.placed(sh, st)
		}
		sh.mu.Unlock()
		return "waiting"
	}
	if err == nil {
		st.place = nil
		answer := func() { done(m.snapshot(snapshot), nil) }
		if st.removed {
			answer() // left or ended meanwhile
		} else {
			m.service.open(sh, st, snapshot, answer)
		}
		sh.mu.Unlock()
		return "ok"
	}
	refusal := m.refusal(err)
	m.service.refused(sh, st, refusal.Code)
	sh.mu.Unlock()
	done(nil, refusal)
	return string(refusal.Code)
}

// Leave gives a seat up. Refusals: not_member, outcome_unknown. id is as in [Member.Join]: one that comes again does not give up
// a seat that was taken after it had taken effect.
func (m *Member) Leave(id int64, room string, done func(wire.Done, error)) {
	st := m.find(room)
	if st == nil {
		done(wire.Done{}, notMember(room))
		return
	}
	sh := m.service.table.shard(st.room)
	sh.mu.Lock()
	st.leaving = true
	sh.mu.Unlock()
	event := wire.AppendEventBody(nil, room, &wire.LeftPeer{Peer: m.id, Reason: wire.ReasonLeft})
	m.service.opts.Store.Leave(store.Leave{Seat: m.asking(st.room), Request: id, Event: event}, func(left store.Left, err error) {
		seq, refusal := left.Seq, m.refusal(err)
		sh.mu.Lock()
		if refusal != nil && st.gone > 0 && !st.left { // it is known from the event
			seq, refusal = st.gone, nil
		}
		earlier := left.Repeated && seq < st.since // it was an earlier seat that was left
		st.left = st.left || (refusal == nil && !earlier)
		if !earlier && (refusal == nil || refusal.Code == wire.CodeNotMember) {
			m.service.remove(sh, st)
		}
		st.leaving = false
		sh.mu.Unlock()
		finish(done, wire.Done{Seq: seq}, refusal)
	})
}

// Signal sends to one peer. Refusals: not_member, forbidden, peer_gone, outcome_unknown. id is the request's number, by which
// it takes effect once, also when it comes again over another connection; 0 for none.
func (m *Member) Signal(id int64, request *wire.Signal, done func(wire.Done, error)) {
	st, err := m.allow(request.Room, func(p Permissions) bool { return p.Publish })
	if err != nil {
		done(wire.Done{}, err)
		return
	}
	if request.To == m.id {
		done(wire.Done{}, wire.Errorf(wire.CodeBadRequest, "a signal cannot go to oneself"))
		return
	}
	if request.Answers > 0 && m.overtaken(st, request) {
		done(wire.Done{}, wire.Errorf(wire.CodeStale, "a later offer of the peer has come: answer that one"))
		return
	}
	m.send(st, store.Send{
		Request: id, To: request.To, Type: string(wire.TypeSignal),
		Event: wire.AppendEventBody(nil, request.Room, &wire.Signaled{From: m.id, Offer: request.Offer, Data: request.Data}),
	}, done)
}

// Publish sends to the room. Refusals: not_member, forbidden, outcome_unknown. id is as in [Member.Signal].
func (m *Member) Publish(id int64, request *wire.Publish, done func(wire.Done, error)) {
	st, err := m.allow(request.Room, func(p Permissions) bool { return p.Publish })
	if err != nil {
		done(wire.Done{}, err)
		return
	}
	if request.Keep {
		m.keep(id, request, done)
		return
	}
	m.send(st, store.Send{
		Request: id, Type: string(wire.TypeMessage), Echo: request.Echo, Volatile: request.Volatile,
		Event: wire.AppendEventBody(nil, request.Room, &wire.Message{
			From: m.id, Topic: request.Topic, Data: request.Data, Volatile: request.Volatile}),
	}, done)
}

func (m *Member) send(st *seat, call store.Send, done func(wire.Done, error)) {
	call.Seat = m.asking(st.room)
	if st.repairs() {
		done(wire.Done{}, &wire.Error{
			Code: wire.CodeUnavailable, Message: "the room is being put right", RetryAfter: recoveryPause})
		return
	}
	// What comes again is answered as it was then, whatever it says now: that is no witness.
	logged, hash := !call.Volatile && (call.Request == 0 || call.Request > st.request), uint64(0)
	if logged {
		hash = hashOfBody(call.Event)
	}
	m.service.opts.Store.Send(call, func(seq int64, err error) {
		if logged && err == nil && seq > 0 {
			st.answered(seq, hash)
		}
		finish(done, wire.Done{Seq: seq}, m.outcome(st.room.Name, err))
	})
}

// SetState merges into the member's own state. Refusals: not_member, forbidden, too_large, outcome_unknown. id is as in
// [Member.Signal].
func (m *Member) SetState(id int64, request *wire.SetState, done func(wire.Done, error)) {
	_, err := m.allow(request.Room, func(p Permissions) bool { return p.Publish })
	if err == nil {
		err = m.checkState(request.State)
	}
	if err != nil {
		done(wire.Done{}, err)
		return
	}
	m.service.opts.Store.SetState(store.SetState{
		Seat: m.asking(m.room(request.Room)), Request: id, State: store.State(request.State),
		MaxKeys: m.service.opts.StateKeys, MaxBytes: m.service.opts.StateBytes,
		Event: wire.AppendEventBody(nil, request.Room, &wire.StateChanged{Peer: m.id, State: request.State}),
	}, func(seq int64, err error) {
		if err == nil {
			m.service.noteState(m.find(request.Room), request.State)
		}
		finish(done, wire.Done{Seq: seq}, m.outcome(request.Room, err))
	})
}

// Outcome is what a peer tells of its call, as webhooks pass it on.
type Outcome struct {
	Peer string `json:"peer"`
	User string `json:"user"`
	Name string `json:"name,omitempty"`
	// With is the other peer.
	With         string `json:"with,omitempty"`
	Outcome      string `json:"outcome"`
	Milliseconds int64  `json:"milliseconds,omitempty"`
	Local        string `json:"local,omitempty"`
	Remote       string `json:"remote,omitempty"`
	Protocol     string `json:"protocol,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Again        bool   `json:"again,omitempty"`
	Restarts     int    `json:"restarts,omitempty"`
}

// Report notes what the client says of its call, and has webhooks tell it, if they tell of the room. once is as the id of [Member.Signal]: sent
// again after a resume, on whatever gateway, the report is neither told nor counted twice. id, the request's number, tells it from others to
// webhooks. The client does not wait for it, and what becomes of it does not concern it. count is called unless it came before, or comes again
// as another connection has the seat by now; of who has no seat that is not known.
func (m *Member) Report(once, id int64, report *wire.Report, count func()) {
	if m.find(report.Room) == nil {
		count()
		return
	}
	data, err := json.Marshal(Outcome{
		Peer: m.id, User: m.user, Name: m.name, With: report.Peer, Outcome: report.Outcome, Milliseconds: report.Milliseconds,
		Local: report.Local, Remote: report.Remote, Protocol: report.Protocol, Reason: report.Reason,
		Again: report.Again, Restarts: report.Restarts,
	})
	if err != nil {
		return
	}
	of := store.Report{Seat: m.asking(m.room(report.Room)), Request: once, ID: fmt.Sprintf("%s-%d", m.id, id), Data: data}
	m.service.opts.Store.Report(of, func(again bool, err error) {
		if !again && !errors.Is(err, store.ErrFenced) {
			count()
		}
	})
}

// Look reads a room: its head count, which every grant allows, or with members the whole, which takes a seat.
// Refusals: forbidden, not_member.
func (m *Member) Look(room string, members bool, done func(*wire.Snapshot, error)) {
	if _, ok := m.grant(room); !ok {
		done(nil, wire.Errorf(wire.CodeForbidden, "the token does not allow room %q", room))
		return
	}
	look := store.Look{Room: m.room(room), Members: members}
	if members {
		if m.find(room) == nil {
			done(nil, notMember(room))
			return
		}
		seat := m.asking(look.Room)
		look.As = &seat
	}
	m.service.opts.Store.Snapshot(look, func(snapshot *store.Snapshot, err error) {
		if refusal := m.outcome(room, err); refusal != nil {
			done(nil, refusal)
			return
		}
		done(m.snapshot(snapshot), nil)
	})
}

// End gives up every seat, because the session has ended: reason is what the others are told. Nothing is delivered
// after it has returned. [Service.Settled] waits for the store.
func (m *Member) End(reason string) { m.end(reason, false) }

// Lose ends the connection's hold on every seat: they are kept for the grace, for a connection to come, and without a grace
// given up as [Member.End] does.
func (m *Member) Lose() { m.end(wire.ReasonDisconnected, true) }

func (m *Member) end(reason string, lost bool) {
	m.mu.Lock()
	m.ended = true
	seats, superseded := m.seats, m.superseded
	m.seats = nil
	m.mu.Unlock()
	for _, st := range seats {
		sh := m.service.table.shard(st.room)
		sh.mu.Lock()
		m.service.remove(sh, st)
		sh.mu.Unlock()
		if d := m.departure(st.room, reason, lost); lost && superseded {
			m.service.departLater(d)
		} else {
			m.service.depart(d)
		}
	}
}

// supersede notes that the session's later connection is about to take the seats that this one still has.
func (m *Member) supersede() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.superseded = true
}

// departure describes the end of the hold on a seat. The others are told reason if it is not kept.
func (m *Member) departure(room store.Room, reason string, lost bool) departure {
	return departure{
		seat: m.seat(room), lost: lost,
		left: wire.AppendEventBody(nil, room.Name, &wire.LeftPeer{Peer: m.id, Reason: reason}),
		away: wire.AppendEventBody(nil, room.Name, &wire.AwayPeer{Peer: m.id}),
	}
}

func (m *Member) room(name string) store.Room { return store.Room{App: m.app, Name: name} }

// Trace has what is asked of the store from now on, for the session's requests, be part of a span's trace; of none with nil. Like
// the requests, it is called from one goroutine at a time.
func (m *Member) Trace(span trace.Span) { m.span = span }

// asking is the seat in a call for a request of the session.
func (m *Member) asking(room store.Room) store.Seat {
	seat := m.seat(room)
	seat.Span = m.span
	return seat
}

func (m *Member) seat(room store.Room) store.Seat {
	return store.Seat{Room: room, Peer: m.id, Node: m.service.opts.Node, Generation: m.generation}
}

// find gives the member's seat in a room, or nil.
func (m *Member) find(room string) *seat {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seats[room]
}

// forget is called with the seat's shard locked.
func (m *Member) forget(st *seat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seats[st.room.Name] == st {
		delete(m.seats, st.room.Name)
	}
}

// allow gives the seat that the member asked for in the room, if it may do what permitted asks for. Whether it has the seat
// is the script's to say.
func (m *Member) allow(room string, permitted func(Permissions) bool) (*seat, *wire.Error) {
	st := m.find(room)
	if st == nil {
		return nil, notMember(room)
	}
	permissions, ok := m.grant(room)
	if !ok || !permitted(permissions) && !permitted(m.first(st, permissions)) {
		return nil, wire.Errorf(wire.CodeForbidden, "the token does not allow this in room %q", room)
	}
	return st, nil
}

// first gives what the member may do by its seat as well: what the policy says of the first seat is said of that of number 1; whoever comes
// later, or anew, has another one. It reads the policy, which a message that is allowed anyway has no need of.
func (m *Member) first(st *seat, permissions Permissions) Permissions {
	if !permissions.Moderate && m.policyOf(st.room.Name).FirstModerates {
		sh := m.service.table.shard(st.room)
		sh.mu.Lock()
		permissions.Moderate = st.order == 1
		sh.mu.Unlock()
	}
	return permissions
}
