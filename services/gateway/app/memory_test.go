package app_test

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// world is a whole cluster on fake time: Redis, gateways and clients in one process, over a network in memory.
type world struct {
	network *memnet.Network
	redis   *miniredis.Miniredis

	mu    sync.Mutex
	links map[string][]*memnet.Conn // of clients, by name; guarded by mu
	ways  map[string]string         // where a client's next connection goes instead, by name; guarded by mu
}

// inMemory runs a test in a world of its own.
func inMemory(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) {
		w := &world{network: new(memnet.Network), links: make(map[string][]*memnet.Conn)}
		w.redis = memredis.Serve(t, w.network)
		test(t, w)
	})
}

// gateway starts a gateway that listens on <name>:80, <name>:90 and <name>:70.
func (w *world) gateway(t *testing.T, name string, configure ...func(*app.Config)) *gateway {
	t.Helper()
	config := demoConfig(name, backend{mode: app.RedisSingle, addresses: []string{memredis.Addr}})
	for _, change := range configure {
		change(config)
	}
	public, err := w.network.Listen(name + ":80")
	require.NoError(t, err)
	operations, err := w.network.Listen(name + ":90")
	require.NoError(t, err)
	internal, err := w.network.Listen(name + ":70")
	require.NoError(t, err)
	g := openGateway(t, app.Options{
		Config: config, Public: public, Operations: operations, Cluster: internal, RedisDialer: w.network.DialContext})
	g.dial = w.network.DialContext
	return g
}

// dialer dials for a client, whose links can be told apart by its name.
func (w *world) dialer(name string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		w.mu.Lock()
		if instead, ok := w.ways[name]; ok {
			addr = instead
		}
		w.mu.Unlock()
		conn, err := w.network.DialContext(ctx, network, addr)
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.links[name] = append(w.links[name], conn.(*memnet.Conn))
		}
		return conn, err
	}
}

// via has a client's next connections go to a gateway.
func (w *world) via(p *peer, g *gateway) { w.redirect(p, g.PublicAddr().String()) }

// unreachable has a client's next connections fail.
func (w *world) unreachable(p *peer) { w.redirect(p, "nowhere:80") }

func (w *world) redirect(p *peer, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ways == nil {
		w.ways = make(map[string]string)
	}
	w.ways[p.Welcome().Name] = addr
}

// link is a client's latest connection.
func (w *world) link(name string) *memnet.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	links := w.links[name]
	return links[len(links)-1]
}

func (w *world) connect(t *testing.T, g *gateway, name string, change ...func(*client.Options)) *peer {
	t.Helper()
	return connect(t, g, name, append(change, func(o *client.Options) {
		o.NetDialContext = w.dialer(name)
	})...)
}

// A whole cluster on fake time. Whatever is left running at the end of a bubble fails its test.
func TestWholeClusterInMemory(t *testing.T) {
	t.Run("a call", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			w.network.SetLatency(5 * time.Millisecond)
			one, two := w.gateway(t, "one"), w.gateway(t, "two")
			require.Empty(t, readyz(t, one))
			ada, bob := w.connect(t, one, "ada"), w.connect(t, two, "bob")
			begin := time.Now()
			ada.mustJoin(t, "r")
			require.Equal(t, 20*time.Millisecond, time.Since(begin), "a round trip to the gateway, and one to Redis")
			bob.mustJoin(t, "r")
			ada.await(t, wire.TypeJoinedPeer)
			for i := range 10 {
				_, err := ada.Signal(t.Context(), wire.Signal{Room: "r", To: bob.id(), Data: []byte(`{"n":` + strconv.Itoa(i) + `}`)})
				require.NoError(t, err)
				var got struct{ N int }
				require.NoError(t, json.Unmarshal(bob.await(t, wire.TypeSignal).Body.(*wire.Signaled).Data, &got))
				require.Equal(t, i, got.N)
			}
			time.Sleep(10 * time.Minute) // heartbeats keep it alive
			require.NoError(t, ada.publish(t.Context(), "r", "minutes later"))
			bob.await(t, wire.TypeMessage)
			bob.Close()
			require.Equal(t, wire.ReasonLeft, ada.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Reason)
			_, err := ada.Leave(t.Context(), "r")
			require.NoError(t, err)
			require.Empty(t, slices.DeleteFunc(w.redis.Keys(), func(key string) bool { return !isRoomKey(key) }), "nothing is left behind of the room")
		})
	})

	t.Run("no hello", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			one := w.gateway(t, "one", func(c *app.Config) { c.Session.HelloTimeout = 5 * time.Second })
			dialer := websocket.Dialer{NetDialContext: w.network.DialContext, Subprotocols: []string{wire.Subprotocol}}
			conn, _, err := dialer.DialContext(t.Context(), "ws://one:80/v1/connect", nil)
			require.NoError(t, err)
			defer conn.Close()
			begin := time.Now()
			_, _, err = conn.ReadMessage()
			require.True(t, websocket.IsCloseError(err, int(wire.CloseHelloTimeout)), "%v", err)
			require.Equal(t, 5*time.Second, time.Since(begin))
			require.NoError(t, conn.Close())
			require.NoError(t, one.end())
		})
	})

	t.Run("a frozen client", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			const heartbeat, timeout = 25 * time.Second, 10 * time.Second
			configure := func(c *app.Config) { c.Session.Heartbeat, c.Session.HeartbeatTimeout = heartbeat, timeout }
			one, two := w.gateway(t, "one", configure), w.gateway(t, "two", configure)
			ada, bob := w.connect(t, one, "ada"), w.connect(t, two, "bob")
			ada.mustJoin(t, "r")
			bob.mustJoin(t, "r")
			w.link("bob").Freeze()
			frozen := time.Now()
			left := ada.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer)
			require.Equal(t, &wire.LeftPeer{Peer: bob.id(), Reason: wire.ReasonDisconnected}, left)
			require.LessOrEqual(t, time.Since(frozen), heartbeat+timeout+6*time.Second, "a heartbeat, its timeout, and a goodbye that nobody answers")
			require.GreaterOrEqual(t, time.Since(frozen), timeout)
			// The client notices, too, and by itself.
			<-bob.Done()
			require.LessOrEqual(t, time.Since(frozen), 3*heartbeat)
			require.NoError(t, ada.publish(t.Context(), "r", "the gateway serves the others"))
		})
	})

	t.Run("a client that comes back", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			one, two := w.gateway(t, "one"), w.gateway(t, "two")
			ada := w.connect(t, one, "ada")
			bob := w.connect(t, one, "bob", func(o *client.Options) { o.Reconnect = true })
			ada.mustJoin(t, "r")
			bob.mustJoin(t, "r")
			self := bob.id()
			ada.await(t, wire.TypeJoinedPeer)
			require.NoError(t, ada.publish(t.Context(), "r", "before"))
			bob.await(t, wire.TypeMessage)
			w.via(bob, two)
			w.link("bob").Freeze()
			require.NoError(t, ada.publish(t.Context(), "r", "meanwhile"))
			w.link("bob").Sever()
			require.Equal(t, self, ada.await(t, wire.TypeAwayPeer).Body.(*wire.AwayPeer).Peer)
			require.Equal(t, self, ada.await(t, wire.TypeBackPeer).Body.(*wire.BackPeer).Peer)
			require.Equal(t, self, bob.id(), "the same session, on another gateway")
			require.Equal(t, "two", bob.Welcome().Node)
			require.Equal(t, `"meanwhile"`, string(bob.await(t, wire.TypeMessage).Body.(*wire.Message).Data))
			require.NoError(t, ada.publish(t.Context(), "r", "welcome back"))
			require.Equal(t, `"welcome back"`, string(bob.await(t, wire.TypeMessage).Body.(*wire.Message).Data))
			require.NoError(t, bob.publish(t.Context(), "r", "thanks"))
			require.Equal(t, `"thanks"`, string(ada.await(t, wire.TypeMessage).Body.(*wire.Message).Data))
			require.Equal(t, 2, ada.snapshot(t, "r").Count)
		})
	})

	t.Run("a client that does not come back", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			one, two := w.gateway(t, "one"), w.gateway(t, "two")
			ada := w.connect(t, one, "ada")
			bob := w.connect(t, two, "bob", func(o *client.Options) { o.Reconnect = true })
			ada.mustJoin(t, "r")
			bob.mustJoin(t, "r")
			w.unreachable(bob)
			w.link("bob").Sever()
			ada.await(t, wire.TypeAwayPeer)
			away := time.Now()
			left := ada.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer)
			require.Equal(t, &wire.LeftPeer{Peer: bob.id(), Reason: wire.ReasonDisconnected}, left)
			require.InDelta(t, 30, time.Since(away).Seconds(), 2)
			require.Equal(t, 1, ada.snapshot(t, "r").Count)
			for _, event := range ada.seen() {
				require.NotEqual(t, wire.TypeLeftPeer, event.Body.Type(), "told once")
			}
		})
	})

	t.Run("a Redis that has lost everything", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			one, two := w.gateway(t, "one"), w.gateway(t, "two")
			ada, bob := w.connect(t, one, "ada"), w.connect(t, two, "bob")
			ada.mustJoin(t, "r")
			bob.mustJoin(t, "r")
			ada.await(t, wire.TypeJoinedPeer)
			w.redis.FlushAll()
			lost := time.Now()
			for _, p := range []*peer{ada, bob} {
				snapshot := p.await(t, wire.TypeResync).Body.(*wire.Resync)
				require.Equal(t, 2, snapshot.Count, "nobody comes and goes")
			}
			require.LessOrEqual(t, time.Since(lost), 5*time.Second)
			require.NoError(t, ada.publish(t.Context(), "r", "still here"))
			bob.await(t, wire.TypeMessage)
		})
	})

	t.Run("an orderly end", func(t *testing.T) {
		inMemory(t, func(t *testing.T, w *world) {
			one, two := w.gateway(t, "one"), w.gateway(t, "two")
			ada, bob := w.connect(t, one, "ada"), w.connect(t, two, "bob")
			ada.mustJoin(t, "r")
			bob.mustJoin(t, "r")
			begin := time.Now()
			require.NoError(t, two.end())
			require.Less(t, time.Since(begin), time.Second, "nothing is waited for that is not there")
			require.Equal(t, wire.CloseMoved, closeCode(t, bob))
			require.Equal(t, bob.id(), ada.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Peer)
			require.Equal(t, 1, ada.snapshot(t, "r").Count)
		})
	})
}

func (p *peer) snapshot(t *testing.T, room string) *wire.Snapshot {
	t.Helper()
	snapshot, err := p.Snapshot(t.Context(), room)
	require.NoError(t, err)
	return snapshot
}
