package store_test

import (
	"cmp"
	"encoding/json"
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
	events map[string][]string     // "<node> <room>" to the events
	lapsed map[string]bool         // "<node> <partition>" with a tombstone
	hooks  map[store.Room][]string // what webhooks are to tell

	partition func(store.Room) int
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
	log        []modelEntry
	hooks      bool

	moderated bool
	most      int // who may wait, as of the first of those who do
	queue     []*modelPlace
}

// modelMember is a seat; its node is "-" while it is away.
type modelMember struct {
	id, node   string
	order      int64
	generation int64
	grace      bool
	user       string
	state      map[string]string
	last       modelRequest
}

// modelRequest is the last numbered request of a seat that took effect.
type modelRequest struct {
	number, seq int64
	result      string
}

// modelEntry is an entry of a room's log.
type modelEntry struct {
	seq              int64
	kind, to, except string
	line             string // as brief
	by               string // the peer whose numbered request it came from
	request          int64
}

func newModel(partition func(store.Room) int) *model {
	return &model{rooms: map[store.Room]*modelRoom{}, events: map[string][]string{}, lapsed: map[string]bool{}, hooks: map[store.Room][]string{}, partition: partition}
}

// replyLine is how a reply is compared: what it says, or why it was refused.
func replyLine(err error, format string, args ...any) string {
	var refusal *wire.Error
	switch {
	case err == nil:
		return fmt.Sprintf(format, args...)
	case errors.Is(err, store.ErrFenced):
		return "fenced"
	case errors.Is(err, store.ErrSuperseded):
		return "superseded"
	case errors.Is(err, store.ErrLapsed):
		return "lapsed"
	case errors.As(err, &refusal):
		if refusal.Code == wire.CodeConflict {
			return fmt.Sprintf("conflict %v", args[len(args)-1])
		}
		return string(refusal.Code)
	}
	return err.Error()
}

// told is an event to be.
type told struct {
	kind, to, except, body string
	caller                 string // the node that the excepted peer sits on
	at                     string // the one node that it is for; empty for all with a receiver
	volatile               bool
	by                     string // the peer whose numbered request it comes from
	request                int64
}

// emit numbers an event, logs it and gives it to the nodes.
func (m *model) emit(r *modelRoom, e told) int64 {
	r.seq++
	line := fmt.Sprintf("%d %s to=%s except=%s %s", r.seq, e.kind, e.to, e.except, e.body)
	if !e.volatile {
		r.log = append(r.log, modelEntry{seq: r.seq, kind: e.kind, to: e.to, except: e.except, line: line, by: e.by, request: e.request})
	}
	counts := r.counts()
	for node, count := range counts {
		if e.at == node || e.at == "" && !(e.except != "" && node == e.caller && count == 1) {
			m.deliver(node, r, line)
		}
	}
	return r.seq
}

func (m *model) deliver(node string, r *modelRoom, line string) {
	inbox := node + " " + r.room.Name
	m.events[inbox] = append(m.events[inbox], line)
}

// hook notes what webhooks are to tell.
func (m *model) hook(r *modelRoom, kind, what string) {
	if r.hooks {
		m.hooks[r.room] = append(m.hooks[r.room], fmt.Sprintf("%d %s %s", r.seq, kind, what))
	}
}

// reasonOf reads why a left-peer event says that a peer has left.
func reasonOf(body string) string {
	var left struct{ Reason string }
	if err := json.Unmarshal([]byte(body), &left); err != nil {
		panic(err)
	}
	return left.Reason
}

// counts are the seats of each node.
func (r *modelRoom) counts() map[string]int {
	counts := map[string]int{}
	for _, member := range r.members {
		if member.node != "-" {
			counts[member.node]++
		}
	}
	return counts
}

// fence finds the caller's seat, or says why it cannot be used.
func (m *model) fence(seat store.Seat) (*modelRoom, *modelMember, string) {
	r := m.rooms[seat.Room]
	if r == nil || r.members[seat.Peer] == nil {
		return nil, nil, "not_member"
	}
	if member := r.members[seat.Peer]; member.node != seat.Node || member.generation != seat.Generation {
		return nil, nil, "fenced"
	}
	return r, r.members[seat.Peer], ""
}

// repeated is the answer of a request that came before, empty for a new one. Of an earlier one than the last, none says
// what is known besides the number.
func (r *modelRoom) repeated(member *modelMember, request int64, none string) string {
	switch last := member.last; {
	case request == 0 || request > last.number:
		return ""
	case request == last.number:
		if none == "" || last.result == "" { // it was of another kind then
			return fmt.Sprint(last.seq, none)
		}
		return fmt.Sprint(last.seq, last.result)
	}
	for _, e := range slices.Backward(r.log) {
		if e.by == member.id && e.request == request {
			return fmt.Sprint(e.seq, none)
		}
	}
	return "outcome_unknown"
}

// tookEffect notes a request and gives its answer.
func (member *modelMember) tookEffect(request, seq int64, result string) string {
	if request > 0 {
		member.last = modelRequest{request, seq, result}
	}
	return fmt.Sprint(seq, result)
}

func (m *model) leave(l store.Leave) string {
	if answer, waits := m.leavePlace(l.Seat, ofRequest(l.Seat, l.Request)); waits {
		return answer
	}
	r, member, refused := m.fence(l.Seat)
	if refused != "" {
		return refused
	}
	if answer := r.repeated(member, l.Request, ""); answer != "" {
		return answer
	}
	left := told{kind: "left-peer", except: l.Peer, body: string(l.Event), caller: l.Node, by: l.Peer, request: l.Request}
	return fmt.Sprint(m.unseat(r, l.Peer, left))
}

// unseat takes a seat away and tells it; nobody but the peer itself is there to be told when it was the last one.
func (m *model) unseat(r *modelRoom, peer string, left told) int64 {
	if len(r.members) > 1 || left.except == "" || r.ruled() {
		m.emit(r, left)
	}
	delete(r.members, peer)
	m.hook(r, store.HookPeerLeft, peer+" "+reasonOf(left.body))
	if len(r.members) == 0 && !r.ruled() {
		m.hook(r, store.HookRoomClosed, "empty")
		delete(m.rooms, r.room)
		return r.seq
	}
	if r.presenter == peer {
		r.presenter = ""
		r.version++
		m.emit(r, told{
			kind: "room", by: left.by, request: left.request,
			body: fmt.Sprintf(`{"type":"room","room":"%s","version":%d,"presenter":null}`, r.room.Name, r.version),
		})
	}
	m.callNext(r, left)
	m.endIfEmpty(r)
	return r.seq
}

func (m *model) send(s store.Send) string {
	r, member, refused := m.fence(s.Seat)
	if refused != "" {
		return refused
	}
	if answer := r.repeated(member, s.Request, ""); answer != "" {
		return answer
	}
	e := told{kind: s.Type, to: s.To, body: string(s.Event), caller: s.Node, volatile: s.Volatile, by: s.Peer, request: s.Request}
	if s.To != "" {
		target := r.members[s.To]
		if target == nil {
			return "peer_gone"
		}
		e.at = target.node
	} else if !s.Echo {
		e.except = s.Peer
	}
	return member.tookEffect(s.Request, m.emit(r, e), "")
}

func (m *model) setState(s store.SetState) string {
	r, member, refused := m.fence(s.Seat)
	if refused != "" {
		return refused
	}
	if answer := r.repeated(member, s.Request, ""); answer != "" {
		return answer
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
	e := told{kind: "state", except: s.Peer, body: string(s.Event), caller: s.Node, by: s.Peer, request: s.Request}
	return member.tookEffect(s.Request, m.emit(r, e), "")
}

func (m *model) updateRoom(u store.UpdateRoom) string {
	r, member, refused := m.fence(u.Seat)
	if refused != "" {
		return refused
	}
	if answer := r.repeated(member, u.Request, " 0"); answer != "" {
		return answer
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
	seq := m.emit(r, told{kind: "room", body: string(u.EventHead) + strconv.FormatInt(r.version, 10) + string(u.EventTail), by: u.Peer, request: u.Request})
	m.callNext(r, ofRequest(u.Seat, u.Request))
	return member.tookEffect(u.Request, seq, fmt.Sprint(" ", r.version))
}

func (m *model) control(c store.Control) string {
	r, own, refused := m.fence(c.Seat)
	if refused != "" {
		return refused
	}
	if answer := r.repeated(own, c.Request, " 0"); answer != "" {
		return answer
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
	if c.Action == store.ActionKick && r.ruled() {
		slices.SortStableFunc(targets, func(a, b *modelMember) int { return boolInt(a.id == r.presenter) - boolInt(b.id == r.presenter) })
	}
	for _, target := range targets {
		switch c.Action {
		case store.ActionKick:
			seq = m.unseat(r, target.id, told{
				kind: "left-peer", body: string(c.EventHead) + target.id + string(c.EventTail), by: c.Peer, request: c.Request,
			})
		case store.ActionMute:
			target.state[mutedKey(c.Media)] = "true"
		case store.ActionUnmute:
			delete(target.state, mutedKey(c.Media))
		}
	}
	if len(targets) == 0 {
		return fmt.Sprint(seq, " 0")
	}
	if c.Action != store.ActionKick {
		seq = m.emit(r, told{kind: "control", body: string(c.Event), by: c.Peer, request: c.Request})
	}
	return own.tookEffect(c.Request, seq, fmt.Sprint(" ", len(targets)))
}

func (m *model) snapshot(l store.Look) string {
	if l.As != nil {
		if _, _, refused := m.fence(store.Seat{Room: l.Room, Peer: l.As.Peer, Node: l.As.Node, Generation: l.As.Generation}); refused != "" {
			return refused
		}
	}
	if l.Members {
		return m.rooms[l.Room].view()
	}
	return m.rooms[l.Room].viewOf(nobody)
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

// view is the room in one line, with who waits, in the same form as snapshotLine.
func (r *modelRoom) view() string {
	if r == nil {
		return r.viewOf(nobody)
	}
	return r.viewOf(everyone) + r.queueView()
}

func everyone(*modelMember) bool { return true }

func nobody(*modelMember) bool { return false }

// viewOf is view with some of the members.
func (r *modelRoom) viewOf(listed func(*modelMember) bool) string {
	if r == nil {
		return "not found"
	}
	var list []string
	for _, m := range r.sorted() {
		if listed(m) {
			list = append(list, fmt.Sprintf("%s/%d/%s/%d/%v/%v", m.id, m.order, m.node, m.generation, m.node == "-", m.state))
		}
	}
	return fmt.Sprintf("seq=%d capacity=%d count=%d version=%d locked=%v presenter=%s spotlight=%s properties=%v members=%s",
		r.seq, r.capacity, len(r.members), r.version, r.locked, r.presenter, r.spotlight, r.properties, strings.Join(list, ","))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// snapshotLine is a snapshot in the form of the model's view.
func snapshotLine(s *store.Snapshot) string {
	if !s.Found {
		return "not found"
	}
	var list []string
	for _, m := range s.Members {
		list = append(list, fmt.Sprintf("%s/%d/%s/%d/%v/%v", m.ID, m.Order, m.Node, m.Generation, m.Away, texts(m.State)))
	}
	return fmt.Sprintf("seq=%d capacity=%d count=%d version=%d locked=%v presenter=%s spotlight=%s properties=%v members=%s"+waitersLine(s.Waiting),
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
// snapshot: the nodes' counts, the held and the away seats, and who holds any.
func (m *model) keys() []string {
	found := map[string]bool{}
	seats := map[string][]string{}
	for room, r := range m.rooms {
		name := room.App + "/" + room.Name
		for _, member := range r.members {
			key := "held:" + member.node
			if member.node == "-" {
				key = "away"
			}
			seats[key] = append(seats[key], name+" "+member.id)
			if member.node != "-" && !slices.Contains(seats["holders"], member.node) {
				seats["holders"] = append(seats["holders"], member.node)
			}
		}
		r.heldPlaces(name, seats)
		for _, key := range []string{fmt.Sprintf("room:%s %v", name, r.counts()), "log:" + name, "rooms:" + room.App} {
			found[key] = true
		}
	}
	for key, list := range seats {
		slices.Sort(list)
		found[fmt.Sprintf("%s %v", key, list)] = true
	}
	for dead := range m.lapsed {
		node, _, _ := strings.Cut(dead, " ")
		found["dead:"+node] = true
	}
	return slices.Sorted(maps.Keys(found))
}
