package socketio

import (
	"encoding/base64"
	"unicode/utf8"
)

// Version is a version of the Engine.IO protocol.
type Version int

// The versions that are spoken here.
const (
	Version3 Version = 3 // with Socket.IO protocol 4: clients 1.x and 2.x
	Version4 Version = 4 // with Socket.IO protocol 5: clients 3.x and 4.x
)

// EngineType is the type of an Engine.IO packet.
type EngineType byte

// The types, and who sends them.
const (
	EngineOpen    EngineType = iota // server: the handshake, a JSON object
	EngineClose                     // both: the end of the session
	EnginePing                      // version 3: client; version 4: server; client with "probe" on the way to a WebSocket
	EnginePong                      // the answer to a ping
	EngineMessage                   // both: text or bytes
	EngineUpgrade                   // client: go on by WebSocket
	EngineNoop                      // server: ends a GET that has nothing to tell
	engineTypes
)

// EnginePacket is one packet of Engine.IO.
type EnginePacket struct {
	Type   EngineType
	Binary bool   // bytes instead of text; messages alone can be
	Data   []byte // without the type
}

// DecodeEngine reads the packet in one WebSocket message. Errors are a [*FormatError]. Data is a slice of message, or
// decoded from it.
func DecodeEngine(v Version, binary bool, message []byte) (EnginePacket, error) {
	if binary {
		return decodeBinary(v, message)
	}
	if !utf8.Valid(message) {
		return EnginePacket{}, malformed(BadUTF8, "text that is not UTF-8")
	}
	return decodeText(v, message)
}

// decodeBinary reads a packet in its binary form: in version 4 bare bytes, in version 3 led by the type as a byte.
func decodeBinary(v Version, b []byte) (EnginePacket, error) {
	if v == Version3 {
		if len(b) == 0 || EngineType(b[0]) != EngineMessage {
			return EnginePacket{}, malformed(BadEnginePacket, "binary that is not a message")
		}
		b = b[1:]
	}
	return EnginePacket{Type: EngineMessage, Binary: true, Data: b}, nil
}

// decodeText reads a packet in its text form: the type as a digit and the data, or b and base64, in version 3 with a
// digit in between.
func decodeText(v Version, b []byte) (EnginePacket, error) {
	if len(b) == 0 {
		return EnginePacket{}, malformed(BadEnginePacket, "an empty packet")
	}
	if b[0] == 'b' {
		return decodeBase64(v, b[1:])
	}
	packet := EnginePacket{Type: EngineType(b[0] - '0'), Data: b[1:]}
	if packet.Type >= engineTypes {
		return EnginePacket{}, malformed(BadEnginePacket, "an unknown type")
	}
	return packet, nil
}

func decodeBase64(v Version, b []byte) (EnginePacket, error) {
	if v == Version3 {
		if len(b) == 0 || b[0] != '0'+byte(EngineMessage) {
			return EnginePacket{}, malformed(BadEnginePacket, "base64 that is not a message")
		}
		b = b[1:]
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(data, b)
	if err != nil {
		return EnginePacket{}, malformed(BadBase64, err.Error())
	}
	return EnginePacket{Type: EngineMessage, Binary: true, Data: data[:n]}, nil
}

// AppendEngine appends a packet as it goes into one WebSocket message, and tells whether that is a binary one. With
// asText, bytes go as text, for a client of version 3 that has said b64.
func AppendEngine(dst []byte, v Version, asText bool, p EnginePacket) (message []byte, binary bool) {
	switch {
	case !p.Binary:
		return append(append(dst, '0'+byte(p.Type)), p.Data...), false
	case v == Version3 && asText:
		return appendBase64(dst, v, p.Data), false
	case v == Version3:
		return append(append(dst, byte(EngineMessage)), p.Data...), true
	}
	return append(dst, p.Data...), true
}

func appendBase64(dst []byte, v Version, data []byte) []byte {
	dst = append(dst, 'b')
	if v == Version3 {
		dst = append(dst, '0'+byte(EngineMessage))
	}
	return base64.StdEncoding.AppendEncode(dst, data)
}
