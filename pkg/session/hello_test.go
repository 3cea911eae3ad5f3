package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestHello(t *testing.T) {
	opts := session.Options{
		Heartbeat:    20 * time.Second,
		MessageBytes: 1000, RoomsPerSession: 3, StateBytes: 500, InFlight: 7, RequestsPerSecond: 8, RequestsBurst: 9,
	}
	inBubble(t, opts, func(t *testing.T, g *gateway) {
		c := g.connect()
		var welcome wire.Welcome
		c.ok(fmt.Sprintf(`{"id":5,"type":"hello","token":%q,"client":"test/1"}`, g.token(nil)), &welcome)
		require.Len(t, welcome.Session, 20)
		require.True(t, wire.ValidID(welcome.Session))
		require.Equal(t, wire.Welcome{
			Session: welcome.Session, App: "acme", User: "ada", Name: "Ada", Node: "gateway-1", Version: 1, Heartbeat: 20000,
			Time: time.Now().UnixMilli(), ICEServers: []wire.ICEServer{{URLs: []string{"stun:stun.example.org"}}},
			Limits: wire.SessionLimits{MessageBytes: 1000, RequestsPerSecond: 8, RequestsBurst: 9, Rooms: 3, StateBytes: 500, InFlight: 7},
		}, welcome)

		_, other := g.enter()
		require.Equal(t, "open", other.App)
		require.Equal(t, "Ada", other.Name)
		require.NotEqual(t, welcome.Session, other.Session)
		require.True(t, strings.HasPrefix(other.User, "anon-"), other.User)

		require.EqualValues(t, 2, g.metric("signalbox_hellos_total", "ok"))
		require.EqualValues(t, 2, g.metric("signalbox_sessions"))
		require.EqualValues(t, 2, g.metric("signalbox_connections", "test"))

		time.Sleep(time.Hour - time.Second) // no timer of the hello closes the session
		synctest.Wait()
		require.True(t, c.open())
		c.leave()
		require.EqualValues(t, 1, g.metric("signalbox_sessions"))
		require.EqualValues(t, 1, g.metric("signalbox_connections", "test"))
	}, auth.ICEServerSettings{URLs: []string{"stun:stun.example.org"}})
}

// A stranger would hold a connection for ever by saying nothing, or anything but hello.
func TestHelloTimeout(t *testing.T) {
	for name, chatter := range map[string]bool{"Silence": false, "OtherRequests": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, session.Options{HelloTimeout: 3500 * time.Millisecond}, func(t *testing.T, g *gateway) {
				begun := time.Now()
				c := g.connect()
				for second := range 5 {
					if chatter {
						c.say(fmt.Sprintf(`{"id":%d,"type":"ping"}`, second+1))
					}
					time.Sleep(time.Second)
				}
				c.requireClosed(wire.CloseHelloTimeout)
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "hello_timeout"))
				require.Equal(t, 5*time.Second, time.Since(begun))
				require.Zero(t, g.metric("signalbox_sessions"))
				if chatter {
					require.Equal(t, 4, c.farewell().after, "refusals, then the farewell")
				}
			})
		})
	}
}

// Nothing but hello is answered before the client is known.
func TestRequestsBeforeHello(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.connect()
		for i, request := range []string{
			`"type":"ping"`, `"type":"join","room":"r"`, `"type":"publish","room":"r","data":1`, `"type":"peers","room":"r"`,
			`"type":"report","outcome":"failed"`,
		} {
			reply := c.refused(fmt.Sprintf(`{"id":%d,%s}`, i+10, request), wire.CodeUnauthorized)
			require.EqualValues(t, i+10, reply.Re)
		}
		require.EqualValues(t, 5, g.metric("signalbox_requests_refused_total", "unauthorized"))
		require.Zero(t, g.metric("signalbox_rooms"))
		var welcome wire.Welcome
		c.ok(helloOpen, &welcome) // it may come late
	})
}

func TestSecondHello(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, welcome := g.enter()
		// A session that could change its user would keep the seats of the first.
		reply := c.refused(fmt.Sprintf(`{"id":2,"type":"hello","token":%q}`, g.token(nil)), wire.CodeBadRequest)
		require.Contains(t, reply.Err.Message, "hello was said already")
		var snapshot wire.Snapshot
		c.ok(`{"id":3,"type":"join","room":"r"}`, &snapshot)
		require.Equal(t, welcome.Session, snapshot.Self)
		require.Equal(t, welcome.User, snapshot.Peers[0].User)
		require.EqualValues(t, 1, g.metric("signalbox_sessions"))
	})
}

// fill puts tokens in the place of their names.
func (g *gateway) fill(hello string) string {
	forged := g.token(nil)
	return strings.NewReplacer(
		"TOKEN", g.token(nil), "FORGED", forged[:len(forged)-8]+"AAAAAAAA",
		"EXPIRED", g.token(func(c *auth.Claims) { c.Expires = time.Now().Add(-time.Hour) }),
	).Replace(hello)
}

func TestHelloRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, hello, origin, metric string
	}{
		{"NeitherTokenNorApp", `"name":"Ada"`, "", "missing"},
		// Row 16: of the two, a proxy or a log may show one and the gateway take the other.
		{"TokenAndApp", `"token":"TOKEN","app":"open"`, "", "ambiguous"},
		{"Garbage", `"token":"x.y.z"`, "", "malformed"},
		{"ForgedToken", `"token":"FORGED"`, "", "signature"},
		{"ExpiredToken", `"token":"EXPIRED"`, "", "expired"},
		{"UnknownApp", `"app":"nobody"`, "", "unknown_app"},
		{"DisabledApp", `"app":"off"`, "", "app_disabled"},
		{"AppThatWantsTokens", `"app":"acme"`, "", "anonymous_refused"},
		{"ResumeWithToken", `"resume":"r.1","token":"TOKEN"`, "", "ambiguous"},
		// A page of another app would use its visitor's token of this one.
		{"Origin", `"token":"TOKEN"`, "https://evil.example", "origin"},
		{"OriginOfAnotherApp", `"token":"TOKEN"`, "https://acme.example.evil.example", "origin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
				c := g.serve(newConn(), session.Client{Transport: "test", Origin: tc.origin})
				reply := c.refused(`{"id":7,"type":"hello",`+g.fill(tc.hello)+`}`, wire.CodeUnauthorized)
				require.EqualValues(t, 7, reply.Re)
				require.NotContains(t, reply.Err.Message, "evil")
				said := c.requireClosed(wire.CloseUnauthorized)
				require.Equal(t, 1, said.after, "the reply came before the farewell")
				require.EqualValues(t, 1, g.metric("signalbox_hellos_total", tc.metric))
				require.Zero(t, g.metric("signalbox_sessions"))
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "unauthorized"))
			})
		})
		t.Run(tc.name+"/Attached", func(t *testing.T) {
			inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
				requireNotAttached(t, g, g.fill(tc.hello), tc.origin)
				require.EqualValues(t, 1, g.metric("signalbox_hellos_total", tc.metric))
			})
		})
	}
	t.Run("AllowedOrigin", func(t *testing.T) {
		inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
			c := g.serve(newConn(), session.Client{Transport: "test", Origin: "https://acme.example"})
			c.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.token(nil)), new(wire.Welcome))
		})
	})
}

// Row 19: a token that has expired would be good for as long as its connection holds.
func TestTokenExpires(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.connect()
		begun := time.Now()
		c.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.token(func(c *auth.Claims) { c.Expires = begun.Add(90 * time.Second) })), new(wire.Welcome))
		c.ok(`{"id":2,"type":"join","room":"team-1"}`, new(wire.Snapshot))
		time.Sleep(90*time.Second - time.Millisecond)
		synctest.Wait()
		require.True(t, c.open())
		c.requireClosed(wire.CloseExpired)
		require.Equal(t, 90*time.Second, time.Since(begun).Round(time.Second))
		require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "expired"))
		require.Zero(t, g.metric("signalbox_seats"), "its seat is given up")
	})
	// The timer must not outlive a session that ended before.
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		c.leave()
		time.Sleep(2 * time.Hour)
		require.Zero(t, c.farewell().code)
	})
}

// quietHandler logs nothing below errors, and counts the loggers that are made for it all the same.
type quietHandler struct {
	slog.Handler
	made *atomic.Int64
}

func (h quietHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

func (h quietHandler) WithAttrs([]slog.Attr) slog.Handler {
	h.made.Add(1)
	return h
}

// A kilobyte for each hello and each end, for nobody to read.
func TestNoLoggerIsMadeForNobody(t *testing.T) {
	made := new(atomic.Int64)
	opts := session.Options{Logger: slog.New(quietHandler{slog.DiscardHandler, made})}
	inBubble(t, opts, func(t *testing.T, g *gateway) {
		before := made.Load()
		g.enter()
		synctest.Wait()
		require.Equal(t, before, made.Load())
	})
}
