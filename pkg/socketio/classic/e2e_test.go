package classic_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A call as stock pages make it, of a client of each generation, each on a gateway of its own.
func TestCall(t *testing.T) {
	nodes := cluster(t, 2, session.Options{})
	a, b, c := nodes[0].connect(v2, "/"), nodes[1].connect(v4, "/"), nodes[1].connect(v2, "/")

	a.asks(`["room-info","my room"]`)
	a.hears(`ack {"ok":true,"room":"my room","count":0,"capacity":0}`)
	a.asks(`["join","my room"]`)
	a.hears(`["joined","my room","ID"]`, `ack {"ok":true,"room":"my room","id":"ID","count":1,"capacity":2,"others":[]}`)
	b.asks(`["join","my room"]`)
	b.hears(`["joined","my room","ID"]`, `ack {"ok":true,"room":"my room","id":"ID","count":2,"capacity":2,"others":["`+a.id+`"]}`)
	a.hears(`["otherjoin","my room","` + b.id + `"]`)
	c.asks(`["join","my room"]`)
	c.hears(`["full","my room","ID"]`)
	require.Contains(t, c.read(), `430[{"ok":false,"error":{"code":"room_full","message":`)
	c.asks(`["room-info","my room"]`)
	c.hears(`ack {"ok":true,"room":"my room","count":2,"capacity":2}`)

	offer := `{"type":"offer","sdp":"v=0\r\n"}`
	a.asks(`["message","my room",` + offer + `]`) // to the one other: a signal
	a.hears(`ack {"ok":true,"room":"my room","seq":3}`)
	b.hears(`["message","my room",` + offer + `]`)
	b.asks(`["message","my room","got user media"]`) // no object: published
	b.hears(`ack {"ok":true,"room":"my room","seq":4}`)
	a.hears(`["message","my room","got user media"]`)
	b.asks(`["message","my room",{"file":{"_placeholder":true,"num":0}}]`, "\x00\xff")
	b.hears(`ack {"ok":true,"room":"my room","seq":5}`)
	a.hears(`1-["message","my room",{"file":{"_placeholder":true,"num":0}}]`, "bin:\x00\xff")
	c.asks(`["message","my room",1]`)
	require.Contains(t, c.read(), `"error":{"code":"not_member","message":"no seat in room \"my room\"`)
	c.asks(`["leave","my room"]`)
	require.Contains(t, c.read(), `"error":{"code":"not_member","message":"no seat in room \"my room\"`)

	a.asks(`["join","my room"]`) // again: to oneself alone
	a.hears(`["joined","my room","ID"]`, `ack {"ok":true,"room":"my room","id":"ID","count":2,"capacity":2,"others":["`+b.id+`"]}`)
	b.asks(`["leave","my room"]`)
	b.hears(`["leaved","my room","ID"]`, `ack {"ok":true,"room":"my room","id":"ID"}`)
	a.hears(`["bye","my room","` + b.id + `"]`)
	c.asks(`["join","my room"]`)
	c.hears(`["joined","my room","ID"]`, `ack {"ok":true,"room":"my room","id":"ID","count":2,"capacity":2,"others":["`+a.id+`"]}`)
	a.hears(`["otherjoin","my room","` + c.id + `"]`)
	c.conn.NetConn().Close() // lost
	a.hears(`["bye","my room","` + c.id + `"]`)
	b.emits(`["join","my room"]`)
	b.hears(`["joined","my room","ID"]`)
	a.hears(`["otherjoin","my room","` + b.id + `"]`)
	b.send("41") // goes
	a.hears(`["bye","my room","` + b.id + `"]`)
	a.silent()
}

// A chat of clients of both generations on two gateways: everybody hears everything in one order, themselves included.
func TestChat(t *testing.T) {
	nodes := cluster(t, 2, session.Options{RequestsPerSecond: 10_000, RequestsBurst: 10_000})
	const each = 50
	var clients []*client
	for i := range 4 {
		c := nodes[i/2].connect(generations[i%2], "/chat")
		c.emits(`["join","lobby"]`)
		c.hears(`["joined","lobby","ID"]`)
		for _, other := range clients {
			require.Contains(t, other.read(), `["control","lobby",{"seq":`+strconv.Itoa(i+1)+`,"type":"joined-peer","room":"lobby","peer":{"id":"`+c.id+`",`)
		}
		clients = append(clients, c)
	}
	heard := make([][]string, len(clients))
	var running sync.WaitGroup
	for i, c := range clients {
		running.Go(func() {
			for n := range each {
				c.emits(`["message","lobby",` + strconv.Itoa(n) + `]`)
			}
		})
		running.Go(func() {
			for range each * len(clients) {
				_, message, err := c.conn.ReadMessage()
				if err != nil {
					return
				}
				heard[i] = append(heard[i], string(message))
			}
		})
	}
	running.Wait()
	last := make(map[string]int)
	require.Len(t, heard[0], each*len(clients))
	for _, message := range heard[0] {
		var args []any
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(message, "42/chat,")), &args))
		require.Equal(t, []any{"message", "lobby", args[2], float64(last[args[2].(string)])}, args, "each sender's own order")
		last[args[2].(string)]++
	}
	for _, other := range heard[1:] {
		require.Equal(t, heard[0], other)
	}
	clients[3].asks(`["leave","lobby"]`)
	clients[3].hears(`["leaved","lobby","ID"]`, `ack {"ok":true,"room":"lobby","id":"ID"}`)
	for _, other := range clients[:3] {
		other.hears(`["bye","lobby","` + clients[3].id + `"]`)
		other.silent()
	}
}

// Native and classic clients of both kinds are in one room, and each hears the others in its own way.
func TestNativesAmongClassics(t *testing.T) {
	nodes := cluster(t, 2, session.Options{})
	token := nodes[0].token(time.Now().Add(time.Hour))
	const native = "~bXkgcm9vbQ"
	n := nodes[0].native(&wire.Hello{Token: token})
	snapshot := n.asks(&wire.Join{Room: native, Capacity: 3}).(*wire.Snapshot)
	require.Equal(t, 3, snapshot.Capacity)

	call := nodes[1].dial(v2, "/", "&token="+token, nil)
	call.expect("40")
	call.emits(`["join","my room"]`)
	call.hears(`["joined","my room","ID"]`)
	n.hears(`{"seq":2,"type":"joined-peer","room":"` + native + `","peer":{"id":"` + call.id + `","order":2,"user":"ada","state":{}}}`)

	call.emits(`["message","my room",{"sdp":"v=0"}]`)
	n.hears(`{"seq":3,"type":"signal","room":"` + native + `","from":"` + call.id + `","data":{"sdp":"v=0"}}`)
	call.emits(`["message","my room","hello"]`)
	n.hears(`{"seq":4,"type":"message","room":"` + native + `","from":"` + call.id + `","topic":"message","data":"hello"}`)
	n.asks(&wire.Signal{Room: native, To: call.id, Data: json.RawMessage(`{"sdp":"answer"}`)})
	call.hears(`["message","my room",{"sdp":"answer"}]`)
	n.asks(&wire.Publish{Room: native, Topic: "chat", Data: json.RawMessage(`[1]`), Volatile: true})
	call.hears(`["message","my room",[1]]`)

	chat := nodes[0].dial(v4, "/chat", "", nil)
	chat.send(`40/chat,{"token":"` + token + `"}`)
	welcome := chat.read()
	require.Contains(t, welcome, `40/chat,{"sid":"`)
	chat.id = strings.TrimSuffix(strings.TrimPrefix(welcome, `40/chat,{"sid":"`), `"}`)
	chat.asks(`["join","my room"]`)
	chat.hears(`["joined","my room","ID"]`,
		`ack {"ok":true,"room":"my room","id":"ID","count":3,"capacity":3,"others":["`+n.ID()+`","`+call.id+`"]}`)
	call.hears(`["otherjoin","my room","` + chat.id + `"]`)
	n.hears(`{"seq":7,"type":"joined-peer","room":"` + native + `","peer":{"id":"` + chat.id + `","order":3,"user":"ada","state":{}}}`)

	n.asks(&wire.Publish{Room: native, Topic: "binary", Data: json.RawMessage(`{"data":{"_placeholder":true,"num":0},"attachments":["Ynl0ZXM="]}`)})
	call.hears(`1-["message","my room",{"_placeholder":true,"num":0}]`, "bin:bytes")
	chat.hears(`1-["message","my room","`+n.ID()+`",{"_placeholder":true,"num":0}]`, "bin:bytes")
	chat.emits(`["message","my room","to all"]`)
	chat.hears(`["message","my room","ID","to all"]`)
	call.hears(`["message","my room","to all"]`)
	n.hears(`{"seq":9,"type":"message","room":"` + native + `","from":"` + chat.id + `","topic":"message","data":"to all"}`)
	call.emits(`["message","my room",{"to":"both"}]`)
	chat.hears(`["message","my room","` + call.id + `",{"to":"both"}]`)
	n.hears(`{"seq":10,"type":"message","room":"` + native + `","from":"` + call.id + `","topic":"message","data":{"to":"both"}}`)

	n.asks(&wire.SetState{Room: native, State: wire.Object{"hand": json.RawMessage(`true`)}})
	state := `["control","my room",{"seq":11,"type":"state","room":"my room","peer":"` + n.ID() + `","state":{"hand":true}}]`
	call.hears(state)
	chat.hears(state)
	chat.asks(`["control","my room",{"type":"room","version":1,"locked":true}]`)
	changed := `["control","my room",{"seq":12,"type":"room","room":"my room","version":2,"by":"` + chat.id + `","locked":true}]`
	call.hears(changed)
	chat.hearsInAnyOrder(changed, `ack {"ok":true,"room":"my room","seq":12,"version":2}`)
	n.hears(`{"seq":12,"type":"room","room":"` + native + `","version":2,"by":"` + chat.id + `","locked":true}`)
	chat.asks(`["control","my room",{"type":"room","version":1,"locked":false}]`)
	require.Contains(t, chat.read(), `"error":{"code":"conflict","message":`)

	chat.asks(`["control","my room",{"action":"kick","to":"` + call.id + `"}]`)
	chat.hearsInAnyOrder(`["bye","my room","`+call.id+`"]`, `ack {"ok":true,"room":"my room","seq":13,"affected":1}`)
	call.hears(`["control","my room",{"seq":13,"type":"closed","room":"my room","reason":"kicked","by":"`+chat.id+`"}]`,
		`["leaved","my room","ID"]`)
	n.hears(`{"seq":13,"type":"left-peer","room":"` + native + `","peer":"` + call.id + `","reason":"kicked","by":"` + chat.id + `"}`)
	call.silent()
	n.asks(&wire.Control{Room: native, Action: wire.ActionKick, To: chat.id})
	chat.hears(`["control","my room",{"seq":14,"type":"closed","room":"my room","reason":"kicked","by":"`+n.ID()+`"}]`,
		`["leaved","my room","ID"]`)
	chat.silent()
}

// hearsInAnyOrder reads an answer and an event that race it.
func (c *client) hearsInAnyOrder(event, answer string) {
	c.tb.Helper()
	want := []string{
		"42" + c.prefix() + event, "43" + c.prefix() + strconv.Itoa(c.acks-1) + "[" + strings.TrimPrefix(answer, "ack ") + "]"}
	require.ElementsMatch(c.tb, want, []string{c.read(), c.read()})
}

// Who may not come in is told why; whose token ends, or who sends too much of what is not valid, is put out for good.
func TestSessionsOfClassics(t *testing.T) {
	n := cluster(t, 1, session.Options{BadMessages: 3})[0]
	refused := n.dial(v4, "/", "", nil)
	refused.send(`40{"token":"x"}`)
	require.Contains(t, refused.read(), `","data":{"code":"unauthorized","message":"`)
	refused = n.dial(v2, "/", "&app=nowhere", nil)
	require.Contains(t, refused.read(), `44"`)

	expiring := n.dial(v4, "/", "", nil)
	expiring.send(`40{"token":"` + n.token(time.Now().Add(2*time.Second)) + `"}`)
	require.Contains(t, expiring.read(), `40{"sid":"`)
	bad, other := n.connect(v4, "/"), n.connect(v2, "/")
	for _, c := range []*client{bad, other} {
		c.emits(`["join","lobby"]`)
		c.hears(`["joined","lobby","ID"]`)
	}
	bad.hears(`["otherjoin","lobby","` + other.id + `"]`)
	for range 4 {
		bad.emits(`["join",7]`)
	}
	bad.hears(`["error",{"code":"bad_messages","message":"too many messages that were not valid"}]`)
	bad.expect("41")
	other.hears(`["bye","lobby","` + bad.id + `"]`)
	expiring.hears(`["error",{"code":"expired","message":"the token has expired"}]`)
	expiring.expect("41")

	// When the gateway goes, its clients are sent away such that they come back.
	n.drain()
	_, _, err := other.conn.ReadMessage()
	require.Error(t, err)
	late := n.dial(v4, "/", "", nil)
	late.send("40")
	for err = nil; err == nil; {
		require.NoError(t, late.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		_, _, err = late.conn.ReadMessage()
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// A flood is slowed down, and in the end closed; nobody waits for it, and nothing hangs.
func TestFloodOfAClassic(t *testing.T) {
	n := cluster(t, 1, session.Options{RequestsPerSecond: 20, RequestsBurst: 20, RequestsWait: 200 * time.Millisecond})[0]
	c := n.connect(v4, "/")
	for range 200 {
		c.asks(`["room-info","lobby"]`)
	}
	answers := make(map[string]bool)
	for {
		message := c.read()
		if message == "41" {
			break
		}
		if strings.HasPrefix(message, "43") {
			id, _, _ := strings.Cut(message[2:], "[")
			require.False(t, answers[id], "answered twice: %s", message)
			answers[id] = true
			continue
		}
		require.Equal(t, `42["error",{"code":"rate_limited","message":"too many requests"}]`, message)
	}
	require.GreaterOrEqual(t, len(answers), 21)
}

// Joining, leaving, being put out, losing the connection and being sent away, all at once on two gateways: everybody's
// view stays whole (nobody arrives or goes twice), nothing hangs, and no seat is left.
func TestEverythingAtOnce(t *testing.T) {
	nodes := cluster(t, 2, session.Options{RequestsPerSecond: 10_000, RequestsBurst: 10_000})
	const clients, rounds = 8, 12
	token := nodes[0].token(time.Now().Add(time.Hour))
	host := nodes[0].native(&wire.Hello{Token: token}) // of a room for all; the other one has two seats
	host.asks(&wire.Join{Room: "hall", Capacity: clients})
	var running, listening sync.WaitGroup
	listening.Go(func() {
		for event := range host.events {
			if event == nil {
				return
			}
		}
	})
	for i := range clients {
		n := nodes[i%len(nodes)]
		running.Go(func() {
			for round := range rounds {
				if fault := visit(n, token, []string{"hall", "lobby"}[round%2], i, round); fault != "" {
					t.Errorf("client %d, round %d: %s", i, round, fault)
					return
				}
			}
		})
	}
	running.Wait()
	host.End(true)
	host.events <- nil
	listening.Wait()
	for _, n := range nodes {
		require.Eventually(t, func() bool { return n.metric("signalbox_seats") == 0 && n.metric("signalbox_sessions") == 0 },
			30*time.Second, 5*time.Millisecond)
	}
}

// A stock client waits for a full room, draws and reads what was drawn, as a native one does.
func TestClassicsWaitAndKeep(t *testing.T) {
	nodes := cluster(t, 2, session.Options{})
	token := nodes[0].token(time.Now().Add(time.Hour))
	n := nodes[0].native(&wire.Hello{Token: token})
	n.asks(&wire.Join{Room: "r", Capacity: 1})
	n.asks(&wire.Publish{Room: "r", Topic: wire.TopicChat, Data: json.RawMessage(`"welcome"`), Keep: true})
	call := nodes[1].dial(v2, "/", "&token="+token, nil)
	call.expect("40")
	call.asks(`["join","r"]`)
	call.hears(`["full","r","ID"]`)
	require.Contains(t, call.read(), `"code":"room_full"`)
	call.asks(`["join","r",{"wait":true}]`)
	call.hears(`ack {"ok":true,"room":"r","waiting":{"position":1,"count":1,"reason":"full"}}`)
	n.hears(`{"seq":3,"type":"waiting-peer","room":"r","reason":"full","peer":{"id":"` + call.id + `","user":"ada"}}`)
	n.asks(&wire.Publish{Room: "r", Data: json.RawMessage(`"for members"`)})
	n.asks(&wire.Leave{Room: "r"})
	call.hears(`["joined","r","ID"]`)
	call.asks(`["control","r",{"type":"publish","topic":"whiteboard","data":[1,2],"keep":true}]`)
	call.hears(`ack {"ok":true,"room":"r","seq":7}`)
	call.asks(`["control","r",{"type":"history","topic":"chat"}]`)
	history := call.read()
	require.Contains(t, history, `"history":{"room":"r","topic":"chat","seq":7,`)
	require.Contains(t, history, `"data":"welcome"}]}`)
	call.asks(`["control","r",{"type":"undo","topic":"whiteboard"}]`)
	call.hearsInAnyOrder(`["control","r",{"seq":8,"type":"undone","room":"r","topic":"whiteboard","of":7,"by":"`+call.id+`"}]`,
		`ack {"ok":true,"room":"r","seq":8,"of":7}`)
	call.asks(`["control","r",{"type":"hello","app":"demo"}]`)
	require.Contains(t, call.read(), `"code":"bad_request"`)
	call.silent()
}
