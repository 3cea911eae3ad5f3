package chaos

import (
	"testing"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

func failoverFaults() []*fault {
	return []*fault{
		{
			name: "sentinel-crash", inject: sentinelCrash,
			what:   "Sentinel (down after 1 s): the primary is killed.",
			expect: "Service is back within 10 s of the new primary, without a restart; losses only as told by `resync`.",
		},
		{
			name: "sentinel-planned", inject: sentinelPlanned,
			what:   "SENTINEL FAILOVER while all is well.",
			expect: "As above.",
		},
		{
			name: "sentinel-zombie", inject: sentinelZombie,
			what:   "The primary is frozen (SIGSTOP) for 13 s, and wakes as what it was while another one is.",
			expect: "As above; no room is in two places afterwards.",
		},
		{
			name: "cluster-crash", inject: clusterCrash,
			what:   "Redis Cluster (node time-out 2 s): one of three primaries with a replica each is killed.",
			expect: "Service is back within 10 s of the new primary, without a restart; losses only as told by `resync`.",
		},
		{
			name: "cluster-planned", inject: clusterPlanned,
			what:   "CLUSTER FAILOVER of one primary while all is well.",
			expect: "As above.",
		},
		{
			name: "cluster-frozen", inject: clusterFrozen,
			what:   "One primary is frozen for 10 s, and wakes as what it was while its replica is.",
			expect: "As above.",
		},
		{
			name: "cluster-migrate", inject: clusterMigrate,
			what:   "Every slot in use is moved to the next primary under load, and back.",
			expect: "MOVED, ASK and TRYAGAIN are followed; subscriptions go along; 0 lost, 0 double.",
		},
	}
}

// failover is an outage of which the new primary is the end.
func failover(t *testing.T, f *figures, servers func(testing.TB) *redis, begin, restore func(*cluster)) {
	outage{
		options: options{redis: servers, rewinds: true}, begin: begin, within: 10 * time.Second, after: restore,
		settled: func(c *cluster) { f.count("errors_seen", c.watch.failureCount()) },
	}.run(t, f)
}

func sentinelCrash(t *testing.T, f *figures) {
	var old *redistest.Server
	failover(t, f, sentinelRedis, func(c *cluster) {
		old = c.redis.sentinel.Primary()
		began := time.Now()
		old.Kill()
		c.redis.sentinel.AwaitPrimary(old)
		f.duration("new_primary", time.Since(began))
	}, func(c *cluster) {
		old.Restart()
		c.redis.sentinel.AwaitWhole()
	})
}

func sentinelPlanned(t *testing.T, f *figures) {
	failover(t, f, sentinelRedis, func(c *cluster) {
		old := c.redis.sentinel.Primary()
		began := time.Now()
		c.redis.sentinel.Failover()
		c.redis.sentinel.AwaitPrimary(old)
		f.duration("new_primary", time.Since(began))
	}, func(c *cluster) { c.redis.sentinel.AwaitWhole() })
}

func sentinelZombie(t *testing.T, f *figures) {
	var old *redistest.Server
	failover(t, f, sentinelRedis, func(c *cluster) {
		old = c.redis.sentinel.Primary()
		began := time.Now()
		old.Stop()
		c.redis.sentinel.AwaitPrimary(old)
		f.duration("new_primary", time.Since(began))
	}, func(c *cluster) {
		c.hold(10 * time.Second)
		old.Cont()
		c.redis.sentinel.AwaitWhole()
	})
}

// busiest is a primary with rooms, and one of its slots.
func (c *cluster) busiest() (*redistest.Server, int) {
	c.t.Helper()
	keys, err := c.redis.keys("sb:{*}:room:*")
	if err != nil || len(keys) == 0 {
		c.t.Fatalf("no room is in use: %v", err)
	}
	slot := c.redis.cluster.Slot(keys[0])
	return c.redis.cluster.Owner(slot), slot
}

func clusterCrash(t *testing.T, f *figures) {
	var old *redistest.Server
	failover(t, f, clusterRedis, func(c *cluster) {
		var slot int
		old, slot = c.busiest()
		began := time.Now()
		old.Kill()
		c.redis.cluster.AwaitOwner(slot, old)
		f.duration("new_primary", time.Since(began))
	}, func(c *cluster) {
		old.Restart()
		c.redis.cluster.AwaitWhole()
	})
}

func clusterPlanned(t *testing.T, f *figures) {
	failover(t, f, clusterRedis, func(c *cluster) {
		old, slot := c.busiest()
		began := time.Now()
		c.redis.cluster.Failover(c.redis.cluster.ReplicaOf(old))
		c.redis.cluster.AwaitOwner(slot, old)
		f.duration("new_primary", time.Since(began))
	}, func(c *cluster) { c.redis.cluster.AwaitWhole() })
}

func clusterFrozen(t *testing.T, f *figures) {
	var old *redistest.Server
	failover(t, f, clusterRedis, func(c *cluster) {
		var slot int
		old, slot = c.busiest()
		began := time.Now()
		old.Stop()
		c.redis.cluster.AwaitOwner(slot, old)
		f.duration("new_primary", time.Since(began))
	}, func(c *cluster) {
		c.hold(7 * time.Second)
		old.Cont()
		c.redis.cluster.AwaitWhole()
	})
}

func clusterMigrate(t *testing.T, f *figures) {
	outage{
		options: options{redis: clusterRedis}, within: 10 * time.Second,
		begin: func(c *cluster) {
			slots := make(map[int]bool)
			keys, err := c.redis.keys("sb:{*}:room:*")
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				slots[c.redis.cluster.Slot(key)] = true
			}
			f.count("slots", len(slots))
			primaries := c.redis.cluster.Nodes()[:3]
			for slot := range slots {
				from := c.redis.cluster.Owner(slot)
				for i, node := range primaries {
					if node == from {
						c.redis.cluster.Migrate(slot, primaries[(i+1)%len(primaries)])
					}
				}
				c.hold(100 * time.Millisecond)
				c.redis.cluster.Migrate(slot, from)
			}
		},
	}.run(t, f)
}
