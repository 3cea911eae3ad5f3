package room

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestOffers(t *testing.T) {
	signal := func(epoch, from string, seq int64, offer bool) *store.Event {
		return &store.Event{
			Type: string(wire.TypeSignal), Epoch: epoch, Seq: seq,
			Body: wire.AppendEventBody(nil, "r", &wire.Signaled{From: from, Offer: offer, Data: []byte("{}")}),
		}
	}
	var o offers
	require.False(t, o.overtook("a", "ada", 1), "nothing is known")
	o.note(signal("a", "ada", 4, true))
	o.note(signal("a", "ada", 6, false))
	o.note(signal("a", "bob", 7, true))
	o.note(&store.Event{Type: string(wire.TypeLeftPeer), Epoch: "a", Seq: 8, Body: wire.AppendEventBody(nil, "r", &wire.LeftPeer{Peer: "ada"})})
	require.False(t, o.overtook("a", "ada", 4))
	require.True(t, o.overtook("a", "ada", 3))
	require.False(t, o.overtook("a", "cy", 1))
	require.False(t, o.overtook("b", "ada", 3), "numbers of another life of the room")
	o.note(signal("b", "ada", 2, true))
	require.False(t, o.overtook("b", "bob", 1), "what was before is forgotten")
	require.True(t, o.overtook("b", "ada", 1))
	for n := range 3 * maxOffers {
		o.note(signal("b", fmt.Sprint("peer-", n), int64(n+10), true))
		require.LessOrEqual(t, len(o.from), maxOffers)
	}
}
