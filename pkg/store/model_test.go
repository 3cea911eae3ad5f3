package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// model is what the store should be, without Redis: a few maps. Each operation gives the reply as one line, and
// adds to each node the events that it must receive.
type model struct {
	rooms  map[store.Room]*modelRoom
	events map[string][]string // "<node> <room>" to the events
}

type modelRoom struct {
	room       store.Room
	seq, order int64
	version    int64
	capacity   int
	locked     bool
	presenter  string
	spotlight  string
	properties map[string]string
	members    map[string]*modelMember
}

type modelMember struct {
	id, node string
	order    int64
	state    map[string]string
}

func newModel() *model {
	return &model{rooms: map[store.Room]*modelRoom{}, events: map[string][]string{}}
}

// replyLine is how a reply is compared: what it says, or why it was refused.
func replyLine(err error, format string, args ...any) string {
	var refusal *wire.Error
	switch {
	case err == nil:
		return fmt.Sprintf(format, args...)
	case errors.Is(err, store.ErrFenced):
		return "fenced"
	case errors.As(err, &refusal):
		if refusal.Code == wire.CodeConflict {
			return fmt.Sprintf("conflict %v", args[len(args)-1])
		}
		return string(refusal.Code)
	}
	return err.Error()
}

// emit numbers an event and gives it to the nodes: that of `at`, or all with a receiver.
func (m *model) emit(r *modelRoom, kind, to, except, caller, body, at string) int64 {
	r.seq++
	line := fmt.Sprintf("%d %s to=%s except=%s %s", r.seq, kind, to, except, body)
	counts := map[string]int{}
	for _, member := range r.members {
		counts[member.node]++
	}
	for node, count := range counts {
		if at == node || at == "" && !(except != "" && node == caller && count == 1) {
			inbox := node + " " + r.room.Name
			m.events[inbox] = append(m.events[inbox], line)
		}
	}
	return r.seq
}

// fence finds the caller's seat, or says why it cannot be used.
func (m *model) fence(seat store.Seat) (*modelRoom, *modelMember, string) {
	r := m.rooms[seat.Room]
	if r == nil || r.members[seat.Peer] == nil {
		return nil, nil, "not_member"
	}
	if r.members[seat.Peer].node != seat.Node {
		return nil, nil, "fenced"
	}
	return r, r.members[seat.Peer], ""
}

func (m *model) join(j store.Join) string {
	if j.State["mutedAudio"] != nil {
		return "forbidden"
	}
	r := m.rooms[j.Room]
	if r != nil {
		if member := r.members[j.Peer]; member != nil {
			m.take(r, member, j.Node)
			return fmt.Sprintf("new=false order=%d %s", member.order, r.view())
		}
		if r.locked && !j.Moderator {
			return "room_locked"
		}
		if len(r.members) >= r.capacity {
			return "room_full"
		}
	} else {
		r = &modelRoom{room: j.Room, capacity: j.Capacity, version: 1, members: map[string]*modelMember{}, properties: map[string]string{}}
		m.rooms[j.Room] = r
	}
	r.order++
	member := &modelMember{id: j.Peer, node: j.Node, order: r.order, state: map[string]string{}}
	mergeInto(member.state, j.State)
	r.members[j.Peer] = member
	m.emit(r, "joined-peer", "", j.Peer, j.Node, string(j.EventHead)+strconv.FormatInt(r.order, 10)+string(j.EventTail), "")
	return fmt.Sprintf("new=true order=%d %s", r.order, r.view())
}

// take gives a seat to another node, and tells the one that had it.
func (m *model) take(r *modelRoom, member *modelMember, node string) {
	if member.node != node {
		inbox := member.node + " " + r.room.Name
		m.events[inbox] = append(m.events[inbox], fmt.Sprintf(`%d fenced to=%s except= {"type":"fenced","generation":0}`, r.seq, member.id))
		member.node = node
	}
}

func (m *model) leave(l store.Leave) string {
	r, _, refused := m.fence(l.Seat)
	if refused != "" {
		return refused
	}
	if len(r.members) == 1 {
		delete(m.rooms, l.Room)
		return fmt.Sprint(r.seq)
	}
	m.emit(r, "left-peer", "", l.Peer, l.Node, string(l.Event), "")
	return fmt.Sprint(m.unseat(r, l.Peer))
}

// unseat takes a seat away after its leave was told.
func (m *model) unseat(r *modelRoom, peer string) int64 {
	delete(r.members, peer)
	if len(r.members) == 0 {
		delete(m.rooms, r.room)
		return r.seq
	}
	if r.presenter == peer {
		r.presenter = ""
		r.version++
		m.emit(r, "room", "", "", "", fmt.Sprintf(`{"type":"room","room":"%s","version":%d,"presenter":null}`, r.room.Name, r.version), "")
	}
	return r.seq
}

func (m *model) send(s store.Send) string {
	r, _, refused := m.fence(s.Seat)
	if refused != "" {
		return refused
	}
	if s.To != "" {
		target := r.members[s.To]
		if target == nil {
			return "peer_gone"
		}
		return fmt.Sprint(m.emit(r, s.Type, s.To, "", s.Node, string(s.Event), target.node))
	}
	except := s.Peer
	if s.Echo {
		except = ""
	}
	return fmt.Sprint(m.emit(r, s.Type, "", except, s.Node, string(s.Event), ""))
}

func (m *model) setState(s store.SetState) string {
	r, member, refused := m.fence(s.Seat)
	if refused != "" {
		return refused
	}
	if s.State["mutedAudio"] != nil || s.State["mutedVideo"] != nil {
		return "forbidden"
	}
	merged := maps.Clone(member.state)
	mergeInto(merged, s.State)
	if overLimit(merged, s.MaxKeys, s.MaxBytes) {
		return "too_large"
	}
	member.state = merged
	return fmt.Sprint(m.emit(r, "state", "", s.Peer, s.Node, string(s.Event), ""))
}

func (m *model) updateRoom(u store.UpdateRoom) string {
	r, _, refused := m.fence(u.Seat)
	if refused != "" {
		return refused
	}
	if u.Version != r.version {
		return fmt.Sprintf("conflict %d", r.version)
	}
	if u.Presenter != nil && *u.Presenter != "" && r.members[*u.Presenter] == nil {
		return "peer_gone"
	}
	merged := maps.Clone(r.properties)
	mergeInto(merged, u.Properties)
	if overLimit(merged, u.MaxKeys, u.MaxBytes) {
		return "too_large"
	}
	r.properties = merged
	if u.Capacity != nil {
		r.capacity = *u.Capacity
	}
	if u.Locked != nil {
		r.locked = *u.Locked
	}
	if u.Presenter != nil {
		r.presenter = *u.Presenter
	}
	if u.Spotlight != nil {
		if r.spotlight = string(u.Spotlight); r.spotlight == "null" {
			r.spotlight = ""
		}
	}
	r.version++
	seq := m.emit(r, "room", "", "", "", string(u.EventHead)+strconv.FormatInt(r.version, 10)+string(u.EventTail), "")
	return fmt.Sprint(seq, " ", r.version)
}

func (m *model) control(c store.Control) string {
	r, _, refused := m.fence(c.Seat)
	if refused != "" {
		return refused
	}
	var targets []*modelMember
	if c.Target != "" {
		target := r.members[c.Target]
		if target == nil {
			return "peer_gone"
		}
		targets = append(targets, target)
	} else {
		for _, member := range r.sorted() {
			if member.id != c.Peer {
				targets = append(targets, member)
			}
		}
	}
	seq := r.seq
	for _, target := range targets {
		switch c.Action {
		case store.ActionKick:
			m.emit(r, "left-peer", "", "", "", string(c.EventHead)+target.id+string(c.EventTail), "")
			seq = m.unseat(r, target.id)
		case store.ActionMute:
			target.state[mutedKey(c.Media)] = "true"
		case store.ActionUnmute:
			delete(target.state, mutedKey(c.Media))
		}
	}
	if c.Action != store.ActionKick && len(targets) > 0 {
		seq = m.emit(r, "control", "", "", "", string(c.Event), "")
	}
	return fmt.Sprint(seq, " ", len(targets))
}

func (m *model) snapshot(l store.Look) string {
	if l.As != nil {
		if _, _, refused := m.fence(store.Seat{Room: l.Room, Peer: l.As.Peer, Node: l.As.Node}); refused != "" {
			return refused
		}
	}
	return m.rooms[l.Room].viewWith(l.Members)
}

func mutedKey(media store.Media) string {
	if media == store.MediaAudio {
		return "mutedAudio"
	}
	return "mutedVideo"
}

func mergeInto(state map[string]string, change store.State) {
	for key, value := range change {
		if string(value) == "null" {
			delete(state, key)
		} else {
			state[key] = string(value)
		}
	}
}

func overLimit(state map[string]string, keys, bytes int) bool {
	n, size := 0, 0
	for key, value := range state {
		if key != "mutedAudio" && key != "mutedVideo" {
			n, size = n+1, size+len(key)+len(value)
		}
	}
	return keys > 0 && n > keys || bytes > 0 && size > bytes
}

// sorted are the members by order.
func (r *modelRoom) sorted() []*modelMember {
	return slices.SortedFunc(maps.Values(r.members), func(a, b *modelMember) int { return cmp.Compare(a.order, b.order) })
}

// view is the room in one line, in the same form as snapshotLine.
func (r *modelRoom) view() string { return r.viewWith(true) }

func (r *modelRoom) viewWith(members bool) string {
	if r == nil {
		return "not found"
	}
	var list []string
	for _, m := range r.sorted() {
		if members {
			list = append(list, fmt.Sprintf("%s/%d/%s/%v", m.id, m.order, m.node, m.state))
		}
	}
	return fmt.Sprintf("seq=%d capacity=%d count=%d version=%d locked=%v presenter=%s spotlight=%s properties=%v members=%s",
		r.seq, r.capacity, len(r.members), r.version, r.locked, r.presenter, r.spotlight, r.properties, strings.Join(list, ","))
}

// snapshotLine is a snapshot in the form of the model's view.
func snapshotLine(s *store.Snapshot) string {
	if !s.Found {
		return "not found"
	}
	var list []string
	for _, m := range s.Members {
		list = append(list, fmt.Sprintf("%s/%d/%s/%v", m.ID, m.Order, m.Node, texts(m.State)))
	}
	return fmt.Sprintf("seq=%d capacity=%d count=%d version=%d locked=%v presenter=%s spotlight=%s properties=%v members=%s",
		s.Seq, s.Capacity, s.Count, s.Version, s.Locked, s.Presenter, s.Spotlight, texts(s.Properties), strings.Join(list, ","))
}

func texts(state store.State) map[string]string {
	m := map[string]string{}
	for key, value := range state {
		m[key] = string(value)
	}
	return m
}

// keys are all keys that the rooms must have in Redis, with the content of those that are not seen in a
// snapshot: the nodes' counts and the held seats.
func (m *model) keys() []string {
	found := map[string]bool{}
	held := map[string][]string{}
	for room, r := range m.rooms {
		name := room.App + "/" + room.Name
		counts := map[string]int{}
		for _, member := range r.members {
			counts[member.node]++
			held[member.node] = append(held[member.node], name+" "+member.id)
		}
		for _, key := range []string{"room:" + name, "peers:" + name, "log:" + name, "rooms:" + room.App, fmt.Sprintf("nodes:%s %v", name, counts)} {
			found[key] = true
		}
	}
	for node, seats := range held {
		slices.Sort(seats)
		found[fmt.Sprintf("held:%s %v", node, seats)] = true
	}
	return slices.Sorted(maps.Keys(found))
}
