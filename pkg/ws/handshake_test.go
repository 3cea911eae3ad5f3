package ws_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// refusal is an answer to a handshake.
type refusal struct {
	status int
	header http.Header
	code   string
	body   string
}

// refused sends a handshake that must be refused, with a JSON object that says why and is kept by no cache.
func refused(t *testing.T, s *server, request string) refusal {
	t.Helper()
	response := s.open().handshake(request)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var body struct {
		Error struct{ Code, Message string }
	}
	require.NoError(t, json.Unmarshal(text, &body), "%s", text)
	require.NotEmpty(t, body.Error.Message)
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Empty(t, s.accepted)
	return refusal{response.StatusCode, response.Header, body.Error.Code, string(text)}
}

// Each of these got a connection, a bare 400 of the library, or nothing that told a person what to do.
func TestHandshakeRefusals(t *testing.T) {
	const head = "Host: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	const version, key = "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	const get = "GET /v1/connect HTTP/1.1\r\n"
	for _, tc := range []struct {
		name, request string
		status        int
		code          string
		header, value string
	}{
		// Row 1: somebody opens the address in a browser; 400 would not tell what it is for.
		{"NoUpgrade", get + "Host: gateway\r\n\r\n", 426, "not_websocket", "Upgrade", "websocket"},
		{"UpgradeToAnotherProtocol", get + "Host: gateway\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 426, "not_websocket", "Upgrade", "websocket"},
		{"ConnectionWithoutUpgrade", get + "Host: gateway\r\nUpgrade: websocket\r\n" + version + key + "\r\n", 426, "not_websocket", "Upgrade", "websocket"},
		// Row 2: a form of another site can POST, and HTTP/1.0 knows no upgrade (RFC 6455, section 4.2.1).
		{"Post", "POST /v1/connect HTTP/1.1\r\n" + head + version + key + "Content-Length: 0\r\n\r\n", 405, "method", "Allow", "GET"},
		{"HTTP10", "GET /v1/connect HTTP/1.0\r\n" + head + version + key + "\r\n", 400, "handshake", "", ""},
		// Row 3: an old client has to be told which version there is (RFC 6455, section 4.4).
		{"Version8", get + head + "Sec-WebSocket-Version: 8\r\n" + key + "\r\n", 426, "version", "Sec-Websocket-Version", "13"},
		{"NoVersion", get + head + key + "\r\n", 426, "version", "Sec-Websocket-Version", "13"},
		// Row 4: of two keys the library answers the first, a proxy perhaps the second.
		{"NoKey", get + head + version + "\r\n", 400, "handshake", "", ""},
		{"ShortKey", get + head + version + "Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n", 400, "handshake", "", ""},
		{"KeyThatIsNotBase64", get + head + version + "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!!!\r\n\r\n", 400, "handshake", "", ""},
		{"TwoKeys", get + head + version + key + key + "\r\n", 400, "handshake", "", ""},
		// A client of another protocol would be talked to in ours.
		{"AnotherSubprotocol", get + head + version + key + "Sec-WebSocket-Protocol: mqtt, graphql-ws\r\n\r\n", 400, "subprotocol", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := overTCP(t, ws.Options{})
			got := refused(t, s, tc.request)
			require.Equal(t, tc.status, got.status)
			require.Equal(t, tc.code, got.code)
			if tc.header != "" {
				require.Equal(t, tc.value, got.header.Get(tc.header))
			}
			require.NoError(t, testutil.GatherAndCompare(s.registry, strings.NewReader(`
# HELP signalbox_handshakes_refused_total WebSocket handshakes that were refused, by reason.
# TYPE signalbox_handshakes_refused_total counter
signalbox_handshakes_refused_total{reason="`+tc.code+`"} 1
`), "signalbox_handshakes_refused_total"))
		})
	}
}

// Row 8: a page of another site would connect with its visitor's browser (cross-site WebSocket hijacking). Which origins
// are allowed is the gateway's to know; its tests try the spellings.
func TestHandshakeRefusesOrigin(t *testing.T) {
	s := overTCP(t, ws.Options{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://good.example" }})
	got := refused(t, s, handshake+"Origin: https://evil.example\r\n\r\n")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "origin", got.code)
	require.NotContains(t, got.body, "evil")

	c := s.open()
	response := c.handshake(handshake + "Origin: https://good.example\r\n\r\n")
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	endAccepted(s, c)
}

// Row 10: a cache or a log reader in front would take the stranger's text for the server's.
func TestHandshakeReflectsNothing(t *testing.T) {
	s := overTCP(t, ws.Options{CheckOrigin: func(*http.Request) bool { return false }})
	const request = "GET http://evil.example/v1/connect?evil=1 HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Origin: http://evil.example\r\nX-Forwarded-Host: evil.example\r\n\r\n"
	got := refused(t, s, request)
	require.NotContains(t, got.body, "evil")
	for name, values := range got.header {
		require.NotContains(t, strings.Join(values, " "), "evil", name)
	}
}

// Row 16: a gateway that looks for tokens in two places has to choose, and a proxy that fills one in decides for the
// client. Only hello brings a token: what stands elsewhere is not looked at, and never sent back.
func TestHandshakeLooksAtNoToken(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c := s.open()
	response := c.handshake(handshake +
		"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.one\r\nSec-WebSocket-Protocol: eyJhbGciOiJIUzI1NiJ9.two, signalbox.v1\r\n\r\n")
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	require.Equal(t, []string{"signalbox.v1"}, response.Header["Sec-Websocket-Protocol"])
	endAccepted(s, c)
}

// Row 17: a token in the address would work and end up in the log of every proxy on the way.
func TestHandshakeRefusesQueryToken(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, query := range []string{"token=s3cr3t", "x=1&access_token=s3cr3t", "jwt=s3cr3t", "token="} {
		s := overTCP(t, ws.Options{Logger: logger})
		got := refused(t, s, strings.Replace(handshake, "/v1/connect", "/v1/connect?"+query, 1)+"\r\n")
		require.Equal(t, http.StatusUnauthorized, got.status, query)
		require.Equal(t, "query_token", got.code)
		require.NotContains(t, got.body, "s3cr3t")
	}
	require.NotContains(t, log.String(), "s3cr3t")

	s := overTCP(t, ws.Options{})
	c := s.open()
	response := c.handshake(strings.Replace(handshake, "/v1/connect", "/v1/connect?tokens=1&mytoken=2", 1) + "\r\n")
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode, "other names are not ours to judge")
	endAccepted(s, c)
}

// Row 25: compression would let 40 KB on the wire become 40 MiB in memory.
func TestHandshakeAgreesToNoExtension(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c := s.open()
	response := c.handshake(handshake + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	require.Empty(t, response.Header["Sec-Websocket-Extensions"])
	endAccepted(s, c)
}

// endAccepted ends the connection that the server has taken.
func endAccepted(s *server, c *client) {
	s.tb.Helper()
	require.NoError(s.tb, c.Close())
	readAll(<-s.accepted)
}

func TestUpgraderRefuse(t *testing.T) {
	s := newServer(t, ws.Options{})
	recorder := httptest.NewRecorder()
	s.upgrader.Refuse(recorder, http.StatusServiceUnavailable, "draining", "come back", 1600*time.Millisecond)
	require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
	require.Equal(t, "2", recorder.Header().Get("Retry-After"))
	require.JSONEq(t, `{"error":{"code":"draining","message":"come back"}}`, recorder.Body.String())

	recorder = httptest.NewRecorder()
	s.upgrader.Refuse(recorder, http.StatusForbidden, "app", "no", 0)
	require.Empty(t, recorder.Header().Values("Retry-After"))
}

func TestNewRefusesOptions(t *testing.T) {
	anybody := func(*http.Request) bool { return true }
	for name, opts := range map[string]ws.Options{
		"NoOriginCheck":     {},
		"NegativeDuration":  {CheckOrigin: anybody, Heartbeat: -1},
		"NegativeMessage":   {CheckOrigin: anybody, MessageBytes: -1},
		"NegativePingLimit": {CheckOrigin: anybody, PingsPerSecond: -1},
		"NegativeFragments": {CheckOrigin: anybody, Fragments: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ws.New(opts)
			require.Error(t, err)
		})
	}
}
