package cluster_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forEachRedis runs a test on a single Redis and on a Redis Cluster.
func forEachRedis(t *testing.T, test func(t *testing.T, opts store.Options, do func(args ...string) any)) {
	t.Run("single", func(t *testing.T) {
		server := redistest.Single(t)
		test(t, store.Options{Addresses: []string{server.Addr()}}, func(args ...string) any {
			reply, err := server.Do(args...)
			require.NoError(t, err)
			return reply
		})
	})
	t.Run("cluster", func(t *testing.T) {
		servers := redistest.Cluster(t, 3)
		test(t, store.Options{Mode: store.ModeCluster, Addresses: servers.Addrs()}, func(args ...string) any {
			for _, server := range servers.Nodes() {
				if reply, err := server.Do(args...); err == nil {
					return reply
				}
			}
			t.Fatalf("no node of the cluster takes %v", args)
			return nil
		})
	})
}

// mustJoin starts a node that beats often, and gives the function that ends it.
func mustJoin(t *testing.T, opts store.Options, id string) (*cluster.Cluster, func()) {
	t.Helper()
	return mustJoinBeating(t, opts, id, 50*time.Millisecond)
}

func mustJoinBeating(t *testing.T, opts store.Options, id string, beat time.Duration) (*cluster.Cluster, func()) {
	t.Helper()
	st, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	c, err := cluster.New(cluster.Options{
		Store: st, Self: cluster.Node{ID: id, Name: "name of " + id, Address: "127.0.0.1:1", Version: "v1"},
		Beat: beat, Lease: 60 * beat, // nobody is to be given up on a busy machine
		Apps: func() map[string]int { return map[string]int{"umbra": 1, "nova": 1, "acme": 2} }, MaxApps: 2,
		Counts: func() map[string]float64 { return map[string]float64{"joins.ok": 3, "rooms": 1} },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	serving, stop := context.WithCancel(context.Background())
	done, stopped := make(chan error, 1), make(chan error, 1)
	go func() { stopped <- st.Run(serving) }()
	go func() { done <- c.Run(ctx) }()
	var ended bool
	end := func() {
		if ended {
			return
		}
		ended = true
		cancel()
		require.NoError(t, <-done)
		stop()
		require.NoError(t, <-stopped)
		require.NoError(t, st.Close())
	}
	t.Cleanup(end)
	return c, end
}

func knows(t *testing.T, c *cluster.Cluster, id string) func() bool {
	return func() bool {
		_, ok := c.Find(t.Context(), id)
		return ok
	}
}

func TestNodesFindEachOther(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, _ func(...string) any) {
		a, _ := mustJoin(t, opts, "a")
		b, endB := mustJoin(t, opts, "b")
		require.Eventually(t, knows(t, a, "b"), patience, tick)
		require.Eventually(t, knows(t, b, "a"), patience, tick)
		node, _ := a.Find(t.Context(), "b")
		require.Equal(t, cluster.Node{ID: "b", Name: "name of b", Address: "127.0.0.1:1", Version: "v1"}, node)
		require.Len(t, a.Nodes(), 2)

		apps := func(want map[string]int) {
			t.Helper()
			require.Eventually(t, func() bool {
				got, err := a.Apps(t.Context())
				return err == nil && maps.Equal(got, want)
			}, patience, tick)
		}
		apps(map[string]int{"acme": 4, "nova": 2}) // of each node the busiest

		// A node that ends in order is gone at once, not when its lease ends.
		endB()
		require.Eventually(t, func() bool { return !knows(t, a, "b")() }, patience, tick)
		apps(map[string]int{"acme": 2, "nova": 1})
	})
}

// Nodes tell what they have counted while somebody looks, and only then.
func TestNodesTellWhatTheyHaveCounted(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, do func(...string) any) {
		a, _ := mustJoin(t, opts, "a")
		b, endB := mustJoin(t, opts, "b")
		require.Eventually(t, knows(t, a, "b"), patience, tick)
		require.NoError(t, b.WaitReady(t.Context()))
		require.EqualValues(t, 0, do("EXISTS", "sb:{cluster}:counts:a", "sb:{cluster}:counts:b", "sb:{cluster}:looked"))
		from := time.Now().Add(-time.Second).UnixMilli()
		require.Eventually(t, func() bool {
			counted, err := a.Counted(t.Context())
			return err == nil && len(counted) == 2
		}, patience, tick)
		left := do("PTTL", "sb:{cluster}:looked").(int64)
		require.LessOrEqual(t, left, (250 * time.Millisecond).Milliseconds(), "some beats after the last look it is over")
		require.NotEqualValues(t, -1, left)
		require.NotEqualValues(t, -1, do("PTTL", "sb:{cluster}:counts:b"))

		// What cannot be read is left out, and a node that has gone with it.
		do("SET", "sb:{cluster}:counts:b", "{", "PX", "60000")
		counted, err := a.Counted(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]float64{"joins.ok": 3, "rooms": 1}, counted["a"].Counts)
		require.Greater(t, counted["a"].At, from)
		endB()
		require.Eventually(t, func() bool {
			counted, err := a.Counted(t.Context())
			return err == nil && len(counted) == 1
		}, patience, tick)
	})
}

// What a node hands out right after its start names a node that the others know, also those that have read the roster
// a moment before it came.
func TestReadyNodeIsFoundAtOnce(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, _ func(...string) any) {
		a, _ := mustJoinBeating(t, opts, "a", time.Minute) // knows no more than it asks for
		require.NoError(t, a.WaitReady(t.Context()))
		for _, id := range []string{"b", "c", "d"} {
			a.Find(t.Context(), "nobody") // reads the roster, unless that was just done
			node, _ := mustJoin(t, opts, id)
			require.NoError(t, node.WaitReady(t.Context()))
			_, found := a.Find(t.Context(), id)
			require.True(t, found, id)
		}
	})
}

// Without the clock of Redis in the script, a dead node would be asked for its sessions for ever.
func TestDeadNodeLapses(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, do func(...string) any) {
		a, _ := mustJoin(t, opts, "a")
		do("ZADD", "sb:{cluster}:nodes", "1", "dead")
		do("HSET", "sb:{cluster}:nodeinfo", "dead", `{"name":"dead"}`)
		require.Eventually(t, knows(t, a, "a"), patience, tick)
		require.False(t, knows(t, a, "dead")())
	})
}

// The key that nodes trust each other by is the same for all, however many ask first.
func TestClusterKeyIsOne(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, _ func(...string) any) {
		keys := make(chan string, 8)
		for range cap(keys) {
			go func() {
				st, err := store.Open(context.Background(), opts)
				if err != nil {
					keys <- err.Error()
					return
				}
				key, err := st.ClusterKey(context.Background())
				if err != nil {
					key = []byte(err.Error())
				}
				_ = st.Close()
				keys <- string(key)
			}()
		}
		first := <-keys
		require.GreaterOrEqual(t, len(first), 32)
		for range cap(keys) - 1 {
			require.Equal(t, first, <-keys)
		}
	})
}

func TestOptions(t *testing.T) {
	_, err := cluster.New(cluster.Options{})
	require.ErrorContains(t, err, "a store and this node's id")
	st, err := store.Open(t.Context(), store.Options{Addresses: []string{redistest.Single(t).Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	_, err = cluster.New(cluster.Options{Store: st, Self: cluster.Node{ID: "a"}, Beat: time.Second, Lease: time.Second})
	require.ErrorContains(t, err, "a lease of 1s with a beat of 1s")
}
