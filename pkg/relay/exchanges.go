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
	requests sync.Map // net.Addr, which is a pointer, to *exchange
}

// exchange is a request that is being answered. It is owned by whoever reads from the client.
type exchange struct {
	request []byte                // as it came
	key     stun.MessageIntegrity // that it is signed with; nil while that is not known
	code    stun.ErrorCode        // what the client is told in place of 401, which the library has for whatever it may not do; 0 for that
}

// begin notes a message that is about to be answered, if anybody will ask for it, and reports whether it has.
func (e *exchanges) begin(addr net.Addr, message []byte) bool {
	if !isAuthenticated(message) {
		return false
	}
	e.requests.Store(addr, &exchange{request: message})
	return true
}

func (e *exchanges) end(addr net.Addr) { e.requests.Delete(addr) }

// find gives the request, nil if there is none. It is valid until the callback returns.
func (e *exchanges) find(addr net.Addr) *exchange {
	found, _ := e.requests.Load(addr)
	x, _ := found.(*exchange)
	return x
}

// answer gives what a client is told, which the library wants to tell it: another error where there is a better one. It also reports
// whether the client is somebody whom nothing is known of, although it has signed its request with something.
func (e *exchanges) answer(addr net.Addr, message []byte) (answer []byte, stranger bool) {
	if !isError(message) {
		return message, false
	}
	x := e.find(addr)
	switch {
	case x == nil:
		return message, false
	case x.key == nil:
		return message, isSigned(x.request)
	case x.code == 0:
		return message, false
	}
	var transaction [stun.TransactionIDSize]byte
	copy(transaction[:], message[stunHeader-stun.TransactionIDSize:])
	var kind stun.MessageType
	kind.ReadValue(binary.BigEndian.Uint16(message))
	built, err := stun.Build(stun.NewTransactionIDSetter(transaction), kind, stun.ErrorCodeAttribute{Code: x.code}, x.key)
	if err != nil {
		return message, false
	}
	return built.Raw, false
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

// isRequest reports whether a message that is well-formed wants an answer.
func isRequest(message []byte) bool {
	return !isChannelData(message) && binary.BigEndian.Uint16(message)&stunClass == 0
}

// isError reports whether a message is an answer that says no.
func isError(message []byte) bool {
	return len(message) >= stunHeader && message[0]&0xc0 == 0 && binary.BigEndian.Uint16(message)&stunClass == stunClass
}

// isSigned reports whether a STUN message has a signature, of whomever.
func isSigned(message []byte) bool {
	for rest := message[stunHeader:]; len(rest) >= 4; {
		kind, length := stun.AttrType(binary.BigEndian.Uint16(rest)), int(binary.BigEndian.Uint16(rest[2:]))
		if kind == stun.AttrMessageIntegrity {
			return true
		}
		rest = rest[min(4+(length+3)/4*4, len(rest)):]
	}
	return false
}

// isStrangers reports whether a message that is well-formed is answered without a look at who has sent it.
func isStrangers(message []byte) bool {
	return isRequest(message) && (!isAuthenticated(message) || !isSigned(message))
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

func isChannelBind(request []byte) bool {
	return len(request) >= stunHeader && binary.BigEndian.Uint16(request) == stun.NewType(stun.MethodChannelBind, stun.ClassRequest).Value()
}

// channelOf gives the channel that a request is to bind, false if it is no such request.
func channelOf(request []byte) (uint16, bool) {
	if !isChannelBind(request) {
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
