package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A client that keeps no picture of the room gets one with what it has missed.
func testResumeMembers(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joined, err := a.join(a.seat(lobby, "alice"), kept)
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob", "ben")
	loseAll(t, a, lobby, "alice")
	_, err = b.leave(b.seat(lobby, "ben"))
	require.NoError(t, err)

	resume := resumeOf(later(a.seat(lobby, "alice"), b.id, 1), joined.Epoch, joined.Seq)
	resume.Members = true
	resumed, err := b.resume(resume)
	require.NoError(t, err)
	require.True(t, resumed.Known)
	require.Len(t, resumed.Missed, 3)
	require.Equal(t, b.look(t, lobby).Members, resumed.Snapshot.Members)
	require.Len(t, resumed.Snapshot.Members, 2)

	resume.Epoch = "other"
	resumed, err = b.resume(resume)
	require.NoError(t, err)
	require.False(t, resumed.Known)
	require.Len(t, resumed.Snapshot.Members, 2)
}

// A client whose session did not go on takes the seat that this one has left behind, and nobody else's.
func testJoinBefore(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	ofTwo := func(before string) func(*store.Join) {
		return func(j *store.Join) {
			kept(j)
			j.Capacity, j.Before = 2, before
			j.ReplacedHead, j.ReplacedTail = []byte(`{"type":"left-peer","peer":"`), []byte(`","reason":"replaced"}`)
		}
	}
	_, err := a.join(a.seat(lobby, "alice"), ofTwo("nobody"))
	require.NoError(t, err)
	_, err = a.join(a.seat(lobby, "bob"), ofTwo(""))
	require.NoError(t, err)
	_, err = b.join(b.seat(lobby, "carol"), ofTwo("nobody"))
	requireCode(t, wire.CodeRoomFull, err)
	_, err = b.join(b.seat(lobby, "carol"), ofTwo("s:alice"))
	requireCode(t, wire.CodeBadRequest, err)
	loseAll(t, a, lobby, "alice")
	a.drain(t, lobby)

	second, err := b.join(b.seat(lobby, "anna"), ofTwo("alice"))
	require.NoError(t, err)
	require.Equal(t, []any{"bob", "anna", 2}, []any{second.Members[0].ID, second.Members[1].ID, second.Count})
	require.Equal(t, []string{
		`4 left-peer to= except= {"type":"left-peer","peer":"alice","reason":"replaced"}`,
		`5 joined-peer to= except=anna {"type":"joined-peer","peer":"anna","order":3}`,
	}, briefs(a.expect(t, 2)))
	require.NotContains(t, d.keys(t), "away")

	again, err := b.join(b.seat(lobby, "anna"), ofTwo("bob"))
	require.NoError(t, err)
	require.Equal(t, 2, again.Count, "who has a seat takes no other's")

	// It may still be held, by a connection that nobody has missed yet, and be of the same user as others.
	third, err := b.join(b.seat(lobby, "bea"), ofTwo("bob"), func(j *store.Join) { j.SameUser = []byte(`{"user":"somebody",`) })
	require.NoError(t, err)
	require.Equal(t, []any{"anna", "bea"}, []any{third.Members[0].ID, third.Members[1].ID})
	require.NotContains(t, d.keys(t), "held:node-a")
}
