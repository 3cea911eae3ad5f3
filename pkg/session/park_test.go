package session_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// parkingConn is a conn that is parked whenever nothing waits to be read.
type parkingConn struct {
	*conn

	mu     sync.Mutex
	resume func()
	parks  int
}

var _ session.Parker = (*parkingConn)(nil)

// Park implements session.Parker.
func (c *parkingConn) Park(resume func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) > 0 || c.farewell().code != 0 {
		return false
	}
	c.resume = resume
	c.parks++
	return true
}

// Close implements session.Conn.
func (c *parkingConn) Close(code wire.CloseCode, reason string) {
	c.conn.Close(code, reason)
	c.wake()
}

// wake has the session go on, and reports whether it was parked.
func (c *parkingConn) wake() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	resume := c.resume
	if c.resume = nil; resume != nil {
		go resume()
	}
	return resume != nil
}

// parked tells how often the session was parked, and whether it is.
func (c *parkingConn) parked() (times int, now bool) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parks, c.resume != nil
}

// park gives a session that has said hello and is parked.
func (g *gateway) park(tb testing.TB) (*client, *parkingConn) {
	tb.Helper()
	parking := &parkingConn{conn: newConn()}
	c := g.serveBy(parking.conn, parking, session.Client{Transport: "test"})
	c.ok(helloOpen, new(wire.Welcome))
	_, now := parking.parked()
	require.True(tb, now)
	return c, parking
}

// Before its hello a session has a deadline that nobody would keep for it.
func TestSilentSessionIsParked(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		parking := &parkingConn{conn: newConn()}
		c := g.serveBy(parking.conn, parking, session.Client{Transport: "test"})
		times, _ := parking.parked()
		require.Zero(t, times)
		c.ok(helloOpen, new(wire.Welcome))
		for id, text := range []string{`{"id":2,"type":"join","room":"r"}`, `{"id":3,"type":"ping"}`, `not JSON`} {
			times, now := parking.parked()
			require.True(t, now)
			require.Equal(t, id+1, times)
			c.say(text)
			require.True(t, parking.wake())
			c.reply()
		}
		_, now := parking.parked()
		require.True(t, now)
		require.Equal(t, 1, g.sessions.Count())
		c.requests <- step{err: &ended{code: 1000, left: true}}
		require.True(t, parking.wake())
		<-c.served
		require.Zero(t, g.sessions.Count())
		require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "client", "normal"))
		require.Zero(t, g.metric("signalbox_connections", "test"))
		require.Zero(t, g.metric("signalbox_sessions"))
	})
}

// A parked session has its seat, and is told what happens in the room.
func TestParkedSessionIsServed(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		ada, parking := g.park(t)
		ada.say(`{"id":2,"type":"join","room":"r"}`)
		require.True(t, parking.wake())
		ada.reply()
		before, now := parking.parked()
		require.True(t, now)
		bob, _ := g.enter()
		bob.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		require.Equal(t, wire.TypeJoinedPeer, ada.event().Body.Type())
		bob.ok(`{"id":3,"type":"publish","room":"r","topic":"chat","data":1}`, new(wire.Done))
		require.Equal(t, wire.TypeMessage, ada.event().Body.Type())
		after, now := parking.parked()
		require.True(t, now)
		require.Equal(t, before, after, "it was not woken for it")
		time.Sleep(time.Hour)
		require.True(t, ada.open(), "the deadline of the hello is over")
	})
}

func TestParkedSessionEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		opts session.Options
		end  func(g *gateway, c *client, p *parkingConn)
		code wire.CloseCode
	}{
		"Moved": {end: func(g *gateway, c *client, _ *parkingConn) {
			present, empty := g.sessions.Retire()
			present[0].GoAway(time.Second, time.Minute)
			require.Equal(c.tb, wire.TypeGoAway, c.event().Body.Type())
			require.True(c.tb, c.open())
			require.True(c.tb, present[0].Move())
			<-empty
		}, code: wire.CloseMoved},
		"Context": {end: func(g *gateway, _ *client, _ *parkingConn) { g.end() }, code: wire.CloseMoved},
		"SlowReceiver": {opts: session.Options{QueueMessages: 16}, end: func(g *gateway, c *client, p *parkingConn) {
			c.say(`{"id":2,"type":"join","room":"r"}`)
			require.True(c.tb, p.wake())
			c.reply()
			c.hold()
			bob, _ := g.enter()
			bob.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
			for id := 3; id < 40; id++ {
				bob.say(fmt.Sprintf(`{"id":%d,"type":"publish","room":"r","topic":"chat","data":1}`, id))
			}
			synctest.Wait()
			c.release()
		}, code: wire.CloseSlowReceiver},
		"Panic": {end: func(_ *gateway, c *client, p *parkingConn) {
			c.requests <- step{panics: "a fault"}
			require.True(c.tb, p.wake())
		}, code: wire.CloseInternal},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tc.opts, func(t *testing.T, g *gateway) {
				c, parking := g.park(t)
				tc.end(g, c, parking)
				c.requireClosed(tc.code)
				_, now := parking.parked()
				require.False(t, now)
				require.False(t, parking.wake())
			})
		})
	}
}
