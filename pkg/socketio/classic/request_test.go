package classic_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Each event becomes a native request, and its answer becomes events and then the callback's object, in this order.
func TestRequests(t *testing.T) {
	done := &wire.Done{Seq: 42}
	for _, tc := range []struct {
		name      string
		namespace string // "/" if empty
		event     string
		request   string
		reply     wire.ReplyBody
		refusal   *wire.Error
		hears     []string // the events; the last is the callback's
	}{
		{
			name: "Join", event: `["join","lobby"]`, request: `{"type":"join","room":"lobby"}`, reply: snapshotOf("lobby", 5, 2, "a", "ID"),
			hears: []string{`["joined","lobby","ID"]`, `ack {"ok":true,"room":"lobby","id":"ID","count":2,"capacity":2,"others":["a"]}`},
		},
		{
			name: "JoinAlone", event: `["join","my room"]`, request: `{"type":"join","room":"~bXkgcm9vbQ"}`,
			reply: snapshotOf("~bXkgcm9vbQ", 1, 2, "ID"),
			hears: []string{`["joined","my room","ID"]`, `ack {"ok":true,"room":"my room","id":"ID","count":1,"capacity":2,"others":[]}`},
		},
		{
			name: "JoinChat", namespace: "/chat", event: `["join","lobby"]`, request: `{"type":"join","room":"lobby"}`,
			reply: snapshotOf("lobby", 5, 500, "b", "ID", "a"),
			hears: []string{`["joined","lobby","ID"]`, `ack {"ok":true,"room":"lobby","id":"ID","count":3,"capacity":500,"others":["b","a"]}`},
		},
		{
			name: "JoinFull", event: `["join","my room"]`, request: `{"type":"join","room":"~bXkgcm9vbQ"}`,
			refusal: wire.Errorf(wire.CodeRoomFull, "every seat of room %q is taken", "~bXkgcm9vbQ"),
			hears: []string{`["full","my room","ID"]`,
				`ack {"ok":false,"error":{"code":"room_full","message":"every seat of room \"my room\" is taken"}}`},
		},
		{
			name: "JoinRefused", event: `["join","lobby"]`, request: `{"type":"join","room":"lobby"}`,
			refusal: &wire.Error{Code: wire.CodeRateLimited, Message: "slow down", RetryAfter: 1500 * time.Millisecond},
			hears: []string{`["error",{"code":"rate_limited","message":"slow down","room":"lobby"}]`,
				`ack {"ok":false,"error":{"code":"rate_limited","message":"slow down","retryAfter":1500}}`},
		},
		{
			name: "Leave", event: `["leave","lobby"]`, request: `{"type":"leave","room":"lobby"}`, reply: done,
			hears: []string{`["leaved","lobby","ID"]`, `ack {"ok":true,"room":"lobby","id":"ID"}`},
		},
		{
			name: "LeaveOfNoMember", event: `["leave","lobby"]`, request: `{"type":"leave","room":"lobby"}`,
			refusal: wire.Errorf(wire.CodeNotMember, "no seat"),
			hears:   []string{`ack {"ok":false,"error":{"code":"not_member","message":"no seat"}}`},
		},
		{
			name: "Message", event: `["message","lobby",{"b":1,"a":123456789012345678901234567890,"s":"\ud800"}]`,
			request: `{"type":"publish","room":"lobby","topic":"message","data":{"b":1,"a":123456789012345678901234567890,"s":"\ud800"}}`,
			reply:   done, hears: []string{`ack {"ok":true,"room":"lobby","seq":42}`},
		},
		{
			name: "MessageChat", namespace: "/chat", event: `["message","lobby","hello"]`,
			request: `{"type":"publish","room":"lobby","topic":"message","data":"hello","echo":true}`,
			reply:   done, hears: []string{`ack {"ok":true,"room":"lobby","seq":42}`},
		},
		{
			name: "MessageWithoutData", event: `["message","lobby"]`,
			request: `{"type":"publish","room":"lobby","topic":"message","data":null}`,
			reply:   done, hears: []string{`ack {"ok":true,"room":"lobby","seq":42}`},
		},
		{
			name: "MessageWithMore", event: `["message","lobby",1,2,{"x":[]}]`,
			request: `{"type":"publish","room":"lobby","topic":"message","data":1}`,
			reply:   done, hears: []string{`ack {"ok":true,"room":"lobby","seq":42}`},
		},
		{
			name: "MessageOfNoMember", event: `["message","lobby",1]`,
			request: `{"type":"publish","room":"lobby","topic":"message","data":1}`,
			refusal: wire.Errorf(wire.CodeNotMember, "no seat"),
			hears:   []string{`ack {"ok":false,"error":{"code":"not_member","message":"no seat"}}`},
		},
		{
			name: "RoomInfo", event: `["room-info","my room"]`, request: `{"type":"peers","room":"~bXkgcm9vbQ"}`,
			reply: &wire.HeadCount{Room: "~bXkgcm9vbQ", Count: 2, Capacity: 4},
			hears: []string{`ack {"ok":true,"room":"my room","count":2,"capacity":4}`},
		},
		{
			name: "ICEServers", event: `["ice-servers"]`, request: `{"type":"ice"}`,
			reply: &wire.ICEServers{ICE: wire.ICE{Servers: []wire.ICEServer{
				{URLs: []string{"stun:a", "stun:b"}}, {URLs: []string{"turn:c"}, Username: "1790003600:demo/x", Credential: "secret"},
			}, Expires: 1790003600000}},
			hears: []string{`ack {"ok":true,"iceServers":[{"urls":["stun:a","stun:b"]},{"urls":["turn:c"],"username":"1790003600:demo/x","credential":"secret"}],"expires":1790003600000}`},
		},
		{
			name: "ICEServersNone", event: `["ice-servers"]`, request: `{"type":"ice"}`,
			reply: &wire.ICEServers{}, hears: []string{`ack {"ok":true,"iceServers":[]}`},
		},
		{
			name: "ICEServersRefused", event: `["ice-servers"]`, request: `{"type":"ice"}`, refusal: wire.Errorf(wire.CodeRateLimited, "too many"),
			hears: []string{`ack {"ok":false,"error":{"code":"rate_limited","message":"too many"}}`},
		},
		{
			name: "JoinRelayOnly", event: `["join","lobby"]`, request: `{"type":"join","room":"lobby"}`,
			reply: &wire.Snapshot{Room: "lobby", Epoch: "e", Capacity: 2, Count: 1, RelayOnly: true},
			hears: []string{`["joined","lobby","ID"]`, `ack {"ok":true,"room":"lobby","id":"ID","count":1,"capacity":2,"others":[],"relayOnly":true}`},
		},
		{
			name: "Control", event: `["control","lobby",{"action":"mute","kind":"audio","to":"a"}]`,
			request: `{"type":"control","room":"lobby","action":"mute","kind":"audio","to":"a"}`,
			reply:   &wire.Controlled{Seq: 7, Affected: 1}, hears: []string{`ack {"ok":true,"room":"lobby","seq":7,"affected":1}`},
		},
		{
			name: "ControlByName", event: `["control","my room", { "type" : "control" , "action":"kick"} ]`,
			request: `{"type":"control","room":"~bXkgcm9vbQ","action":"kick"}`,
			reply:   &wire.Controlled{Seq: 7}, hears: []string{`ack {"ok":true,"room":"my room","seq":7,"affected":0}`},
		},
		{
			name: "ControlRoom", event: `["control","lobby",{"type":"room","version":3,"locked":true}]`,
			request: `{"type":"room","room":"lobby","version":3,"locked":true}`,
			reply:   &wire.Updated{Seq: 8, Version: 4}, hears: []string{`ack {"ok":true,"room":"lobby","seq":8,"version":4}`},
		},
		{
			name: "ControlRoomChanged", event: `["control","lobby",{"type":"room","version":3,"locked":true}]`,
			request: `{"type":"room","room":"lobby","version":3,"locked":true}`,
			refusal: &wire.Error{Code: wire.CodeConflict, Message: "changed", Version: 9},
			hears:   []string{`ack {"ok":false,"error":{"code":"conflict","message":"changed","version":9}}`},
		},
		{
			name: "ControlState", event: `["control","lobby",{"type":"state","state":{"hand":true}}]`,
			request: `{"type":"state","room":"lobby","state":{"hand":true}}`,
			reply:   done, hears: []string{`ack {"ok":true,"room":"lobby","seq":42}`},
		},
		{
			name: "ControlReport", event: `["control","lobby",{"type":"report","peer":"a","outcome":"failed","reason":"ice"}]`,
			request: `{"type":"report","room":"lobby","peer":"a","outcome":"failed","reason":"ice"}`,
			reply:   &wire.Nothing{}, hears: []string{`ack {"ok":true,"room":"lobby"}`},
		},
		{
			name: "ControlSignal", event: `["control","lobby",{"type":"signal","to":"/chat#a","data":{"x":1e400}}]`,
			request: `{"type":"signal","room":"lobby","to":"/chat#a","data":{"x":1e400}}`,
			refusal: wire.Errorf(wire.CodePeerGone, "gone"),
			hears:   []string{`ack {"ok":false,"error":{"code":"peer_gone","message":"gone"}}`},
		},
	} {
		for _, generation := range generations {
			for _, within := range []bool{false, true} { // whether the answer comes before Handle returns
				t.Run(tc.name+"/"+generation, func(t *testing.T) {
					s := serve(t, classic.Options{})
					namespace := tc.namespace
					if namespace == "" {
						namespace = "/"
					}
					c, session := s.enter(generation, namespace)
					answer := func(request wire.Request) {
						if tc.refusal != nil {
							session.peer.Refuse(request.ID, tc.refusal)
							return
						}
						reply := tc.reply
						if snapshot, ok := reply.(*wire.Snapshot); ok {
							own := *snapshot
							own.Peers = append([]wire.Peer{}, own.Peers...)
							for i := range own.Peers {
								if own.Peers[i].ID == "ID" {
									own.Peers[i].ID = c.id
								}
							}
							reply = &own
						}
						session.peer.Reply(request.ID, reply)
						session.peer.Reply(request.ID, reply) // a second answer is none
					}
					if within {
						session.answers(answer)
					}
					var last int64
					for range 2 { // with a callback, and without
						if last == 0 {
							c.asks(tc.event)
						} else {
							c.emits(tc.event)
						}
						request := session.wants(t, tc.request)
						require.Greater(t, request.ID, last, "ids rise")
						if last = request.ID; !within {
							answer(request)
						}
						if last == 1 {
							c.hears(tc.hears...)
						} else {
							c.hears(tc.hears[:len(tc.hears)-1]...)
						}
						c.silent()
					}
				})
			}
		}
	}
}

// What is no valid request is answered, counted by the session, and leads to nothing else.
func TestBadRequests(t *testing.T) {
	large := strings.Repeat("x", 600)
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	for _, tc := range []struct {
		name, event string
		attachments []string
		code        wire.Code // bad_request if empty
	}{
		{name: "UnknownEvent", event: `["offer","lobby",{}]`},
		{name: "NoEventOfOurs", event: `["joined","lobby","x"]`},
		{name: "UnknownByNumber", event: `[7]`},
		{name: "JoinNothing", event: `["join"]`},
		{name: "JoinNull", event: `["join",null]`},
		{name: "JoinNumber", event: `["join",7]`},
		{name: "JoinObject", event: `["join",{"room":"lobby"}]`},
		{name: "JoinEmpty", event: `["join",""]`},
		{name: "JoinTooLong", event: `["join","` + strings.Repeat("ä", 48) + `"]`},
		{name: "JoinHalfACharacter", event: `["join","\udc00"]`},
		{name: "LeaveNothing", event: `["leave"]`},
		{name: "RoomInfoNothing", event: `["room-info",[]]`},
		{name: "MessageNoRoom", event: `["message",{"x":1}]`},
		{name: "MessageTooLarge", event: `["message","lobby","` + large + `"]`, code: wire.CodeTooLarge},
		{name: "MessageTooDeep", event: `["message","lobby",` + deep + `]`},
		{name: "MessageBinaryTooLarge", event: `["message","lobby",{"_placeholder":true,"num":0}]`, attachments: []string{large[:400]}, code: wire.CodeTooLarge},
		{name: "MessageBinaryTooMany", event: `["message","lobby",[` + placeholders(0, 11) + `]]`, attachments: many(11), code: wire.CodeTooLarge},
		{name: "MessageBinaryOutOfOrder", event: `["message","lobby",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`, attachments: many(2)},
		{name: "RoomOfBytes", event: `["join",{"_placeholder":true,"num":0}]`, attachments: many(1)},
		{name: "ControlNothing", event: `["control","lobby"]`},
		{name: "ControlNoObject", event: `["control","lobby",["mute"]]`},
		{name: "ControlNull", event: `["control","lobby",null]`},
		{name: "ControlEmpty", event: `["control","lobby",{}]`},
		{name: "ControlUnknownAction", event: `["control","lobby",{"action":"ban"}]`},
		{name: "ControlTooLarge", event: `["control","lobby",{"type":"signal","to":"a","data":{"x":"` + large + `"}}]`, code: wire.CodeTooLarge},
		{name: "ControlStateTooLarge", event: `["control","lobby",{"type":"state","state":{"x":"` + large[:70] + `"}}]`, code: wire.CodeTooLarge},
		{name: "ControlTooDeep", event: `["control","lobby",{"type":"signal","to":"a","data":{"x":` + deep[40:88] + `}}]`},
		{name: "ControlNullType", event: `["control","lobby",{"type":null,"action":"kick"}]`},
		{name: "ControlUnknownType", event: `["control","lobby",{"type":"ban"}]`},
		{name: "ControlJoin", event: `["control","lobby",{"type":"join"}]`},
		{name: "ControlLeave", event: `["control","lobby",{"type":"leave"}]`},
		{name: "ControlHello", event: `["control","lobby",{"type":"hello","token":"x"}]`},
		{name: "ControlPublish", event: `["control","lobby",{"type":"publish","data":1}]`},
		{name: "ControlPeers", event: `["control","lobby",{"type":"peers","list":true}]`},
		{name: "ControlPing", event: `["control","lobby",{"type":"ping"}]`},
		{name: "ControlReport", event: `["control","lobby",{"type":"report","outcome":"dropped"}]`},
		{name: "ControlOtherRoom", event: `["control","lobby",{"room":"vault","action":"kick"}]`},
		{name: "ControlOtherRoomEscaped", event: `["control","lobby",{"\u0072oom":"vault","action":"kick"}]`},
		{name: "ControlOtherID", event: `["control","lobby",{"id":7,"action":"kick"}]`},
		{name: "ControlTwoTypes", event: `["control","lobby",{"type":"control","type":"room","action":"kick","version":1,"locked":true}]`},
		{name: "ControlTwoTypesEscaped", event: `["control","lobby",{"type":"state","t\u0079pe":"room","state":{}}]`},
		{name: "ControlTwoTargets", event: `["control","lobby",{"action":"kick","to":"a","to":"b"}]`},
		{name: "ControlFalseEnd", event: `["control","lobby",{"action":"kick","x":"}{\"room\":\"vault\"}","action":"kick"}]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, classic.Options{MessageBytes: 512, Limits: wire.Limits{StateBytes: 64}})
			c, session := s.enter(v4, "/")
			code := tc.code
			if code == "" {
				code = wire.CodeBadRequest
			}
			c.asks(tc.event, tc.attachments...)
			require.Contains(t, c.read(), `430[{"ok":false,"error":{"code":"`+string(code)+`",`)
			require.Equal(t, []wire.Code{code}, session.faults())
			c.emits(tc.event, tc.attachments...) // without a callback nothing is said at all
			c.silent()
			require.Equal(t, []wire.Code{code, code, wire.CodeBadRequest}, session.faults())
			require.Empty(t, session.requests)
		})
	}
}

// Data may be as large as it says, and not a byte more, with bytes counted as they are passed on.
func TestMessageBytes(t *testing.T) {
	s := serve(t, classic.Options{MessageBytes: 101})
	c, session := s.enter(v4, "/")
	fits := `"` + strings.Repeat("x", 99) + `"`
	c.emits(`["message","lobby",` + fits + `]`)
	session.wants(t, `{"type":"publish","room":"lobby","topic":"message","data":`+fits+`}`)
	c.asks(`["message","lobby","x` + fits[1:] + `]`)
	c.hears(`ack {"ok":false,"error":{"code":"too_large","message":"the data has 102 bytes as it is passed on; 101 are allowed"}}`)

	bytes := strings.Repeat("x", 33) // 44 in base64
	packed := `{"data":{"_placeholder":true,"num":0},"attachments":["` + strings.Repeat("eHh4", 11) + `"]}`
	require.Len(t, packed, 101)
	c.emits(`["message","lobby",{"_placeholder":true,"num":0}]`, bytes)
	session.wants(t, `{"type":"publish","room":"lobby","topic":"binary","data":`+packed+`}`)
	c.asks(`["message","lobby",{"_placeholder":true,"num":0}]`, bytes+"x")
	c.hears(`ack {"ok":false,"error":{"code":"too_large","message":"the data has 105 bytes as it is passed on; 101 are allowed"}}`)
}

// In a call, an object goes to the one other peer as a signal; what is no object, goes to more, or to somebody who is not
// known yet, is published.
func TestMessageToOneOther(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/")
	const published = `{"type":"publish","room":"lobby","topic":"message","data":{"sdp":"v=0"}}`
	const signaled = `{"type":"signal","room":"lobby","to":"a","data":{"sdp":"v=0"}}`
	send := func(request string) wire.Request {
		t.Helper()
		c.asks(`["message","lobby",{"sdp":"v=0"}]`)
		return session.wants(t, request)
	}
	send(published) // not joined: the cluster says so
	c.joins(session, "lobby", "lobby", 4)
	send(published) // nobody there
	session.peer.Deliver(event(11, "lobby", &wire.JoinedPeer{Peer: wire.Peer{ID: "a", Order: 2, User: "u"}}))
	request := send(signaled)
	session.peer.Reply(request.ID, &wire.Done{Seq: 12})
	c.hears(`["otherjoin","lobby","a"]`, `ack {"ok":true,"room":"lobby","seq":12}`)

	request = send(signaled) // gone meanwhile: for a page that has sent to a room all is well
	session.peer.Refuse(request.ID, wire.Errorf(wire.CodePeerGone, "gone"))
	c.hears(`ack {"ok":true,"room":"lobby","seq":0}`)
	request = send(signaled)
	session.peer.Refuse(request.ID, wire.Errorf(wire.CodeForbidden, "no"))
	c.hears(`ack {"ok":false,"error":{"code":"forbidden","message":"no"}}`)

	for _, data := range []string{`"got user media"`, `null`, `7`, `[{}]`} {
		c.emits(`["message","lobby",` + data + `]`)
		session.wants(t, `{"type":"publish","room":"lobby","topic":"message","data":`+data+`}`)
	}
	session.peer.Deliver(event(13, "lobby", &wire.JoinedPeer{Peer: wire.Peer{ID: "b", Order: 3, User: "u"}}))
	send(published) // two others
	session.peer.Deliver(event(14, "lobby", &wire.LeftPeer{Peer: "b", Reason: wire.ReasonLeft}))
	send(signaled)
	c.emits(`["message","lobby",{"x":{"_placeholder":true,"num":0}}]`, "bytes")
	session.wants(t, `{"type":"publish","room":"lobby","topic":"binary","data":`+
		`{"data":{"x":{"_placeholder":true,"num":0}},"attachments":["Ynl0ZXM="]}}`)
}

// In a chat everybody gets everything, the sender included.
func TestMessageToOneOtherInChat(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v4, "/chat")
	c.joins(session, "lobby", "lobby", 4, "a")
	c.emits(`["message","lobby",{"x":1}]`)
	session.wants(t, `{"type":"publish","room":"lobby","topic":"message","data":{"x":1},"echo":true}`)
}
