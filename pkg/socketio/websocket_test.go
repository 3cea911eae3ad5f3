package socketio_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

func TestWebSocketMessages(t *testing.T) {
	s := serve(t, socketio.Options{})
	t.Run("version 4", func(t *testing.T) {
		ws, _ := s.open("4", "")
		ws.send("4hello", "4😀", "bin:\x01\x02", "bin:", "bAQI=")
		ws.expect("4hello", "4😀", "bin:\x01\x02", "bin:", "bin:\x01\x02")
	})
	t.Run("version 3", func(t *testing.T) {
		ws, _ := s.open("3", "")
		ws.send("4hello", "bin:\x04\x01\x02", "b4AQI=")
		ws.expect("4hello", "bin:\x04\x01\x02", "bin:\x04\x01\x02")
	})
	t.Run("version 3 with b64", func(t *testing.T) {
		ws, _ := s.open("3", "&b64=1")
		ws.send("b4AQI=", "4x")
		ws.expect("b4AQI=", "4x")
	})
	for _, length := range []int{124, 125, 126, 65534, 65535, 65536, 999_999} {
		ws, _ := s.open("4", "")
		long := "4" + strings.Repeat("x", length-1)
		ws.send(long, "bin:"+long)
		ws.expect(long, "bin:"+long)
	}
}

// Over TCP batches go by writev, over TLS in one piece; both carry the same.
func TestWebSocketOverTCPAndTLS(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server, err := socketio.New(socketio.Options{Engine: &socketio.EngineHandlers{Message: func(s *socketio.Session, data []byte, _ bool) {
			for range 20 {
				s.Send(data)
				s.SendBinary(data)
			}
		}}})
		require.NoError(t, err)
		front := httptest.NewUnstartedServer(server)
		scheme := "ws"
		if secure {
			front.StartTLS()
			scheme = "wss"
		} else {
			front.Start()
		}
		dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the test's own certificate
		conn, _, err := dialer.Dial(scheme+strings.TrimPrefix(front.URL, map[bool]string{false: "http", true: "https"}[secure])+"/socket.io/?EIO=4&transport=websocket", nil)
		require.NoError(t, err)
		ws := &wsClient{t: t, conn: conn}
		ws.read()
		ws.send("4hello")
		for range 20 {
			ws.expect("4hello", "bin:hello")
		}
		conn.Close()
		front.Close()
	}
}

func TestInvalidWebSocketMessage(t *testing.T) {
	for _, tc := range []struct {
		name, eio, message string
		code               int
	}{
		{"no packet", "4", "abc", 1003},
		{"empty", "4", "", 1003},
		{"not UTF-8", "4", "4\xff", 1003},
		{"a ping of a client of version 4", "4", "2", 1003},
		{"a pong of a client of version 3", "3", "3", 1003},
		{"an open packet", "3", "0{}", 1003},
		{"an upgrade packet", "4", "5", 1003},
		{"bytes without type, version 3", "3", "bin:\x01", 1003},
		{"too large", "4", "4" + strings.Repeat("x", 2000), 1009},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := newJournal()
			ws, _ := serve(t, socketio.Options{Engine: j.handlers(), MaxPayload: 2000}).open(tc.eio, "")
			ws.send(tc.message)
			require.Equal(t, tc.code, ws.readClose())
			j.wait(t, "open", "close parse error")
		})
	}
}

func TestWebSocketEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(ws *wsClient)
		want string
	}{
		{"close packet", func(ws *wsClient) { ws.send("1") }, "close transport close"},
		{"close frame", func(ws *wsClient) {
			_ = ws.conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		}, "close transport close"},
		{"socket gone", func(ws *wsClient) { ws.conn.NetConn().Close() }, "close transport error"},
		{"a flood of pings", func(ws *wsClient) {
			for range 20 {
				_ = ws.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
			}
		}, "close parse error"},
		{"an unmasked frame", func(ws *wsClient) { _, _ = ws.conn.NetConn().Write([]byte("\x81\x014")) }, "close parse error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := newJournal()
			ws, _ := serve(t, socketio.Options{Engine: j.handlers()}).open("4", "")
			tc.end(ws)
			j.wait(t, "open", tc.want)
			ws.readClose()
		})
	}
}

// A few pings of a client that is not a browser are answered.
func TestWebSocketPing(t *testing.T) {
	ws, _ := serve(t, socketio.Options{}).open("4", "")
	pong := make(chan string, 1)
	ws.conn.SetPongHandler(func(data string) error { pong <- data; return nil })
	require.NoError(t, ws.conn.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second)))
	ws.send("4x")
	ws.expect("4x")
	require.Equal(t, "are you there", <-pong)
}

// A message in more fragments than sense, and one that does not come to its end, are given up.
func TestSlowMessage(t *testing.T) {
	t.Run("fragments", func(t *testing.T) {
		j := newJournal()
		ws, _ := serve(t, socketio.Options{Engine: j.handlers()}).open("4", "")
		go func() {
			first, rest := []byte("\x01\x81\x00\x00\x00\x004"), []byte("\x00\x81\x00\x00\x00\x00x") // masked with zeros
			_, _ = ws.conn.NetConn().Write(first)
			for range 1000 {
				if _, err := ws.conn.NetConn().Write(rest); err != nil {
					return
				}
			}
		}()
		j.wait(t, "open", "close parse error")
	})
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			ws, _ := serve(t, socketio.Options{Engine: j.handlers(), ReadTimeout: time.Second}).open("4", "")
			_, err := ws.conn.NetConn().Write([]byte("\x81\x85\x00\x00\x00\x004"))
			require.NoError(t, err)
			started := time.Now()
			ws.readClose()
			require.Equal(t, time.Second, time.Since(started))
			j.wait(t, "open", "close transport error")
		})
	})
}

// A client that takes nothing is given up when a write has waited long enough.
func TestStuckWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		handlers := j.handlers()
		handlers.Message = func(s *socketio.Session, _ []byte, _ bool) {
			for range 3 {
				s.SendBinary(make([]byte, 1<<20))
			}
		}
		s := serve(t, socketio.Options{Engine: handlers, WriteTimeout: 2 * time.Second, PingInterval: time.Minute})
		ws, _ := s.open("4", "")
		ws.send("4go")
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"open", "close transport error"}, j.all())
	})
}

// bound opens a session of version 3 by polling and sends one more request, as every client does at once.
func bound(s *site, header http.Header) *pollClient {
	c := s.poll("3", "")
	c.header = header
	c.post("4x")
	c.get()
	return c
}

// The id of a session of version 3 is known to the peers; it is not enough to speak as the client, or to listen.
func TestBinding(t *testing.T) {
	key := func(r *http.Request) string { return r.Header.Get("X-Client") }
	victim, thief := http.Header{"X-Client": {"victim"}}, http.Header{"X-Client": {"thief"}}
	open := func(s *site, eio string) *pollClient {
		answer := s.must(request{query: "EIO=" + eio + "&transport=polling", header: victim})
		c := &pollClient{site: s, eio: eio, header: victim}
		packet := c.split(answer)[0]
		_, rest, _ := strings.Cut(packet, `"sid":"`)
		c.sid, _, _ = strings.Cut(rest, `"`)
		return c
	}
	t.Run("by the client's key", func(t *testing.T) {
		s := serve(t, socketio.Options{ClientKey: key})
		c := open(s, "3")
		stolen := *c
		stolen.header = thief
		stolen.requireGone()
		require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, stolen.tryPost("4as the victim").body)
		_, response, err := s.tryDial("3", "&sid="+c.sid, thief)
		require.Error(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "Session ID unknown", string(body))
		c.post("4still here")
		require.Equal(t, []string{"4still here"}, c.get())
		ws, _, err := s.tryDial("3", "&sid="+c.sid, victim)
		require.NoError(t, err)
		ws.send("2probe")
		ws.expect("3probe")
	})
	t.Run("version 4 has ids that nobody else sees", func(t *testing.T) {
		c := open(serve(t, socketio.Options{ClientKey: key}), "4")
		c.header = thief
		c.post("4x")
	})
	t.Run("by a cookie, once the client has shown it", func(t *testing.T) {
		s := serve(t, socketio.Options{BindingCookie: "sbio"})
		answer := s.must(request{query: "EIO=3&transport=polling"})
		require.Regexp(t, `^sbio=[A-Za-z0-9_-]{40}; Path=/socket.io/; HttpOnly; SameSite=Lax$`, answer.header.Get("Set-Cookie"))
		cookie, _, _ := strings.Cut(answer.header.Get("Set-Cookie"), ";")
		shown := http.Header{"Cookie": {cookie}}
		c := bound(s, shown)
		for name, header := range map[string]http.Header{
			"none": {}, "another": {"Cookie": {"sbio=" + strings.Repeat("A", 40)}}, "short": {"Cookie": {"sbio=A"}},
		} {
			stolen := *c
			stolen.header = header
			require.Equal(t, 400, stolen.getStatus().status, name)
		}
		c.post("4still here")

		// All sessions of a browser share one.
		require.Empty(t, s.must(request{query: "EIO=3&transport=polling", header: shown}).header.Get("Set-Cookie"))
		require.Empty(t, s.must(request{query: "EIO=4&transport=polling"}).header.Get("Set-Cookie"))
	})
	t.Run("a client without cookies", func(t *testing.T) {
		c := bound(serve(t, socketio.Options{BindingCookie: "sbio"}), nil)
		c.post("4still here")
		// Whoever comes with one later is another.
		c.header = http.Header{"Cookie": {"sbio=" + strings.Repeat("A", 40)}}
		c.post("4from the same address")
	})
	t.Run("the cookie of a page of another origin", func(t *testing.T) {
		server, err := socketio.New(socketio.Options{Engine: &socketio.EngineHandlers{}, BindingCookie: "sbio"})
		require.NoError(t, err)
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://x/socket.io/?EIO=3&transport=polling", nil)
		server.ServeHTTP(w, r)
		require.Regexp(t, `; HttpOnly; Secure; SameSite=None$`, w.Header().Get("Set-Cookie"))
	})
}

func TestClientAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"@": "@", "nonsense": "nonsense",
	} {
		require.Equal(t, want, socketio.ClientAddress(&http.Request{RemoteAddr: remote}), remote)
	}
}
