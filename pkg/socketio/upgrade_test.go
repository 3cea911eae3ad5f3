package socketio_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// The GET that waits is let go with a noop at once, and everything goes by WebSocket after the upgrade packet.
func TestUpgrade(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			c := serve(t, socketio.Options{Engine: j.handlers()}).poll(eio, "")
			waiting := c.start()
			synctest.Wait()
			ws := c.dial(eio, "&sid="+c.sid)
			ws.send("2probe")
			ws.expect("3probe")
			started := time.Now()
			require.Equal(t, []string{"6"}, c.split(<-waiting))
			require.Zero(t, time.Since(started))

			require.Equal(t, []string{"6"}, c.get()) // one that comes late, too
			c.post("4by polling")
			require.Equal(t, []string{"4by polling"}, c.get())
			ws.send("5")
			ws.send("4by WebSocket")
			ws.expect("4by WebSocket")
			require.Equal(t, http.StatusBadRequest, c.getStatus().status)
			require.Equal(t, []string{"open", "message by polling", "message by WebSocket"}, j.all())
		})
	})
}

// What waited when the upgrade packet came is not lost, and comes before what is sent then.
func TestUpgradeKeepsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, socketio.Options{}).poll("3", "")
		ws := c.dial("3", "&sid="+c.sid)
		ws.send("2probe")
		ws.expect("3probe")
		c.post("4one", "bin:\x02")
		ws.send("5", "4three")
		ws.expect("4one", "bin:\x04\x02", "4three")
	})
}

// A GET that waits when the upgrade packet comes, against the rules, is refused and takes nothing away.
func TestUpgradeUnderGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, socketio.Options{}).poll("4", "")
		ws := c.dial("4", "&sid="+c.sid)
		ws.send("2probe")
		ws.expect("3probe")
		waiting := c.start()
		synctest.Wait()
		ws.send("5", "4x")
		require.Equal(t, http.StatusBadRequest, (<-waiting).status)
		ws.expect("4x")
	})
}

// What comes of a WebSocket that does not get to its upgrade packet does no harm to polling.
func TestFailedUpgrade(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(ws *wsClient)
		after time.Duration
	}{
		{"closed before the probe", func(ws *wsClient) { ws.conn.Close() }, 0},
		{"closed after the probe", func(ws *wsClient) { ws.send("2probe"); ws.expect("3probe"); ws.conn.Close() }, 0},
		{"something else first", func(ws *wsClient) { ws.send("4hello") }, 0},
		{"another ping", func(ws *wsClient) { ws.send("2") }, 0},
		{"an upgrade without probe", func(ws *wsClient) { ws.send("5") }, 0},
		{"no packet", func(ws *wsClient) { ws.send("abc") }, 0},
		{"something else after the probe", func(ws *wsClient) { ws.send("2probe"); ws.expect("3probe"); ws.send("4hello") }, 0},
		{"no probe in time", func(*wsClient) {}, time.Second},
		{"no upgrade in time", func(ws *wsClient) { ws.send("2probe"); ws.expect("3probe") }, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				c := serve(t, socketio.Options{Engine: j.handlers(), UpgradeTimeout: time.Second}).poll("4", "")
				ws := c.dial("4", "&sid="+c.sid)
				started := time.Now()
				tc.spoil(ws)
				ws.readClose()
				require.Equal(t, tc.after, time.Since(started))
				synctest.Wait()

				c.post("4still here")
				require.Equal(t, []string{"4still here"}, c.get())
				waiting := c.start()
				synctest.Wait()
				require.Empty(t, waiting, "nothing is let go any more")
				again := c.dial("4", "&sid="+c.sid)
				again.send("2probe")
				again.expect("3probe")
				require.Equal(t, "6", (<-waiting).body)
				again.send("5", "4hello")
				again.expect("4hello")
				require.Equal(t, []string{"open", "message still here", "message hello"}, j.all())
			})
		})
	}
}

// Only one WebSocket at a time may take over, and none after one has.
func TestSecondWebSocket(t *testing.T) {
	s := serve(t, socketio.Options{})
	c := s.poll("4", "")
	first := s.dial("4", "&sid="+c.sid)
	first.send("2probe")
	first.expect("3probe")
	s.dial("4", "&sid="+c.sid).readClose()
	first.send("5", "4a")
	first.expect("4a")
	s.dial("4", "&sid="+c.sid).readClose()
	first.send("4b")
	first.expect("4b")

	ws, hello := s.open("4", "")
	s.dial("4", "&sid="+hello.SID).readClose()
	ws.send("4c")
	ws.expect("4c")
}

// The session can end at every point of an upgrade, and its seat is given up each time.
func TestEndWhileUpgrading(t *testing.T) {
	for _, steps := range []int{0, 1, 2, 3} {
		for name, end := range map[string]func(c *pollClient, ws *wsClient){
			"client closes": func(c *pollClient, _ *wsClient) { c.tryPost("1") },
			"silence":       nil,
			"bad input":     func(c *pollClient, ws *wsClient) { c.postBody("abc"); _ = ws.conn.WriteMessage(1, []byte("abc")) },
		} {
			t.Run(fmt.Sprintf("%s after %d steps", name, steps), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					j := newJournal()
					c := serve(t, beating(j)).poll("4", "")
					ws := c.dial("4", "&sid="+c.sid)
					if steps > 0 {
						ws.send("2probe")
					}
					if steps > 1 {
						ws.expect("3probe")
					}
					if steps > 2 {
						ws.send("5")
					}
					synctest.Wait()
					if end == nil {
						time.Sleep(pingInterval + pingTimeout)
					} else {
						end(c, ws)
					}
					if end != nil && steps > 2 {
						ws.send("1")
					}
					ws.readClose()
					synctest.Wait()
					require.Len(t, j.all(), 2)
					require.Regexp(t, "^close ", j.all()[1])
				})
			})
		}
	}
}

// 300 messages each way across an upgrade come in order, whatever the timing.
func TestOrderAcrossUpgrade(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		const count = 300
		sent := make(chan struct{})
		s := serve(t, socketio.Options{Engine: &socketio.EngineHandlers{
			Open: func(s *socketio.Session) {
				go func() { // it ends by itself
					defer close(sent)
					for i := range count {
						s.Send(fmt.Appendf(nil, "%d", i))
					}
				}()
			},
		}})
		c := s.poll(eio, "")
		var mu sync.Mutex
		var got []string
		add := func(packets []string) {
			mu.Lock()
			defer mu.Unlock()
			for _, packet := range packets {
				if packet != "6" {
					got = append(got, packet)
				}
			}
		}
		add(c.first)
		probed := make(chan struct{})
		polled := make(chan struct{})
		go func() {
			defer close(polled)
			for {
				answer, err := c.do(t.Context(), request{query: c.query()})
				if err != nil || answer.status != http.StatusOK {
					return
				}
				add(c.split(answer))
				select {
				case <-probed:
					return
				default:
				}
			}
		}()
		ws := s.dial(eio, "&sid="+c.sid)
		ws.send("2probe")
		ws.expect("3probe")
		close(probed)
		<-polled
		ws.send("5")
		<-sent
		for len(got) < count {
			add([]string{ws.read()})
		}
		for i, packet := range got {
			require.Equal(t, fmt.Sprintf("4%d", i), packet)
		}
	})
}

// A POST that is being handled when the upgrade packet comes is finished before what the WebSocket brings.
func TestUpgradeWaitsForPost(t *testing.T) {
	j, slow, hold := newJournal(), make(chan struct{}), make(chan struct{})
	c := serve(t, socketio.Options{Engine: &socketio.EngineHandlers{Message: func(_ *socketio.Session, data []byte, _ bool) {
		if string(data) == "slow" {
			close(slow)
			<-hold
		}
		j.add(string(data))
	}}}).poll("4", "")
	ws := c.dial("4", "&sid="+c.sid)
	ws.send("2probe")
	ws.expect("3probe")
	posted := make(chan reply, 1)
	go func() { posted <- c.tryPost("4slow", "4first") }()
	<-slow
	ws.send("5", "4second")
	close(hold)
	require.Equal(t, "ok", (<-posted).body)
	j.wait(t, "slow", "first", "second")
}

// A session that the server closes while its client is about to change: the client has stopped polling already, so what
// is left to say goes by WebSocket.
func TestServerClosesWhileUpgrading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		handlers := j.handlers()
		handlers.Message = func(s *socketio.Session, data []byte, _ bool) {
			s.Send(data)
			s.Close()
		}
		c := serve(t, socketio.Options{Engine: handlers}).poll("3", "")
		ws := c.dial("3", "&sid="+c.sid)
		ws.send("2probe")
		ws.expect("3probe")
		c.post("4bye")
		j.wait(t, "open", "close forced close")
		ws.send("5")
		ws.expect("4bye")
		require.Equal(t, 1000, ws.readClose())
		synctest.Wait()
		c.requireGone()
	})
}
