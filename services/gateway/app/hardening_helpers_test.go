package app_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// target is a gateway under attack, on a Redis of its own, with the keys of its tenants.
type target struct {
	*gateway
	redis   *redistest.Server
	hmac    auth.SigningKey // acme's
	rsa     auth.SigningKey // acme's second
	rsaKey  auth.Key
	foreign auth.SigningKey // another tenant's key with the same id
}

// newTarget starts a gateway with the tenants acme, other and closed, and the demo app.
func newTarget(tb testing.TB, change ...func(*app.Config)) *target {
	tb.Helper()
	redis := singleRedis(tb)
	config := demoConfig("target", redis)
	g := &target{redis: redis.servers[0]}
	var hmac, foreign auth.Key
	for _, k := range []struct {
		id, algorithm string
		key           *auth.Key
		signing       *auth.SigningKey
	}{{"k1", auth.HS256, &hmac, &g.hmac}, {"k2", auth.RS256, &g.rsaKey, &g.rsa}, {"k1", auth.HS256, &foreign, &g.foreign}} {
		var err error
		*k.key, *k.signing, err = auth.GenerateKey(k.id, k.algorithm)
		require.NoError(tb, err)
	}
	config.Apps = []auth.App{
		{ID: "acme", Keys: []auth.Key{hmac, g.rsaKey}, Origins: []string{"https://good.example", "https://*.wild.example"},
			Audience: "signalbox", Issuer: "acme-backend"},
		{ID: "other", Keys: []auth.Key{foreign}, Origins: []string{"https://other.example"}},
		{ID: "closed", Keys: []auth.Key{hmac}, Disabled: true},
	}
	for _, c := range change {
		c(config)
	}
	g.gateway = openGateway(tb, app.Options{Config: config})
	return g
}

// claims are those of a token that acme's users get, changed.
func (g *target) claims(change map[string]any) jwt.MapClaims {
	now := time.Now().Unix()
	claims := jwt.MapClaims{
		"app": "acme", "sub": "ada", "exp": now + 3600, "iat": now, "aud": "signalbox", "iss": "acme-backend",
		"rooms": []any{map[string]any{"room": "*"}},
	}
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

// mint signs any claims under any header.
func mint(tb testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	tb.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	require.NoError(tb, err)
	return text
}

// token is one that acme's backend would mint, with claims changed.
func (g *target) token(tb testing.TB, change map[string]any) string {
	tb.Helper()
	return mint(tb, jwt.SigningMethodHS256, []byte(g.hmac.Secret), map[string]any{"kid": "k1"}, g.claims(change))
}

// stillServes is what every bad client is followed by: a good one connects, joins and is heard.
func (g *target) stillServes(tb testing.TB) {
	tb.Helper()
	room := "good-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	ada, bob := connect(tb, g.gateway, "Ada"), connect(tb, g.gateway, "Bob")
	ada.mustJoin(tb, room)
	bob.mustJoin(tb, room)
	require.NoError(tb, bob.publish(tb.Context(), room, "hello"))
	require.JSONEq(tb, `"hello"`, string(ada.await(tb, wire.TypeMessage).Body.(*wire.Message).Data))
	for _, p := range []*peer{ada, bob} {
		_, err := p.Leave(tb.Context(), room) // so that nothing of it is still on its way to Redis
		require.NoError(tb, err)
		p.Close()
	}
}

// scripts counts the calls that clients' requests have led to. What the gateway asks Redis of its own accord, as canaries and
// sweeps, is not among them.
func (g *target) scripts(tb testing.TB) int {
	tb.Helper()
	_, page := g.get(tb, "/metrics") // once for all of them: it takes the race detector a tenth of a second
	calls := 0.0
	for _, script := range []string{"join", "leave", "resume", "send", "state", "room", "control", "snapshot"} {
		calls += metric(tb, page, "signalbox_redis_script_duration_seconds_count", `script="`+script+`"`)
	}
	return int(calls)
}

// counted is a metric's sum over the samples whose labels have all of some texts in them.
func (g *gateway) counted(tb testing.TB, name string, having ...string) float64 {
	tb.Helper()
	_, page := g.get(tb, "/metrics")
	return metric(tb, page, name, having...)
}

// rawDial opens a TCP connection to the public address.
func (g *target) rawDial(tb testing.TB) net.Conn {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", g.PublicAddr().String())
	require.NoError(tb, err)
	require.NoError(tb, conn.SetDeadline(time.Now().Add(patience)))
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// answer sends bytes and gives the status of the HTTP answer and its text.
func (g *target) answer(tb testing.TB, request string) (status int, text string) {
	tb.Helper()
	conn := g.rawDial(tb)
	_, err := conn.Write([]byte(request))
	require.NoError(tb, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(tb, err)
	defer response.Body.Close()
	var all strings.Builder
	require.NoError(tb, response.Header.Write(&all))
	if response.StatusCode != http.StatusSwitchingProtocols {
		body := make([]byte, 1<<16)
		n, _ := response.Body.Read(body)
		all.Write(body[:n])
	}
	return response.StatusCode, all.String()
}

// upgrade is a handshake with more header lines.
func upgrade(path, host string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

// stranger is a WebSocket client that keeps no rule of the protocol.
type stranger struct {
	*websocket.Conn
	tb testing.TB
	id int
}

// meet connects a stranger.
func (g *target) meet(tb testing.TB) *stranger {
	tb.Helper()
	return g.meetBy(tb, websocket.DefaultDialer)
}

// meetBy connects a stranger by a dialer of its own.
func (g *target) meetBy(tb testing.TB, dialer *websocket.Dialer) *stranger {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	conn, response, err := dialer.DialContext(ctx, "ws://"+g.PublicAddr().String()+"/v1/connect", nil)
	require.NoError(tb, err)
	_ = response.Body.Close()
	require.NoError(tb, conn.SetReadDeadline(time.Now().Add(patience)))
	tb.Cleanup(func() { _ = conn.Close() })
	return &stranger{Conn: conn, tb: tb, id: 1}
}

// enter connects a stranger who has said hello.
func (g *target) enter(tb testing.TB) (*stranger, *wire.Welcome) {
	tb.Helper()
	s := g.meet(tb)
	welcome := new(wire.Welcome)
	s.ok(`"type":"hello","app":"demo","name":"Mallory"`, welcome)
	return s, welcome
}

// say sends a text as it is.
func (s *stranger) say(text string) {
	s.tb.Helper()
	require.NoError(s.tb, s.WriteMessage(websocket.TextMessage, []byte(text)))
}

// raw writes bytes past the WebSocket library.
func (s *stranger) raw(b []byte) { _, _ = s.NetConn().Write(b) }

// reply gives the next reply; events before it are passed over.
func (s *stranger) reply() *wire.Reply {
	s.tb.Helper()
	for {
		_, message, err := s.ReadMessage()
		require.NoError(s.tb, err)
		reply, _, err := wire.DecodeServer(message)
		require.NoError(s.tb, err)
		if reply != nil {
			return reply
		}
	}
}

// ask sends a request with the next id.
func (s *stranger) ask(fields string) *wire.Reply {
	s.tb.Helper()
	s.say(fmt.Sprintf(`{"id":%d,%s}`, s.id, fields))
	s.id++
	reply := s.reply()
	require.EqualValues(s.tb, s.id-1, reply.Re)
	return reply
}

func (s *stranger) ok(fields string, body wire.ReplyBody) {
	s.tb.Helper()
	reply := s.ask(fields)
	require.Nil(s.tb, reply.Err, "%v", reply.Err)
	require.NoError(s.tb, reply.Decode(body))
}

func (s *stranger) refused(fields string, code wire.Code) *wire.Error {
	s.tb.Helper()
	reply := s.ask(fields)
	require.NotNil(s.tb, reply.Err, "%s was taken", fields)
	require.Equal(s.tb, code, reply.Err.Code, reply.Err.Message)
	require.Less(s.tb, len(reply.Err.Message), 300, "the refusal carries the input back")
	return reply.Err
}

// requireClosed reads to the close frame and checks its code.
func (s *stranger) requireClosed(code wire.CloseCode) {
	s.tb.Helper()
	for {
		_, _, err := s.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		require.True(s.tb, errors.As(err, &closed), "%v", err)
		require.Equal(s.tb, int(code), closed.Code, closed.Text)
		return
	}
}
