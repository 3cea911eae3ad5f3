package store_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// hooks is what an inbox tells, in order: "lost", "resubscribed" and "emptied", once for all partitions together, and the
// events' sequence numbers.
type hooks struct {
	mu    sync.Mutex
	told  []string             // guarded by mu
	count map[string]int       // of partitions that told the last; guarded by mu
	at    map[string]time.Time // guarded by mu
	halt  func()               // called before an event is taken, if set; guarded by mu
}

func (h *hooks) tell(what string) func(int) {
	return func(int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if last := len(h.told) - 1; last < 0 || h.told[last] != what {
			h.told = append(h.told, what)
			h.at[what] = time.Now()
		}
		h.count[what]++
	}
}

func (h *hooks) Deliver(e store.Event) {
	h.mu.Lock()
	halt := h.halt
	h.mu.Unlock()
	if halt != nil {
		halt()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, e.Type)
}

// block has a function called before each event.
func (h *hooks) block(halt func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halt = halt
}

// drain gives what was told, and forgets it.
func (h *hooks) drain() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.told
	h.told = nil
	return told
}

// partitions is how many partitions have told one thing.
func (h *hooks) partitions(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count[what]
}

func (h *hooks) when(what string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at[what]
}

// hookedNode is startNode with hooks in place of kept events.
func hookedNode(t *testing.T, opts store.Options, id string) (*node, *hooks) {
	t.Helper()
	h := &hooks{count: make(map[string]int), at: make(map[string]time.Time)}
	n := openNodeWith(t, opts, id, h, func(inbox *store.Inbox) {
		inbox.OnLost, inbox.OnResubscribed, inbox.OnEmptied = h.tell("lost"), h.tell("resubscribed"), h.tell("emptied")
	})
	waiting, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	require.NoError(t, n.inbox.WaitReady(waiting))
	return n, h
}

// twoHomes leads to one of two Redis: what is connected stays where it is when the way changes.
type twoHomes struct {
	mu    sync.Mutex
	homes [2]*memnet.Network
	away  bool        // new connections go to the second; guarded by mu
	conns []*homeConn // guarded by mu
}

type homeConn struct {
	*memnet.Conn
	homes      *twoHomes
	subscribes bool // guarded by homes.mu
}

func (c *homeConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("subscribe\r\n")) {
		c.homes.mu.Lock()
		c.subscribes = true
		c.homes.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (h *twoHomes) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	home := h.homes[0]
	if h.away {
		home = h.homes[1]
	}
	conn, err := home.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &homeConn{Conn: conn.(*memnet.Conn), homes: h}
	h.conns = append(h.conns, c)
	return c, nil
}

// move leads to the second Redis from now on, and ends all connections but subscriptions.
func (h *twoHomes) move() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = true
	for _, c := range h.conns {
		if !c.subscribes {
			c.Sever()
		}
	}
}

func TestCanary(t *testing.T) {
	signal := []byte(`{"type":"signal"}`)

	t.Run("comes back", func(t *testing.T) {
		memredis.Bubble(t, func(t *testing.T) {
			registry, network := prometheus.NewRegistry(), new(memnet.Network)
			server := memredis.Serve(t, network)
			network.SetLatency(5 * time.Millisecond)
			opts := store.Options{
				Addresses: []string{memredis.Addr}, Dialer: network.DialContext, Logger: quietLogger(), Registerer: registry,
				CanaryPeriod: 3 * time.Second,
			}
			n, h := hookedNode(t, opts, "n")
			time.Sleep(time.Minute)
			count, sum := histogram(t, registry, "signalbox_inbox_canary_seconds")
			require.InDelta(t, 20, count, 1, "one each period")
			require.InDelta(t, .01, sum/float64(count), .0001, "there and back")
			require.Zero(t, metric(t, registry, "signalbox_inbox_canaries_lost_total", ""))
			require.Zero(t, metric(t, registry, "signalbox_redis_inbox_events_total", ""), "it is no event")
			require.Zero(t, metric(t, registry, "signalbox_redis_inbox_malformed_total", ""))
			require.Empty(t, h.drain())
			keys := slices.DeleteFunc(server.Keys(), func(key string) bool { return !strings.Contains(key, ":canary:") })
			require.Len(t, keys, 1, "one connection, one key")
			require.Greater(t, server.TTL(keys[0]), 50*time.Minute)
			n.stop()
			require.NotContains(t, server.Keys(), keys[0], "an orderly end leaves nothing behind")
		})
	})

	t.Run("a subscription at a server where nobody publishes any more", func(t *testing.T) {
		memredis.Bubble(t, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			homes := &twoHomes{homes: [2]*memnet.Network{new(memnet.Network), new(memnet.Network)}}
			memredis.Serve(t, homes.homes[0])
			memredis.Serve(t, homes.homes[1])
			n, h := hookedNode(t, store.Options{
				Addresses: []string{memredis.Addr}, Dialer: homes.dial, Logger: quietLogger(), Registerer: registry,
			}, "n")
			time.Sleep(10*time.Second + time.Millisecond)
			homes.move()
			moved := time.Now()
			time.Sleep(4500 * time.Millisecond) // the first canary fails with its connection
			require.ErrorContains(t, n.inbox.Ready(), "canary")
			require.Empty(t, h.drain(), "its PINGs are answered")
			time.Sleep(time.Second)
			require.Equal(t, []string{"lost", "resubscribed", "emptied"}, h.drain())
			require.Less(t, h.when("lost").Sub(moved), 5*time.Second)
			require.Equal(t, n.store.Partitions(), h.partitions("lost"))
			require.Equal(t, n.store.Partitions(), h.partitions("resubscribed"))
			require.Equal(t, n.store.Partitions(), h.partitions("emptied"), "the other server has never seen the key")
			require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_inbox_reconnects_total", "canary"))
			require.EqualValues(t, 2, metric(t, registry, "signalbox_inbox_canaries_lost_total", ""))
			require.NoError(t, n.inbox.Ready())
			time.Sleep(time.Minute)
			require.Empty(t, h.drain(), "and all is well")
			require.EqualValues(t, 2, metric(t, registry, "signalbox_inbox_canaries_lost_total", ""))
		})
	})

	t.Run("an emptied Redis", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			n, h := hookedNode(t, bubble.options, "n")
			time.Sleep(1500 * time.Millisecond)
			bubble.server.FlushAll()
			time.Sleep(time.Second)
			require.Equal(t, []string{"emptied"}, h.drain())
			require.Equal(t, n.store.Partitions(), h.partitions("emptied"), "one server holds all partitions")
			time.Sleep(time.Minute)
			require.Empty(t, h.drain(), "it is told once")
		})
	})

	t.Run("Redis comes back empty", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			_, h := hookedNode(t, bubble.options, "n")
			time.Sleep(time.Millisecond)
			bubble.cable.Each((*memnet.Conn).Sever)
			bubble.server.FlushAll()
			time.Sleep(2 * time.Second)
			require.Equal(t, []string{"lost", "resubscribed", "emptied"}, h.drain(), "also if one canary alone had come back")
		})
	})

	t.Run("an outage without loss", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			n, h := hookedNode(t, bubble.options, "n")
			_, err := n.join(n.seat(lobby, "a"))
			require.NoError(t, err)
			bubble.cable.Cut()
			time.Sleep(time.Minute)
			require.Equal(t, []string{"lost"}, h.drain(), "once, however often Redis is tried")
			bubble.cable.Heal()
			time.Sleep(10 * time.Second)
			_, err = n.send(store.Send{Seat: n.seat(lobby, "a"), To: "a", Type: "signal", Event: signal})
			require.NoError(t, err)
			time.Sleep(time.Second)
			require.Equal(t, []string{"resubscribed", "signal"}, h.drain(), "canaries that arrive late prove nothing, and empty nothing")
		})
	})

	t.Run("of a process that was frozen", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			n := startNode(t, bubble.options.WithoutCanaries(), "n")
			require.Equal(t, 0, n.inbox.LostCanaries(time.Second, 0), "it has two")
			require.Equal(t, 1, n.inbox.LostCanaries(2*time.Second, 0))
			require.Equal(t, 1, n.inbox.LostCanaries(time.Minute, time.Minute), "it may lie in the socket: no second one is missed")
		})
	})

	t.Run("of somebody else", func(t *testing.T) {
		inBubble(t, func(t *testing.T, bubble *bubble) {
			registry := prometheus.NewRegistry()
			bubble.options.Registerer = registry
			n, h := hookedNode(t, bubble.options, "n")
			channel := "sb:{" + store.PartitionTags(n.store.Partitions())[0] + "}:inbox:n"
			bubble.server.Publish(channel, "canary OTHER-1 OTHER-1")
			bubble.server.Publish(channel, "canary OTHER-1")
			time.Sleep(time.Minute)
			require.Empty(t, h.drain())
			require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_inbox_malformed_total", ""), "the one without its form")
			require.Zero(t, metric(t, registry, "signalbox_inbox_canaries_lost_total", ""))
		})
	})
}

// histogram gives the number and the sum of what one histogram without labels has seen.
func histogram(tb testing.TB, registry *prometheus.Registry, name string) (count uint64, sum float64) {
	tb.Helper()
	families, err := registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() == name {
			h := family.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	require.Failf(tb, "no such metric", "%s", name)
	return 0, 0
}
