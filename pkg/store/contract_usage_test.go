package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

func testJoinNoCreate(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	never := func(j *store.Join) { j.NoCreate = true }
	_, err := a.join(a.seat(lobby, "alice"), never)
	require.ErrorIs(t, err, store.ErrNoRoom)
	_, err = a.join(a.seat(lobby, "mod"), never, func(j *store.Join) { j.Moderator = true })
	require.ErrorIs(t, err, store.ErrNoRoom)
	_, err = a.join(a.seat(lobby, "alice"))
	require.NoError(t, err)
	joined, err := b.join(b.seat(lobby, "bob"), never)
	require.NoError(t, err)
	require.Equal(t, 2, joined.Count)
}

func testUsage(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	beat := func(n *node, lease time.Duration) {
		_, err := n.store.Beat(t.Context(), store.NodeInfo{ID: n.id}, lease, true)
		require.NoError(t, err)
	}
	exchange := func(n *node, text string, oldest time.Duration) map[string][]byte {
		usage, err := n.store.ExchangeUsage(t.Context(), n.id, []byte(text), oldest)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), usage.Time, time.Minute)
		return usage.Others
	}
	require.Empty(t, exchange(a, "{}", time.Hour))
	require.Empty(t, exchange(b, "{}", time.Hour), "a has no lease, so nobody counts it")
	beat(a, time.Hour)
	require.Empty(t, exchange(b, "of b", time.Hour), "and what it has told is forgotten")
	beat(b, time.Hour)
	exchange(b, "of b, with spaces", time.Hour)
	require.Equal(t, map[string][]byte{b.id: []byte("of b, with spaces")}, exchange(a, "of a", time.Hour))
	require.Equal(t, map[string][]byte{a.id: []byte("of a")}, exchange(b, "of b", time.Hour))
	require.Empty(t, exchange(b, "of b", -time.Second), "too old")
	require.Equal(t, map[string][]byte{b.id: []byte("of b")}, exchange(a, "of a", time.Hour))
	require.NoError(t, b.store.WithdrawUsage(t.Context(), b.id))
	require.Empty(t, exchange(a, "of a", time.Hour))
	require.NoError(t, a.store.StrikeOff(t.Context(), a.id))
	require.Empty(t, exchange(b, "of b", time.Hour), "it has left the roster")
}

func testCountRooms(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	for i := range 20 {
		joinKept(t, a, store.Room{App: "acme", Name: fmt.Sprint("r", i)}, "alice")
	}
	joinKept(t, b, store.Room{App: "acme", Name: "r1"}, "bob")
	joinKept(t, b, store.Room{App: "other", Name: "r1"}, "bob")
	rooms, err := a.store.RoomCounts(t.Context(), []string{"acme", "other", "none"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"acme": 20, "other": 1, "none": 0}, rooms)
	_, err = a.leave(a.seat(store.Room{App: "acme", Name: "r7"}, "alice"))
	require.NoError(t, err)
	rooms, err = b.store.RoomCounts(t.Context(), []string{"acme"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"acme": 19}, rooms)
}

// What nodes tell of their apps is there as long as they say, and goes with who ends in order.
func testFigures(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	require.NoError(t, a.store.TellFigures(t.Context(), a.id, []byte(`{"acme":1}`), time.Minute))
	require.NoError(t, b.store.TellFigures(t.Context(), b.id, []byte(`{"acme":2}`), time.Minute))
	told, err := a.store.Figures(t.Context(), []string{a.id, "nobody", b.id})
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{a.id: []byte(`{"acme":1}`), b.id: []byte(`{"acme":2}`)}, told)
	require.NoError(t, b.store.StrikeOff(t.Context(), b.id))
	told, err = a.store.Figures(t.Context(), []string{a.id, b.id})
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{a.id: []byte(`{"acme":1}`)}, told)
	told, err = a.store.Figures(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, told)
}
