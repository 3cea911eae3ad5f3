package app_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// A gateway that is cut off from Redis for longer than its lease, while the others are not: they give its seats up, once.
// It keeps its sessions until it can know, and then has them come back elsewhere.
func TestCutOffGatewayLapses(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		stays := w.gateway(t, "stays")
		way := &memnet.Cable{Network: w.network}
		config := demoConfig("lapses", backend{mode: app.RedisSingle, addresses: []string{memredis.Addr}})
		config.Redis.DialTimeout, config.Redis.ReadTimeout, config.Redis.WriteTimeout = time.Second, time.Second, time.Second
		config.SocketIO.PingInterval = 10 * time.Minute // the page answers none
		opts := app.Options{Config: config, Logger: slog.New(slog.DiscardHandler), Registry: newRegistry(), RedisDialer: way.DialContext}
		for port, listener := range map[string]*net.Listener{":80": &opts.Public, ":90": &opts.Operations, ":70": &opts.Cluster} {
			var err error
			*listener, err = w.network.Listen("lapses" + port)
			require.NoError(t, err)
		}
		opened, err := app.Open(t.Context(), opts)
		require.NoError(t, err)
		ended := make(chan error, 1)
		life, end := context.WithCancel(context.Background())
		t.Cleanup(end)
		go func() { ended <- opened.Run(life) }()
		require.NoError(t, opened.WaitReady(t.Context()))
		lapses := &gateway{Gateway: opened, registry: opts.Registry, dial: w.network.DialContext}

		ada, bob := w.connect(t, stays, "ada"), w.connect(t, lapses, "bob")
		ada.mustJoin(t, "r")
		bob.mustJoin(t, "r")
		dialer := websocket.Dialer{NetDialContext: w.network.DialContext}
		page, _, err := dialer.DialContext(t.Context(), "ws://lapses:80/socket.io/?EIO=4&transport=websocket", nil)
		require.NoError(t, err)
		defer page.Close()
		for _, packet := range []string{"40", `42["join","r"]`} {
			require.NoError(t, page.WriteMessage(websocket.TextMessage, []byte(packet)))
		}
		ada.await(t, wire.TypeJoinedPeer)
		ada.await(t, wire.TypeJoinedPeer)
		time.Sleep(10 * time.Second) // all judge by now

		way.Cut()
		cut := time.Now()
		departures := func() (left []string) {
			for _, event := range ada.seen() {
				if body, ok := event.Body.(*wire.LeftPeer); ok {
					require.Equal(t, wire.ReasonDisconnected, body.Reason)
					left = append(left, body.Peer)
				}
			}
			return left
		}
		until(t, func() bool { return len(departures()) == 2 }, "the seats are given up")
		lease, beat := config.Cluster.Lease, config.Cluster.Beat
		require.GreaterOrEqual(t, time.Since(cut), lease-beat)
		require.LessOrEqual(t, time.Since(cut), lease+beat+time.Second)
		time.Sleep(time.Minute)
		err = bob.publish(t.Context(), "r", "nobody hears this")
		require.Equal(t, wire.CodeUnavailable, code(err), "%v", err)
		_, err = bob.Ping(t.Context())
		require.NoError(t, err, "the session stays: it may be Redis that is away")
		require.Empty(t, ended)

		way.Heal()
		require.Equal(t, wire.CloseMoved, closeCode(t, bob))
		for err == nil {
			_, _, err = page.ReadMessage()
		}
		require.True(t, websocket.IsCloseError(err, websocket.CloseGoingAway, websocket.CloseNormalClosure), "%v", err)
		require.ErrorIs(t, <-ended, cluster.ErrLapsed)
		require.Equal(t, 1.0, gathered(t, lapses, "signalbox_cluster_lapsed_total"))
		require.Equal(t, 1.0, gathered(t, stays, "signalbox_reaped_nodes_total"))
		require.Equal(t, 2.0, gathered(t, stays, "signalbox_reaped_seats_total"))
		synctest.Wait()
		require.Equal(t, 1, ada.snapshot(t, "r").Count)
		left := departures()
		require.Len(t, left, 2, "each once")
		require.Contains(t, left, bob.id())
		require.NotEqual(t, left[0], left[1])
		held := 0
		for _, key := range w.redis.Keys() {
			if strings.Contains(key, "}:held:") {
				held++
			}
		}
		require.Equal(t, 1, held, "ada's")
	})
}

// gathered gives the value of a counter or gauge, of which there is one with these values of labels. Other than the page
// of the operations address it is there also when the gateway has ended.
func gathered(t *testing.T, g *gateway, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, label := range m.GetLabel() {
				values = append(values, label.GetValue())
			}
			if family.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	require.FailNow(t, "no metric "+name)
	return 0
}
