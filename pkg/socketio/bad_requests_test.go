package socketio_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// Each row is a request that opens no session, and reaches none.
func TestBadRequests(t *testing.T) {
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for _, tc := range []struct {
		name   string
		q      request
		status int
		body   string
		want   metric
	}{
		{"NoTransport", request{query: "EIO=4"}, 400, `{"code":0,"message":"Transport unknown"}`, refused(0)},
		{"UnknownTransport", request{query: "EIO=4&transport=flash"}, 400, `{"code":0,"message":"Transport unknown"}`, refused(0)},
		{"UnknownID", request{query: "EIO=4&transport=polling&sid=x"}, 400, `{"code":1,"message":"Session ID unknown"}`, refused(1)},
		{"UnknownIDOfUpgrade", request{query: "EIO=4&transport=websocket&sid=x", header: upgrade}, 400, "Session ID unknown", refused(1)},
		{"HandshakeByPost", request{method: "POST", query: "EIO=4&transport=polling", body: "40"}, 400, `{"code":2,"message":"Bad handshake method"}`, refused(2)},
		{"AnotherMethod", request{method: "DELETE", query: "EIO=4&transport=polling"}, 400, `{"code":2,"message":"Bad handshake method"}`, refused(2)},
		{"JSONP", request{query: "EIO=3&transport=polling&j=0"}, 400, `{"code":3,"message":"Bad request"}`, refused(3)},
		{"WebSocketWithoutUpgrade", request{query: "EIO=4&transport=websocket"}, 400, `{"code":3,"message":"Bad request"}`, refused(3)},
		{"UpgradeOfPolling", request{query: "EIO=4&transport=polling", header: upgrade}, 400, "Bad request", refused(3)},
		{"LargeQuery", request{query: "EIO=4&transport=polling&x=" + strings.Repeat("x", 20_000)}, 400, `{"code":3,"message":"Bad request"}`, refused(3)},
		{"LargeHeader", request{query: "EIO=4&transport=polling", header: http.Header{"Authorization": {strings.Repeat("x", 20_000)}}}, 400, `{"code":3,"message":"Bad request"}`, refused(3)},
		{"AnotherOrigin", request{query: "EIO=4&transport=polling", header: http.Header{"Origin": {"http://evil.test"}}}, 403, `{"code":4,"message":"Forbidden"}`, refused(4)},
		{"NoVersion", request{query: "transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`, refused(5)},
		{"Version2", request{query: "EIO=2&transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`, refused(5)},
		{"Version5", request{query: "EIO=5&transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`, refused(5)},
		{"VersionOfLetters", request{query: "EIO=four&transport=polling"}, 400, `{"code":5,"message":"Unsupported protocol version"}`, refused(5)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := attacked(t, socketio.Options{})
			answer := a.must(tc.q)
			require.Equal(t, tc.status, answer.status)
			require.Equal(t, tc.body, answer.body)
			a.requireUnharmed(tc.want)
		})
	}
}

// Nobody finds a session by trying, and trying does no harm.
func TestGuessedIDs(t *testing.T) {
	a := attacked(t, socketio.Options{})
	own := a.poll("4", "").sid
	guesses := repeat(2000, func(i int) string { return fmt.Sprintf("%020d", i) })
	guesses = append(guesses, "constructor", "__proto__", "toString", "%00", "..%2F..%2F", strings.Repeat("A", 20), strings.Repeat("A", 5000),
		own[:19], own+"A", own+"%00", "%20"+own)
	for _, sid := range guesses {
		answer := a.must(request{query: "EIO=4&transport=polling&sid=" + sid})
		require.Equal(t, `{"code":1,"message":"Session ID unknown"}`, answer.body, sid)
	}
	(&pollClient{site: a.site, sid: own, eio: "4"}).post("1")
	a.requireUnharmed(metric{"requests_refused_total", "1", float64(len(guesses))})
}

// The peers of a client of version 3 know its session's id. It is worth nothing to them, by either transport.
func TestStolenID(t *testing.T) {
	a := attacked(t, socketio.Options{ClientKey: func(r *http.Request) string { return r.Header.Get("X-Client") }})
	thief := *a.polling
	thief.header = http.Header{"X-Client": {"thief"}}
	thief.requireGone()
	require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, thief.tryPost(`42["echo"]`).body)
	_, response, err := a.tryDial("3", "&sid="+thief.sid, thief.header)
	require.Error(t, err)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	a.requireUnharmed(metric{"requests_refused_total", "1", 3})
}

// A body that is too large, too slow or cut off ends its session.
func TestBadBodies(t *testing.T) {
	large := strings.Repeat("x", 2000)
	post := func(a *target, c *pollClient, body io.Reader) (status int) {
		r, err := http.NewRequestWithContext(a.site.t.Context(), http.MethodPost, "http://"+host+"/socket.io/?"+c.query(), body)
		require.NoError(a.site.t, err)
		response, err := c.client.Do(r)
		require.NoError(a.site.t, err)
		response.Body.Close()
		return response.StatusCode
	}
	for _, tc := range []struct {
		name string
		post func(a *target, c *pollClient)
		want []metric
	}{
		{"TooLarge", func(a *target, c *pollClient) {
			require.Equal(a.site.t, 413, post(a, c, strings.NewReader("4"+large)))
		}, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"TooLargeInChunks", func(a *target, c *pollClient) {
			require.Equal(a.site.t, 413, post(a, c, io.MultiReader(strings.NewReader("4"), strings.NewReader(large))))
		}, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"TooLargeUnsent", func(a *target, c *pollClient) { // refused for what it says of itself
			conn, err := a.connect(a.site.t.Context(), "tcp", host)
			require.NoError(a.site.t, err)
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "POST /socket.io/?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n", c.query())
			require.NoError(a.site.t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(a.site.t, err)
			response.Body.Close()
			require.Equal(a.site.t, 413, response.StatusCode)
		}, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"TooSlow", func(a *target, c *pollClient) { // one byte after the other, so that it is never silent
			conn, err := a.connect(a.site.t.Context(), "tcp", host)
			require.NoError(a.site.t, err)
			started := time.Now()
			_, err = fmt.Fprintf(conn, "POST /socket.io/?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", c.query())
			require.NoError(a.site.t, err)
			go func() {
				for err := error(nil); err == nil; _, err = conn.Write([]byte("4")) {
					<-time.After(70 * time.Millisecond)
				}
			}()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(a.site.t, err)
			response.Body.Close()
			require.Equal(a.site.t, 400, response.StatusCode)
			require.Equal(a.site.t, 2*time.Second, time.Since(started))
			conn.Close()
		}, []metric{invalid(socketio.BadTime), closed(socketio.ReasonTransportError)}},
		{"CutOff", func(a *target, c *pollClient) {
			conn, err := a.connect(a.site.t.Context(), "tcp", host)
			require.NoError(a.site.t, err)
			_, err = fmt.Fprintf(conn, "POST /socket.io/?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42", c.query())
			require.NoError(a.site.t, err)
			require.NoError(a.site.t, conn.Close())
		}, []metric{closed(socketio.ReasonTransportError)}},
		{"BytesInVersion4", func(a *target, c *pollClient) {
			c.header = http.Header{"Content-Type": {"application/octet-stream"}}
			require.Equal(a.site.t, 400, c.postBody("\x00\x01\xff4").status)
		}, []metric{invalid(socketio.BadForm), closed(socketio.ReasonParseError)}},
		{"WrongLength", func(a *target, _ *pollClient) {
			c := a.poll("3", "")
			require.Equal(a.site.t, 400, c.postBody("999999999:4x").status)
		}, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"BadBase64", func(a *target, c *pollClient) {
			require.Equal(a.site.t, 400, c.postBody("b!!!!").status)
		}, []metric{invalid(socketio.BadBase64), closed(socketio.ReasonParseError)}},
		{"Empty", func(a *target, c *pollClient) {
			require.Equal(a.site.t, 400, c.postBody("").status)
		}, []metric{invalid(socketio.BadEnginePacket), closed(socketio.ReasonParseError)}},
		{"PingFlood", func(a *target, _ *pollClient) { // each has its pong wait for a client that does not come for it
			c := a.poll("3", "")
			require.Equal(a.site.t, 200, c.postBody(strings.Repeat("1:2", 600)).status)
		}, []metric{closed(socketio.ReasonSlow)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := attacked(t, socketio.Options{MaxPayload: 2000, ReadTimeout: 2 * time.Second, PingInterval: time.Minute, QueuePackets: 500})
				c := a.poll("4", "")
				tc.post(a, c)
				synctest.Wait()
				if a.counted("sessions", "polling") > 1 {
					c.tryPost("1")
				}
				a.requireUnharmed(tc.want...)
				time.Sleep(time.Second) // net/http waits for a client whose body was too large
			})
		})
	}
}

// What a WebSocket's frames can do wrong, or a client with them.
func TestBadWebSocketFrames(t *testing.T) {
	masked := func(first byte, text string) string { // with a mask of zeros
		return string([]byte{first, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
	}
	for _, tc := range []struct {
		name string
		send []string
		code int
		want []metric
	}{
		{"TooLarge", []string{"\x81\xfe\x0f\xff\x00\x00\x00\x004"}, 1009, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"LengthOfExabytes", []string{"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x004"}, 1009, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"TooLargeInFragments", repeat(30, func(i int) string {
			if i == 0 {
				return masked(0x01, "4"+strings.Repeat("x", 99))
			}
			return masked(0x00, strings.Repeat("x", 100))
		}), 1009, []metric{invalid(socketio.BadLength), closed(socketio.ReasonParseError)}},
		{"TooSlow", []string{"\x81\x85\x00\x00\x00\x004"}, 1008, []metric{invalid(socketio.BadTime), closed(socketio.ReasonTransportError)}},
		{"Fragments", repeat(1000, func(i int) string {
			if i == 0 {
				return masked(0x01, "4")
			}
			return masked(0x00, "x")
		}), 1008, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"PingFlood", repeat(20, func(int) string { return masked(0x89, "x") }), 1008, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"PongFlood", repeat(20, func(int) string { return masked(0x8a, "x") }), 1008, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"Unmasked", []string{"\x81\x014"}, 1002, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"Compressed", []string{masked(0xc1, "4x")}, 1002, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"ReservedOpcode", []string{masked(0x83, "4x")}, 1002, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"ContinuationFirst", []string{masked(0x80, "4x")}, 1002, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"FragmentedPing", []string{masked(0x09, "x")}, 1002, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
		{"CloseCodeThatIsNone", []string{masked(0x88, "\x03\xed")}, 1002, []metric{invalid(socketio.BadFrame), closed(socketio.ReasonParseError)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := attacked(t, socketio.Options{MaxPayload: 2000, ReadTimeout: 2 * time.Second, PingInterval: time.Minute})
				ws, _ := a.open("4", "")
				go func() {
					for _, frame := range tc.send {
						if _, err := io.WriteString(ws.conn.NetConn(), frame); err != nil {
							return
						}
					}
				}()
				require.Equal(t, tc.code, ws.readClose())
				a.requireUnharmed(tc.want...)
			})
		})
	}
}

// What a polling client can do wrong beside what it says.
func TestBadPolls(t *testing.T) {
	for _, tc := range []struct {
		name string
		poll func(a *target, c *pollClient)
		want []metric
	}{
		{"OverlappingGets", func(a *target, c *pollClient) {
			first := c.start()
			synctest.Wait()
			require.Equal(a.site.t, 400, c.getStatus().status)
			require.Equal(a.site.t, []string{"1"}, c.split(<-first))
		}, []metric{refused(3), closed(socketio.ReasonTransportError)}},
		{"OverlappingPosts", func(a *target, c *pollClient) {
			body, half := io.Pipe()
			var first sync.WaitGroup
			first.Go(func() {
				r, err := http.NewRequestWithContext(a.site.t.Context(), http.MethodPost, "http://"+host+"/socket.io/?"+c.query(), body)
				if err != nil {
					panic(err)
				}
				if response, err := c.client.Do(r); err == nil {
					response.Body.Close()
				}
			})
			_, err := half.Write([]byte(`42["x"]`))
			require.NoError(a.site.t, err)
			synctest.Wait()
			require.Equal(a.site.t, 400, c.tryPost(`42["x"]`).status)
			half.Close()
			first.Wait()
		}, []metric{refused(3), closed(socketio.ReasonTransportError)}},
		{"AbortedGet", func(a *target, c *pollClient) {
			ctx, cancel := context.WithTimeout(a.site.t.Context(), time.Second)
			defer cancel()
			_, err := c.do(ctx, request{query: c.query()})
			require.Error(a.site.t, err)
		}, []metric{closed(socketio.ReasonTransportError)}},
		{"NeverPolls", func(_ *target, c *pollClient) { c.post("40") }, []metric{closed(socketio.ReasonPingTimeout)}},
		{"NeverConnects", func(a *target, c *pollClient) {
			c.post("1")
			ws, _ := a.open("4", "")
			go func() {
				_, _, _ = ws.conn.ReadMessage()
				_ = ws.conn.WriteMessage(1, []byte("3")) // it is alive
			}()
		}, []metric{closed(socketio.ReasonConnectTimeout)}},
		{"NeverReads", func(a *target, c *pollClient) { // what is sent to it
			c.post("40")
			c.post(repeat(600, func(int) string { return `42["echo"]` })...)
		}, []metric{closed(socketio.ReasonSlow)}},
		{"NeverReadsWebSocket", func(a *target, _ *pollClient) {
			ws, _ := a.open("4", "")
			ws.in("40")
			freeze(a.site.t, ws)
			for range 4 {
				a.socket("/").Emit(socketio.Event{Name: "x", Args: args(`"` + strings.Repeat("x", 500_000) + `"`)})
			}
		}, []metric{closed(socketio.ReasonTransportError)}},
		{"PollsAfterUpgrade", func(a *target, c *pollClient) {
			ws := c.upgrade()
			ws.send("40")
			ws.read()
			require.Equal(a.site.t, 400, c.getStatus().status)
			require.Equal(a.site.t, 400, c.tryPost(`42["x"]`).status)
			ws.send("1")
		}, []metric{{"requests_refused_total", "3", 2}, closed(socketio.ReasonTransportClose)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := attacked(t, socketio.Options{PingInterval: 20 * time.Second, PingTimeout: 10 * time.Second, ConnectTimeout: 25 * time.Second, QueuePackets: 500})
				c := a.poll("4", "")
				tc.poll(a, c)
				for range 2 { // until the attacker's heartbeat has found out, if nothing else did
					a.ws.expect("2")
					a.ws.send("3")
					a.polling.post("2")
					require.Equal(t, []string{"3"}, a.polling.get())
				}
				a.requireUnharmed(tc.want...)
				require.NotContains(t, strings.Join(a.all(), "\n"), "event / x")
			})
		})
	}
}

// A WebSocket that does not take over, or more of them than one, harm neither their session nor the server.
func TestBadProbes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		probe func(a *target, c *pollClient)
		want  []metric
	}{
		{"NeverProbes", func(a *target, c *pollClient) {
			require.Equal(a.site.t, 1008, a.dial("4", "&sid="+c.sid).readClose())
		}, []metric{{"upgrades_total", "failed", 1}}},
		{"NeverUpgrades", func(a *target, c *pollClient) {
			ws := a.dial("4", "&sid="+c.sid)
			ws.send("2probe")
			ws.expect("3probe")
			require.Equal(a.site.t, 1008, ws.readClose())
		}, []metric{{"upgrades_total", "failed", 1}}},
		{"SomethingElse", func(a *target, c *pollClient) {
			ws := a.dial("4", "&sid="+c.sid)
			ws.send(`42["x"]`)
			require.Equal(a.site.t, 1008, ws.readClose())
		}, []metric{{"upgrades_total", "failed", 1}}},
		{"Slow", func(a *target, c *pollClient) { // byte by byte, to last longer than it may
			ws := a.dial("4", "&sid="+c.sid)
			_, err := ws.conn.NetConn().Write([]byte("\x81\x86\x00"))
			require.NoError(a.site.t, err)
			require.Equal(a.site.t, 1008, ws.readClose())
		}, []metric{{"upgrades_total", "failed", 1}}},
		{"Many", func(a *target, c *pollClient) {
			first := a.dial("4", "&sid="+c.sid)
			synctest.Wait() // it is the one that is heard, which dialing alone does not tell
			for range 300 {
				require.Equal(a.site.t, 1008, a.dial("4", "&sid="+c.sid).readClose())
			}
			require.Equal(a.site.t, 1008, first.readClose())
		}, []metric{{"upgrades_total", "refused", 300}, {"upgrades_total", "failed", 1}}},
		{"OneAfterTheOther", func(a *target, c *pollClient) {
			for range 300 {
				ws := a.dial("4", "&sid="+c.sid)
				ws.send("5")
				require.Equal(a.site.t, 1008, ws.readClose())
			}
		}, []metric{{"upgrades_total", "failed", 300}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := attacked(t, socketio.Options{PingInterval: time.Minute, UpgradeTimeout: 5 * time.Second})
				c := a.poll("4", "")
				c.post("40")
				c.get()
				started := time.Now()
				tc.probe(a, c)
				require.LessOrEqual(t, time.Since(started), 5*time.Second)
				c.post(`42["echo"]`)
				require.Equal(t, []string{`42["echo"]`}, c.get())
				ws := c.upgrade()
				ws.send(`42["echo"]`)
				ws.expect(`42["echo"]`)
				ws.send("1")
				ws.readClose()
				a.requireUnharmed(append(tc.want, metric{"upgrades_total", "done", 1})...)
				require.NotContains(t, strings.Join(a.all(), "\n"), "event / x")
			})
		})
	}
}

// Sessions are not opened without end.
func TestTooManySessions(t *testing.T) {
	a := attacked(t, socketio.Options{Sessions: 20})
	var own []*pollClient
	for range 18 {
		own = append(own, a.poll("4", ""))
	}
	for range 100 {
		require.Equal(t, http.StatusServiceUnavailable, a.must(request{query: "EIO=4&transport=polling"}).status)
	}
	_, response, err := a.tryDial("3", "", nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	for _, c := range own {
		c.post("1")
	}
	a.requireUnharmed(metric{"requests_refused_total", "4", 101})
}
