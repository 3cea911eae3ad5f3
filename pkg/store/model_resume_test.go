package store_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// This is the part of the model in which seats outlive their connections.

func (m *model) isLapsed(seat store.Seat) bool {
	return m.lapsed[fmt.Sprint(seat.Node, " ", m.partition(seat.Room))]
}

func (m *model) join(j store.Join) string {
	if j.State["mutedAudio"] != nil {
		return "forbidden"
	}
	if m.isLapsed(j.Seat) {
		return "lapsed"
	}
	r := m.rooms[j.Room]
	if place := r.place(j.Peer); place != nil {
		return m.takePlace(r, place, j.Seat, ofRequest(j.Seat, j.Request))
	}
	if r != nil && r.members[j.Peer] != nil {
		member := r.members[j.Peer]
		if refused := m.take(r, member, j.Seat, j.Back, j.Request); refused != "" {
			return refused
		}
		return fmt.Sprintf("new=false order=%d %s", member.order, r.view())
	}
	if j.Waited != nil {
		return "not_member" // these are of the room as it is
	}
	why, refused := r.hasToWait(&j)
	if refused != "" {
		return refused
	}
	if r == nil {
		r = &modelRoom{
			room: j.Room, capacity: j.Capacity, version: 1, members: map[string]*modelMember{}, properties: map[string]string{}, hooks: j.Hooks,
			moderated: j.Rules.Moderated, most: j.Rules.Waiting,
		}
		m.rooms[j.Room] = r
		m.hook(r, store.HookRoomCreated, fmt.Sprint(r.capacity))
	}
	if why != "" {
		return m.wait(r, &j, why)
	}
	r.order++
	member := &modelMember{
		id: j.Peer, node: noNode, order: r.order, generation: j.Generation, grace: j.Grace > 0, user: userOf(j.Profile), state: map[string]string{},
	}
	mergeInto(member.state, j.State)
	replaced := r.ofUser(j)
	if replaced != nil {
		r.members[j.Peer] = member // no event finds it before it has a node
		body := string(j.ReplacedHead) + replaced.id + string(j.ReplacedTail)
		m.unseat(r, replaced.id, told{kind: "left-peer", body: body, by: j.Peer, request: j.Request})
	}
	r.members[j.Peer], member.node = member, j.Node
	seq := m.emit(r, told{
		kind: "joined-peer", except: j.Peer, body: string(j.EventHead) + strconv.FormatInt(r.order, 10) + string(j.EventTail), caller: j.Node,
		by: j.Peer, request: j.Request,
	})
	m.hook(r, store.HookPeerJoined, j.Peer)
	if replaced == nil && len(r.members) >= r.capacity {
		m.hook(r, store.HookRoomFull, fmt.Sprint(r.capacity))
	}
	member.tookEffect(j.Request, seq, "")
	return fmt.Sprintf("new=true order=%d %s", r.order, r.view())
}

// ofUser is the one seat that a join replaces; users have no more than two peers in these tests.
func (r *modelRoom) ofUser(j store.Join) *modelMember {
	for _, member := range r.members {
		if j.SameUser != nil && member.id != j.Peer && member.user == userOf(j.Profile) {
			return member
		}
	}
	return nil
}

// userOf is how a profile begins.
func userOf(profile []byte) string {
	user, _, _ := strings.Cut(string(profile), ",")
	return user
}

// take gives a seat to a connection for a request, and tells the node that had it. It returns why it is refused.
func (m *model) take(r *modelRoom, member *modelMember, seat store.Seat, back []byte, request int64) string {
	had := member.node
	if had == seat.Node && member.generation == seat.Generation {
		return ""
	}
	if member.generation > seat.Generation || had != noNode && member.generation == seat.Generation {
		return "superseded"
	}
	member.node, member.generation = seat.Node, seat.Generation
	switch had {
	case seat.Node:
	case noNode:
		m.emit(r, told{kind: "back-peer", except: member.id, body: string(back), caller: seat.Node, by: member.id, request: request})
	default:
		m.deliver(had, r, fmt.Sprintf(`%d fenced to=%s except= {"type":"fenced","generation":%d}`, r.seq, member.id, seat.Generation))
	}
	return ""
}

func (m *model) lose(l store.Lose) string {
	if answer, waits := m.losePlace(l.Seat); waits {
		return answer
	}
	r, member, refused := m.fence(l.Seat)
	if refused != "" {
		return refused
	}
	return fmt.Sprint(m.depart(r, member, string(l.Away), string(l.Left)))
}

// depart takes a seat from its node: it is away, or given up.
func (m *model) depart(r *modelRoom, member *modelMember, away, left string) int64 {
	if !member.grace {
		return m.unseat(r, member.id, told{kind: "left-peer", except: member.id, body: left, caller: member.node})
	}
	seq := m.emit(r, told{kind: "away-peer", except: member.id, body: away, caller: member.node})
	member.node = noNode
	return seq
}

// expire ends the graces of a room's peers, in their order.
func (m *model) expire(room store.Room, peers []string) string {
	for _, peer := range peers {
		r := m.rooms[room]
		if place := r.place(peer); place != nil {
			m.unqueue(r, place, "expired", told{})
			continue
		}
		m.unseat(r, peer, told{kind: "left-peer", except: peer, body: endOf("left-peer", room, peer, `,"reason":"disconnected"`)})
	}
	return fmt.Sprint(len(peers), " 0")
}

// reap ends a node's hold on its seats in a partition. It has one in each room at most: which is first is Redis' choice.
func (m *model) reap(node string, partition int) string {
	m.lapsed[fmt.Sprint(node, " ", partition)] = true
	count := 0
	for room, r := range m.rooms {
		if m.partition(room) == partition {
			count += m.reapPlaces(r, node)
		}
		for _, member := range r.members {
			if member.node == node && m.partition(room) == partition {
				m.depart(r, member, endOf("away-peer", room, member.id, ""), endOf("left-peer", room, member.id, `,"reason":"disconnected"`))
				count++
			}
		}
	}
	return fmt.Sprint(count, " 0")
}

// endOf is the body of an event that the store itself makes.
func endOf(kind string, room store.Room, peer, more string) string {
	return fmt.Sprintf(`{"type":"%s","room":"%s","peer":"%s"%s}`, kind, room.Name, peer, more)
}

// resume is told whether the epoch is the room's: its name is random.
func (m *model) resume(s store.Resume, known bool) string {
	if m.isLapsed(s.Seat) {
		return "lapsed"
	}
	r := m.rooms[s.Room]
	if place := r.place(s.Peer); place != nil {
		return m.takePlace(r, place, s.Seat, told{by: s.Peer})
	}
	if r == nil || r.members[s.Peer] == nil {
		return "not_member"
	}
	member := r.members[s.Peer]
	if known && s.Seq > r.seq {
		m.rebirth(r, s.Seq)
		known = false
	}
	if refused := m.take(r, member, s.Seat, s.Back, 0); refused != "" {
		return refused
	}
	missed, known := r.missed(s.Peer, s.Seq, known)
	if known {
		return resumedLine(member.last.number, known, missed, r.viewOf(func(m *modelMember) bool { return m == member }))
	}
	return resumedLine(member.last.number, known, missed, r.view())
}

// rebirth begins a new epoch above a number.
func (m *model) rebirth(r *modelRoom, least int64) {
	r.seq, r.log = max(r.seq, least), nil
	m.emit(r, told{kind: "epoch", body: `{"type":"epoch"}`})
}

// missed are the events after a number that a peer is to get, or "" for a node.
func (r *modelRoom) missed(peer string, since int64, known bool) ([]string, bool) {
	lines := []string{}
	if !known || since > r.seq {
		return lines, false
	}
	if since == r.seq {
		return lines, true
	}
	if len(r.log) == 0 || r.log[0].seq > since+1 {
		return lines, false
	}
	for _, e := range r.log {
		switch {
		case e.seq <= since:
		case peer != "" && e.kind == "joined-peer" && e.except == peer:
			return []string{}, false
		case peer == "" || e.to == peer || e.to == "" && e.except != peer:
			lines = append(lines, e.line)
		}
	}
	return lines, true
}

func (m *model) replay(room store.Room, since int64, known bool) string {
	r := m.rooms[room]
	if r == nil {
		return resumedLine(0, false, nil, r.viewOf(nobody))
	}
	missed, known := r.missed("", since, known)
	return resumedLine(0, known, missed, r.viewOf(nobody))
}

// resumedLine is the answer of resume and replay in one line.
func resumedLine(request int64, known bool, missed []string, view string) string {
	return fmt.Sprintf("request=%d known=%v missed=%s %s", request, known, strings.Join(slices.Concat([]string{""}, missed), "\n"), view)
}
