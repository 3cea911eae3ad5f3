package chaos

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

// lossFaults take Redis' data, or Redis.
func lossFaults() []*fault {
	return []*fault{
		{
			name: "redis-kill-empty", inject: redisKill(30 * time.Second).run,
			what: "Redis is killed (SIGKILL), gone for 30 s, and starts empty.",
			expect: "Clients stay connected; errors are retryable; seats are put back; `resync` tells of the new epoch; service " +
				"is back within 5 s.",
		},
		{
			name: "redis-restart-empty", quick: true, inject: redisKill(0).run,
			what:   "Redis is killed and starts empty at once.",
			expect: "As above.",
		},
		{
			name: "redis-restart-kept", inject: redisRestartKept,
			what:   "Redis is killed and starts 3 s later with all its data (append-only file, fsync always).",
			expect: "As above, and nothing is lost: no new epoch.",
		},
		{
			name: "redis-rewind", inject: redisRewind,
			what:   "Redis goes back by some 3 s: it restarts with what it had saved before.",
			expect: "Each room that went back is told by `resync`; no seat is lost; none is there twice.",
		},
		{
			name: "redis-rewind-answers", inject: redisRewindAnswers,
			what: "Redis goes back by milliseconds: it is killed right after a save, five times, and what it did in between is in " +
				"answers alone, whose events no gateway has got.",
			expect: "Each room that went back is told by `resync`: the gateway that got the answer knows.",
		},
		{
			name: "redis-flushall", inject: outage{begin: func(c *cluster) { c.redis.single.Must("FLUSHALL") }, within: 5 * time.Second}.run,
			what:   "FLUSHALL.",
			expect: "As a restart with nothing.",
		},
		{
			name: "redis-script-flush", inject: outage{for_: 3 * time.Second, begin: func(c *cluster) {}, during: func(c *cluster) {
				for range 10 {
					c.redis.single.Must("SCRIPT", "FLUSH")
					c.hold(100 * time.Millisecond)
				}
			}, settled: requireNoErrors}.run,
			what:   "SCRIPT FLUSH ten times a second.",
			expect: "Nobody notices.",
		},
		{
			name: "redis-pause", inject: outage{
				for_: 20 * time.Second, begin: freezeRedis, end: thawRedis, within: 3 * time.Second, during: requireLive,
			}.run,
			what:   "Redis is frozen (SIGSTOP) for 20 s.",
			expect: "Retryable errors, no reap of anyone, no leave storm, liveness green; back within 3 s.",
		},
		{
			name: "redis-pause-60s", inject: outage{
				for_: time.Minute, begin: freezeRedis, end: thawRedis, within: 3 * time.Second, during: requireLive,
			}.run,
			what:   "The same for 60 s.",
			expect: "As above; readiness turns red after its hold-down.",
		},
		{
			name: "redis-down-long", inject: redisDownLong,
			what:   "Redis is down for 2 minutes, and starts empty.",
			expect: "As `redis-kill-empty`; memory of the gateways flat; few lines in the log.",
		},
	}
}

// refusalFaults have Redis refuse what it is asked.
func refusalFaults() []*fault {
	return []*fault{
		{
			name: "redis-client-pause", inject: outage{
				for_: 5 * time.Second, begin: func(c *cluster) { c.redis.single.Pause(5*time.Second, false) }, within: 3 * time.Second,
			}.run,
			what:   "CLIENT PAUSE 5000 ALL.",
			expect: "As `redis-pause`.",
		},
		{
			name: "redis-client-kill", inject: outage{for_: 5 * time.Second, begin: func(*cluster) {}, during: func(c *cluster) {
				killed := 0
				for range 10 {
					killed += c.redis.single.ClientKill("normal")
					c.hold(300 * time.Millisecond)
				}
				c.figures.count("killed", killed)
			}, within: 3 * time.Second}.run,
			what:   "CLIENT KILL of all command connections, three times a second for 3 s.",
			expect: "At most retryable errors; 0 lost, 0 double.",
		},
		{
			name: "redis-oom", inject: redisOOM.run,
			what:   "Redis has no memory left (maxmemory, noeviction) for 5 s.",
			expect: "Retryable errors; clients stay connected, seats stay; service is back at once.",
		},
		{
			name: "redis-evicting", inject: redisEvicting.run,
			what:   "Redis evicts keys by mistake (allkeys-random under pressure) for 5 s.",
			expect: "No gateway ends; missing keys mean a new epoch, told by `resync`; seats are put back.",
		},
		{
			name: "redis-loading", inject: redisLoading,
			what:   "Redis is killed, and takes some seconds to load its data (LOADING).",
			expect: "Retryable errors; clients stay connected; what was not saved is told by `resync`.",
		},
		{
			name: "redis-readonly", inject: outage{
				for_: 5 * time.Second, within: 3 * time.Second,
				begin: func(c *cluster) { c.redis.single.Must("REPLICAOF", "127.0.0.1", "1") },
				end:   func(c *cluster) { c.redis.single.Must("REPLICAOF", "NO", "ONE") },
			}.run,
			what:   "The primary is made a replica of nobody there for 5 s (READONLY, MASTERDOWN).",
			expect: "Retryable errors; nothing lost: what publishes also writes, and is refused.",
		},
		{
			name: "redis-noreplicas", inject: outage{
				for_: 5 * time.Second, within: 3 * time.Second,
				begin: func(c *cluster) { c.redis.single.Config("min-replicas-to-write", "1") },
				end:   func(c *cluster) { c.redis.single.Config("min-replicas-to-write", "0") },
			}.run,
			what:   "NOREPLICAS for 5 s: min-replicas-to-write is not met.",
			expect: "Retryable errors; nobody leaves.",
		},
		{
			name: "redis-busy", inject: redisBusy.run,
			what:   "A stranger's script runs for 8 s (BUSY).",
			expect: "Retryable errors; nobody leaves.",
		},
		{
			name: "redis-noauth", inject: redisNoAuth,
			what:   "Redis asks for a password that the gateways do not have, for 5 s (NOAUTH).",
			expect: "Retryable errors; nobody leaves; back without a restart.",
		},
		{
			name: "redis-maxclients", inject: redisMaxClients,
			what:   "Redis takes no more connections (maxclients) while those that there are are killed, for 5 s.",
			expect: "Retryable errors; nobody leaves.",
		},
	}
}

func freezeRedis(c *cluster) { c.redis.single.Stop() }
func thawRedis(c *cluster)   { c.redis.single.Cont() }

// requireLive demands that no supervisor would restart a gateway now, and notes who takes clients.
func requireLive(c *cluster) {
	c.t.Helper()
	ready := 0
	for _, g := range c.gateways {
		require.True(c.t, g.live(), "%s is alive", g.name)
		if g.ready() {
			ready++
		}
	}
	c.figures.count("ready_at_the_end", ready)
}

func requireNoErrors(c *cluster) {
	c.t.Helper()
	all, _ := c.watch.errors()
	require.Empty(c.t, all)
}

func redisKill(gone time.Duration) outage {
	return outage{
		for_: gone, within: 5 * time.Second,
		begin: func(c *cluster) { c.redis.single.Kill() },
		end:   func(c *cluster) { c.redis.single.Restart() },
		during: func(c *cluster) {
			if gone > 0 {
				requireLive(c)
			}
		},
	}
}

func redisRestartKept(t *testing.T, f *figures) {
	outage{
		options: options{redis: func(tb testing.TB) *redis {
			return singleRedis(tb, "--appendonly", "yes", "--appendfsync", "always")
		}},
		for_: 3 * time.Second, within: 5 * time.Second,
		begin:   func(c *cluster) { c.redis.single.Kill() },
		end:     func(c *cluster) { c.redis.single.Restart() },
		settled: func(c *cluster) { require.Zero(c.t, c.watch.count(toldResync), "nothing was lost") },
	}.run(t, f)
}

func redisRewind(t *testing.T, f *figures) {
	outage{
		options: options{rewinds: true}, for_: 3 * time.Second, within: 5 * time.Second,
		begin: func(c *cluster) { c.redis.single.Save() },
		end:   func(c *cluster) { c.redis.single.Restart() },
		settled: func(c *cluster) {
			require.GreaterOrEqual(c.t, c.watch.count(toldResync), len(c.all()), "everybody is told")
		},
	}.run(t, f)
}

func redisRewindAnswers(t *testing.T, f *figures) {
	outage{
		options: options{rewinds: true}, calls: 30, every: 100 * time.Millisecond, within: 5 * time.Second,
		begin: func(c *cluster) {
			for range 5 {
				c.redis.single.Save()
				c.redis.single.Restart()
				c.hold(4 * time.Second)
			}
		},
	}.run(t, f)
}

func redisDownLong(t *testing.T, f *figures) {
	o := redisKill(2 * time.Minute)
	var memory int64
	lines := 0
	begin, during := o.begin, o.during
	o.begin = func(c *cluster) {
		begin(c)
		c.hold(5 * time.Second)
		memory, lines = c.memory(), c.logged("\n")
	}
	o.during = func(c *cluster) {
		during(c)
		grown, written := c.memory()-memory, c.logged("\n")-lines
		f.megabytes("memory_grown", max(grown, 0))
		f.set("log_lines_per_minute", fmt.Sprint(written/2/len(c.gateways)))
		require.Less(t, grown, int64(64<<20))
		require.Less(t, written/2/len(c.gateways), 120, "lines a minute of each gateway")
	}
	o.run(t, f)
}

// memory is what all gateways have.
func (c *cluster) memory() int64 {
	total := int64(0)
	for _, g := range c.gateways {
		total += g.memory()
	}
	return total
}

var redisOOM = outage{
	for_: 5 * time.Second, within: 3 * time.Second,
	begin: func(c *cluster) { c.redis.single.Config("maxmemory", "1mb") },
	end:   func(c *cluster) { c.redis.single.Config("maxmemory", "0") },
}

var redisEvicting = outage{
	for_: 5 * time.Second, within: 10 * time.Second, drops: true,
	begin: func(c *cluster) {
		c.redis.single.Config("maxmemory-policy", "allkeys-random")
		c.redis.single.Config("maxmemory", "1500kb")
	},
	end: func(c *cluster) {
		c.redis.single.Config("maxmemory", "0")
		c.figures.set("evicted", c.redis.single.Info("evicted_keys"))
	},
}

func redisLoading(t *testing.T, f *figures) {
	outage{
		within: 10 * time.Second,
		begin: func(c *cluster) {
			s := c.redis.single
			s.Must("EVAL", "for i = 1, 20000 do redis.call('SET', 'filling:' .. i, string.rep('x', 100)) end", "0")
			s.Save()
			s.Kill()
		},
		end: func(c *cluster) {
			began := time.Now()
			c.redis.single.Restart()
			c.await(patience, "it is loaded", func() bool { return c.redis.single.Info("loading") == "0" })
			f.duration("loading", time.Since(began))
			c.redis.single.Must("EVAL", "for i = 1, 20000 do redis.call('DEL', 'filling:' .. i) end", "0")
		},
		options: options{redis: func(tb testing.TB) *redis {
			return singleRedis(tb, "--key-load-delay", "250", "--loading-process-events-interval-bytes", "1024")
		}},
	}.run(t, f)
}

var redisBusy = outage{
	for_: 8 * time.Second, within: 3 * time.Second,
	options: options{redis: func(tb testing.TB) *redis { return singleRedis(tb, "--busy-reply-threshold", "200") }},
	begin: func(c *cluster) {
		// The command's reply is not waited for: its connection gives up after some seconds.
		c.running.Go(func() { _, _ = c.redis.single.Do("EVAL", "while true do end", "0") })
	},
	end: func(c *cluster) { c.redis.single.Must("SCRIPT", "KILL") },
}

func redisNoAuth(t *testing.T, f *figures) {
	var conn *redistest.Conn // keeps its rights
	outage{
		for_: 5 * time.Second, within: 3 * time.Second,
		begin: func(c *cluster) {
			conn = c.redis.single.Dial()
			for _, command := range [][]string{
				{"CONFIG", "SET", "requirepass", "secret"}, {"CLIENT", "KILL", "TYPE", "normal"}, {"CLIENT", "KILL", "TYPE", "pubsub"},
			} {
				_, err := conn.Do(command...)
				require.NoError(t, err)
			}
		},
		end: func(*cluster) {
			_, err := conn.Do("CONFIG", "SET", "requirepass", "")
			require.NoError(t, err)
		},
	}.run(t, f)
}

func redisMaxClients(t *testing.T, f *figures) {
	var conn *redistest.Conn
	outage{
		for_: 5 * time.Second, within: 3 * time.Second,
		begin: func(c *cluster) {
			conn = c.redis.single.Dial()
			for _, command := range [][]string{
				{"CONFIG", "SET", "maxclients", "1"}, {"CLIENT", "KILL", "TYPE", "normal"}, {"CLIENT", "KILL", "TYPE", "pubsub"},
			} {
				_, err := conn.Do(command...)
				require.NoError(t, err)
			}
		},
		end: func(*cluster) {
			_, err := conn.Do("CONFIG", "SET", "maxclients", "10000")
			require.NoError(t, err)
		},
	}.run(t, f)
}
