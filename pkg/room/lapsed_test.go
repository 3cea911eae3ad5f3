package room_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A gateway that others gave up learns it from Redis, with whatever it asks first. It takes no seat any more, what it
// says for seats that it had is refused, and its clients learn that another gateway may take them.
func TestGivenUpNode(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		zombie, other := startNode(t, addr, "zombie", nodeOptions{deaf: true}), startNode(t, addr, "other", nodeOptions{})
		p, witness := newPeer(t, zombie, "p"), newPeer(t, other, "witness")
		p.mustJoin(t, "r")
		witness.mustJoin(t, "r")
		for partition := range other.store.Partitions() {
			done := make(chan error, 1)
			other.store.Reap(partition, "zombie", func(_, _ int, err error) { done <- err })
			require.NoError(t, <-done)
		}
		left := witness.await(t, wire.TypeLeftPeer)
		require.Equal(t, &wire.LeftPeer{Peer: "p", Reason: wire.ReasonDisconnected}, left.Body)

		for _, name := range []string{"r", "another"} {
			err := (<-p.startJoin(&wire.Join{Room: name})).err
			var refusal *wire.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, wire.CodeUnavailable, refusal.Code, "to be tried again")
			require.Positive(t, refusal.RetryAfter)
		}
		_, err := p.publish("r", "nobody hears this")
		requireCode(t, wire.CodeUnavailable, err) // the session is about to move
		p.End(wire.ReasonDisconnected)
		require.NoError(t, zombie.rooms.Settled(t.Context()), "its leaves are refused, not repeated for ever")
		require.Equal(t, []string{"witness"}, members(t, other, "r"))
		zombie.emptied(t)
	})
}
