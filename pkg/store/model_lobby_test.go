package store_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// This is the part of the model in which some wait for a seat.

// modelPlace is a place in the queue; its node is "-" while it is away.
type modelPlace struct {
	id, node   string
	generation int64
	moderated  bool // it waits to be let in
	join       store.Join
}

// arrivals are when places were taken, which no model knows.
var arrivals = regexp.MustCompile(`"arrived":\d+,`)

// place is a peer's place, or nil.
func (r *modelRoom) place(peer string) *modelPlace {
	if r == nil {
		return nil
	}
	for _, place := range r.queue {
		if place.id == peer {
			return place
		}
	}
	return nil
}

// ruled reports whether the room outlives its last seat.
func (r *modelRoom) ruled() bool { return r.moderated || len(r.queue) > 0 }

// ofRequest is an event that comes from a request.
func ofRequest(seat store.Seat, request int64) told { return told{by: seat.Peer, request: request} }

// hasToWait tells why a join has to wait, or is refused. r is nil for a room that is to be made.
func (r *modelRoom) hasToWait(j *store.Join) (why, refused string) {
	if r != nil && r.ofUser(*j) != nil {
		return "", ""
	}
	moderated, most, queue := j.Rules.Moderated, j.Rules.Waiting, 0
	if r != nil {
		moderated, queue = r.moderated, len(r.queue)
		if r.ruled() {
			most = r.most
		}
	}
	full := r != nil && len(r.members) >= r.capacity
	switch {
	case r != nil && r.locked && !j.Moderator:
		return "", "room_locked"
	case moderated && !j.Moderator:
		why = "m"
	case full:
		why = "f"
	}
	switch {
	case why == "m" && !j.Wait:
		return "", "room_locked"
	case full && !j.Wait, why != "" && queue >= most:
		return "", "room_full"
	}
	return why, ""
}

// wait puts a peer behind all others.
func (m *model) wait(r *modelRoom, j *store.Join, why string) string {
	if !r.ruled() {
		r.most = j.Rules.Waiting
	}
	place := &modelPlace{id: j.Peer, node: j.Node, generation: j.Generation, moderated: why == "m", join: *j}
	r.queue = append(r.queue, place)
	reason := map[string]string{"m": "moderated", "f": "full"}[why]
	m.emit(r, told{kind: "waiting-peer", by: j.Peer, request: j.Request, body: fmt.Sprintf(
		`{"type":"waiting-peer","room":"%s","reason":"%s","peer":{"id":"%s",%s}`, r.room.Name, reason, j.Peer, j.Profile[1:])})
	m.requeue(r)
	return r.placeView(place)
}

// requeue has the nodes of those who wait learn who does.
func (m *model) requeue(r *modelRoom) {
	var all, nodes []string
	for _, place := range r.queue {
		all = append(all, place.id+":"+place.why())
		if place.node != noNode && !slices.Contains(nodes, place.node) {
			nodes = append(nodes, place.node)
		}
	}
	for _, node := range nodes {
		m.post(r, node, "queue", "", fmt.Sprintf(`,"peers":"%s"`, strings.Join(all, " ")))
	}
}

func (p *modelPlace) why() string {
	if p.moderated {
		return "m"
	}
	return "f"
}

// post has a node alone learn something.
func (m *model) post(r *modelRoom, node, kind, peer, more string) {
	m.deliver(node, r, fmt.Sprintf(`%d %s to=%s except= {"type":"%s"%s}`, r.seq, kind, peer, kind, more))
}

// callNext seats those who can be: of is what the request tells that frees the seats.
func (m *model) callNext(r *modelRoom, of told) {
	var left []*modelPlace
	for _, place := range r.queue {
		if r.locked || len(r.members) >= r.capacity || place.node == noNode || place.moderated {
			left = append(left, place)
			continue
		}
		r.order++
		member := &modelMember{
			id: place.id, node: place.node, order: r.order, generation: place.generation, grace: place.join.Grace > 0,
			user: userOf(place.join.Profile), state: map[string]string{},
		}
		mergeInto(member.state, place.join.State)
		r.members[place.id] = member
		body := string(place.join.EventHead) + strconv.FormatInt(r.order, 10) + string(place.join.EventTail)
		m.emit(r, told{kind: "joined-peer", except: place.id, body: body, by: of.by, request: of.request})
		m.hook(r, store.HookPeerJoined, place.id)
		m.post(r, place.node, "admitted", place.id, "")
	}
	if len(left) < len(r.queue) {
		r.queue = left
		m.requeue(r)
	}
}

// endIfEmpty makes an end of a room in which nobody has a seat, or waits.
func (m *model) endIfEmpty(r *modelRoom) {
	if len(r.members)+len(r.queue) == 0 && m.rooms[r.room] == r {
		m.hook(r, store.HookRoomClosed, "empty")
		delete(m.rooms, r.room)
	}
}

// unqueue takes a place away and tells it.
func (m *model) unqueue(r *modelRoom, place *modelPlace, reason string, of told) {
	r.queue = slices.DeleteFunc(slices.Clone(r.queue), func(p *modelPlace) bool { return p == place })
	m.requeue(r)
	m.emit(r, told{kind: "gone-peer", body: endOf("gone-peer", r.room, place.id, `,"reason":"`+reason+`"`), by: of.by, request: of.request})
	m.endIfEmpty(r)
}

// fencePlace finds the caller's place, if it is one that the caller asks for.
func (m *model) fencePlace(seat store.Seat) (r *modelRoom, place *modelPlace, refused string) {
	r = m.rooms[seat.Room]
	place = r.place(seat.Peer)
	if place != nil && (place.node != seat.Node || place.generation != seat.Generation) {
		return r, place, "fenced"
	}
	return r, place, ""
}

func (m *model) leavePlace(seat store.Seat, of told) (answer string, waits bool) {
	r, place, refused := m.fencePlace(seat)
	if place == nil || refused != "" {
		return refused, place != nil
	}
	m.unqueue(r, place, "left", of)
	return fmt.Sprint(r.seq), true
}

func (m *model) losePlace(seat store.Seat) (answer string, waits bool) {
	r, place, refused := m.fencePlace(seat)
	if place == nil || refused != "" {
		return refused, place != nil
	}
	m.departPlace(r, place)
	return fmt.Sprint(r.seq), true
}

// departPlace takes a place from its node: it is away, or given up.
func (m *model) departPlace(r *modelRoom, place *modelPlace) {
	if place.join.Grace > 0 {
		place.node = noNode
	} else {
		m.unqueue(r, place, "disconnected", told{})
	}
}

// reapPlaces ends a node's hold on its places.
func (m *model) reapPlaces(r *modelRoom, node string) int {
	count := 0
	for _, place := range slices.Clone(r.queue) {
		if place.node == node {
			m.departPlace(r, place)
			count++
		}
	}
	return count
}

// takePlace gives a place to a connection, and the seat if it is free.
func (m *model) takePlace(r *modelRoom, place *modelPlace, seat store.Seat, of told) string {
	had := place.node
	if had != seat.Node || place.generation != seat.Generation {
		if place.generation > seat.Generation || had != noNode && place.generation == seat.Generation {
			return "superseded"
		}
		place.node, place.generation = seat.Node, seat.Generation
		if had != noNode && had != seat.Node {
			m.post(r, had, "fenced", place.id, fmt.Sprintf(`,"generation":%d`, seat.Generation))
		}
	}
	m.callNext(r, of)
	return r.placeView(place)
}

// admit lets in, or sends away.
func (m *model) admit(a store.Admit) string {
	r, own, refused := m.fence(a.Seat)
	if refused != "" {
		return refused
	}
	if answer := r.repeated(own, a.Request, " 0"); answer != "" {
		return answer
	}
	affected, of := 0, ofRequest(a.Seat, a.Request)
	for _, place := range slices.Clone(r.queue) {
		switch {
		case a.Target != "" && place.id != a.Target:
		case a.Deny:
			m.unqueue(r, place, "denied", of)
			if place.node != noNode {
				m.post(r, place.node, "denied", place.id, fmt.Sprintf(`,"reason":"denied","by":"%s"`, a.By))
			}
			affected++
		case place.moderated:
			place.moderated = false
			affected++
		}
	}
	if affected == 0 && a.Target != "" {
		return "peer_gone"
	}
	if !a.Deny && affected > 0 {
		m.requeue(r)
		m.callNext(r, of)
	}
	return own.tookEffect(a.Request, r.seq, fmt.Sprint(" ", affected))
}

// placeView is the answer for who waits, in one line.
func (r *modelRoom) placeView(place *modelPlace) string {
	at := slices.Index(r.queue, place) + 1 // 0 for one that was seated
	return fmt.Sprintf("place %d of %d moderated=%v %s", at, len(r.queue), place.moderated, r.viewOf(nobody))
}

// queueView is who waits, in one line; waitersLine is the same of a snapshot.
func (r *modelRoom) queueView() string {
	var waiters []store.Waiting
	for _, p := range r.queue {
		waiters = append(waiters, store.Waiting{ID: p.id, Node: p.node, Generation: p.generation, Moderated: p.moderated, Away: p.node == noNode})
	}
	return waitersLine(waiters)
}

func waitersLine(waiters []store.Waiting) string {
	line := ""
	for _, w := range waiters {
		line += fmt.Sprintf(" %s/%s/%d/%v/%v waits", w.ID, w.Node, w.Generation, w.Moderated, w.Away)
	}
	return line
}

// heldPlaces adds a room's places to the sets of what nodes hold, and of what is away.
func (r *modelRoom) heldPlaces(name string, seats map[string][]string) {
	for _, place := range r.queue {
		key := "held:" + place.node
		if place.node == noNode {
			key = "away"
		} else if !slices.Contains(seats["holders"], place.node) {
			seats["holders"] = append(seats["holders"], place.node)
		}
		seats[key] = append(seats[key], name+" "+place.id)
	}
}

func (r *modelRoom) placesOf(node string) int {
	count := 0
	for _, place := range r.queue {
		if place.node == node {
			count++
		}
	}
	return count
}

// placeLine is the answer for who waits in the form of placeView, and notes what its node knows of it.
func (r *modelRun) placeLine(seat store.Seat, s *store.Snapshot) string {
	r.waited[store.Seat{Room: seat.Room, Peer: seat.Peer}] = &store.Waited{
		Arrived: s.Place.Arrived, Epoch: s.Epoch, Seq: s.Seq, Admitted: !s.Place.Moderated,
	}
	return fmt.Sprintf("place %d of %d moderated=%v %s", s.Place.Position, s.Place.Count, s.Place.Moderated, snapshotLine(s))
}

// admit has a moderator let in, or send away.
func (r *modelRun) admit() {
	n, seat := r.seat()
	a := store.Admit{Seat: seat, Request: r.request(seat), Deny: r.bool("deny"), Target: r.target(), By: seat.Peer}
	answer, err := n.admit(a)
	r.same("admit", r.model.admit(a), replyLine(err, "%d %d", answer.seq, answer.affected))
}

// again has a node ask again for a peer that waits, or did in the room as it is: what it knows is of its last answer.
func (r *modelRun) again() {
	n, seat := r.seat()
	w := r.waited[store.Seat{Room: seat.Room, Peer: seat.Peer}]
	s, err := n.snapshot(store.Look{Room: seat.Room, Members: true})
	require.NoError(r.t, err)
	if w == nil || s.Epoch != w.Epoch {
		return
	}
	j := joinOf(seat)
	j.Wait, j.Waited = true, w
	s, err = n.join(seat, func(into *store.Join) { *into = j })
	line := ""
	switch {
	case err == nil && s.Place != nil:
		line = r.placeLine(seat, s)
	case err == nil:
		line = fmt.Sprintf("new=%v order=%d %s", s.New, s.Order, snapshotLine(s))
	}
	r.same("again", r.model.join(j), replyLine(err, "%s", line))
}

// nobodyForgotten checks what holds of queues at any time, and that who waits came in the order of the queue.
func (r *modelRun) nobodyForgotten() {
	for _, room := range r.model.rooms {
		for _, place := range room.queue {
			free := !room.locked && len(room.members) < room.capacity && place.node != noNode && !place.moderated
			require.False(r.t, free, "%s waits in front of a free seat", place.id)
			require.Nil(r.t, room.members[place.id], "%s has a seat and waits", place.id)
		}
	}
	if len(r.rooms) == 0 || rapid.IntRange(0, 9).Draw(r.t, "arrivals") > 0 {
		return
	}
	s := r.nodes[0].look(r.t, r.rooms[0])
	require.True(r.t, slices.IsSortedFunc(s.Waiting, func(a, b store.Waiting) int { return int(a.Arrived - b.Arrived) }))
}
