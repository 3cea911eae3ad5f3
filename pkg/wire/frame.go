package wire

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Frame is one message from the server as a WebSocket text frame: built once, never changed, and shared by all its
// receivers. A server's frames are not masked (RFC 6455, section 5.1), so they are the same bytes for everybody.
type Frame struct {
	kind  Type
	bytes []byte
	text  int // where the message begins in bytes
}

// What a frame can be beside an event, for [Frame.Kind].
const (
	FrameReply Type = "reply"
	FrameError Type = "error"
	FramePing  Type = "ping"
	FramePong  Type = "pong"
	frameOther Type = "other"
)

// FrameKinds lists what [Frame.Kind] can say, for metrics.
var FrameKinds = append(slices.Clone(EventTypes), FrameReply, FrameError, FramePing, FramePong, frameOther)

// eventKinds gives the type of an event body without making a string of it.
var eventKinds = func() map[string]Type {
	kinds := make(map[string]Type, len(EventTypes))
	for _, t := range EventTypes {
		kinds[string(t)] = t
	}
	return kinds
}()

// frameHeader is the room for the longest frame header without mask: 2 bytes and a length of 8.
const frameHeader = 10

// EventFrame frames an event body under its number.
func EventFrame(seq int64, body []byte) *Frame {
	b := make([]byte, frameHeader, frameHeader+len(`{"seq":,`)+20+len(body))
	return newFrame(eventKind(body), AppendNumbered(b, seq, body))
}

// MessageFrame frames an event of no room, and a [Resync], which names its own.
func MessageFrame(body EventBody) *Frame {
	return newFrame(body.Type(), AppendEventBody(make([]byte, frameHeader, 256), "", body))
}

// ReplyFrame frames the reply to request re.
func ReplyFrame(re int64, body ReplyBody) *Frame {
	size := 64
	if snapshot, ok := body.(*Snapshot); ok {
		size = snapshot.size()
	}
	return newFrame(FrameReply, AppendReply(make([]byte, frameHeader, frameHeader+size), re, body))
}

// ErrorFrame frames the refusal of request re.
func ErrorFrame(re int64, refusal *Error) *Frame {
	return newFrame(FrameError, AppendError(make([]byte, frameHeader, 192), re, refusal))
}

// eventKind reads the type in front of an event body.
func eventKind(body []byte) Type {
	rest, ok := bytes.CutPrefix(body, []byte(`{"type":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return frameOther
	}
	if kind, ok := eventKinds[string(rest[:end])]; ok {
		return kind
	}
	return frameOther
}

// newFrame writes the header in front of the message that follows frameHeader free bytes in b (RFC 6455, section 5.2).
func newFrame(kind Type, b []byte) *Frame {
	const finalText = 0x81
	size := len(b) - frameHeader
	start := frameHeader - 2
	switch {
	case size < 126:
		b[start+1] = byte(size)
	case size < 1<<16:
		start = frameHeader - 4
		b[start+1] = 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(size))
	default:
		start = 0
		b[start+1] = 127
		binary.BigEndian.PutUint64(b[start+2:], uint64(size))
	}
	b[start] = finalText
	return &Frame{kind: kind, bytes: b[start:], text: frameHeader - start}
}

// Kind is the event's type, or what else the frame is.
func (f *Frame) Kind() Type { return f.kind }

// WebSocket gives the whole frame. It must not be changed.
func (f *Frame) WebSocket() []byte { return f.bytes }

// Text gives the message without the frame's header. It must not be changed.
func (f *Frame) Text() []byte { return f.bytes[f.text:] }

// Size is the frame's length in bytes.
func (f *Frame) Size() int { return len(f.bytes) }

// The control frames that a server's transport sends beside messages (RFC 6455, section 5.5).
const (
	OpPing byte = 0x9
	OpPong byte = 0xA
)

// ControlFrame frames a ping or a pong with a payload of at most 125 bytes. Its Text is the payload.
func ControlFrame(op byte, payload []byte) *Frame {
	const final = 0x80
	b := append([]byte{final | op, byte(len(payload))}, payload...)
	kind := FramePing
	if op == OpPong {
		kind = FramePong
	}
	return &Frame{kind: kind, bytes: b, text: 2}
}
