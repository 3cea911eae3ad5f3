package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func testUpdateRoom(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	yes, no, five, bob, nobody := true, false, 5, "bob", ""
	type view struct {
		Capacity   int
		Locked     bool
		Presenter  string
		Properties store.State
		Spotlight  string
	}
	version := int64(1)
	for i, step := range []struct {
		change func(u *store.UpdateRoom)
		want   view
	}{
		{func(*store.UpdateRoom) {}, view{Capacity: 30}},
		{func(u *store.UpdateRoom) { u.Capacity, u.Locked = &five, &yes }, view{Capacity: 5, Locked: true}},
		{func(u *store.UpdateRoom) { u.Presenter = &bob }, view{Capacity: 5, Locked: true, Presenter: "bob"}},
		{
			func(u *store.UpdateRoom) {
				u.Properties, u.Spotlight = store.State{"a": raw("1"), "b": raw(`"x"`)}, raw(`{"peer":"bob"}`)
			},
			view{Capacity: 5, Locked: true, Presenter: "bob", Properties: store.State{"a": raw("1"), "b": raw(`"x"`)}, Spotlight: `{"peer":"bob"}`},
		},
		{
			func(u *store.UpdateRoom) {
				u.Locked, u.Presenter, u.Properties = &no, &nobody, store.State{"a": raw("null")}
			},
			view{Capacity: 5, Properties: store.State{"b": raw(`"x"`)}, Spotlight: `{"peer":"bob"}`},
		},
		{
			func(u *store.UpdateRoom) { u.Properties, u.Spotlight = store.State{"b": raw("null")}, raw(" null") },
			view{Capacity: 5},
		},
	} {
		update := updateOf(a.seat(lobby, "alice"), version)
		step.change(&update)
		answer, err := a.updateRoom(update)
		require.NoError(t, err)
		require.Equal(t, updated{int64(3 + i), version + 1}, answer)
		version++
		for _, n := range []*node{a, b} {
			want := fmt.Sprintf(`%d room to= except= {"type":"room","by":"alice","version":%d}`, answer.seq, version)
			require.Equal(t, []string{want}, briefs(n.expect(t, 1)))
		}
		s, err := b.snapshot(store.Look{Room: lobby})
		require.NoError(t, err)
		require.Equal(t, version, s.Version)
		require.Equal(t, step.want, view{s.Capacity, s.Locked, s.Presenter, s.Properties, string(s.Spotlight)}, "step %d", i)
	}
}

func testUpdateRoomRefused(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	seat := a.seat(lobby, "alice")
	answer, err := a.updateRoom(updateOf(seat, 1))
	require.NoError(t, err)
	require.EqualValues(t, 2, answer.version)
	a.expect(t, 1)

	answer, err = a.updateRoom(updateOf(seat, 1))
	requireCode(t, wire.CodeConflict, err)
	require.EqualValues(t, 2, answer.version, "the current version comes with the refusal")

	update, gone := updateOf(seat, 2), "gone"
	update.Presenter = &gone
	_, err = a.updateRoom(update)
	requireCode(t, wire.CodePeerGone, err)

	update = updateOf(seat, 2)
	update.Properties, update.MaxKeys = store.State{"a": raw("1"), "b": raw("1")}, 1
	_, err = a.updateRoom(update)
	requireCode(t, wire.CodeTooLarge, err)
	update.MaxKeys, update.MaxBytes = 0, 3
	_, err = a.updateRoom(update)
	requireCode(t, wire.CodeTooLarge, err)

	zero := 0
	update = updateOf(seat, 2)
	update.Capacity = &zero
	_, err = a.updateRoom(update)
	requireCode(t, wire.CodeBadRequest, err)
	_, err = a.updateRoom(updateOf(a.seat(lobby, "nobody"), 2))
	requireCode(t, wire.CodeNotMember, err)
	a.quiet(t, lobby)
}

func testMute(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "mod")
	mustJoin(t, b, lobby, "bob", "ben")
	a.expect(t, 2)
	b.expect(t, 1)
	_, err := b.setState(stateOf(b.seat(lobby, "bob"), store.State{"mic": raw("true")}))
	require.NoError(t, err)
	a.expect(t, 1)
	b.expect(t, 1) // for ben
	mod := a.seat(lobby, "mod")
	states := func() [3]store.State {
		s, err := a.snapshot(store.Look{Room: lobby, Members: true})
		require.NoError(t, err)
		return [3]store.State{s.Members[0].State, s.Members[1].State, s.Members[2].State}
	}
	const muted, video = store.StateMutedAudio, store.StateMutedVideo
	for i, step := range []struct {
		control  store.Control
		affected int
		want     [3]store.State
	}{
		{muteOf(mod, store.ActionMute, store.MediaAudio, "bob"), 1, [3]store.State{nil, {"mic": raw("true"), muted: raw("true")}, nil}},
		{muteOf(mod, store.ActionMute, store.MediaVideo, ""), 2, [3]store.State{nil, {"mic": raw("true"), muted: raw("true"), video: raw("true")}, {video: raw("true")}}},
		{muteOf(mod, store.ActionUnmute, store.MediaAudio, ""), 2, [3]store.State{nil, {"mic": raw("true"), video: raw("true")}, {video: raw("true")}}},
		{muteOf(mod, store.ActionUnmute, store.MediaVideo, "ben"), 1, [3]store.State{nil, {"mic": raw("true"), video: raw("true")}, nil}},
		{muteOf(mod, store.ActionMute, store.MediaAudio, "mod"), 1, [3]store.State{{muted: raw("true")}, {"mic": raw("true"), video: raw("true")}, nil}},
	} {
		answer, err := a.control(step.control)
		require.NoError(t, err)
		require.Equal(t, controlled{int64(5 + i), step.affected}, answer)
		want := []string{fmt.Sprintf(`%d control to= except= {"type":"control","action":"%s"}`, answer.seq, step.control.Action)}
		require.Equal(t, want, briefs(a.expect(t, 1)))
		require.Equal(t, want, briefs(b.expect(t, 1)))
		require.Equal(t, step.want, states(), "step %d", i)
	}
	_, err = a.control(muteOf(mod, store.ActionMute, store.MediaAudio, "nobody"))
	requireCode(t, wire.CodePeerGone, err)
	_, err = a.control(muteOf(a.seat(lobby, "nobody"), store.ActionMute, store.MediaAudio, "bob"))
	requireCode(t, wire.CodeNotMember, err)
	_, err = a.control(muteOf(mod, store.ActionMute, "smell", "bob"))
	requireCode(t, wire.CodeBadRequest, err)
	_, err = a.control(muteOf(mod, "shout", store.MediaAudio, "bob"))
	requireCode(t, wire.CodeBadRequest, err)
}

func testKick(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "mod")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	answer, err := a.control(kickOf(a.seat(lobby, "mod"), "bob"))
	require.NoError(t, err)
	require.Equal(t, controlled{3, 1}, answer)
	want := []string{`3 left-peer to= except= {"type":"left-peer","peer":"bob","reason":"kicked"}`}
	require.Equal(t, want, briefs(a.expect(t, 1)))
	require.Equal(t, want, briefs(b.expect(t, 1)), "the kicked one's node must hear it too")
	_, err = a.control(kickOf(a.seat(lobby, "mod"), "bob"))
	requireCode(t, wire.CodePeerGone, err)
	_, err = b.leave(b.seat(lobby, "bob"))
	requireCode(t, wire.CodeNotMember, err)
	answer, err = a.control(kickOf(a.seat(lobby, "mod"), ""))
	require.NoError(t, err)
	require.Equal(t, controlled{3, 0}, answer, "alone there is nobody to kick and nothing to tell")
	require.NotContains(t, d.keys(t), "held:node-b")

	answer, err = a.control(kickOf(a.seat(lobby, "mod"), "mod"))
	require.NoError(t, err)
	require.Equal(t, controlled{4, 1}, answer)
	require.Equal(t, `4 left-peer to= except= {"type":"left-peer","peer":"mod","reason":"kicked"}`, brief(a.expect(t, 1)[0]))
	require.Empty(t, d.keys(t), "who kicks itself as the last one leaves nothing behind")
}

func testKickAll(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, b, lobby, "b1")
	mustJoin(t, a, lobby, "mod", "a1")
	mustJoin(t, b, lobby, "b2")
	a.expect(t, 2)
	b.expect(t, 3)
	update, presenter := updateOf(a.seat(lobby, "mod"), 1), "a1"
	update.Presenter = &presenter
	_, err := a.updateRoom(update)
	require.NoError(t, err)
	a.expect(t, 1)
	b.expect(t, 1)

	answer, err := a.control(kickOf(a.seat(lobby, "mod"), ""))
	require.NoError(t, err)
	require.Equal(t, controlled{9, 3}, answer)
	want := []string{
		`6 left-peer to= except= {"type":"left-peer","peer":"b1","reason":"kicked"}`,
		`7 left-peer to= except= {"type":"left-peer","peer":"a1","reason":"kicked"}`,
		`8 room to= except= {"type":"room","room":"lobby","version":3,"presenter":null}`,
		`9 left-peer to= except= {"type":"left-peer","peer":"b2","reason":"kicked"}`,
	}
	require.Equal(t, want, briefs(a.expect(t, 4)), "in the order of the seats")
	require.Equal(t, want, briefs(b.expect(t, 4)))
	s, err := a.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.Equal(t, 1, s.Count)
	require.Len(t, s.Members, 1)
	require.Empty(t, s.Presenter)
}

func testPresenterLeaves(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	update, presenter := updateOf(b.seat(lobby, "bob"), 1), "bob"
	update.Presenter = &presenter
	_, err := b.updateRoom(update)
	require.NoError(t, err)
	a.expect(t, 1)
	b.expect(t, 1)
	seq, err := b.leave(b.seat(lobby, "bob"))
	require.NoError(t, err)
	require.EqualValues(t, 5, seq)
	require.Equal(t, []string{
		`4 left-peer to= except=bob {"type":"left-peer","peer":"bob"}`,
		`5 room to= except= {"type":"room","room":"lobby","version":3,"presenter":null}`,
	}, briefs(a.expect(t, 2)))
	b.quiet(t, lobby)
}

func testSnapshot(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	s, err := a.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.Equal(t, &store.Snapshot{Room: lobby}, s, "a room that does not exist is no error")
	as := a.seat(lobby, "alice")
	_, err = a.snapshot(store.Look{Room: lobby, As: &as})
	requireCode(t, wire.CodeNotMember, err)

	joined, err := a.join(as)
	require.NoError(t, err)
	s, err = b.snapshot(store.Look{Room: lobby})
	require.NoError(t, err)
	require.Nil(t, s.Members)
	require.Equal(t, 1, s.Count)
	s, err = a.snapshot(store.Look{Room: lobby, Members: true, As: &as})
	require.NoError(t, err)
	joined.New, joined.Order = false, 0
	require.Equal(t, joined, s)
}

func testFencing(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	earlier := a.seat(lobby, "alice")
	earlier.Generation = 1
	for name, stolen := range map[string]store.Seat{
		"other node":       {Room: lobby, Peer: "alice", Node: b.id},
		"other connection": earlier,
		"prefix of id":     {Room: lobby, Peer: "alice", Node: "node"},
	} {
		t.Run(name, func(t *testing.T) { requireFenced(t, b, stolen) })
	}
	a.quiet(t, lobby)
	b.quiet(t, lobby)
	s, err := a.snapshot(store.Look{Room: lobby, Members: true})
	require.NoError(t, err)
	require.EqualValues(t, 2, s.Seq, "a fenced call changes nothing")
	require.Equal(t, "node-a", s.Members[0].Node)
	require.Nil(t, s.Members[0].State)
}

// requireFenced checks that nothing can be done for a seat that another connection holds.
func requireFenced(t testing.TB, b *node, stolen store.Seat) {
	t.Helper()
	event := []byte(`{"type":"signal"}`)
	for name, call := range map[string]func() error{
		"leave": func() error { _, err := b.leave(stolen); return err },
		"lose":  func() error { _, err := b.lose(stolen); return err },
		"send to one": func() error {
			_, err := b.send(store.Send{Seat: stolen, To: "bob", Type: "signal", Event: event})
			return err
		},
		"send to all": func() error { _, err := b.send(store.Send{Seat: stolen, Type: "message", Event: event}); return err },
		"state":       func() error { _, err := b.setState(stateOf(stolen, store.State{"a": raw("1")})); return err },
		"room":        func() error { _, err := b.updateRoom(updateOf(stolen, 1)); return err },
		"mute": func() error {
			_, err := b.control(muteOf(stolen, store.ActionMute, store.MediaAudio, "bob"))
			return err
		},
		"kick":     func() error { _, err := b.control(kickOf(stolen, "")); return err },
		"snapshot": func() error { _, err := b.snapshot(store.Look{Room: stolen.Room, As: &stolen}); return err },
	} {
		require.ErrorIs(t, call(), store.ErrFenced, name)
	}
}
