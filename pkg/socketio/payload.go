package socketio

import (
	"bytes"
	"iter"
	"strconv"
	"unicode/utf8"
)

// separator stands between the packets of a payload of version 4. JSON escapes it, so it does not occur inside.
const separator = 0x1e

// DecodePayload gives the packets in the body of one HTTP request, in order; binary tells that it came as
// application/octet-stream. It stops behind the first error, a [*FormatError]. Data is as with [DecodeEngine].
func DecodePayload(v Version, binary bool, body []byte) iter.Seq2[EnginePacket, error] {
	return func(yield func(EnginePacket, error) bool) {
		var next func(body []byte) (EnginePacket, []byte, error)
		switch {
		case v == Version3 && binary:
			next = nextBinary
		case binary:
			yield(EnginePacket{}, malformed(BadForm, "a binary payload in version 4"))
			return
		case !utf8.Valid(body):
			yield(EnginePacket{}, malformed(BadUTF8, "a payload that is not UTF-8"))
			return
		case v == Version3:
			if string(body) == emptyPayload {
				return
			}
			next = nextText
		default:
			next = nextSeparated
		}
		for more := true; more; {
			var packet EnginePacket
			var err error
			packet, body, err = next(body)
			more = yield(packet, err) && err == nil && body != nil
		}
	}
}

// emptyPayload is what a client of version 3 makes of no packets.
const emptyPayload = "0:"

// Each next… reads the first packet of a payload and gives the rest, nil behind the last one.

func nextSeparated(body []byte) (EnginePacket, []byte, error) {
	text, rest, more := bytes.Cut(body, []byte{separator})
	packet, err := decodeText(Version4, text)
	if !more {
		rest = nil
	}
	return packet, rest, err
}

// maxLengthDigits bounds the digits of a length: nobody sends gigabytes.
const maxLengthDigits = 9

// nextText reads <length>:<packet>, where length counts the UTF-16 code units that JavaScript's strings are made of.
func nextText(body []byte) (EnginePacket, []byte, error) {
	digits, _, found := bytes.Cut(body[:min(len(body), maxLengthDigits+1)], []byte{':'})
	length, ok := parseDigits(digits)
	if !found || !ok {
		return EnginePacket{}, nil, malformed(BadLength, "no length")
	}
	content := body[len(digits)+1:]
	size, ok := skipUTF16(content, length)
	if !ok {
		return EnginePacket{}, nil, malformed(BadLength, "a length that does not fit")
	}
	packet, err := decodeText(Version3, content[:size])
	return packet, orNil(content[size:]), err
}

// nextBinary reads a packet of the binary form: a byte 0 for text or 1 for bytes, the decimal digits of the length in
// bytes as the bytes 0 to 9, a byte 255, and the content.
func nextBinary(body []byte) (EnginePacket, []byte, error) {
	if len(body) == 0 || body[0] > 1 {
		return EnginePacket{}, nil, malformed(BadEnginePacket, "neither text nor bytes")
	}
	length, i := 0, 1
	for ; i < len(body) && i <= maxLengthDigits && body[i] <= 9; i++ {
		length = length*10 + int(body[i])
	}
	if i == 1 || i >= len(body) || body[i] != 255 || length > len(body)-i-1 {
		return EnginePacket{}, nil, malformed(BadLength, "a length that does not fit")
	}
	content, rest := body[i+1:i+1+length], orNil(body[i+1+length:])
	if body[0] == 1 {
		packet, err := decodeBinary(Version3, content)
		return packet, rest, err
	}
	packet, err := DecodeEngine(Version3, false, content)
	return packet, rest, err
}

func orNil(rest []byte) []byte {
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// parseDigits reads a number of digits alone.
func parseDigits(digits []byte) (n int, ok bool) {
	if len(digits) == 0 || len(digits) > maxLengthDigits {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// skipUTF16 gives the size in bytes of the first units UTF-16 code units of text, which is UTF-8.
func skipUTF16(text []byte, units int) (size int, ok bool) {
	for units > 0 {
		if size >= len(text) {
			return 0, false
		}
		if text[size] < utf8.RuneSelf {
			size, units = size+1, units-1
			continue
		}
		r, width := utf8.DecodeRune(text[size:])
		size, units = size+width, units-utf16Units(r)
	}
	return size, units == 0
}

// utf16Length counts the UTF-16 code units of text, which is UTF-8.
func utf16Length(text []byte) int {
	units := 0
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i, units = i+1, units+1
			continue
		}
		r, width := utf8.DecodeRune(text[i:])
		i, units = i+width, units+utf16Units(r)
	}
	return units
}

func utf16Units(r rune) int {
	if r > 0xffff {
		return 2 // a pair of surrogates
	}
	return 1
}

// AppendPayload appends packets as the body of one HTTP answer, and tells whether that is application/octet-stream: in
// version 3, when there are bytes among them and asText is not set. With asText, bytes go as base64 in version 3, too.
func AppendPayload(dst []byte, v Version, asText bool, packets []EnginePacket) (body []byte, binary bool) {
	if v == Version3 && !asText {
		for i := range packets {
			binary = binary || packets[i].Binary
		}
	}
	start := len(dst)
	for i := range packets {
		switch {
		case binary:
			dst = appendBinary(dst, &packets[i])
		case v == Version3:
			dst = appendText(dst, &packets[i])
		default:
			if len(dst) > start {
				dst = append(dst, separator)
			}
			dst = appendSeparated(dst, &packets[i])
		}
	}
	if v == Version3 && len(packets) == 0 {
		dst = append(dst, emptyPayload...)
	}
	return dst, binary
}

func appendSeparated(dst []byte, p *EnginePacket) []byte {
	if p.Binary {
		return appendBase64(dst, Version4, p.Data)
	}
	return append(append(dst, '0'+byte(p.Type)), p.Data...)
}

func appendText(dst []byte, p *EnginePacket) []byte {
	if p.Binary {
		length := 2 + (len(p.Data)+2)/3*4 // b, the type, base64 with padding
		return appendBase64(append(strconv.AppendInt(dst, int64(length), 10), ':'), Version3, p.Data)
	}
	dst = append(strconv.AppendInt(dst, int64(1+utf16Length(p.Data)), 10), ':', '0'+byte(p.Type))
	return append(dst, p.Data...)
}

func appendBinary(dst []byte, p *EnginePacket) []byte {
	kind, typ := byte(0), '0'+byte(p.Type)
	if p.Binary {
		kind, typ = 1, byte(p.Type)
	}
	dst = append(dst, kind)
	digits := len(dst)
	dst = strconv.AppendInt(dst, int64(1+len(p.Data)), 10)
	for i := digits; i < len(dst); i++ {
		dst[i] -= '0'
	}
	return append(append(dst, 255, typ), p.Data...)
}
