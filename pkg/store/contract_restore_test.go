package store_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func testReplay(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	none, err := a.replay(lobby, "E", 0)
	require.NoError(t, err)
	require.Equal(t, &store.Replayed{Missed: []store.Event{}, Snapshot: &store.Snapshot{Room: lobby}}, none)
	joined, err := a.join(a.seat(lobby, "alice"))
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	mustSend(t, b, message(b.seat(lobby, "bob"), "alice", "x"))
	volatile := message(b.seat(lobby, "bob"), "", "x")
	volatile.Volatile = true
	mustSend(t, b, volatile)
	mustSend(t, b, message(b.seat(lobby, "bob"), "bob", "x"))
	mustSend(t, b, message(b.seat(lobby, "bob"), "", "x"))
	events := append(a.drain(t, lobby), b.drain(t, lobby)...)

	got, err := b.replay(lobby, joined.Epoch, 0)
	require.NoError(t, err)
	require.True(t, got.Known)
	require.Len(t, got.Missed, 5, "whoever they are for, but no volatile one")
	require.Equal(t, events[0], got.Missed[1])
	require.Equal(t, []int64{1, 2, 3, 5, 6}, numbers(got.Missed))
	require.Nil(t, got.Snapshot.Members)
	require.Equal(t, []any{int64(6), 2, joined.Epoch}, []any{got.Snapshot.Seq, got.Snapshot.Count, got.Snapshot.Epoch})
	for since, known := range map[int64]bool{3: true, 6: true, 7: false} {
		got, err := b.replay(lobby, joined.Epoch, since)
		require.NoError(t, err)
		require.Equal(t, known, got.Known, since)
		require.Len(t, got.Missed, max(0, 2*int(6-since)/3))
	}
	got, err = b.replay(lobby, "other", 6)
	require.NoError(t, err)
	require.False(t, got.Known)
	for mark, want := range map[int64]any{0: false, 1: true, 3: events[1].Body, 4: true, 6: true, 9: true} {
		got, err := b.replayMarked(store.Replay{Room: lobby, Node: a.id, Epoch: joined.Epoch, Since: 6, Mark: mark})
		require.NoError(t, err)
		require.Equal(t, 1, got.Seats)
		require.Empty(t, got.Missed)
		require.Equal(t, want != false, got.MarkKnown, mark)
		if body, there := want.([]byte); there {
			require.Equal(t, body, got.Mark.Body)
		}
		require.Equal(t, mark == 0 || mark == 4 || mark == 9, got.Mark == nil, "a volatile one is not in the log, nor is one to come")
	}
	d.do(t, "XDEL", d.key(a.store, "log", lobby), "1-0", "2-0") // as when it was trimmed
	got, err = b.replayMarked(store.Replay{Room: lobby, Node: "node-z", Epoch: joined.Epoch, Since: 6, Mark: 2})
	require.NoError(t, err)
	require.True(t, got.Known)
	require.Zero(t, got.Seats)
	require.False(t, got.MarkKnown)
	d.do(t, "DEL", d.key(a.store, "log", lobby)) // as when it has expired
	got, err = b.replayMarked(store.Replay{Room: lobby, Node: a.id, Epoch: joined.Epoch, Since: 6, Mark: 6})
	require.NoError(t, err)
	require.True(t, got.Known, "nothing has happened since")
	require.False(t, got.MarkKnown)
	for _, bad := range []func() (*store.Replayed, error){
		func() (*store.Replayed, error) { return a.replayMarked(store.Replay{Room: lobby, Epoch: "E"}) },
		func() (*store.Replayed, error) {
			return a.replayMarked(store.Replay{Room: lobby, Node: a.id, Epoch: "E", Mark: -1})
		},
		func() (*store.Replayed, error) { return a.replay(store.Room{}, "E", 0) },
		func() (*store.Replayed, error) { return a.replay(lobby, "", 0) },
		func() (*store.Replayed, error) { return a.replay(lobby, "E", -1) },
	} {
		_, err := bad()
		requireCode(t, wire.CodeBadRequest, err)
	}
}

func numbers(events []store.Event) []int64 {
	var all []int64
	for _, e := range events {
		all = append(all, e.Seq)
	}
	return all
}

func testRebirth(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joined, err := a.join(a.seat(lobby, "alice"))
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	require.NoError(t, a.rebirth(lobby, joined.Epoch, 10))
	require.NoError(t, b.rebirth(lobby, joined.Epoch, 20), "the second one to find it changes nothing")
	require.NoError(t, b.rebirth(store.Room{App: "acme", Name: "nowhere"}, joined.Epoch, 1))
	for _, n := range []*node{a, b} {
		event := n.expect(t, 1)[0]
		require.Equal(t, `11 epoch to= except= {"type":"epoch"}`, brief(event))
		require.NotEqual(t, joined.Epoch, event.Epoch)
		require.Equal(t, event.Epoch, n.look(t, lobby).Epoch)
		n.quiet(t, lobby)
	}
	require.Equal(t, []int64{11}, loggedNumbers(t, d, a.store))
	require.NotContains(t, d.keys(t), "room:acme/nowhere")
	require.NoError(t, a.rebirth(lobby, a.look(t, lobby).Epoch, 3))
	require.EqualValues(t, 12, a.expect(t, 1)[0].Seq, "numbers never go back")
	requireCode(t, wire.CodeBadRequest, a.rebirth(store.Room{}, joined.Epoch, 1))
}

// restoreOf is what a node knows of the lobby from its last snapshot, with the seats of some of its peers.
func restoreOf(n *node, s *store.Snapshot, peers ...string) store.Restore {
	r := store.Restore{
		Room: s.Room, Node: n.id, Epoch: s.Epoch, Seq: s.Seq, Capacity: s.Capacity, Locked: s.Locked, Presenter: s.Presenter,
		Spotlight: s.Spotlight, Properties: s.Properties, Created: s.Created, Version: s.Version,
		LeftHead: []byte(`{"type":"left-peer","peer":"`), LeftTail: []byte(`","reason":"disconnected"}`),
	}
	for _, peer := range peers {
		for _, m := range s.Members {
			if m.ID == peer {
				r.Seats = append(r.Seats, store.RestoreSeat{
					Peer: peer, Generation: m.Generation, Order: m.Order, Grace: time.Hour, Profile: m.Profile, State: m.State,
					Joined: []byte(`{"type":"joined-peer","peer":"` + peer + `","order":` + strconv.FormatInt(m.Order, 10) + `}`),
					Back:   []byte(`{"type":"back-peer","peer":"` + peer + `"}`),
				})
			}
		}
	}
	return r
}

func mustRestore(tb testing.TB, n *node, r store.Restore) *store.Restored {
	tb.Helper()
	restored, err := n.restore(r)
	require.NoError(tb, err)
	return restored
}

type statuses = map[string]store.SeatStatus

func testRestoreLost(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joinKept(t, a, lobby, "alice", "anna")
	joinKept(t, b, lobby, "bob")
	joinKept(t, a, lobby, "alan")
	five, yes, presenter := 5, true, "bob"
	update := updateOf(a.seat(lobby, "alice"), 1)
	update.Capacity, update.Locked, update.Presenter = &five, &yes, &presenter
	update.Properties, update.Spotlight = store.State{"p": raw("[1]")}, raw(`{"peer":"bob"}`)
	_, err := a.updateRoom(update)
	require.NoError(t, err)
	_, err = b.setState(stateOf(b.seat(lobby, "bob"), store.State{"mic": raw("true")}))
	require.NoError(t, err)
	before := a.look(t, lobby)
	a.drain(t, lobby)
	b.drain(t, lobby)

	d.empty(t)
	first := mustRestore(t, a, restoreOf(a, before, "anna", "alice"))
	require.True(t, first.Lost)
	require.Equal(t, statuses{"anna": store.SeatAdded, "alice": store.SeatAdded}, first.Seats)
	s := first.Snapshot
	require.NotEqual(t, before.Epoch, s.Epoch)
	require.Equal(t, before.Seq+2, s.Seq)
	require.Equal(t, []store.Member{before.Members[0], before.Members[1]}, s.Members, "orders are kept")
	second := mustRestore(t, b, restoreOf(b, before, "bob"))
	require.False(t, second.Lost, "it was made again already")
	require.Equal(t, statuses{"bob": store.SeatAdded}, second.Seats)
	third := mustRestore(t, a, restoreOf(a, before, "alice", "anna", "alan"))
	require.Equal(t, statuses{"alice": store.SeatHeld, "anna": store.SeatHeld, "alan": store.SeatAdded}, third.Seats)
	s = third.Snapshot
	require.Equal(t, before.Seq+4, s.Seq)
	require.Equal(t, before.Members, s.Members)
	s.Epoch, s.Seq = before.Epoch, before.Seq
	require.Equal(t, before, s, "all else is as it was")

	joined := func(seq int64, peer string, order int) string {
		return strconv.FormatInt(seq, 10) + ` joined-peer to= except=` + peer + ` {"type":"joined-peer","peer":"` + peer + `","order":` + strconv.Itoa(order) + `}`
	}
	toB := []string{joined(before.Seq+4, "alan", 4)}
	require.Equal(t, append([]string{joined(before.Seq+2, "alice", 1), joined(before.Seq+3, "bob", 3)}, toB...), briefs(a.expect(t, 3)))
	require.Equal(t, toB, briefs(b.expect(t, 1)))
	loseAll(t, a, lobby, "anna")
	require.True(t, b.look(t, lobby).Members[1].Away, "the grace is kept, too")
	for _, n := range []*node{a, b} {
		n.mu.Lock()
		n.events = nil
		n.mu.Unlock()
	}
	require.Equal(t, int64(4), a.look(t, lobby).Members[3].Order)
	openAll(t, d, a)
	_, err = b.join(b.seat(lobby, "new"), func(j *store.Join) { j.Moderator = true })
	require.NoError(t, err)
	require.EqualValues(t, 5, b.look(t, lobby).Members[4].Order, "orders go on")
}

// openAll opens the gate of the lobby's partition, which is that of the probes in it as well.
func openAll(t *testing.T, d deployment, n *node) { d.openGate(t, n.store, lobby) }

func testRestoreTaken(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), kept, func(j *store.Join) { j.Capacity = 3 })
	require.NoError(t, err)
	joinKept(t, a, lobby, "anna", "alan")
	before := a.look(t, lobby)
	d.empty(t)
	openAll(t, d, a)

	// Others were in before: a session that has moved, with a later connection, and a new peer.
	moved := later(b.seat(lobby, "anna"), b.id, 7)
	_, err = b.join(moved, kept, func(j *store.Join) { j.Capacity = 3 })
	require.NoError(t, err)
	want := statuses{"anna": store.SeatSuperseded, "alice": store.SeatFull, "alan": store.SeatAdded}
	got := mustRestore(t, a, restoreOf(a, before, "alan", "anna", "alice"))
	require.False(t, got.Lost)
	require.Equal(t, want, got.Seats, "alice's place in the order is anna's now")
	_, err = b.join(b.seat(lobby, "bob"))
	require.NoError(t, err)
	require.Equal(t, want["anna"], mustRestore(t, a, restoreOf(a, before, "anna")).Seats["anna"])
	requireRoomOf(t, b, "anna bob")
	got = mustRestore(t, a, restoreOf(a, before, "alan", "anna", "alice"))
	require.Equal(t, store.SeatAdded, got.Seats["alan"])
	require.Equal(t, store.SeatFull, got.Seats["alice"])
	require.Equal(t, 3, got.Snapshot.Count, "never over the capacity")

	// A seat that is asked for is let alone, and of nobody.
	r := restoreOf(a, before, "alan")
	r.Seats = append(r.Seats, store.RestoreSeat{Peer: "alice", Asked: true}, store.RestoreSeat{Peer: "nobody", Asked: true})
	require.Equal(t, statuses{"alan": store.SeatHeld}, mustRestore(t, a, r).Seats)
	r.Seats = []store.RestoreSeat{{Peer: "alan", Asked: true}}
	require.Empty(t, mustRestore(t, a, r).Seats)
	requireRoomOf(t, a, "anna alan bob")

	// A seat that another one has at the same or an earlier generation is the caller's.
	resumed := restoreOf(a, before, "alan", "anna")
	resumed.Seats[1].Generation = 8
	b.drain(t, lobby)
	require.Equal(t, statuses{"alan": store.SeatHeld, "anna": store.SeatHeld}, mustRestore(t, a, resumed).Seats)
	require.EqualValues(t, 8, store.FencedBy(b.drain(t, lobby)[0]))
	requireFenced(t, b, moved)
	_, err = a.lose(later(moved, a.id, 8))
	require.NoError(t, err)
	b.drain(t, lobby)
	mustRestore(t, a, resumed)
	require.Equal(t, []string{"back-peer"}, kinds(b.drain(t, lobby)), "it is back from away")
}

// requireRoomOf checks who has a seat in the lobby.
func requireRoomOf(t *testing.T, n *node, peers string) {
	t.Helper()
	s, ids := n.look(t, lobby), ""
	for _, m := range s.Members {
		ids += " " + m.ID
	}
	require.Equal(t, " "+peers, ids)
	require.Len(t, s.Members, s.Count)
}

func testRestoreRewound(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joinKept(t, a, lobby, "alice")
	joinKept(t, b, lobby, "bob")
	joinKept(t, a, lobby, "anna")
	ahead := a.look(t, lobby)
	// What came after bob's join is gone.
	_, err := a.leave(a.seat(lobby, "anna"))
	require.NoError(t, err)
	d.do(t, "HSET", d.key(a.store, "room", lobby), "seq", "2", "order", "2")
	a.drain(t, lobby)
	b.drain(t, lobby)
	got := mustRestore(t, a, restoreOf(a, ahead, "alice", "anna"))
	require.True(t, got.Lost)
	require.Equal(t, statuses{"alice": store.SeatHeld, "anna": store.SeatAdded}, got.Seats)
	require.NotEqual(t, ahead.Epoch, got.Snapshot.Epoch)
	require.Equal(t, ahead.Members, got.Snapshot.Members)
	require.Equal(t, []string{
		`4 epoch to= except= {"type":"epoch"}`, `5 joined-peer to= except=anna {"type":"joined-peer","peer":"anna","order":3}`,
	}, briefs(b.drain(t, lobby)))
	require.Equal(t, []string{"epoch", "joined-peer"}, kinds(a.drain(t, lobby)), "it has a seat of its own there")
	again := mustRestore(t, b, restoreOf(b, ahead, "bob"))
	require.False(t, again.Lost)
	require.Equal(t, got.Snapshot.Epoch, again.Snapshot.Epoch)
	b.quiet(t, lobby)
}

// Where Redis went back in time it has seats that the node has given up since, and they are as full as ever.
func testRestoreGhosts(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "ghost"), kept, func(j *store.Join) { j.Capacity = 2 })
	require.NoError(t, err)
	joinKept(t, a, lobby, "spirit")
	before := a.look(t, lobby)
	later := *before
	later.Members = []store.Member{{ID: "alice", Order: 9, Profile: []byte("{}")}}
	later.Properties = store.State{"p": raw("1")}
	a.drain(t, lobby)
	lost := restoreOf(a, &later, "alice")
	lost.Lost = true
	got := mustRestore(t, a, lost)
	require.True(t, got.Lost)
	require.Equal(t, statuses{"alice": store.SeatAdded}, got.Seats, "their seats are free")
	require.NotEqual(t, before.Epoch, got.Snapshot.Epoch, "what alice's join has told is lost")
	require.Nil(t, got.Snapshot.Properties, "the room is there")
	requireRoomOf(t, a, "alice")
	require.ElementsMatch(t, []string{"left-peer", "left-peer", "epoch"}, kinds(a.drain(t, lobby)))
	before = got.Snapshot

	joinKept(t, b, lobby, "bob")
	a.drain(t, lobby)
	none := mustRestore(t, a, restoreOf(a, before))
	require.Empty(t, none.Seats)
	require.Equal(t, []string{`{"type":"left-peer","peer":"alice","reason":"disconnected"}`}, bodies(b.drain(t, lobby)))
	require.Equal(t, 1, none.Snapshot.Count)
	none = mustRestore(t, b, restoreOf(b, before))
	require.False(t, none.Snapshot.Found)
	require.Empty(t, d.keys(t), "the last ghost takes the room along")
}

// A seat that is missing in a room that is as it was has been taken away, by a moderator or by the user's next session. It
// must not come back with the next gap.
func testRestoreGone(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joinKept(t, a, lobby, "alice", "anna")
	joinKept(t, b, lobby, "bob")
	before := a.look(t, lobby)
	kick := kickOf(b.seat(lobby, "bob"), "alice")
	_, err := b.control(kick)
	require.NoError(t, err)
	a.drain(t, lobby)
	got := mustRestore(t, a, restoreOf(a, before, "alice", "anna"))
	require.False(t, got.Lost)
	require.Equal(t, statuses{"alice": store.SeatGone, "anna": store.SeatHeld}, got.Seats)
	require.Equal(t, before.Epoch, got.Snapshot.Epoch)
	requireRoomOf(t, a, "anna bob")
	a.quiet(t, lobby)

	_, err = b.leave(b.seat(lobby, "bob"))
	require.NoError(t, err)
	got = mustRestore(t, a, restoreOf(a, before, "alice"))
	require.Equal(t, statuses{"alice": store.SeatGone}, got.Seats)
	require.False(t, got.Snapshot.Found)
	require.Empty(t, d.keys(t), "anna's seat was a ghost, and the last")
}

func bodies(events []store.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Body))
	}
	return all
}

func testRestoreRefused(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	before := a.look(t, lobby)
	d.empty(t)
	asked := restoreOf(a, before)
	asked.Seats = []store.RestoreSeat{{Peer: "alice", Asked: true}}
	for _, r := range []store.Restore{asked, restoreOf(a, before)} {
		got := mustRestore(t, a, r)
		require.True(t, got.Lost)
		require.False(t, got.Snapshot.Found)
		require.Empty(t, got.Seats)
		require.Empty(t, d.keys(t), "a room without seats would stay for ever")
	}
	for code, change := range map[wire.Code]func(*store.Restore){
		wire.CodeInternal:   func(r *store.Restore) { r.Capacity = 0 },
		wire.CodeBadRequest: func(r *store.Restore) { r.Node = "" },
	} {
		r := restoreOf(a, before)
		change(&r)
		_, err := a.restore(r)
		requireCode(t, code, err)
	}
	for _, change := range []func(*store.Restore){
		func(r *store.Restore) { r.Epoch = "" },
		func(r *store.Restore) { r.LeftHead = nil },
		func(r *store.Restore) { r.Seats[0].Joined = nil },
		func(r *store.Restore) { r.Seats[0].Back = nil },
	} {
		r := restoreOf(a, before, "alice")
		change(&r)
		_, err := a.restore(r)
		requireCode(t, wire.CodeInternal, err)
	}
	d.do(t, "SET", d.prefix(a.store, lobby)+"dead:node-a", "1")
	_, err := a.restore(restoreOf(a, before, "alice"))
	require.ErrorIs(t, err, store.ErrLapsed)
}

func testGate(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	gate := d.prefix(a.store, lobby) + "gate"
	require.Equal(t, "0", d.do(t, "GET", gate), "nobody has lost anything in an empty Redis")
	mustJoin(t, a, lobby, "alice")
	before := a.look(t, lobby)

	d.empty(t)
	_, err := b.join(b.seat(lobby, "bob"))
	requireCode(t, wire.CodeUnavailable, err)
	opens, err := strconv.ParseInt(d.do(t, "GET", gate).(string), 10, 64)
	require.NoError(t, err)
	require.InDelta(t, time.Now().Add(4*time.Second).UnixMilli(), opens, 3000)
	require.NoError(t, b.store.PutBack(t.Context(), nil))
	other, err := store.Open(t.Context(), d.options)
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.Equal(t, strconv.FormatInt(opens, 10), d.do(t, "GET", gate), "a node that comes does not open it")
	_, err = b.join(b.seat(lobby, "bob"))
	requireCode(t, wire.CodeUnavailable, err)
	require.Equal(t, statuses{"alice": store.SeatAdded}, mustRestore(t, a, restoreOf(a, before, "alice")).Seats)
	_, err = b.join(b.seat(lobby, "bob"))
	requireCode(t, wire.CodeUnavailable, err)
	again, err := a.join(a.seat(lobby, "alice"))
	require.NoError(t, err, "who has a seat may pass")
	require.False(t, again.New)

	d.do(t, "SET", gate, strconv.FormatInt(time.Now().Add(-time.Second).UnixMilli(), 10)) // as when the time is over
	mustJoin(t, b, lobby, "bob")

	d.empty(t)
	mustRestore(t, a, restoreOf(a, before, "alice"))
	_, err = b.join(b.seat(lobby, "bob"))
	requireCode(t, wire.CodeUnavailable, err)
	d.empty(t)
	mustRestore(t, a, restoreOf(a, before))
	require.NotNil(t, d.do(t, "GET", gate), "whoever comes first has shut it")
}

func testPutBack(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	key, err := a.store.ClusterKey(t.Context())
	require.NoError(t, err)
	d.empty(t)
	require.NoError(t, a.store.PutBack(t.Context(), key))
	require.NoError(t, b.store.PutBack(t.Context(), []byte("another")))
	got, err := b.store.ClusterKey(t.Context())
	require.NoError(t, err)
	require.Equal(t, key, got, "tokens that were sealed with it stay good")
	require.Equal(t, strconv.Itoa(a.store.Partitions()), d.do(t, "GET", "sb:partitions"))
	d.do(t, "SET", "sb:partitions", "7")
	var mismatch *store.PartitionsError
	require.ErrorAs(t, a.store.PutBack(t.Context(), key), &mismatch)
	d.do(t, "DEL", "sb:{cluster}:key")
	require.Error(t, a.store.PutBack(t.Context(), key))
	d.do(t, "SET", "sb:partitions", strconv.Itoa(a.store.Partitions()))
	require.NoError(t, a.store.PutBack(t.Context(), nil), "a key that is configured is not in Redis")
	require.NotContains(t, d.keys(t), "key")
}
