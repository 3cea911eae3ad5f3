package classic_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestOptions(t *testing.T) {
	open := func(*socketio.Socket, *wire.Hello, *classic.Peer) (classic.Session, error) {
		return nil, errors.New("closed")
	}
	call := classic.Profile{Kind: classic.Call}
	for _, tc := range []struct {
		name  string
		opts  classic.Options
		fault string
	}{
		{"OK", classic.Options{Open: open, Profiles: profiles}, ""},
		{"LongestName", classic.Options{Open: open, Profiles: map[string]classic.Profile{"/12345678901234567890123456": call}}, ""},
		{"NoProfile", classic.Options{Open: open}, "a profile and Open"},
		{"NoOpen", classic.Options{Profiles: profiles}, "a profile and Open"},
		{"NoSlash", classic.Options{Open: open, Profiles: map[string]classic.Profile{"chat": call}}, "cannot be a namespace"},
		{"NoID", classic.Options{Open: open, Profiles: map[string]classic.Profile{"/a b": call}}, "cannot be a namespace"},
		{"TooLong", classic.Options{Open: open, Profiles: map[string]classic.Profile{"/123456789012345678901234567": call}}, "cannot be a namespace"},
		{"NoKind", classic.Options{Open: open, Profiles: map[string]classic.Profile{"/": {}}}, "unknown kind"},
		{"SenderInChat", classic.Options{Open: open, Profiles: map[string]classic.Profile{"/": {Kind: classic.Chat, SenderID: true}}}, "is there always"},
		{"NegativeLimit", classic.Options{Open: open, Profiles: profiles, MessageBytes: -1}, "negative"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := classic.New(tc.opts)
			if tc.fault == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.fault)
			}
		})
	}
}

// Who a client is comes from the first place that says it.
func TestHello(t *testing.T) {
	bearer := http.Header{"Authorization": {"bearer  from-header "}}
	for _, tc := range []struct {
		name                     string
		generation               string
		auth, namespace, request string // the query of the namespace, and that of the request
		header                   http.Header
		want                     wire.Hello
	}{
		{name: "Nothing", generation: v4},
		{name: "Nothing", generation: v2},
		{name: "Auth", generation: v4, auth: `{"token":"a","name":"Ada","more":[1]}`, want: wire.Hello{Token: "a", Name: "Ada"}},
		{name: "AuthApp", generation: v4, auth: `{"app":"demo","name":"\u00e9\"x"}`, want: wire.Hello{App: "demo", Name: `é"x`}},
		{name: "AuthOfPagesWithoutToken", generation: v4, auth: `{"token":null,"app":"demo"}`, want: wire.Hello{App: "demo"}},
		{name: "AuthKeysAreExact", generation: v4, auth: `{"Token":"a","APP":"b"}`},
		{name: "NoResume", generation: v4, auth: `{"app":"demo","resume":"x","rooms":{"a":1},"client":"y"}`, want: wire.Hello{App: "demo"}},
		{name: "Query", generation: v4, request: "token=q&name=Ada", want: wire.Hello{Token: "q", Name: "Ada"}},
		{name: "Query", generation: v2, request: "app=demo&name=A+B", want: wire.Hello{App: "demo", Name: "A B"}},
		{name: "Header", generation: v4, header: bearer, want: wire.Hello{Token: "from-header"}},
		{name: "OtherHeader", generation: v4, header: http.Header{"Authorization": {"Basic YTpi"}}},
		{name: "AuthBeforeQuery", generation: v4, auth: `{"token":"a"}`, request: "token=q&name=Q", header: bearer, want: wire.Hello{Token: "a", Name: "Q"}},
		{name: "QueryBeforeHeader", generation: v2, request: "token=q", header: bearer, want: wire.Hello{Token: "q"}},
		{name: "NamespaceBeforeQuery", generation: v2, namespace: "token=n&name=N", request: "token=q&app=q&name=Q", want: wire.Hello{Token: "n", Name: "N"}},
		{name: "EachPartOnItsOwn", generation: v2, namespace: "name=N", request: "app=q", want: wire.Hello{App: "q", Name: "N"}},
		{name: "TokenBeatsApp", generation: v4, auth: `{"app":"demo"}`, header: bearer, want: wire.Hello{Token: "from-header"}},
	} {
		t.Run(tc.name+"/"+tc.generation, func(t *testing.T) {
			s := serve(t, classic.Options{})
			query := ""
			if tc.request != "" {
				query = "&" + tc.request
			}
			c := s.dial(tc.generation, "/chat", query, tc.header)
			if tc.generation == v4 {
				c.send("40/chat," + tc.auth)
			} else {
				c.expect("40") // the root namespace, unasked
				<-s.opened
				c.send("40/chat?" + tc.namespace)
			}
			require.Contains(t, c.read(), "40/chat,")
			got := (<-s.opened).hello
			require.Equal(t, "socket.io", got.Client)
			got.Client = ""
			require.Equal(t, &tc.want, got)
		})
	}
}

// What a client is refused with is what natives are: a code and a message.
func TestRefusedConnects(t *testing.T) {
	refusal := &wire.Error{Code: wire.CodeUnauthorized, Message: "the token has expired"}
	opts := classic.Options{Open: func(_ *socketio.Socket, hello *wire.Hello, _ *classic.Peer) (classic.Session, error) {
		if hello.Token == "fault" {
			return nil, errors.New("a secret")
		}
		return nil, refusal
	}}
	for _, tc := range []struct{ name, auth, answer string }{
		{"ByTheSession", `{"token":"x"}`, `{"message":"the token has expired","data":{"code":"unauthorized","message":"the token has expired"}}`},
		{"ByAFault", `{"token":"fault"}`, `{"message":"Forbidden"}`},
		{"NumberAsToken", `{"token":7}`, `{"message":"auth.token is not a string","data":{"code":"bad_request","message":"auth.token is not a string"}}`},
		{"ObjectAsName", `{"name":{}}`, `{"message":"auth.name is not a string","data":{"code":"bad_request","message":"auth.name is not a string"}}`},
		{"BadApp", `{"app":"a b"}`, `{"message":"app is not a valid name","data":{"code":"bad_request","message":"app is not a valid name"}}`},
		{"BadName", `{"name":"a\u202eb"}`, `{"message":"name is not a valid name","data":{"code":"bad_request","message":"name is not a valid name"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, opts).dial(v4, "/", "", nil)
			c.send("40" + tc.auth)
			c.expect("44" + tc.answer)
		})
	}
	t.Run("Protocol4", func(t *testing.T) {
		c := serve(t, opts).dial(v2, "/", "&token=x", nil)
		c.expect(`44"the token has expired"`)
		c.send("40/chat?token=y")
		c.expect(`44/chat,"the token has expired"`)
	})
	t.Run("QueryThatIsNoText", func(t *testing.T) {
		c := serve(t, opts).dial(v2, "/", "&name="+url.QueryEscape("\xff"), nil)
		c.expect(`44"name is not a valid name"`)
	})
}

// How a client goes is how its session ends.
func TestHowSessionsEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		left bool
		end  func(c *client)
	}{
		{"LeavesTheNamespace", true, func(c *client) { c.send("41") }},
		{"ClosesTheSession", true, func(c *client) { c.send("1") }},
		{"ClosesTheSocket", true, func(c *client) { require.NoError(c.tb, c.conn.WriteMessage(8, []byte{3, 233})) }},
		{"IsLost", false, func(c *client) { c.conn.NetConn().Close() }},
		{"BreaksTheProtocol", false, func(c *client) { c.send("42{}") }},
	} {
		for _, generation := range generations {
			t.Run(tc.name+"/"+generation, func(t *testing.T) {
				s := serve(t, classic.Options{})
				c, session := s.enter(generation, "/")
				c.joins(session, "lobby", "lobby", 2)
				c.emits(`["leave","lobby"]`)
				request := session.wants(t, `{"type":"leave","room":"lobby"}`)
				tc.end(c)
				require.Equal(t, tc.left, <-session.ends)
				// What comes late goes nowhere, and hurts nobody.
				session.peer.Reply(request.ID, &wire.Done{})
				session.peer.Deliver(event(11, "lobby", newcomer("a")))
				session.peer.Close(wire.CloseMoved, "late")
				require.Empty(t, session.ends)
			})
		}
	}
}

// With a final code the client is told why, and put out of its namespace: stock clients then stay away. The other
// namespaces of its session go on.
func TestFinalClose(t *testing.T) {
	for _, generation := range generations {
		s := serve(t, classic.Options{})
		c, session := s.enter(generation, "/chat")
		c.joins(session, "lobby", "lobby", 2)
		c.asks(`["leave","lobby"]`)
		request := session.wants(t, `{"type":"leave","room":"lobby"}`)
		session.peer.Close(wire.CloseExpired, "the token has expired")
		session.peer.Close(wire.CloseMoved, "a second time")
		session.peer.Reply(request.ID, &wire.Done{})
		session.peer.Deliver(event(11, "lobby", newcomer("a")))
		c.hears(`ack {"ok":false,"error":{"code":"unavailable","message":"the session has ended: the token has expired"}}`,
			`["error",{"code":"expired","message":"the token has expired"}]`)
		c.expect("41/chat,")
		require.False(t, <-session.ends)
		c.emits(`["join","lobby"]`) // crossing
		if generation == v2 {
			c.send("2")
			c.expect("3") // the session goes on
			c.send("40/chat")
			c.expect("40/chat,") // and may ask again
		} else {
			c.send("40")
			require.Contains(t, c.read(), `40{"sid":`)
			c.send("40/chat,")
			require.Contains(t, c.read(), `40/chat,{"sid":`)
		}
		require.Empty(t, session.requests)
	}
}

// With any other code the session ends, and stock clients come back.
func TestRetryableClose(t *testing.T) {
	for _, generation := range generations {
		s := serve(t, classic.Options{})
		c, session := s.enter(generation, "/")
		c.joins(session, "lobby", "lobby", 2)
		c.asks(`["message","lobby",1]`)
		session.wants(t, `{"type":"publish","room":"lobby","topic":"message","data":1}`)
		session.peer.Deliver(event(11, "lobby", newcomer("a")))
		session.peer.Close(wire.CloseMoved, "the gateway is going away")
		c.hears(`["otherjoin","lobby","a"]`,
			`ack {"ok":false,"error":{"code":"unavailable","message":"the session has ended: the gateway is going away"}}`)
		_, _, err := c.conn.ReadMessage()
		require.Error(t, err)
		require.False(t, <-session.ends)
	}
}

// A session that closes while it handles a request, or an invalid one, is closed when that is handled.
func TestCloseWhileHandling(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	session.answers(func(wire.Request) { session.peer.Close(wire.CloseRateLimited, "too many requests") })
	c.asks(`["join","lobby"]`)
	c.emits(`["join","vault"]`)
	c.hears(`ack {"ok":false,"error":{"code":"unavailable","message":"the session has ended: too many requests"}}`,
		`["error",{"code":"rate_limited","message":"too many requests"}]`)
	c.expect("41")
	require.False(t, <-session.ends)
	c.send("40") // is answered once all that came before is handled
	require.Contains(t, c.read(), `40{"sid":`)
	session.wants(t, `{"type":"join","room":"lobby"}`)
	require.Empty(t, session.requests, "nothing is handled after the end")
}

// A session that is closed before its client was let in is ended as well, and leaves nothing behind.
func TestCloseWhileConnecting(t *testing.T) {
	for _, code := range []wire.CloseCode{wire.CloseExpired, wire.CloseMoved} {
		session := &fakeSession{ends: make(chan bool, 8)}
		s := serve(t, classic.Options{Open: func(_ *socketio.Socket, _ *wire.Hello, peer *classic.Peer) (classic.Session, error) {
			peer.Close(code, "at once")
			return session, nil
		}})
		c := s.dial(v4, "/", "", nil)
		c.send("40")
		if code == wire.CloseExpired {
			c.expect(`44{"message":"the session was closed at once","data":{"code":"unavailable","message":"the session was closed at once"}}`)
		} else {
			_, _, err := c.conn.ReadMessage()
			require.Error(t, err)
		}
		require.False(t, <-session.ends)
	}
}

// The time between a session's opening and its client's being let in is another goroutine's, too.
func TestCloseBesideConnecting(t *testing.T) {
	for range 200 {
		session := &fakeSession{ends: make(chan bool, 8)}
		s := serve(t, classic.Options{Open: func(_ *socketio.Socket, _ *wire.Hello, peer *classic.Peer) (classic.Session, error) {
			go peer.Close(wire.CloseExpired, "soon")
			return session, nil
		}})
		s.dial(v4, "/", "", nil).send("40")
		require.False(t, <-session.ends)
	}
}

// Metrics have a label for each event of the table and for each code, and no more whatever clients send.
func TestMetrics(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	count := func(event, result string) float64 {
		t.Helper()
		families, err := s.registry.Gather()
		require.NoError(t, err)
		require.Len(t, families, 2)
		require.Equal(t, "signalbox_classic_events_total", families[0].GetName())
		require.Equal(t, "signalbox_classic_recoveries_total", families[1].GetName())
		require.Len(t, families[1].GetMetric(), 2)
		require.Len(t, families[0].GetMetric(), 7*(1+len(wire.Codes)))
		for _, metric := range families[0].GetMetric() {
			if labels := metric.GetLabel(); labels[0].GetValue() == event && labels[1].GetValue() == result {
				return metric.GetCounter().GetValue()
			}
		}
		return -1
	}
	session.answers(func(request wire.Request) {
		if request.Body.Type() == wire.TypeLeave {
			session.peer.Refuse(request.ID, wire.Errorf(wire.CodeNotMember, "no"))
			return
		}
		session.peer.Reply(request.ID, &wire.Done{Seq: 1})
	})
	for _, event := range []string{`["message","lobby",1]`, `["message","lobby",2]`, `["message"]`, `["leave","lobby"]`, `["invented"]`, `["unknown"]`} {
		c.emits(event)
	}
	c.silent() // by an unknown event
	require.EqualValues(t, 2, count("message", "ok"))
	require.EqualValues(t, 1, count("message", "bad_request"))
	require.EqualValues(t, 1, count("leave", "not_member"))
	require.EqualValues(t, 3, count("unknown", "bad_request"))
	require.EqualValues(t, 0, count("join", "room_full"))
}

// The id of a session is all that its peers know of it, and its client has the same.
func TestPeerIDs(t *testing.T) {
	s := serve(t, classic.Options{})
	for _, generation := range generations {
		for namespace := range profiles {
			c, session := s.enter(generation, namespace)
			require.True(t, wire.ValidID(session.id), session.id)
			require.Equal(t, c.id, session.id)
		}
	}
}
