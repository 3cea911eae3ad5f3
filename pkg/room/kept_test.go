package room_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (p *peer) keep(tb testing.TB, topic, text string) int64 {
	tb.Helper()
	done, err := wait(func(done func(wire.Done, error)) {
		p.Publish(0, &wire.Publish{Room: "r", Topic: topic, Data: json.RawMessage(text), Keep: true}, done)
	})
	require.NoError(tb, err)
	return done.Seq
}

func (p *peer) history(topic string, limit int) (*wire.History, error) {
	return wait(func(done func(*wire.History, error)) {
		p.History(&wire.AskHistory{Room: "r", Topic: topic, Limit: limit}, done)
	})
}

// Who joins late gets what was kept, also of who has left, and the rest by events.
func TestHistory(t *testing.T) {
	addr := redistest.Single(t).Addr()
	opts := nodeOptions{Options: room.Options{ChatLength: 3}}
	here, there := startNode(t, addr, "here", opts), startNode(t, addr, "there", opts)
	ada, bob := newPeer(t, here, "ada"), newPeer(t, there, "bob")
	ada.mustJoin(t, "r")
	var seqs []int64
	for _, text := range []string{`"one"`, `"two"`, `"three"`, `"four"`} {
		seqs = append(seqs, ada.keep(t, wire.TopicChat, text))
	}
	require.Equal(t, 1.0, here.metric(t, "signalbox_history_dropped_total", "chat"))
	_, err := bob.history(wire.TopicChat, 0)
	requireCode(t, wire.CodeNotMember, err)
	joined := bob.mustJoin(t, "r")
	h, err := bob.history(wire.TopicChat, 0)
	require.NoError(t, err)
	require.Equal(t, []any{joined.Epoch, joined.Seq, int64(1)}, []any{h.Epoch, h.Seq, h.Dropped})
	require.Len(t, h.Messages, 3)
	require.Equal(t, []any{seqs[1], "ada", "user-ada", `"two"`},
		[]any{h.Messages[0].Seq, h.Messages[0].From, h.Messages[0].User, string(h.Messages[0].Data)})
	h, err = bob.history(wire.TopicChat, 1)
	require.NoError(t, err)
	require.Len(t, h.Messages, 1)
	older, err := wait(func(done func(*wire.History, error)) {
		bob.History(&wire.AskHistory{Room: "r", Topic: wire.TopicChat, Before: seqs[3], Limit: 1}, done)
	})
	require.NoError(t, err)
	require.Equal(t, []int64{seqs[3], seqs[2]}, []int64{h.Messages[0].Seq, older.Messages[0].Seq}, "page by page")

	seq := ada.keep(t, wire.TopicWhiteboard, `{"stroke":[1,2]}`)
	told := bob.await(t, wire.TypeMessage)
	message, ok := told.Body.(*wire.Message)
	require.True(t, ok)
	require.Equal(t, []any{seq, true, "ada", wire.TopicWhiteboard}, []any{told.Seq, message.Kept, message.From, message.Topic})
	require.NotZero(t, message.Time)

	undo := func(p *peer, topic string, of int64) (wire.Undid, error) {
		return wait(func(done func(wire.Undid, error)) { p.Undo(0, &wire.Undo{Room: "r", Topic: topic, Of: of}, done) })
	}
	undid, err := undo(ada, wire.TopicWhiteboard, 0)
	require.NoError(t, err)
	require.Equal(t, seq, undid.Of)
	bob.awaitBody(t, &wire.Undone{Topic: wire.TopicWhiteboard, Of: seq, By: "ada"})
	undid, err = undo(bob, wire.TopicChat, seqs[3])
	require.NoError(t, err, "bob moderates")
	require.Equal(t, seqs[3], undid.Of)
	_, err = wait(func(done func(wire.Done, error)) { ada.Clear(0, &wire.Clear{Room: "r", Topic: wire.TopicChat}, done) })
	require.NoError(t, err)
	bob.awaitBody(t, &wire.Cleared{Topic: wire.TopicChat, By: "ada"})
	h, err = bob.history(wire.TopicChat, 0)
	require.NoError(t, err)
	require.Empty(t, h.Messages)
}

// Who may only talk takes back nothing but its own, and clears the whiteboard alone.
func TestHistoryPermissions(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "here", nodeOptions{})
	boss, guest := newPeer(t, n, "boss"), newPeerWith(t, n, "guest", room.Permissions{Publish: true})
	mute := newPeerWith(t, n, "mute", room.Permissions{})
	for _, p := range []*peer{boss, guest, mute} {
		p.mustJoin(t, "r")
	}
	of := boss.keep(t, wire.TopicChat, `"mine"`)
	_, err := wait(func(done func(wire.Undid, error)) {
		guest.Undo(0, &wire.Undo{Room: "r", Topic: wire.TopicChat, Of: of}, done)
	})
	requireCode(t, wire.CodeForbidden, err)
	_, err = wait(func(done func(wire.Done, error)) { guest.Clear(0, &wire.Clear{Room: "r", Topic: wire.TopicChat}, done) })
	requireCode(t, wire.CodeForbidden, err)
	_, err = wait(func(done func(wire.Done, error)) {
		guest.Clear(0, &wire.Clear{Room: "r", Topic: wire.TopicWhiteboard}, done)
	})
	require.NoError(t, err)
	_, err = wait(func(done func(wire.Undid, error)) { mute.Undo(0, &wire.Undo{Room: "r", Topic: wire.TopicChat}, done) })
	requireCode(t, wire.CodeForbidden, err)
	_, err = wait(func(done func(wire.Done, error)) {
		mute.Publish(0, &wire.Publish{Room: "r", Topic: wire.TopicChat, Data: json.RawMessage(`1`), Keep: true}, done)
	})
	requireCode(t, wire.CodeForbidden, err)
	h, err := mute.history(wire.TopicChat, 0)
	require.NoError(t, err)
	require.Len(t, h.Messages, 1)
}

// newPeerWith is newPeer for somebody who may not do everything.
func newPeerWith(tb testing.TB, n *node, id string, permissions room.Permissions) *peer {
	tb.Helper()
	return newPeerAs(tb, n, room.Identity{
		ID: id, App: app, User: "user-" + id, Grant: func(string) (room.Permissions, bool) { return permissions, true },
	})
}
