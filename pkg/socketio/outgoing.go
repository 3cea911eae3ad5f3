package socketio

import (
	"encoding/binary"

	"github.com/gorilla/websocket"
)

// outgoing is an Engine.IO packet on its way to clients: built once, never changed, and shared by all who get it.
type outgoing struct {
	packet EnginePacket
	// frame is a text packet as a WebSocket frame. A server's frames are not masked (RFC 6455, section 5.1), so they are
	// the same bytes for everybody; packet's data is a slice of it.
	frame []byte
}

// The packets that need no data.
var (
	closePacket = newText(EngineClose, 0, nil)
	pingPacket  = newText(EnginePing, 0, nil)
	pongPacket  = newText(EnginePong, 0, nil)
	noopPacket  = newText(EngineNoop, 0, nil)
)

// frameHeader is the room for the longest header of an unmasked frame: 2 bytes and a length of 8.
const frameHeader = 10

// newText makes a text packet of about size bytes, which fill appends.
func newText(t EngineType, size int, fill func([]byte) []byte) *outgoing {
	packet := makeText(t, size, fill)
	return &packet
}

func makeText(t EngineType, size int, fill func([]byte) []byte) outgoing {
	b := make([]byte, frameHeader+1, frameHeader+1+size)
	b[frameHeader] = '0' + byte(t)
	if fill != nil {
		b = fill(b)
	}
	var space [frameHeader]byte
	header := appendFrameHeader(space[:0], websocket.TextMessage, len(b)-frameHeader)
	start := frameHeader - len(header)
	copy(b[start:], header)
	return outgoing{packet: EnginePacket{Type: t, Data: b[frameHeader+1:]}, frame: b[start:]}
}

// newBinary makes a message of bytes, which are kept.
func newBinary(data []byte) *outgoing {
	return &outgoing{packet: EnginePacket{Type: EngineMessage, Binary: true, Data: data}}
}

// size is about what the packet takes while it waits.
func (o *outgoing) size() int { return len(o.packet.Data) + 16 }

// appendFrameHeader appends the header of a final, unmasked WebSocket frame (RFC 6455, section 5.2).
func appendFrameHeader(dst []byte, kind, length int) []byte {
	const final = 0x80
	dst = append(dst, final|byte(kind))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}
