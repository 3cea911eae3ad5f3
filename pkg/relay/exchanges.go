package relay

import (
	"encoding/binary"
	"net"
	"sync"

	"github.com/pion/stun/v4"
)

// exchanges are the requests that are being answered, by the address of the client. The library calls back about a request with the very
// address that it was read with, before it reads again: so the address itself, and not what is in it, names the request.
type exchanges struct {
	requests sync.Map // net.Addr, which is a pointer, to the request as it came
}

// begin notes a message that is about to be answered, if anybody will ask for it, and reports whether it has.
func (e *exchanges) begin(addr net.Addr, message []byte) bool {
	if !isAuthenticated(message) {
		return false
	}
	e.requests.Store(addr, message)
	return true
}

func (e *exchanges) end(addr net.Addr) { e.requests.Delete(addr) }

// find gives the request, nil if there is none. It is valid until the callback returns.
func (e *exchanges) find(addr net.Addr) []byte {
	message, _ := e.requests.Load(addr)
	raw, _ := message.([]byte)
	return raw
}

// The header of a STUN message (RFC 8489, section 5).
const (
	stunHeader   = 20
	stunClass    = 0x0110 // the bits of the class; none is set in a request
	stunCookie   = 0x2112a442
	channelFirst = 0x40 // first byte of the least channel number, 0x4000
	channelLast  = 0x7f // of the greatest, 0x7fff (RFC 5766, section 11: RFC 8656 has fewer, and clients that are older)
)

// isAuthenticated reports whether a message is a request that credentials are shown with.
func isAuthenticated(message []byte) bool {
	if len(message) < stunHeader || message[0]&0xc0 != 0 {
		return false
	}
	kind := binary.BigEndian.Uint16(message)
	return kind&stunClass == 0 && kind != stun.BindingRequest.Value()
}

// isWellFormed reports whether a datagram begins as a STUN message or as data of a channel do.
func isWellFormed(datagram []byte) bool {
	switch {
	case len(datagram) < 4:
		return false
	case datagram[0]&0xc0 == 0:
		return len(datagram) >= stunHeader && binary.BigEndian.Uint32(datagram[4:]) == stunCookie &&
			int(binary.BigEndian.Uint16(datagram[2:]))+stunHeader == len(datagram)
	}
	return datagram[0] >= channelFirst && datagram[0] <= channelLast && int(binary.BigEndian.Uint16(datagram[2:]))+4 <= len(datagram)
}

// isChannelData reports whether a message that is well-formed is data of a channel.
func isChannelData(message []byte) bool { return message[0]&0xc0 != 0 }

// channelOfData gives the number and the length that data of a channel has before it.
func channelOfData(data []byte) (number uint16, length int) {
	return binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
}

func putChannelHeader(data []byte, number uint16, length int) {
	binary.BigEndian.PutUint16(data, number)
	binary.BigEndian.PutUint16(data[2:], uint16(length))
}

// channelOf gives the channel that a request is to bind, false if it is no such request.
func channelOf(request []byte) (uint16, bool) {
	if len(request) < stunHeader || binary.BigEndian.Uint16(request) != stun.NewType(stun.MethodChannelBind, stun.ClassRequest).Value() {
		return 0, false
	}
	message := &stun.Message{Raw: request}
	if message.Decode() != nil {
		return 0, false
	}
	value, err := message.Get(stun.AttrChannelNumber)
	if err != nil || len(value) < 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(value), true
}
