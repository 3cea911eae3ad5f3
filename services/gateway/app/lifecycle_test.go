package app_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// readyz gives which checks are red, and requires that the status says the same.
func readyz(tb testing.TB, g *gateway) (red []string) {
	tb.Helper()
	status, text := g.get(tb, "/readyz")
	var answer struct {
		Ready  bool
		Checks []struct {
			Name, Error string
			Ready       bool
		}
	}
	require.NoError(tb, json.Unmarshal([]byte(text), &answer), text)
	for _, check := range answer.Checks {
		if !check.Ready {
			red = append(red, check.Name)
			require.NotEmpty(tb, check.Error)
		}
	}
	require.Equal(tb, len(red) == 0, answer.Ready)
	require.Equal(tb, answer.Ready, status == http.StatusOK, "status %d", status)
	return red
}

// An outage of Redis is an outage of signaling, not of gateways: no session ends, no pod restarts, requests are refused
// for the time being, and all goes on by itself.
func TestReadiness(t *testing.T) {
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis, func(c *app.Config) {
		c.Redis.ReadTimeout, c.Redis.WriteTimeout, c.Redis.DialTimeout = time.Second, time.Second, time.Second
		c.Readiness.HoldDown = time.Second
	})
	ada, bob := connect(t, gateways[0], "ada"), connect(t, gateways[1], "bob")
	ada.mustJoin(t, "r")
	bob.mustJoin(t, "r")
	require.Empty(t, readyz(t, gateways[0]))

	redis.servers[0].Stop()
	until(t, func() bool { return len(readyz(t, gateways[0])) == 2 }, "the gateway is not ready")
	require.Equal(t, []string{"redis", "inboxes"}, readyz(t, gateways[0]))
	status, _ := gateways[0].get(t, "/livez")
	require.Equal(t, http.StatusOK, status)
	begin := time.Now()
	err := ada.publish(t.Context(), "r", "nobody hears this, or later")
	var refusal *wire.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, wire.CodeUnavailable, refusal.Code)
	require.Positive(t, refusal.RetryAfter)
	require.True(t, client.Retryable(err))
	require.Less(t, time.Since(begin), patience/2, "a refusal is not a timeout of the client's")
	_, err = ada.Ping(t.Context())
	require.NoError(t, err, "the session stays")

	redis.servers[0].Cont()
	for _, g := range gateways {
		until(t, func() bool { return len(readyz(t, g)) == 0 }, "the gateway is ready again")
	}
	id := bob.id()
	for _, pair := range [][2]*peer{{ada, bob}, {bob, ada}} {
		require.NoError(t, pair[0].publish(t.Context(), "r", "back"))
		until(t, func() bool {
			message := pair[1].await(t, wire.TypeMessage).Body.(*wire.Message)
			return string(message.Data) == `"back"`
		}, "the message after the outage")
	}
	require.Equal(t, id, bob.id())
	for _, p := range []*peer{ada, bob} {
		require.Equal(t, 2, p.snapshot(t, "r").Count)
		for _, event := range p.seen() {
			require.NotEqual(t, wire.TypeLeftPeer, event.Body.Type(), "nobody left")
		}
	}
}

// The order of an end: not ready and no new connections at once, while the operations address goes on to answer; each
// session is told to come back elsewhere and gives up its seats; then the gateway ends. On fake time, so that the
// moment in between can be looked at.
func TestShutdown(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		ending, other := w.gateway(t, "ending"), w.gateway(t, "other")
		witness := w.connect(t, other, "witness")
		witness.mustJoin(t, "r")
		ada, bob := w.connect(t, ending, "ada"), w.connect(t, ending, "bob")
		ada.mustJoin(t, "r")
		bob.mustJoin(t, "r")
		// This one does not read, and so does not answer the goodbye: the gateway waits for it for a while.
		dialer := websocket.Dialer{NetDialContext: w.network.DialContext}
		deaf, _, err := dialer.DialContext(t.Context(), "ws://ending:80/v1/connect", nil)
		require.NoError(t, err)
		defer deaf.Close()
		require.NoError(t, deaf.WriteJSON(map[string]any{"id": 1, "type": "hello", "app": "demo", "name": "deaf"}))
		require.NoError(t, deaf.WriteJSON(map[string]any{"id": 2, "type": "join", "room": "r"}))
		until(t, func() bool { return witness.snapshot(t, "r").Count == 4 }, "all are in the room")
		require.Empty(t, readyz(t, ending))

		ended := make(chan error, 1)
		go func() { ended <- ending.end() }()
		for _, p := range []*peer{ada, bob} {
			require.Equal(t, wire.CloseMoved, closeCode(t, p))
			require.True(t, client.Retryable(p.Err()))
		}
		until(t, func() bool { return witness.snapshot(t, "r").Count == 2 }, "their seats are given up")
		require.Equal(t, []string{"accepting"}, readyz(t, ending), "the gateway waits for the last one")
		status, _ := ending.get(t, "/livez")
		require.Equal(t, http.StatusOK, status)
		_, err = w.network.DialContext(t.Context(), "mem", "ending:80")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		synctest.Wait()
		select {
		case err := <-ended:
			require.FailNow(t, "ended with a session left", "%v", err)
		default:
		}

		require.NoError(t, <-ended) // it does not wait for ever
		require.Equal(t, 1, witness.snapshot(t, "r").Count)
		synctest.Wait() // the last one's leave has been told, too
		reasons := map[string]string{}
		for _, event := range witness.seen() {
			if left, ok := event.Body.(*wire.LeftPeer); ok {
				reasons[left.Peer] = left.Reason
			}
		}
		require.Len(t, reasons, 3)
		require.Equal(t, wire.ReasonDisconnected, reasons[ada.id()])
		_, err = w.network.DialContext(t.Context(), "mem", "ending:90")
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "the operations address ends last")
		lines := ending.log.String()
		require.Contains(t, lines, "gateway has ended")
		require.NotContains(t, lines, `"level":"ERROR"`)
		w.connect(t, other, "ada again").mustJoin(t, "r")
	})
}

// A gateway that cannot start says why, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	redis := singleRedis(t)
	running := startGateways(t, 1, redis)[0]
	for _, tc := range []struct {
		name   string
		change func(*app.Config)
		want   string
	}{
		{"the port is taken", func(c *app.Config) { c.Listen.Public = running.PublicAddr().String() }, "listen.public"},
		{"the operations port is taken", func(c *app.Config) { c.Listen.Operations = running.OperationsAddr().String() }, "listen.operations"},
		{"no Redis", func(c *app.Config) { c.Redis.Addresses = []string{"127.0.0.1:1"} }, "127.0.0.1:1"},
		{"another number of partitions", func(c *app.Config) { c.Cluster.Partitions = 17 }, "17 partitions"},
		{"no certificate", func(c *app.Config) { c.TLS.CertFile, c.TLS.KeyFile = "/nowhere.crt", "/nowhere.key" }, "certificate"},
		{"a limit that is none", func(c *app.Config) { c.Rooms.Capacity = -1 }, "rooms.capacity"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := demoConfig("other", redis)
			tc.change(config)
			_, err := app.Open(t.Context(), app.Options{Config: config, Logger: discard(), Registry: newRegistry()})
			require.ErrorContains(t, err, tc.want)
			// Only for Redis does it make sense to wait.
			require.Equal(t, tc.name == "no Redis", errors.As(err, new(*store.UnreachableError)))
		})
	}
}

// A certificate that is replaced is shown to new connections, without a word to those that stand.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	old, renewed := mustPair(t, 1), mustPair(t, 2)
	old.write(t, dir)
	g := startGateways(t, 1, singleRedis(t), func(c *app.Config) {
		c.TLS.CertFile, c.TLS.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		c.TLS.ReloadInterval = time.Second
		c.Pages.Enabled = true
	})[0]
	trusting := func(p pair) func(*client.Options) {
		return func(o *client.Options) {
			o.URL = "wss://" + g.PublicAddr().String()
			o.TLS = &tls.Config{RootCAs: p.verifiedRoots, ServerName: "localhost"}
		}
	}
	first := connect(t, g, "first", trusting(old))
	first.mustJoin(t, "r")
	_, err := dial(t.Context(), g, "too early", trusting(renewed))
	require.ErrorContains(t, err, "certificate")

	renewed.write(t, dir)
	var second *peer
	until(t, func() bool {
		second, err = dial(t.Context(), g, "second", trusting(renewed))
		return err == nil
	}, "the new certificate")
	t.Cleanup(second.Close)
	second.mustJoin(t, "r")
	require.NoError(t, second.publish(t.Context(), "r", strings.Repeat("over TLS ", 1000)))
	first.await(t, wire.TypeMessage)
	_, err = dial(t.Context(), g, "late", trusting(old))
	require.ErrorContains(t, err, "certificate")

	_, page := g.get(t, "/metrics")
	require.Equal(t, 1.0, metric(t, page, "signalbox_certificate_reloads_total", `result="ok"`))
	require.Equal(t, float64(renewed.notAfter.Unix()), metric(t, page, "signalbox_certificate_expiry_timestamp_seconds"))

	_, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.PublicAddr().String()+"/v1/connect", nil)
	require.Error(t, err, "no plain connection on a TLS port")
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}
