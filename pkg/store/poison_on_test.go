//go:build race

package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// keeper keeps a body that it must not keep, and gives what it finds there when the next event comes.
type keeper struct {
	body  []byte
	found chan string
}

func (k *keeper) Deliver(e store.Event) {
	if k.body != nil {
		k.found <- string(k.body)
	}
	k.body = e.Body
}

// Who keeps a body reads something else later, in tests with the race detector at once.
func TestBodiesAreTakenBack(t *testing.T) {
	k := &keeper{found: make(chan string, 1)}
	n := openNodeWith(t, embedded(t).options, "n", k, func(*store.Inbox) {})
	await(t, func() bool { return n.inbox.Ready() == nil })
	mustJoin(t, n, lobby, "alice")
	for _, event := range []string{`{"type":"signal","n":1}`, `{"type":"signal","n":2}`} {
		_, err := n.send(store.Send{Seat: n.seat(lobby, "alice"), To: "alice", Type: "signal", Event: []byte(event)})
		require.NoError(t, err)
	}
	require.NotContains(t, <-k.found, `"n":1`)
}
