package session_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// An attached session and a native one meet in a room on a real Redis, and every request has its reply.
func TestAttachedInARoom(t *testing.T) {
	g := onRedis(t, session.Options{})
	ada := g.enterAttached()
	bob, bobWelcome := g.enter()
	snapshot := accepted[wire.Snapshot](ada, `{"id":2,"type":"join","room":"r","state":{"mic":true}}`)
	require.Equal(t, ada.ID(), snapshot.Self)
	require.Equal(t, "Ada", snapshot.Peers[0].Name)
	bob.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
	require.Equal(t, bobWelcome.Session, ada.event().Body.(*wire.JoinedPeer).Peer.ID)

	var done wire.Done
	bob.ok(fmt.Sprintf(`{"id":3,"type":"signal","room":"r","to":%q,"data":{"candidate":{}}}`, ada.ID()), &done)
	signaled := ada.event()
	require.Equal(t, done.Seq, signaled.Seq)
	require.Equal(t, bobWelcome.Session, signaled.Body.(*wire.Signaled).From)
	sent := accepted[wire.Done](ada, fmt.Sprintf(`{"id":3,"type":"signal","room":"r","to":%q,"data":{}}`, bobWelcome.Session))
	require.Equal(t, sent.Seq, bob.event().Seq)
	accepted[wire.Done](ada, `{"id":4,"type":"publish","room":"r","data":1}`)
	require.JSONEq(t, `1`, string(bob.event().Body.(*wire.Message).Data))
	accepted[wire.Done](ada, `{"id":5,"type":"state","room":"r","state":{"hand":true}}`)
	require.Equal(t, ada.ID(), bob.event().Body.(*wire.StateChanged).Peer)
	require.Equal(t, 2, accepted[wire.HeadCount](ada, `{"id":6,"type":"peers","room":"r"}`).Count)
	require.Len(t, accepted[wire.Snapshot](ada, `{"id":7,"type":"peers","room":"r","list":true}`).Peers, 2)
	ada.refused(`{"id":8,"type":"peers","room":"elsewhere","list":true}`, wire.CodeNotMember)
	ada.refused(`{"id":9,"type":"room","room":"r","version":1,"locked":true}`, wire.CodeForbidden)
	ada.refused(`{"id":10,"type":"control","room":"r","action":"kick"}`, wire.CodeForbidden)
	accepted[wire.Nothing](ada, `{"id":11,"type":"report","outcome":"failed"}`)
	accepted[wire.Pong](ada, `{"id":12,"type":"ping"}`)
	ada.refused(`{"id":13,"type":"hello","app":"open"}`, wire.CodeBadRequest)
	accepted[wire.Done](ada, `{"id":14,"type":"leave","room":"r"}`)
	require.Equal(t, wire.ReasonLeft, bob.event().Body.(*wire.LeftPeer).Reason)

	require.EqualValues(t, 1, g.metric("signalbox_connections", "calls"))
	require.EqualValues(t, 2, g.metric("signalbox_sessions"))
	require.EqualValues(t, 2, g.metric("signalbox_hellos_total", "ok"))
	require.EqualValues(t, 3, g.metric("signalbox_messages_received_total", "hello"))
	require.EqualValues(t, 2, g.metric("signalbox_messages_received_total", "join"))
	require.EqualValues(t, 3, g.metric("signalbox_messages_received_total", "peers"))
	require.EqualValues(t, 2, g.metric("signalbox_requests_refused_total", "forbidden"))
	require.Empty(t, ada.farewells())
}

// Requests that are handed over without waiting for replies keep their order.
func TestAttachedOrderOfPipelinedRequests(t *testing.T) {
	const messages = 300
	g := onRedis(t, session.Options{RequestsBurst: messages + 10, QueueMessages: 10 * messages})
	ada, _ := g.enter()
	bob := g.enterAttached()
	ada.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
	accepted[wire.Snapshot](bob, `{"id":2,"type":"join","room":"r"}`)
	ada.event()
	for n := range messages {
		bob.say(fmt.Sprintf(`{"id":%d,"type":"publish","room":"r","data":%d}`, n+3, n))
	}
	for n := range messages {
		done := bob.answer(int64(n + 3)).body.(*wire.Done)
		event := ada.event()
		require.Equal(t, done.Seq, event.Seq)
		require.Equal(t, fmt.Sprint(n), string(event.Body.(*wire.Message).Data))
	}
}

func TestAttachedID(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		hello := &wire.Hello{App: "open"}
		const given = "/chat#WzE3Nzk2LCJhIl0"
		c := g.attach(g.life, hello, session.Client{Transport: "calls", ID: given})
		require.Equal(t, given, c.ID())
		require.Equal(t, given, accepted[wire.Snapshot](c, `{"id":1,"type":"join","room":"r"}`).Self)

		made := g.attach(g.life, hello, session.Client{Transport: "calls"})
		require.Len(t, made.ID(), 20)
		require.True(t, wire.ValidID(made.ID()))

		// An id that no client could name in a signal, or that would break a key of Redis.
		_, err := g.sessions.Attach(g.life, hello, newSink(t), session.Client{Transport: "calls", ID: "a:b"})
		require.Equal(t, wire.Errorf(wire.CodeInternal, "internal error"), err)
		require.EqualValues(t, 2, g.metric("signalbox_sessions"))
		require.EqualValues(t, 2, g.metric("signalbox_connections", "calls"))
	})
}

// The transport can say how large the rooms are that its clients create, but no larger than their app allows.
func TestAttachedCapacity(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		for capacity, want := range map[int]int{0: 50, 2: 2, math.MaxInt: 2000} {
			c := g.attach(g.life, &wire.Hello{App: "open"}, session.Client{Transport: "calls", Capacity: capacity})
			room := fmt.Sprintf(`"room":"of-%d"`, capacity)
			require.Equal(t, want, accepted[wire.Snapshot](c, `{"id":1,"type":"join",`+room+`}`).Capacity)
			other, _ := g.enter()
			var snapshot wire.Snapshot
			other.ok(`{"id":2,"type":"join",`+room+`}`, &snapshot)
			require.Equal(t, want, snapshot.Capacity)
			if want == 2 {
				third, _ := g.enter()
				third.refused(`{"id":2,"type":"join",`+room+`}`, wire.CodeRoomFull)
			}
		}
	})
}

// requireNotAttached opens no session: the hello is refused, as it is on a native transport.
func requireNotAttached(t *testing.T, g *gateway, hello, origin string) {
	t.Helper()
	request, err := wire.DecodeRequest([]byte(`{"id":7,"type":"hello",`+hello+`}`), wire.Limits{})
	require.NoError(t, err)
	to := newSink(t)
	attached, err := g.sessions.Attach(g.life, request.Body.(*wire.Hello), to, session.Client{Transport: "calls", Origin: origin})
	require.Nil(t, attached)
	var refusal *wire.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, wire.CodeUnauthorized, refusal.Code)
	require.NotContains(t, refusal.Message, "evil")
	require.EqualValues(t, 1, g.metric("signalbox_requests_refused_total", "unauthorized"))
	require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "unauthorized"))
	require.Zero(t, g.metric("signalbox_connections", "calls"))
	require.Zero(t, g.metric("signalbox_sessions"))
	g.end()
	synctest.Wait()
	require.Empty(t, to.said, "the transport has the answer, and says it itself")
	require.Empty(t, to.farewells())
}

func TestAttachedTokenExpires(t *testing.T) {
	attach := func(g *gateway) *caller {
		token := g.token(func(c *auth.Claims) { c.Expires = time.Now().Add(90 * time.Second) })
		return g.attach(g.life, &wire.Hello{Token: token}, session.Client{Transport: "calls", Origin: "https://acme.example"})
	}
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		begun := time.Now()
		c := attach(g)
		accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"team-1"}`)
		time.Sleep(90*time.Second - time.Millisecond)
		synctest.Wait()
		require.Empty(t, c.farewells())
		c.requireClosed(wire.CloseExpired)
		require.Equal(t, 90*time.Second, time.Since(begun).Round(time.Second))
		c.say(`{"id":3,"type":"publish","room":"team-1","data":1}`)
		require.EqualValues(t, 1, g.metric("signalbox_seats"), "it is the transport that ends the session")
		c.End(true)
		require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "expired"))
		require.Zero(t, g.metric("signalbox_seats"))
		require.Zero(t, g.metric("signalbox_messages_received_total", "publish"))
	})
	// The timer must not outlive a session that ended before.
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := attach(g)
		c.End(true)
		time.Sleep(time.Hour)
		require.Empty(t, c.farewells())
	})
}

// The gateway's end: the client is told once to come back elsewhere, also one that came just then.
func TestAttachedGatewayGoesAway(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
		gone := g.enterAttached()
		gone.End(true)
		g.end()
		require.Equal(t, farewell{wire.CloseMoved, "the gateway is going away", 1}, c.requireClosed(wire.CloseMoved))
		late := g.enterAttached()
		late.requireClosed(wire.CloseMoved)
		for _, c := range []*caller{c, late} {
			c.say(`{"id":3,"type":"ping"}`)
			c.Invalid(4, wire.Errorf(wire.CodeBadRequest, "nonsense"))
			c.End(false)
			require.Len(t, c.farewells(), 1)
		}
		require.Empty(t, gone.farewells())
		require.Zero(t, g.metric("signalbox_messages_received_total", "ping"))
		require.Zero(t, g.metric("signalbox_messages_received_total", "invalid"))
		require.EqualValues(t, 2, g.metric("signalbox_connections_closed_total", "server", "moved"))
		require.Zero(t, g.metric("signalbox_connections", "calls"))
	})
}

// watched is a context that never ends, and knows how many wait for it.
type watched struct {
	context.Context

	done     chan struct{}
	watchers atomic.Int64
}

// Done implements context.Context.
func (w *watched) Done() <-chan struct{} { return w.done }

// AfterFunc is what context.AfterFunc asks a context for that is not of its own kind.
func (w *watched) AfterFunc(func()) (stop func() bool) {
	w.watchers.Add(1)
	return func() bool {
		w.watchers.Add(-1)
		return true
	}
}

// The context is that of all sessions, and would keep those that have ended.
func TestAttachedLeavesItsContext(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		life := &watched{Context: t.Context(), done: make(chan struct{})}
		c := g.attach(life, &wire.Hello{App: "open"}, session.Client{Transport: "calls"})
		require.EqualValues(t, 1, life.watchers.Load())
		c.End(true)
		require.Zero(t, life.watchers.Load())
		_, err := g.sessions.Attach(life, &wire.Hello{}, newSink(t), session.Client{Transport: "calls"})
		require.Error(t, err)
		require.Zero(t, life.watchers.Load())
	})
}

// However a session ends, its seat is given up, and the others are told why.
func TestEndOfAnAttachedSession(t *testing.T) {
	for _, tc := range []struct {
		name, reason, closed, initiator string
		end                             func(*gateway, *caller)
	}{
		{"Leaves", wire.ReasonLeft, "normal", "client", func(_ *gateway, c *caller) { c.End(true) }},
		{"Lost", wire.ReasonDisconnected, "lost", "network", func(_ *gateway, c *caller) { c.End(false) }},
		{"LeavesOnceLost", wire.ReasonDisconnected, "lost", "network", func(_ *gateway, c *caller) {
			c.End(false)
			c.End(true)
		}},
		{"ClosedByUs", wire.ReasonDisconnected, "bad_messages", "server", func(_ *gateway, c *caller) {
			for range 60 {
				c.Invalid(0, wire.Errorf(wire.CodeBadRequest, "nonsense"))
			}
			c.End(true) // the transport may take the answer to our farewell for a client that means it
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
				other, _ := g.enter()
				other.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
				c := g.enterAttached()
				accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
				other.event()
				time.Sleep(time.Minute)
				tc.end(g, c)
				require.Equal(t, wire.LeftPeer{Peer: c.ID(), Reason: tc.reason}, *other.event().Body.(*wire.LeftPeer))
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", tc.initiator, tc.closed))
				require.Zero(t, g.metric("signalbox_connections", "calls"))
				require.EqualValues(t, 1, g.metric("signalbox_sessions"))
				require.EqualValues(t, 1, g.metric("signalbox_connection_duration_seconds"))
				require.EqualValues(t, 1, g.metric("signalbox_seats"))

				before := len(c.said)
				c.say(`{"id":3,"type":"join","room":"r"}`)
				c.Invalid(4, wire.Errorf(wire.CodeBadRequest, "nonsense"))
				other.ok(`{"id":3,"type":"publish","room":"r","data":1}`, new(wire.Done))
				g.end()
				synctest.Wait()
				require.Len(t, c.said, before, "nothing is taken or told after the end")
				require.LessOrEqual(t, len(c.farewells()), 1)
			})
		})
	}
}

// A seat that is asked for beside the end would be nobody's, and stay.
func TestEndAwaitsARequestUnderWay(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		c.set(func() { c.held = true })
		var parts sync.WaitGroup
		parts.Go(func() { c.say(`{"id":2,"type":"ping"}`) })
		c.until(func() bool { return c.waiting })
		ended := make(chan struct{})
		parts.Go(func() {
			c.End(false)
			close(ended)
		})
		synctest.Wait()
		select {
		case <-ended:
			require.Fail(t, "End has returned while a request was being handed on")
		default:
		}
		c.set(func() { c.held = false })
		parts.Wait()
	})
}

// Sessions that end while they ask for seats leave none behind.
func TestEndBesideRequests(t *testing.T) {
	g := onRedis(t, session.Options{})
	for range 100 {
		c := g.enterAttached()
		var parts sync.WaitGroup
		parts.Go(func() {
			for id := range 20 {
				c.say(fmt.Sprintf(`{"id":%d,"type":"join","room":"r%d"}`, id+1, id%4))
			}
		})
		parts.Go(func() { c.End(false) })
		parts.Wait()
	}
	settled, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	require.NoError(t, g.rooms.Settled(settled))
	other := g.enterAttached()
	for room := range 4 {
		other.say(fmt.Sprintf(`{"id":%d,"type":"peers","room":"r%d"}`, room+1, room))
		require.Zero(t, other.answer(int64(room+1)).body.(*wire.HeadCount).Count)
	}
	require.Zero(t, g.metric("signalbox_seats"))
}

// An attached session costs memory alone.
func TestAttachedHasNoGoroutine(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		synctest.Wait()
		before := runtime.NumGoroutine()
		for room := range 100 {
			accepted[wire.Snapshot](g.enterAttached(), fmt.Sprintf(`{"id":1,"type":"join","room":"r%d"}`, room))
		}
		synctest.Wait()
		require.Equal(t, before, runtime.NumGoroutine())
	})
}
