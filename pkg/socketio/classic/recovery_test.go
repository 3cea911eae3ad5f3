package classic_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// desk opens sessions that are doubles, which clients can come back to, and serves them.
type desk struct {
	*site
	mu       sync.Mutex
	comesTo  func(*classic.Peer) error // the earlier session of a client that shows one; nil: there is none
	sessions chan *fakeSession
}

func serveRecovery(tb testing.TB) *desk {
	d := &desk{sessions: make(chan *fakeSession, 64)}
	d.site = serve(tb, classic.Options{Recovery: true, Open: func(s *socketio.Socket, hello *wire.Hello, peer *classic.Peer) (classic.Session, error) {
		d.mu.Lock()
		comesTo := d.comesTo
		d.mu.Unlock()
		pid := "pid of " + s.ID()
		if hello.Resume != "" && comesTo != nil {
			if err := comesTo(peer); err != nil {
				return nil, err
			}
			pid = hello.Resume
		}
		if hello.Resumable {
			peer.Recoverable(pid)
		}
		session := &fakeSession{
			hello: hello, peer: peer, id: s.ID(), requests: make(chan wire.Request, 64), ends: make(chan bool, 8)}
		d.sessions <- session
		return session, nil
	}})
	return d
}

// comes has the next client that shows a session have it.
func (d *desk) comes(to func(*classic.Peer) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.comesTo = to
}

// enter connects a client of protocol 5, with an object as a stock client sends it.
func (d *desk) enter(namespace, auth string) (*client, *fakeSession, string) {
	d.tb.Helper()
	c := d.dial(v4, namespace, "", nil)
	c.send("40" + c.prefix() + auth)
	answer, ok := strings.CutPrefix(c.read(), "40"+c.prefix())
	require.True(d.tb, ok)
	var connected struct {
		SID, PID string
	}
	require.NoError(d.tb, json.Unmarshal([]byte(answer), &connected))
	c.id = connected.SID
	return c, <-d.sessions, connected.PID
}

// Every event of a client that can come back has behind its arguments where the client is then, in all its rooms.
func TestOffsets(t *testing.T) {
	d := serveRecovery(t)
	c, session, pid := d.enter("/", "")
	require.Equal(t, "pid of "+c.id, pid)
	require.True(t, session.hello.Resumable)
	require.Empty(t, session.hello.Resume)

	session.peer.Deliver(wire.MessageFrame(&wire.GoAway{}))
	c.hears(`["control",null,{"type":"goaway","retryAfter":0,"deadline":0},""]`)
	c.asks(`["join","my room"]`)
	request := session.wants(t, `{"type":"join","room":"~bXkgcm9vbQ"}`)
	session.peer.Reply(request.ID, snapshotOf("~bXkgcm9vbQ", 35, 3, "a", c.id))
	c.hears(`["joined","my room","ID","~bXkgcm9vbQ:e1:z"]`, `ack {"ok":true,"room":"my room","id":"ID","count":2,"capacity":3,"others":["a"]}`)
	session.peer.Deliver(event(36, "~bXkgcm9vbQ", &wire.Message{From: "a", Data: json.RawMessage(`"text"`)}))
	c.hears(`["message","my room","text","~bXkgcm9vbQ:e1:10"]`)
	binary := json.RawMessage(`{"data":{"_placeholder":true,"num":0},"attachments":["YWJj"]}`)
	session.peer.Deliver(event(37, "~bXkgcm9vbQ", &wire.Message{From: "a", Topic: "binary", Data: binary}))
	c.hears(`1-["message","my room",{"_placeholder":true,"num":0},"~bXkgcm9vbQ:e1:11"]`, "bin:abc")

	c.emits(`["join","lobby"]`)
	request = session.wants(t, `{"type":"join","room":"lobby"}`)
	session.peer.Reply(request.ID, snapshotOf("lobby", 1, 3, c.id))
	c.hears(`["joined","lobby","ID","lobby:e1:1,~bXkgcm9vbQ:e1:11"]`)
	session.peer.Deliver(event(2, "lobby", newcomer("b")))
	c.hears(`["otherjoin","lobby","b","lobby:e1:2,~bXkgcm9vbQ:e1:11"]`)
	session.peer.Deliver(event(3, "lobby", &wire.AwayPeer{Peer: "b"}))
	c.hears(`["control","lobby",{"seq":3,"type":"away-peer","room":"lobby","peer":"b"},"lobby:e1:3,~bXkgcm9vbQ:e1:11"]`)
	session.peer.Deliver(event(4, "lobby", &wire.LeftPeer{Peer: "b", Reason: wire.ReasonDisconnected}))
	c.hears(`["bye","lobby","b","lobby:e1:4,~bXkgcm9vbQ:e1:11"]`)

	c.emits(`["join","vault"]`)
	request = session.wants(t, `{"type":"join","room":"vault"}`)
	session.peer.Refuse(request.ID, wire.Errorf(wire.CodeRoomFull, "full"))
	c.hears(`["full","vault","ID","lobby:e1:4,~bXkgcm9vbQ:e1:11"]`)
	session.peer.Deliver(event(38, "~bXkgcm9vbQ", &wire.Closed{Reason: wire.ReasonKicked, By: "a"}))
	c.hears(`["control","my room",{"seq":38,"type":"closed","room":"my room","reason":"kicked","by":"a"},"lobby:e1:4,~bXkgcm9vbQ:e1:12"]`,
		`["leaved","my room","ID","lobby:e1:4"]`)
	session.peer.Deliver(event(0, "lobby", &wire.Closed{Reason: wire.ReasonClosed})) // by the gateway itself
	c.hears(`["control","lobby",{"type":"closed","room":"lobby","reason":"closed"},"lobby:e1:4"]`, `["leaved","lobby","ID",""]`)
}

// Clients that cannot come back see nothing of it.
func TestNoOffsets(t *testing.T) {
	off := serve(t, classic.Options{})
	c := off.dial(v4, "/", "", nil)
	c.send(`40{"pid":"p","offset":"lobby:e1:1"}`)
	require.Regexp(t, `^40\{"sid":"[^"]*"\}$`, c.read())
	session := <-off.opened
	require.Equal(t, wire.Hello{Client: "socket.io"}, *session.hello)

	d := serveRecovery(t)
	c = d.connect(v2, "/")
	session = <-d.sessions
	require.False(t, session.hello.Resumable)
	c.joins(session, "lobby", "lobby", 2)
	session.peer.Deliver(event(11, "lobby", newcomer("a")))
	c.hears(`["otherjoin","lobby","a"]`)
	require.NoError(t, c.conn.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Second)))
	require.True(t, <-session.ends, "as ever")
}

// While a client is told who came and went in a gap it is in no place from which it could go on.
func TestOffsetsAcrossAGap(t *testing.T) {
	d := serveRecovery(t)
	c, session, _ := d.enter("/", "")
	c.emits(`["join","r"]`)
	request := session.wants(t, `{"type":"join","room":"r"}`)
	session.peer.Reply(request.ID, snapshotOf("r", 10, 9, "a", "b", c.id))
	c.hears(`["joined","r","ID","r:e1:a"]`)

	// A join again is answered out of the order of events: what the answer has may come yet.
	c.emits(`["join","r"]`)
	request = session.wants(t, `{"type":"join","room":"r"}`)
	session.peer.Reply(request.ID, snapshotOf("r", 12, 9, "a", c.id, "d"))
	c.hears(`["joined","r","ID","r:e1:a"]`, `["bye","r","b",""]`, `["otherjoin","r","d",""]`)
	session.peer.Deliver(event(11, "r", newcomer("d")))
	session.peer.Deliver(event(12, "r", &wire.Message{From: "d", Data: json.RawMessage(`1`)}))
	c.hears(`["message","r",1,"r:e1:c"]`)
	c.emits(`["join","r"]`)
	request = session.wants(t, `{"type":"join","room":"r"}`)
	session.peer.Reply(request.ID, snapshotOf("r", 14, 9, "a", c.id, "d"))
	c.hears(`["joined","r","ID","r:e1:c"]`)
	session.peer.Deliver(event(13, "r", &wire.Message{From: "d", Data: json.RawMessage(`2`)}))
	c.hears(`["message","r",2,"r:e1:d:e"]`)

	snapshot := snapshotOf("r", 3, 9, "a", c.id, "f")
	snapshot.Epoch = "e2"
	session.peer.Deliver(wire.MessageFrame(&wire.Resync{Snapshot: *snapshot}))
	c.hears(`["bye","r","d",""]`, `["otherjoin","r","f",""]`)
	require.Contains(t, c.read(), `"type":"resync"`)
	session.peer.Deliver(event(4, "r", &wire.Message{From: "f", Data: json.RawMessage(`3`)}))
	c.hears(`["message","r",3,"r:e2:4"]`)
}

// All that was missed is told, and what happens then as if nothing had been.
func TestReturn(t *testing.T) {
	d := serveRecovery(t)
	binary := json.RawMessage(`{"data":{"_placeholder":true,"num":0},"attachments":["YWJj"]}`)
	missed := []*wire.Frame{
		event(11, "~bXkgcm9vbQ", newcomer("b")),
		event(12, "~bXkgcm9vbQ", newcomer("c")),
		event(13, "~bXkgcm9vbQ", &wire.Message{From: "c", Topic: "binary", Data: binary}),
		event(14, "~bXkgcm9vbQ", &wire.LeftPeer{Peer: "a", Reason: wire.ReasonLeft}),
		event(15, "~bXkgcm9vbQ", newcomer("a2")),
		event(16, "~bXkgcm9vbQ", &wire.LeftPeer{Peer: "a2", Reason: wire.ReasonLeft}),
	}
	d.comes(func(peer *classic.Peer) error {
		now := []*wire.Snapshot{snapshotOf("~bXkgcm9vbQ", 17, 9, "an earlier id", "b", "c"), snapshotOf("r", 5, 2, "an earlier id")}
		require.True(t, peer.Return("an earlier id", now, missed))
		for _, frame := range missed {
			peer.Deliver(frame)
		}
		return nil
	})
	c, session, pid := d.enter("/", `{"pid":"p1","offset":"~bXkgcm9vbQ:e1:a:b,r:e1:4","app":"demo"}`)
	require.Equal(t, "an earlier id", c.id)
	require.Equal(t, "p1", pid)
	require.Equal(t, wire.Hello{
		App: "demo", Client: "socket.io", Resumable: true, Resume: "p1",
		Rooms: map[string]wire.Position{"~bXkgcm9vbQ": {Epoch: "e1", Seq: 10}, "r": {Epoch: "e1", Seq: 4}},
	}, *session.hello)
	c.hears( // that b has come it was told by an answer, which was at number 11
		`["otherjoin","my room","c","~bXkgcm9vbQ:e1:c,r:e1:4"]`,
		`1-["message","my room",{"_placeholder":true,"num":0},"~bXkgcm9vbQ:e1:d,r:e1:4"]`, "bin:abc",
		`["bye","my room","a","~bXkgcm9vbQ:e1:e,r:e1:4"]`,
		`["otherjoin","my room","a2","~bXkgcm9vbQ:e1:f,r:e1:4"]`,
		`["bye","my room","a2","~bXkgcm9vbQ:e1:g,r:e1:4"]`)

	session.peer.Deliver(event(18, "~bXkgcm9vbQ", newcomer("c")))
	session.peer.Deliver(event(19, "~bXkgcm9vbQ", &wire.LeftPeer{Peer: "a", Reason: wire.ReasonLeft}))
	session.peer.Deliver(event(20, "~bXkgcm9vbQ", &wire.LeftPeer{Peer: "b", Reason: wire.ReasonLeft}))
	c.hears(`["bye","my room","b","~bXkgcm9vbQ:e1:k,r:e1:4"]`)
	c.emits(`["message","my room",{}]`)
	session.wants(t, `{"type":"signal","room":"~bXkgcm9vbQ","to":"c","data":{}}`)
	require.EqualValues(t, 1, d.recoveries("recovered"))
	require.Zero(t, d.recoveries("anew"))
}

func (d *desk) recoveries(result string) float64 {
	d.tb.Helper()
	families, err := d.registry.Gather()
	require.NoError(d.tb, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "signalbox_classic_recoveries_total" && metric.GetLabel()[0].GetValue() == result {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return -1
}

// What a client has missed has to find room before what comes meanwhile: it would be closed over it again and again.
func TestReturnWithTooMuch(t *testing.T) {
	one := func(frame *wire.Frame) func(int) *wire.Frame { return func(int) *wire.Frame { return frame } }
	packed := `{"data":[` + strings.TrimSuffix(strings.Repeat(`{"_placeholder":true,"num":0},`, 10), ",") +
		`],"attachments":[` + strings.TrimSuffix(strings.Repeat(`"YWJj",`, 10), ",") + `]}`
	for _, tc := range []struct {
		name  string
		most  int // of the events, of 1024 packets and 4 MiB that may wait
		frame func(int) *wire.Frame
	}{
		{"Packets", 512, one(event(1, "r", &wire.Message{From: "a", Data: json.RawMessage(`1`)}))},
		{"Attachments", 46, one(event(1, "r", &wire.Message{From: "a", Topic: "binary", Data: json.RawMessage(packed)}))},
		{"Bytes", 20, one(event(1, "r", &wire.Message{From: "a", Data: json.RawMessage(`"` + strings.Repeat("x", 100_000) + `"`)}))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for extra, fits := range []bool{true, false} {
				d := serveRecovery(t)
				d.comes(func(peer *classic.Peer) error {
					var missed []*wire.Frame
					for i := range tc.most + extra {
						missed = append(missed, tc.frame(i))
					}
					require.Equal(t, fits, peer.Return("earlier", []*wire.Snapshot{snapshotOf("r", 9, 2, "earlier")}, missed))
					return nil
				})
				c, _, _ := d.enter("/", `{"pid":"p1","offset":"r:e1:4"}`)
				require.Equal(t, fits, c.id == "earlier")
			}
		})
	}
}

// What a client shows is what anybody could make up.
func TestOffsetsThatAreNone(t *testing.T) {
	d := serveRecovery(t)
	long := strings.Repeat("r", 120) + ":e1:1,"
	for _, auth := range []string{
		`{"pid":"p"}`, `{"pid":"p","offset":""}`, `{"pid":"p","offset":null}`, `{"pid":"p","offset":7}`, `{"pid":"p","offset":"r"}`,
		`{"pid":"p","offset":"r:e1"}`, `{"pid":"p","offset":"r:e1:"}`, `{"pid":"p","offset":"r:e1:-1"}`, `{"pid":"p","offset":"r:e1:1:2:3"}`,
		`{"pid":"p","offset":"r:e1:zzzzzzzzzzzzzzz"}`, `{"pid":"p","offset":"r:e1:1:!"}`, `{"pid":"p","offset":"r:e1:1,r:e1:1"}`,
		`{"pid":"p","offset":"r:e1:1,"}`, `{"pid":"p","offset":"my room:e1:1"}`, `{"pid":"p","offset":":e1:1"}`,
		`{"pid":"p","offset":"r:é:1"}`, `{"pid":"p","offset":"` + strings.Repeat(long, 10) + `s:e1:1"}`,
	} {
		_, session, pid := d.enter("/", auth)
		require.Equal(t, "p", session.hello.Resume, auth)
		require.Empty(t, session.hello.Rooms, auth)
		require.NotEqual(t, "p", pid)
	}
	require.EqualValues(t, 17, d.recoveries("anew"))
	for _, auth := range []string{``, `{}`, `{"offset":"r:e1:1"}`, `{"pid":"","offset":"r:e1:1"}`, `{"pid":1,"offset":"r:e1:1"}`, `{"pid":["p"]}`} {
		_, session, _ := d.enter("/chat", auth)
		require.Empty(t, session.hello.Resume, auth)
	}
	require.EqualValues(t, 17, d.recoveries("anew"))
}

// A client in many rooms with long names is told that it cannot go on, and is served all the same.
func TestOffsetTooLong(t *testing.T) {
	d := serveRecovery(t)
	c, session, _ := d.enter("/", "")
	for i := range 9 {
		name := strings.Repeat("r", 110) + string(rune('a'+i))
		c.emits(`["join","` + name + `"]`)
		request := session.wants(t, `{"type":"join","room":"`+name+`"}`)
		session.peer.Reply(request.ID, snapshotOf(name, 1, 2, c.id))
		var joined []string
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(c.read(), "42")), &joined))
		require.LessOrEqual(t, len(joined[3]), 1024)
		require.Equal(t, i == 8, joined[3] == "", i)
	}
}

// How a client goes tells whether it means to come back.
func TestEndsOfRecoverableSessions(t *testing.T) {
	closes := func(payload []byte) func(*client) {
		return func(c *client) {
			require.NoError(c.tb, c.conn.WriteControl(websocket.CloseMessage, payload, time.Now().Add(time.Second)))
		}
	}
	for _, tc := range []struct {
		name string
		end  func(*client)
		left bool
	}{
		{"Disconnect", func(c *client) { c.send("41") }, true},
		{"PageClosed", closes(websocket.FormatCloseMessage(websocket.CloseGoingAway, "")), true},
		{"TransportClosed", closes(nil), false},
		{"TransportClosedByPacket", func(c *client) { c.send("1") }, false},
		{"Network", func(c *client) { _ = c.conn.Close() }, false},
		{"NotValid", func(c *client) { c.send("4x") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, session, _ := serveRecovery(t).enter("/", "")
			tc.end(c)
			require.Equal(t, tc.left, <-session.ends)
		})
	}
}

// Of two connections that a client has come by, the one that is left may be the one that it has: it is to come again.
func TestTakenOverClientComesBack(t *testing.T) {
	c, session, _ := serveRecovery(t).enter("/", "")
	session.peer.Close(wire.CloseTakenOver, "elsewhere")
	_, _, err := c.conn.ReadMessage()
	require.Error(t, err, "neither an error nor a DISCONNECT")
	require.False(t, <-session.ends)
}

// A client whose CONNECT is refused does not come again by itself, and one whose connection ends does.
func TestReturnToAClusterThatCannotNow(t *testing.T) {
	d := serveRecovery(t)
	d.comes(func(*classic.Peer) error { return wire.Errorf(wire.CodeUnavailable, "not now") })
	c := d.dial(v4, "/", "", nil)
	c.send(`40{"pid":"p","offset":"r:e1:1"}`)
	_, _, err := c.conn.ReadMessage()
	require.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), "%v", err)
	d.comes(func(*classic.Peer) error { return wire.Errorf(wire.CodeUnauthorized, "no") })
	c = d.dial(v4, "/", "", nil)
	c.send(`40{"pid":"p","offset":"r:e1:1"}`)
	c.expect(`44{"message":"no","data":{"code":"unauthorized","message":"no"}}`)
}
