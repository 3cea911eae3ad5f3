package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestIDsRise(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		c.ok(`{"id":10,"type":"ping"}`, new(wire.Pong)) // holes are allowed
		for _, id := range []int64{10, 9, 1} {
			// A request that is sent twice, by a client or a proxy that tries again, would take effect twice.
			reply := c.refused(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id), wire.CodeBadRequest)
			require.Equal(t, id, reply.Re)
		}
		c.ok(`{"id":11,"type":"ping"}`, new(wire.Pong))
		require.EqualValues(t, 3, g.metric("signalbox_messages_received_total", "invalid"))
	})
}

func TestBadMessages(t *testing.T) {
	inBubble(t, session.Options{BadMessages: 3}, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		for _, text := range []string{`null`, `{"id":2,"type":"nonsense"}`, `{"id":3,"type":"join"}`} {
			c.refused(text, wire.CodeBadRequest)
		}
		c.ok(`{"id":4,"type":"ping"}`, new(wire.Pong)) // they are counted over the session's life, not in a row
		require.True(t, c.open())
		c.say(`{`)
		c.say(`{"id":5,"type":"join","room":"r"}`) // was on its way: nothing is taken after the farewell
		require.Equal(t, "too many messages that were not valid", c.requireClosed(wire.CloseBadMessages).reason)
		require.EqualValues(t, 4, g.metric("signalbox_messages_received_total", "invalid"))
		require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "bad_messages"))
		require.Zero(t, g.metric("signalbox_joins_total", "ok"))
	})
}

// Row 43: a client that sends without pause is slowed down, and closed when it does not stop.
func TestRateLimit(t *testing.T) {
	opts := session.Options{RequestsPerSecond: 10, RequestsBurst: 5, RequestsWait: 2 * time.Second}
	t.Run("Flood", func(t *testing.T) {
		inBubble(t, opts, func(t *testing.T, g *gateway) {
			c, _ := g.enter()
			begun := time.Now()
			for id := range 1000 {
				c.say(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id+2))
			}
			said := c.requireClosed(wire.CloseRateLimited)
			require.InDelta(t, 2, time.Since(begun).Seconds(), 0.2)
			require.InDelta(t, 5+2*10, said.after, 2, "the burst, then the rate until the wait was over")
			require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "rate_limited"))
			require.EqualValues(t, said.after-5+1, g.metric("signalbox_requests_throttled_total"))
		})
	})
	t.Run("BurstAfterPause", func(t *testing.T) {
		inBubble(t, opts, func(t *testing.T, g *gateway) {
			c, _ := g.enter()
			id := 2
			for range 20 {
				time.Sleep(time.Second)
				begun := time.Now()
				for range 10 { // twice the burst: slowed down, never closed
					c.ok(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id), new(wire.Pong))
					id++
				}
				require.InDelta(t, 0.5, time.Since(begun).Seconds(), 0.11)
			}
			require.True(t, c.open())
		})
	})
	t.Run("Drained", func(t *testing.T) {
		// The gateway's end does not wait for a client that is being slowed down.
		inBubble(t, session.Options{RequestsPerSecond: 1, RequestsBurst: 1, RequestsWait: time.Minute}, func(t *testing.T, g *gateway) {
			c, _ := g.enter()
			for id := range 20 {
				c.say(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id+2))
			}
			synctest.Wait()
			begun := time.Now()
			g.end()
			c.requireClosed(wire.CloseMoved)
			require.Zero(t, time.Since(begun))
		})
	})
}

// A client could have Redis work on any number of its requests, and the gateway keep them.
func TestInFlightBound(t *testing.T) {
	inBubbleFarFromRedis(t, session.Options{InFlight: 3}, 100*time.Millisecond, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		const requests = 20
		for id := range requests {
			c.say(fmt.Sprintf(`{"id":%d,"type":"state","room":"r","state":{"n":%d}}`, id+3, id))
		}
		synctest.Wait()
		require.Len(t, c.requests, requests-3-1, "three under way, one read that waits")
		require.EqualValues(t, 1, g.metric("signalbox_requests_in_flight_limited_total"))
		for id := range requests {
			require.EqualValues(t, id+3, c.reply().Re, "in order: all are of one room")
		}
		require.Greater(t, g.metric("signalbox_requests_in_flight_limited_total"), 1.0)
	})
}
