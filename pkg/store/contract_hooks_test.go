package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// hooked is what webhooks are to tell of a room, as it lies in the outbox of its partition.
func (d deployment) hooked(tb tester, s *store.Store, room store.Room) []store.HookEvent {
	tb.Helper()
	var events []store.HookEvent
	for _, entry := range d.do(tb, "XRANGE", d.prefix(s, room)+"outbox", "-", "+").([]any) {
		fields := entry.([]any)[1].([]any)
		event, err := store.ParseHookEvent(fields[1].(string))
		require.NoError(tb, err)
		if event.Room == room {
			events = append(events, event)
		}
	}
	return events
}

// briefHooks gives each as "<seq> <kind> <what>", nil for none.
func briefHooks(events []store.HookEvent) []string {
	var lines []string
	for _, e := range events {
		var data struct {
			Peer, Reason string
			Capacity     int
			Event        struct{ Peer, Reason string }
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			panic(err)
		}
		what := data.Peer
		switch e.Kind {
		case store.HookRoomCreated, store.HookRoomFull:
			what = fmt.Sprint(data.Capacity)
		case store.HookRoomClosed:
			what = data.Reason
		case store.HookPeerLeft:
			what = data.Event.Peer + " " + data.Event.Reason
		}
		lines = append(lines, fmt.Sprint(e.Seq, " ", e.Kind, " ", what))
	}
	return lines
}

// requirePaired checks that whatever has begun has ended, by its id, but for what the model still has, and that no id comes twice.
func requirePaired(tb tester, events []store.HookEvent, room *modelRoom) {
	open, seen := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		require.False(tb, seen[e.ID], "%s comes twice", e.ID)
		seen[e.ID] = true
		pair, ok := strings.CutSuffix(e.ID, "-"+e.Kind)
		require.True(tb, ok, e.ID)
		switch e.Kind {
		case store.HookRoomCreated, store.HookPeerJoined:
			require.False(tb, open[pair])
			open[pair] = true
		case store.HookRoomClosed, store.HookPeerLeft:
			require.True(tb, open[pair], "%s has not begun", e.ID)
			delete(open, pair)
		}
	}
	want := 0
	if room != nil && room.hooks {
		want = 1 + len(room.members)
	}
	require.Len(tb, open, want)
}

func hooked(j *store.Join) { j.Hooks = true }

func testHooks(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	before := time.Now()
	_, err := a.join(a.seat(lobby, "alice"), hooked, func(j *store.Join) { j.Capacity = 2 })
	require.NoError(t, err)
	joined, err := b.join(b.seat(lobby, "bob"))
	require.NoError(t, err)
	require.NotEmpty(t, joined.Hooks)
	for _, m := range joined.Members {
		require.NotEmpty(t, m.Entered)
	}
	_, err = b.join(b.seat(lobby, "carol"))
	requireCode(t, wire.CodeRoomFull, err)
	require.NoError(t, a.report(a.seat(lobby, "alice"), "alice-7", `{"outcome":"failed"}`))
	_, err = b.control(kickOf(b.seat(lobby, "bob"), "alice"))
	require.NoError(t, err)
	_, err = b.leave(b.seat(lobby, "bob"))
	require.NoError(t, err)

	events := d.hooked(t, a.store, lobby)
	require.Equal(t, []string{
		"0 room.created 2", "1 peer.joined alice", "2 peer.joined bob", "2 room.full 2", "2 call.outcome ", "3 peer.left alice kicked",
		"3 peer.left bob ", "3 room.closed empty",
	}, briefHooks(events))
	requirePaired(t, events, nil)
	for _, e := range events {
		require.WithinDuration(t, before, e.Time, time.Minute)
		require.Equal(t, joined.Epoch, e.Epoch)
	}
	require.Equal(t, joined.Epoch+"-1-alice-peer.joined", events[1].ID)
	require.JSONEq(t, `{"peer":"alice","profile":{"user":"u-alice","name":"Name of alice"}}`, string(events[1].Data))
	require.Equal(t, "alice-7-call.outcome", events[4].ID)
	var left struct {
		Profile  map[string]string
		Duration *int64
	}
	require.NoError(t, json.Unmarshal(events[5].Data, &left))
	require.Equal(t, "u-alice", left.Profile["user"])
	require.Less(t, *left.Duration, time.Minute.Milliseconds())

	err = a.report(a.seat(lobby, "alice"), "alice-8", `{}`)
	requireCode(t, wire.CodeNotMember, err)
	err = a.report(a.seat(lobby, "alice"), "no id", `{}`)
	requireCode(t, wire.CodeBadRequest, err)
}

// Rooms of which nobody wants to be told leave nothing, in the outbox or beside their seats.
func testHooksOff(t *testing.T, d deployment) {
	n := startNode(t, d.options, "n")
	s, err := n.join(n.seat(lobby, "alice"))
	require.NoError(t, err)
	require.Empty(t, s.Hooks)
	require.NoError(t, n.report(n.seat(lobby, "alice"), "alice-1", `{}`))
	_, err = n.join(n.seat(lobby, "bob"), hooked)
	require.NoError(t, err, "it is decided when the room is made")
	require.NotContains(t, fmt.Sprint(d.do(t, "HKEYS", d.key(n.store, "room", lobby))), "j:")
	_, err = n.leave(n.seat(lobby, "bob"))
	require.NoError(t, err)
	_, err = n.leave(n.seat(lobby, "alice"))
	require.NoError(t, err)
	require.NotContains(t, d.keys(t), "outbox")
}

func testHooksOfOperator(t *testing.T, d deployment) {
	n := startNode(t, d.options, "n")
	_, err := wait(func(done func(*store.Snapshot, error)) {
		n.store.CreateRoom(store.CreateRoom{Room: lobby, Capacity: 3, Hooks: true}, done)
	})
	require.NoError(t, err)
	joinKept(t, n, lobby, "alice", "bob")
	loseAll(t, n, lobby, "bob")
	_, err = wait(func(done func(store.Controlled, error)) {
		n.store.CloseRoom(store.CloseRoom{
			Seat: store.Seat{Room: lobby, Operator: true}, Text: `Over "for today"`,
			EventHead: []byte(`{"type":"left-peer","peer":"`), EventTail: []byte(`","reason":"closed"}`),
		}, done)
	})
	require.NoError(t, err)
	events := d.hooked(t, n.store, lobby)
	brief := briefHooks(events)
	require.Equal(t, []string{"0 room.created 3", "1 peer.joined alice", "2 peer.joined bob"}, brief[:3])
	require.Len(t, brief, 6)
	require.Equal(t, "5 room.closed closed", brief[5])
	var closed struct{ Text string }
	require.NoError(t, json.Unmarshal(events[5].Data, &closed))
	require.Equal(t, `Over "for today"`, closed.Text)
	requirePaired(t, events, nil)
}

// Seats that are put back are told by the ids that they had, and those that are not are told as left.
func testHooksRestored(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), hooked, func(j *store.Join) { j.Capacity = 2 })
	require.NoError(t, err)
	before, err := b.join(b.seat(lobby, "bob"))
	require.NoError(t, err)
	told := d.hooked(t, a.store, lobby)
	d.empty(t)
	d.openGate(t, a.store, lobby)

	_, err = a.restore(hooksOf(restoreOf(a, before, "alice"), before))
	require.NoError(t, err)
	again := d.hooked(t, a.store, lobby)
	require.Equal(t, []string{told[0].ID, told[1].ID}, []string{again[0].ID, again[1].ID}, "the room and alice, as before")
	_, err = a.join(a.seat(lobby, "eve"))
	require.NoError(t, err)
	restored, err := b.restore(hooksOf(restoreOf(b, before, "bob"), before))
	require.NoError(t, err)
	require.Equal(t, store.SeatFull, restored.Seats["bob"])
	_, err = a.leave(a.seat(lobby, "eve"))
	require.NoError(t, err)
	_, err = a.leave(a.seat(lobby, "alice"))
	require.NoError(t, err)
	seen := map[string]bool{}
	var all []store.HookEvent
	for _, e := range append(told, d.hooked(t, a.store, lobby)...) {
		if !seen[e.ID] {
			seen[e.ID] = true
			all = append(all, e)
		}
	}
	requirePaired(t, all, nil)
}

func hooksOf(r store.Restore, known *store.Snapshot) store.Restore {
	r.Hooks = known.Hooks
	for i := range r.Seats {
		for _, m := range known.Members {
			if m.ID == r.Seats[i].Peer {
				r.Seats[i].Entered = m.Entered
			}
		}
	}
	return r
}

// Where nobody takes the events for long, the oldest are dropped, and counted.
func testOutboxTrimmed(t *testing.T, d deployment) {
	d.options.OutboxLength = 3
	n := startNode(t, d.options, "n")
	_, err := n.join(n.seat(lobby, "alice"), hooked)
	require.NoError(t, err)
	for i := range 4 {
		require.NoError(t, n.report(n.seat(lobby, "alice"), fmt.Sprint("alice-", i), `{}`))
	}
	require.Equal(t, []string{"1 call.outcome ", "1 call.outcome ", "1 call.outcome "}, briefHooks(d.hooked(t, n.store, lobby)))
	require.Equal(t, "3", fmt.Sprint(d.do(t, "GET", d.prefix(n.store, lobby)+"outbox:trimmed")))
}

func (n *node) report(seat store.Seat, id, data string) error {
	_, err := n.numberedReport(seat, 0, id, data)
	return err
}

func (n *node) numberedReport(seat store.Seat, request int64, id, data string) (again bool, err error) {
	return wait(func(done func(bool, error)) {
		n.store.Report(store.Report{Seat: seat, Request: request, ID: id, Data: []byte(data)}, done)
	})
}

// A report that comes again, on whatever node, also after requests that came later, is told once.
func testReportsOnce(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	for _, seat := range []store.Seat{a.seat(lobby, "alice"), b.seat(lobby, "bob")} {
		n := a
		if seat.Peer == "bob" {
			n = b
		}
		_, err := n.join(seat, hooked)
		require.NoError(t, err)
	}
	for _, step := range []struct {
		request int64
		again   bool
	}{{7, false}, {7, true}, {8, false}, {7, true}, {8, true}} {
		again, err := a.numberedReport(a.seat(lobby, "alice"), step.request, fmt.Sprint("alice-", step.request), `{}`)
		require.NoError(t, err)
		require.Equal(t, step.again, again, step.request)
	}
	m := message(a.seat(lobby, "alice"), "", "x")
	m.Request = 9
	sent := mustSend(t, a, m)
	again, err := a.numberedReport(a.seat(lobby, "alice"), 8, "alice-8", `{}`)
	require.NoError(t, err)
	require.True(t, again, "after a request that came later")
	again, err = a.numberedReport(a.seat(lobby, "alice"), 10, "alice-10", `{}`)
	require.NoError(t, err)
	require.False(t, again)
	require.Equal(t, sent, mustSend(t, a, m), "a message that came before a report is found in the log")
	var told []string
	for _, e := range d.hooked(t, a.store, lobby) {
		if e.Kind == store.HookCallOutcome {
			told = append(told, e.ID)
		}
	}
	require.Equal(t, []string{"alice-7-call.outcome", "alice-8-call.outcome", "alice-10-call.outcome"}, told)
}
