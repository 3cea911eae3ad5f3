package target

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
)

// redisOnly is a builder that starts no servers but Redis.
func redisOnly(t *testing.T, spec Spec) *builder {
	t.Helper()
	b := &builder{Cluster: &Cluster{dir: t.TempDir()}, spec: spec}
	t.Cleanup(b.Close)
	return b
}

func TestSingleRedis(t *testing.T) {
	b := redisOnly(t, Spec{})
	require.NoError(t, b.startRedis(t.Context()))
	require.Len(t, b.Redis, 1)
	require.Len(t, b.Processes, 1)
	require.Equal(t, "redis", b.Processes[0].Name)
	usage, err := b.Processes[0].Source.Read(t.Context())
	require.NoError(t, err)
	require.Nil(t, usage.Bus, "it is of no cluster")
}

// The primaries of a Redis Cluster serve all slots in equal runs, are measured each, and end with the rest.
func TestRedisCluster(t *testing.T) {
	for _, primaries := range []int{1, 3} {
		t.Run(fmt.Sprint(primaries), func(t *testing.T) {
			t.Parallel()
			b := redisOnly(t, Spec{Primaries: primaries})
			require.NoError(t, b.startRedis(t.Context()))
			require.Len(t, b.Redis, primaries)
			require.Len(t, b.Processes, primaries)
			for i, addr := range b.Redis {
				first, last := i*16384/primaries, (i+1)*16384/primaries-1
				info := measure.RedisInfo(addr)
				nodes, err := info.Ask(t.Context(), "CLUSTER NODES")
				require.NoError(t, err)
				require.Contains(t, nodes, fmt.Sprintf("connected %d-%d\n", first, last))
				require.NotContains(t, nodes, "slave")
				state, err := info.Ask(t.Context(), "CLUSTER INFO")
				require.NoError(t, err)
				require.Contains(t, state, "cluster_state:ok\r\n")

				require.Equal(t, fmt.Sprint("redis-", i+1), b.Processes[i].Name)
				usage, err := b.Processes[i].Source.Read(t.Context())
				require.NoError(t, err)
				require.NotNil(t, usage.Bus)
				require.Zero(t, usage.Bus.Copies)
				if primaries > 1 {
					require.Positive(t, usage.Bus.Sent)
				}
			}
			b.Close()
			for _, p := range b.Processes {
				_, err := p.Source.Read(t.Context())
				require.Error(t, err, "it has ended")
			}
			_, err := os.Stat(b.dir)
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

// What is published to all is copied to every other node, and what is published to a shard to none: the count that is to be
// nothing in a run would see it if it were not.
func TestBusCopiesAreSeen(t *testing.T) {
	const primaries = 3
	b := redisOnly(t, Spec{Primaries: primaries})
	require.NoError(t, b.startRedis(t.Context()))
	copies := func() (all int64) {
		t.Helper()
		for _, p := range b.Processes {
			usage, err := p.Source.Read(t.Context())
			require.NoError(t, err)
			all += usage.Bus.Copies
		}
		return all
	}
	first := measure.RedisInfo(b.Redis[0])
	_, err := first.Ask(t.Context(), "SPUBLISH {06S} x") // slot 0
	require.NoError(t, err)
	require.Zero(t, copies())

	_, err = first.Ask(t.Context(), "PUBLISH everywhere x")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return copies() == primaries-1 }, 10*time.Second, 10*time.Millisecond)
}

// A primary that ends at once is told with what it said, and the others do not stay.
func TestRedisClusterThatDoesNotStart(t *testing.T) {
	_, err := Start(t.Context(), Spec{Name: Signalbox, Primaries: 2, Binaries: Binaries{Redis: "ls"}})
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, "redis-1", ended.Name)
	require.Contains(t, ended.Output, "--port")
}

func TestPeersHaveNoRedisCluster(t *testing.T) {
	for _, name := range []string{Centrifugo, SocketIO} {
		_, err := Start(t.Context(), Spec{Name: name, Primaries: 3})
		require.ErrorIs(t, err, ErrNoCluster)
	}
}

// Ports for several servers at once are all different.
func TestFreePorts(t *testing.T) {
	ports, err := freePorts(200)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, port := range ports {
		require.False(t, seen[port], port)
		seen[port] = true
	}
}
