package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const longLease = time.Hour

var (
	first  = store.Queue{App: "acme", Endpoint: "first"}
	second = store.Queue{App: "acme", Endpoint: "{second}/2"}
)

// fillOutbox has some events in the lobby's outbox, and gives its partition.
func fillOutbox(t *testing.T, n *node, reports int) int {
	t.Helper()
	_, err := n.join(n.seat(lobby, "alice"), hooked)
	require.NoError(t, err)
	for i := range reports {
		require.NoError(t, n.report(n.seat(lobby, "alice"), fmt.Sprint("alice-", i), `{}`))
	}
	return n.store.Partition(lobby)
}

func collect(t *testing.T, n *node, partition int, most int) *store.Collected {
	t.Helper()
	collected, err := n.store.CollectOutbox(partition, n.id, longLease, most)
	require.NoError(t, err)
	return collected
}

// routes sends each entry to the same queues.
func routes(entries []store.OutboxEntry, to ...store.Queue) []store.Route {
	var all []store.Route
	for _, e := range entries {
		all = append(all, store.Route{Entry: e, To: to})
	}
	return all
}

func kindsOf(entries []store.OutboxEntry) []string {
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Event.Kind)
	}
	return kinds
}

func testOutbox(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	partition := fillOutbox(t, a, 1)
	busy, err := a.store.BusyOutboxes(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{partition}, busy)
	got := collect(t, a, partition, 10)
	require.True(t, got.Held)
	require.Empty(t, got.Queues)
	require.Equal(t, []string{"room.created", "peer.joined", "call.outcome"}, kindsOf(got.Entries))
	require.False(t, collect(t, b, partition, 10).Held)
	busy, err = b.store.BusyOutboxes(t.Context())
	require.NoError(t, err)
	require.Empty(t, busy)
	require.ErrorIs(t, b.store.RouteOutbox(partition, b.id, routes(got.Entries, first)), store.ErrFenced)

	require.NoError(t, a.store.RouteOutbox(partition, a.id, append(routes(got.Entries[:2], first, second), routes(got.Entries[2:])...)))
	require.NoError(t, a.store.RouteOutbox(partition, a.id, routes(got.Entries, second)), "what is gone is not forwarded again")
	got = collect(t, a, partition, 10)
	require.Empty(t, got.Entries)
	require.ElementsMatch(t, []store.Queue{first, second}, got.Queues)
	for _, q := range got.Queues {
		entries, length, err := a.store.ReadQueue(partition, q, "", 1)
		require.NoError(t, err)
		require.Equal(t, 2, length)
		require.Equal(t, []string{"room.created"}, kindsOf(entries))
		require.WithinDuration(t, time.Now(), entries[0].Since(), time.Minute)
		more, _, err := a.store.ReadQueue(partition, q, entries[0].Place, 10)
		require.NoError(t, err)
		require.Equal(t, []string{"peer.joined"}, kindsOf(more))
		places := []string{entries[0].Place, more[0].Place}
		require.ErrorIs(t, b.store.Delivered(partition, b.id, q, places), store.ErrFenced)
		require.NoError(t, a.store.Delivered(partition, a.id, q, places))
	}
	require.Empty(t, collect(t, a, partition, 10).Queues)
	require.NoError(t, b.store.ReleaseOutbox(partition, b.id), "of one that it does not have")
	require.False(t, collect(t, b, partition, 10).Held)
	require.NoError(t, a.store.ReleaseOutbox(partition, a.id))
	require.True(t, collect(t, b, partition, 10).Held)
	require.NoError(t, b.store.ReleaseOutbox(partition, b.id))
	for _, key := range d.keys(t) {
		require.NotContains(t, key, "outbox")
		require.NotContains(t, key, "queue")
	}
	_, err = a.store.CollectOutbox(-1, a.id, longLease, 1)
	requireCode(t, wire.CodeBadRequest, err)
}

func testOutboxTakenOver(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	partition := fillOutbox(t, a, 3)
	taken := collect(t, a, partition, 3)
	require.Len(t, taken.Entries, 3)
	require.NoError(t, a.store.RouteOutbox(partition, a.id, routes(taken.Entries[:1], first)))
	d.do(t, "DEL", d.prefix(a.store, lobby)+"outbox:claim") // as when its lease is over
	got := collect(t, b, partition, 3)
	require.True(t, got.Held)
	require.Equal(t, []string{"peer.joined", "call.outcome", "call.outcome"}, kindsOf(got.Entries), "what was taken comes first")
	require.ErrorIs(t, a.store.RouteOutbox(partition, a.id, routes(taken.Entries[1:], first)), store.ErrFenced)
	require.Equal(t, kindsOf(got.Entries), kindsOf(collect(t, b, partition, 3).Entries), "and again until it is forwarded")
	require.Len(t, collect(t, b, partition, 10).Entries, 4)
	require.NoError(t, b.store.RouteOutbox(partition, b.id, routes(got.Entries, first)))
	require.Len(t, collect(t, b, partition, 10).Entries, 1)
}

func testDeadLetters(t *testing.T, d deployment) {
	d.options.DeadLetters = 3
	n := startNode(t, d.options, "n")
	partition := fillOutbox(t, n, 3)
	require.NoError(t, n.store.RouteOutbox(partition, n.id, routes(collect(t, n, partition, 10).Entries, second)))
	entries, _, err := n.store.ReadQueue(partition, second, "", 10)
	require.NoError(t, err)
	for _, e := range entries[:4] {
		require.NoError(t, n.store.Park(partition, n.id, second, e, "expired"))
	}
	require.NoError(t, n.store.Park(partition, n.id, second, entries[0], "expired"), "it is there no more")
	trimmed, err := n.store.Trimmed(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, trimmed)

	letters, next, err := n.store.DeadLetters(t.Context(), "acme", "", 2)
	require.NoError(t, err)
	require.Len(t, letters, 2)
	require.Equal(t, []any{second.Endpoint, "expired", "peer.joined"}, []any{letters[0].Endpoint, letters[0].Reason, letters[0].Event.Kind})
	require.Equal(t, entries[1].Event, &letters[0].Event)
	rest, end, err := n.store.DeadLetters(t.Context(), "acme", next, 2)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Empty(t, end)
	none, _, err := n.store.DeadLetters(t.Context(), "other", "", 10)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = n.store.Redeliver(t.Context(), "other", letters[0].ID)
	require.NoError(t, err, "another app's id means nothing")

	count, err := n.store.Redeliver(t.Context(), "acme", letters[0].ID)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	entries, _, err = n.store.ReadQueue(partition, second, "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"call.outcome", "peer.joined"}, kindsOf(entries))
	count, err = n.store.Discard(t.Context(), "acme", letters[1].ID)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	count, err = n.store.Redeliver(t.Context(), "acme", "")
	require.NoError(t, err)
	require.Equal(t, 1, count)
	count, err = n.store.Discard(t.Context(), "acme", "")
	require.NoError(t, err)
	require.Zero(t, count)
	require.NotContains(t, d.keys(t), "letters:acme")
	for _, bad := range []string{"x", "1", "1.", "1.a-0", "999999.1-0", "-1.1-0"} {
		_, _, err := n.store.DeadLetters(t.Context(), "acme", bad, 1)
		requireCode(t, wire.CodeBadRequest, err)
		_, err = n.store.Redeliver(t.Context(), "acme", bad+".")
		requireCode(t, wire.CodeBadRequest, err)
	}
}

func testDisabledEndpoints(t *testing.T, d deployment) {
	n := startNode(t, d.options, "n")
	require.NoError(t, n.store.DisableEndpoint(t.Context(), first, "print"))
	disabled, err := n.store.DisabledEndpoints(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[store.Queue]string{first: "print"}, disabled)
	require.NoError(t, n.store.EnableEndpoint(t.Context(), first))
	disabled, err = n.store.DisabledEndpoints(t.Context())
	require.NoError(t, err)
	require.Empty(t, disabled)
}
