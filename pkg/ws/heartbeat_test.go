package ws_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

const (
	heartbeat        = 25 * time.Second
	heartbeatTimeout = 10 * time.Second
)

// beating gives a connection in a bubble of fake time whose pings are written.
func beating(t *testing.T, s *server) (*client, <-chan *reading) {
	t.Helper()
	c, conn := s.connect()
	require.NoError(t, c.SetDeadline(time.Time{}))
	_, stop := bindWriter(conn)
	done := make(chan *reading, 1)
	go func() {
		got := readBound(conn)
		stop()
		done <- got
	}()
	return c, done
}

// nextPing reads to the next ping.
func (c *client) nextPing() {
	c.tb.Helper()
	for {
		op, _, err := c.next()
		require.NoError(c.tb, err)
		if op == opPing {
			return
		}
	}
}

// Connections that came together, after a gateway's end for one, would otherwise be pinged together for ever.
func TestHeartbeatSpreadsFirstPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := overMemory(t, ws.Options{})
		begun := time.Now()
		const connections = 60
		var seconds [25]int
		first := make(chan time.Duration, connections)
		for range connections {
			c, done := beating(t, s)
			go func() {
				c.nextPing()
				first <- time.Since(begun)
				c.try(closeFrame(1000, ""))
				<-done
			}()
		}
		for range connections {
			after := <-first
			require.Positive(t, after)
			require.LessOrEqual(t, after, heartbeat+1)
			seconds[min(int(after/time.Second), 24)]++
		}
		used := 0
		for _, count := range seconds {
			require.Less(t, count, connections/3, "%v", seconds)
			if count > 0 {
				used++
			}
		}
		require.Greater(t, used, 10, "%v", seconds)
	})
}

// A client whose network is gone sends no FIN: without the heartbeat it would keep its seat until TCP gives up, hours
// later.
func TestHeartbeatClosesSilentClient(t *testing.T) {
	for name, freeze := range map[string]bool{"DoesNotAnswer": false, "NetworkGone": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := overMemory(t, ws.Options{})
				begun := time.Now()
				c, done := beating(t, s)
				if freeze {
					c.Conn.(*memnet.Conn).Freeze()
				} else {
					c.nextPing()
					pinged := time.Now()
					code, _ := c.readClose()
					require.Equal(t, wire.CloseHeartbeat, code)
					require.Equal(t, heartbeatTimeout, time.Since(pinged))
				}
				got := <-done
				code, left := got.ended.Ended()
				require.Equal(t, wire.CloseHeartbeat, code, got.err)
				require.False(t, left)
				require.LessOrEqual(t, time.Since(begun), heartbeat+heartbeatTimeout+2*time.Second)
				require.Zero(t, limited(t, s.registry, "message_time"), "silence is no broken rule")
			})
		})
	}
}

// Whatever a client sends is a sign of life; a live one is never closed, and pinged once a period.
func TestHeartbeatKeepsLiveClient(t *testing.T) {
	for name, answer := range map[string][]byte{
		"Pong":    frame(opPong, ""),
		"Message": frame(opText, ping),
		"Ping":    frame(opPing, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := overMemory(t, ws.Options{})
				c, done := beating(t, s)
				c.nextPing()
				c.write(answer)
				begun := time.Now()
				const beats = 100
				for range beats {
					c.nextPing()
					time.Sleep(9 * time.Second) // late, but in time
					c.write(answer)
				}
				require.InDelta(t, beats*heartbeat.Seconds(), time.Since(begun).Seconds(), 10)
				c.write(closeFrame(1000, ""))
				c.requireClosed(1000)
				<-done
			})
		})
	}
}

// A long message on a slow line began before the ping, and its sender cannot answer before it is through.
func TestHeartbeatWaitsForALongMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := overMemory(t, ws.Options{})
		c, done := beating(t, s)
		c.nextPing()
		c.write(frame(opPong, ""))
		time.Sleep(heartbeat - time.Second)
		c.write(fragment(opText, ping[:5])) // a second before the next ping
		c.nextPing()
		time.Sleep(8 * time.Second)
		c.write(frame(opContinuation, ping[5:]))
		time.Sleep(5 * time.Second)
		c.write(frame(opPong, ""))
		c.write(closeFrame(1000, ""))
		c.requireClosed(1000)
		require.Equal(t, []int64{1}, (<-done).requests)
	})
}

// The timer of a connection that has ended must neither write nor hold it.
func TestHeartbeatEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := overMemory(t, ws.Options{})
		c, conn := s.connect()
		conn.Bind(func(*wire.Frame) { t.Error("a ping after the end") })
		require.NoError(t, c.Close())
		readBound(conn)
		time.Sleep(time.Hour)
	})
}
