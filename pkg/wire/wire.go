// Package wire is the native protocol, version 1: its message types, their codec, and the error and close codes.
//
// A connection is a WebSocket (RFC 6455) with the subprotocol [Subprotocol]; every message is one JSON object
// (RFC 8259) in one text frame:
//
//	client                                   gateway
//	  | {"id":1,"type":"hello",...}            |
//	  |--------------------------------------->|  a Request: id rises with each
//	  |            {"re":1,"ok":{...}}         |
//	  |<---------------------------------------|  its Reply: exactly one, ok or error
//	  | {"id":2,"type":"join","room":"r"}      |
//	  |--------------------------------------->|
//	  |            {"re":2,"ok":{snapshot}}    |
//	  |<---------------------------------------|
//	  |  {"seq":6,"type":"signal","room":"r"}  |
//	  |<---------------------------------------|  an Event: numbered by its room
//
// Decoding checks and bounds everything that the protocol knows, and leaves what belongs to the application
// (data, state values, properties) as the bytes that came. Encoding appends to a slice that the caller owns.
// docs/protocol.md is the same in prose; testdata holds one golden file a message.
package wire

// Subprotocol is the WebSocket subprotocol of version 1 (RFC 6455, section 1.9).
const Subprotocol = "signalbox.v1"

// Version is the protocol's version, as told in the reply to hello.
const Version = 1

// Type names a message. The same word can be a request and an event.
type Type string

// Requests, from client to server. Each gets one reply; the payloads are the types named here.
const (
	TypeHello   Type = "hello"   // [Hello] -> [Welcome]: opens the session, first message of a connection
	TypeJoin    Type = "join"    // [Join] -> [Snapshot]: takes a seat in a room
	TypeLeave   Type = "leave"   // [Leave] -> [Done]: gives the seat up
	TypeSignal  Type = "signal"  // [Signal] -> [Done]: to one peer
	TypePublish Type = "publish" // [Publish] -> [Done]: to the room
	TypeState   Type = "state"   // [SetState] -> [Done]: merges into the peer's own state
	TypeRoom    Type = "room"    // [UpdateRoom] -> [Updated]: changes the room, guarded by its version
	TypeControl Type = "control" // [Control] -> [Controlled]: mutes, unmutes, kicks
	TypePeers   Type = "peers"   // [Peers] -> [HeadCount] or [Snapshot]
	TypeHistory Type = "history" // [AskHistory] -> [History]: what is kept of a topic
	TypeUndo    Type = "undo"    // [Undo] -> [Undid]: takes a kept message back
	TypeClear   Type = "clear"   // [Clear] -> [Done]: takes all back that is kept of a topic
	TypeReport  Type = "report"  // [Report] -> [Nothing]: the client's ICE outcome
	TypePing    Type = "ping"    // [Ping] -> [Pong]
	TypeRefresh Type = "refresh" // [Refresh] -> [Refreshed]
	TypeICE     Type = "ice"     // [AskICE] -> [ICEServers]
)

// Events, from server to client. Those of a room carry its name and the event's number.
const (
	TypeJoinedPeer  Type = "joined-peer"  // [JoinedPeer]
	TypeLeftPeer    Type = "left-peer"    // [LeftPeer]
	TypeAwayPeer    Type = "away-peer"    // [AwayPeer]
	TypeBackPeer    Type = "back-peer"    // [BackPeer]
	TypeMessage     Type = "message"      // [Message]: what somebody published
	TypeWaiting     Type = "waiting"      // [Waiting]: the receiver's own place in the queue
	TypeSeated      Type = "seated"       // [Seated]: the receiver, who has waited, has a seat
	TypeWaitingPeer Type = "waiting-peer" // [WaitingPeer]: somebody waits for a seat
	TypeGonePeer    Type = "gone-peer"    // [GonePeer]: somebody waits no more
	TypeUndone      Type = "undone"       // [Undone]: a kept message was taken back
	TypeCleared     Type = "cleared"      // [Cleared]: all kept messages of a topic were taken back
	TypeClosed      Type = "closed"       // [Closed]: the receiver's own seat was taken
	TypeResync      Type = "resync"       // [Resync]: start over from this snapshot
	TypeGoAway      Type = "goaway"       // [GoAway]: the gateway drains; of no room
	TypeExpiring    Type = "expiring"     // [Expiring]: the token is about to expire; of no room
	// TypeState [StateChanged], TypeSignal [Signaled], TypeRoom [RoomChanged], TypeControl [Controlling] and TypeICE [ICE] (fresh ICE servers; of no
	// room) are events, too.
)

// RequestTypes lists every request, for dispatch tests and metrics.
var RequestTypes = []Type{
	TypeHello, TypeJoin, TypeLeave, TypeSignal, TypePublish, TypeState, TypeRoom, TypeControl, TypePeers, TypeHistory, TypeUndo, TypeClear,
	TypeReport, TypePing, TypeRefresh, TypeICE,
}

// EventTypes lists every event.
var EventTypes = []Type{
	TypeJoinedPeer, TypeLeftPeer, TypeAwayPeer, TypeBackPeer, TypeState, TypeSignal, TypeMessage, TypeRoom, TypeControl,
	TypeWaiting, TypeSeated, TypeWaitingPeer, TypeGonePeer, TypeUndone, TypeCleared, TypeClosed, TypeResync, TypeICE, TypeGoAway,
	TypeExpiring,
}

// The topics of which messages can be kept for those who join later ([Publish]).
const (
	TopicChat       = "chat"
	TopicWhiteboard = "whiteboard"
)

// KeptTopics lists them.
var KeptTopics = []string{TopicChat, TopicWhiteboard}

// Why somebody has to wait for a seat ([Waiting]).
const (
	WaitFull      = "full"      // every seat is taken
	WaitModerated = "moderated" // a moderator has to let it in
)

// Why a peer left ([LeftPeer]) or a seat was closed ([Closed]).
const (
	ReasonLeft         = "left"
	ReasonDisconnected = "disconnected"
	ReasonKicked       = "kicked"
	ReasonExpired      = "expired"
	ReasonClosed       = "closed"
	ReasonDenied       = "denied"   // who has waited to be let in was not
	ReasonReplaced     = "replaced" // the same user came with another session, and the app gives it one seat
)

// EpochWaiting stands in a [Position] for the epoch of a room in which the client waited for a seat when it heard of it last. No room has
// it: whoever has a seat by now starts over from a snapshot.
const EpochWaiting = "waiting"

// What became of a room in a resume ([ResumedRoom]).
const (
	ResumeReplayed = "replayed" // the events that were missed follow, if there are any
	ResumeResync   = "resync"   // a [Resync] follows
	ResumeWaiting  = "waiting"  // the place in the queue is kept: a [Waiting] follows
	ResumeGone     = "gone"     // the seat is no more: join again
)

// What a moderator can do ([Control]), and to which kind of media.
const (
	ActionMute   = "mute"
	ActionUnmute = "unmute"
	ActionKick   = "kick"
	ActionClose  = "close" // the room, for everybody
	ActionAdmit  = "admit" // who waits for it in a moderated room
	ActionDeny   = "deny"  // who waits
	ActionMove   = "move"  // to another room: the app alone asks a peer for it

	KindAudio = "audio"
	KindVideo = "video"
)

// State keys that only [Control] writes.
const (
	StateMutedAudio = "mutedAudio"
	StateMutedVideo = "mutedVideo"
)

// Limits bounds what decoding accepts. The size of a whole message is the transport's to bound.
type Limits struct {
	// Depth is how deeply objects and arrays may nest, the message itself included; 16 if 0.
	Depth int
	// Keys is how many fields a message may have, unknown ones included; 64 if 0.
	Keys int
	// StateKeys and StateBytes bound a state or a property change; 32 keys and 4096 bytes of JSON if 0.
	StateKeys  int
	StateBytes int
}

func (l Limits) withDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = 16
	}
	if l.Keys == 0 {
		l.Keys = 64
	}
	if l.StateKeys == 0 {
		l.StateKeys = 32
	}
	if l.StateBytes == 0 {
		l.StateBytes = 4096
	}
	return l
}
