package store_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// message is a message to all, or to one.
func message(seat store.Seat, to, text string) store.Send {
	return store.Send{Seat: seat, To: to, Type: "message", Event: []byte(`{"type":"message","data":"` + text + `"}`)}
}

func mustSend(tb testing.TB, n *node, m store.Send) int64 {
	tb.Helper()
	seq, err := n.send(m)
	require.NoError(tb, err)
	return seq
}

func testResumeAway(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	c := startNode(t, d.options, "node-c")
	alice, bob := a.seat(lobby, "alice"), b.seat(lobby, "bob")
	mustJoin(t, b, lobby, "bob", "ben")
	joined, err := a.join(alice, kept, func(j *store.Join) { j.State = store.State{"mic": raw("true")} })
	require.NoError(t, err)
	mustSend(t, a, message(alice, "", "own"))
	echoed := message(alice, "", "own with echo")
	echoed.Echo = true
	mustSend(t, a, echoed)
	_, err = a.setState(stateOf(alice, store.State{"mic": raw("false")}))
	require.NoError(t, err)
	mustSend(t, b, message(bob, "", "before"))
	loseAll(t, a, lobby, "alice")
	mustSend(t, b, message(bob, "alice", "for alice"))
	mustSend(t, b, message(bob, "ben", "for ben"))
	volatile := message(bob, "", "volatile")
	volatile.Volatile = true
	mustSend(t, b, volatile)
	_, err = b.leave(b.seat(lobby, "ben"))
	require.NoError(t, err)
	a.drain(t, lobby)
	b.drain(t, lobby)

	resume := resumeOf(later(alice, c.id, 1), joined.Epoch, joined.Seq)
	resumed, err := c.resume(resume)
	require.NoError(t, err)
	require.True(t, resumed.Known)
	missed := []string{
		`5 message to= except= {"type":"message","data":"own with echo"}`,
		`7 message to= except=bob {"type":"message","data":"before"}`,
		`9 message to=alice except= {"type":"message","data":"for alice"}`,
		`12 left-peer to= except=ben {"type":"left-peer","peer":"ben"}`,
	}
	require.Equal(t, missed, briefs(resumed.Missed))
	for _, e := range resumed.Missed {
		require.Equal(t, []any{lobby, joined.Epoch, c.store.Partition(lobby), false}, []any{e.Room, e.Epoch, e.Partition, e.Volatile})
	}
	require.Zero(t, resumed.Request)
	require.Equal(t, []store.Member{{
		ID: "alice", Generation: 1, Order: 3, Node: "node-c", Profile: joined.Members[2].Profile, State: store.State{"mic": raw("false")},
	}}, resumed.Snapshot.Members, "her own seat, as it is")
	require.Equal(t, []any{joined.Epoch, int64(13), 2}, []any{resumed.Snapshot.Epoch, resumed.Snapshot.Seq, resumed.Snapshot.Count})
	require.Equal(t, []string{`13 back-peer to= except=alice {"type":"back-peer","peer":"alice"}`}, briefs(b.expect(t, 1)))
	a.quiet(t, lobby)
	c.quiet(t, lobby)
	require.NotContains(t, d.keys(t), "away")
	require.NotContains(t, d.keys(t), "held:node-a")

	resume.Seq = 9
	again, err := c.resume(resume)
	require.NoError(t, err)
	require.Equal(t, missed[3:], briefs(again.Missed), "the reply was lost, and she had seen more")
	b.quiet(t, lobby)
	mustSend(t, b, message(bob, "alice", "live"))
	require.Equal(t, "live", briefs(c.expect(t, 1))[0][len(`14 message to=alice except= {"type":"message","data":"`):][:4])
	s := b.look(t, lobby)
	require.Equal(t, store.Member{
		ID: "alice", Generation: 1, Order: 3, Node: "node-c", Profile: joined.Members[2].Profile, State: store.State{"mic": raw("false")},
	}, s.Members[1], "the seat is the same")
	_, err = c.lose(resume.Seat)
	require.NoError(t, err)
	require.True(t, b.look(t, lobby).Members[1].Away, "the grace is still there")
}

func testResumeElsewhere(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	c := startNode(t, d.options, "node-c")
	old := a.seat(lobby, "alice")
	joined, err := a.join(old)
	require.NoError(t, err)
	mustJoin(t, a, lobby, "anna")
	mustJoin(t, b, lobby, "bob")
	a.drain(t, lobby)
	for generation, n := range []*node{a, b, c} { // it may go to and fro
		if generation == 0 {
			continue
		}
		seat := later(old, n.id, int64(generation))
		resumed, err := n.resume(resumeOf(seat, joined.Epoch, 3))
		require.NoError(t, err)
		require.True(t, resumed.Known)
		require.Empty(t, resumed.Missed)
		had := []*node{a, b, c}[generation-1]
		events := had.expect(t, 1)
		require.Equal(t, `3 fenced to=alice except= {"type":"fenced","generation":`+strconv.Itoa(generation)+`}`, brief(events[0]))
		require.Equal(t, store.TypeFenced, events[0].Type)
		require.True(t, events[0].Volatile)
		require.EqualValues(t, generation, store.FencedBy(events[0]))
		requireFenced(t, had, later(old, had.id, int64(generation-1)))
		_, err = had.resume(resumeOf(later(old, had.id, int64(generation-1)), joined.Epoch, 3))
		require.ErrorIs(t, err, store.ErrSuperseded)
	}
	for _, n := range []*node{a, b, c} {
		n.quiet(t, lobby)
	}
	require.EqualValues(t, 3, c.look(t, lobby).Seq, "the others are told nothing: she was not away")
	nodes := strings.Fields(d.do(t, "HGET", d.key(c.store, "room", lobby), "nodes").(string))
	require.ElementsMatch(t, []string{a.id, "1", b.id, "1", c.id, "1"}, nodes, "anna, bob and she: who hears of the room")
	for _, seat := range []store.Seat{a.seat(lobby, "anna"), b.seat(lobby, "bob"), later(old, c.id, 2)} {
		_, err := c.leave(seat)
		require.NoError(t, err)
	}
	require.Empty(t, d.keys(t))
}

func testResumeSameNode(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	old := a.seat(lobby, "alice")
	old.Generation = 3
	joined, err := a.join(old)
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	resumed, err := a.resume(resumeOf(later(old, a.id, 5), joined.Epoch, joined.Seq))
	require.NoError(t, err)
	require.Equal(t, []string{"joined-peer"}, kinds(resumed.Missed))
	requireFenced(t, a, old)
	_, err = b.resume(resumeOf(later(old, b.id, 5), joined.Epoch, joined.Seq))
	require.ErrorIs(t, err, store.ErrSuperseded, "of two connections of one generation the first one stays")
	for _, n := range []*node{a, b} {
		_, err = n.resume(resumeOf(later(old, n.id, 4), joined.Epoch, joined.Seq))
		require.ErrorIs(t, err, store.ErrSuperseded, "an earlier connection that comes late")
		_, err = n.join(later(old, n.id, 4))
		require.ErrorIs(t, err, store.ErrSuperseded)
	}
	a.quiet(t, lobby)
	b.quiet(t, lobby)
	require.EqualValues(t, 5, a.look(t, lobby).Members[0].Generation)
	_, err = a.leave(later(old, a.id, 5))
	require.NoError(t, err)
	require.NotContains(t, d.keys(t), "held:node-a")
}

func testResumeRefused(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joined, err := a.join(a.seat(lobby, "alice"), kept)
	require.NoError(t, err)
	loseAll(t, a, lobby, "alice")
	d.do(t, "SET", d.prefix(a.store, lobby)+"dead:node-b", "1")
	good := resumeOf(later(a.seat(lobby, "alice"), b.id, 1), joined.Epoch, joined.Seq)
	_, err = b.resume(good)
	require.ErrorIs(t, err, store.ErrLapsed)
	for code, change := range map[wire.Code]func(*store.Resume){
		wire.CodeNotMember: func(r *store.Resume) { r.Peer = "nobody" },
		wire.CodeInternal:  func(r *store.Resume) { r.Back = nil },
	} {
		bad := good
		bad.Node = a.id
		change(&bad)
		_, err = a.resume(bad)
		requireCode(t, code, err)
	}
	for _, change := range []func(*store.Resume){
		func(r *store.Resume) { r.Epoch = "a b" },
		func(r *store.Resume) { r.Seq = -1 },
		func(r *store.Resume) { r.Generation = -1 },
		func(r *store.Resume) { r.Node = "" },
	} {
		bad := good
		change(&bad)
		_, err = a.resume(bad)
		requireCode(t, wire.CodeBadRequest, err)
	}
	require.True(t, a.look(t, lobby).Members[0].Away)
	require.EqualValues(t, 2, a.look(t, lobby).Seq)
}

func testResumeUnknown(t *testing.T, d deployment) {
	d.options.LogLength = 10
	a, b := twoNodes(t, d)
	mustJoin(t, b, lobby, "bob")
	mustSend(t, b, message(b.seat(lobby, "bob"), "", "not for alice"))
	joined, err := a.join(a.seat(lobby, "alice"), kept, func(j *store.Join) { j.State = store.State{"x": raw("1")} })
	require.NoError(t, err)
	seat := a.seat(lobby, "alice")
	resume := func(epoch string, since int64) *store.Resumed {
		t.Helper()
		seat.Generation++
		resumed, err := a.resume(resumeOf(seat, epoch, since))
		require.NoError(t, err)
		require.Len(t, resumed.Snapshot.Members, map[bool]int{true: 1, false: 2}[resumed.Known])
		require.Equal(t, joined.Epoch, resumed.Snapshot.Epoch)
		return resumed
	}
	require.True(t, resume(joined.Epoch, joined.Seq).Known)
	unknown := resume("other", joined.Seq)
	require.False(t, unknown.Known)
	require.Empty(t, unknown.Missed)
	require.Equal(t, "bob", unknown.Snapshot.Members[0].ID)
	require.Equal(t, store.State{"x": raw("1")}, unknown.Snapshot.Members[1].State)
	require.False(t, resume(joined.Epoch, 1).Known, "she was not there yet")

	const messages = 600
	for range messages {
		mustSend(t, b, message(b.seat(lobby, "bob"), "", "x"))
	}
	first := loggedNumbers(t, d, a.store)[0]
	require.Greater(t, first, joined.Seq+1, "the log was trimmed")
	require.False(t, resume(joined.Epoch, joined.Seq).Known)
	require.False(t, resume(joined.Epoch, first-2).Known)
	require.True(t, resume(joined.Epoch, first-1).Known)
	last := joined.Seq + messages
	require.Len(t, resume(joined.Epoch, first-1).Missed, int(last-first+1))

	d.do(t, "DEL", d.key(a.store, "log", lobby)) // as when it has expired
	require.True(t, resume(joined.Epoch, last).Known, "there is nothing to miss")
	require.False(t, resume(joined.Epoch, last-1).Known)
	volatile := message(b.seat(lobby, "bob"), "", "x")
	volatile.Volatile = true
	mustSend(t, b, volatile)
	mustSend(t, b, message(b.seat(lobby, "bob"), "", "x"))
	require.False(t, resume(joined.Epoch, last).Known, "whether it was volatile nothing tells")
	require.True(t, resume(joined.Epoch, last+1).Known)
}

func testResumeRewound(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joined, err := a.join(a.seat(lobby, "alice"), kept)
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	loseAll(t, a, lobby, "alice")
	a.drain(t, lobby)
	b.drain(t, lobby)
	resumed, err := a.resume(resumeOf(later(a.seat(lobby, "alice"), a.id, 1), joined.Epoch, 42))
	require.NoError(t, err)
	require.False(t, resumed.Known)
	epoch := resumed.Snapshot.Epoch
	require.NotEqual(t, joined.Epoch, epoch)
	require.EqualValues(t, 44, resumed.Snapshot.Seq, "no number comes again")
	require.Len(t, resumed.Snapshot.Members, 2)
	events := b.expect(t, 2)
	require.Equal(t, []string{
		`43 epoch to= except= {"type":"epoch"}`, `44 back-peer to= except=alice {"type":"back-peer","peer":"alice"}`,
	}, briefs(events))
	require.Equal(t, store.TypeEpoch, events[0].Type)
	require.Equal(t, []string{epoch, epoch}, []string{events[0].Epoch, events[1].Epoch})
	require.Equal(t, []int64{43, 44}, loggedNumbers(t, d, a.store), "the old epoch's log is gone")

	resumed, err = b.resume(resumeOf(later(b.seat(lobby, "bob"), b.id, 1), joined.Epoch, 43))
	require.NoError(t, err)
	require.False(t, resumed.Known)
	require.Equal(t, epoch, resumed.Snapshot.Epoch, "the next one finds it done")
	a.quiet(t, lobby)
	b.quiet(t, lobby)

	resumed, err = b.resume(resumeOf(later(b.seat(lobby, "bob"), b.id, 2), epoch, 1<<62))
	require.NoError(t, err)
	require.False(t, resumed.Known)
	require.Less(t, resumed.Snapshot.Seq, int64(2_000_000), "a client's word does not use up the numbers")
	a.expect(t, 1)
	b.expect(t, 1)
}

func testJoinTakesOver(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	first, err := a.join(a.seat(lobby, "alice"), kept)
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	locked := true
	update := updateOf(b.seat(lobby, "bob"), 1)
	update.Locked = &locked
	_, err = b.updateRoom(update)
	require.NoError(t, err)
	loseAll(t, a, lobby, "alice")
	b.drain(t, lobby)
	a.drain(t, lobby)

	again, err := b.join(later(a.seat(lobby, "alice"), b.id, 1))
	require.NoError(t, err, "a lock keeps nobody from the own seat")
	require.False(t, again.New)
	require.Equal(t, first.Order, again.Order)
	require.Equal(t, []string{`5 back-peer to= except=alice {"type":"back-peer","peer":"alice"}`}, briefs(b.expect(t, 1)), "for bob")
	again, err = a.join(later(a.seat(lobby, "alice"), a.id, 2))
	require.NoError(t, err)
	require.EqualValues(t, 5, again.Seq)
	require.EqualValues(t, 2, store.FencedBy(b.expect(t, 1)[0]))
	a.quiet(t, lobby)
	b.quiet(t, lobby)
	requireFenced(t, b, later(a.seat(lobby, "alice"), b.id, 1))
}

// A user who comes again with a new session, after a reload, takes the place of the old one.
func testSameUser(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	asUser := func(j *store.Join) {
		kept(j)
		j.Capacity = 2
		j.Profile = []byte(`{"user":"u1","name":"` + j.Peer + `"}`)
		j.SameUser = []byte(`{"user":"u1",`)
		j.ReplacedHead, j.ReplacedTail = []byte(`{"type":"left-peer","peer":"`), []byte(`","reason":"replaced"}`)
	}
	first, err := a.join(a.seat(lobby, "old"), asUser)
	require.NoError(t, err)
	locked := true
	update := updateOf(a.seat(lobby, "old"), 1)
	update.Locked, update.Properties = &locked, store.State{"topic": raw(`"x"`)}
	_, err = a.updateRoom(update)
	require.NoError(t, err)
	a.expect(t, 1)

	second, err := b.join(b.seat(lobby, "new"), asUser)
	require.NoError(t, err, "the user is in already: no lock is in the way")
	require.Equal(t, first.Epoch, second.Epoch, "the room is not lost with its last seat")
	require.Equal(t, []any{true, 1, int64(2)}, []any{second.Locked, second.Count, second.Order})
	require.Equal(t, store.State{"topic": raw(`"x"`)}, second.Properties)
	require.Equal(t, []string{`3 left-peer to= except= {"type":"left-peer","peer":"old","reason":"replaced"}`}, briefs(a.expect(t, 1)), "its node is told")
	require.NotContains(t, d.keys(t), "held:node-a")
	_, err = a.send(message(a.seat(lobby, "old"), "", "x"))
	requireCode(t, wire.CodeNotMember, err)

	_, err = a.join(a.seat(lobby, "guest"), func(j *store.Join) { j.Moderator = true })
	require.NoError(t, err)
	_, err = b.lose(b.seat(lobby, "new"))
	require.NoError(t, err)
	third, err := a.join(a.seat(lobby, "newer"), asUser)
	require.NoError(t, err, "the room is full, and the seat that is away is the user's")
	require.Equal(t, 2, third.Count)
	require.NotContains(t, d.keys(t), "away")
	for _, other := range []func(*store.Join){
		func(j *store.Join) { j.SameUser = []byte(`{"user":"u",`) },
		func(j *store.Join) { j.SameUser = []byte(`{"user":"newer",`) },
		func(j *store.Join) { j.SameUser = nil },
	} {
		_, err = b.join(b.seat(lobby, "other"), asUser, other)
		requireCode(t, wire.CodeRoomLocked, err)
	}
	for _, peer := range []string{"guest", "newer"} {
		_, err = a.leave(a.seat(lobby, peer))
		require.NoError(t, err)
	}
	require.Empty(t, d.keys(t))
}
