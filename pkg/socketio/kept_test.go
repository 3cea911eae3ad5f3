package socketio_test

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// Of a handshake there is kept what an application asks for, and what the protocol itself has put into it is not.
func TestHandshakeIsKept(t *testing.T) {
	sent := http.Header{
		"Origin": {"http://" + host}, "Authorization": {"Bearer x"}, "User-Agent": {"test"}, "X-App": {"one", "two"}, "Accept": {"*/*"}}
	for _, tc := range []struct {
		name string
		keep []string
		want http.Header
	}{
		{"by default", nil, http.Header{"Origin": {"http://" + host}, "Authorization": {"Bearer x"}}},
		{"none", []string{}, http.Header{}},
		{"named", []string{"x-app", "User-Agent", "X-Missing"}, http.Header{"X-App": {"one", "two"}, "User-Agent": {"test"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opened := make(chan *socketio.Handshake, 2)
			s := serve(t, socketio.Options{HandshakeHeaders: tc.keep, Engine: &socketio.EngineHandlers{
				Open: func(s *socketio.Session) { opened <- s.Handshake() },
			}})
			const own = "&token=a%20b&room=1&room=2&empty="
			_, _, err := s.tryDial("4", own+"&t=x", sent)
			require.NoError(t, err)
			answer := s.must(request{query: "EIO=3&transport=polling&b64=1&t=x" + own, header: sent})
			require.Equal(t, http.StatusOK, answer.status)
			for range 2 {
				handshake := <-opened
				require.Equal(t, url.Values{"token": {"a b"}, "room": {"1", "2"}, "empty": {""}}, handshake.Query)
				require.Equal(t, tc.want, handshake.Header)
				require.Equal(t, host, handshake.Host)
				require.NotEmpty(t, handshake.RemoteAddr)
			}
		})
	}
}

// What a client can have kept is bounded, and neither a large address nor a large header costs anything while the
// session lives.
func TestLargeHandshakes(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, socketio.Options{Registerer: reg, HandshakeBytes: 1000})
	ok := s.must(request{query: "EIO=4&transport=polling&x=" + strings.Repeat("x", 900)})
	require.Equal(t, http.StatusOK, ok.status)
	for name, q := range map[string]request{
		"query":       {query: "EIO=4&transport=polling&x=" + strings.Repeat("x", 1000)},
		"many":        {query: "EIO=4&transport=polling" + strings.Repeat("&x", 500)},
		"kept header": {query: "EIO=4&transport=polling", header: http.Header{"Authorization": {strings.Repeat("x", 1000)}}},
		"twice":       {query: "EIO=4&transport=polling", header: http.Header{"Authorization": {strings.Repeat("x", 500), strings.Repeat("x", 500)}}},
	} {
		t.Run(name, func(t *testing.T) {
			before := sample(t, reg, "signalbox_socketio_requests_refused_total", "3")
			answer := s.must(q)
			require.Equal(t, http.StatusBadRequest, answer.status)
			require.JSONEq(t, `{"code":3,"message":"Bad request"}`, answer.body)
			require.Equal(t, before+1, sample(t, reg, "signalbox_socketio_requests_refused_total", "3"))
			_, response, err := s.tryDial("4", strings.TrimPrefix(q.query, "EIO=4&transport=polling"), q.header)
			require.Error(t, err)
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
		})
	}
	t.Run("beyond what net/http takes", func(t *testing.T) {
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, s.must(request{query: strings.Repeat("x", 2<<20)}).status)
	})
	t.Run("not kept", func(t *testing.T) {
		s := overTCP(t, socketio.Options{Engine: &socketio.EngineHandlers{}})
		const sessions, large = 40, 500_000
		before := heap()
		for range sessions {
			_, _, err := s.tryDial("4", "&t="+strings.Repeat("x", large/2), http.Header{"X-App": {strings.Repeat("x", large/2)}})
			require.NoError(t, err)
		}
		require.Less(t, heap()-before, int64(sessions*large/4))
	})
}

// A CONNECT's payload is kept as long as its socket, the rest of the body that it came in is not.
func TestConnectPayloadIsBounded(t *testing.T) {
	s, _ := serveRecorder(t, socketio.Options{})
	c := s.poll("4", "")
	require.Equal(t, http.StatusBadRequest, c.tryPost(`40{"x":"`+strings.Repeat("x", 20_000)+`"}`).status)
	c.requireGone()

	s = overTCP(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/": {}}})
	const sessions, large = 20, 900_000
	before := heap()
	for range sessions {
		c := s.poll("4", "")
		c.post(`40{"token":"x"}`, `42["unknown","`+strings.Repeat("x", large)+`"]`)
	}
	require.Less(t, heap()-before, int64(sessions*large/4))
}

// heap is what is in use once nothing is left that could be freed.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one only sets what is pooled aside
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A WebSocket's handler returns, and the request that it was called with can be freed, while its session goes on.
func TestHandlerLeavesTheWebSocket(t *testing.T) {
	sockets, err := socketio.New(socketio.Options{Engine: &socketio.EngineHandlers{Message: echo}})
	require.NoError(t, err)
	var requests []weak.Pointer[http.Request]
	returned := make(chan struct{}, 10)
	s := behind(t, sockets, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			requests = append(requests, weak.Make(r))
			defer func() { returned <- struct{}{} }()
		}
		sockets.ServeHTTP(w, r)
	})})
	fresh, _ := s.open("4", "")
	<-returned
	upgraded := s.poll("4", "").upgrade()
	<-returned
	for i := range requests {
		require.Eventually(t, func() bool {
			runtime.GC()
			return requests[i].Value() == nil
		}, 30*time.Second, time.Millisecond)
	}
	for i, ws := range []*wsClient{fresh, upgraded} {
		ws.send(fmt.Sprintf("4still here %d", i))
		ws.expect(fmt.Sprintf("4still here %d", i))
	}
}
