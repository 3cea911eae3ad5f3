package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The samples: at least one of every message, each under the name of its golden file.

type requestSample struct {
	name    string
	request wire.Request
}

type replySample struct {
	name string
	re   int64
	body wire.ReplyBody
}

type errorSample struct {
	name    string
	re      int64
	refusal *wire.Error
}

type eventSample struct {
	name  string
	event wire.Event
}

var requestSamples = []requestSample{
	{"request-hello-token", wire.Request{ID: 1, Body: &wire.Hello{Token: "eyJhbGciOiJFZERTQSJ9.e30.c2ln", Client: "sdk-js/0.1"}}},
	{"request-hello-anonymous", wire.Request{ID: 1, Body: &wire.Hello{App: "demo", Name: `Ada "the first" Lovelace ♥`}}},
	{"request-hello-resumable", wire.Request{ID: 1, Body: &wire.Hello{App: "demo", Name: "Ada", Client: "sdk-js/0.1", Resumable: true, Attempt: 1}}},
	{"request-hello-resume", wire.Request{ID: 41, Body: &wire.Hello{
		Resume: "sealed", Rooms: map[string]wire.Position{"lobby": {Epoch: "9f2c", Seq: 42}, "team-1": {Epoch: "07aa"}}, Attempt: 3,
	}}},
	{"request-hello-resume-nowhere", wire.Request{ID: 1, Body: &wire.Hello{Resume: "sealed", Rooms: map[string]wire.Position{}, Attempt: 2}}},
	{"request-join", wire.Request{ID: 2, Body: &wire.Join{Room: "lobby"}}},
	{"request-join-capacity", wire.Request{ID: 2, Body: &wire.Join{Room: "lobby", State: object("camera", `false`, "mic", `true`), Capacity: 2}}},
	{"request-join-wait", wire.Request{ID: 2, Body: &wire.Join{Room: "lobby", Wait: true}}},
	{"request-leave", wire.Request{ID: 3, Body: &wire.Leave{Room: "lobby"}}},
	{"request-signal-description", wire.Request{ID: 4, Body: &wire.Signal{Room: "lobby", To: "a81x", Data: json.RawMessage(`{"description":{"type":"offer","sdp":"v=0\r\n"}}`)}}},
	{"request-signal-offer", wire.Request{ID: 4, Body: &wire.Signal{Room: "lobby", To: "a81x", Offer: true, Data: json.RawMessage(`{"description":{"type":"offer","sdp":"v=0\r\n"}}`)}}},
	{"request-signal-answer", wire.Request{ID: 4, Body: &wire.Signal{Room: "lobby", To: "a81x", Answers: 44, Data: json.RawMessage(`{"description":{"type":"answer","sdp":"v=0\r\n"}}`)}}},
	{"request-signal-candidate", wire.Request{ID: 5, Body: &wire.Signal{Room: "lobby", To: "a81x", Data: json.RawMessage(`{"candidate":{"candidate":"candidate:1 1 udp 2122260223 192.0.2.1 61665 typ host","sdpMid":"0","sdpMLineIndex":0}}`)}}},
	{"request-publish", wire.Request{ID: 6, Body: &wire.Publish{Room: "lobby", Data: json.RawMessage(`"hello"`)}}},
	{"request-publish-topic", wire.Request{ID: 6, Body: &wire.Publish{Room: "lobby", Topic: "chat", Data: json.RawMessage(`{"text":"hi"}`), Echo: true, Volatile: true}}},
	{"request-publish-keep", wire.Request{ID: 6, Body: &wire.Publish{Room: "lobby", Topic: "chat", Data: json.RawMessage(`{"text":"hi"}`), Keep: true}}},
	{"request-history", wire.Request{ID: 6, Body: &wire.AskHistory{Room: "lobby", Topic: "chat", Limit: 20}}},
	{"request-history-before", wire.Request{ID: 7, Body: &wire.AskHistory{Room: "lobby", Topic: "chat", Limit: 20, Before: 41}}},
	{"request-undo", wire.Request{ID: 6, Body: &wire.Undo{Room: "lobby", Topic: "whiteboard"}}},
	{"request-undo-of", wire.Request{ID: 6, Body: &wire.Undo{Room: "lobby", Topic: "chat", Of: 41}}},
	{"request-clear", wire.Request{ID: 6, Body: &wire.Clear{Room: "lobby", Topic: "whiteboard"}}},
	{"request-state", wire.Request{ID: 7, Body: &wire.SetState{Room: "lobby", State: object("hand", `null`, "mic", `false`)}}},
	{"request-room", wire.Request{ID: 8, Body: &wire.UpdateRoom{Room: "lobby", Version: 3, RoomChange: wire.RoomChange{
		Capacity: new(4), Locked: new(true), Presenter: new("a81x"), Properties: object("title", `"Stand-up"`),
		Spotlight: json.RawMessage(`{"start":1790000000000,"interval":10000,"order":["a81x"]}`),
	}}}},
	{"request-room-clear", wire.Request{ID: 8, Body: &wire.UpdateRoom{Room: "lobby", Version: 4, RoomChange: wire.RoomChange{
		Locked: new(false), Presenter: new(""), Properties: object("title", `null`), Spotlight: json.RawMessage(`null`),
	}}}},
	{"request-control-mute", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionMute, Kind: wire.KindAudio, To: "a81x"}}},
	{"request-control-unmute", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionUnmute, Kind: wire.KindVideo}}},
	{"request-control-kick", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionKick, To: "a81x"}}},
	{"request-control-admit", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionAdmit, To: "w7rt"}}},
	{"request-control-deny", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionDeny}}},
	{"request-control-close", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionClose}}},
	{"request-control-close-text", wire.Request{ID: 9, Body: &wire.Control{Room: "lobby", Action: wire.ActionClose, Text: "The class is over"}}},
	{"request-peers", wire.Request{ID: 10, Body: &wire.Peers{Room: "lobby"}}},
	{"request-peers-list", wire.Request{ID: 10, Body: &wire.Peers{Room: "lobby", List: true}}},
	{"request-report", wire.Request{ID: 11, Body: &wire.Report{
		Room: "lobby", Peer: "a81x", Outcome: "connected", Milliseconds: 412, Local: "host", Remote: "srflx", Protocol: "udp",
	}}},
	{"request-report-again", wire.Request{ID: 12, Body: &wire.Report{
		Room: "lobby", Peer: "a81x", Outcome: "connected", Milliseconds: 2300, Local: "relay", Remote: "host", Protocol: "tls", Again: true, Restarts: 1,
	}}},
	{"request-report-failed", wire.Request{ID: 11, Body: &wire.Report{Outcome: "failed", Reason: "no-candidates"}}},
	{"request-refresh", wire.Request{ID: 12, Body: &wire.Refresh{Token: "header.payload.signature"}}},
	{"request-ice", wire.Request{ID: 12, Body: &wire.AskICE{}}},
	{"request-ping", wire.Request{ID: 1<<53 - 1, Body: &wire.Ping{}}},
}

var replySamples = []replySample{
	{"reply-hello", 1, &wire.Welcome{
		Session: "k3vq", App: "demo", User: "anon-k3vq", Name: "Ada", Node: "gateway-1", Version: wire.Version, Resume: "sealed", Grace: 30000,
		Heartbeat: 25000, Time: 1790000000000,
		ICEServers: []wire.ICEServer{
			{URLs: []string{"stun:stun.example.org"}},
			{URLs: []string{"turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:5349"}, Username: "1790003600:k3vq", Credential: "c2VjcmV0"},
		},
		ICEExpires: 1790003600000,
		Limits:     wire.SessionLimits{MessageBytes: 65536, RequestsPerSecond: 50, RequestsBurst: 100, Rooms: 16, StateBytes: 4096, InFlight: 64},
	}},
	{"reply-hello-resumed", 41, &wire.Welcome{
		Session: "k3vq", App: "demo", User: "anon-k3vq", Node: "gateway-2", Version: wire.Version, Resume: "sealed anew", Grace: 30000, Resumed: true,
		Rooms: map[string]wire.ResumedRoom{
			"lobby": {Result: wire.ResumeReplayed, Request: 40}, "team-1": {Result: wire.ResumeResync, Request: 12}, "team-2": {Result: wire.ResumeGone},
		},
		Heartbeat: 25000, Time: 1790000000000, Limits: wire.SessionLimits{MessageBytes: 65536},
	}},
	{"reply-hello-resumed-nowhere", 2, &wire.Welcome{
		Session: "k3vq", App: "demo", User: "ada", Node: "gateway-2", Version: wire.Version, Resume: "sealed anew", Grace: 30000, Resumed: true,
		Rooms: map[string]wire.ResumedRoom{}, Heartbeat: 25000, Time: 1790000000000,
	}},
	{"reply-join", 2, &wire.Snapshot{
		Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 5, Version: 1, Capacity: 2, Count: 2, Created: 1790000000000,
		Peers: []wire.Peer{
			{ID: "a81x", Order: 1, User: "ada", Name: "Ada", State: object("mic", `true`), Away: true},
			{ID: "k3vq", Order: 4, User: "bob"},
		},
	}},
	{"reply-join-relay-only", 2, &wire.Snapshot{
		Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 5, Version: 1, Capacity: 2, Count: 1, Created: 1790000000000, RelayOnly: true,
		Peers: []wire.Peer{{ID: "k3vq", Order: 4, User: "bob"}},
	}},
	{"reply-ice", 12, &wire.ICEServers{ICE: wire.ICE{Servers: []wire.ICEServer{
		{URLs: []string{"turn:turn.example.org"}, Username: "1790003600:demo/k3vq", Credential: "c2VjcmV0"},
	}, Expires: 1790003600000}}},
	{"reply-ice-none", 12, &wire.ICEServers{}},
	{"reply-refresh", 12, &wire.Refreshed{Expires: 1790003600000, Resume: "sealed anew"}},
	{"reply-join-waiting", 2, &wire.Snapshot{
		Room: "lobby", Self: "w7rt", Epoch: "9f2c", Seq: 7, Version: 1, Capacity: 2, Count: 2, Created: 1790000000000,
		Waiting: &wire.Waiting{Position: 2, Count: 2, Reason: wire.WaitFull},
	}},
	{"reply-join-queue", 2, &wire.Snapshot{
		Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 7, Version: 1, Capacity: 2, Count: 1, Created: 1790000000000,
		Peers: []wire.Peer{{ID: "k3vq", Order: 4, User: "bob"}},
		Queue: []wire.Waiter{{ID: "w7rt", User: "eve", Name: "Eve", Reason: wire.WaitModerated}, {ID: "z2", User: "dan", Reason: wire.WaitFull, Away: true}},
	}},
	{"reply-leave", 3, &wire.Done{Seq: 6}},
	{"reply-signal", 4, &wire.Done{Seq: 7}},
	{"reply-signal-filtered", 4, &wire.Done{Filtered: true}},
	{"reply-publish", 6, &wire.Done{Seq: 8}},
	{"reply-publish-repeated", 6, &wire.Done{Seq: 8, Repeated: true}},
	{"reply-history", 6, &wire.History{Room: "lobby", Topic: "chat", Seq: 50, Epoch: "9f2c", Dropped: 2, Messages: []wire.KeptMessage{
		{Seq: 41, From: "a81x", User: "ada", Name: "Ada", Time: 1790000000000, Data: json.RawMessage(`{"text":"hi"}`)},
		{Seq: 43, Time: 1790000000500, Data: json.RawMessage(`"from the app"`)},
	}}},
	{"reply-clear", 6, &wire.Done{Seq: 52}},
	{"reply-undo", 6, &wire.Undid{Seq: 51, Of: 41}},
	{"reply-undo-nothing", 6, &wire.Undid{Seq: 51}},
	{"reply-state", 7, &wire.Done{Seq: 9}},
	{"reply-room", 8, &wire.Updated{Seq: 10, Version: 4}},
	{"reply-room-repeated", 8, &wire.Updated{Repeated: true}},
	{"reply-control", 9, &wire.Controlled{Seq: 11, Affected: 3}},
	{"reply-control-repeated", 9, &wire.Controlled{Seq: 11, Repeated: true}},
	{"reply-peers", 10, &wire.HeadCount{Room: "lobby", Count: 2, Capacity: 12}},
	{"reply-peers-list", 10, &wire.Snapshot{
		Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 12, Version: 4, Capacity: 12, Count: 1, Locked: true, Presenter: "k3vq",
		Properties: object("title", `"Stand-up"`), Spotlight: json.RawMessage(`{"start":1790000000000,"interval":10000,"order":["a81x"]}`), Created: 1790000000000,
		Peers: []wire.Peer{{ID: "k3vq", Order: 4, User: "bob", Name: "Bob"}},
	}},
	{"reply-report", 11, &wire.Nothing{}},
	{"reply-ping", 12, &wire.Pong{Time: 1790000000000}},
}

var errorSamples = []errorSample{
	{"error-bad_request", 0, wire.Errorf(wire.CodeBadRequest, "not valid JSON")},
	{"error-too_large", 7, wire.Errorf(wire.CodeTooLarge, "state has 5000 bytes; 4096 are allowed")},
	{"error-unauthorized", 1, wire.Errorf(wire.CodeUnauthorized, "the token has expired")},
	{"error-forbidden", 2, wire.Errorf(wire.CodeForbidden, "the token does not allow this room")},
	{"error-room_full", 2, wire.Errorf(wire.CodeRoomFull, "every seat is taken")},
	{"error-room_locked", 2, wire.Errorf(wire.CodeRoomLocked, "a moderator has locked the room")},
	{"error-not_member", 3, wire.Errorf(wire.CodeNotMember, "no seat in room %q", "lobby")},
	{"error-stale", 4, wire.Errorf(wire.CodeStale, "a later offer of the peer has come: answer that one")},
	{"error-peer_gone", 4, wire.Errorf(wire.CodePeerGone, "the peer has no seat in the room")},
	{"error-conflict", 8, &wire.Error{Code: wire.CodeConflict, Message: "the room has changed", Version: 4}},
	{"error-limit", 2, wire.Errorf(wire.CodeLimit, "16 rooms are allowed")},
	{"error-rate_limited", 6, &wire.Error{Code: wire.CodeRateLimited, Message: "too many requests", RetryAfter: 1500 * time.Millisecond}},
	{"error-resume_refused", 41, wire.Errorf(wire.CodeResumeRefused, "the session is over")},
	{"error-outcome_unknown", 40, wire.Errorf(wire.CodeOutcomeUnknown, "a later request took effect")},
	{"error-unavailable", 6, wire.Errorf(wire.CodeUnavailable, "Redis did not answer")},
	{"error-internal", 6, wire.Errorf(wire.CodeInternal, "a fault of the server")},
}

var eventSamples = []eventSample{
	{"event-joined-peer", wire.Event{Room: "lobby", Seq: 1, Body: &wire.JoinedPeer{Peer: wire.Peer{ID: "a81x", Order: 1, User: "ada", Name: "Ada", State: object("mic", `true`)}}}},
	{"event-left-peer", wire.Event{Room: "lobby", Seq: 2, Body: &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonLeft}}},
	{"event-left-peer-kicked", wire.Event{Room: "lobby", Seq: 2, Body: &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonKicked, By: "k3vq"}}},
	{"event-left-peer-replaced", wire.Event{Room: "lobby", Seq: 2, Body: &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonReplaced}}},
	{"event-away-peer", wire.Event{Room: "lobby", Seq: 3, Body: &wire.AwayPeer{Peer: "a81x"}}},
	{"event-back-peer", wire.Event{Room: "lobby", Seq: 4, Body: &wire.BackPeer{Peer: "a81x"}}},
	{"event-state", wire.Event{Room: "lobby", Seq: 5, Body: &wire.StateChanged{Peer: "a81x", State: object("hand", `null`, "mic", `false`)}}},
	{"event-signal-offer", wire.Event{Room: "lobby", Seq: 44, Body: &wire.Signaled{From: "a81x", Offer: true, Data: json.RawMessage(`{"description":{"type":"offer","sdp":"v=0\r\n"}}`)}}},
	{"event-signal", wire.Event{Room: "lobby", Seq: 6, Body: &wire.Signaled{From: "a81x", Data: json.RawMessage(`{"description":{"type":"answer","sdp":"v=0\r\n"}}`)}}},
	{"event-message", wire.Event{Room: "lobby", Seq: 7, Body: &wire.Message{From: "a81x", Data: json.RawMessage(`"hello back"`)}}},
	{"event-message-topic", wire.Event{Room: "lobby", Seq: 7, Body: &wire.Message{From: "a81x", Topic: "chat", Data: json.RawMessage(`{"text":"hi"}`), Volatile: true}}},
	{"event-message-kept", wire.Event{Room: "lobby", Seq: 7, Body: &wire.Message{From: "a81x", Topic: "chat", Data: json.RawMessage(`{"text":"hi"}`), Kept: true, Time: 1790000000000}}},
	{"event-message-app", wire.Event{Room: "lobby", Seq: 7, Body: &wire.Message{Topic: "news", Data: json.RawMessage(`"from the app"`)}}},
	{"event-waiting", wire.Event{Room: "lobby", Body: &wire.Waiting{Position: 1, Count: 2, Reason: wire.WaitFull}}},
	{"event-seated", wire.Event{Room: "lobby", Seq: 12, Body: &wire.Seated{Snapshot: wire.Snapshot{
		Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 12, Version: 4, Capacity: 4, Count: 1, Created: 1790000000000,
		Peers: []wire.Peer{{ID: "k3vq", Order: 4, User: "bob"}},
	}}}},
	{"event-waiting-peer", wire.Event{Room: "lobby", Seq: 8, Body: &wire.WaitingPeer{Reason: wire.WaitFull, Peer: wire.Waiter{ID: "w7rt", User: "eve", Name: "Eve"}}}},
	{"event-gone-peer", wire.Event{Room: "lobby", Seq: 9, Body: &wire.GonePeer{Peer: "w7rt", Reason: wire.ReasonDenied}}},
	{"event-closed-denied", wire.Event{Room: "lobby", Body: &wire.Closed{Reason: wire.ReasonDenied, By: "a81x"}}},
	{"event-undone", wire.Event{Room: "lobby", Seq: 8, Body: &wire.Undone{Topic: "whiteboard", Of: 7, By: "a81x"}}},
	{"event-cleared", wire.Event{Room: "lobby", Seq: 8, Body: &wire.Cleared{Topic: "whiteboard", By: "a81x"}}},
	{"event-room", wire.Event{Room: "lobby", Seq: 8, Body: &wire.RoomChanged{Version: 4, By: "k3vq", RoomChange: wire.RoomChange{
		Capacity: new(4), Locked: new(true), Presenter: new("a81x"), Properties: object("title", `"Stand-up"`), Spotlight: json.RawMessage(`{"start":1790000000000,"interval":10000,"order":["a81x"]}`),
	}}}},
	{"event-room-presenter-left", wire.Event{Room: "lobby", Seq: 9, Body: &wire.RoomChanged{Version: 5, RoomChange: wire.RoomChange{Presenter: new("")}}}},
	{"event-control", wire.Event{Room: "lobby", Seq: 10, Body: &wire.Controlling{Action: wire.ActionMute, Kind: wire.KindAudio, To: "a81x", By: "k3vq"}}},
	{"event-control-all", wire.Event{Room: "lobby", Seq: 10, Body: &wire.Controlling{Action: wire.ActionUnmute, Kind: wire.KindVideo, By: "k3vq"}}},
	{"event-control-move", wire.Event{Room: "lobby", Seq: 10, Body: &wire.Controlling{Action: wire.ActionMove, To: "a81x", Target: "lobby-2"}}},
	{"event-left-peer-text", wire.Event{Room: "lobby", Seq: 2, Body: &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonKicked, Text: "No \"spam\", please"}}},
	{"event-left-peer-closed", wire.Event{Room: "lobby", Seq: 2, Body: &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonClosed}}},
	{"event-closed", wire.Event{Room: "lobby", Seq: 11, Body: &wire.Closed{Reason: wire.ReasonKicked, By: "k3vq"}}},
	{"event-closed-text", wire.Event{Room: "lobby", Seq: 11, Body: &wire.Closed{Reason: wire.ReasonClosed, By: "k3vq", Text: "Der Kurs ist zu Ende – bis morgen"}}},
	{"event-closed-by-gateway", wire.Event{Room: "lobby", Body: &wire.Closed{Reason: wire.ReasonClosed}}},
	{"event-closed-replaced", wire.Event{Room: "lobby", Seq: 11, Body: &wire.Closed{Reason: wire.ReasonReplaced}}},
	{"event-resync", wire.Event{Room: "lobby", Seq: 12, Body: &wire.Resync{Snapshot: wire.Snapshot{
		Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 12, Version: 4, Capacity: 4, Count: 1, Created: 1790000000000,
		Peers: []wire.Peer{{ID: "k3vq", Order: 4, User: "bob"}},
	}}}},
	{"event-ice-expires", wire.Event{Body: &wire.ICE{Servers: []wire.ICEServer{
		{URLs: []string{"turn:turn.example.org"}, Username: "1790003600:demo/k3vq", Credential: "c2VjcmV0"},
	}, Expires: 1790003600000}}},
	{"event-ice", wire.Event{Body: &wire.ICE{Servers: []wire.ICEServer{{URLs: []string{"turn:turn.example.org"}, Username: "1790003600:k3vq", Credential: "c2VjcmV0"}}}}},
	{"event-expiring", wire.Event{Body: &wire.Expiring{At: 1790003600000}}},
	{"event-goaway", wire.Event{Body: &wire.GoAway{RetryAfter: 1200, Deadline: 25000}}},
}

// object makes an Object of keys and JSON values in turn.
func object(pairs ...string) wire.Object {
	o := make(wire.Object)
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return o
}

// offer gives the data of a signal with an SDP of about 2.5 KB, as a browser makes one for audio and video.
func offer() json.RawMessage {
	var sdp strings.Builder
	sdp.WriteString("v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS\r\n")
	for mid, kind := range []string{"audio", "video"} {
		fmt.Fprintf(&sdp, "m=%s 9 UDP/TLS/RTP/SAVPF 96 97 98\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:4ZcD\r\na=ice-pwd:2/1muCWoOi3uLifh0NuRHlZm\r\n"+
			"a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n"+
			"a=setup:actpass\r\na=mid:%d\r\na=sendrecv\r\na=rtcp-mux\r\n", kind, mid)
		for i := range 10 {
			fmt.Fprintf(&sdp, "a=rtpmap:%d codec/90000\r\na=fmtp:%d profile-id=%d;apt=%d\r\na=rtcp-fb:%d nack pli\r\n", 96+i, 96+i, i, 95+i, 96+i)
		}
	}
	quoted := wire.AppendString(nil, sdp.String())
	return json.RawMessage(`{"description":{"type":"offer","sdp":` + string(quoted) + `}}`)
}

// crowd gives the snapshot of a room with many peers.
func crowd(peers int) *wire.Snapshot {
	s := &wire.Snapshot{Room: "lobby", Self: "peer-1", Epoch: "9f2c", Seq: 900, Version: 1, Capacity: peers, Count: peers, Created: 1790000000000}
	for i := range peers {
		s.Peers = append(s.Peers, wire.Peer{
			ID: fmt.Sprintf("peer-%d", i), Order: int64(i + 1), User: fmt.Sprintf("user-%d", i), Name: fmt.Sprintf("Participant %d", i),
			State: object("camera", `false`, "mic", `true`),
		})
	}
	return s
}
