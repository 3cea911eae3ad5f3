package wire

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// Frame is one message from the server as a WebSocket text frame: built once, never changed, and shared by all its
// receivers. A server's frames are not masked (RFC 6455, section 5.1), so they are the same bytes for everybody.
type Frame struct {
	bytes   []byte
	derived atomic.Pointer[derived]
	written func(session string) // nil unless somebody wants to know
	kind    uint8                // which of frameKinds
	text    uint8                // where the message begins in bytes
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

// frameKinds is the same list, by number: a frame has no room for a string.
var frameKinds = slices.Clone(FrameKinds)

// kindNumbers gives the place of each in it, looked up without making a string of what was read.
var kindNumbers = func() map[string]uint8 {
	numbers := make(map[string]uint8, len(frameKinds))
	for i, t := range frameKinds {
		numbers[string(t)] = uint8(i)
	}
	return numbers
}()

// The numbers of the kinds that are no event's.
var (
	replyKind = kindNumbers[string(FrameReply)]
	errorKind = kindNumbers[string(FrameError)]
	otherKind = kindNumbers[string(frameOther)]
)

// frameHeader is the room for the longest frame header without mask: 2 bytes and a length of 8.
const frameHeader = 10

// EventFrame frames an event body under its number; 0 is none.
func EventFrame(seq int64, body []byte) *Frame {
	b := make([]byte, frameHeader, frameHeader+len(`{"seq":,`)+20+len(body))
	if seq == 0 {
		return newFrame(eventKind(body), append(b, body...))
	}
	return newFrame(eventKind(body), AppendNumbered(b, seq, body))
}

// MessageFrame frames an event of no room, and a [Resync], which names its own.
func MessageFrame(body EventBody) *Frame {
	return newFrame(kindNumbers[string(body.Type())], AppendEventBody(make([]byte, frameHeader, 256), "", body))
}

// ReplyFrame frames the reply to request re.
func ReplyFrame(re int64, body ReplyBody) *Frame {
	size := 64
	switch body := body.(type) {
	case *Snapshot:
		size = body.size()
	case *Welcome:
		size = body.size()
	}
	return newFrame(replyKind, AppendReply(make([]byte, frameHeader, frameHeader+size), re, body))
}

// ErrorFrame frames the refusal of request re.
func ErrorFrame(re int64, refusal *Error) *Frame {
	return newFrame(errorKind, AppendError(make([]byte, frameHeader, 192), re, refusal))
}

// eventKind reads the type in front of an event body.
func eventKind(body []byte) uint8 {
	rest, ok := bytes.CutPrefix(body, []byte(`{"type":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return otherKind
	}
	if number, ok := kindNumbers[string(rest[:end])]; ok && int(number) < len(EventTypes) {
		return number
	}
	return otherKind
}

// newFrame writes the header in front of the message that follows frameHeader free bytes in b (RFC 6455, section 5.2).
func newFrame(kind uint8, b []byte) *Frame {
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
	return &Frame{kind: kind, bytes: b[start:], text: uint8(frameHeader - start)}
}

// Kind is the event's type, or what else the frame is.
func (f *Frame) Kind() Type { return frameKinds[f.kind] }

// KindNumber is the place of its kind in [FrameKinds].
func (f *Frame) KindNumber() int { return int(f.kind) }

// WebSocket gives the whole frame. It must not be changed.
func (f *Frame) WebSocket() []byte { return f.bytes }

// Text gives the message without the frame's header. It must not be changed.
func (f *Frame) Text() []byte { return f.bytes[f.text:] }

// Size is the frame's length in bytes.
func (f *Frame) Size() int { return len(f.bytes) }

// OnWritten has written called whenever the frame was written to a session's connection, on the goroutine that did so. It is to
// be called before the frame is delivered to anybody.
func (f *Frame) OnWritten(written func(session string)) { f.written = written }

// Watched reports whether somebody wants to know that the frame was written.
func (f *Frame) Watched() bool { return f.written != nil }

// Written is for a transport: a watched frame was written to a session's connection.
func (f *Frame) Written(session string) { f.written(session) }

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
	return &Frame{kind: kindNumbers[string(kind)], bytes: b, text: 2}
}

// derived is one value that was made of a frame. They form a list, to which new ones are added in front.
type derived struct {
	key   any
	make  sync.Once
	value any
	next  *derived
}

// Derived gives what make makes of the frame, for example the same message in another protocol: the first call with a
// key calls make, and the others get, or wait for, what it has made. The frame keeps it as long as it lives itself. Keys
// are compared, so they need a comparable type of their own; pointers and empty structs cost nothing. A frame has a few
// of them, not many.
//
// It is safe for concurrent use. make must not call Derived of the same frame with the same key.
func (f *Frame) Derived(key any, make func() any) any {
	d := f.derivation(key)
	d.make.Do(func() { d.value = make() })
	return d.value
}

// derivation finds the place of a key's value, or adds one.
func (f *Frame) derivation(key any) *derived {
	var added *derived
	for {
		first := f.derived.Load()
		for d := first; d != nil; d = d.next {
			if d.key == key {
				return d
			}
		}
		if added == nil {
			added = &derived{key: key}
		}
		if added.next = first; f.derived.CompareAndSwap(first, added) {
			return added
		}
	}
}
