package app_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// requireRevoked waits until a client was closed for good as revoked.
func requireRevoked(t *testing.T, p *peer) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		require.Fail(t, "it is still there")
	}
	var closed *client.CloseError
	require.ErrorAs(t, p.Err(), &closed)
	require.Equal(t, wire.CloseRevoked, closed.Code)
}

// Row 18: who is revoked is thrown out of every gateway, and comes back on none: not with the token, nor by a resume, nor over
// socket.io, nor on a gateway that starts later.
func TestRevokedUserIsOutEverywhere(t *testing.T) {
	redis := singleRedis(t)
	key, signing, err := auth.GenerateKey("k", auth.HS256)
	require.NoError(t, err)
	configure := func(c *app.Config) { c.Apps = []auth.App{{ID: "acme", Keys: []auth.Key{key}}} }
	gateways := startGateways(t, 2, redis, configure)
	backend := backendStore(t, redis)
	token := func(user string, issued time.Time) string {
		signed, err := auth.Sign(signing, auth.Claims{
			App: "acme", User: user, IssuedAt: issued, Expires: time.Now().Add(time.Hour),
			Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}},
		})
		require.NoError(t, err)
		return signed
	}
	ada, bob := token("ada", time.Now().Add(-time.Minute)), token("bob", time.Now().Add(-time.Minute))
	with := func(token string) func(*client.Options) {
		return func(o *client.Options) { o.App, o.Name, o.Token, o.Reconnect = "", "", token, true }
	}
	one, two := connect(t, gateways[0], "", with(ada)), connect(t, gateways[1], "", with(ada))
	other := connect(t, gateways[0], "", with(bob))
	for _, p := range []*peer{one, two, other} {
		p.mustJoin(t, "r")
	}

	require.NoError(t, backend.Revoke(t.Context(), store.Revocation{App: "acme", User: "ada"}, time.Hour))
	requireRevoked(t, one)
	requireRevoked(t, two)
	other.await(t, wire.TypeLeftPeer)
	other.await(t, wire.TypeLeftPeer)
	require.NoError(t, other.publish(t.Context(), "r", "still here"))
	_, text := gateways[0].get(t, "/metrics")
	require.Contains(t, text, `signalbox_connections_closed_total{initiator="server",reason="revoked"} 1`)

	late := startGateways(t, 1, redis, configure)[0]
	for _, g := range append(gateways, late) {
		_, err := dial(t.Context(), g, "", with(ada))
		var refusal *wire.Error
		require.True(t, errors.As(err, &refusal), "%v", err)
		require.Equal(t, wire.CodeUnauthorized, refusal.Code)
		require.Contains(t, refusal.Message, "revoked")
		require.Contains(t, says(t, g, "/socket.io/?EIO=4&transport=websocket", `40{"token":"`+ada+`"}`), "44{")
		again := connect(t, g, "", with(token("ada", time.Now().Add(2*time.Second)))) // as by a clock that is ahead
		again.Close()
	}

	// A session alone: its user may begin another one.
	require.NoError(t, backend.Revoke(t.Context(), store.Revocation{App: "acme", Session: other.id()}, time.Hour))
	requireRevoked(t, other)
	for _, g := range gateways {
		require.Contains(t, says(t, g, "/v1/connect", `{"id":1,"type":"hello","resume":"`+other.Welcome().Resume+`"}`), `"resume_refused"`)
		_, text := g.get(t, "/metrics")
		require.Equal(t, 1.0, metric(t, text, "signalbox_hellos_total", `result="resume_revoked"`))
		connect(t, g, "", with(bob))
	}
}

// says sends one message over a WebSocket of its own, and gives the first that comes back and is no handshake.
func says(t *testing.T, g *gateway, path, message string) string {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}}
	conn, _, err := dialer.DialContext(t.Context(), "ws://"+g.PublicAddr().String()+path, nil)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte(message)))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		_, text, err := conn.ReadMessage()
		require.NoError(t, err)
		if text[0] != '0' { // engine.io's open
			return string(text)
		}
	}
}

// Whoever is in an app that is switched off is out.
func TestDisabledAppIsClosed(t *testing.T) {
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis)
	backend := backendStore(t, redis)
	putApp(t, backend, auth.App{ID: "acme", Anonymous: true})
	for _, g := range gateways {
		awaitEnters(t, g, "acme", true)
	}
	ofAcme := func(o *client.Options) { o.App, o.Reconnect = "acme", true }
	one, two := connect(t, gateways[0], "", ofAcme), connect(t, gateways[1], "", ofAcme)
	bystander := connect(t, gateways[0], "bystander")
	putApp(t, backend, auth.App{ID: "acme", Anonymous: true, Disabled: true})
	requireRevoked(t, one)
	requireRevoked(t, two)
	_, err := bystander.Ping(t.Context())
	require.NoError(t, err)
}
