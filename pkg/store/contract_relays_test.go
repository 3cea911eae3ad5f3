package store_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func testRelays(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	listed := func() (ids []string) {
		t.Helper()
		relays, err := b.store.Relays(t.Context())
		require.NoError(t, err)
		for _, relay := range relays {
			ids = append(ids, relay.ID)
		}
		return ids
	}
	require.Empty(t, listed())
	require.NoError(t, a.store.WithdrawRelay(t.Context(), "relay-1"), "nobody knows it")

	second := store.Relay{
		ID: "relay-2", Region: "eu-west", URLs: []string{"turn:192.0.2.2:3478?transport=udp", "turns:relay.example:5349"},
		Load: 0.25, Version: "v1.2.3",
	}
	require.NoError(t, a.store.AnnounceRelay(t.Context(), second, time.Minute))
	require.NoError(t, a.store.AnnounceRelay(t.Context(), store.Relay{ID: "relay-1", URLs: []string{"stun:[2001:db8::1]"}}, time.Hour))
	relays, err := b.store.Relays(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.Relay{{ID: "relay-1", URLs: []string{"stun:[2001:db8::1]"}}, second}, relays, "in the order of ids, not of leases")

	second.Load, second.Draining, second.Region = 1, true, ""
	require.NoError(t, a.store.AnnounceRelay(t.Context(), second, time.Hour))
	relays, err = b.store.Relays(t.Context())
	require.NoError(t, err)
	require.Equal(t, second, relays[1], "what was told before is replaced")

	// A lease that is over by Redis' clock: nobody is told of the relay, and the next beat of another one removes it.
	d.do(t, "ZADD", "sb:{cluster}:relays", "1", "relay-2")
	require.Equal(t, []string{"relay-1"}, listed())
	require.NoError(t, a.store.AnnounceRelay(t.Context(), store.Relay{ID: "relay-1", URLs: []string{"stun:a"}}, time.Hour))
	require.EqualValues(t, 1, d.do(t, "HLEN", "sb:{cluster}:relayinfo"))
	require.NoError(t, a.store.AnnounceRelay(t.Context(), second, time.Millisecond))
	require.Eventually(t, func() bool { return len(listed()) == 1 }, 10*time.Second, 5*time.Millisecond, "leases end by themselves")
	require.NoError(t, a.store.AnnounceRelay(t.Context(), second, time.Hour), "and may begin again")
	require.Equal(t, []string{"relay-1", "relay-2"}, listed())

	// What cannot be read hides nobody else.
	d.do(t, "HSET", "sb:{cluster}:relayinfo", "relay-1", `{"urls":`)
	require.Equal(t, []string{"relay-2"}, listed())
	d.do(t, "HSET", "sb:{cluster}:relayinfo", "relay-1", `{"urls":["http://relay"]}`)
	require.Equal(t, []string{"relay-2"}, listed())
	d.do(t, "HSET", "sb:{cluster}:relayinfo", "relay-1", `{"urls":["turn:later"],"of_a_later_version":true}`)
	require.Equal(t, []string{"relay-1", "relay-2"}, listed())

	require.NoError(t, a.store.WithdrawRelay(t.Context(), "relay-2"))
	require.Equal(t, []string{"relay-1"}, listed())
	require.NoError(t, a.store.WithdrawRelay(t.Context(), "relay-1"))
	require.NotContains(t, d.keys(t), "relays")
	require.NotContains(t, d.keys(t), "relayinfo")
}

// A relay that comes first settles nothing that is the gateways' to settle.
func testRelayAlone(t *testing.T, d deployment) {
	options := d.options
	options.WithoutRooms, options.Partitions = true, 7
	alone, err := store.Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, alone.Close()) })
	require.NoError(t, alone.AnnounceRelay(t.Context(), store.Relay{ID: "relay-1", URLs: []string{"turn:a"}}, time.Hour))
	a, _ := twoNodes(t, d) // with another number of partitions
	relays, err := a.store.Relays(t.Context())
	require.NoError(t, err)
	require.Len(t, relays, 1)
	_, err = a.join(a.seat(lobby, "alice"))
	require.NoError(t, err, "the gates are open")
}

func testBadRelays(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	good := store.Relay{ID: "relay-1", URLs: []string{"turn:a"}}
	for name, change := range map[string]func(r *store.Relay){
		"no id":           func(r *store.Relay) { r.ID = "" },
		"space in id":     func(r *store.Relay) { r.ID = "a b" },
		"space in region": func(r *store.Relay) { r.Region = "eu west" },
		"long region":     func(r *store.Relay) { r.Region = strings.Repeat("x", 65) },
		"no URL":          func(r *store.Relay) { r.URLs = nil },
		"too many URLs":   func(r *store.Relay) { r.URLs = make([]string, 33) },
		"web URL":         func(r *store.Relay) { r.URLs = []string{"turn:a", "https://a"} },
		"URL of no host":  func(r *store.Relay) { r.URLs = []string{"turn:"} },
		"long URL":        func(r *store.Relay) { r.URLs = []string{"turn:" + strings.Repeat("x", 512)} },
		"less than none":  func(r *store.Relay) { r.Load = -0.1 },
		"more than all":   func(r *store.Relay) { r.Load = 1.1 },
		"not a number":    func(r *store.Relay) { r.Load = math.NaN() },
		"long version":    func(r *store.Relay) { r.Version = strings.Repeat("x", 513) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			change(&bad)
			requireCode(t, wire.CodeBadRequest, a.store.AnnounceRelay(t.Context(), bad, time.Minute))
		})
	}
	for _, lease := range []time.Duration{-time.Second, 0, time.Microsecond, 2 * time.Hour} {
		requireCode(t, wire.CodeBadRequest, a.store.AnnounceRelay(t.Context(), good, lease))
	}
	requireCode(t, wire.CodeBadRequest, a.store.WithdrawRelay(t.Context(), ""))
	relays, err := a.store.Relays(t.Context())
	require.NoError(t, err)
	require.Empty(t, relays)
}
