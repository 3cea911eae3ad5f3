package room_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// hookIDs takes the outbox of a room's partition, and gives the ids of what webhooks are to tell.
func hookIDs(t *testing.T, n *node, name string) []string {
	t.Helper()
	collected, err := n.store.CollectOutbox(n.store.Partition(roomOf(name)), "hooks", time.Minute, 100)
	require.NoError(t, err)
	var ids []string
	for _, entry := range collected.Entries {
		require.NotNil(t, entry.Event)
		ids = append(ids, entry.Event.ID)
	}
	return ids
}

func newHookedPeer(t *testing.T, n *node, id string) *peer {
	t.Helper()
	return newPeerAs(t, n, room.Identity{
		ID: id, App: app, User: "user-" + id, Grant: everything, Grace: time.Minute, Hooks: func(name string) bool { return name == "r" },
	})
}

// Redis has lost what webhooks were to tell, and the seats. The gateways put these back, also those that have come from other
// gateways, and have them told by the ids that they had.
func TestWebhooksAfterDataIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.node(t, "a", nodeOptions{}), w.node(t, "b", nodeOptions{})
		ada, bob := newHookedPeer(t, a, "ada"), newHookedPeer(t, b, "bob")
		ada.mustJoin(t, "r")
		bob.mustJoin(t, "r")
		before := hookIDs(t, a, "r")
		require.Len(t, before, 3)

		w.redis.FlushAll()
		for _, p := range []*peer{ada, bob} {
			p.await(t, wire.TypeResync)
		}
		require.ElementsMatch(t, before, hookIDs(t, a, "r"))
		require.NoError(t, ada.leave("r"))
		require.NoError(t, bob.leave("r"))
		ids := hookIDs(t, a, "r")
		require.Len(t, ids, 6)
		for _, pair := range [][2]string{
			{store.HookPeerJoined, store.HookPeerLeft}, {store.HookRoomCreated, store.HookRoomClosed},
		} {
			for _, id := range before {
				if begin, ok := strings.CutSuffix(id, "-"+pair[0]); ok {
					require.Contains(t, ids, begin+"-"+pair[1])
				}
			}
		}
	})
}

func TestReports(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		ada := newHookedPeer(t, n, "ada")
		report := &wire.Report{Room: "r", Peer: "bob", Outcome: "failed", Reason: "ice"}
		var counted atomic.Int32
		count := func() { counted.Add(1) }
		ada.Report(1, 1, report, count) // without a seat
		ada.mustJoin(t, "r")
		ada.mustJoin(t, "other") // of which nothing is told
		ada.Report(2, 2, &wire.Report{Room: "other", Outcome: "failed"}, count)
		ada.Report(3, 3, report, count)
		ada.Report(3, 3, report, count) // as after a resume
		ada.Report(2, 2, &wire.Report{Room: "other", Outcome: "failed"}, count)
		ada.mustPublish(t, "r", 1)     // after it
		ada.mustPublish(t, "other", 1) // after them
		require.EqualValues(t, 3, counted.Load())
		ids := hookIDs(t, n, "r")
		require.Len(t, ids, 3)
		require.Equal(t, "ada-3-call.outcome", ids[2])
		if n.store.Partition(roomOf("r")) != n.store.Partition(roomOf("other")) {
			require.Empty(t, hookIDs(t, n, "other"))
		}
	})
}
