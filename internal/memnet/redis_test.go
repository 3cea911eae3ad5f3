package memnet_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
)

const redisAddr = "redis:6379"

// The tests below are the proof that go-redis and miniredis run over a Network on fake time, which
// a simulation of the cluster builds on. They are the only ones outside of pkg/store that may
// import go-redis.

func TestRedisInABubble(t *testing.T) {
	t.Run("commands, scripts and pipelines", func(t *testing.T) {
		redisBubble(t, func(t *testing.T) {
			client := redisClient(t, redisNetwork(t), nil)
			script := redis.NewScript(`
				redis.call('HSET', KEYS[1], 'f', ARGV[1])
				redis.call('PUBLISH', 'ch', ARGV[1])
				return redis.call('TIME')`)
			first, err := script.Run(t.Context(), client, []string{"k"}, "v").StringSlice()
			require.NoError(t, err)
			begin := time.Now()
			require.Equal(t, time.Unix(begin.Unix(), 0), unix(t, first), "the server's clock is the bubble's")

			time.Sleep(90 * time.Second) // of fake time: the server's clock must follow
			pipeline := client.Pipeline()
			get := pipeline.HGet(t.Context(), "k", "f")
			again := pipeline.EvalSha(t.Context(), script.Hash(), []string{"k"}, "w")
			pipeline.Expire(t.Context(), "k", time.Minute)
			_, err = pipeline.Exec(t.Context())
			require.NoError(t, err)
			require.Equal(t, "v", get.Val())
			second, err := again.StringSlice()
			require.NoError(t, err)
			require.Equal(t, 90*time.Second, unix(t, second).Sub(unix(t, first)))

			time.Sleep(time.Minute)
			n, err := client.Exists(t.Context(), "k").Result()
			require.NoError(t, err)
			require.Zero(t, n, "expiry follows the bubble's clock")
		})
	})

	t.Run("pub/sub with a read deadline", func(t *testing.T) {
		redisBubble(t, func(t *testing.T) {
			client := redisClient(t, redisNetwork(t), nil)
			sub := client.Subscribe(t.Context(), "ch")
			t.Cleanup(func() { require.NoError(t, sub.Close()) })
			_, err := sub.Receive(t.Context())
			require.NoError(t, err)

			begin := time.Now()
			_, err = sub.ReceiveTimeout(t.Context(), time.Hour)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, time.Hour, time.Since(begin))

			n, err := client.Publish(t.Context(), "ch", "hello").Result()
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
			msg, err := sub.ReceiveTimeout(t.Context(), time.Hour)
			require.NoError(t, err)
			require.Equal(t, "hello", msg.(*redis.Message).Payload)
		})
	})

	t.Run("a frozen link times out on fake time, a severed one is dialed anew", func(t *testing.T) {
		redisBubble(t, func(t *testing.T) {
			var links linkSet
			client := redisClient(t, redisNetwork(t), &links)
			require.NoError(t, client.Ping(t.Context()).Err())

			links.each((*memnet.Conn).Freeze)
			begin := time.Now()
			require.ErrorIs(t, client.Ping(t.Context()).Err(), os.ErrDeadlineExceeded)
			require.Equal(t, time.Second, time.Since(begin), "the client's ReadTimeout")
			require.NoError(t, client.Ping(t.Context()).Err(), "the next command takes a new link")

			links.each((*memnet.Conn).Sever)
			require.Error(t, client.Ping(t.Context()).Err(), "without retries the broken link shows")
			require.NoError(t, client.Ping(t.Context()).Err())
			require.Len(t, links.conns, 3)
		})
	})

	// Twice, because only the second bubble meets what the first one left in go-redis's pools.
	for _, turn := range []string{"first", "second"} {
		t.Run("more callers than connections, "+turn+" bubble", func(t *testing.T) {
			redisBubble(t, func(t *testing.T) {
				client := redisClient(t, redisNetwork(t), nil)
				var callers sync.WaitGroup
				for range 100 {
					callers.Go(func() { assert.NoError(t, client.Incr(t.Context(), "n").Err()) })
				}
				callers.Wait()
				n, err := client.Get(t.Context(), "n").Int()
				require.NoError(t, err)
				require.Equal(t, 100, n)
			})
		})
	}

	t.Run("latency", func(t *testing.T) {
		redisBubble(t, func(t *testing.T) {
			network := redisNetwork(t)
			network.SetLatency(5 * time.Millisecond)
			client := redisClient(t, network, nil)
			require.NoError(t, client.Ping(t.Context()).Err())
			begin := time.Now()
			require.NoError(t, client.Ping(t.Context()).Err())
			require.Equal(t, 10*time.Millisecond, time.Since(begin))
		})
	})
}

// redisBubble runs a test in a bubble of its own. go-redis keeps the timers of callers that wait
// for a pooled connection in a sync.Pool of the process, and a timer made in one bubble may not be
// used in the next: that ends the process. Two collections empty every sync.Pool.
func redisBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	runtime.GC()
	runtime.GC()
	synctest.Test(t, test)
}

// redisNetwork serves a miniredis on a network until the test ends.
func redisNetwork(t *testing.T) *memnet.Network {
	t.Helper()
	network := new(memnet.Network)
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	// Dial brings up a server without a socket, which Start would open.
	starter, err := server.Dial()
	require.NoError(t, err)
	require.NoError(t, starter.Close())

	l, err := network.Listen(redisAddr)
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			server.Server().ServeConn(conn)
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		serving.Wait()
		server.Close()
	})
	return network
}

// redisClient returns a client whose every goroutine ends with Close. links, if not nil, gets the
// client's connections.
func redisClient(t *testing.T, network *memnet.Network, links *linkSet) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: redisAddr,
		Dialer: func(ctx context.Context, networkName, addr string) (net.Conn, error) {
			conn, err := network.DialContext(ctx, networkName, addr)
			if err == nil && links != nil {
				links.add(conn.(*memnet.Conn))
			}
			return conn, err
		},
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1,
		ReadTimeout:              time.Second,
		WriteTimeout:             time.Second,
		ContextTimeoutEnabled:    true,
		PoolSize:                 4,
	})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// linkSet keeps the client's ends of connections, for faults.
type linkSet struct {
	mu    sync.Mutex
	conns []*memnet.Conn // guarded by mu
}

func (l *linkSet) add(conn *memnet.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
}

func (l *linkSet) each(fault func(*memnet.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		fault(conn)
	}
}

// unix reads the reply of Redis's TIME command to the second.
func unix(t *testing.T, reply []string) time.Time {
	t.Helper()
	require.Len(t, reply, 2)
	seconds, err := strconv.ParseInt(reply[0], 10, 64)
	require.NoError(t, err)
	return time.Unix(seconds, 0)
}
