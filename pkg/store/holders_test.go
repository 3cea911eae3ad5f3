package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// testHeld follows who holds which seats through all that may become of one.
func testHeld(t *testing.T, d deployment) {
	a, b := startNode(t, d.options, "node-a"), startNode(t, d.options, "node-b")
	agree := func(when string, ofA, ofB []string) {
		t.Helper()
		var nodes []string
		for _, of := range []struct {
			node  string
			seats []string
		}{{"node-a", ofA}, {"node-b", ofB}} {
			if len(of.seats) > 0 {
				nodes = append(nodes, of.node)
			}
			got, err := b.held(lobby, of.node, -1)
			require.NoError(t, err)
			require.Equal(t, held{of.seats, true}, got, when)
			got, err = b.held(lobby, of.node, len(of.seats))
			require.NoError(t, err)
			require.Equal(t, held{}, got, when)
			got, err = b.held(lobby, of.node, len(of.seats)+1)
			require.NoError(t, err)
			require.Equal(t, held{of.seats, true}, got, when)
		}
		holders, err := a.holders(lobby)
		require.NoError(t, err)
		require.Equal(t, nodes, append([]string(nil), holders...), when)
	}
	agree("at first", nil, nil)
	mustJoin(t, a, lobby, "ada")
	mustJoin(t, a, lobby, "bob")
	agree("joined", []string{"acme/lobby ada", "acme/lobby bob"}, nil)

	later := b.seat(lobby, "ada")
	later.Generation = 2
	_, err := b.join(later)
	require.NoError(t, err)
	agree("taken over", []string{"acme/lobby bob"}, []string{"acme/lobby ada"})
	_, err = a.leave(a.seat(lobby, "bob"))
	require.NoError(t, err)
	agree("left", nil, []string{"acme/lobby ada"})

	_, err = a.join(a.seat(lobby, "eve"), kept)
	require.NoError(t, err)
	_, err = a.lose(a.seat(lobby, "eve"))
	require.NoError(t, err)
	agree("away", nil, []string{"acme/lobby ada"})
	_, err = b.leave(later)
	require.NoError(t, err)
	agree("over", nil, nil)

	_, err = a.held(lobby, "not a node", 0)
	requireCode(t, wire.CodeBadRequest, err)
	a.store.Held(-1, "node-a", 0, func(_ []store.HeldSeat, _ bool, err error) { requireCode(t, wire.CodeBadRequest, err) })
	a.store.Holders(a.store.Partitions(), func(_ []string, err error) { requireCode(t, wire.CodeBadRequest, err) })
}
