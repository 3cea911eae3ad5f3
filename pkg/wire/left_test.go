package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestSplitLeftIsTheWholeEvent(t *testing.T) {
	head, middle, tail := wire.SplitLeft(wire.ReasonDisconnected)
	require.Equal(t, string(wire.AppendEventBody(nil, "lobby", &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonDisconnected})),
		string(head)+"lobby"+string(middle)+"a81x"+string(tail))
}
