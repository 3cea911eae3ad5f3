package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestSplitBodiesAreTheWholeEvent(t *testing.T) {
	for _, test := range []struct {
		body  wire.EventBody
		split func() (head, middle, tail []byte)
	}{
		{&wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonDisconnected}, func() (head, middle, tail []byte) { return wire.SplitLeft(wire.ReasonDisconnected) }},
		{&wire.AwayPeer{Peer: "a81x"}, wire.SplitAway},
		{&wire.BackPeer{Peer: "a81x"}, wire.SplitBack},
	} {
		t.Run(string(test.body.Type()), func(t *testing.T) {
			head, middle, tail := test.split()
			require.Equal(t, string(wire.AppendEventBody(nil, "lobby", test.body)), string(head)+"lobby"+string(middle)+"a81x"+string(tail))
		})
	}
}
