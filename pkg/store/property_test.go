package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// TestAgainstModel drives random operations and compares every reply, every event at every node and, at the
// end, all keys with those of the model.
func TestAgainstModel(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		nodes := []*node{startNode(t, d.options, "n0"), startNode(t, d.options, "n1"), startNode(t, d.options, "n2")}
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			d.empty(t)
			runs++ // a run that failed may have left events on their way: no other run has its rooms
			rooms := []store.Room{{App: "acme", Name: fmt.Sprint("one-", runs)}, {App: "acme", Name: fmt.Sprint("two-", runs)}}
			for _, room := range rooms {
				d.openGate(rt, nodes[0].store, room)
			}
			run := modelRun{t: rt, d: d, model: newModel(nodes[0].store.Partition), nodes: nodes, rooms: rooms, requests: map[string]int64{}, waited: map[store.Seat]*store.Waited{}}
			for range rapid.IntRange(5, 60).Draw(rt, "steps") {
				run.step()
			}
			run.forgive()
			for _, n := range nodes {
				got := n.drain(rt, rooms...)
				for _, room := range rooms { // rooms of two partitions may overtake each other in a cluster
					require.Equal(rt, run.model.events[n.id+" "+room.Name], eventsOf(got, room), "events at %s", n.id)
				}
			}
			require.Equal(rt, run.model.keys(), d.contents(rt))
			for _, room := range rooms {
				told := d.hooked(rt, nodes[0].store, room)
				require.Equal(rt, run.model.hooks[room], briefHooks(told))
				requirePaired(rt, told, run.model.rooms[room])
			}
		})
	})
}

var modelPeers = []string{"p0", "p1", "p2", "p3"}

// eventsOf are the events of one room in the form of the model's.
func eventsOf(events []store.Event, room store.Room) []string {
	var lines []string
	for _, e := range events {
		if e.Room == room {
			lines = append(lines, arrivals.ReplaceAllString(brief(e), ""))
		}
	}
	return lines
}

// modelRun is one random sequence of operations.
type modelRun struct {
	t        *rapid.T
	d        deployment
	model    *model
	nodes    []*node
	rooms    []store.Room
	count    int
	requests map[string]int64             // the highest number of each seat's peer so far
	waited   map[store.Seat]*store.Waited // what nodes know of places, by room and peer
}

const operations = "join join join leave lose lose resume resume send send send burst burst state room control snapshot replay expire reap admit admit again"

// step draws one operation, carries it out on both sides and compares the replies.
func (r *modelRun) step() {
	r.count++
	switch kind := rapid.SampledFrom(strings.Fields(operations)).Draw(r.t, "operation"); kind {
	case "join":
		r.join()
	case "leave":
		n, seat := r.seat()
		l := leaveOf(seat)
		l.Request = r.request(seat)
		seq, err := wait(func(done func(int64, error)) { n.store.Leave(l, numberOf(done)) })
		r.same(kind, r.model.leave(l), replyLine(err, "%d", seq))
	case "lose":
		n, seat := r.seat()
		seq, err := n.lose(seat)
		r.same(kind, r.model.lose(loseOf(seat)), replyLine(err, "%d", seq))
	case "resume":
		r.resume()
	case "send":
		n, seat := r.seat()
		m := r.message(seat)
		seq, err := n.send(m)
		r.same(kind, r.model.send(m), replyLine(err, "%d", seq))
	case "burst":
		r.burst()
	case "state":
		n, seat := r.seat()
		m := stateOf(seat, r.state())
		m.Request = r.request(seat)
		m.MaxKeys, m.MaxBytes = r.limits()
		seq, err := n.setState(m)
		r.same(kind, r.model.setState(m), replyLine(err, "%d", seq))
	case "room":
		r.updateRoom()
	case "control":
		r.control()
	case "snapshot":
		r.snapshot()
	case "replay":
		r.replay()
	case "expire":
		r.expire()
	case "reap":
		r.reap()
	case "admit":
		r.admit()
	case "again":
		r.again()
	}
	r.nobodyForgotten()
}

func (r *modelRun) message(seat store.Seat) store.Send {
	return store.Send{
		Seat: seat, Request: r.request(seat), To: r.target(), Type: "message", Echo: r.bool("echo"), Volatile: r.bool("volatile"),
		Event: fmt.Appendf(nil, `{"type":"message","step":%d}`, r.count),
	}
}

// burst has a peer send messages without waiting for an answer: all but the first wait together, and go as one call where they can.
func (r *modelRun) burst() {
	n, seat := r.seat()
	type answer struct {
		seq int64
		err error
	}
	var messages []store.Send
	var answers []chan answer
	for range rapid.IntRange(2, 8).Draw(r.t, "messages") {
		m := r.message(seat)
		if len(messages) > 0 && rapid.IntRange(0, 3).Draw(r.t, "other") > 0 {
			last := messages[len(messages)-1]
			m.To, m.Echo, m.Volatile = last.To, last.Echo, last.Volatile
		}
		messages, answers = append(messages, m), append(answers, make(chan answer, 1))
		r.count++
	}
	for i, m := range messages {
		n.store.Send(m, func(seq int64, err error) { answers[i] <- answer{seq, err} })
	}
	for i, m := range messages {
		got := <-answers[i]
		r.same("burst", r.model.send(m), replyLine(got.err, "%d", got.seq))
	}
}

func (r *modelRun) join() {
	n, seat := r.newcomer()
	j := joinOf(seat)
	j.Request = r.request(seat)
	j.Capacity = rapid.IntRange(1, 4).Draw(r.t, "capacity")
	j.Moderator, j.Hooks = r.bool("moderator"), r.bool("hooks")
	j.Wait, j.Rules.Waiting = r.bool("wait"), rapid.IntRange(0, 3).Draw(r.t, "waiting")
	j.Rules.Moderated = rapid.IntRange(0, 3).Draw(r.t, "moderated") == 0
	j.State = r.state()
	delete(j.State, store.StateMutedVideo)
	if r.bool("kept") {
		kept(&j)
	}
	user := fmt.Sprintf(`{"user":"u%d",`, slices.Index(modelPeers, seat.Peer)/2)
	j.Profile = []byte(user + `"name":"` + seat.Peer + `"}`)
	if r.bool("replace") {
		j.SameUser = []byte(user)
		j.ReplacedHead, j.ReplacedTail = []byte(`{"type":"left-peer","peer":"`), []byte(`","reason":"replaced"}`)
	}
	s, err := n.join(j.Seat, func(into *store.Join) { *into = j })
	line := ""
	switch {
	case err == nil && s.Place != nil:
		line = r.placeLine(seat, s)
	case err == nil:
		line = fmt.Sprintf("new=%v order=%d %s", s.New, s.Order, snapshotLine(s))
	}
	r.same("join", r.model.join(j), replyLine(err, "%s", line))
}

func (r *modelRun) snapshot() {
	n, seat := r.seat()
	look := store.Look{Room: seat.Room, Members: r.bool("members")}
	if r.bool("as") {
		look.As = &seat
	}
	s, err := n.snapshot(look)
	line := ""
	if err == nil {
		line = snapshotLine(s)
	}
	r.same("snapshot", r.model.snapshot(look), replyLine(err, "%s", line))
}

func (r *modelRun) updateRoom() {
	n, seat := r.seat()
	version := int64(1)
	if room := r.model.rooms[seat.Room]; room != nil {
		version = room.version
	}
	u := updateOf(seat, version-int64(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(r.t, "stale")))
	u.Request = r.request(seat)
	if r.bool("capacity") {
		capacity := rapid.IntRange(1, 4).Draw(r.t, "to")
		u.Capacity = &capacity
	}
	if r.bool("lock") {
		locked := r.bool("locked")
		u.Locked = &locked
	}
	if r.bool("presenter") {
		presenter := r.target()
		u.Presenter = &presenter
	}
	if r.bool("properties") {
		u.Properties = r.state()
		delete(u.Properties, store.StateMutedAudio)
		delete(u.Properties, store.StateMutedVideo)
		u.MaxKeys, u.MaxBytes = r.limits()
	}
	u.Spotlight = rapid.SampledFrom([][]byte{nil, []byte("null"), []byte(`{"peer":"p1"}`)}).Draw(r.t, "spotlight")
	answer, err := n.updateRoom(u)
	want := r.model.updateRoom(u)
	r.same("room", want, replyLine(err, "%d %d", answer.seq, answer.version))
}

func (r *modelRun) control() {
	n, seat := r.seat()
	target := r.target()
	c := kickOf(seat, target)
	if action := rapid.SampledFrom([]store.Action{store.ActionKick, store.ActionMute, store.ActionMute, store.ActionUnmute}).Draw(r.t, "action"); action != store.ActionKick {
		c = muteOf(seat, action, rapid.SampledFrom([]store.Media{store.MediaAudio, store.MediaVideo}).Draw(r.t, "media"), target)
	}
	c.Request = r.request(seat)
	answer, err := n.control(c)
	r.same("control", r.model.control(c), replyLine(err, "%d %d", answer.seq, answer.affected))
}

func (r *modelRun) same(operation, want, got string) {
	require.Equal(r.t, want, got, "reply %d, %s", r.count, operation)
}

// seat draws a caller: mostly the connection that holds the peer's seat, if there is one.
func (r *modelRun) seat() (*node, store.Seat) {
	n, seat := r.newcomer()
	if id, generation, ok := r.holder(seat); ok && id != noNode && rapid.IntRange(0, 9).Draw(r.t, "fenced") > 0 {
		n = r.nodes[slices.IndexFunc(r.nodes, func(n *node) bool { return n.id == id })]
		seat = later(seat, n.id, generation)
	}
	return n, seat
}

// newcomer draws a connection of any node, mostly one that is not older than the one that has the seat.
func (r *modelRun) newcomer() (*node, store.Seat) {
	room := rapid.SampledFrom(r.rooms).Draw(r.t, "room")
	peer := rapid.SampledFrom(modelPeers).Draw(r.t, "peer")
	n := r.node("node")
	seat := n.seat(room, peer)
	if _, generation, ok := r.holder(seat); ok {
		seat.Generation = max(0, generation+rapid.SampledFrom([]int64{0, 0, 1, 1, -1}).Draw(r.t, "generation"))
	}
	return n, seat
}

// node draws a node, by its number: what is drawn may be printed at any time, and a node's inbox writes to it.
func (r *modelRun) node(what string) *node {
	return r.nodes[rapid.IntRange(0, len(r.nodes)-1).Draw(r.t, what)]
}

// holder is who has the peer's seat, or place, in the model.
func (r *modelRun) holder(seat store.Seat) (node string, generation int64, ok bool) {
	room := r.model.rooms[seat.Room]
	if place := room.place(seat.Peer); place != nil {
		return place.node, place.generation, true
	}
	if room != nil && room.members[seat.Peer] != nil {
		member := room.members[seat.Peer]
		return member.node, member.generation, true
	}
	return "", 0, false
}

// request draws a number for a request: none, the next one or one that came before.
func (r *modelRun) request(seat store.Seat) int64 {
	key := seat.Room.Name + " " + seat.Peer
	switch last := r.requests[key]; rapid.SampledFrom(strings.Fields("none next next again earlier")).Draw(r.t, "request") {
	case "next":
		r.requests[key] = last + int64(rapid.IntRange(1, 2).Draw(r.t, "step"))
		return r.requests[key]
	case "again":
		return last
	case "earlier":
		return max(0, last-int64(rapid.IntRange(1, 4).Draw(r.t, "back")))
	}
	return 0
}

// target draws a peer, or everybody.
func (r *modelRun) target() string {
	return rapid.SampledFrom(append([]string{"", "nobody"}, modelPeers...)).Draw(r.t, "target")
}

func (r *modelRun) state() store.State {
	state := store.State{}
	keys := []string{"a", "b", "c", "1", `k"\`, store.StateMutedAudio, store.StateMutedVideo}
	for key, value := range rapid.MapOfN(rapid.SampledFrom(keys[:5]), rapid.SampledFrom([]string{"null", "1", "1.10", `"é/\u0000<"`, "{}", "[]", "false"}), 0, 4).Draw(r.t, "state") {
		state[key] = raw(value)
	}
	if rapid.IntRange(0, 9).Draw(r.t, "reserved") == 0 {
		state[rapid.SampledFrom(keys[5:]).Draw(r.t, "key")] = raw("true")
	}
	return state
}

func (r *modelRun) limits() (keys, bytes int) {
	limits := rapid.SampledFrom([]int{0, 0, 2, 8})
	return limits.Draw(r.t, "keys"), limits.Draw(r.t, "bytes")
}

func (r *modelRun) bool(what string) bool { return rapid.Bool().Draw(r.t, what) }
