package ws

import (
	"encoding/binary"

	"github.com/gorilla/websocket"
)

// takeMessage takes the next message where it is, without gorilla and its copies, and without a deadline: if the source
// has read all of it already, in one frame, as is the rule. Everything else (control frames, fragments, what is only
// begun, what breaks a rule) is left to gorilla. The message is valid until [Conn.forgetMessage].
func (c *Conn) takeMessage() ([]byte, bool) {
	p := c.parking
	if p == nil || p.begun || p.reader.Buffered() > 0 || p.source.left() == 0 {
		return nil, false
	}
	ahead := p.source.ahead()
	header, size := frameSizes(ahead)
	if header == 0 || size > c.upgrader.opts.MessageBytes || len(ahead) < header+size {
		return nil, false
	}
	text := ahead[header : header+size]
	unmask(text, [maskBytes]byte(ahead[header-maskBytes:]))
	p.taken = header + size
	return text, true
}

// frameSizes gives the sizes of a frame's header and payload (RFC 6455, section 5.2), if it is a whole text message with a
// mask, and not one of the longest kind; 0 if it is not, or does not show yet.
func frameSizes(b []byte) (header, payload int) {
	const short, long = 2 + maskBytes, 4 + maskBytes
	if len(b) < short || b[0] != finBit|websocket.TextMessage || b[1]&maskBit == 0 {
		return 0, 0
	}
	switch size := int(b[1] &^ maskBit); {
	case size < 126:
		return short, size
	case size == 126 && len(b) >= long:
		return long, int(binary.BigEndian.Uint16(b[2:]))
	}
	return 0, 0
}

// unmask takes the mask off a payload (RFC 6455, section 5.3), eight bytes at a time.
func unmask(b []byte, mask [maskBytes]byte) {
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	i := 0
	for ; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], binary.LittleEndian.Uint64(b[i:])^word)
	}
	for ; i < len(b); i++ {
		b[i] ^= mask[i%maskBytes]
	}
}
