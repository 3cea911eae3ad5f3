package store_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// mustPlace takes a place in the queue for each peer, and gives what its node knows of it, by peer.
func mustPlace(t *testing.T, n *node, peers ...string) map[string]*store.Waited {
	t.Helper()
	places := map[string]*store.Waited{}
	for _, peer := range peers {
		s, err := n.join(n.seat(lobby, peer), waiting)
		require.NoError(t, err)
		require.NotNil(t, s.Place, peer)
		require.Positive(t, s.Place.Arrived)
		places[peer] = &store.Waited{Arrived: s.Place.Arrived, Epoch: s.Epoch, Seq: s.Seq, Admitted: !s.Place.Moderated}
	}
	return places
}

// again has a node ask for a seat again, as of what it knows of the place.
func (n *node) again(peer string, w *store.Waited) (*store.Snapshot, error) {
	return n.join(n.seat(lobby, peer), waiting, func(j *store.Join) { j.Waited = w })
}

// waiters gives who waits, in order.
func (n *node) waiters(t *testing.T) (peers []string) {
	t.Helper()
	for _, w := range n.look(t, lobby).Waiting {
		peers = append(peers, w.ID)
	}
	return peers
}

// Everybody learns of who is called: also a node with one peer alone that had another one leave. It would not have been told, as if the
// one that was called were its own.
func testCalledIsTold(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	for _, peer := range []string{"alice", "bob"} {
		_, err := a.join(a.seat(lobby, peer), waiting)
		require.NoError(t, err)
	}
	mustPlace(t, b, "w1")
	a.drain(t, lobby)
	_, err := a.leave(a.seat(lobby, "bob"))
	require.NoError(t, err)
	require.Equal(t, []string{"left-peer", "joined-peer"}, kinds(a.drain(t, lobby)))
}

// Those who are called in one call have an order each: they would have had the same, as none of them was written yet.
func testCalledInOrder(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	four := func(j *store.Join) { j.Capacity = 4 }
	for _, peer := range []string{"mod", "bob", "cid", "dan"} {
		_, err := a.join(a.seat(lobby, peer), four)
		require.NoError(t, err)
	}
	mustPlace(t, b, "w1", "w2", "w3")
	_, err := a.control(kickOf(a.seat(lobby, "mod"), ""))
	require.NoError(t, err)
	orders := func() map[string]int64 {
		found := map[string]int64{}
		for _, m := range a.look(t, lobby).Members {
			found[m.ID] = m.Order
		}
		return found
	}
	require.Equal(t, map[string]int64{"mod": 1, "w1": 5, "w2": 6, "w3": 7}, orders())

	// Likewise where a user comes whose two other sessions have seats: one of these is left for who waits.
	d.empty(t)
	openAll(t, d, a)
	as := func(j *store.Join) { j.Profile, j.Capacity = []byte(`{"user":"u1","name":"x"}`), 2 }
	for _, peer := range []string{"one", "two"} {
		_, err := a.join(a.seat(lobby, peer), as)
		require.NoError(t, err)
	}
	mustPlace(t, b, "w1")
	_, err = a.join(a.seat(lobby, "three"), as, func(j *store.Join) {
		j.SameUser = []byte(`{"user":"u1",`)
		j.ReplacedHead, j.ReplacedTail = []byte(`{"type":"left-peer","peer":"`), []byte(`","reason":"replaced"}`)
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"three": 3, "w1": 4}, orders())
	_, err = b.leave(b.seat(lobby, "w1"))
	require.NoError(t, err)
	mustJoin(t, a, lobby, "next")
	require.EqualValues(t, 5, orders()["next"])
}

// A room that stays for a time ends after it also where those who left last had no seat. It would have stayed for ever.
func testQueueKeepsRoom(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	rules := func(j *store.Join) { j.Rules = store.Rules{Keep: time.Hour, Moderated: true, Waiting: 3} }
	place, err := a.place(a.seat(lobby, "early"), rules)
	require.NoError(t, err)
	require.True(t, place.Moderated)
	_, err = a.leave(a.seat(lobby, "early"))
	require.NoError(t, err)
	require.True(t, a.look(t, lobby).Found)
	d.do(t, "ZADD", d.prefix(a.store, lobby)+"ends", "XX", "1", lobby.App+"/"+lobby.Name+" k")
	ended, err := a.finish(lobby)
	require.NoError(t, err)
	require.Equal(t, expired{1, 0}, ended)
	require.Empty(t, d.keys(t))
}

// Nobody of a node that is being given up gets a seat of it: whoever is there does.
func testDeadAreNotCalled(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.Capacity = 3 })
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob", "cid") // without a grace
	for _, peer := range []string{"d1", "d2", "d3"} {
		_, err = b.place(b.seat(lobby, peer), kept, func(j *store.Join) { j.Rules.Waiting = 4 })
		require.NoError(t, err)
	}
	_, err = a.place(a.seat(lobby, "w4"), func(j *store.Join) { j.Rules.Waiting = 4 })
	require.NoError(t, err)
	_, err = a.reap(a.store.Partition(lobby), b.id)
	require.NoError(t, err)
	requireRoomOf(t, a, "alice w4")
	require.Equal(t, []string{"d1", "d2", "d3"}, a.waiters(t))
}

// A ghost's seat is for who waits, if nobody's seat has to be put back. It would have stayed free.
func testGhostsSeatIsGiven(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	for _, peer := range []string{"alice", "ghost"} {
		_, err := a.join(a.seat(lobby, peer), kept, waiting)
		require.NoError(t, err)
	}
	mustPlace(t, b, "w1")
	mustRestore(t, a, restoreOf(a, a.look(t, lobby), "alice"))
	requireRoomOf(t, a, "alice w1")
	require.Contains(t, kinds(b.drain(t, lobby)), "admitted")
}

// Places that were lost with Redis' data are put back in the order in which they were taken, in whatever order they come, and nobody is
// called before the seats that were lost had time to be put back.
func testQueueRestored(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joinKept(t, a, lobby, "alice")
	update, two := updateOf(a.seat(lobby, "alice"), 1), 2
	update.Capacity = &two
	_, err := a.updateRoom(update)
	require.NoError(t, err)
	joinKept(t, b, lobby, "bob")
	first, second, third := mustPlace(t, a, "w1")["w1"], mustPlace(t, b, "w2")["w2"], mustPlace(t, a, "w3")["w3"]
	require.Less(t, first.Arrived, second.Arrived)
	require.Less(t, second.Arrived, third.Arrived)
	before := a.look(t, lobby)
	require.Equal(t, second.Arrived, before.Waiting[1].Arrived)
	a.drain(t, lobby)

	d.empty(t)
	_, err = a.again("w3", third)
	requireCode(t, wire.CodeUnavailable, err)
	require.False(t, a.look(t, lobby).Found, "the room is for who knows it to make")
	mustRestore(t, a, restoreOf(a, before, "alice"))
	for _, ask := range []func() error{
		func() error { _, err := a.again("w3", third); return err },
		func() error { _, err := a.again("w1", first); return err },
		func() error { _, err := a.again("w3", third); return err },
		func() error { _, err := b.join(b.seat(lobby, "new"), waiting); return err },
	} {
		requireCode(t, wire.CodeUnavailable, ask())
	}
	require.Equal(t, []string{"w1", "w3"}, a.waiters(t), "bob's seat is free, but not theirs")
	require.Equal(t, []string{"waiting-peer", "waiting-peer"}, kinds(a.expect(t, 2)), "positions are told when they are known")
	require.Equal(t, statuses{"bob": store.SeatAdded}, mustRestore(t, b, restoreOf(b, before, "bob")).Seats)

	openAll(t, d, a)
	place, err := a.again("w3", third)
	require.NoError(t, err)
	require.Equal(t, &store.Place{Position: 2, Count: 2, Arrived: third.Arrived}, place.Place)
	place, err = b.again("w2", second)
	require.NoError(t, err)
	require.Equal(t, &store.Place{Position: 2, Count: 3, Arrived: second.Arrived}, place.Place)
	_, err = b.join(b.seat(lobby, "new"), waiting)
	requireCode(t, wire.CodeRoomFull, err)
	require.Equal(t, "w1 w2 w3", queue(a.drain(t, lobby)))

	// A seat that nobody puts back is theirs who wait as soon as the gate is open, before it is a newcomer's.
	before = a.look(t, lobby)
	d.empty(t)
	mustRestore(t, a, restoreOf(a, before, "alice"))
	_, err = b.again("w2", second)
	requireCode(t, wire.CodeUnavailable, err)
	_, err = a.again("w1", first)
	requireCode(t, wire.CodeUnavailable, err)
	openAll(t, d, a)
	_, err = b.join(b.seat(lobby, "new"))
	requireCode(t, wire.CodeRoomFull, err)
	requireRoomOf(t, a, "alice w1")
	_, err = a.leave(a.seat(lobby, "alice"))
	require.NoError(t, err)
	requireRoomOf(t, a, "w1 w2")
}

// Who was let in is let in, and a locked door keeps nobody out of the queue who was in it; whoever was sent away stays so.
func testQueueRestoredAsItWas(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mod := a.seat(lobby, "mod")
	_, err := a.join(mod, moderated, moderating, kept, func(j *store.Join) { j.Capacity = 1 })
	require.NoError(t, err)
	places := mustPlace(t, b, "w1", "w2", "w3")
	_, err = a.admit(store.Admit{Seat: mod, Target: "w2"})
	require.NoError(t, err)
	places["w2"].Admitted = true
	_, err = a.admit(store.Admit{Seat: mod, Target: "w3", Deny: true})
	require.NoError(t, err)
	b.drain(t, lobby)
	_, err = b.again("w3", places["w3"])
	requireCode(t, wire.CodeNotMember, err)
	update, yes := updateOf(mod, 1), true
	update.Locked = &yes
	_, err = a.updateRoom(update)
	require.NoError(t, err)
	before := a.look(t, lobby)

	d.empty(t)
	lost := restoreOf(a, before, "mod")
	lost.Rules = before.Rules
	mustRestore(t, a, lost)
	openAll(t, d, a)
	for peer, moderated := range map[string]bool{"w2": false, "w1": true} {
		s, err := b.again(peer, places[peer])
		require.NoError(t, err)
		require.Equal(t, moderated, s.Place.Moderated, peer)
	}
	require.Equal(t, []string{"w1", "w2"}, a.waiters(t))

	// Redis has gone back to before w2 came.
	s := a.look(t, lobby)
	_, err = b.leave(b.seat(lobby, "w2"))
	require.NoError(t, err)
	places["w2"].Epoch, places["w2"].Seq = s.Epoch, s.Seq
	d.do(t, "DEL", d.key(a.store, "log", lobby))
	d.do(t, "HSET", d.key(a.store, "room", lobby), "seq", strconv.FormatInt(s.Seq-1, 10))
	_, err = b.again("w2", places["w2"])
	require.NoError(t, err)
	require.Equal(t, []string{"w1", "w2"}, a.waiters(t))
	for _, bad := range []*store.Waited{{Epoch: "E"}, {Arrived: 1, Epoch: ""}, {Arrived: 1, Epoch: "E", Seq: -1}} {
		_, err := b.again("w2", bad)
		requireCode(t, wire.CodeInternal, err)
	}
}
