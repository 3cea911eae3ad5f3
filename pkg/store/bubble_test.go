package store_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// bubble is a Redis and its network in memory, on fake time.
type bubble struct {
	network *memnet.Network
	server  *miniredis.Miniredis
	cable   *memnet.Cable // of all stores
	options store.Options
}

// inBubble runs a test on fake time.
func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		b := &bubble{network: network, cable: &memnet.Cable{Network: network}}
		b.server = memredis.Serve(t, b.network)
		b.options = store.Options{Addresses: []string{memredis.Addr}, Dialer: b.cable.DialContext, Logger: quietLogger()}
		test(t, b)
	})
}

func TestClusterInABubble(t *testing.T) {
	signal := []byte(`{"type":"signal"}`)

	t.Run("join, send, receive", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			bubble.network.SetLatency(5 * time.Millisecond)
			a, b := startNode(t, bubble.options, "a"), startNode(t, bubble.options, "b")
			begin := time.Now()
			joined, err := a.join(a.seat(lobby, "alice"))
			require.NoError(t, err)
			require.Equal(t, 10*time.Millisecond, time.Since(begin), "one round trip")
			require.Equal(t, begin.Add(5*time.Millisecond).UnixMilli(), joined.Created.UnixMilli(), "Redis' clock is the bubble's")
			mustJoin(t, b, lobby, "bob")
			_, err = a.send(store.Send{Seat: a.seat(lobby, "alice"), To: "bob", Type: "signal", Event: signal})
			require.NoError(t, err)
			require.Equal(t, `3 signal to=bob except= {"type":"signal"}`, brief(b.expect(t, 1)[0]))
		})
	})

	t.Run("a frozen network", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			registry := prometheus.NewRegistry()
			bubble.options.Registerer = registry
			a := startNode(t, bubble.options.WithoutCanaries(), "a")
			mustJoin(t, a, lobby, "alice")
			bubble.cable.Cut()
			frozen := time.Now()
			_, err := a.send(store.Send{Seat: a.seat(lobby, "alice"), To: "alice", Type: "signal", Event: signal})
			requireCode(t, wire.CodeUnavailable, err)
			require.Equal(t, time.Second, time.Since(frozen), "the read timeout")
			require.NoError(t, a.inbox.Ready(), "a second without a PONG is nothing yet")
			time.Sleep(3 * time.Second)
			require.Error(t, a.inbox.Ready(), "silence must end a subscription: nothing else would")
			require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_inbox_reconnects_total", "silent"))
			require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_errors_total", "timeout"))

			time.Sleep(time.Minute)
			bubble.cable.Heal()
			time.Sleep(10 * time.Second)
			require.NoError(t, a.inbox.Ready())
			seq, err := a.send(store.Send{Seat: a.seat(lobby, "alice"), To: "alice", Type: "signal", Event: signal})
			require.NoError(t, err)
			events := a.expect(t, 1)
			for events[len(events)-1].Seq != seq { // the first message may have arrived with the thaw
				events = append(events, a.expect(t, 1)...)
			}
		})
	})

	t.Run("calls do not wait for ever", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			bubble.options.BatchCalls = 1
			a := startNode(t, bubble.options, "a")
			bubble.cable.Cut()
			begin := time.Now()
			var answers sync.WaitGroup
			for range 50 {
				answers.Add(1)
				a.store.Snapshot(store.Look{Room: lobby}, func(_ *store.Snapshot, err error) {
					assert.ErrorContains(t, err, "unavailable")
					answers.Done()
				})
			}
			answers.Wait()
			// Batches of one time out each second (a new connection needs longer, its greeting times out as well);
			// what has then waited for three is not sent any more.
			require.LessOrEqual(t, time.Since(begin), 7*time.Second)
			require.GreaterOrEqual(t, time.Since(begin), 3*time.Second)
		})
	})

	t.Run("the end comes within a bound", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			bubble.options.BatchCalls = 1
			a := startNode(t, bubble.options, "a")
			bubble.cable.Cut()
			var answers sync.WaitGroup
			for range 50 {
				answers.Add(1)
				a.store.Snapshot(store.Look{Room: lobby}, func(*store.Snapshot, error) { answers.Done() })
			}
			begin := time.Now()
			a.stop()
			require.LessOrEqual(t, time.Since(begin), 6*time.Second, "two seconds of draining and what is under way")
			answers.Wait()
		})
	})

	t.Run("a partition moves while a call is under way", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			a := startNode(t, bubble.options, "a")
			mustJoin(t, a, lobby, "alice")
			synctest.Wait()                          // a link that is being made would not be among them
			bubble.cable.Each((*memnet.Conn).Freeze) // the old primary hangs, new links work
			var mu sync.Mutex
			var answers []string // guarded by mu
			requireAnswers := func(message string, want ...string) {
				t.Helper()
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, strings.Join(want, " "), strings.Join(answers, " "), message)
			}
			send := func() {
				m := store.Send{Seat: a.seat(lobby, "alice"), Type: "message", Event: signal}
				a.store.Send(m, func(seq int64, err error) {
					mu.Lock()
					defer mu.Unlock()
					answers = append(answers, replyLine(err, "%d", seq))
				})
			}
			send()
			synctest.Wait() // under way
			send()          // waits in the lane
			other := redis.NewClient(&redis.Options{
				Addr: "redis:6379", Dialer: bubble.cable.DialContext, Protocol: 2, DisableIdentity: true,
				MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			})
			t.Cleanup(func() { a.stop(); require.NoError(t, other.Close()) })
			a.store.MoveTo(other)
			send()
			time.Sleep(900 * time.Millisecond)
			requireAnswers("nothing may overtake the call that is under way")
			time.Sleep(200 * time.Millisecond)
			requireAnswers("what waited went along, in order", "unavailable", "2", "3")
			a.store.MoveTo(other)
			send()
			requireAnswers("a move to the same place is none", "unavailable", "2", "3", "4")
		})
	})

	t.Run("a severed link", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			a := startNode(t, bubble.options, "a")
			bubble.cable.Each((*memnet.Conn).Sever)
			time.Sleep(time.Second)
			require.NoError(t, a.inbox.Ready(), "subscribed again")
			_, err := a.join(a.seat(lobby, "alice"))
			if err != nil { // the pool's connection was the broken one
				_, err = a.join(a.seat(lobby, "alice"))
			}
			require.NoError(t, err)
		})
	})
}
