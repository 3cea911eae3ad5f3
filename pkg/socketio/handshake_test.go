package socketio_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

func TestOptions(t *testing.T) {
	engine := &socketio.EngineHandlers{}
	for _, tc := range []struct {
		name string
		opts socketio.Options
		want string
	}{
		{"nothing to serve", socketio.Options{}, "either namespaces or engine handlers"},
		{"both", socketio.Options{Engine: engine, Namespaces: map[string]socketio.Namespace{"/": {}}}, "either namespaces or engine handlers"},
		{"a namespace without slash", socketio.Options{Namespaces: map[string]socketio.Namespace{"chat": {}}}, `"chat" is no name`},
		{"a namespace with a comma", socketio.Options{Namespaces: map[string]socketio.Namespace{"/a,b": {}}}, `"/a,b" is no name`},
		{"an unknown transport", socketio.Options{Engine: engine, Transports: []string{"flash"}}, `unknown transport "flash"`},
		{"a path without slash", socketio.Options{Engine: engine, Path: "/x"}, `the path "/x"`},
		{"a negative duration", socketio.Options{Engine: engine, UpgradeTimeout: -1}, "a duration is negative"},
		{"a heartbeat below a millisecond", socketio.Options{Engine: engine, PingInterval: time.Microsecond}, "whole milliseconds"},
		{"a negative limit", socketio.Options{Engine: engine, QueueBytes: -1}, "a limit is negative"},
		{"a negative limit of packets", socketio.Options{Engine: engine, Packet: socketio.Limits{Depth: -1}}, "a limit is negative"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := socketio.New(tc.opts)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestHandshake(t *testing.T) {
	s := serve(t, socketio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond})
	for _, eio := range []string{"3", "4"} {
		want := handshake{Upgrades: []string{"websocket"}, PingInterval: 300, PingTimeout: 200, MaxPayload: 1_000_000}
		t.Run("polling "+eio, func(t *testing.T) {
			c := s.poll(eio, "")
			require.Regexp(t, `^[A-Za-z0-9_-]{20}$`, c.sid)
			require.NotEqual(t, c.sid, s.poll(eio, "").sid)
			want.SID = c.sid
			require.Equal(t, want, c.hello)
			require.Empty(t, c.first)
		})
		t.Run("websocket "+eio, func(t *testing.T) {
			_, hello := s.open(eio, "")
			require.Regexp(t, `^[A-Za-z0-9_-]{20}$`, hello.SID)
			want.SID, want.Upgrades = hello.SID, []string{}
			require.Equal(t, want, hello)
		})
	}
	t.Run("exact bytes", func(t *testing.T) {
		answer := s.must(request{query: "EIO=3&transport=polling"})
		require.Regexp(t, `^\d+:0\{"sid":"[^"]+","upgrades":\["websocket"\],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000\}$`, answer.body)
		require.Equal(t, "text/plain; charset=UTF-8", answer.header.Get("Content-Type"))
		require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
		require.Empty(t, answer.header.Values("Set-Cookie"))
	})
}

// The documented errors, in the reference's order: of two faults the first is told.
func TestRequestErrors(t *testing.T) {
	s := serve(t, socketio.Options{Admit: func(r *http.Request) error {
		switch r.URL.Query().Get("who") {
		case "told":
			return &socketio.Refusal{Message: `no "seat" left`}
		case "untold":
			return errors.New("the database is down")
		}
		return nil
	}})
	polling, upgraded := s.poll("4", ""), s.poll("4", "")
	ws := upgraded.upgrade()
	ws.send("4x")
	ws.expect("4x")
	for _, tc := range []struct {
		name   string
		q      request
		status int
		body   string
	}{
		{"no transport", request{query: "EIO=4"}, 400, `{"code":0,"message":"Transport unknown"}`},
		{"an unknown transport", request{query: "EIO=4&transport=abc"}, 400, `{"code":0,"message":"Transport unknown"}`},
		{"an unknown transport and id", request{query: "EIO=4&transport=abc&sid=x"}, 400, `{"code":0,"message":"Transport unknown"}`},
		{"an unknown id", request{query: "EIO=4&transport=polling&sid=x"}, 400, `{"code":1,"message":"Session ID unknown"}`},
		{"an unknown id of JavaScript", request{query: "EIO=4&transport=polling&sid=__proto__"}, 400, `{"code":1,"message":"Session ID unknown"}`},
		{"an unknown id in a POST", request{method: "POST", query: "EIO=4&transport=polling&sid=x"}, 400, `{"code":1,"message":"Session ID unknown"}`},
		{"a handshake by POST", request{method: "POST", query: "EIO=4&transport=polling"}, 400, `{"code":2,"message":"Bad handshake method"}`},
		{"a handshake by PUT", request{method: "PUT", query: "EIO=4&transport=polling"}, 400, `{"code":2,"message":"Bad handshake method"}`},
		{"a handshake by POST of a bad version", request{method: "POST", query: "EIO=9&transport=polling"}, 400, `{"code":2,"message":"Bad handshake method"}`},
		{"a WebSocket without upgrade", request{query: "EIO=4&transport=websocket"}, 400, `{"code":3,"message":"Bad request"}`},
		{"JSONP", request{query: "EIO=3&transport=polling&j=0"}, 400, `{"code":3,"message":"Bad request"}`},
		{"refused, and told why", request{query: "EIO=4&transport=polling&who=told"}, 403, `{"code":4,"message":"no \"seat\" left"}`},
		{"refused, of a bad version", request{query: "EIO=9&transport=polling&who=told"}, 403, `{"code":4,"message":"no \"seat\" left"}`},
		{"refused, and not told why", request{query: "EIO=4&transport=polling&who=untold"}, 403, `{"code":4,"message":"Forbidden"}`},
		{"no version", request{query: "transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"an unknown version", request{query: "EIO=abc&transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"version 2", request{query: "EIO=2&transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"another method", request{method: "PUT", query: polling.query()}, 400, `{"code":3,"message":"Bad request"}`},
		{"a GET after the upgrade", request{query: upgraded.query()}, 400, `{"code":3,"message":"Bad request"}`},
		{"a POST after the upgrade", request{method: "POST", query: upgraded.query(), body: "4x"}, 400, `{"code":3,"message":"Bad request"}`},
		{"a polling session's WebSocket without upgrade", request{query: "EIO=4&transport=websocket&sid=" + polling.sid}, 400, `{"code":3,"message":"Bad request"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := s.must(tc.q)
			require.Equal(t, tc.status, answer.status)
			require.Equal(t, tc.body, answer.body)
			require.Equal(t, "application/json", answer.header.Get("Content-Type"))
		})
	}
	// None of it has harmed the sessions.
	polling.post("4still here")
	require.Equal(t, []string{"4still here"}, polling.get())
	ws.send("4still here")
	ws.expect("4still here")
}

func TestRefusedWebSocket(t *testing.T) {
	s := serve(t, socketio.Options{})
	for _, tc := range []struct{ name, eio, extra, message string }{
		{"an unknown version", "abc", "", "Unsupported protocol version"},
		{"an unknown id", "4", "&sid=x", "Session ID unknown"},
		{"a transport that does not go with it", "4", "&transport=polling", ""}, // the first of two counts: websocket
	} {
		t.Run(tc.name, func(t *testing.T) {
			ws, response, err := s.tryDial(tc.eio, tc.extra, nil)
			if tc.message == "" {
				require.NoError(t, err)
				ws.conn.Close()
				return
			}
			require.Error(t, err)
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, tc.message, string(body))
		})
	}
	t.Run("a broken handshake", func(t *testing.T) {
		header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}} // and no key
		answer := s.must(request{query: "EIO=4&transport=websocket", header: header})
		require.Equal(t, http.StatusBadRequest, answer.status)
	})
	t.Run("polling with an upgrade", func(t *testing.T) {
		header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		require.Equal(t, http.StatusBadRequest, s.must(request{query: "EIO=4&transport=polling", header: header}).status)
	})
}

func TestPaths(t *testing.T) {
	server, err := socketio.New(socketio.Options{Engine: &socketio.EngineHandlers{}, Path: "/rt/"})
	require.NoError(t, err)
	require.Equal(t, "/rt/", server.Path())
	for path, status := range map[string]int{"/rt/": 400, "/rt": 400, "/": 404, "/rt/socket.io.js": 404, "/socket.io/": 404} {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, status, w.Code, path)
	}
}

func TestTransports(t *testing.T) {
	t.Run("polling alone", func(t *testing.T) {
		s := serve(t, socketio.Options{Transports: []string{socketio.TransportPolling}})
		require.Empty(t, s.poll("4", "").hello.Upgrades)
		_, response, err := s.tryDial("4", "", nil)
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	})
	t.Run("WebSocket alone", func(t *testing.T) {
		s := serve(t, socketio.Options{Transports: []string{socketio.TransportWebSocket}})
		s.open("4", "")
		require.JSONEq(t, `{"code":0,"message":"Transport unknown"}`, s.must(request{query: "EIO=4&transport=polling"}).body)
	})
}

func TestCORS(t *testing.T) {
	s := serve(t, socketio.Options{Origin: func(r *http.Request, origin string) bool {
		return origin == "https://friend.test" || origin == "http://"+host
	}})
	from := func(origin string) http.Header { return http.Header{"Origin": {origin}} }
	allowed := func(t *testing.T, answer reply, origin string) {
		t.Helper()
		require.Equal(t, origin, answer.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "true", answer.header.Get("Access-Control-Allow-Credentials"))
		require.Contains(t, answer.header.Values("Vary"), "Origin")
	}
	t.Run("allowed", func(t *testing.T) {
		answer := s.must(request{query: "EIO=3&transport=polling", header: from("https://friend.test")})
		require.Equal(t, http.StatusOK, answer.status)
		allowed(t, answer, "https://friend.test")
	})
	t.Run("errors can be read, too", func(t *testing.T) {
		allowed(t, s.must(request{query: "EIO=4&transport=polling&sid=x", header: from("https://friend.test")}), "https://friend.test")
	})
	t.Run("another origin", func(t *testing.T) {
		answer := s.must(request{query: "EIO=4&transport=polling", header: from("https://evil.test")})
		require.Equal(t, http.StatusForbidden, answer.status)
		require.JSONEq(t, `{"code":4,"message":"Forbidden"}`, answer.body)
		require.Empty(t, answer.header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, answer.header.Values("Vary"), "Origin")
	})
	t.Run("another origin by WebSocket", func(t *testing.T) {
		_, response, err := s.tryDial("4", "", from("https://evil.test"))
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	})
	t.Run("no origin", func(t *testing.T) {
		answer := s.must(request{query: "EIO=4&transport=polling"})
		require.Equal(t, http.StatusOK, answer.status)
		require.Empty(t, answer.header.Get("Access-Control-Allow-Origin"))
	})
	t.Run("preflight", func(t *testing.T) {
		header := from("https://friend.test")
		header.Set("Access-Control-Request-Method", "POST")
		header.Set("Access-Control-Request-Headers", "content-type, x-app")
		answer := s.must(request{method: "OPTIONS", query: "EIO=4&transport=polling&sid=whatever", header: header})
		require.Equal(t, http.StatusNoContent, answer.status)
		allowed(t, answer, "https://friend.test")
		require.Equal(t, "GET, POST", answer.header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "content-type, x-app", answer.header.Get("Access-Control-Allow-Headers"))
	})
	t.Run("preflight of another origin", func(t *testing.T) {
		answer := s.must(request{method: "OPTIONS", header: from("https://evil.test")})
		require.Equal(t, http.StatusNoContent, answer.status)
		require.Empty(t, answer.header.Get("Access-Control-Allow-Origin"))
		require.Empty(t, answer.header.Get("Access-Control-Allow-Methods"))
	})
	t.Run("bytes that may not be in an origin", func(t *testing.T) {
		// net/http refuses them itself; behind another front they would come this far.
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", nil)
		r.Header.Set("Origin", "https://a\x01b")
		s.server.ServeHTTP(w, r)
		require.JSONEq(t, `{"code":3,"message":"Bad request"}`, w.Body.String())
	})
}

// Unless told otherwise, only a page of the same host gets in.
func TestOriginByDefault(t *testing.T) {
	s := serve(t, socketio.Options{})
	for origin, status := range map[string]int{"http://" + host: 200, "https://GATEWAY.test:80": 200, "http://gateway.test:81": 403, "null": 403, "http://x/%zz": 403} {
		answer := s.must(request{query: "EIO=4&transport=polling", header: http.Header{"Origin": {origin}}})
		require.Equal(t, status, answer.status, origin)
	}
}

func TestSessionLimit(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, socketio.Options{Sessions: 2, Registerer: reg})
	c := s.poll("4", "")
	s.open("3", "")
	answer := s.must(request{query: "EIO=4&transport=polling"})
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	require.JSONEq(t, `{"code":4,"message":"No more sessions"}`, answer.body)
	_, response, err := s.tryDial("4", "", nil)
	require.Error(t, err)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	c.post("1")
	require.Eventually(t, func() bool { return s.must(request{query: "EIO=4&transport=polling"}).status == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
}

// The names of other nodes' sessions lead to whoever takes their requests there.
func TestForeign(t *testing.T) {
	elsewhere := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Query().Get("sid")+" "+string(body))
	})
	s := serve(t, socketio.Options{
		NewID: func() string { return "n1." + time.Now().Format("150405.000000000") },
		Foreign: func(_ *http.Request, sid string) http.Handler {
			if strings.HasPrefix(sid, "n2.") {
				return elsewhere
			}
			return nil
		},
	})
	c := s.poll("4", "")
	require.True(t, strings.HasPrefix(c.sid, "n1."), c.sid)
	answer := s.must(request{query: "EIO=4&transport=polling&sid=n2.x"})
	require.Equal(t, "GET n2.x ", answer.body)
	require.Empty(t, answer.header.Get("Vary"), "the owner says all of it")
	require.Equal(t, "POST n2.x 4hello", s.must(request{method: "POST", query: "EIO=4&transport=polling&sid=n2.x", body: "4hello"}).body)
	require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, s.must(request{query: "EIO=4&transport=polling&sid=n3.x"}).body)
	c.post("4here")
	require.Equal(t, []string{"4here"}, c.get())
}

// A handler that Foreign gives can find the other node gone, and says so as the server itself would.
func TestRefuseUnknown(t *testing.T) {
	var server *socketio.Server
	reg := prometheus.NewRegistry()
	s := serve(t, socketio.Options{
		Registerer: reg,
		Origin:     func(_ *http.Request, origin string) bool { return origin == "https://friend.test" },
		Foreign: func(r *http.Request, sid string) http.Handler {
			require.Equal(t, sid, r.URL.Query().Get("sid"))
			if sid != "gone" {
				return nil
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.RefuseUnknown(w, r) })
		},
	})
	server = s.server
	compare := func(t *testing.T, ask func(sid string) reply) {
		t.Helper()
		own, given := ask("unknown"), ask("gone")
		for _, answer := range []*reply{&own, &given} {
			require.Contains(t, answer.body, "Session ID unknown")
			answer.header.Del("Date")
		}
		require.Equal(t, own, given)
	}
	for _, origin := range []string{"https://friend.test", "https://evil.test"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(method+" from "+origin, func(t *testing.T) {
				compare(t, func(sid string) reply {
					return s.must(request{method: method, query: "EIO=4&transport=polling&sid=" + sid, header: http.Header{"Origin": {origin}}})
				})
			})
		}
	}
	t.Run("WebSocket", func(t *testing.T) {
		compare(t, func(sid string) reply {
			_, response, err := s.tryDial("4", "&sid="+sid, nil)
			require.Error(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return reply{status: response.StatusCode, body: string(body), header: response.Header}
		})
	})
	require.Equal(t, 10.0, sample(t, reg, "signalbox_socketio_requests_refused_total", "1"))
}

func TestCookie(t *testing.T) {
	s := serve(t, socketio.Options{Cookie: func(sid string) *http.Cookie { return &http.Cookie{Name: "io", Value: sid, Path: "/", HttpOnly: true} }})
	answer := s.must(request{query: "EIO=4&transport=polling"})
	require.Regexp(t, `^io=[A-Za-z0-9_-]{20}; Path=/; HttpOnly$`, answer.header.Get("Set-Cookie"))
	_, response, err := s.tryDial("4", "", nil)
	require.NoError(t, err)
	require.Regexp(t, `^io=`, response.Header.Get("Set-Cookie"))
}

// Whoever reads the log must not be able to take over what a client has.
func TestLogHasNoIDs(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, socketio.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	var ids []string
	for _, eio := range []string{"3", "4"} {
		c := s.poll(eio, "")
		ids = append(ids, c.sid)
		_, hello := s.open(eio, "")
		ids = append(ids, hello.SID)
	}
	s.end()
	require.Contains(t, log.String(), "session ended")
	for _, id := range ids {
		require.NotContains(t, log.String(), id)
	}
}
