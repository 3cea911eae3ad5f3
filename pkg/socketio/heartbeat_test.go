package socketio_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// The numbers of the official test suites.
const (
	pingInterval = 300 * time.Millisecond
	pingTimeout  = 200 * time.Millisecond
)

func beating(j *journal) socketio.Options {
	return socketio.Options{PingInterval: pingInterval, PingTimeout: pingTimeout, Engine: j.handlers()}
}

// In version 4 the server pings, one interval after the handshake or the last pong.
func TestHeartbeatOfVersion4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, beating(newJournal()))
		c := s.poll("4", "")
		for range 3 {
			started := time.Now()
			require.Equal(t, []string{"2"}, c.get())
			require.Equal(t, pingInterval, time.Since(started))
			time.Sleep(50 * time.Millisecond)
			c.post("3")
		}
		ws, _ := s.open("4", "")
		for range 3 {
			started := time.Now()
			ws.expect("2")
			require.Equal(t, pingInterval, time.Since(started))
			time.Sleep(pingTimeout - time.Millisecond) // just in time
			ws.send("3")
		}
	})
}

// A client whose messages are handled slowly is not taken for dead, though its pong waits behind them. When it has fallen
// silent, it is.
func TestSlowlyHandledClientLives(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		for _, pause := range []time.Duration{pingTimeout / 2, 3 * (pingInterval + pingTimeout)} {
			t.Run(eio+" "+pause.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					closed := make(chan socketio.Reason, 2)
					opts := beating(newJournal())
					opts.Engine = &socketio.EngineHandlers{
						Message: func(s *socketio.Session, data []byte, _ bool) {
							time.Sleep(pause) // as one that holds its client to a rate
							s.Send(data)
						},
						Close: func(_ *socketio.Session, reason socketio.Reason) { closed <- reason },
					}
					s := serve(t, opts)
					c := s.poll(eio, "")
					ws, _ := s.open(eio, "")
					for range 10 {
						ws.send("4x")
					}
					var posting sync.WaitGroup
					posting.Go(func() { c.post(slices.Repeat([]string{"4x"}, 10)...) }) // answered when all is handled
					time.Sleep(10*pause - pause/2)
					require.Empty(t, drain(closed))
					posting.Wait()
					time.Sleep(pingInterval + pingTimeout)
					for range 2 {
						require.Equal(t, socketio.ReasonPingTimeout, <-closed)
					}
				})
			})
		}
	}
}

// In version 3 the client pings, and anything it sends is a sign of life.
func TestHeartbeatOfVersion3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		s := serve(t, beating(j))
		c := s.poll("3", "")
		ws, _ := s.open("3", "")
		for range 5 {
			time.Sleep(pingInterval + pingTimeout - time.Millisecond)
			c.post("2")
			require.Equal(t, []string{"3"}, c.get())
			ws.send("2")
			ws.expect("3")
		}
		for range 5 {
			time.Sleep(pingInterval + pingTimeout - time.Millisecond)
			c.post("4x")
			c.get()
			ws.send("4x")
			ws.expect("4x")
		}
		time.Sleep(pingInterval + pingTimeout)
		synctest.Wait() // who ends it wakes at the same moment
		c.requireGone()
		require.Equal(t, 1008, ws.readClose())
	})
}

// A silent client is gone when both times are over, to the millisecond, on whatever transport.
func TestPingTimeout(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		t.Run("polling", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				c := serve(t, beating(j)).poll(eio, "")
				time.Sleep(pingInterval + pingTimeout)
				synctest.Wait() // who ends it wakes at the same moment
				c.requireGone()
				j.wait(t, "open", "close ping timeout")
			})
		})
		t.Run("polling, not a moment before", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, beating(newJournal())).poll(eio, "")
				time.Sleep(pingInterval + pingTimeout - time.Millisecond)
				c.post("4x")
			})
		})
		t.Run("polling, GET waiting", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, beating(newJournal())).poll(eio, "")
				if eio == "4" {
					require.Equal(t, []string{"2"}, c.get())
				}
				require.Equal(t, []string{"1"}, c.get())
			})
		})
		t.Run("WebSocket", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				ws, _ := serve(t, beating(j)).open(eio, "")
				started := time.Now()
				ws.readClose()
				require.Equal(t, pingInterval+pingTimeout, time.Since(started))
				j.wait(t, "open", "close ping timeout")
			})
		})
		// The reference forgets the timer of version 3 here, so that a silent client is never removed.
		t.Run("after an upgrade", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				c := serve(t, beating(j)).poll(eio, "")
				time.Sleep(100 * time.Millisecond)
				ws := c.upgrade()
				synctest.Wait()
				started := time.Now()
				ws.readClose()
				require.LessOrEqual(t, time.Since(started), pingInterval+pingTimeout)
				j.wait(t, "open", "close ping timeout")
			})
		})
		// A frozen process keeps its connection and reads nothing.
		t.Run("a frozen client", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				s := serve(t, beating(j))
				ws, _ := s.open(eio, "")
				freeze(t, ws)
				time.Sleep(pingInterval + pingTimeout)
				synctest.Wait()
				require.Equal(t, []string{"open", "close ping timeout"}, j.all())
			})
		})
	})
}

// A pong, or anything else, that comes after the end does not bring a session back.
func TestLatePong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, beating(newJournal())).poll("4", "")
		time.Sleep(pingInterval + pingTimeout)
		synctest.Wait()
		require.Equal(t, 400, c.tryPost("3").status)
		c.requireGone()
	})
}

func drain[T any](c <-chan T) (all []T) {
	for {
		select {
		case one := <-c:
			all = append(all, one)
		default:
			return all
		}
	}
}
