package room_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What the app does by the API reaches the peers of every node, as if nobody had done it.
func TestOperator(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here, there := startNode(t, addr, "here", nodeOptions{}), startNode(t, addr, "there", nodeOptions{})
	op, r := there.rooms.Operator(), store.Room{App: app, Name: "r"}
	made, err := op.Create(t.Context(), store.CreateRoom{Room: r, Capacity: 2}, &room.Policy{})
	require.NoError(t, err)
	_, err = op.Get(t.Context(), store.Room{App: app, Name: "other"}, false)
	require.ErrorIs(t, err, store.ErrNoRoom)
	ada, bob := newPeer(t, here, "ada"), newPeer(t, there, "bob")
	require.Equal(t, made.Epoch, ada.mustJoin(t, "r").Epoch)
	bob.mustJoin(t, "r")
	_, err = newPeer(t, here, "eve").join("r")
	requireCode(t, wire.CodeRoomFull, err)

	posted, err := op.Post(t.Context(), r, "", "news", json.RawMessage(`{"text":"hello"}`))
	require.NoError(t, err)
	for _, p := range []*peer{ada, bob} {
		told := p.await(t, wire.TypeMessage)
		require.Equal(t, store.Controlled{Epoch: made.Epoch, Seq: told.Seq}, posted)
		require.Equal(t, &wire.Message{Topic: "news", Data: json.RawMessage(`{"text":"hello"}`)}, told.Body)
	}
	_, err = op.Move(t.Context(), r, "ada", "elsewhere")
	require.NoError(t, err)
	ada.awaitBody(t, &wire.Controlling{Action: wire.ActionMove, To: "ada", Target: "elsewhere"})
	muted, err := op.Mute(t.Context(), r, "bob", store.MediaAudio, true)
	require.NoError(t, err)
	require.Equal(t, 1, muted.Affected)
	require.Equal(t, made.Epoch, muted.Epoch)
	require.Equal(t, muted.Seq, bob.await(t, wire.TypeControl).Seq)

	three, ada2 := 3, "ada"
	updated, err := op.Update(t.Context(), r, made.Version, &wire.RoomChange{Capacity: &three, Presenter: &ada2})
	require.NoError(t, err)
	require.Equal(t, updated.Seq, ada.await(t, wire.TypeRoom).Seq)
	conflict, err := op.Update(t.Context(), r, made.Version, &wire.RoomChange{Capacity: &three})
	requireCode(t, wire.CodeConflict, err)
	require.Equal(t, updated.Version, conflict.Version)
	got, err := op.Get(t.Context(), r, true)
	require.NoError(t, err)
	require.Len(t, got.Members, 2)
	require.Equal(t, updated.Seq, got.Seq)
	rooms, next, err := op.List(t.Context(), app, "", 10)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, rooms, 1)

	kicked, err := op.Kick(t.Context(), r, "bob", "no \"spam\"")
	require.NoError(t, err)
	bob.awaitBody(t, &wire.Closed{Reason: wire.ReasonKicked, Text: "no \"spam\""})
	left := ada.await(t, wire.TypeLeftPeer)
	require.Equal(t, kicked.Seq, left.Seq)
	require.Equal(t, &wire.LeftPeer{Peer: "bob", Reason: wire.ReasonKicked, Text: "no \"spam\""}, left.Body)
	closed, err := op.Close(t.Context(), r, "")
	require.NoError(t, err)
	require.Equal(t, 1, closed.Affected)
	ada.awaitBody(t, &wire.Closed{Reason: wire.ReasonClosed})
	_, err = op.Close(t.Context(), r, "")
	require.ErrorIs(t, err, store.ErrNoRoom)
	here.emptied(t)
	there.emptied(t)
}

// A moderator closes a room, with everybody in it.
func TestClose(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "here", nodeOptions{})
	moderator, guest := newPeer(t, n, "moderator"), newPeer(t, n, "guest")
	moderator.mustJoin(t, "r")
	guest.mustJoin(t, "r")
	reply, err := wait(func(done func(wire.Controlled, error)) {
		moderator.Control(0, &wire.Control{Room: "r", Action: wire.ActionClose, Text: "See you tomorrow"}, done)
	})
	require.NoError(t, err)
	require.Equal(t, 2, reply.Affected)
	for _, p := range []*peer{moderator, guest} {
		p.awaitBody(t, &wire.Closed{Reason: wire.ReasonClosed, By: "moderator", Text: "See you tomorrow"})
	}
	n.emptied(t)
	require.NotEqual(t, int64(0), guest.mustJoin(t, "r").Seq, "a new room of that name")
}
