package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// poller is a socket.io client of version 4 on polling, each of whose requests goes to the next gateway.
type poller struct {
	tb       testing.TB
	gateways []*gateway
	next     int
	header   http.Header
	sid      string
	id       string   // what a stock client has as socket.id
	packets  []string // that have come and were not looked at
}

// openPoller opens a session and enters a namespace.
func openPoller(tb testing.TB, namespace string, gateways ...*gateway) *poller {
	tb.Helper()
	p := &poller{tb: tb, gateways: gateways}
	p.handshake(`{"app":"demo"}`, namespace)
	return p
}

func (p *poller) handshake(auth, namespace string) {
	p.tb.Helper()
	status, body := p.do(http.MethodGet, "")
	require.Equal(p.tb, http.StatusOK, status, body)
	var open struct{ SID string }
	require.NoError(p.tb, json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open))
	p.sid = open.SID
	p.emit("0" + prefix(namespace) + auth)
	answer := p.await("40")
	var connected struct{ SID string }
	require.NoError(p.tb, json.Unmarshal([]byte(strings.TrimPrefix(answer, "40"+prefix(namespace))), &connected), answer)
	p.id = connected.SID
}

func prefix(namespace string) string {
	if namespace == "/" {
		return ""
	}
	return namespace + ","
}

// url is where the next request goes.
func (p *poller) url() string {
	g := p.gateways[p.next%len(p.gateways)]
	p.next++
	query := url.Values{"EIO": {"4"}, "transport": {"polling"}}
	if p.sid != "" {
		query.Set("sid", p.sid)
	}
	return "http://" + g.PublicAddr().String() + "/socket.io/?" + query.Encode()
}

// do makes a request of the session at the next gateway.
func (p *poller) do(method, body string) (int, string) {
	p.tb.Helper()
	var reader io.Reader
	if method == http.MethodPost {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(p.tb.Context(), method, p.url(), reader)
	require.NoError(p.tb, err)
	request.Header = p.header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	if reader != nil {
		request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	response, err := (&http.Client{Timeout: patience}).Do(request)
	require.NoError(p.tb, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(p.tb, err)
	return response.StatusCode, string(text)
}

// emit sends one packet of Socket.IO.
func (p *poller) emit(packet string) {
	p.tb.Helper()
	status, body := p.do(http.MethodPost, "4"+packet)
	require.Equal(p.tb, http.StatusOK, status, body)
}

// await polls for a packet of Engine.IO that begins with a text, in which $ID stands for the client's id, and gives it.
// Those before it are thrown away.
func (p *poller) await(begin string) string {
	p.tb.Helper()
	begin = strings.ReplaceAll(begin, "$ID", p.id)
	for end := time.Now().Add(patience); ; {
		for len(p.packets) > 0 {
			packet := p.packets[0]
			p.packets = p.packets[1:]
			if strings.HasPrefix(packet, begin) {
				return packet
			}
		}
		require.True(p.tb, time.Now().Before(end), "no %s", begin)
		p.poll()
	}
}

// poll makes one GET, and answers a ping.
func (p *poller) poll() {
	p.tb.Helper()
	status, body := p.do(http.MethodGet, "")
	require.Equal(p.tb, http.StatusOK, status, body)
	for packet := range strings.SplitSeq(body, "\x1e") {
		if packet == "2" {
			_, _ = p.do(http.MethodPost, "3")
			continue
		}
		p.packets = append(p.packets, packet)
	}
}

// Every request of a session may come to any gateway, and a client of the native protocol is in the same room.
func TestSocketIOWithoutStickySessions(t *testing.T) {
	gateways := startGateways(t, 3, singleRedis(t))
	ada, bob := openPoller(t, "/", gateways...), openPoller(t, "/", gateways...)
	ada.emit(`2["join","r"]`)
	ada.await(`42["joined","r","$ID"]`)
	bob.emit(`21["join","r"]`)
	bob.await(`42["joined","r","$ID"]`)
	require.JSONEq(t, fmt.Sprintf(`[{"ok":true,"room":"r","id":%q,"count":2,"capacity":2,"others":[%q]}]`, bob.id, ada.id),
		strings.TrimPrefix(bob.await("431"), "431"))
	ada.await(fmt.Sprintf(`42["otherjoin","r",%q]`, bob.id))

	third := connect(t, gateways[0], "third")
	_, err := third.Join(t.Context(), wire.Join{Room: "r"})
	require.Equal(t, wire.CodeRoomFull, code(err), "%v", err)

	for i := range 20 {
		ada.emit(fmt.Sprintf(`2["message","r",{"n":%d}]`, i))
	}
	for i := range 20 {
		bob.await(fmt.Sprintf(`42["message","r",{"n":%d}]`, i))
	}
	bob.emit(`2["leave","r"]`)
	bob.await(`42["leaved","r","$ID"]`)
	ada.await(fmt.Sprintf(`42["bye","r",%q]`, bob.id))
	third.mustJoin(t, "r")
	ada.await(fmt.Sprintf(`42["otherjoin","r",%q]`, third.id()))

	forwarded := 0.0
	for _, g := range gateways {
		forwarded += g.counted(t, "signalbox_hop_requests_total", `result="ok"`)
	}
	require.Positive(t, forwarded)
}

// An id whose gateway is gone, or never was, is unknown: upon that a client starts anew.
func TestSocketIOUnknownOwner(t *testing.T) {
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis)
	p := openPoller(t, "/", gateways[1])
	p.gateways = gateways[:1]
	p.emit(`2["join","r"]`)
	p.await(`42["joined","r","$ID"]`)
	sid := p.sid
	for _, id := range []string{
		strings.Repeat("A", len(sid)), sid[:12] + strings.Repeat("A", len(sid)-12), sid + "A", "__proto__", strings.Repeat("A", 4000),
		"../../" + sid, sid[:12] + ":" + sid[13:],
	} {
		p.sid = id
		status, body := p.do(http.MethodGet, "")
		require.Equal(t, http.StatusBadRequest, status, id)
		require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, body, id)
	}
	p.sid = sid
	require.NoError(t, gateways[1].end())
	status, body := p.do(http.MethodGet, "")
	require.Equal(t, http.StatusBadRequest, status)
	require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, body)
	require.Empty(t, redis.roomKeys(t), "the seat was given up")
}

// Tokens decide who gets in, as they do for the native protocol.
func TestSocketIOAuthentication(t *testing.T) {
	g := newTarget(t, func(c *app.Config) { c.Demo.Enabled = false })
	refused := func(auth, code string) {
		t.Helper()
		p := &poller{tb: t, gateways: []*gateway{g.gateway}}
		_, body := p.do(http.MethodGet, "")
		var open struct{ SID string }
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open))
		p.sid = open.SID
		p.emit("0" + auth)
		require.Contains(t, p.await("44"), `"code":"`+code+`"`)
	}
	refused("", "unauthorized")
	refused(`{"app":"acme"}`, "unauthorized")
	refused(`{"token":"x.y.z"}`, "unauthorized")
	refused(`{"token":"`+g.token(t, map[string]any{"exp": time.Now().Unix() - 3600})+`"}`, "unauthorized")

	p := &poller{tb: t, gateways: []*gateway{g.gateway}}
	p.handshake(`{"token":"`+g.token(t, nil)+`"}`, "/")
	p.emit(`2["join","r"]`)
	p.await(`42["joined","r","$ID"]`)

	// A page of another tenant may open a session, but not use this app's token.
	p = &poller{tb: t, gateways: []*gateway{g.gateway}, header: http.Header{"Origin": {"https://other.example"}}}
	_, body := p.do(http.MethodGet, "")
	var open struct{ SID string }
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open))
	p.sid = open.SID
	p.emit(`0{"token":"` + g.token(t, nil) + `"}`)
	require.Contains(t, p.await("44"), `"code":"unauthorized"`)

	p = &poller{tb: t, gateways: []*gateway{g.gateway}, header: http.Header{"Origin": {"https://evil.example"}}}
	status, _ := p.do(http.MethodGet, "")
	require.Equal(t, http.StatusForbidden, status)
	g.stillServesToken(t)
}

// stillServesToken is stillServes without the demo app.
func (g *target) stillServesToken(t *testing.T) {
	t.Helper()
	p := &poller{tb: t, gateways: []*gateway{g.gateway}}
	p.handshake(`{"token":"`+g.token(t, nil)+`"}`, "/chat")
	p.emit(`2/chat,["join","good"]`)
	p.await(`42/chat,["joined","good","$ID"]`)
}

// The profile of a namespace is configuration: the page of the tutorial, which knows the root alone, can be a chat's.
func TestSocketIOProfiles(t *testing.T) {
	gateways := startGateways(t, 1, singleRedis(t), func(c *app.Config) {
		c.SocketIO.CallNamespaces, c.SocketIO.ChatNamespaces = []string{"/call"}, []string{"/"}
		c.SocketIO.CallCapacity, c.SocketIO.SenderID = 3, true
	})
	ada, bob := openPoller(t, "/", gateways...), openPoller(t, "/", gateways...)
	for _, p := range []*poller{ada, bob} {
		p.emit(`2["join","r"]`)
		p.await(`42["joined","r","$ID"]`)
	}
	ada.emit(`2["message","r","hello"]`)
	for _, p := range []*poller{ada, bob} {
		p.await(fmt.Sprintf(`42["message","r",%q,"hello"]`, ada.id))
	}
	var callers []*poller
	for range 3 {
		p := openPoller(t, "/call", gateways...)
		p.emit(`2/call,["join","c"]`)
		p.await(`42/call,["joined","c","$ID"]`)
		callers = append(callers, p)
	}
	callers[0].emit(`2/call,["message","c",1]`)
	callers[2].await(fmt.Sprintf(`42/call,["message","c",1,%q]`, callers[0].id))
	late := openPoller(t, "/call", gateways...)
	late.emit(`2/call,["join","c"]`)
	late.await(`42/call,["full","c","$ID"]`)
}

// Native clients get the ICE servers with their welcome, and stock ones right behind their connection.
func TestSocketIOTellsICEServers(t *testing.T) {
	gateways := startGateways(t, 1, singleRedis(t), func(c *app.Config) {
		c.ICEServers = []app.ICEServer{{URLs: []string{"turn:turn.example.org"}, Username: "ada", Credential: "secret"}}
	})
	p := openPoller(t, "/", gateways...)
	require.JSONEq(t, `["control",null,{"type":"ice","iceServers":[{"urls":["turn:turn.example.org"],"username":"ada","credential":"secret"}]}]`,
		strings.TrimPrefix(p.await("42"), "42"))
}

// The end of a gateway answers the polls that wait, tells clients on a WebSocket, and leaves no seat behind.
func TestSocketIOShutdown(t *testing.T) {
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis)
	waiting := openPoller(t, "/", gateways[0])
	waiting.emit(`2["join","r"]`)
	waiting.await(`42["joined","r","$ID"]`)
	forwarded := openPoller(t, "/", gateways[0])
	forwarded.gateways = gateways[1:]
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(),
		"ws://"+gateways[1].PublicAddr().String()+"/socket.io/?EIO=4&transport=websocket&sid="+openPoller(t, "/", gateways[0]).sid, nil)
	require.NoError(t, err, "an upgrade is forwarded, too")
	defer conn.Close()
	require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte("2probe")))
	_, message, err := conn.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "3probe", string(message))
	require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte("5")))

	type result struct {
		status int
		body   string
	}
	results := make(chan result, 2)
	for _, p := range []*poller{waiting, forwarded} {
		go func() {
			status, body := p.do(http.MethodGet, "")
			results <- result{status, body}
		}()
	}
	until(t, func() bool { return gateways[1].counted(t, "signalbox_hop_open") == 2 }, "a poll and an upgrade are forwarded")
	require.NoError(t, gateways[0].end())
	for range 2 {
		got := <-results
		require.Contains(t, []string{"1", "6"}, got.body, "status %d", got.status)
	}
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	require.True(t, websocket.IsCloseError(err, websocket.CloseGoingAway, websocket.CloseNormalClosure), "%v", err)
	require.Empty(t, redis.roomKeys(t))
	require.NotContains(t, gateways[0].log.String(), `"level":"ERROR"`)
}
