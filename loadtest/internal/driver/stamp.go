package driver

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// Stamp tells one message from all others. It stands as text at the head of each payload, so that it can be found in a
// frame of any protocol without decoding it.
type Stamp struct {
	Stream uint32 // who sends to whom or to which room
	Seq    uint32 // the place in the stream, from 0 on
	Sent   int64  // Unix nanoseconds
}

const (
	stampHead = `{"lt":"`
	stampSize = 2 * (4 + 4 + 8)
)

// Payload is a message's data with room for a stamp: a JSON object.
type Payload struct{ text []byte }

// NewPayload makes an object of about so many bytes, with further fields, which may be empty.
func NewPayload(size int, fields string) *Payload {
	text := stampHead + strings.Repeat("0", stampSize) + `"`
	if fields != "" {
		text += "," + fields
	}
	if missing := size - len(text) - len(`,"p":""}`); missing > 0 {
		text += `,"p":"` + strings.Repeat("x", missing) + `"`
	}
	return &Payload{text: []byte(text + "}")}
}

// NewDescription makes a session description (W3C WebRTC, section 4.7) of about so many bytes.
func NewDescription(kind string, size int) *Payload {
	const line = `a=rtpmap:96 VP8/90000\r\n`
	sdp := `v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n`
	for len(sdp) < size {
		sdp += line
	}
	return NewPayload(0, `"description":{"type":"`+kind+`","sdp":"`+sdp+`"}`)
}

// NewCandidate makes an ICE candidate (W3C WebRTC, section 4.8.1).
func NewCandidate() *Payload {
	return NewPayload(0, `"candidate":{"candidate":"candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx `+
		`raddr 192.0.2.9 rport 46154 generation 0 ufrag EsAw network-cost 999","sdpMid":"0","sdpMLineIndex":0}`)
}

// Append appends the payload with a stamp.
func (p *Payload) Append(to []byte, s Stamp) []byte {
	at := len(to) + len(stampHead)
	to = append(to, p.text...)
	var raw [stampSize / 2]byte
	binary.BigEndian.PutUint32(raw[0:], s.Stream)
	binary.BigEndian.PutUint32(raw[4:], s.Seq)
	binary.BigEndian.PutUint64(raw[8:], uint64(s.Sent))
	hex.Encode(to[at:at+stampSize], raw[:])
	return to
}

// Size is the payload's length in bytes.
func (p *Payload) Size() int { return len(p.text) }

var stampMark = []byte(stampHead[1:])

// StampIn finds the stamp in a frame.
func StampIn(frame []byte) (Stamp, bool) {
	at := bytes.Index(frame, stampMark)
	if at < 0 || len(frame) < at+len(stampMark)+stampSize {
		return Stamp{}, false
	}
	at += len(stampMark)
	var raw [stampSize / 2]byte
	if _, err := hex.Decode(raw[:], frame[at:at+stampSize]); err != nil {
		return Stamp{}, false
	}
	return Stamp{
		Stream: binary.BigEndian.Uint32(raw[0:]), Seq: binary.BigEndian.Uint32(raw[4:]),
		Sent: int64(binary.BigEndian.Uint64(raw[8:])),
	}, true
}

// Age is how long ago the message was sent.
func (s Stamp) Age() time.Duration { return time.Duration(time.Now().UnixNano() - s.Sent) }
