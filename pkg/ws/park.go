package ws

import (
	"bufio"
	"bytes"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// parking is what a connection that can be parked has beside the others. Between two messages it is not gorilla that
// waits for the socket: an error of gorilla's reader is its last one, even where it is but a deadline that has passed.
type parking struct {
	// immutable
	lot    *Lot
	raw    syscall.RawConn
	source *source
	reader *bufio.Reader // gorilla's, over the source
	try    func(fd uintptr) bool

	// owned by the reader
	armed       bool      // the deadline of a wait is set, and may have passed
	refused     bool      // it was not set, because the connection is on its way out
	begun       bool      // gorilla has begun a message and not ended it
	taken       int       // bytes of the source that are the message which was read last
	lastMessage time.Time // when one was read, or the connection made

	// guarded by the connection's mu
	resume func() // set while parked
	place  uint64 // in the lot, while parked
}

// Park waits for the client's next message, and reports false when there is some of it, or anything else that Read has
// to deal with. When the client has sent no message for as long as the lot says, the connection is parked, and Park
// reports true: it has no reader then, and must not have one, until resume is called, which happens once and on a
// goroutine of its own. That is when the client sends something, or the connection is to be closed. Park may be called
// wherever Read may. A connection that cannot be parked is not waited for.
func (c *Conn) Park(resume func()) bool {
	c.forgetMessage()
	if c.parking == nil {
		return false
	}
	for {
		if c.parking.reader.Buffered() == 0 && c.parking.source.left() == 0 {
			switch c.await() {
			case silence:
				return c.park(resume)
			case trouble:
				return false // Read sees it again
			}
		}
		if !c.takeControl() {
			return false
		}
	}
}

// What a wait comes to.
type awaited int

const (
	bytesCame awaited = iota
	silence
	trouble // of which Read tells
)

// await reads ahead what the client sends, until there is something or the client has been silent for too long. The
// deadline of the wait stays when something comes, and is moved only once it has passed: it costs nothing a message.
func (c *Conn) await() awaited {
	p := c.parking
	for {
		p.refused = false
		err := p.raw.Read(p.try)
		switch {
		case p.refused || err != nil && !isTimeout(err):
			return trouble
		case err == nil:
			return bytesCame
		case !c.disarm():
			return trouble
		case time.Since(p.lastMessage) >= p.lot.after:
			return silence
		}
	}
}

// tryRead reads ahead without waiting. It reports false when there is nothing to read: then it is called again when
// there is. No time for the wait is what a connection on its way out has: that is for Read to tell.
func (c *Conn) tryRead(fd uintptr) bool {
	p := c.parking
	if p.source.readNow(fd) {
		return true
	}
	if !p.armed {
		p.armed = c.armReadDeadline(p.lastMessage.Add(p.lot.after))
		p.refused = !p.armed
	}
	return p.refused
}

// disarm takes the deadline of a wait away. It reports false when one for the end of the connection is in force.
func (c *Conn) disarm() bool {
	c.parking.armed = false
	return c.armReadDeadline(time.Time{})
}

// takeControl deals with a ping or a pong that is the next frame, and reports whether it was one. gorilla would do so,
// too, but then go on waiting for a message: a client that is silent but for its pongs would never be parked again. What
// is not there to its last byte, or not as it has to be (RFC 6455, sections 5.2 and 5.5), is left to gorilla.
func (c *Conn) takeControl() bool {
	if !c.controlComes() {
		return false
	}
	reader := c.parking.reader
	here := reader.Buffered() + c.parking.source.left()
	frame, _ := reader.Peek(min(here, 2+maskBytes+maxControl)) // which does not wait
	if len(frame) < 2+maskBytes || frame[1]&maskBit == 0 {
		return false
	}
	size := int(frame[1] &^ maskBit)
	if size > maxControl || len(frame) < 2+maskBytes+size {
		return false
	}
	if c.control() != nil {
		return false // gorilla's turn: it counts the frame again, and that is the end
	}
	if frame[0] == finBit|websocket.PingMessage {
		payload := bytes.Clone(frame[2+maskBytes : 2+maskBytes+size])
		unmask(payload, [maskBytes]byte(frame[2:]))
		c.send(wire.ControlFrame(wire.OpPong, payload))
	}
	_, _ = reader.Discard(2 + maskBytes + size) // it is buffered
	return true
}

// controlComes reports whether the next frame is a ping or a pong, going by its first byte. To look into the reader would
// have it take what [Conn.takeMessage] takes better.
func (c *Conn) controlComes() bool {
	p := c.parking
	first := byte(0)
	switch {
	case p.reader.Buffered() > 0:
		ahead, _ := p.reader.Peek(1) // which is there
		first = ahead[0]
	case p.source.left() > 0:
		first = p.source.ahead()[0]
	}
	return first == finBit|websocket.PingMessage || first == finBit|websocket.PongMessage
}

// Of frames (RFC 6455, section 5.2).
const (
	finBit     = 0x80
	maskBit    = 0x80
	maskBytes  = 4
	maxControl = 125
)

// park leaves the connection without a reader, unless it is on its way out.
func (c *Conn) park(resume func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.silent || c.gone {
		return false
	}
	if !c.parking.lot.add(c) {
		return false
	}
	c.parking.resume = resume
	return true
}

// wake has the connection read again if it is parked. It is called with mu held.
func (c *Conn) wake() {
	p := c.parking
	if p == nil || p.resume == nil {
		return
	}
	p.lot.remove(c)
	resume := p.resume
	p.resume = nil
	go resume()
}

// wakeAt is wake for the lot, which knows a place whose connection may have left it meanwhile, and even have come back
// to another one.
func (c *Conn) wakeAt(place uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parking.place == place {
		c.wake()
	}
}
