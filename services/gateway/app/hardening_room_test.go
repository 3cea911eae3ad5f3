package app_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Row 38: what an address that is not in the room tells about others. A peer that never was, one of another room, one of
// another tenant and one that has left give the same answer, word for word.
func TestHardeningAddresses(t *testing.T) {
	g := newTarget(t)
	s, welcome := g.enter(t)
	s.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	elsewhere, elsewhereWelcome := g.enter(t)
	elsewhere.ok(`"type":"join","room":"another"`, new(wire.Snapshot))
	foreign := g.meet(t)
	var foreignWelcome wire.Welcome
	foreign.ok(fmt.Sprintf(`"type":"hello","token":%q`, g.token(t, nil)), &foreignWelcome)
	foreign.ok(`"type":"join","room":"r"`, new(wire.Snapshot)) // a room of that name, of another tenant
	gone, goneWelcome := g.enter(t)
	gone.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	gone.ok(`"type":"leave","room":"r"`, new(wire.Done))

	signal := func(to string) string { return fmt.Sprintf(`"type":"signal","room":"r","to":%q,"data":{"x":1}`, to) }
	want := s.refused(signal("nobody"), wire.CodePeerGone).Message
	for name, to := range map[string]string{
		"AnotherRoom": elsewhereWelcome.Session, "AnotherTenant": foreignWelcome.Session, "Left": goneWelcome.Session,
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, want, s.refused(signal(to), wire.CodePeerGone).Message) })
	}
	s.refused(signal(welcome.Session), wire.CodeBadRequest)
	s.refused(signal(""), wire.CodeBadRequest)
	s.refused(signal(strings.Repeat("p", 65)), wire.CodeBadRequest)
	s.refused(signal("a:b"), wire.CodeBadRequest)
	s.refused(`"type":"signal","room":"r","to":["`+strings.Repeat(`a","`, 1000)+`b"],"data":{}`, wire.CodeBadRequest)
	s.refused(fmt.Sprintf(`"type":"signal","room":"another","to":%q,"data":{}`, elsewhereWelcome.Session), wire.CodeNotMember)
	s.refused(`"type":"peers","room":"another","list":true`, wire.CodeNotMember)

	// Nothing of it has arrived.
	for _, other := range []*stranger{elsewhere, foreign} {
		reply := other.ask(`"type":"ping"`)
		require.Nil(t, reply.Err)
	}
	g.stillServes(t)
}

// Row 39: fields that a server writes, in what a client sends. A receiver would take them for the server's word.
func TestHardeningSpoofedFields(t *testing.T) {
	g := newTarget(t)
	ada := connect(t, g.gateway, "Ada")
	ada.mustJoin(t, "r")
	s, welcome := g.enter(t)
	s.ok(`"type":"join","room":"r","peer":"`+ada.id()+`","order":0,"user":"root","self":"x"`, new(wire.Snapshot))
	joined := ada.await(t, wire.TypeJoinedPeer).Body.(*wire.JoinedPeer)
	require.Equal(t, welcome.Session, joined.Peer.ID)
	require.Equal(t, welcome.User, joined.Peer.User)

	var done wire.Done
	spoofed := `"from":"` + ada.id() + `","seq":999999,"epoch":"x","by":"server","re":5,"ok":{}`
	s.ok(`"type":"publish","room":"r",`+spoofed+`,"data":{"from":"me","seq":1}`, &done)
	event := ada.await(t, wire.TypeMessage)
	message := event.Body.(*wire.Message)
	require.Equal(t, welcome.Session, message.From)
	require.Equal(t, done.Seq, event.Seq)
	require.Equal(t, `{"from":"me","seq":1}`, string(message.Data), "the application's own is not touched")

	s.ok(`"type":"signal","room":"r","to":"`+ada.id()+`",`+spoofed+`,"data":{"description":{"type":"offer","sdp":""}}`, &done)
	event = ada.await(t, wire.TypeSignal)
	require.Equal(t, welcome.Session, event.Body.(*wire.Signaled).From)
	require.Equal(t, done.Seq, event.Seq)
	s.ok(`"type":"state","room":"r","peer":"`+ada.id()+`",`+spoofed+`,"state":{"mic":false}`, &done)
	require.Equal(t, welcome.Session, ada.await(t, wire.TypeState).Body.(*wire.StateChanged).Peer)
	g.stillServes(t)
}

// Row 40: what peers tell each other is theirs. A server that read SDP would be as weak as its parser.
func TestHardeningOpaqueSignals(t *testing.T) {
	g := newTarget(t)
	ada := connect(t, g.gateway, "Ada")
	ada.mustJoin(t, "r")
	s, _ := g.enter(t)
	s.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	ada.await(t, wire.TypeJoinedPeer)
	for name, data := range map[string]string{
		"Garbage":    `{"description":{"type":"offer","sdp":"` + strings.Repeat(`\u0000\r\na=%s%n;`, 3000) + `"}}`,
		"Attributes": `{"candidate":{"candidate":"candidate:1 1 udp 1 10.0.0.1 9 typ host ` + strings.Repeat(`x 1 `, 10_000) + `"}}`,
		"Unknown":    `{"anything":[null,1,"\u2028"]}`,
		"Empty":      `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.tb = t
			s.ok(`"type":"signal","room":"r","to":"`+ada.id()+`","data":`+data, new(wire.Done))
			require.Equal(t, data, string(ada.await(t, wire.TypeSignal).Body.(*wire.Signaled).Data), "byte for byte")
			g.stillServes(t)
		})
	}
	require.NotContains(t, g.log.String(), "candidate:", "neither SDP nor candidates in the log")
	require.NotContains(t, g.log.String(), "a=%s")
}

// Row 41, as far as it goes without resume: a token for one is never a way in.
func TestHardeningResume(t *testing.T) {
	g := newTarget(t)
	_, welcome := g.enter(t)
	for _, hello := range []string{
		`"resume":"` + welcome.Session + `"`, `"resume":"` + strings.Repeat("r", 60_000) + `"`, `"resume":"!"`,
	} {
		s := g.meet(t)
		s.refused(`"type":"hello",`+hello, wire.CodeResumeRefused)
		s.ok(`"type":"hello","app":"demo"`, new(wire.Welcome)) // on the same connection
		g.stillServes(t)
	}
	for hello, code := range map[string]wire.Code{
		`"resume":"x","app":"demo"`:                             wire.CodeUnauthorized,
		fmt.Sprintf(`"resume":"x","token":%q`, g.token(t, nil)): wire.CodeUnauthorized,
		`"resume":"x","rooms":{"r":1}`:                          wire.CodeBadRequest,
		`"resume":"x","rooms":{"r":{"epoch":"e","seq":-1}}`:     wire.CodeBadRequest,
	} {
		s := g.meet(t)
		s.refused(`"type":"hello",`+hello, code)
		g.stillServes(t)
	}
}

// Row 43: a client that sends without pause costs everybody else their share.
func TestHardeningFlood(t *testing.T) {
	g := newTarget(t, func(c *app.Config) {
		// Few a second: a busy machine takes some to handle the burst.
		c.Limits.RequestsPerSecond, c.Limits.RequestsBurst, c.Limits.RequestsWait = 5, 100, 300*time.Millisecond
	})
	s, _ := g.enter(t)
	s.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	before := g.scripts(t)
	var flood []byte
	for id := range 10_000 {
		text := fmt.Sprintf(`{"id":%d,"type":"publish","room":"r","data":1}`, id+100)
		flood = append(binary.BigEndian.AppendUint32(append(flood, 0x81, 0x80|byte(len(text))), 0), text...)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.raw(flood)
	}()
	s.requireClosed(wire.CloseRateLimited)
	_ = s.Close()
	<-sent
	require.Less(t, g.scripts(t)-before, 200, "the burst and what the rate allows, not the flood")
	until(t, func() bool { return g.counted(t, "signalbox_connections_closed_total", `reason="rate_limited"`) == 1 }, "the end is counted")
	g.stillServes(t)
}

// Row 44: a client that never reads. Its queue is bounded, and the senders do not wait for it.
func TestHardeningSlowReader(t *testing.T) {
	g := newTarget(t, func(c *app.Config) {
		c.Session.QueueMessages, c.Session.WriteTimeout = 16, 300*time.Millisecond
		c.Session.Heartbeat, c.Session.HeartbeatTimeout = 2*patience, patience // or it is closed for its silence, before it was sent enough
	})
	deaf := g.meetBy(t, narrow)
	deaf.ok(`"type":"hello","app":"demo","name":"Mallory"`, new(wire.Welcome))
	deaf.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	loud := connect(t, g.gateway, "Loud")
	loud.mustJoin(t, "r")
	until(t, func() bool {
		loud.burst(t, "r")
		return g.counted(t, "signalbox_connections_closed_total", `reason="slow_receiver"`) == 1
	}, "the slow client is closed")
	require.Positive(t, g.counted(t, "signalbox_messages_dropped_total"))
	until(t, func() bool { return g.counted(t, "signalbox_seats") == 1 }, "its seat is given up")
	loud.await(t, wire.TypeLeftPeer)
	g.stillServes(t)
}

// Row 45: what is for operators must not be found on the public address.
func TestHardeningPublicPaths(t *testing.T) {
	g := newTarget(t, func(c *app.Config) { c.Listen.Pprof, c.Pages.Enabled = true, true })
	for _, path := range []string{
		"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/pprof/heap", "/admin", "/v1/", "/v1/rooms", "/../metrics", "//metrics",
		"/sdk/../../metrics", "/v1/connect/x", "/.git/config", "/%2e%2e/metrics",
	} {
		t.Run(path, func(t *testing.T) {
			status, text := g.answer(t, "GET "+path+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
			if status >= 300 && status < 400 { // the mux cleans a path by a redirect to one that is not there either
				require.NotContains(t, text, "http://")
				return
			}
			require.Equal(t, http.StatusNotFound, status, text)
			require.NotContains(t, text, "signalbox_")
		})
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "BREW"} {
		status, _ := g.answer(t, method+" /v1/connect HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n")
		require.Equal(t, http.StatusMethodNotAllowed, status, method)
		// A form of another site can make its visitor's browser POST anywhere.
		response, _ := g.fetch(t, method, "http://"+g.OperationsAddr().String()+"/readyz", nil)
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, method)
	}
	g.stillServes(t)
}
