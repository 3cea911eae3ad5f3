package store_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// A look at Redis leaves nothing behind, be it used or not, and tells what a node's first start has left.
func TestExamine(t *testing.T) {
	redis := redistest.Single(t)
	opts := store.Options{Addresses: []string{redis.Addr()}, Partitions: 4, CanaryTimeout: 5 * time.Second}

	found, err := store.Examine(t.Context(), opts)
	require.NoError(t, err)
	require.Zero(t, found.Partitions)
	require.Empty(t, found.Nodes)
	require.Len(t, found.Servers, 1)
	require.Len(t, found.Servers[0].ScriptsMissing, found.Servers[0].Scripts)
	require.Equal(t, int64(0), redis.Must("DBSIZE"))

	used, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	_, err = used.Beat(t.Context(), store.NodeInfo{ID: "one", Info: []byte(`{"name":"gateway-1"}`)}, time.Minute, true)
	require.NoError(t, err)
	defer func() { require.NoError(t, used.Close()) }()

	opts.Partitions = 64 // what is there counts
	found, err = store.Examine(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, 4, found.Partitions)
	require.NoError(t, found.RosterErr)
	require.Len(t, found.Nodes, 1)
	require.Equal(t, "one", found.Nodes[0].ID)
	require.JSONEq(t, `{"name":"gateway-1"}`, string(found.Nodes[0].Info))
	require.InDelta(t, time.Minute, found.Nodes[0].Lease, float64(30*time.Second))

	server := found.Servers[0]
	require.NoError(t, server.Err)
	require.Equal(t, redis.Addr(), server.Address)
	require.Equal(t, "master", server.Role)
	require.NotEmpty(t, server.Version)
	require.Equal(t, "noeviction", server.Eviction)
	require.Equal(t, []int{0, 1, 2, 3}, server.Partitions)
	require.Empty(t, server.ScriptsMissing)
	require.Positive(t, server.Latency)
	require.LessOrEqual(t, server.Latency, server.Slowest)
	require.Less(t, server.Clock.Abs(), time.Second, "one machine has one clock")
	require.NoError(t, server.CanaryErr)
	require.Positive(t, server.Canary)

	// Another length of the log makes other scripts.
	opts.LogLength = 17
	found, err = store.Examine(t.Context(), opts)
	require.NoError(t, err)
	require.Contains(t, found.Servers[0].ScriptsMissing, "join")
}

// A cluster is told primary by primary; one that is down does not hide the others.
func TestExamineCluster(t *testing.T) {
	cluster := redistest.Cluster(t, 3)
	opts := store.Options{Mode: store.ModeCluster, Addresses: cluster.Addrs(), Partitions: 12, CanaryTimeout: 5 * time.Second}
	used, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	require.NoError(t, used.Close())

	found, err := store.Examine(t.Context(), opts)
	require.NoError(t, err)
	require.Len(t, found.Servers, 3)
	for _, server := range found.Servers {
		require.NoError(t, server.Err)
		require.NoError(t, server.CanaryErr)
		require.Equal(t, "ok", server.State)
		require.Len(t, server.Partitions, 4)
	}

	var down *redistest.Server
	for _, node := range cluster.Nodes() {
		if node.Addr() == found.Servers[2].Address {
			down = node
		}
	}
	key := cluster.Owner(cluster.Slot("sb:partitions")).Addr()
	if down.Addr() == key { // without it nothing is known of the rest
		for _, node := range cluster.Nodes() {
			if node.Addr() != key {
				down = node
			}
		}
	}
	down.Kill()
	found, err = store.Examine(t.Context(), opts)
	require.NoError(t, err)
	require.Len(t, found.Servers, 3)
	for _, server := range found.Servers {
		if server.Address == down.Addr() {
			require.Error(t, server.Err)
		} else {
			require.NoError(t, server.Err)
		}
	}
}

func TestExamineFindsNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = store.Examine(t.Context(), store.Options{Addresses: []string{address}})
	require.ErrorAs(t, err, new(*store.UnreachableError))
	_, err = store.Examine(t.Context(), store.Options{})
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*store.UnreachableError))
}
