package room_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// lateJoin has Redis seat a peer for a node that does not know of it: a join that was carried out late.
func lateJoin(t *testing.T, n *node, id, name, peer string) {
	t.Helper()
	_, err := wait(func(done func(*store.Snapshot, error)) {
		n.store.Join(store.Join{
			Seat:    store.Seat{Room: store.Room{App: app, Name: name}, Peer: peer, Node: id, Generation: 3},
			Profile: []byte(`{"user":"late"}`), Capacity: 50,
			EventHead: []byte(`{"type":"joined-peer","room":"` + name + `","peer":"` + peer + `","order":`), EventTail: []byte(`}`),
		}, done)
	})
	require.NoError(t, err)
}

// A seat that Redis holds for this node, and nobody has, is found and given up, also where the numbers are right.
func TestGhostsAreGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		witness := newPeer(t, n, "witness")
		witness.mustJoin(t, "r")
		lateJoin(t, n, "n", "r", "ghost")
		lateJoin(t, n, "n", "empty", "ghost")
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"witness", "ghost"}, members(t, n, "r"))
		time.Sleep(35 * time.Second)
		require.Equal(t, []string{"witness"}, members(t, n, "r"))
		require.Empty(t, members(t, n, "empty"))
		require.Equal(t, 1, witness.seen(wire.TypeLeftPeer))
		require.Equal(t, 2.0, n.metric(t, "signalbox_ghost_seats_total"))

		// As many seats as this node believes, of others.
		lateJoin(t, n, "n", "r", "ghost")
		_, err := w.redis.SRem(w.key(t, "held:n"), app+"/r witness")
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		require.Equal(t, []string{"witness"}, members(t, n, "r"))
		require.Equal(t, 2, witness.seen(wire.TypeLeftPeer))
		require.Zero(t, witness.seen(wire.TypeResync), "Redis has lost no seat")
	})
}

// A seat that Redis has lost, in a room where nothing happens that would tell, is put back.
func TestMissingSeatsAreFound(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		ada, bob := newPeer(t, n, "ada"), newPeer(t, n, "bob")
		ada.mustJoin(t, "r")
		seats, held := w.key(t, "room:"), w.key(t, "held:")
		bob.mustJoin(t, "r")
		require.NotEmpty(t, w.redis.HGet(seats, "p:bob"))
		w.redis.HDel(seats, "p:bob")
		_, err := w.redis.SRem(held, app+"/r bob")
		require.NoError(t, err)
		w.redis.HSet(seats, "nodes", "n 1")
		w.redis.HIncrBy(seats, "count", -1)
		require.Equal(t, []string{"ada"}, members(t, n, "r"))
		time.Sleep(40 * time.Second)
		require.ElementsMatch(t, []string{"ada", "bob"}, members(t, n, "r"))
		require.Equal(t, 1, ada.seen(wire.TypeResync))
		require.Equal(t, 1, bob.seen(wire.TypeResync))
	})
}

// What is under way, or waits for Redis, is nobody's ghost.
func TestSeatsThatAreGivenUpAreNoGhosts(t *testing.T) {
	onCable(t, func(t *testing.T, n *node, way *memnet.Cable) {
		first := connect(t, n, "ada", 1)
		joined := first.mustJoin(t, "r")
		for generation := int64(2); generation < 14; generation++ { // whenever the next look is
			time.Sleep(1700 * time.Millisecond)
			way.Cut()
			first.Lose()
			time.Sleep(25 * time.Second)
			way.Heal()
			n.settle(t)
			require.True(t, member(t, n, "r", "ada").Away)
			first = connect(t, n, "ada", generation)
			first.mustResume(t, "r", at(joined, joined.Seq))
		}
		time.Sleep(time.Minute)
		require.False(t, member(t, n, "r", "ada").Away)
		require.Zero(t, n.metric(t, "signalbox_ghost_seats_total"))
	})
}
