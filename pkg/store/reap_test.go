package store_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

var reaping = []struct {
	name string
	test func(t *testing.T, d deployment)
}{
	{"every seat is given up and told once", testReapOnce},
	{"several at once", testReapTogether},
	{"chunks", testReapChunks},
	{"the dead can do nothing", testReapedNode},
	{"seats of others stay", testReapOthers},
	{"bad arguments", testReapBadArguments},
	{"condemn, claim, bury", testCondemn},
	{"no beat, no judgement", testNoPulse},
}

func TestReap(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		for _, c := range reaping {
			t.Run(c.name, func(t *testing.T) {
				d.empty(t)
				c.test(t, d)
			})
		}
	})
}

// beat renews a node's lease and returns Redis' time.
func beat(tb testing.TB, s *store.Store, node store.NodeInfo, lease time.Duration, first bool) time.Time {
	tb.Helper()
	now, err := s.Beat(tb.Context(), node, lease, first)
	require.NoError(tb, err)
	return now
}

type reaped struct{ seats, left int }

func (n *node) reap(partition int, dead string) (reaped, error) {
	return wait(func(done func(reaped, error)) {
		n.store.Reap(partition, dead, func(seats, left int, err error) { done(reaped{seats, left}, err) })
	})
}

// reapAll gives up all seats of a dead node and returns how many there were.
func (n *node) reapAll(t *testing.T, dead string) (seats int) {
	t.Helper()
	for partition := range n.store.Partitions() {
		for {
			r, err := n.reap(partition, dead)
			require.NoError(t, err)
			seats += r.seats
			if r.left == 0 {
				break
			}
		}
	}
	return seats
}

// crowd seats peers of the node in many rooms, with one peer of a witness in each but the last, and gives the rooms.
// Two rooms have more seats than one call gives up.
func crowd(t *testing.T, n, witness *node, rooms int) (all []store.Room, seats int) {
	t.Helper()
	for i := range rooms {
		room := store.Room{App: "acme", Name: "room-" + strconv.Itoa(i)}
		all = append(all, room)
		count := 1 + i%5
		if i < 2 {
			count = 70
		}
		for p := range count {
			_, err := n.join(n.seat(room, fmt.Sprintf("p%d-%d", i, p)), func(j *store.Join) { j.Capacity = 100 })
			require.NoError(t, err)
		}
		seats += count
		if i < rooms-1 {
			mustJoin(t, witness, room, "w"+strconv.Itoa(i))
		}
	}
	return all, seats
}

// requireTold checks that each of the node's seats in the crowd left once, with consecutive numbers in each room.
func requireTold(t *testing.T, events []store.Event, rooms []store.Room, seats int) {
	t.Helper()
	told := make(map[string]int)
	last := make(map[store.Room]int64)
	for _, e := range events {
		require.Equal(t, "left-peer", e.Type)
		require.Contains(t, string(e.Body), `"reason":"disconnected"}`)
		require.Contains(t, string(e.Body), `{"type":"left-peer","room":"`+e.Room.Name+`","peer":"`+e.Except+`",`)
		told[e.Room.Name+" "+e.Except]++
		if last[e.Room] != 0 {
			require.Equal(t, last[e.Room]+1, e.Seq)
		}
		last[e.Room] = e.Seq
	}
	for seat, times := range told {
		require.Equal(t, 1, times, seat)
	}
	require.Len(t, told, seats)
	require.Len(t, last, len(rooms)-1, "nobody is left to be told in the last room")
}

func testReapOnce(t *testing.T, d deployment) {
	dead, b := startNode(t, d.options, "dead"), startNode(t, d.options, "b")
	rooms, seats := crowd(t, dead, b, 40)
	dead.stop() // as if killed: nobody has left
	b.drain(t, rooms...)

	require.Equal(t, seats, b.reapAll(t, "dead"))
	alone := 1 + (len(rooms)-1)%5
	requireTold(t, b.drain(t, rooms...), rooms, seats-alone)
	require.Zero(t, b.reapAll(t, "dead"), "a second time there is nothing to do")
	for i, room := range rooms[:len(rooms)-1] {
		snapshot, err := b.snapshot(store.Look{Room: room, Members: true})
		require.NoError(t, err)
		require.Equal(t, 1, snapshot.Count)
		require.Equal(t, "w"+strconv.Itoa(i), snapshot.Members[0].ID)
		_, err = b.leave(b.seat(room, "w"+strconv.Itoa(i)))
		require.NoError(t, err)
	}
	b.quiet(t, rooms[0])
	keys := slices.DeleteFunc(d.keys(t), func(key string) bool { return key == "dead:dead" })
	require.Empty(t, keys, "nothing but tombstones is left")
	for _, room := range rooms {
		left := d.do(t, "PTTL", d.prefix(b.store, room)+"dead:dead").(int64)
		require.Greater(t, left, int64(time.Hour/time.Millisecond), "a tombstone goes by itself, and not soon")
	}
}

func testReapTogether(t *testing.T, d deployment) {
	for _, reapers := range []int{2, 5} {
		t.Run(strconv.Itoa(reapers), func(t *testing.T) {
			d.empty(t)
			dead, b := startNode(t, d.options, "dead"), startNode(t, d.options, "b")
			rooms, seats := crowd(t, dead, b, 30)
			b.drain(t, rooms...)
			var working sync.WaitGroup
			counts := make([]int, reapers)
			for i := range reapers {
				n := startNode(t, d.options, "reaper-"+strconv.Itoa(i))
				working.Go(func() { counts[i] = n.reapAll(t, "dead") })
			}
			working.Wait()
			total := 0
			for _, count := range counts {
				total += count
			}
			require.Equal(t, seats, total)
			alone := 1 + (len(rooms)-1)%5
			requireTold(t, b.drain(t, rooms...), rooms, seats-alone)
		})
	}
}

func testReapChunks(t *testing.T, d deployment) {
	dead, b := startNode(t, d.options, "dead"), startNode(t, d.options, "b")
	for i := range 150 {
		_, err := dead.join(dead.seat(lobby, "p"+strconv.Itoa(i)), func(j *store.Join) { j.Capacity = 200 })
		require.NoError(t, err)
	}
	partition := b.store.Partition(lobby)
	for _, want := range []reaped{{64, 86}, {64, 22}, {22, 0}, {0, 0}} {
		got, err := b.reap(partition, "dead")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// A node that was frozen and goes on holds what it thinks are seats.
func testReapedNode(t *testing.T, d deployment) {
	zombie, b := startNode(t, d.options, "zombie"), startNode(t, d.options, "b")
	mustJoin(t, zombie, lobby, "z1", "z2")
	mustJoin(t, b, lobby, "bob")
	presenter := "z1"
	update := updateOf(zombie.seat(lobby, "z1"), 1)
	update.Presenter = &presenter
	_, err := zombie.updateRoom(update)
	require.NoError(t, err)
	require.Equal(t, 2, b.reapAll(t, "zombie"))
	events := b.drain(t, lobby)
	require.NotEmpty(t, events)
	require.True(t, slices.ContainsFunc(events, func(e store.Event) bool {
		return e.Type == "room" && strings.Contains(string(e.Body), `"presenter":null`)
	}), "a dead presenter is cleared: %v", briefs(events))
	before, err := b.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.Equal(t, 1, before.Count)
	require.Empty(t, before.Presenter)

	z := zombie.seat(lobby, "z1")
	message := []byte(`{"type":"message"}`)
	_, err = zombie.send(store.Send{Seat: z, Type: "message", Event: message})
	requireCode(t, wire.CodeNotMember, err)
	_, err = zombie.send(store.Send{Seat: z, To: "bob", Type: "signal", Event: []byte(`{"type":"signal"}`)})
	requireCode(t, wire.CodeNotMember, err)
	_, err = zombie.setState(stateOf(z, store.State{"mic": raw("true")}))
	requireCode(t, wire.CodeNotMember, err)
	_, err = zombie.updateRoom(updateOf(z, before.Version))
	requireCode(t, wire.CodeNotMember, err)
	_, err = zombie.control(kickOf(z, "bob"))
	requireCode(t, wire.CodeNotMember, err)
	_, err = zombie.leave(z)
	requireCode(t, wire.CodeNotMember, err)
	for _, peer := range []string{"z1", "z3", "bob"} {
		_, err = zombie.join(zombie.seat(lobby, peer))
		require.ErrorIs(t, err, store.ErrLapsed)
	}
	empty := store.Room{App: "acme", Name: "empty"}
	_, err = zombie.join(zombie.seat(empty, "z1"))
	require.ErrorIs(t, err, store.ErrLapsed, "it makes no room either")

	after, err := b.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.Equal(t, before, after)
	b.quiet(t, lobby)
	require.False(t, slices.ContainsFunc(d.keys(t), func(key string) bool {
		return strings.HasPrefix(key, "held:zombie") || strings.Contains(key, "empty")
	}), d.keys(t))

	// The peer itself is free to come back, through another node.
	_, err = b.join(b.seat(lobby, "z1"))
	require.NoError(t, err)
	b.expect(t, 1) // bob is told
	require.Zero(t, b.reapAll(t, "zombie"))
	b.quiet(t, lobby)
}

// A held set may name seats that are not the dead node's: one that is gone, one that another node has by now.
func testReapOthers(t *testing.T, d deployment) {
	dead, b := startNode(t, d.options, "dead"), startNode(t, d.options, "b")
	mustJoin(t, dead, lobby, "mine")
	mustJoin(t, b, lobby, "bob")
	dead.drain(t, lobby)
	b.drain(t, lobby)
	held := d.prefix(b.store, lobby) + "held:dead"
	d.do(t, "SADD", held, "acme/lobby bob", "acme/lobby nobody", "acme/nowhere nobody", "nonsense")
	got, err := b.reap(b.store.Partition(lobby), "dead")
	require.NoError(t, err)
	require.Equal(t, reaped{1, 0}, got)
	holders, err := b.holders(lobby)
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, holders)
	// Redis has lost the held set alone.
	d.do(t, "SADD", d.prefix(b.store, lobby)+"holders", "dead")
	_, err = b.reap(b.store.Partition(lobby), "dead")
	require.NoError(t, err)
	holders, err = b.holders(lobby)
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, holders)
	require.Equal(t, []string{
		`3 left-peer to= except=mine {"type":"left-peer","room":"lobby","peer":"mine","reason":"disconnected"}`,
	}, briefs(b.drain(t, lobby)))
	snapshot, err := b.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.Equal(t, 1, snapshot.Count)
	require.Equal(t, "bob", snapshot.Members[0].ID)
}

func testReapBadArguments(t *testing.T, d deployment) {
	n := startNode(t, d.options, "n")
	for _, partition := range []int{-1, n.store.Partitions()} {
		_, err := n.reap(partition, "dead")
		requireCode(t, wire.CodeBadRequest, err)
	}
	for _, id := range []string{"", "a b", "*"} {
		_, err := n.reap(0, id)
		requireCode(t, wire.CodeBadRequest, err)
	}
}

// Leases run by Redis' clock; here it is the test that ends them.
func testCondemn(t *testing.T, d deployment) {
	n := startNode(t, d.options, "n")
	s, ctx := n.store, t.Context()
	const lease = 20 * time.Second
	self, other := store.NodeInfo{ID: "n", Info: []byte("{}")}, store.NodeInfo{ID: "other", Info: []byte("{}")}
	beat(t, s, self, lease, true)
	beat(t, s, other, lease, true)
	d.do(t, "ZADD", "sb:{cluster}:nodes", "1000", "other")
	condemned, err := s.Condemn(ctx, lease, nil)
	require.NoError(t, err)
	require.Empty(t, condemned, "Redis has not heard beats for a whole lease yet")
	beat(t, s, other, lease, false)

	d.do(t, "ZADD", "sb:{cluster}:nodes", "1000", "other")
	d.do(t, "SET", "sb:{cluster}:pulse", "1", "KEEPTTL")
	condemned, err = s.Condemn(ctx, lease, nil)
	require.NoError(t, err)
	require.Len(t, condemned, 1)
	require.Equal(t, "other", condemned[0].ID)
	require.InDelta(t, time.Since(time.Unix(1, 0)).Hours(), condemned[0].For.Hours(), 1)
	roster, err := s.Roster(ctx)
	require.NoError(t, err)
	require.Equal(t, []store.NodeInfo{self}, roster)
	require.Equal(t, []any{"n", "{}"}, flat(d.do(t, "HGETALL", "sb:{cluster}:nodeinfo")))
	for _, first := range []bool{false, true} {
		_, err = s.Beat(ctx, other, lease, first)
		require.ErrorIs(t, err, store.ErrLapsed, "for good")
	}
	_, err = s.Beat(ctx, store.NodeInfo{ID: "unknown"}, lease, false)
	require.ErrorIs(t, err, store.ErrForgotten, "nobody has given it up, and Redis does not know it")

	claimed, err := s.Claim(ctx, "other", "n", lease)
	require.NoError(t, err)
	require.True(t, claimed)
	claimed, err = s.Claim(ctx, "other", "m", lease)
	require.NoError(t, err)
	require.False(t, claimed)
	again, err := s.Condemn(ctx, lease, nil)
	require.NoError(t, err)
	require.Len(t, again, 1, "until its seats are given up")
	for _, want := range []bool{true, false} {
		buried, err := s.Bury(ctx, "other")
		require.NoError(t, err)
		require.Equal(t, want, buried)
	}
	condemned, err = s.Condemn(ctx, lease, nil)
	require.NoError(t, err)
	require.Empty(t, condemned)
	_, err = s.Beat(ctx, other, lease, true)
	require.ErrorIs(t, err, store.ErrLapsed, "still")
	beat(t, s, self, lease, false)

	// Who holds seats and is on no roster is condemned, too, if others say so. Who is on it is not, nor twice.
	for range 2 {
		condemned, err = s.Condemn(ctx, lease, []string{"n", "stranger"})
		require.NoError(t, err)
		require.Len(t, condemned, 1)
		require.Equal(t, "stranger", condemned[0].ID)
	}
	_, err = s.Beat(ctx, store.NodeInfo{ID: "stranger"}, lease, true)
	require.ErrorIs(t, err, store.ErrLapsed)
	_, err = s.Bury(ctx, "stranger")
	require.NoError(t, err)
	beat(t, s, self, lease, false)
	d.do(t, "DEL", "sb:{cluster}:pulse")
	condemned, err = s.Condemn(ctx, lease, []string{"stranger"})
	require.NoError(t, err)
	require.Empty(t, condemned, "Redis has not heard beats for a whole lease")
	beat(t, s, self, lease, false)
	d.do(t, "SET", "sb:{cluster}:pulse", "1", "KEEPTTL")

	// Many at once are condemned in bounded steps.
	for i := range 100 {
		d.do(t, "ZADD", "sb:{cluster}:nodes", strconv.Itoa(i+1), "n"+strconv.Itoa(i))
	}
	condemned, err = s.Condemn(ctx, lease, nil)
	require.NoError(t, err)
	require.Len(t, condemned, 64)
	require.Equal(t, "n0", condemned[0].ID)
	require.EqualValues(t, 37, d.do(t, "ZCARD", "sb:{cluster}:nodes"))
}

// flat gives the elements of a reply that some servers give as a map.
func flat(reply any) []any {
	if pairs, ok := reply.(map[any]any); ok {
		var list []any
		for key, value := range pairs {
			list = append(list, key, value)
		}
		return list
	}
	return reply.([]any)
}

// Without a beat for half a lease Redis was away, as far as it can know: all leases have ended, and all nodes may live.
func testNoPulse(t *testing.T, d deployment) {
	n := startNode(t, d.options, "n")
	s, ctx := n.store, t.Context()
	const lease = 20 * time.Second
	for _, id := range []string{"n", "other"} {
		beat(t, s, store.NodeInfo{ID: id}, lease, true)
		d.do(t, "ZADD", "sb:{cluster}:nodes", "1000", id)
	}
	left := d.do(t, "PTTL", "sb:{cluster}:pulse").(int64)
	require.InDelta(t, lease.Milliseconds()/2, left, 5000)
	d.do(t, "SET", "sb:{cluster}:pulse", "1", "KEEPTTL")
	d.do(t, "DEL", "sb:{cluster}:pulse") // as when it has expired
	condemned, err := s.Condemn(ctx, lease, nil)
	require.NoError(t, err)
	require.Empty(t, condemned)
	for _, id := range []string{"n", "other"} {
		beat(t, s, store.NodeInfo{ID: id}, lease, false)
	}
	// The clock was put back: what the pulse says lies ahead.
	far := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
	d.do(t, "SET", "sb:{cluster}:pulse", far, "KEEPTTL")
	beat(t, s, store.NodeInfo{ID: "n"}, lease, false)
	since, err := strconv.ParseInt(d.do(t, "GET", "sb:{cluster}:pulse").(string), 10, 64)
	require.NoError(t, err)
	require.Less(t, since, time.Now().Add(time.Minute).UnixMilli())
}
