package store_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

var lobby = store.Room{App: "acme", Name: "lobby"}

// contract is what every operation promises, on every deployment.
var contract = []struct {
	name string
	test func(t *testing.T, d deployment)
}{
	{"join makes the room and tells the others", testJoin},
	{"join again changes nothing", testJoinAgain},
	{"join refuses past the capacity and behind a lock", testJoinRefused},
	{"leave tells the others and the last takes the room along", testLeave},
	{"send reaches the receivers' nodes alone", testSend},
	{"send to a peer that is gone", testSendRefused},
	{"volatile events are not logged", testVolatile},
	{"state merges raw values by key", testState},
	{"state is limited and keeps reserved keys away", testStateRefused},
	{"room is guarded by its version", testUpdateRoom},
	{"room refuses", testUpdateRoomRefused},
	{"mute and unmute", testMute},
	{"kick one", testKick},
	{"kick all and the presenter", testKickAll},
	{"a leaving presenter is cleared", testPresenterLeaves},
	{"snapshot", testSnapshot},
	{"fencing", testFencing},
	{"names that are not valid never reach Redis", testBadNames},
	{"the log keeps what was published", testLog},
	{"partitions of two nodes must agree", testPartitionsAgree},
	{"a lost seat is away for its grace", testLose},
	{"a lost seat without a grace is given up", testLoseWithoutGrace},
	{"the last seat away keeps the room", testLastAway},
	{"a grace ends once", testExpire},
	{"graces end in chunks, and stale entries go", testExpireChunks},
	{"the seats of a dead node are away for their grace", testReapAway},
	{"resume from away, with all that was missed", testResumeAway},
	{"resume from another node", testResumeElsewhere},
	{"resume on the same node", testResumeSameNode},
	{"resume is refused", testResumeRefused},
	{"resume where the log does not reach", testResumeUnknown},
	{"resume after Redis went back in time", testResumeRewound},
	{"join takes the session's seat over", testJoinTakesOver},
	{"join replaces the same user", testSameUser},
	{"resume brings all members", testResumeMembers},
	{"join takes the seat of a session that did not go on", testJoinBefore},
	{"webhooks are told what happens, in pairs", testHooks},
	{"webhooks are told nothing where they are off", testHooksOff},
	{"a report that comes again is told once", testReportsOnce},
	{"webhooks are told of the operator's rooms", testHooksOfOperator},
	{"webhooks are told of restored seats by their ids", testHooksRestored},
	{"an outbox that nobody empties is trimmed", testOutboxTrimmed},
	{"an outbox is emptied by one gateway at a time", testOutbox},
	{"what one gateway has taken comes to the next", testOutboxTakenOver},
	{"dead letters are listed, sent again and forgotten", testDeadLetters},
	{"endpoints are disabled", testDisabledEndpoints},
	{"requests take effect once", testOnce},
	{"requests of room and control are answered as then", testOnceResults},
	{"a join that brings a seat back is found by its number", testOnceBack},
	{"requests across seats of a session", testOnceAcrossSeats},
	{"replay", testReplay},
	{"rebirth", testRebirth},
	{"restore a room that was lost", testRestoreLost},
	{"restore where others were faster", testRestoreTaken},
	{"restore a room that went back in time", testRestoreRewound},
	{"restore gives ghosts up", testRestoreGhosts},
	{"restore lets be what was taken away", testRestoreGone},
	{"restore is refused", testRestoreRefused},
	{"the gate", testGate},
	{"put back what belongs to no room", testPutBack},
	{"who holds what", testHeld},
	{"messages that go together", testGroup},
	{"messages that are kept", testKeep},
	{"what is kept is bounded", testKeepBounds},
	{"kept messages are taken back", testErase},
	{"a queue for a full room", testWaiting},
	{"a queue when the room changes", testWaitingRoomChanges},
	{"places are kept as seats are", testWaitingAway},
	{"places of dead nodes", testWaitingDies},
	{"a moderated room", testModerated},
	{"everybody learns of who is called", testCalledIsTold},
	{"who is called at once has an order each", testCalledInOrder},
	{"a room that stays ends after its queue", testQueueKeepsRoom},
	{"dead nodes' peers are not called", testDeadAreNotCalled},
	{"a ghost's seat is for who waits", testGhostsSeatIsGiven},
	{"restore a queue that was lost", testQueueRestored},
	{"restore a queue as it was", testQueueRestoredAsItWas},
	{"rooms that stay, and rooms that end", testRoomsThatStay},
	{"the next presenter", testSuccession},
	{"the next presenter where everybody goes", testSuccessionOfAll},
	{"a room that may not be made", testNoCreate},
	{"the operator makes a room", testCreateRoom},
	{"a room is closed", testCloseRoom},
	{"the operator acts without a seat", testOperator},
	{"rooms are listed", testListRooms},
	{"rooms are found by what their names begin with", testFindRooms},
	{"a search looks at no more than it may", testFindRoomsAmongMany},
	{"join makes no room where it must not", testJoinNoCreate},
	{"nodes tell each other what they use", testUsage},
	{"nodes tell what their apps have", testFigures},
	{"rooms are counted", testCountRooms},
	{"relays are known for their lease", testRelays},
	{"relays that are not valid", testBadRelays},
	{"a relay that comes first", testRelayAlone},
}

func TestContract(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		for _, c := range contract {
			t.Run(c.name, func(t *testing.T) {
				d.empty(t)
				c.test(t, d)
			})
		}
	})
}

// twoNodes starts two nodes.
func twoNodes(t *testing.T, d deployment) (a, b *node) {
	t.Helper()
	return startNode(t, d.options, "node-a"), startNode(t, d.options, "node-b")
}

// mustJoin takes a seat for each peer.
func mustJoin(tb testing.TB, n *node, room store.Room, peers ...string) {
	tb.Helper()
	for _, peer := range peers {
		_, err := n.join(n.seat(room, peer))
		require.NoError(tb, err)
	}
}

// brief is an event in one line: what a test compares.
func brief(e store.Event) string {
	return fmt.Sprintf("%d %s to=%s except=%s %s", e.Seq, e.Type, e.To, e.Except, e.Body)
}

func briefs(events []store.Event) []string {
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = brief(e)
	}
	return lines
}

func testJoin(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	first, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) {
		j.Capacity = 3
		j.State = store.State{"mic": raw("true"), "big": raw("12345678901234567890"), "list": raw("[]"), "gone": raw("null")}
	})
	require.NoError(t, err)
	require.True(t, first.Found)
	require.True(t, first.New)
	require.NotEmpty(t, first.Epoch)
	require.False(t, first.Created.IsZero())
	require.Equal(t, &store.Snapshot{
		Found: true, New: true, Room: lobby, Epoch: first.Epoch, Created: first.Created,
		Seq: 1, Capacity: 3, Count: 1, Version: 1, Order: 1,
		Members: []store.Member{{
			ID: "alice", Order: 1, Node: "node-a", Profile: []byte(`{"user":"u-alice","name":"Name of alice"}`),
			State: store.State{"mic": raw("true"), "big": raw("12345678901234567890"), "list": raw("[]")},
		}},
	}, first)

	second, err := b.join(b.seat(lobby, "bob"), func(j *store.Join) { j.Capacity = 99 })
	require.NoError(t, err)
	require.Equal(t, first.Epoch, second.Epoch)
	require.EqualValues(t, 2, second.Seq)
	require.EqualValues(t, 2, second.Order)
	require.Equal(t, 3, second.Capacity, "the room's maker has set the capacity")
	require.Equal(t, 2, second.Count)
	require.Equal(t, first.Members[0], second.Members[0])
	require.Equal(t, "bob", second.Members[1].ID)
	require.Nil(t, second.Members[1].State)

	events := a.expect(t, 1)
	require.Equal(t, []string{`2 joined-peer to= except=bob {"type":"joined-peer","peer":"bob","order":2}`}, briefs(events))
	require.Equal(t, lobby, events[0].Room)
	require.Equal(t, first.Epoch, events[0].Epoch)
	require.Equal(t, a.store.Partition(lobby), events[0].Partition)
	b.quiet(t, lobby)
	require.Equal(t, []string{
		"held:node-a", "held:node-b", "holders", "log:acme/lobby", "room:acme/lobby", "rooms:acme",
	}, d.keys(t))
}

func testJoinAgain(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, b, lobby, "bob")
	first, err := a.join(a.seat(lobby, "alice"))
	require.NoError(t, err)
	b.expect(t, 1)
	again, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.State = store.State{"x": raw("1")} })
	require.NoError(t, err)
	require.False(t, again.New)
	again.New = true
	require.Equal(t, first, again)
	b.quiet(t, lobby)
}

func testJoinRefused(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	two := func(j *store.Join) { j.Capacity = 2 }
	_, err := a.join(a.seat(lobby, "alice"), two)
	require.NoError(t, err)
	_, err = b.join(b.seat(lobby, "bob"), two)
	require.NoError(t, err)
	moderator := func(j *store.Join) { j.Moderator = true }
	_, err = b.join(b.seat(lobby, "carol"), two, moderator)
	requireCode(t, wire.CodeRoomFull, err)

	locked, capacity := true, 3
	update := updateOf(a.seat(lobby, "alice"), 1)
	update.Locked, update.Capacity = &locked, &capacity
	_, err = a.updateRoom(update)
	require.NoError(t, err)
	_, err = b.join(b.seat(lobby, "carol"))
	requireCode(t, wire.CodeRoomLocked, err)
	snapshot, err := b.join(b.seat(lobby, "carol"), moderator)
	require.NoError(t, err)
	require.Equal(t, 3, snapshot.Count)
	require.True(t, snapshot.Locked)
	again, err := b.join(b.seat(lobby, "bob"))
	require.NoError(t, err, "a lock keeps nobody from the own seat")
	require.False(t, again.New)

	_, err = b.join(b.seat(lobby, "dave"), func(j *store.Join) { j.Capacity = 0 })
	requireCode(t, wire.CodeBadRequest, err)
	_, err = b.join(b.seat(lobby, "dave"), func(j *store.Join) { j.State = store.State{store.StateMutedAudio: raw("true")} })
	requireCode(t, wire.CodeForbidden, err)
}

func testLeave(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice", "anna")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 2) // anna's, at alice's node, and bob's

	seq, err := a.leave(a.seat(lobby, "anna"))
	require.NoError(t, err)
	require.EqualValues(t, 4, seq)
	left := []string{`4 left-peer to= except=anna {"type":"left-peer","peer":"anna"}`}
	require.Equal(t, left, briefs(a.expect(t, 1)))
	require.Equal(t, left, briefs(b.expect(t, 1)))
	_, err = a.leave(a.seat(lobby, "anna"))
	requireCode(t, wire.CodeNotMember, err)

	_, err = a.leave(a.seat(lobby, "alice"))
	require.NoError(t, err)
	b.expect(t, 1)
	a.quiet(t, lobby)
	seq, err = b.leave(b.seat(lobby, "bob"))
	require.NoError(t, err)
	require.EqualValues(t, 5, seq, "nobody is left to be told")
	b.quiet(t, lobby)
	require.Empty(t, d.keys(t), "the last one leaves nothing behind")

	again, err := a.join(a.seat(lobby, "alice"))
	require.NoError(t, err)
	require.EqualValues(t, 1, again.Seq)
}

func testSend(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice", "anna")
	mustJoin(t, b, lobby, "bob", "ben")
	a.expect(t, 3)
	b.expect(t, 1)
	body := []byte(`{"type":"message","data":"a b  c"}`)
	for _, tc := range []struct {
		name     string
		send     store.Send
		atA, atB bool
		want     string
	}{
		{"directed, other node", store.Send{To: "bob", Type: "signal"}, false, true, "signal to=bob except="},
		{"directed, same node", store.Send{To: "anna", Type: "signal"}, true, false, "signal to=anna except="},
		{"to all", store.Send{Type: "message"}, true, true, "message to= except=alice"},
		{"to all with echo", store.Send{Type: "message", Echo: true}, true, true, "message to= except="},
		{"volatile", store.Send{Type: "message", Volatile: true}, true, true, "message to= except=alice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.send.Seat, tc.send.Event = a.seat(lobby, "alice"), body
			seq, err := a.send(tc.send)
			require.NoError(t, err)
			want := []string{strconv.FormatInt(seq, 10) + " " + tc.want + " " + string(body)}
			for n, here := range map[*node]bool{a: tc.atA, b: tc.atB} {
				if here {
					require.Equal(t, want, briefs(n.expect(t, 1)))
				}
				n.quiet(t, lobby)
			}
		})
	}
	t.Run("alone on its node the sender's is spared", func(t *testing.T) {
		_, err := a.leave(a.seat(lobby, "anna"))
		require.NoError(t, err)
		a.expect(t, 1)
		b.expect(t, 1)
		_, err = a.send(store.Send{Seat: a.seat(lobby, "alice"), Type: "message", Event: body})
		require.NoError(t, err)
		b.expect(t, 1)
		a.quiet(t, lobby)
	})
}

func testSendRefused(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	m := store.Send{Seat: a.seat(lobby, "alice"), To: "nobody", Type: "signal", Event: []byte(`{"type":"signal"}`)}
	_, err := a.send(m)
	requireCode(t, wire.CodePeerGone, err)
	// Redis has lost its data: the receiver may be there again in a moment, and nobody must be told that it is gone.
	gate := d.prefix(a.store, lobby) + "gate"
	for _, shut := range []func(){
		func() { d.do(t, "DEL", gate) },
		func() { d.do(t, "SET", gate, strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)) },
	} {
		shut()
		_, err = a.send(m)
		requireCode(t, wire.CodeUnavailable, err)
	}
	d.do(t, "SET", gate, "0")
	_, err = a.send(m)
	requireCode(t, wire.CodePeerGone, err)
	m.Peer = "nobody"
	_, err = a.send(m)
	requireCode(t, wire.CodeNotMember, err)
	m.To = ""
	_, err = a.send(m)
	requireCode(t, wire.CodeNotMember, err)
	m.Room.Name = "other"
	_, err = a.send(m)
	requireCode(t, wire.CodeNotMember, err)
	a.quiet(t, lobby)
	snapshot, err := a.snapshot(store.Look{Room: lobby})
	require.NoError(t, err)
	require.EqualValues(t, 1, snapshot.Seq, "a refused message takes no number")
}

func testVolatile(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	m := store.Send{Seat: a.seat(lobby, "alice"), Type: "message", Echo: true, Event: []byte(`{"type":"message"}`)}
	for _, volatile := range []bool{true, false, true} {
		m.Volatile = volatile
		_, err := a.send(m)
		require.NoError(t, err)
	}
	require.Len(t, a.expect(t, 3), 3)
	require.Equal(t, []int64{1, 3}, loggedNumbers(t, d, a.store))
}

// logged are the events of the lobby's log, whose entries have the numbers of their last ones.
func logged(t *testing.T, d deployment, s *store.Store) []store.Event {
	t.Helper()
	var events []store.Event
	for _, entry := range d.do(t, "XRANGE", d.key(s, "log", lobby), "-", "+").([]any) {
		id, fields := entry.([]any)[0], entry.([]any)[1].([]any)
		require.Len(t, fields, 2)
		for record := range store.Records(fields[1].(string)) {
			event, err := store.ParseRecord(record)
			require.NoError(t, err)
			event.Partition = s.Partition(lobby)
			events = append(events, event)
		}
		require.Equal(t, fmt.Sprintf("%d-0", events[len(events)-1].Seq), id)
	}
	return events
}

// loggedNumbers are the numbers of the events of the lobby's log.
func loggedNumbers(t *testing.T, d deployment, s *store.Store) []int64 {
	t.Helper()
	var numbers []int64
	for _, event := range logged(t, d, s) {
		numbers = append(numbers, event.Seq)
	}
	return numbers
}

func testLog(t *testing.T, d deployment) {
	d.options.LogLength = 10
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	m := store.Send{Seat: a.seat(lobby, "alice"), Type: "message", Echo: true, Event: []byte(`{"type":"message","n":"x"}`)}
	const messages = 500
	for range messages - 1 {
		a.store.Send(m, func(int64, error) {})
	}
	_, err := a.send(m)
	require.NoError(t, err)
	events := a.expect(t, messages)
	log := logged(t, d, a.store)
	require.GreaterOrEqual(t, len(log), 10)
	require.Less(t, len(log), messages/2, "the log is trimmed")
	require.Equal(t, events[len(events)-len(log):], log)
	// One by one, it is never shorter than it should be, and never longer than twice that.
	for i := range 50 {
		_, err := a.send(m)
		require.NoError(t, err)
		if log := logged(t, d, a.store); i > 20 {
			require.GreaterOrEqual(t, len(log), 10)
			require.LessOrEqual(t, len(log), 20)
		}
	}
	a.expect(t, 50)

	// The log is kept for one resume window at least; it is given two, and more only when it has less than one.
	key := d.key(a.store, "log", lobby)
	ttl := d.do(t, "PTTL", key).(int64)
	require.Greater(t, ttl, int64(120_000))
	require.LessOrEqual(t, ttl, int64(240_000))
	for _, tc := range []struct{ left, atLeast, atMost int64 }{{100_000, 200_000, 240_000}, {150_000, 120_000, 150_000}} {
		d.do(t, "PEXPIRE", key, strconv.FormatInt(tc.left, 10))
		_, err := a.send(m)
		require.NoError(t, err)
		ttl := d.do(t, "PTTL", key).(int64)
		require.Greater(t, ttl, tc.atLeast)
		require.LessOrEqual(t, ttl, tc.atMost)
	}
}

func testState(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	seat := a.seat(lobby, "alice")
	steps := []struct {
		change, want store.State
	}{
		{store.State{"mic": raw("true"), "name": raw(`"A\u00e9 / <b> \"q\""`)}, store.State{"mic": raw("true"), "name": raw(`"A\u00e9 / <b> \"q\""`)}},
		{store.State{"mic": raw("false"), "n": raw("1e400"), "o": raw(`{}`), "l": raw(`[ ]`)}, store.State{
			"mic": raw("false"), "name": raw(`"A\u00e9 / <b> \"q\""`), "n": raw("1e400"), "o": raw(`{}`), "l": raw(`[ ]`),
		}},
		{store.State{"name": raw(" null "), "n": raw("null"), "never": raw("null")}, store.State{"mic": raw("false"), "o": raw(`{}`), "l": raw(`[ ]`)}},
		{store.State{}, store.State{"mic": raw("false"), "o": raw(`{}`), "l": raw(`[ ]`)}},
		{store.State{"mic": raw("null"), "o": raw("null"), "l": raw("null")}, nil},
		{store.State{"1": raw("1"), "2": raw("2")}, store.State{"1": raw("1"), "2": raw("2")}},
	}
	for i, step := range steps {
		seq, err := a.setState(stateOf(seat, step.change))
		require.NoError(t, err)
		require.EqualValues(t, 3+i, seq)
		require.Equal(t, []string{fmt.Sprintf(`%d state to= except=alice {"type":"state","peer":"alice"}`, seq)}, briefs(b.expect(t, 1)))
		snapshot, err := b.snapshot(store.Look{Room: lobby, Members: true})
		require.NoError(t, err)
		require.Equal(t, step.want, snapshot.Members[0].State, "after step %d", i)
	}
	a.quiet(t, lobby)
}

func testStateRefused(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	change := stateOf(a.seat(lobby, "alice"), store.State{"a": raw("1"), "b": raw("2")})
	change.MaxKeys, change.MaxBytes = 2, 4
	_, err := a.setState(change)
	require.NoError(t, err, "exactly at both limits")

	change.State = store.State{"c": raw("3")}
	change.MaxBytes = 0
	_, err = a.setState(change)
	requireCode(t, wire.CodeTooLarge, err)
	change.State = store.State{"b": raw("22")}
	change.MaxKeys, change.MaxBytes = 0, 4
	_, err = a.setState(change)
	requireCode(t, wire.CodeTooLarge, err)
	for _, key := range []string{store.StateMutedAudio, store.StateMutedVideo} {
		for _, value := range []string{"true", "null"} {
			_, err = a.setState(stateOf(a.seat(lobby, "alice"), store.State{key: raw(value)}))
			requireCode(t, wire.CodeForbidden, err)
		}
	}
	_, err = a.setState(stateOf(a.seat(lobby, "nobody"), store.State{"a": raw("1")}))
	requireCode(t, wire.CodeNotMember, err)

	// A moderator's mute must not use up the peer's own room.
	_, err = a.control(muteOf(a.seat(lobby, "alice"), store.ActionMute, store.MediaAudio, "alice"))
	require.NoError(t, err)
	change.State, change.MaxKeys, change.MaxBytes = store.State{"a": raw("9")}, 2, 4
	_, err = a.setState(change)
	require.NoError(t, err)
	snapshot, err := a.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.Equal(t, store.State{"a": raw("9"), "b": raw("2"), store.StateMutedAudio: raw("true")}, snapshot.Members[0].State)
}

func testPartitionsAgree(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	other := d.options
	other.Partitions = 7
	_, err := store.Open(t.Context(), other)
	var mismatch *store.PartitionsError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, &store.PartitionsError{Ours: 7, Theirs: strconv.Itoa(a.store.Partitions())}, mismatch)
	require.ErrorContains(t, err, "7")
	require.ErrorContains(t, err, strconv.Itoa(a.store.Partitions()))
}
