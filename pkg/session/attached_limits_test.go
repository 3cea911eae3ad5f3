package session_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestAttachedIDsRise(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		accepted[wire.Pong](c, `{"id":10,"type":"ping"}`)
		for _, id := range []int64{10, 9, 1} {
			c.refused(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id), wire.CodeBadRequest)
		}
		accepted[wire.Pong](c, `{"id":11,"type":"ping"}`)
		require.EqualValues(t, 3, g.metric("signalbox_messages_received_total", "invalid"))
	})
}

func TestAttachedBadMessages(t *testing.T) {
	nonsense := wire.Errorf(wire.CodeBadRequest, "nonsense")
	inBubble(t, session.Options{BadMessages: 3}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		c.Invalid(5, nonsense)
		require.Same(t, nonsense, c.answer(5).refusal)
		c.Invalid(0, nonsense) // of a message without an id: there is nothing to answer to
		accepted[wire.Pong](c, `{"id":6,"type":"ping"}`)
		c.refused(`{"id":6,"type":"ping"}`, wire.CodeBadRequest)
		require.EqualValues(t, 2, g.metric("signalbox_requests_refused_total", "bad_request"))
		require.Empty(t, c.farewells())
		c.Invalid(0, nonsense)
		require.Equal(t, "too many messages that were not valid", c.requireClosed(wire.CloseBadMessages).reason)
		c.Invalid(7, nonsense)
		c.say(`{"id":8,"type":"join","room":"r"}`)
		require.EqualValues(t, 4, g.metric("signalbox_messages_received_total", "invalid"))
		require.Zero(t, g.metric("signalbox_joins_total", "ok"))
		g.end()
		synctest.Wait()
		c.End(false)
		require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "bad_messages"))
		require.Len(t, c.farewells(), 1)
	})
}

func TestAttachedRateLimit(t *testing.T) {
	opts := session.Options{RequestsPerSecond: 10, RequestsBurst: 5, RequestsWait: 2 * time.Second}
	t.Run("Flood", func(t *testing.T) {
		inBubble(t, opts, func(t *testing.T, g *gateway) {
			c := g.enterAttached()
			begun := time.Now()
			for id := range 1000 {
				c.say(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id+2))
			}
			said := c.requireClosed(wire.CloseRateLimited)
			require.InDelta(t, 2, time.Since(begun).Seconds(), 0.2)
			require.InDelta(t, 5+2*10, said.after, 2, "the burst, then the rate until the wait was over")
			require.EqualValues(t, said.after-5+1, g.metric("signalbox_requests_throttled_total"))
			c.End(false)
			require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "rate_limited"))
		})
	})
	t.Run("BurstAfterPause", func(t *testing.T) {
		inBubble(t, opts, func(t *testing.T, g *gateway) {
			c := g.enterAttached()
			id := 2
			for range 20 {
				time.Sleep(time.Second)
				begun := time.Now()
				for range 10 { // twice the burst: slowed down, never closed
					accepted[wire.Pong](c, fmt.Sprintf(`{"id":%d,"type":"ping"}`, id))
					id++
				}
				require.InDelta(t, 0.5, time.Since(begun).Seconds(), 0.11)
			}
			require.Empty(t, c.farewells())
		})
	})
}

// A request that is held back holds a goroutine of the transport: nothing else may wait for it.
func TestHeldBackRequestIsReleased(t *testing.T) {
	for name, bound := range map[string]session.Options{
		"ByRate":     {RequestsPerSecond: 1, RequestsBurst: 2, RequestsWait: time.Hour},
		"ByInFlight": {InFlight: 2, RequestsBurst: 1000},
	} {
		for _, tc := range []struct {
			name string
			code wire.CloseCode // 0 for no farewell
			end  func(*gateway, *caller)
		}{
			{"GatewayGoesAway", wire.CloseMoved, func(g *gateway, _ *caller) { g.end() }},
			{"End", 0, func(_ *gateway, c *caller) { c.End(false) }},
			{"Expiry", wire.CloseExpired, func(*gateway, *caller) { <-time.After(400 * time.Millisecond) }},
		} {
			t.Run(name+tc.name, func(t *testing.T) {
				inBubbleFarFromRedis(t, bound, 300*time.Millisecond, func(t *testing.T, g *gateway) {
					// Tokens expire at whole seconds.
					time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1600 * time.Millisecond)))
					token := g.token(func(c *auth.Claims) { c.Expires = time.Now().Add(400 * time.Millisecond) })
					c := g.attach(g.life, &wire.Hello{Token: token}, session.Client{Transport: "calls"})
					var handling sync.WaitGroup
					handling.Go(func() {
						for id := range 5 {
							c.say(fmt.Sprintf(`{"id":%d,"type":"join","room":"team-%d"}`, id+1, id))
						}
					})
					synctest.Wait()
					require.EqualValues(t, 2, g.metric("signalbox_messages_received_total", "join"), "the third waits")
					tc.end(g, c)
					begun := time.Now()
					handling.Wait()
					require.Zero(t, time.Since(begun))
					require.EqualValues(t, 2, g.metric("signalbox_messages_received_total", "join"), "it was not taken")
					if tc.code != 0 {
						c.requireClosed(tc.code)
					} else {
						require.Empty(t, c.farewells())
					}
				})
			})
		}
	}
}

func TestAttachedInFlightBound(t *testing.T) {
	inBubbleFarFromRedis(t, session.Options{InFlight: 3}, 100*time.Millisecond, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
		const requests = 20
		var handling sync.WaitGroup
		handling.Go(func() {
			for id := range requests {
				c.say(fmt.Sprintf(`{"id":%d,"type":"state","room":"r","state":{"n":%d}}`, id+3, id))
			}
		})
		synctest.Wait()
		require.EqualValues(t, 3, g.metric("signalbox_messages_received_total", "state"), "three under way, one waits")
		require.EqualValues(t, 1, g.metric("signalbox_requests_in_flight_limited_total"))
		for id := range requests {
			c.answer(int64(id + 3))
		}
		handling.Wait()
		require.Greater(t, g.metric("signalbox_requests_in_flight_limited_total"), 1.0)
	})
}

// A client that sends its next request as soon as it is answered keeps to the bound: it was held back when the answer was
// told before the place was free.
func TestAnsweredRequestIsNotInFlight(t *testing.T) {
	inBubble(t, session.Options{InFlight: 1}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		c.set(func() { c.held = true })
		c.say(`{"id":2,"type":"join","room":"r"}`)
		c.until(func() bool { return c.waiting })
		var next sync.WaitGroup
		next.Go(func() { c.say(`{"id":3,"type":"ping"}`) }) // of no room: while the answer is being told, other rooms may wait
		synctest.Wait()
		limited := g.metric("signalbox_requests_in_flight_limited_total")
		c.set(func() { c.held = false })
		next.Wait()
		require.Zero(t, limited)
		require.ElementsMatch(t, []int64{2, 3}, []int64{c.next().id, c.next().id})
	})
}

// A fault would end the process, and with it everybody's session.
func TestPanicEndsOneAttachedSession(t *testing.T) {
	t.Run("Handle", func(t *testing.T) {
		inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
			other, c := g.enterAttached(), g.enterAttached()
			accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
			c.Handle(wire.Request{ID: 3}) // of no type: a fault of the transport
			require.Equal(t, "internal error", c.requireClosed(wire.CloseInternal).reason)
			c.say(`{"id":4,"type":"ping"}`)
			c.End(false)
			require.EqualValues(t, 1, g.metric("signalbox_panics_total"))
			require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "internal"))
			require.Zero(t, g.metric("signalbox_seats"))
			require.Zero(t, g.metric("signalbox_messages_received_total", "ping"))
			accepted[wire.Pong](other, `{"id":2,"type":"ping"}`)
		})
	})
	t.Run("Attach", func(t *testing.T) {
		opts := session.Options{Origin: func(string, string) bool { panic("a fault of ours") }}
		inBubble(t, opts, func(t *testing.T, g *gateway) {
			to := newSink(t)
			attached, err := g.sessions.Attach(g.life, &wire.Hello{App: "open"}, to,
				session.Client{Transport: "calls", Origin: "https://acme.example"})
			require.Nil(t, attached)
			require.Equal(t, wire.Errorf(wire.CodeInternal, "internal error"), err)
			require.EqualValues(t, 1, g.metric("signalbox_panics_total"))
			require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "internal"))
			require.Zero(t, g.metric("signalbox_connections", "calls"))
			require.Empty(t, to.farewells())
		})
	})
	for name, provoke := range map[string]func(g *gateway, c *caller, other *client){
		"Deliver": func(_ *gateway, _ *caller, other *client) { other.say(`{"id":3,"type":"publish","room":"r","data":1}`) },
		"Reply":   func(_ *gateway, c *caller, _ *client) { c.say(`{"id":3,"type":"join","room":"r"}`) },
		"Refuse":  func(_ *gateway, c *caller, _ *client) { c.say(`{"id":3,"type":"join","room":"r","capacity":3}`) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
				other, _ := g.enter()
				other.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
				c := g.enterAttached()
				accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
				other.event()
				c.set(func() {
					c.panics = "a fault of the transport"
					c.onClose = func() { c.End(false) }
				})
				provoke(g, c, other)
				c.requireClosed(wire.CloseInternal)
				require.EqualValues(t, 1, g.metric("signalbox_panics_total"))
				synctest.Wait()
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "internal"))
				require.EqualValues(t, 1, g.metric("signalbox_seats"), "the other's")
			})
		})
	}
}

// A transport that ends the session from within Close, as one does whose disconnecting calls back at once, would wait
// for itself.
func TestEndFromWithinClose(t *testing.T) {
	opts := session.Options{BadMessages: 1, RequestsPerSecond: 1, RequestsBurst: 3, RequestsWait: time.Second}
	for name, provoke := range map[string]func(*gateway, *caller){
		"Invalid": func(_ *gateway, c *caller) {
			c.Invalid(0, wire.Errorf(wire.CodeBadRequest, "nonsense"))
			c.Invalid(0, wire.Errorf(wire.CodeBadRequest, "nonsense"))
		},
		"IDs": func(_ *gateway, c *caller) {
			c.say(`{"id":1,"type":"ping"}`)
			c.say(`{"id":1,"type":"ping"}`)
		},
		"Rate": func(_ *gateway, c *caller) {
			for id := range 10 {
				c.say(fmt.Sprintf(`{"id":%d,"type":"ping"}`, id+3))
			}
		},
		"Panic":  func(_ *gateway, c *caller) { c.Handle(wire.Request{ID: 3}) },
		"Moved":  func(g *gateway, _ *caller) { g.end() },
		"Expiry": func(*gateway, *caller) { <-time.After(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, g *gateway) {
				c := g.attach(g.life, &wire.Hello{Token: g.token(nil)}, session.Client{Transport: "calls"})
				accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"team-1"}`)
				c.set(func() { c.onClose = func() { c.End(false) } })
				provoke(g, c)
				synctest.Wait()
				require.Len(t, c.farewells(), 1)
				require.Zero(t, g.metric("signalbox_seats"))
				require.Zero(t, g.metric("signalbox_sessions"))
			})
		})
	}
}
