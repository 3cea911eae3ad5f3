package store_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// subscribers is how many inboxes have subscribed to a node's first channel at a server.
func subscribers(t *testing.T, s *redistest.Server, n *node, sharded bool) int64 {
	t.Helper()
	command := "NUMSUB"
	if sharded {
		command = "SHARDNUMSUB"
	}
	reply, err := s.Do("PUBSUB", command, "sb:{"+store.PartitionTags(n.store.Partitions())[0]+"}:inbox:"+n.id)
	if err != nil {
		return 0
	}
	return reply.([]any)[1].(int64)
}

// signals checks that a signal to the node itself arrives.
func signals(t *testing.T, n *node, h *hooks, room store.Room) {
	t.Helper()
	await(t, func() bool {
		_, err := n.join(n.seat(room, "a"))
		if err == nil {
			_, err = n.send(store.Send{Seat: n.seat(room, "a"), To: "a", Type: "signal", Event: []byte(`{"type":"signal"}`)})
		}
		return err == nil
	})
	await(t, func() bool { return slices.Contains(h.drain(), "signal") })
}

// A demoted primary lives, answers, and keeps its subscribers: who does not leave it hears nothing any more.
func TestSentinelFailover(t *testing.T) {
	s := redistest.Sentinel(t)
	registry := prometheus.NewRegistry()
	opts := store.Options{
		Mode: store.ModeSentinel, Addresses: s.Addrs()[:1], MasterName: s.MasterName(), Logger: quietLogger(), Registerer: registry,
	}
	n, h := hookedNode(t, opts, "n")
	signals(t, n, h, lobby)
	f := follow(t, n.store)
	f.await(t, "reload")
	first := s.Primary()
	require.EqualValues(t, 1, subscribers(t, first, n, false))

	begin := time.Now()
	s.Failover()
	await(t, func() bool { return slices.Contains(h.drain(), "resubscribed") })
	t.Logf("planned failover: subscribed again after %v", time.Since(begin).Round(10*time.Millisecond))
	second := s.AwaitPrimary(first)
	await(t, func() bool { return subscribers(t, second, n, false) == 1 })
	require.Zero(t, subscribers(t, first, n, false), "it is left, though it lives")
	signals(t, n, h, lobby)
	f.followsOn(t, n.store, "planned")
	require.Positive(t, metric(t, registry, "signalbox_redis_inbox_reconnects_total", "moved"))

	// The Sentinel that was configured hangs as well: the others were found through it.
	s.AwaitWhole()
	second.Stop()
	s.Sentinels()[0].Stop()
	begin = time.Now()
	await(t, func() bool { return slices.Contains(h.drain(), "resubscribed") })
	t.Logf("frozen primary: subscribed again after %v", time.Since(begin).Round(10*time.Millisecond))
	signals(t, n, h, lobby)
	third := s.AwaitPrimary(second)
	require.EqualValues(t, 1, subscribers(t, third, n, false))
	f.followsOn(t, n.store, "frozen")
	second.Cont()
	await(t, func() bool { return second.Info("role") != "" })
	signals(t, n, h, lobby)
	require.Zero(t, subscribers(t, second, n, false), "who wakes up is not gone back to")
}

func TestSentinelsThatKnowNothing(t *testing.T) {
	s := redistest.Single(t) // none at all
	_, err := store.Open(t.Context(), store.Options{
		Mode: store.ModeSentinel, Addresses: []string{s.Addr(), "127.0.0.1:1"}, MasterName: "nobody", Logger: quietLogger()})
	require.ErrorContains(t, err, "store: ask for the primary")
	require.ErrorContains(t, err, s.Addr())
	require.ErrorContains(t, err, "127.0.0.1:1")
}

// A name or a proxy leads to the primary. Where it has led before is a replica now.
func TestSingleRedisIsDemoted(t *testing.T) {
	old, young := redistest.Single(t), redistest.Single(t)
	way := &cableTo{addr: old.Addr()}
	n, h := hookedNode(t, store.Options{Addresses: []string{"redis.example:6379"}, Dialer: way.dial, Logger: quietLogger(), RecoveryTime: time.Millisecond}, "n")
	signals(t, n, h, lobby)
	way.lead(young.Addr())
	replicate(t, old, young)
	await(t, func() bool { return slices.Contains(h.drain(), "resubscribed") })
	signals(t, n, h, lobby)
	require.EqualValues(t, 1, subscribers(t, young, n, false))
	require.Zero(t, subscribers(t, old, n, false))
}

func TestClusterFailover(t *testing.T) {
	c := redistest.ClusterWithReplicas(t, 3, 3)
	registry := prometheus.NewRegistry()
	opts := store.Options{
		Mode: store.ModeCluster, Addresses: append([]string{"127.0.0.1:1"}, c.Addrs()...), Partitions: 6,
		Logger: quietLogger(), Registerer: registry,
	}
	n, h := hookedNode(t, opts, "n")
	room := roomOf(t, n, 0)
	signals(t, n, h, room)
	f := follow(t, n.store)
	f.await(t, "reload")
	slot := int(store.CRC16(store.PartitionTags(6)[0])) % slots
	first := c.Owner(slot)
	second := c.ReplicaOf(first)
	require.EqualValues(t, 1, subscribers(t, first, n, true))

	begin := time.Now()
	c.Failover(second)
	await(t, func() bool { return subscribers(t, second, n, true) == 1 })
	t.Logf("planned failover: subscribed again after %v", time.Since(begin).Round(10*time.Millisecond))
	signals(t, n, h, room)
	await(t, func() bool { return subscribers(t, first, n, true) == 0 })

	c.AwaitWhole()
	second.Stop()
	begin = time.Now()
	await(t, func() bool { return first.Info("role") == "master" })
	promoted := time.Now()
	await(t, func() bool { _, err := n.snapshot(store.Look{Room: room}); return err == nil })
	carried := time.Since(promoted)
	await(t, func() bool { return subscribers(t, first, n, true) == 1 })
	t.Logf("frozen primary: another one after %v, calls are carried out %v later, and events come %v later",
		promoted.Sub(begin).Round(10*time.Millisecond), carried.Round(10*time.Millisecond),
		time.Since(promoted).Round(10*time.Millisecond))
	require.Less(t, carried, 5*time.Second)
	signals(t, n, h, room)
	f.followsOn(t, n.store, "frozen")
	second.Cont()
	await(t, func() bool { return second.Info("role") != "" })
	signals(t, n, h, room)
}

// roomOf is a room of a partition.
func roomOf(t *testing.T, n *node, partition int) store.Room {
	t.Helper()
	room := store.Room{App: "acme", Name: "r"}
	for n.store.Partition(room) != partition {
		room.Name += "r"
	}
	return room
}

// cableTo is a way to a server that may lead to another one.
type cableTo struct {
	mu   sync.Mutex
	addr string // guarded by mu
}

func (c *cableTo) lead(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addr = addr
}

func (c *cableTo) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	c.mu.Lock()
	addr := c.addr
	c.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// replicate makes a server another's replica.
func replicate(t *testing.T, server, primary *redistest.Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(primary.Addr())
	require.NoError(t, err)
	server.Must("REPLICAOF", host, port)
}
