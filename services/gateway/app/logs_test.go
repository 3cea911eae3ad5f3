package app_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// secrets are texts that a log must never have, by what they are.
type secrets map[string]string

// plant makes a text that is nowhere else, to be sent as something that is nobody else's business.
func (s secrets) plant(kind string) string {
	s[kind] = "m" + rand.Text()
	return s[kind]
}

// leaks finds the secrets that a log has, by what they are and the line.
func (s secrets) leaks(log string) (found []string) {
	for line := range strings.Lines(log) {
		for kind, secret := range s {
			if strings.Contains(line, secret) {
				found = append(found, kind+": "+line)
			}
		}
	}
	return found
}

// logLine is one line of a log.
type logLine struct {
	Level, Msg, Session, App, Room, Node, Code string
}

func logLines(tb testing.TB, log string) (lines []logLine) {
	tb.Helper()
	for text := range strings.Lines(log) {
		var line logLine
		require.NoError(tb, json.Unmarshal([]byte(text), &line), text)
		lines = append(lines, line)
	}
	return lines
}

// A gateway at its most talkative, every kind of traffic, good and bad: no line has what passed through it, or what lets somebody
// in. What a session does has its id, and where a room is concerned the room's.
func TestLogTellsNoSecrets(t *testing.T) {
	s := make(secrets)
	g := newTarget(t, func(c *app.Config) {
		c.Redis.Password = auth.Secret(s.plant("password of Redis"))
		c.Cluster.Key = auth.Secret(s.plant("cluster key") + strings.Repeat("k", 32))
		c.ICEServers = []app.ICEServer{{URLs: []string{"turn:turn.example.org"}, Username: "u", Credential: auth.Secret(s.plant("credential of TURN"))}}
		s["key of an app"] = string(c.Apps[0].Keys[0].Secret)
	})

	// Who gets in, and what passes between two.
	token := g.token(t, nil)
	s["token"], s["claims of a token"] = token, strings.Split(token, ".")[1]
	ada, adaWelcome := g.meet(t), new(wire.Welcome)
	ada.ok(fmt.Sprintf(`"type":"hello","resumable":true,"token":%q`, token), adaWelcome)
	require.NotEmpty(t, adaWelcome.Resume)
	s["resume token"] = adaWelcome.Resume
	bob, bobWelcome := g.meet(t), new(wire.Welcome)
	bob.ok(fmt.Sprintf(`"type":"hello","token":%q`, g.token(t, map[string]any{"sub": "bob"})), bobWelcome)
	for _, who := range []*stranger{ada, bob} {
		who.ok(fmt.Sprintf(`"type":"join","room":"the-room","state":{"name":%q}`, s.plant("state")), new(wire.Snapshot))
	}
	sdp := `{"description":{"type":"offer","sdp":"v=0\r\na=ice-pwd:` + s.plant("SDP") + `\r\n"}}`
	candidate := `{"candidate":{"candidate":"candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag ` + s.plant("candidate") + `"}}`
	for _, data := range []string{sdp, candidate} {
		for to, refused := range map[string]bool{bobWelcome.Session: false, "nobody-" + bobWelcome.Session[:8]: true} {
			signal := fmt.Sprintf(`"type":"signal","room":"the-room","to":%q,"data":%s`, to, data)
			if refused {
				ada.refused(signal, wire.CodePeerGone)
				continue
			}
			ada.ok(signal, new(wire.Done))
		}
	}
	ada.ok(fmt.Sprintf(`"type":"publish","room":"the-room","topic":"chat","data":%q`, s.plant("message")), new(wire.Done))
	ada.refused(fmt.Sprintf(`"type":"publish","room":"another-room","data":%s`, sdp), wire.CodeNotMember)

	// What is not valid, with secrets in it.
	bad := s.plant("message that is not valid")
	for _, text := range []string{
		`{"id":1,"type":"signal","room":"the-room","data":{"sdp":"` + bad, `{"id":"` + bad + `"}`, `"` + bad + `"`, bad,
		`{"id":900,"type":"` + bad + `"}`, `{"id":901,"type":"signal","room":"the-room","to":{"` + bad + `":1},"data":` + candidate + `}`,
	} {
		bob.say(text)
	}
	require.NoError(t, bob.WriteMessage(websocket.BinaryMessage, []byte(bad)))
	bob.requireClosed(websocket.CloseUnsupportedData)
	broken := g.meet(t)
	require.NoError(t, broken.WriteMessage(websocket.TextMessage, []byte("\xff"+bad)))
	_, _, _ = broken.ReadMessage()

	// Who does not get in.
	wrong := s.plant("wrong token")
	for _, hello := range []string{
		`"token":"` + wrong + `"`, `"token":"eyJhbGciOiJub25lIn0.` + wrong + `.` + wrong + `"`, `"token":"` + token[:len(token)-4] + `AAAA"`,
		`"resume":"` + wrong + `"`, `"token":"` + wrong + `","app":"demo"`,
	} {
		g.meet(t).ask(`"type":"hello",` + hello)
	}
	inAddress := s.plant("token in an address")
	for _, request := range []string{
		upgrade("/v1/connect?token="+inAddress, "gateway"), upgrade("/v1/connect", "gateway", "Authorization: Bearer "+wrong, "Sec-WebSocket-Protocol: "+wrong),
		upgrade("/v1/connect", "gateway", "Cookie: session="+wrong), "GET /" + inAddress + " HTTP/1.1\r\nHost: gateway\r\n\r\n",
		"GET /v1/connect HTTP/1.1\r\nHost: gateway\r\nBad header " + wrong + "\r\n\r\n",
	} {
		_, _ = g.answer(t, request)
	}

	// A session that goes on over another connection.
	_ = ada.NetConn().Close()
	again, resumed := g.meet(t), new(wire.Welcome)
	again.ok(fmt.Sprintf(`"type":"hello","resumable":true,"resume":%q,"rooms":{}`, adaWelcome.Resume), resumed)
	require.Equal(t, adaWelcome.Session, resumed.Session)
	s["second resume token"] = resumed.Resume

	// Clients of socket.io.
	p := openPoller(t, "/", g.gateway)
	s["session id of Engine.IO"] = p.sid
	p.emit(`2["join","classic-room"]`)
	p.await(`42["joined"`)
	p.emit(`2["message","classic-room",` + sdp + `]`)
	for _, body := range []string{`4`, `42[` + bad, `4` + bad, bad, `42["` + bad + `"]`} {
		_, _ = p.do(http.MethodPost, body)
	}
	refused := &poller{tb: t, gateways: []*gateway{g.gateway}}
	status, _ := refused.do(http.MethodGet, "")
	require.Equal(t, http.StatusOK, status)
	for _, path := range []string{"sid=" + s.plant("unknown sid"), "token=" + inAddress, "EIO=" + bad} {
		_, _ = g.fetch(t, http.MethodGet, "http://"+g.PublicAddr().String()+"/socket.io/?EIO=4&transport=polling&"+path, nil)
	}
	denied := &poller{tb: t, gateways: []*gateway{g.gateway}}
	_, body := denied.do(http.MethodGet, "")
	var open struct{ SID string }
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open))
	denied.sid = open.SID
	denied.emit(`0{"token":"` + wrong + `"}`)
	denied.await("44")

	// Redis goes away, whose errors are logged.
	g.redis.Kill()
	until(t, func() bool { return strings.Contains(g.log.String(), "heartbeat failed") }, "the outage is logged")
	_ = again.ask(fmt.Sprintf(`"type":"publish","room":"the-room","data":%s`, sdp))
	g.redis.Restart()
	until(t, func() bool { status, _ := g.get(t, "/readyz"); return status == http.StatusOK }, "the outage is over")
	_ = again.Close()
	_ = g.end()

	log := g.log.String()
	require.Empty(t, s.leaks(log))

	// Each session's lines name it.
	known := map[string]bool{adaWelcome.Session: true, bobWelcome.Session: true, p.id: true}
	seen := make(map[string]bool)
	for _, line := range logLines(t, log) {
		require.Equal(t, "target", line.Node, line.Msg)
		if line.App != "" { // who has not said hello has no session yet
			require.NotEmpty(t, line.Session, line.Msg)
		}
		if known[line.Session] {
			seen[line.Session+" "+line.Msg+" "+line.Room] = true
			require.NotEmpty(t, line.App, line.Msg)
		}
	}
	for id, room := range map[string]string{adaWelcome.Session: "the-room", bobWelcome.Session: "the-room", p.id: "classic-room"} {
		for _, want := range []string{"session opened ", "seat taken " + room, "session ended "} {
			require.True(t, seen[id+" "+want], "%s: %q\n%s", id, want, log)
		}
	}
	require.True(t, seen[adaWelcome.Session+" request refused "])
}

// The test above would see a secret in a line, wherever it stands.
func TestLeaksAreFound(t *testing.T) {
	s := make(secrets)
	secret := s.plant("token")
	var log bytes.Buffer
	fmt.Fprintf(&log, "{\"msg\":\"fine\"}\n{\"msg\":\"read\",\"error\":\"invalid character in %s...\"}\n", secret)
	require.Len(t, s.leaks(log.String()), 1)
	require.Empty(t, s.leaks("{\"msg\":\"fine\"}\n"))
}
