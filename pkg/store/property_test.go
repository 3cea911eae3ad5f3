package store_test

import (
	"fmt"
	"slices"
	"strconv"
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
			run := modelRun{t: rt, model: newModel(), nodes: nodes, rooms: rooms}
			for range rapid.IntRange(5, 60).Draw(rt, "steps") {
				run.step()
			}
			for _, n := range nodes {
				got := n.drain(rt, rooms...)
				for _, room := range rooms { // rooms of two partitions may overtake each other in a cluster
					require.Equal(rt, run.model.events[n.id+" "+room.Name], eventsOf(got, room), "events at %s", n.id)
				}
			}
			require.Equal(rt, run.model.keys(), d.contents(rt))
		})
	})
}

var modelPeers = []string{"p0", "p1", "p2", "p3"}

// eventsOf are the events of one room in the form of the model's.
func eventsOf(events []store.Event, room store.Room) []string {
	var lines []string
	for _, e := range events {
		if e.Room == room {
			lines = append(lines, brief(e))
		}
	}
	return lines
}

// modelRun is one random sequence of operations.
type modelRun struct {
	t     *rapid.T
	model *model
	nodes []*node
	rooms []store.Room
	count int
}

// step draws one operation, carries it out on both sides and compares the replies.
func (r *modelRun) step() {
	r.count++
	switch kind := rapid.SampledFrom(strings.Fields("join join join leave send send state room control snapshot")).Draw(r.t, "operation"); kind {
	case "join":
		r.join()
	case "leave":
		n, seat := r.seat()
		seq, err := n.leave(seat)
		r.same(kind, r.model.leave(leaveOf(seat)), replyLine(err, "%d", seq))
	case "send":
		n, seat := r.seat()
		m := store.Send{
			Seat: seat, To: r.target(), Type: "message", Echo: r.bool("echo"), Volatile: r.bool("volatile"),
			Event: fmt.Appendf(nil, `{"type":"message","step":%d}`, r.count),
		}
		seq, err := n.send(m)
		r.same(kind, r.model.send(m), replyLine(err, "%d", seq))
	case "state":
		n, seat := r.seat()
		m := stateOf(seat, r.state())
		m.MaxKeys, m.MaxBytes = r.limits()
		seq, err := n.setState(m)
		r.same(kind, r.model.setState(m), replyLine(err, "%d", seq))
	case "room":
		r.updateRoom()
	case "control":
		r.control()
	case "snapshot":
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
		r.same(kind, r.model.snapshot(look), replyLine(err, "%s", line))
	}
}

func (r *modelRun) join() {
	n, seat := r.seat()
	j := joinOf(seat)
	j.Capacity = rapid.IntRange(1, 4).Draw(r.t, "capacity")
	j.Moderator = r.bool("moderator")
	j.State = r.state()
	delete(j.State, store.StateMutedVideo)
	s, err := n.join(j.Seat, func(into *store.Join) { *into = j })
	line := ""
	if err == nil {
		line = fmt.Sprintf("new=%v order=%d %s", s.New, s.Order, snapshotLine(s))
	}
	r.same("join", r.model.join(j), replyLine(err, "%s", line))
}

func (r *modelRun) updateRoom() {
	n, seat := r.seat()
	version := int64(1)
	if room := r.model.rooms[seat.Room]; room != nil {
		version = room.version
	}
	u := updateOf(seat, version-int64(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(r.t, "stale")))
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
	answer, err := n.control(c)
	r.same("control", r.model.control(c), replyLine(err, "%d %d", answer.seq, answer.affected))
}

func (r *modelRun) same(operation, want, got string) {
	require.Equal(r.t, want, got, "reply %d, %s", r.count, operation)
}

// seat draws a caller: mostly through the node that the peer sits on, if it does.
func (r *modelRun) seat() (*node, store.Seat) {
	room := rapid.SampledFrom(r.rooms).Draw(r.t, "room")
	peer := rapid.SampledFrom(modelPeers).Draw(r.t, "peer")
	n := rapid.SampledFrom(r.nodes).Draw(r.t, "node")
	if modelled := r.model.rooms[room]; modelled != nil && modelled.members[peer] != nil && rapid.IntRange(0, 9).Draw(r.t, "fenced") > 0 {
		n = r.nodes[slices.IndexFunc(r.nodes, func(n *node) bool { return n.id == modelled.members[peer].node })]
	}
	return n, n.seat(room, peer)
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

// contents are all keys in the form of model.keys.
func (d deployment) contents(tb rapid.TB) []string {
	found := map[string]bool{}
	held := map[string][]string{}
	for _, s := range d.servers {
		reply, err := s.Do("KEYS", "sb:{*")
		require.NoError(tb, err)
		for _, full := range reply.([]any) {
			full := full.(string)
			key := full[strings.Index(full, "}:")+2:]
			if key == "gate" {
				continue
			}
			switch kind, _, _ := strings.Cut(key, ":"); kind {
			case "nodes":
				counts := map[string]int{}
				fields, err := s.Do("HGETALL", full)
				require.NoError(tb, err)
				for i := 0; i < len(fields.([]any)); i += 2 {
					counts[fields.([]any)[i].(string)], err = strconv.Atoi(fields.([]any)[i+1].(string))
					require.NoError(tb, err)
				}
				key = fmt.Sprint(key, " ", counts)
			case "held":
				seats, err := s.Do("SMEMBERS", full)
				require.NoError(tb, err)
				for _, seat := range seats.([]any) {
					held[key] = append(held[key], seat.(string))
				}
				continue
			}
			found[key] = true
		}
	}
	for key, seats := range held {
		slices.Sort(seats)
		found[fmt.Sprint(key, " ", seats)] = true
	}
	var keys []string
	for key := range found {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
