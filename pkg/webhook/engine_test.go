package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
	"github.com/signalbox-rtc/signalbox/pkg/webhook/standard"
)

var (
	one = webhook.Endpoint{ID: "one", URL: "https://one/hook", Fingerprint: "1"}
	two = webhook.Endpoint{ID: "two", URL: "https://two/hook", Fingerprint: "1"}
)

// stay has a peer come and go.
func (w *world) stay(room, peer string) {
	join(w.t, w.store, w.room(room), peer)
	leave(w.t, w.store, w.room(room), peer)
}

var stayed = []string{"room.created", "peer.joined a", "peer.left a", "room.closed"}

func TestEventsAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		left := webhook.Endpoint{ID: "left", URL: "https://left/hook", Wants: func(kind, room string) bool {
			return kind == store.HookPeerLeft && room == "other"
		}}
		startEngine(t, w.options("node", one, left))
		w.stay("lobby", "a")
		w.stay("other", "a")
		time.Sleep(2 * time.Second)
		require.Equal(t, stayed, ofRoom(w.receiver.events("one"), "lobby"))
		require.Equal(t, stayed, ofRoom(w.receiver.events("one"), "other"))
		require.Equal(t, []string{"other peer.left a"}, w.receiver.events("left"))
		require.True(t, drained(t, w.store))
		require.Empty(t, w.letters())
		for _, p := range w.receiver.took("one") {
			require.Regexp(t, `^batch_[A-Z2-7]{26}$`, p.id)
		}
	})
}

// Many events go in few posts.
func TestBatches(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		opts := w.options("node", one)
		opts.Batch = 10
		join(t, w.store, w.room("lobby"), "a")
		for i := range 40 {
			report(t, w.store, w.room("lobby"), "a", fmt.Sprint("a-", i))
		}
		startEngine(t, opts)
		time.Sleep(2 * time.Second)
		posts := w.receiver.took("one")
		require.Len(t, posts, 5)
		for _, p := range posts[:4] {
			require.Len(t, p.events, 10)
		}
	})
}

// A room whose events are not taken waits, and is told in its order later; the others are not held up. The post is sent again with
// the same id.
func TestARoomThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ids := map[string]bool{}
		w.receiver.answers(func(r *http.Request, events []webhook.Event) int {
			if slices.ContainsFunc(events, func(e webhook.Event) bool { return e.Room == "bad" }) {
				if len(events) == 4 && events[0].Room == "bad" {
					ids[r.Header.Get(standard.HeaderID)] = true
				}
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		opts := w.options("node", one)
		opts.MaxRetry = 5 * time.Second
		startEngine(t, opts)
		w.stay("bad", "a")
		for i := range 20 {
			w.stay(fmt.Sprint("good-", i), "a")
		}
		time.Sleep(20 * time.Second)
		for i := range 20 {
			require.Equal(t, stayed, ofRoom(w.receiver.events("one"), fmt.Sprint("good-", i)))
		}
		require.Empty(t, ofRoom(w.receiver.events("one"), "bad"))
		require.Len(t, ids, 1)
		join(t, w.store, w.room("bad"), "b")
		time.Sleep(time.Second)
		w.receiver.answers(nil)
		time.Sleep(10 * time.Second)
		require.Equal(t, slices.Concat(stayed, []string{"room.created", "peer.joined b"}), ofRoom(w.receiver.events("one"), "bad"))
		require.True(t, drained(t, w.store))
	})
}

// A receiver that hangs costs another one nothing, and is asked ever less often.
func TestAnEndpointThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var asked atomic.Int32
		w.receiver.answers(func(r *http.Request, _ []webhook.Event) int {
			if r.URL.Host == "one" {
				asked.Add(1)
				return 0
			}
			return http.StatusOK
		})
		registry := prometheus.NewRegistry()
		opts := w.options("node", one, two)
		opts.Concurrency, opts.PerEndpoint, opts.Registerer, opts.Poll, opts.MaxRetry = 3, 2, registry, 2*time.Second, time.Minute
		startEngine(t, opts)
		for i := range 8 {
			begin := time.Now()
			room := fmt.Sprint("room-", i)
			w.stay(room, "a")
			time.Sleep(8 * time.Second)
			require.Equal(t, stayed, ofRoom(w.receiver.events("two"), room))
			for _, p := range w.receiver.took("two") {
				if p.events[0].Room == room {
					require.Less(t, p.at.Sub(begin), 6*time.Second)
				}
			}
		}
		time.Sleep(5 * time.Minute)
		require.Less(t, asked.Load(), int32(40))
		require.Greater(t, asked.Load(), int32(4))
		families, err := testutil.GatherAndCount(registry, "signalbox_webhook_pending")
		require.NoError(t, err)
		require.Equal(t, 1, families)
		w.receiver.answers(nil)
		time.Sleep(5 * time.Minute)
		for i := range 8 {
			require.Equal(t, stayed, ofRoom(w.receiver.events("one"), fmt.Sprint("room-", i)))
		}
	})
}

// What is not taken for a day ends among the dead letters, from where it can be sent again.
func TestDeadLetters(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.receiver.answers(func(*http.Request, []webhook.Event) int { return http.StatusBadGateway })
		registry := prometheus.NewRegistry()
		opts := w.options("node", one)
		opts.Registerer, opts.Poll, opts.Lease = registry, 5*time.Minute, 30*time.Minute // a day of looking more often takes long, also on fake time
		startEngine(t, opts)
		w.stay("lobby", "a")
		time.Sleep(23 * time.Hour)
		require.Empty(t, w.letters())
		time.Sleep(2 * time.Hour)
		var want []string
		for _, kind := range []string{"room.created", "peer.joined", "peer.left", "room.closed"} {
			want = append(want, "one expired lobby "+kind)
		}
		require.Equal(t, want, w.letters())
		require.True(t, drained(t, w.store))
		w.receiver.answers(nil)
		count, err := w.store.Redeliver(t.Context(), "acme", "")
		require.NoError(t, err)
		require.Equal(t, 4, count)
		time.Sleep(time.Hour)
		require.Equal(t, stayed, ofRoom(w.receiver.events("one"), "lobby"))
		require.Empty(t, w.letters())
		expired, err := testutil.GatherAndCount(registry, "signalbox_webhook_dead_letters_total")
		require.NoError(t, err)
		require.Equal(t, 3, expired, "a series for each reason")
	})
}

// An endpoint that says that it is gone is told nothing more, by any gateway, until its configuration changes.
func TestGone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var asked atomic.Int32
		w.receiver.answers(func(*http.Request, []webhook.Event) int {
			asked.Add(1)
			return http.StatusGone
		})
		stop := startEngine(t, w.options("node", one))
		w.stay("lobby", "a")
		time.Sleep(5 * time.Second)
		require.Len(t, w.letters(), 4)
		before := asked.Load()
		stop()
		options := w.options("other", one)
		registry := prometheus.NewPedanticRegistry()
		options.Registerer = registry
		stop = startEngine(t, options)
		w.stay("lobby", "b")
		time.Sleep(5 * time.Second)
		require.Equal(t, before, asked.Load())
		require.Len(t, w.letters(), 8)
		require.InDelta(t, 1, gauge(t, registry, "signalbox_webhook_endpoints_disabled"), 0)
		stop()
		w.receiver.answers(nil)
		changed := one
		changed.Fingerprint = "2"
		options = w.options("node", changed)
		registry = prometheus.NewPedanticRegistry()
		options.Registerer = registry
		startEngine(t, options)
		w.stay("third", "a")
		time.Sleep(5 * time.Second)
		require.Zero(t, gauge(t, registry, "signalbox_webhook_endpoints_disabled"))
		require.Equal(t, stayed, ofRoom(w.receiver.events("one"), "third"))
		disabled, err := w.store.DisabledEndpoints(t.Context())
		require.NoError(t, err)
		require.Empty(t, disabled)
	})
}

// gauge is the value of a registry's metric without labels.
func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.Metric[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "there is no metric "+name)
	return 0
}

func TestAnEndpointThatIsRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.receiver.answers(func(*http.Request, []webhook.Event) int { return http.StatusTeapot })
		stop := startEngine(t, w.options("node", one))
		w.stay("lobby", "a")
		time.Sleep(5 * time.Second)
		stop()
		startEngine(t, w.options("node", two))
		time.Sleep(5 * time.Second)
		require.Len(t, w.letters(), 4)
		require.Contains(t, w.letters()[0], "one removed")
		require.True(t, drained(t, w.store))
	})
}

// A room whose events are not taken, and that fills what a gateway looks at, holds up no other one; all of its events are told, in
// their order, once they are taken.
func TestARoomThatCrowds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.receiver.answers(func(_ *http.Request, events []webhook.Event) int {
			if events[0].Room == "bad" {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		opts := w.options("node", one)
		opts.Window, opts.Batch, opts.MaxRetry = 20, 10, 10*time.Second
		good := w.room("good")
		for i := 0; w.store.Partition(good) != w.store.Partition(w.room("bad")); i++ {
			good.Name = fmt.Sprint("good-", i)
		}
		join(t, w.store, good, "a")
		startEngine(t, opts)
		time.Sleep(time.Second)
		join(t, w.store, w.room("bad"), "a")
		for i := range 100 {
			report(t, w.store, w.room("bad"), "a", fmt.Sprintf("a-%03d", i))
			if i == 50 {
				report(t, w.store, good, "a", "good-1")
			}
		}
		leave(t, w.store, good, "a")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"room.created", "peer.joined a", "call.outcome", "peer.left a", "room.closed"},
			ofRoom(w.receiver.events("one"), good.Name))
		require.Empty(t, w.letters())
		w.receiver.answers(nil)
		time.Sleep(time.Minute)
		require.True(t, drained(t, w.store))
		var ids []string
		for _, p := range w.receiver.took("one") {
			for _, e := range p.events {
				if e.Room == "bad" && e.Type == store.HookCallOutcome {
					ids = append(ids, e.ID)
				}
			}
		}
		require.Len(t, ids, 100)
		require.True(t, slices.IsSorted(ids))
	})
}

// A gateway that is cut off from Redis, or dies, is followed by another one within a lease; nothing is lost, and order is kept.
func TestTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		cable := &memnet.Cable{Network: w.network}
		frozen := w.options("node-a", one)
		frozen.Store = w.open(cable.DialContext)
		w.receiver.answers(func(*http.Request, []webhook.Event) int { return 0 })
		startEngine(t, frozen)
		w.stay("lobby", "a")
		time.Sleep(2 * time.Second)
		cable.Cut()
		w.stay("lobby", "b")
		w.receiver.answers(nil)
		startEngine(t, w.options("node-b", one))
		time.Sleep(20 * time.Second)
		require.Equal(t, slices.Concat(stayed, []string{"room.created", "peer.joined b", "peer.left b", "room.closed"}),
			ofRoom(w.receiver.events("one"), "lobby"))
	})
}

// Where Redis does not answer after a post was taken, the post is not sent again and again meanwhile.
func TestRedisIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		cable := &memnet.Cable{Network: w.network}
		opts := w.options("node", one)
		opts.Store = w.open(cable.DialContext)
		w.receiver.answers(func(*http.Request, []webhook.Event) int {
			cable.Cut()
			return http.StatusOK
		})
		startEngine(t, opts)
		w.stay("lobby", "a")
		time.Sleep(10 * time.Second)
		require.Len(t, w.receiver.took("one"), 1)
		w.receiver.answers(nil)
		cable.Heal()
		time.Sleep(time.Minute)
		require.Equal(t, stayed, ofRoom(w.receiver.events("one"), "lobby"))
		require.LessOrEqual(t, len(w.receiver.took("one")), 2)
		require.True(t, drained(t, w.store))
	})
}

// An engine that is to end leaves what is under way a moment, and the rest to the others at once.
func TestEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.receiver.answers(func(*http.Request, []webhook.Event) int { return 0 })
		stop := startEngine(t, w.options("node-a", one))
		w.stay("lobby", "a")
		time.Sleep(2 * time.Second)
		begin := time.Now()
		stop()
		require.LessOrEqual(t, time.Since(begin), 3*time.Second)
		w.receiver.answers(nil)
		startEngine(t, w.options("node-b", one))
		time.Sleep(2 * time.Second)
		require.Equal(t, stayed, ofRoom(w.receiver.events("one"), "lobby"))
	})
}

func TestOptions(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for name, alter := range map[string]func(*webhook.Options){
			"no store":        func(o *webhook.Options) { o.Store = nil },
			"a negative time": func(o *webhook.Options) { o.Timeout = -1 },
			"a negative size": func(o *webhook.Options) { o.Batch = -1 },
			"pauses":          func(o *webhook.Options) { o.MinRetry = time.Hour },
		} {
			opts := w.options("node")
			alter(&opts)
			_, err := webhook.New(opts)
			require.Error(t, err, name)
		}
	})
}
