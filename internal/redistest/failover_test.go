package redistest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

func TestDataCanBeKept(t *testing.T) {
	t.Run("by an append-only file", func(t *testing.T) {
		s := redistest.Single(t, "--appendonly", "yes", "--appendfsync", "always")
		set(t, s, "k", "v")
		s.Restart()
		require.Equal(t, "v", get(t, s, "k"))
	})
	t.Run("by a save, which a restart goes back to", func(t *testing.T) {
		s := redistest.Single(t)
		set(t, s, "k", "saved")
		s.Save()
		set(t, s, "k", "lost")
		s.Restart()
		require.Equal(t, "saved", get(t, s, "k"))
	})
}

func TestControl(t *testing.T) {
	s := redistest.Single(t, "--maxmemory-policy", "allkeys-lru")
	require.Equal(t, []any{"maxmemory-policy", "allkeys-lru"}, s.Must("CONFIG", "GET", "maxmemory-policy"))
	s.Config("maxmemory-policy", "noeviction")
	require.Equal(t, "noeviction", s.Info("maxmemory_policy"))
	require.Empty(t, s.Info("no_such_field"))
	require.Zero(t, s.ClientKill("pubsub"))

	conn := s.Dial()
	s.Config("maxclients", "1")
	_, err := s.Do("PING")
	require.ErrorContains(t, err, "max number of clients")
	_, err = conn.Do("CONFIG", "SET", "maxclients", "1000")
	require.NoError(t, err)

	s.Pause(300*time.Millisecond, true)
	began := time.Now()
	set(t, s, "k", "v")
	require.Greater(t, time.Since(began), 200*time.Millisecond)
}

func TestSentinel(t *testing.T) {
	s := redistest.Sentinel(t)
	require.Len(t, s.Addrs(), 3)
	first := s.Primary()
	require.Same(t, s.Nodes()[0], first)
	set(t, first, "k", "v")
	require.Equal(t, int64(2), first.Must("WAIT", "2", "5000"))

	first.Kill()
	second := s.AwaitPrimary(first)
	require.Equal(t, "v", get(t, second, "k"))
	first.Restart()
	s.AwaitWhole()
	require.Equal(t, "v", get(t, first, "k"), "it is a replica now")

	s.Failover()
	third := s.AwaitPrimary(second)
	require.Equal(t, "v", get(t, third, "k"))
}

func TestClusterWithReplicas(t *testing.T) {
	c := redistest.ClusterWithReplicas(t, 3, 3)
	require.Len(t, c.Nodes(), 6)
	slot := c.Slot("{tag}:k")
	owner := c.Owner(slot)
	require.Contains(t, c.Nodes()[:3], owner)
	replica := c.ReplicaOf(owner)
	require.Contains(t, c.Nodes()[3:], replica)

	t.Run("a slot moves with its keys while they are written", func(t *testing.T) {
		const keys = 300
		for i := range keys {
			set(t, owner, fmt.Sprint("{tag}:", i), "v")
		}
		to := c.Nodes()[0]
		if to == owner {
			to = c.Nodes()[1]
		}
		stop, stopped := make(chan struct{}), make(chan int)
		go func() {
			written := 0
			for {
				select {
				case <-stop:
					stopped <- written
					return
				default:
				}
				for _, node := range []*redistest.Server{owner, to} {
					if _, err := node.Do("SET", fmt.Sprint("{tag}:", written%keys), "w"); err == nil {
						written++
					}
				}
			}
		}()
		c.Migrate(slot, to)
		close(stop)
		require.NotZero(t, <-stopped)
		require.Same(t, to, c.Owner(slot))
		require.Equal(t, int64(keys), to.Must("CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(slot)))
		_, err := owner.Do("GET", "{tag}:0")
		var moved redistest.Error
		require.True(t, errors.As(err, &moved) && strings.HasPrefix(string(moved), "MOVED "), "%v", err)
		c.Migrate(slot, owner)
		require.Same(t, owner, c.Owner(slot))
	})
	t.Run("a replica takes over when it is told to", func(t *testing.T) {
		c.Failover(replica)
		require.Same(t, replica, c.AwaitOwner(slot, owner))
		c.AwaitWhole()
		require.Same(t, owner, c.ReplicaOf(replica))
	})
	t.Run("and when the primary dies", func(t *testing.T) {
		replica.Kill()
		require.Same(t, owner, c.AwaitOwner(slot, replica))
		replica.Restart()
		c.AwaitWhole()
	})
}
