package store_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// joinKept takes a seat with a grace for each peer.
func joinKept(tb testing.TB, n *node, room store.Room, peers ...string) {
	tb.Helper()
	for _, peer := range peers {
		_, err := n.join(n.seat(room, peer), kept)
		require.NoError(tb, err)
	}
}

// loseAll has the node lose the connections of peers.
func loseAll(tb testing.TB, n *node, room store.Room, peers ...string) {
	tb.Helper()
	for _, peer := range peers {
		_, err := n.lose(n.seat(room, peer))
		require.NoError(tb, err)
	}
}

// endGrace has the graces of away peers end, in their order.
func endGrace(tb tester, d deployment, s *store.Store, room store.Room, peers ...string) {
	tb.Helper()
	for i, peer := range peers {
		d.do(tb, "ZADD", d.prefix(s, room)+"away", "XX", strconv.Itoa(i+1), room.App+"/"+room.Name+" "+peer)
	}
}

// kinds are the types of events.
func kinds(events []store.Event) []string {
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func testLose(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joinKept(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	seq, err := a.lose(a.seat(lobby, "alice"))
	require.NoError(t, err)
	require.EqualValues(t, 3, seq)
	require.Equal(t, []string{`3 away-peer to= except=alice {"type":"away-peer","peer":"alice"}`}, briefs(b.expect(t, 1)))

	s := b.look(t, lobby)
	require.Equal(t, 2, s.Count, "the seat is taken")
	require.Equal(t, store.Member{
		ID: "alice", Order: 1, Node: "-", Away: true, Profile: []byte(`{"user":"u-alice","name":"Name of alice"}`),
	}, s.Members[0])
	require.Equal(t, []string{
		"away", "held:node-b", "holders", "log:acme/lobby", "room:acme/lobby", "rooms:acme",
	}, d.keys(t))
	until, err := strconv.ParseFloat(d.do(t, "ZSCORE", d.prefix(a.store, lobby)+"away", "acme/lobby alice").(string), 64)
	require.NoError(t, err)
	require.InDelta(t, inAnHour().UnixMilli(), until, 60_000)
	requireFenced(t, a, a.seat(lobby, "alice"))

	seq, err = b.send(store.Send{Seat: b.seat(lobby, "bob"), To: "alice", Type: "signal", Event: []byte(`{"type":"signal"}`)})
	require.NoError(t, err)
	require.EqualValues(t, 4, seq, "it is logged for her")
	_, err = b.control(muteOf(b.seat(lobby, "bob"), store.ActionMute, store.MediaAudio, "alice"))
	require.NoError(t, err)
	b.expect(t, 1)
	a.quiet(t, lobby)
	b.quiet(t, lobby)

	_, err = b.control(kickOf(b.seat(lobby, "bob"), "alice"))
	require.NoError(t, err)
	require.Equal(t, []string{`6 left-peer to= except= {"type":"left-peer","peer":"alice","reason":"kicked"}`}, briefs(b.expect(t, 1)))
	require.NotContains(t, d.keys(t), "away")
	_, err = b.leave(b.seat(lobby, "bob"))
	require.NoError(t, err)
	require.Empty(t, d.keys(t))
}

func testLoseWithoutGrace(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	loseAll(t, a, lobby, "alice")
	require.Equal(t, []string{`3 left-peer to= except=alice {"type":"left-peer","peer":"alice","reason":"disconnected"}`}, briefs(b.expect(t, 1)))
	_, err := a.lose(a.seat(lobby, "alice"))
	requireCode(t, wire.CodeNotMember, err)
	loseAll(t, b, lobby, "bob")
	require.Empty(t, d.keys(t), "the last one leaves nothing behind")
	bad := store.Lose{Seat: a.seat(lobby, "alice"), Away: []byte(`{"type":"away-peer"}`)}
	_, err = wait(func(done func(int64, error)) { a.store.Lose(bad, done) })
	requireCode(t, wire.CodeInternal, err)
}

func testLastAway(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	first, err := a.join(a.seat(lobby, "alice"), kept, func(j *store.Join) { j.Capacity = 2 })
	require.NoError(t, err)
	loseAll(t, a, lobby, "alice")
	require.Equal(t, []string{"away", "log:acme/lobby", "room:acme/lobby", "rooms:acme"}, d.keys(t))

	second, err := b.join(b.seat(lobby, "bob"), kept)
	require.NoError(t, err)
	require.Equal(t, first.Epoch, second.Epoch, "it is the same room")
	_, err = b.join(b.seat(lobby, "carol"))
	requireCode(t, wire.CodeRoomFull, err)
	loseAll(t, b, lobby, "bob")
	a.quiet(t, lobby)
	b.quiet(t, lobby)
	resumed, err := b.resume(resumeOf(later(b.seat(lobby, "bob"), b.id, 1), second.Epoch, second.Seq))
	require.NoError(t, err)
	require.True(t, resumed.Known)
	endGrace(t, d, a.store, lobby, "alice")
	got, err := b.expire(lobby, inAnHour())
	require.NoError(t, err)
	require.Equal(t, expired{1, 0}, got)
	_, err = b.leave(later(b.seat(lobby, "bob"), b.id, 1))
	require.NoError(t, err)
	require.Empty(t, d.keys(t))
}

func testExpire(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joinKept(t, a, lobby, "alice", "anna", "alan")
	mustJoin(t, b, lobby, "bob")
	presenter := "anna"
	update := updateOf(b.seat(lobby, "bob"), 1)
	update.Presenter = &presenter
	_, err := b.updateRoom(update)
	require.NoError(t, err)
	loseAll(t, a, lobby, "alice", "anna", "alan")
	a.drain(t, lobby)
	b.drain(t, lobby)
	got, err := b.expire(lobby, inAnHour())
	require.NoError(t, err)
	require.Equal(t, expired{}, got, "no grace is over")

	endGrace(t, d, a.store, lobby, "alice", "anna")
	got, err = b.expire(lobby, time.Now().Add(-time.Minute))
	require.NoError(t, err)
	require.Equal(t, expired{}, got, "the call has waited for Redis too long")
	b.quiet(t, lobby)

	var working sync.WaitGroup
	counts := make([]expired, 4)
	for i := range counts {
		n := []*node{a, b}[i%2]
		working.Go(func() {
			var err error
			if counts[i], err = n.expire(lobby, inAnHour()); err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	total := 0
	for _, count := range counts {
		total += count.seats
		require.Zero(t, count.left)
	}
	require.Equal(t, 2, total)
	require.Equal(t, []string{
		`9 left-peer to= except=alice {"type":"left-peer","room":"lobby","peer":"alice","reason":"disconnected"}`,
		`10 left-peer to= except=anna {"type":"left-peer","room":"lobby","peer":"anna","reason":"disconnected"}`,
		`11 room to= except= {"type":"room","room":"lobby","version":3,"presenter":null}`,
	}, briefs(b.drain(t, lobby)))
	a.quiet(t, lobby)
	s := b.look(t, lobby)
	require.Equal(t, 2, s.Count)
	require.Equal(t, "alan", s.Members[0].ID, "whose grace is not over")
	_, err = a.resume(resumeOf(a.seat(lobby, "alice"), s.Epoch, 1))
	requireCode(t, wire.CodeNotMember, err)

	_, err = b.leave(b.seat(lobby, "bob"))
	require.NoError(t, err)
	endGrace(t, d, a.store, lobby, "alan")
	got, err = b.expire(lobby, inAnHour())
	require.NoError(t, err)
	require.Equal(t, expired{1, 0}, got)
	require.Empty(t, d.keys(t), "the last one takes the room along")
}

func testExpireChunks(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	var peers []string
	for i := range 100 {
		peers = append(peers, "p"+strconv.Itoa(i))
		_, err := a.join(a.seat(lobby, peers[i]), kept, func(j *store.Join) { j.Capacity = 200 })
		require.NoError(t, err)
	}
	mustJoin(t, b, lobby, "bob")
	loseAll(t, a, lobby, peers...)
	endGrace(t, d, a.store, lobby, peers...)
	away := d.prefix(a.store, lobby) + "away"
	d.do(t, "ZADD", away, "0", "acme/lobby bob", "0", "acme/lobby nobody", "0", "acme/nowhere nobody", "0", "nonsense")
	for _, want := range []expired{{60, 40}, {40, 0}, {0, 0}} {
		got, err := b.expire(lobby, inAnHour())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Equal(t, 1, b.look(t, lobby).Count, "who is connected stays, whatever the set says")
	require.NotContains(t, d.keys(t), "away")
	for _, partition := range []int{-1, b.store.Partitions()} {
		_, err := wait(func(done func(int, error)) {
			b.store.Expire(partition, inAnHour(), func(seats, _ int, err error) { done(seats, err) })
		})
		requireCode(t, wire.CodeBadRequest, err)
	}
}

func testReapAway(t *testing.T, d deployment) {
	dead, b := startNode(t, d.options, "dead"), startNode(t, d.options, "b")
	joined, err := dead.join(dead.seat(lobby, "alice"), kept)
	require.NoError(t, err)
	mustJoin(t, dead, lobby, "anna")
	mustJoin(t, b, lobby, "bob")
	require.Equal(t, 2, b.reapAll(t, "dead"))
	events := b.drain(t, lobby)
	var told []string
	for _, e := range events {
		told = append(told, string(e.Body))
	}
	require.ElementsMatch(t, []string{
		`{"type":"away-peer","room":"lobby","peer":"alice"}`,
		`{"type":"left-peer","room":"lobby","peer":"anna","reason":"disconnected"}`,
	}, told)
	s := b.look(t, lobby)
	require.Equal(t, 2, s.Count)
	require.True(t, s.Members[0].Away)
	require.Zero(t, b.reapAll(t, "dead"))
	_, err = dead.resume(resumeOf(later(dead.seat(lobby, "alice"), dead.id, 1), joined.Epoch, joined.Seq))
	require.ErrorIs(t, err, store.ErrLapsed)
	resumed, err := b.resume(resumeOf(later(dead.seat(lobby, "alice"), b.id, 1), joined.Epoch, joined.Seq))
	require.NoError(t, err)
	require.True(t, resumed.Known)
	require.Equal(t, []string{"joined-peer", "joined-peer", "left-peer"}, kinds(resumed.Missed), "not that she was away")
	b.expect(t, 1) // bob is told
	require.NotContains(t, d.keys(t), "away")
}
