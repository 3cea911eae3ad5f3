package wire

import (
	"fmt"
	"time"
)

// Code says in one word why a request was refused. Codes are part of the protocol:
// a client decides by them, never by the message.
type Code string

// The error codes of protocol version 1. Each is marked retryable or not by [Code.Retryable].
const (
	// CodeBadRequest: the message is not valid: not JSON, a missing or wrong field, an unknown type, an id that does not rise.
	CodeBadRequest Code = "bad_request"
	// CodeTooLarge: a part of the message is over its limit (the message itself over its limit closes the connection).
	CodeTooLarge Code = "too_large"
	// CodeUnauthorized: the token was refused, or no hello was accepted yet.
	CodeUnauthorized Code = "unauthorized"
	// CodeForbidden: the token does not allow this room or this action.
	CodeForbidden Code = "forbidden"
	// CodeRoomFull: every seat of the room is taken.
	CodeRoomFull Code = "room_full"
	// CodeRoomLocked: a moderator has locked the room.
	CodeRoomLocked Code = "room_locked"
	// CodeNotMember: the session has no seat in the room.
	CodeNotMember Code = "not_member"
	// CodePeerGone: the addressed peer has no seat in the room. Foreign and unknown peers are not told apart.
	CodePeerGone Code = "peer_gone"
	// CodeStale: the signal answers an offer that a later one of the same peer has overtaken, which the client has been sent by now.
	CodeStale Code = "stale"
	// CodeConflict: the room's version is not the one that the request was made for.
	CodeConflict Code = "conflict"
	// CodeLimit: a count is over its limit, for example rooms of one session.
	CodeLimit Code = "limit"
	// CodeRateLimited: too many requests in too short a time.
	CodeRateLimited Code = "rate_limited"
	// CodeResumeRefused: the session cannot be resumed: its token is not valid or too old, or a later connection has it.
	// The connection stays open for a hello with a token or an app.
	CodeResumeRefused Code = "resume_refused"
	// CodeOutcomeUnknown: a request that was sent again after a resume may or may not have taken effect.
	CodeOutcomeUnknown Code = "outcome_unknown"
	// CodeUnavailable: Redis did not answer. The request may or may not have taken effect.
	CodeUnavailable Code = "unavailable"
	// CodeInternal: a fault of ours; the log has the rest.
	CodeInternal Code = "internal"
)

// Codes lists every error code, for tests and documentation.
var Codes = []Code{
	CodeBadRequest, CodeTooLarge, CodeUnauthorized, CodeForbidden, CodeRoomFull, CodeRoomLocked, CodeNotMember,
	CodePeerGone, CodeStale, CodeConflict, CodeLimit, CodeRateLimited, CodeResumeRefused, CodeOutcomeUnknown, CodeUnavailable, CodeInternal,
}

// Retryable reports whether a client should send the same request again by itself, after a pause. A full or
// locked room may open again, but that is for people to try, not for a loop.
func (c Code) Retryable() bool {
	switch c {
	case CodeRateLimited, CodeUnavailable, CodeInternal:
		return true
	}
	return false
}

// Error is the one error type that clients see. Direction: server to client, inside a reply.
type Error struct {
	Code Code
	// Message is for the developer who reads a log, in English, without secrets.
	Message string
	// RetryAfter is how long to wait before the request is sent again; 0 if not known. Sent in milliseconds.
	RetryAfter time.Duration
	// Version is the room's present version, with [CodeConflict].
	Version int64
}

// Errorf makes an [Error] with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error gives the code and the message in one line.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// CloseCode is a WebSocket close code of the protocol (RFC 6455, section 7.4.2, private range).
// 4000 to 4099 are final; after 4100 to 4199 the client comes back.
type CloseCode int

// The close codes of protocol version 1, and those of RFC 6455 that the server uses.
const (
	// CloseGoingAway: 1001, the gateway ends and there was no time for more.
	CloseGoingAway CloseCode = 1001
	// CloseProtocolError: 1002, a frame that RFC 6455 does not allow.
	CloseProtocolError CloseCode = 1002
	// CloseUnsupportedData: 1003, a binary frame; the protocol is text.
	CloseUnsupportedData CloseCode = 1003
	// CloseInvalidUTF8: 1007, a text frame that is not UTF-8.
	CloseInvalidUTF8 CloseCode = 1007
	// ClosePolicy: 1008, a flood of fragments or control frames.
	ClosePolicy CloseCode = 1008
	// CloseTooLarge: 1009, a message over the limit.
	CloseTooLarge CloseCode = 1009

	// CloseUnauthorized: 4001, the token was refused.
	CloseUnauthorized CloseCode = 4001
	// CloseHelloTimeout: 4002, no hello in time.
	CloseHelloTimeout CloseCode = 4002
	// CloseBadMessages: 4003, too many messages that are not valid.
	CloseBadMessages CloseCode = 4003
	// CloseRateLimited: 4004, a flood of requests that did not end.
	CloseRateLimited CloseCode = 4004
	// CloseExpired: 4005, the token has expired; come back with a new one.
	CloseExpired CloseCode = 4005
	// CloseTakenOver: 4006, a later connection of the same client has the session.
	CloseTakenOver CloseCode = 4006
	// CloseRevoked: 4007, the user or the session was revoked, or the app switched off.
	CloseRevoked CloseCode = 4007

	// CloseMoved: 4100, the gateway drains; come back, on another one.
	CloseMoved CloseCode = 4100
	// CloseSlowReceiver: 4101, the session's queue ran over; come back, the room's log has the rest.
	CloseSlowReceiver CloseCode = 4101
	// CloseHeartbeat: 4102, the client was silent for too long.
	CloseHeartbeat CloseCode = 4102
	// CloseInternal: 4103, a fault of ours.
	CloseInternal CloseCode = 4103
)

// CloseCodes lists every close code with its word, for metrics, tests and documentation.
var CloseCodes = map[CloseCode]string{
	CloseGoingAway: "going_away", CloseProtocolError: "protocol_error", CloseUnsupportedData: "unsupported_data",
	CloseInvalidUTF8: "invalid_utf8", ClosePolicy: "policy", CloseTooLarge: "too_large",
	CloseUnauthorized: "unauthorized", CloseHelloTimeout: "hello_timeout", CloseBadMessages: "bad_messages",
	CloseRateLimited: "rate_limited", CloseExpired: "expired", CloseTakenOver: "taken_over", CloseRevoked: "revoked", CloseMoved: "moved",
	CloseSlowReceiver: "slow_receiver", CloseHeartbeat: "heartbeat", CloseInternal: "internal",
}

// String gives the close code's word.
func (c CloseCode) String() string {
	if word, ok := CloseCodes[c]; ok {
		return word
	}
	return "other"
}

// Retryable reports whether a client should come back after this close code. Unknown codes are
// retryable: a lost network must not end a session.
func (c CloseCode) Retryable() bool {
	switch {
	case c >= 4000 && c < 4100:
		return false
	case c == CloseProtocolError, c == CloseUnsupportedData, c == CloseInvalidUTF8, c == ClosePolicy, c == CloseTooLarge:
		return false
	}
	return true
}

func (e *Error) encode(enc *encoder) {
	enc.str("code", string(e.Code))
	enc.str("message", e.Message)
	enc.bool("retryable", e.Code.Retryable())
	enc.count("retryAfter", e.RetryAfter.Milliseconds())
	enc.count("version", e.Version)
}

func (e *Error) decode(f *fields) {
	e.Code = Code(f.required("code", ValidKey))
	e.Message = f.text("message")
	e.RetryAfter = time.Duration(f.count("retryAfter", 0)) * time.Millisecond // at most 24 days
	e.Version = f.integer("version", 0)
}
