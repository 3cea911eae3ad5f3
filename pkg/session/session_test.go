package session_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What calls came to has the gateway's region, and nothing else has.
func TestRegion(t *testing.T) {
	g := onRedis(t, session.Options{Region: "eu-west"})
	c, _ := g.enter()
	c.ok(`{"id":2,"type":"report","outcome":"failed","reason":"dtls","restarts":1}`, new(wire.Nothing))
	families, err := g.registry.Gather()
	require.NoError(t, err)
	var regional []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			i := slices.IndexFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "region" })
			if i >= 0 {
				require.Equal(t, "eu-west", m.GetLabel()[i].GetValue())
				regional = append(regional, family.GetName())
			}
		}
	}
	require.Equal(t, []string{
		"signalbox_call_connect_seconds", "signalbox_call_failures_total", "signalbox_call_outcomes_total", "signalbox_call_restarts_total",
		"signalbox_ice_reports_total",
	}, slices.Compact(regional))
	require.EqualValues(t, 1, g.metric("signalbox_call_outcomes_total", session.OtherApps, "failed", "eu-west"))
}

// Two sessions meet in a room on a real Redis, and every request has its reply.
func TestSessionsInARoom(t *testing.T) {
	g := onRedis(t, session.Options{})
	ada, adaWelcome := g.enter()
	bob, bobWelcome := g.enter()
	var snapshot wire.Snapshot
	ada.ok(`{"id":2,"type":"join","room":"r","state":{"mic":true}}`, &snapshot)
	require.Equal(t, adaWelcome.Session, snapshot.Self)
	bob.ok(`{"id":2,"type":"join","room":"r"}`, &snapshot)
	require.Equal(t, 2, snapshot.Count)
	joined := ada.event().Body.(*wire.JoinedPeer)
	require.Equal(t, bobWelcome.Session, joined.Peer.ID)

	var done wire.Done
	bob.ok(fmt.Sprintf(`{"id":3,"type":"signal","room":"r","to":%q,"data":{"candidate":{}}}`, adaWelcome.Session), &done)
	signaled := ada.event()
	require.Equal(t, done.Seq, signaled.Seq)
	require.Equal(t, bobWelcome.Session, signaled.Body.(*wire.Signaled).From)
	bob.ok(`{"id":4,"type":"publish","room":"r","data":1}`, &done)
	require.JSONEq(t, `1`, string(ada.event().Body.(*wire.Message).Data))
	bob.ok(`{"id":5,"type":"state","room":"r","state":{"hand":true}}`, &done)
	require.Equal(t, bobWelcome.Session, ada.event().Body.(*wire.StateChanged).Peer)

	var count wire.HeadCount
	bob.ok(`{"id":6,"type":"peers","room":"r"}`, &count)
	require.Equal(t, 2, count.Count)
	var listed wire.Snapshot
	bob.ok(`{"id":7,"type":"peers","room":"r","list":true}`, &listed)
	require.Len(t, listed.Peers, 2)
	bob.refused(`{"id":8,"type":"peers","room":"elsewhere","list":true}`, wire.CodeNotMember)
	bob.refused(`{"id":9,"type":"room","room":"r","version":1,"locked":true}`, wire.CodeForbidden)
	bob.refused(`{"id":10,"type":"control","room":"r","action":"kick"}`, wire.CodeForbidden)
	bob.ok(`{"id":11,"type":"report","outcome":"connected","ms":250,"local":"host","remote":"srflx","protocol":"udp"}`, new(wire.Nothing))
	bob.ok(`{"id":111,"type":"report","outcome":"disconnected","ms":60000}`, new(wire.Nothing))
	bob.ok(`{"id":112,"type":"report","outcome":"failed","reason":"ice","restarts":2}`, new(wire.Nothing))
	bob.ok(`{"id":113,"type":"report","outcome":"failed","reason":"what-it-likes","restarts":1000000}`, new(wire.Nothing))
	bob.ok(`{"id":114,"type":"report","outcome":"connected","ms":9000,"again":true}`, new(wire.Nothing))
	bob.ok(`{"id":120,"type":"ping"}`, new(wire.Pong))
	bob.ok(`{"id":130,"type":"leave","room":"r"}`, &done)
	require.Equal(t, wire.ReasonLeft, ada.event().Body.(*wire.LeftPeer).Reason)

	require.EqualValues(t, 1, g.metric("signalbox_ice_reports_total", "host", "connected", "udp", "srflx"))
	require.EqualValues(t, 1, g.metric("signalbox_ice_connect_seconds"), "the first time alone")
	app := session.OtherApps
	require.EqualValues(t, 1, g.metric("signalbox_call_connect_seconds", app))
	for outcome, times := range map[string]int{"connected": 1, "reconnected": 1, "failed": 2, "disconnected": 1} {
		require.EqualValues(t, times, g.metric("signalbox_call_outcomes_total", app, outcome), outcome)
	}
	require.EqualValues(t, 102, g.metric("signalbox_call_restarts_total", app), "what can be believed")
	for reason, times := range map[string]int{"ice": 1, "other": 1, "dtls": 0} {
		require.EqualValues(t, times, g.metric("signalbox_call_failures_total", reason), reason)
	}
	require.EqualValues(t, 1, g.metric("signalbox_requests_refused_total", "not_member"))
	require.EqualValues(t, 2, g.metric("signalbox_requests_refused_total", "forbidden"))
	require.EqualValues(t, 2, g.metric("signalbox_messages_received_total", "hello"))
	require.EqualValues(t, 2, g.metric("signalbox_messages_received_total", "join"))
	require.EqualValues(t, 3, g.metric("signalbox_messages_received_total", "peers"))
	require.EqualValues(t, 1, g.metric("signalbox_messages_sent_total", "left-peer"))
	require.EqualValues(t, 3, g.metric("signalbox_messages_sent_total", "error"))
}

// A moderator's requests come back with what they did.
func TestModerator(t *testing.T) {
	g := onRedis(t, session.Options{})
	c := g.connect()
	c.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.token(func(c *auth.Claims) {
		c.Grants = []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true, Moderate: true}}}
	})), new(wire.Welcome))
	c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
	var updated wire.Updated
	c.say(`{"id":3,"type":"room","room":"r","version":1,"locked":true}`)
	c.replyAmongEvents(&updated)
	require.EqualValues(t, 2, updated.Version)
	var controlled wire.Controlled
	c.say(`{"id":4,"type":"control","room":"r","action":"mute","kind":"audio"}`)
	c.replyAmongEvents(&controlled)
	require.Zero(t, controlled.Affected)
}

// replyAmongEvents gives the next reply, with events before it passed over.
func (c *client) replyAmongEvents(body wire.ReplyBody) {
	c.tb.Helper()
	for {
		reply, _, err := wire.DecodeServer(c.next().Text())
		require.NoError(c.tb, err)
		if reply != nil {
			require.Nil(c.tb, reply.Err)
			require.NoError(c.tb, reply.Decode(body))
			return
		}
	}
}

// Requests that are sent without waiting for replies keep their order, in their replies and at the receivers.
func TestOrderOfPipelinedRequests(t *testing.T) {
	const messages = 300
	g := onRedis(t, session.Options{RequestsBurst: messages + 10, QueueMessages: 10 * messages})
	ada, _ := g.enter()
	bob, _ := g.enter()
	ada.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
	bob.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
	ada.event()
	for n := range messages {
		bob.say(fmt.Sprintf(`{"id":%d,"type":"publish","room":"r","data":%d}`, n+3, n))
	}
	last := int64(0)
	for n := range messages {
		reply := bob.reply()
		require.EqualValues(t, n+3, reply.Re)
		var done wire.Done
		require.NoError(t, reply.Decode(&done))
		require.Greater(t, done.Seq, last)
		last = done.Seq
		event := ada.event()
		require.Equal(t, done.Seq, event.Seq)
		require.Equal(t, fmt.Sprint(n), string(event.Body.(*wire.Message).Data))
	}
}

// However a session ends, its seat is given up, and the others are told why.
func TestEndOfASession(t *testing.T) {
	for _, tc := range []struct {
		name, reason, closed, initiator string
		end                             func(*gateway, *client)
	}{
		{"Leaves", wire.ReasonLeft, "normal", "client", func(_ *gateway, c *client) { c.leave() }},
		{"Lost", wire.ReasonDisconnected, "lost", "network", func(_ *gateway, c *client) { c.lose() }},
		{"BrowserTabClosed", wire.ReasonDisconnected, "going_away", "client", func(_ *gateway, c *client) {
			c.requests <- step{err: &ended{code: wire.CloseGoingAway}}
		}},
		{"OwnCode", wire.ReasonDisconnected, "other", "client", func(_ *gateway, c *client) {
			c.requests <- step{err: &ended{code: 4999}}
		}},
		{"BrokenRule", wire.ReasonDisconnected, "too_large", "server", func(_ *gateway, c *client) {
			c.requests <- step{err: &ended{code: wire.CloseTooLarge}}
		}},
		{"NoSignOfLife", wire.ReasonDisconnected, "heartbeat", "server", func(_ *gateway, c *client) {
			c.requests <- step{err: &ended{code: wire.CloseHeartbeat}}
		}},
		{"NoCode", wire.ReasonDisconnected, "lost", "network", func(_ *gateway, c *client) { c.requests <- step{err: &ended{}} }},
		{"BadMessages", wire.ReasonDisconnected, "bad_messages", "server", func(_ *gateway, c *client) {
			for range 60 {
				c.say("x")
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
				other, _ := g.enter()
				other.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
				c, welcome := g.enter()
				c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
				other.event()
				time.Sleep(time.Minute)
				tc.end(g, c)
				<-c.served
				left := other.event().Body.(*wire.LeftPeer)
				require.Equal(t, wire.LeftPeer{Peer: welcome.Session, Reason: tc.reason}, *left)
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", tc.initiator, tc.closed))
				require.EqualValues(t, 1, g.metric("signalbox_connections", "test"))
				require.EqualValues(t, 1, g.metric("signalbox_sessions"))
				require.EqualValues(t, 1, g.metric("signalbox_connection_duration_seconds"))
				require.EqualValues(t, 1, g.metric("signalbox_seats"))
			})
		})
	}
}

// A fault in the handling of one request would end the process, and with it everybody's session.
func TestPanicEndsOneSession(t *testing.T) {
	opts := session.Options{Origin: func(string, string) bool { panic("a fault of ours") }}
	inBubble(t, opts, func(t *testing.T, g *gateway) {
		other, _ := g.enter()
		c := g.serve(newConn(), session.Client{Transport: "test", Origin: "https://acme.example"})
		c.refused(`{"id":1,"type":"ping"}`, wire.CodeUnauthorized)
		c.atOnce(func() {
			c.say(helloOpen)
			c.say(`{"id":2,"type":"join","room":"r"}`) // was on its way
		})
		said := c.requireClosed(wire.CloseInternal)
		require.Equal(t, 1, said.after, "what was answered before is written")
		require.Empty(t, c.requests, "the connection was read to its end, which closes the socket")
		require.EqualValues(t, 1, g.metric("signalbox_panics_total"))
		require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "internal"))
		require.Zero(t, g.metric("signalbox_joins_total", "ok"))
		other.ok(`{"id":2,"type":"ping"}`, new(wire.Pong))
	})
	t.Run("InsideTheTransport", func(t *testing.T) {
		for name, times := range map[string]int{"Once": 1, "Again": 2} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
					c, _ := g.enter()
					c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
					c.atOnce(func() {
						for range times {
							c.requests <- step{panics: "a fault of the transport"}
						}
					})
					c.requireClosed(wire.CloseInternal)
					require.EqualValues(t, times, g.metric("signalbox_panics_total"))
					require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "internal"))
					require.Zero(t, g.metric("signalbox_sessions"))
					require.Zero(t, g.metric("signalbox_seats"), "its seat is given up all the same")
				})
			})
		}
	})
}

// The gateway's end: every session is told to come back elsewhere, whatever it was doing, and gives up its seat.
func TestGatewayGoesAway(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		silent := g.connect()
		seated, _ := g.enter()
		seated.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		synctest.Wait()
		g.end()
		for _, c := range []*client{silent, seated} {
			c.requireClosed(wire.CloseMoved)
		}
		late := g.connect() // accepted just before
		late.requireClosed(wire.CloseMoved)
		require.Zero(t, g.metric("signalbox_connections", "test"))
		require.EqualValues(t, 3, g.metric("signalbox_connections_closed_total", "server", "moved"))
	})
}

func TestNewServerRefusesOptions(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		directory, err := auth.NewDirectory(auth.Options{})
		require.NoError(t, err)
		whole := session.Options{Rooms: g.rooms, Auth: directory, Node: "n"}
		_, err = session.NewServer(whole)
		require.NoError(t, err)
		for name, change := range map[string]func(*session.Options){
			"NoRooms":          func(o *session.Options) { o.Rooms = nil },
			"NoDirectory":      func(o *session.Options) { o.Auth = nil },
			"NoNode":           func(o *session.Options) { o.Node = "" },
			"NegativeDuration": func(o *session.Options) { o.HelloTimeout = -1 },
			"NegativeLimit":    func(o *session.Options) { o.InFlight = -1 },
		} {
			opts := whole
			change(&opts)
			_, err = session.NewServer(opts)
			require.Error(t, err, name)
		}
	})
}

// The names and texts of the metrics are in order, and no label can grow without bound.
func TestMetricsLint(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		registry := prometheus.NewPedanticRegistry()
		directory, err := auth.NewDirectory(auth.Options{})
		require.NoError(t, err)
		_, err = session.NewServer(session.Options{Rooms: g.rooms, Auth: directory, Node: "n", Registerer: registry})
		require.NoError(t, err)
		problems, err := testutil.GatherAndLint(registry)
		require.NoError(t, err)
		require.Empty(t, problems)
	})
}
