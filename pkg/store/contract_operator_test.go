package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (n *node) create(r store.CreateRoom) (*store.Snapshot, error) {
	return wait(func(done func(*store.Snapshot, error)) { n.store.CreateRoom(r, done) })
}

func (n *node) closeRoom(seat store.Seat) (controlled, error) { return n.closeSaying(seat, "") }

func (n *node) closeSaying(seat store.Seat, text string) (controlled, error) {
	return wait(func(done func(controlled, error)) {
		n.store.CloseRoom(store.CloseRoom{
			Seat: seat, Text: text, EventHead: []byte(`{"type":"left-peer","peer":"`), EventTail: []byte(`","reason":"closed"}`),
		}, func(c store.Controlled, err error) { done(controlledOf(c), err) })
	})
}

// post has the operator say something in the lobby.
func (n *node) post(to, text string) (store.Controlled, error) {
	return wait(func(done func(store.Controlled, error)) {
		n.store.Post(store.Post{Room: lobby, To: to, Type: "message", Event: []byte(`{"type":"message","data":"` + text + `"}`)}, done)
	})
}

// operatorOf is the operator in a room.
func operatorOf(room store.Room) store.Seat { return store.Seat{Room: room, Operator: true} }

func testCreateRoom(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	s, err := a.create(store.CreateRoom{
		Room: lobby, Capacity: 3, Locked: true, Properties: store.State{"title": raw(`"Board"`), "gone": raw("null"), "list": raw("[]")},
	})
	require.NoError(t, err)
	require.Equal(t, store.State{"title": raw(`"Board"`), "list": raw("[]")}, s.Properties)
	require.Equal(t, []any{3, 0, int64(0), int64(1), true}, []any{s.Capacity, s.Count, s.Seq, s.Version, s.Locked})
	again, err := a.create(store.CreateRoom{Room: lobby, Capacity: 9})
	require.ErrorIs(t, err, store.ErrRoomExists)
	require.Equal(t, s, again, "the room as it is")

	_, err = a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.Capacity = 30 })
	requireCode(t, wire.CodeRoomLocked, err)
	joined, err := a.join(a.seat(lobby, "mod"), func(j *store.Join) { j.Capacity, j.Moderator = 30, true })
	require.NoError(t, err)
	require.Equal(t, []any{s.Epoch, 3, int64(1), int64(1)}, []any{joined.Epoch, joined.Capacity, joined.Order, joined.Seq})

	_, err = a.create(store.CreateRoom{Room: store.Room{App: "demo", Name: "big"}, Capacity: 1, Properties: store.State{"a": raw(`"12345"`)}, MaxBytes: 7})
	requireCode(t, wire.CodeTooLarge, err)
	_, err = a.create(store.CreateRoom{Room: store.Room{App: "demo", Name: "none"}})
	requireCode(t, wire.CodeBadRequest, err)
}

func testCloseRoom(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.closeRoom(operatorOf(lobby))
	require.ErrorIs(t, err, store.ErrNoRoom)
	joinKept(t, a, lobby, "alice", "away")
	joinKept(t, b, lobby, "bob")
	loseAll(t, a, lobby, "away")
	a.drain(t, lobby)
	b.drain(t, lobby)
	_, err = a.closeRoom(a.seat(lobby, "stranger"))
	requireCode(t, wire.CodeNotMember, err)
	answer, err := a.closeRoom(operatorOf(lobby))
	require.NoError(t, err)
	require.Equal(t, controlled{7, 3}, answer)
	closed := func(peer string) string { return `{"type":"left-peer","peer":"` + peer + `","reason":"closed"}` }
	require.Contains(t, bodies(a.drain(t, lobby)), closed("alice"))
	require.Contains(t, bodies(b.drain(t, lobby)), closed("bob"))
	require.Empty(t, d.keys(t), "nothing is left behind")

	mustJoin(t, b, lobby, "bob")
	answer, err = b.closeRoom(b.seat(lobby, "bob"))
	require.NoError(t, err, "a member can close it, too")
	require.Equal(t, 1, answer.affected)
	_, err = a.create(store.CreateRoom{Room: lobby, Capacity: 1})
	require.NoError(t, err)
	answer, err = a.closeRoom(operatorOf(lobby))
	require.NoError(t, err)
	require.Equal(t, 0, answer.affected, "an empty room")
	_, err = a.closeSaying(operatorOf(lobby), "two\nlines")
	requireCode(t, wire.CodeBadRequest, err)
	require.False(t, a.look(t, lobby).Found)
}

// The operator does in a room what its moderators do, without a seat there.
func testOperator(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	op, yes := operatorOf(lobby), true
	update := updateOf(op, 1)
	update.Locked = &yes
	_, err := a.updateRoom(update)
	require.ErrorIs(t, err, store.ErrNoRoom)
	_, err = a.control(kickOf(op, ""))
	require.ErrorIs(t, err, store.ErrNoRoom)
	_, err = a.post("", "hello")
	require.ErrorIs(t, err, store.ErrNoRoom)
	_, err = a.send(message(op, "", "hello"))
	requireCode(t, wire.CodeBadRequest, err)

	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	epoch := a.look(t, lobby).Epoch
	a.drain(t, lobby)
	_, err = a.updateRoom(update)
	require.NoError(t, err)
	said, err := a.post("", "all")
	require.NoError(t, err)
	require.Equal(t, store.Controlled{Epoch: epoch, Seq: 4}, said)
	said, err = a.post("bob", "one")
	require.NoError(t, err)
	require.Equal(t, store.Controlled{Epoch: epoch, Seq: 5}, said)
	_, err = a.post("eve", "none")
	requireCode(t, wire.CodePeerGone, err)
	_, err = a.post("e e", "none")
	requireCode(t, wire.CodeBadRequest, err)
	answer, err := a.control(muteOf(op, store.ActionMute, store.MediaAudio, ""))
	require.NoError(t, err)
	require.Equal(t, 2, answer.affected)
	answer, err = a.control(kickOf(op, "bob"))
	require.NoError(t, err)
	require.Equal(t, 1, answer.affected)
	require.Equal(t, []string{"room", "message", "control", "left-peer"}, kinds(a.drain(t, lobby)))
	require.Equal(t, []string{"room", "message", "message", "control", "left-peer"}, kinds(b.drain(t, lobby)))
	answer, err = a.control(kickOf(op, ""))
	require.NoError(t, err)
	require.Equal(t, 1, answer.affected)
	require.Empty(t, d.keys(t))
}

func testListRooms(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	var want []string
	for i := range 23 {
		room := store.Room{App: "demo", Name: fmt.Sprintf("room-%02d", i)}
		want = append(want, room.Name)
		mustJoin(t, a, room, "p")
		if i%5 == 0 {
			_, err := a.join(a.seat(room, "q"), func(j *store.Join) { j.Profile = []byte(`{"user":"quinn","name":"Q"}`) })
			require.NoError(t, err)
		}
	}
	mustJoin(t, a, store.Room{App: "other", Name: "room-00"}, "p")
	mustJoin(t, a, store.Room{App: "demo-b", Name: "room-77"}, "p")
	for _, limit := range []int{1, 4, 23, 1000} {
		var got []string
		cursor, calls := "", 0
		for {
			rooms, next, err := a.store.ListRooms(t.Context(), "demo", cursor, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(rooms), limit)
			for _, room := range rooms {
				got = append(got, room.Name)
				require.NotZero(t, room.Count)
				require.NotEmpty(t, room.Epoch)
			}
			calls++
			if cursor = next; next == "" {
				break
			}
		}
		slices.Sort(got)
		require.Equal(t, want, got, "limit %d", limit)
		require.LessOrEqual(t, calls, len(want)/limit+2)
	}
	count, err := a.store.CountRooms(t.Context(), "demo")
	require.NoError(t, err)
	require.EqualValues(t, len(want), count)
	of, err := a.store.RoomsOf(t.Context(), "demo", "quinn")
	require.NoError(t, err)
	require.Equal(t, []string{"room-00", "room-05", "room-10", "room-15", "room-20"}, of)
	of, err = a.store.RoomsOf(t.Context(), "demo", "quin")
	require.NoError(t, err)
	require.Empty(t, of, "a part of a name is nobody")
	for _, cursor := range []string{"x", "1.2", "-1.0.a", "64.0.a", "0.-1.a", "0.0.a/b", "0.0.{x}"} {
		_, _, err := a.store.ListRooms(t.Context(), "demo", cursor, 10)
		requireCode(t, wire.CodeBadRequest, err)
	}
	_, _, err = a.store.ListRooms(t.Context(), "a/b", "", 10)
	requireCode(t, wire.CodeBadRequest, err)
	_, _, err = a.store.ListRooms(t.Context(), "demo", "", 0)
	requireCode(t, wire.CodeBadRequest, err)
}

// found are the names of all pages of a search, sorted, and the number of pages.
func (n *node) found(t *testing.T, prefix string, limit int) (names []string, pages int) {
	t.Helper()
	for cursor := ""; ; pages++ {
		rooms, next, err := n.store.FindRooms(t.Context(), "demo", prefix, cursor, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(rooms), limit)
		for _, room := range rooms {
			names = append(names, room.Name)
			require.NotEmpty(t, room.Epoch)
		}
		if cursor = next; next == "" {
			slices.Sort(names)
			return names, pages + 1
		}
	}
}

// A prefix is a text, not a pattern, of one app's names.
func testFindRooms(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	long := strings.Repeat("l", 128)
	var team []string
	for i := range 12 {
		team = append(team, fmt.Sprintf("team-%02d", i))
	}
	for _, name := range append([]string{"team", "tea", "steam-01", "TEAM-01", "t.am", "~", "-", "..", "_x", long}, team...) {
		mustJoin(t, a, store.Room{App: "demo", Name: name}, "p")
	}
	mustJoin(t, a, store.Room{App: "other", Name: "team-99"}, "p")
	mustJoin(t, a, store.Room{App: "demo-team", Name: "team-77"}, "p")
	for prefix, want := range map[string][]string{
		"team-":                   team,
		"team-0":                  team[:10],
		"team-11":                 team[11:],
		"team":                    append([]string{"team"}, team...),
		"t.":                      {"t.am"},
		".":                       {".."},
		"~":                       {"~"},
		long:                      {long},
		long + "l":                nil,
		"team-110":                nil,
		"t*":                      nil,
		"*":                       nil,
		"t?am":                    nil,
		"[a-z]":                   nil,
		"^team":                   nil,
		"\\":                      nil,
		"demo/team":               nil,
		"rooms:":                  nil,
		"}:rooms:demo":            nil,
		"team\x00":                nil,
		"\r\nFLUSHALL\r\n":        nil,
		"\xff":                    nil,
		strings.Repeat("x", 4096): nil,
	} {
		for _, limit := range []int{1, 5, 1000} {
			got, pages := a.found(t, prefix, limit)
			require.Equal(t, want, got, "%q by %d", prefix, limit)
			require.LessOrEqual(t, pages, len(want)/limit+2)
		}
	}
	all, _ := a.found(t, "", 7)
	require.Len(t, all, 22)
}

// Among tens of thousands of rooms a search gives what it has found so far, be it nothing, and goes on from there.
func testFindRoomsAmongMany(t *testing.T, d deployment) {
	if !d.real {
		t.Skip("the embedded one takes seconds for so many")
	}
	a, _ := twoNodes(t, d)
	last := store.Room{App: "demo", Name: "zz-last"}
	mustJoin(t, a, last, "p")
	command := []string{"ZADD", d.prefix(a.store, last) + "rooms:demo"}
	for i := range 20_500 { // rooms of the list alone, which are before the other one
		command = append(command, "1", fmt.Sprintf("other-%05d", i))
	}
	d.do(t, command...)
	rooms, next, err := a.store.FindRooms(t.Context(), "demo", "zz-", "", 10)
	require.NoError(t, err)
	require.Empty(t, rooms)
	require.NotEmpty(t, next)
	names, pages := a.found(t, "zz-", 10)
	require.Equal(t, []string{"zz-last"}, names)
	require.Equal(t, 2, pages)
}
