package classic_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func newcomer(id string) *wire.JoinedPeer {
	return &wire.JoinedPeer{Peer: wire.Peer{ID: id, Order: 7, User: "u-" + id}}
}

func gone(id, reason string) *wire.LeftPeer { return &wire.LeftPeer{Peer: id, Reason: reason} }

// What clients hear of each event, in a room in which "a" was before them. ID stands for their own id.
func TestEvents(t *testing.T) {
	capacity := 2
	raw := func(seq int64, text string) *wire.Frame { return wire.EventFrame(seq, []byte(text)) }
	withCall := func(profile classic.Profile) map[string]classic.Profile {
		return map[string]classic.Profile{"/": profile, "/chat": {Kind: classic.Chat}}
	}
	signing := withCall(classic.Profile{Kind: classic.Call, SenderID: true})
	for _, tc := range []struct {
		name     string
		profiles map[string]classic.Profile // the usual ones if nil
		chat     bool
		room     string // "lobby" if empty; its native name is in every frame
		capacity int    // 4 if 0
		frames   func(room, id string) []*wire.Frame
		hears    []string
	}{
		{
			name: "PeersComeAndGo",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, newcomer("b")),
					event(12, room, newcomer("b")), // known
					event(13, room, newcomer("a")), // known from the snapshot
					event(14, room, newcomer(id)),  // oneself
					event(15, room, gone("b", wire.ReasonDisconnected)),
					event(16, room, gone("b", wire.ReasonLeft)),
					event(17, room, gone("stranger", wire.ReasonLeft)),
					event(18, room, gone("a", wire.ReasonKicked)),
					event(19, room, gone(id, wire.ReasonKicked)),
					event(20, room, newcomer("b")),
				}
			},
			hears: []string{`["otherjoin","lobby","b"]`, `["bye","lobby","b"]`, `["bye","lobby","a"]`, `["otherjoin","lobby","b"]`},
		},
		{
			name: "PeersComeAndGoInChat", chat: true, room: "my room",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, newcomer("b")), event(12, room, newcomer("b")), event(14, room, newcomer(id)),
					event(15, room, gone("b", wire.ReasonLeft)), event(16, room, gone("b", wire.ReasonLeft)),
				}
			},
			hears: []string{
				`["control","my room",{"seq":11,"type":"joined-peer","room":"my room","peer":{"id":"b","order":7,"user":"u-b","state":{}}}]`,
				`["bye","my room","b"]`,
			},
		},
		{
			name: "OfBeforeTheSnapshot", // whose changes are in it, and whose messages are not
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(8, room, newcomer("b")), event(9, room, gone("a", wire.ReasonLeft)),
					event(10, room, &wire.Message{From: "a", Data: json.RawMessage(`1`)}),
				}
			},
			hears: []string{`["message","lobby",1]`},
		},
		{
			name: "Messages", room: "~",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, &wire.Signaled{From: "a", Data: json.RawMessage(`{"x":1e400, "a":"\ud800"}`)}),
					event(12, room, &wire.Message{From: "a", Topic: "chat", Data: json.RawMessage(`"hi"`)}),
					event(13, room, &wire.Message{From: "a", Data: json.RawMessage(`null`), Volatile: true}),
				}
			},
			hears: []string{`["message","~",{"x":1e400, "a":"\ud800"}]`, `["message","~","hi"]`, `["message","~",null]`},
		},
		{
			name: "MessagesInChat", chat: true,
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, &wire.Signaled{From: "/chat#a", Data: json.RawMessage(`{}`)}),
					event(12, room, &wire.Message{From: id, Topic: "message", Data: json.RawMessage(`"mine"`)}),
				}
			},
			hears: []string{`["message","lobby","/chat#a",{}]`, `["message","lobby","ID","mine"]`},
		},
		{
			name: "SenderInRoomsOfMore", profiles: signing, capacity: 3,
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, &wire.Message{From: "a", Data: json.RawMessage(`1`)}),
					event(12, room, &wire.Signaled{From: "a", Data: json.RawMessage(`{}`)}),
					event(13, room, &wire.RoomChanged{Version: 2, RoomChange: wire.RoomChange{Capacity: &capacity}}),
					event(14, room, &wire.Message{From: "a", Data: json.RawMessage(`1`)}),
					event(15, room, newcomer("b")),
				}
			},
			hears: []string{
				`["message","lobby",1,"a"]`, `["message","lobby",{},"a"]`,
				`["control","lobby",{"seq":13,"type":"room","room":"lobby","version":2,"capacity":2}]`,
				`["message","lobby",1]`, `["otherjoin","lobby","b"]`,
			},
		},
		{
			name: "NoSenderInRoomsOfTwo", profiles: signing, capacity: 2,
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{event(11, room, &wire.Message{From: "a", Data: json.RawMessage(`1`)})}
			},
			hears: []string{`["message","lobby",1]`},
		},
		{
			name: "AllElse", room: "Küche",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, &wire.StateChanged{Peer: "a", State: wire.Object{"hand": json.RawMessage(`1.50`)}}),
					event(12, room, &wire.Controlling{Action: "mute", Kind: "audio", By: "a"}),
					event(13, room, &wire.AwayPeer{Peer: "a"}),
					event(14, room, &wire.BackPeer{Peer: "a"}),
					raw(15, `{"type":"applause","level":9007199254740993,"room":"`+room+`","inner":{"room":"x"}}`),
				}
			},
			hears: []string{
				`["control","Küche",{"seq":11,"type":"state","room":"Küche","peer":"a","state":{"hand":1.50}}]`,
				`["control","Küche",{"seq":12,"type":"control","room":"Küche","action":"mute","kind":"audio","by":"a"}]`,
				`["control","Küche",{"seq":13,"type":"away-peer","room":"Küche","peer":"a"}]`,
				`["control","Küche",{"seq":14,"type":"back-peer","room":"Küche","peer":"a"}]`,
				`["control","Küche",{"seq":15,"type":"applause","level":9007199254740993,"room":"Küche","inner":{"room":"x"}}]`,
			},
		},
		{
			name: "SeatTaken", room: "my room",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, room, &wire.Closed{Reason: wire.ReasonKicked, By: "a"}),
					event(12, room, &wire.Message{From: "a", Data: json.RawMessage(`1`)}), // nothing is heard after leaved
					event(13, room, gone("a", wire.ReasonLeft)),
					event(14, room, &wire.Closed{Reason: wire.ReasonKicked}),
				}
			},
			hears: []string{
				`["control","my room",{"seq":11,"type":"closed","room":"my room","reason":"kicked","by":"a"}]`,
				`["leaved","my room","ID"]`,
			},
		},
		{
			name: "OfOtherRooms",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, "vault", &wire.Message{From: "a", Data: json.RawMessage(`1`)}),
					event(12, "vault", newcomer("b")), event(13, "vault", &wire.Closed{Reason: wire.ReasonKicked}),
				}
			},
		},
		{
			name: "NoEvent",
			frames: func(room, id string) []*wire.Frame {
				return []*wire.Frame{
					raw(11, `{"type":"left-peer","room":"`+room+`"}`), // without its peer
					raw(12, `{}`), raw(13, `{"type":"message","room":"`+room+`","from":"a"`),
					wire.ReplyFrame(7, &wire.Done{}), wire.ErrorFrame(7, wire.Errorf(wire.CodeInternal, "x")),
					wire.ControlFrame(wire.OpPing, nil),
				}
			},
		},
		{
			name: "Resync", room: "my room",
			frames: func(native, id string) []*wire.Frame {
				return []*wire.Frame{
					event(11, native, newcomer("b")), event(12, native, newcomer("c")),
					wire.MessageFrame(&wire.Resync{Snapshot: *snapshotOf(native, 20, 4, "c", id, "d")}),
					event(19, native, newcomer("a")), event(20, native, gone("d", wire.ReasonLeft)), // in the snapshot already
					event(21, native, gone("d", wire.ReasonLeft)),
				}
			},
			hears: []string{
				`["otherjoin","my room","b"]`, `["otherjoin","my room","c"]`,
				`["bye","my room","a"]`, `["bye","my room","b"]`, `["otherjoin","my room","d"]`,
				`["control","my room",{"type":"resync","room":"my room","epoch":"e1","seq":20,"version":1,"capacity":4,"count":3,"locked":false,` +
					`"presenter":null,"properties":{},"spotlight":null,"created":0,"peers":[{"id":"c","order":1,"user":"user-c","state":{}},` +
					`{"id":"ID","order":2,"user":"user-ID","state":{}},{"id":"d","order":3,"user":"user-d","state":{}}]}]`,
				`["bye","my room","d"]`,
			},
		},
		{
			name: "ResyncInChat", chat: true, room: "my room",
			frames: func(native, id string) []*wire.Frame {
				return []*wire.Frame{wire.MessageFrame(&wire.Resync{Snapshot: *snapshotOf(native, 20, 4, id, "d")})}
			},
			hears: []string{
				`["bye","my room","a"]`,
				`["control","my room",{"seq":20,"type":"joined-peer","room":"my room","peer":{"id":"d","order":2,"user":"user-d","state":{}}}]`,
				`["control","my room",{"type":"resync","room":"my room","epoch":"e1","seq":20,"version":1,"capacity":4,"count":2,"locked":false,` +
					`"presenter":null,"properties":{},"spotlight":null,"created":0,"peers":[` +
					`{"id":"ID","order":1,"user":"user-ID","state":{}},{"id":"d","order":2,"user":"user-d","state":{}}]}]`,
			},
		},
	} {
		for _, generation := range generations {
			t.Run(tc.name+"/"+generation, func(t *testing.T) {
				s := serve(t, classic.Options{Profiles: tc.profiles})
				namespace, name, seats := "/", tc.room, tc.capacity
				if tc.chat {
					namespace = "/chat"
				}
				if name == "" {
					name = "lobby"
				}
				if seats == 0 {
					seats = 4
				}
				native := name
				if name != "lobby" {
					native = "~" + base64.RawURLEncoding.EncodeToString([]byte(name))
				}
				c, session := s.enter(generation, namespace)
				for _, frame := range tc.frames(native, c.id) {
					session.peer.Deliver(frame) // before it is joined
				}
				c.joins(session, name, native, seats, "a")
				for _, frame := range tc.frames(native, c.id) {
					session.peer.Deliver(frame)
				}
				c.hears(tc.hears...)
				c.silent()
			})
		}
	}
}

// What concerns no room needs no seat, and comes without a room's name.
func TestEventsOfNoRoom(t *testing.T) {
	for _, namespace := range []string{"/", "/chat"} {
		s := serve(t, classic.Options{})
		c, session := s.enter(v4, namespace)
		session.peer.Deliver(wire.MessageFrame(&wire.GoAway{RetryAfter: 5, Deadline: 9}))
		session.peer.Deliver(wire.MessageFrame(&wire.ICE{}))
		session.peer.Deliver(wire.EventFrame(1, []byte(`{"type":"signal","from":"a","data":{}}`))) // no room has sent this
		c.hears(`["control",null,{"type":"goaway","retryAfter":5,"deadline":9}]`, `["control",null,{"type":"ice","iceServers":[]}]`, `["ice",{"iceServers":[]}]`,
			`["control",null,{"seq":1,"type":"signal","from":"a","data":{}}]`)
		c.silent()
	}
}

// A frame goes to clients of both kinds and generations, and each hears it in its own way.
func TestOneFrameForAll(t *testing.T) {
	s := serve(t, classic.Options{Profiles: map[string]classic.Profile{
		"/": {Kind: classic.Call}, "/many": {Kind: classic.Call, SenderID: true}, "/chat": {Kind: classic.Chat}}})
	frame := event(11, "lobby", &wire.Message{From: "a", Topic: "binary", Data: json.RawMessage(
		`{"data":[{"_placeholder":true,"num":0}],"attachments":["Ynl0ZXM="]}`)})
	for _, generation := range generations {
		for range 2 {
			for namespace, want := range map[string]string{
				"/": `1-["message","lobby",[{"_placeholder":true,"num":0}]]`, "/many": `1-["message","lobby",[{"_placeholder":true,"num":0}],"a"]`,
				"/chat": `1-["message","lobby","a",[{"_placeholder":true,"num":0}]]`,
			} {
				c, session := s.enter(generation, namespace)
				c.joins(session, "lobby", "lobby", 4, "a")
				session.peer.Deliver(frame)
				c.hears(want, "bin:bytes")
			}
		}
	}
}

// Whoever joins again gets joined again. What happened to others while the seat was lost is made up for.
func TestJoinAgain(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	c.joins(session, "lobby", "lobby", 4, "a", "b")
	again := func(snapshot *wire.Snapshot) {
		c.asks(`["join","lobby"]`)
		session.peer.Reply(session.wants(t, `{"type":"join","room":"lobby"}`).ID, snapshot)
	}
	again(snapshotOf("lobby", 12, 4, "a", "b", c.id))
	c.hears(`["joined","lobby","ID"]`, `ack {"ok":true,"room":"lobby","id":"ID","count":3,"capacity":4,"others":["a","b"]}`)
	again(snapshotOf("lobby", 30, 4, "c", "b", c.id))
	c.hears(`["joined","lobby","ID"]`, `["bye","lobby","a"]`, `["otherjoin","lobby","c"]`,
		`ack {"ok":true,"room":"lobby","id":"ID","count":3,"capacity":4,"others":["c","b"]}`)
	session.peer.Deliver(event(29, "lobby", newcomer("c"))) // late, and known from the snapshot
	session.peer.Deliver(event(31, "lobby", gone("c", wire.ReasonLeft)))
	c.hears(`["bye","lobby","c"]`)
	again(snapshotOf("lobby", 2, 4, c.id)) // another life of the room, whose numbers begin anew
	c.hears(`["joined","lobby","ID"]`, `["bye","lobby","b"]`, `ack {"ok":true,"room":"lobby","id":"ID","count":1,"capacity":4,"others":[]}`)
	session.peer.Deliver(event(3, "lobby", newcomer("d")))
	c.hears(`["otherjoin","lobby","d"]`)

	c.asks(`["join","lobby"]`)
	session.peer.Refuse(session.wants(t, `{"type":"join","room":"lobby"}`).ID, wire.Errorf(wire.CodeRateLimited, "slow"))
	c.hears(`["error",{"code":"rate_limited","message":"slow","room":"lobby"}]`, `ack {"ok":false,"error":{"code":"rate_limited","message":"slow"}}`)
	session.peer.Deliver(event(4, "lobby", gone("d", wire.ReasonLeft))) // still there
	c.hears(`["bye","lobby","d"]`)
}

// Join, leave and join without waiting: answers come in the order of the requests, and the last one counts.
func TestJoinLeaveJoin(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	c.emits(`["join","lobby"]`)
	c.emits(`["leave","lobby"]`)
	c.emits(`["join","lobby"]`)
	join, leave := `{"type":"join","room":"lobby"}`, `{"type":"leave","room":"lobby"}`
	first, second, third := session.wants(t, join), session.wants(t, leave), session.wants(t, join)
	session.peer.Reply(first.ID, snapshotOf("lobby", 5, 2, "a", c.id))
	session.peer.Deliver(event(6, "lobby", gone("a", wire.ReasonLeft)))
	session.peer.Reply(second.ID, &wire.Done{Seq: 7})
	session.peer.Deliver(event(8, "lobby", newcomer("b"))) // between two seats
	session.peer.Reply(third.ID, snapshotOf("lobby", 9, 2, "b", c.id))
	session.peer.Deliver(event(10, "lobby", gone("b", wire.ReasonLeft)))
	c.hears(`["joined","lobby","ID"]`, `["bye","lobby","a"]`, `["leaved","lobby","ID"]`, `["joined","lobby","ID"]`, `["bye","lobby","b"]`)
	c.silent()
}

// A page that thinks it has a seat hears that it has none, once: by the leave that finds out, or before it.
func TestLeaveOfALostSeat(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	for range 2 {
		c.joins(session, "lobby", "lobby", 2)
		c.asks(`["leave","lobby"]`)
		request := session.wants(t, `{"type":"leave","room":"lobby"}`)
		session.peer.Refuse(request.ID, wire.Errorf(wire.CodeNotMember, "no seat"))
		c.hears(`["leaved","lobby","ID"]`, `ack {"ok":false,"error":{"code":"not_member","message":"no seat"}}`)
	}
	c.joins(session, "lobby", "lobby", 2)
	c.asks(`["leave","lobby"]`)
	request := session.wants(t, `{"type":"leave","room":"lobby"}`)
	session.peer.Deliver(event(11, "lobby", &wire.Closed{Reason: wire.ReasonKicked}))
	session.peer.Refuse(request.ID, wire.Errorf(wire.CodeNotMember, "no seat"))
	c.hears(`["control","lobby",{"seq":11,"type":"closed","room":"lobby","reason":"kicked"}]`, `["leaved","lobby","ID"]`,
		`ack {"ok":false,"error":{"code":"not_member","message":"no seat"}}`)

	c.joins(session, "lobby", "lobby", 2)
	c.asks(`["leave","lobby"]`)
	request = session.wants(t, `{"type":"leave","room":"lobby"}`)
	session.peer.Refuse(request.ID, wire.Errorf(wire.CodeUnavailable, "try again")) // who knows: the seat is kept
	session.peer.Deliver(event(11, "lobby", newcomer("a")))
	c.hears(`ack {"ok":false,"error":{"code":"unavailable","message":"try again"}}`, `["otherjoin","lobby","a"]`)
}

// Data as deep as it may be goes through, packed with bytes or not, and stays within what native clients take.
func TestDeepData(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	c.joins(session, "lobby", "lobby", 4)
	nest := func(depth int, inner string) string {
		return strings.Repeat("[", depth) + inner + strings.Repeat("]", depth)
	}
	deliver := func(request wire.Request) {
		t.Helper()
		publish := request.Body.(*wire.Publish)
		session.peer.Deliver(event(request.ID, "lobby", &wire.Message{From: "a", Topic: publish.Topic, Data: publish.Data}))
	}
	c.emits(`["message","lobby",` + nest(63, "1") + `]`)
	deliver(<-session.requests)
	c.hears(`["message","lobby",` + nest(63, "1") + `]`)
	placeholder := `{"_placeholder":true,"num":0}`
	c.emits(`["message","lobby",`+nest(61, placeholder)+`]`, "bytes")
	deliver(<-session.requests)
	c.hears(`1-["message","lobby",`+nest(61, placeholder)+`]`, "bin:bytes")
	for _, tooDeep := range []string{nest(64, "1"), nest(62, placeholder)} {
		c.asks(`["message","lobby",`+tooDeep+`]`, many(strings.Count(tooDeep, "num"))...)
		require.Contains(t, c.read(), fmt.Sprintf(`43%d[{"ok":false,"error":{"code":"bad_request"`, c.acks-1))
	}
}
