package socketio_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// The steps of a script for FuzzSession: an opcode, a length and as many bytes.
const (
	opSend      = iota // text, by WebSocket or as the body of a POST
	opSendBytes        // bytes, in the same way
	opGet              // a GET that is not waited for
	opAbort            // all requests that are under way
	opProbe            // a WebSocket for the session
	opSendProbe        // text by that WebSocket
	opFrame            // bytes that are no frame, or are one
	opWait             // as many tenths of a second as there are bytes
	opEmit             // the server sends, and asks for an acknowledgement
	opDisconnect
	opCloseSession
	ops
)

// script is what a fuzzer's bytes stand for: the version, the transport to begin with, and steps.
type script struct {
	eio   string
	ws    bool
	steps []step
}

type step struct {
	op   int
	data string
}

const mostSteps = 40

func parseScript(text []byte) (s script) {
	if len(text) == 0 {
		return script{eio: "4"}
	}
	s = script{eio: string('3' + text[0]&1), ws: text[0]&2 != 0}
	for text = text[1:]; len(text) > 1 && len(s.steps) < mostSteps; {
		size := min(int(text[1]), len(text)-2)
		s.steps = append(s.steps, step{int(text[0]) % ops, string(text[2 : 2+size])})
		text = text[2+size:]
	}
	return s
}

func buildScript(version int, ws bool, steps ...step) []byte {
	first := byte(version - 3)
	if ws {
		first |= 2
	}
	text := []byte{first}
	for _, s := range steps {
		text = append(append(text, byte(s.op), byte(len(s.data))), s.data...)
	}
	return text
}

// fuzzed is a session that a script is played to.
type fuzzed struct {
	*site
	*recorder
	client    *pollClient
	ws, probe *wsClient
	running   sync.WaitGroup
	ctx       context.Context
	abort     context.CancelFunc
}

func (f *fuzzed) play(s step) {
	switch s.op {
	case opSend:
		f.send(f.ws, websocket.TextMessage, "", s.data)
	case opSendBytes:
		f.send(f.ws, websocket.BinaryMessage, "application/octet-stream", s.data)
	case opGet:
		f.request(request{query: f.client.query()})
	case opAbort:
		f.abort()
		f.running.Wait()
		f.ctx, f.abort = context.WithCancel(f.site.t.Context())
	case opProbe:
		if ws, _, err := f.tryDial(f.client.eio, "&sid="+f.client.sid, nil); err == nil {
			f.probe = ws
			f.drain(ws)
		}
	case opSendProbe:
		if f.probe != nil {
			_ = f.probe.conn.WriteMessage(websocket.TextMessage, []byte(s.data))
		}
	case opFrame:
		for _, ws := range []*wsClient{f.ws, f.probe} {
			if ws != nil {
				_, _ = ws.conn.NetConn().Write([]byte(s.data))
			}
		}
	case opWait:
		<-time.After(time.Duration(len(s.data)) * 100 * time.Millisecond)
	case opEmit, opDisconnect, opCloseSession:
		f.serverPlay(s)
	}
	synctest.Wait()
}

func (f *fuzzed) serverPlay(s step) {
	socket := f.socket("/")
	if socket == nil {
		return
	}
	switch s.op {
	case opEmit:
		e := socketio.Event{Name: s.data, Args: args(`{"_placeholder":true,"num":0}`), Attachments: [][]byte{[]byte(s.data)}}
		socket.EmitWithAck(e, time.Duration(len(s.data))*100*time.Millisecond, func(socketio.Ack, error) { f.add("settled") })
	case opDisconnect:
		socket.Disconnect(len(s.data) > 0)
	case opCloseSession:
		socket.Session().Close()
	}
}

func (f *fuzzed) send(ws *wsClient, kind int, contentType, data string) {
	if ws != nil {
		_ = ws.conn.WriteMessage(kind, []byte(data))
		return
	}
	f.request(request{method: http.MethodPost, query: f.client.query(), body: data, header: http.Header{"Content-Type": {contentType}}})
}

func (f *fuzzed) request(q request) {
	ctx := f.ctx
	f.running.Go(func() { _, _ = f.do(ctx, q) })
}

// drain reads what comes, so that it does not stay in the way.
func (f *fuzzed) drain(ws *wsClient) {
	f.running.Go(func() {
		for {
			if _, _, err := ws.conn.ReadMessage(); err != nil {
				return
			}
		}
	})
}

// end gives everything up that the client has.
func (f *fuzzed) end() {
	f.abort()
	for _, ws := range []*wsClient{f.ws, f.probe} {
		if ws != nil {
			_ = ws.conn.NetConn().Close()
		}
	}
	f.running.Wait()
}

// Whatever a client sends, at whatever time and by whatever way: no panic, no session that stays, no handler that is
// called too often or not at all. A goroutine that were left would be found by the bubble.
func FuzzSession(f *testing.F) {
	for _, v := range packetVectors {
		f.Add(buildScript(4, true, step{opSend, "40"}, step{opSend, "4" + v.wire}))
		f.Add(buildScript(3, false, step{opSend, "2:40"}, step{opGet, ""}, step{opSend, "4" + v.wire}))
	}
	for _, v := range payloadVectors {
		f.Add(buildScript(int(v.version), false, step{opGet, ""}, step{opSend, v.wire}, step{opSendBytes, v.wire}, step{opAbort, ""}))
	}
	bytesEvent := step{opSend, `451-["echo",{"_placeholder":true,"num":0}]`}
	f.Add(buildScript(4, true, step{opSend, "40"}, bytesEvent, step{opSendBytes, "x"}, step{opEmit, "hello"}, step{opSend, `430["y"]`}))
	f.Add(buildScript(3, true, bytesEvent, step{opSendBytes, "\x04x"}, step{opEmit, "x"}, step{opWait, strings.Repeat(" ", 120)}))
	f.Add(buildScript(4, false, step{opSend, "40"}, step{opProbe, ""}, step{opGet, ""}, step{opSendProbe, "2probe"}, step{opSendProbe, "5"}, step{opSendProbe, `42["echo"]`}))
	f.Add(buildScript(3, false, step{opProbe, ""}, step{opSendProbe, "2probe"}, step{opCloseSession, ""}, step{opSendProbe, "5"}, step{opGet, ""}))
	f.Add(buildScript(4, false, step{opSend, "40"}, step{opGet, ""}, step{opGet, ""}, step{opDisconnect, "x"}, step{opAbort, ""}))
	f.Add(buildScript(4, true, step{opSend, "40"}, step{opFrame, "\x81\x85\x00\x00\x00\x0042"}, step{opWait, strings.Repeat(" ", 120)}))
	f.Add(buildScript(4, false, step{opSend, "40"})) // and gone without a word
	f.Add(buildScript(3, false))
	f.Fuzz(func(t *testing.T, text []byte) {
		synctest.Test(t, func(t *testing.T) { playScript(t, parseScript(text)) })
	})
}

func playScript(t *testing.T, s script) {
	reg := prometheus.NewRegistry()
	site, r := serveRecorder(t, socketio.Options{Registerer: reg, MaxPayload: 2000, QueuePackets: 50, NamespacesPerSession: 2})
	f := &fuzzed{site: site, recorder: r}
	f.ctx, f.abort = context.WithCancel(t.Context())
	if s.ws {
		ws, hello := site.open(s.eio, "")
		f.ws, f.client = ws, &pollClient{site: site, eio: s.eio, sid: hello.SID}
		f.drain(ws)
	} else {
		f.client = site.poll(s.eio, "")
	}
	for _, step := range s.steps {
		f.play(step)
	}
	f.end()
	<-time.After(time.Minute) // more than both heartbeat times and the CONNECT's
	synctest.Wait()
	requireNothingLeft(t, reg, r)

	site.must(request{query: "EIO=4&transport=polling"}) // it goes on
	site.end()
	requireNothingLeft(t, reg, r)
}

func requireNothingLeft(t *testing.T, reg *prometheus.Registry, r *recorder) {
	t.Helper()
	require.Zero(t, sample(t, reg, "signalbox_socketio_sessions", "websocket"))
	require.Zero(t, sample(t, reg, "signalbox_socketio_sessions", "polling"))
	families, err := reg.Gather()
	require.NoError(t, err)
	total := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			total[family.GetName()] += metric.GetCounter().GetValue()
		}
	}
	require.Zero(t, total["signalbox_socketio_panics_total"])
	require.Equal(t, total["signalbox_socketio_sessions_opened_total"], total["signalbox_socketio_sessions_closed_total"])
	in := map[string]int{}
	for _, line := range r.all() {
		word, rest, _ := strings.Cut(line, " ")
		namespace, _, _ := strings.Cut(rest, " ")
		switch word {
		case "connect":
			in[namespace]++
		case "disconnect":
			in[namespace]--
		}
		require.Contains(t, []int{0, 1}, in[namespace], "%s: %v", line, r.all())
	}
	for namespace, times := range in {
		require.Zero(t, times, "%s: %v", namespace, r.all())
	}
}
