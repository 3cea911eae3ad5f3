package ws

import (
	"bufio"
	"bytes"
	"sync"
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
	reader *bufio.Reader // gorilla's, over the source; without a buffer while parked
	try    func(fd uintptr) bool

	// owned by the reader, and while parked by whoever has the connection's mu
	lent        *bufio.Reader // whose buffer the reader has; nil while parked
	armed       bool          // the deadline of a wait is set, and may have passed
	refused     bool          // it was not set, because the connection is on its way out
	begun       bool          // gorilla has begun a message and not ended it
	taken       int           // bytes of the source that are the message which was read last
	lastMessage time.Time     // when one was read, or the connection made

	// guarded by the connection's mu
	resume func() // set while parked
	place  uint64 // in the lot, while parked
}

// readers lend their buffers to those of connections that are not parked.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, smallBuffer) }}

// borrow gives the reader a buffer. gorilla knows the reader by its address, so that it is what is in there that changes.
func (p *parking) borrow() {
	p.lent = readers.Get().(*bufio.Reader)
	*p.reader = *p.lent
	p.reader.Reset(p.source)
}

// giveBack takes the buffer of the reader away, in which there must be nothing.
func (p *parking) giveBack() {
	*p.reader = bufio.Reader{}
	readers.Put(p.lent)
	p.lent = nil
}

// Park waits for the client's next message, and reports false when there is some of it, or anything else that Read has
// to deal with. When the client has sent no message for as long as the lot says, the connection is parked, and Park
// reports true: it has no reader then, and must not have one, until resume is called, which happens once and on a
// goroutine of its own. That is when the client sends something other than a ping or pong, or the connection is to be closed. Park may be called
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
	frame := c.parking.ahead(2 + maskBytes + maxControl)
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
	c.parking.discard(2 + maskBytes + size)
	return true
}

// ahead is the beginning, up to a number of bytes, of what is here already. It may still be where it was read ahead to, or
// partly so.
func (p *parking) ahead(most int) []byte {
	buffered, left := p.reader.Buffered(), p.source.left()
	switch {
	case left == 0 && buffered == 0:
		return nil
	case buffered == 0:
		return p.source.ahead()[:min(left, most)]
	}
	frame, _ := p.reader.Peek(min(buffered+left, most)) // which does not wait
	return frame
}

// discard takes what ahead has given.
func (p *parking) discard(n int) {
	if p.reader.Buffered() == 0 {
		p.source.skip(n)
		return
	}
	_, _ = p.reader.Discard(n) // it is buffered
}

// controlComes reports whether the next frame is a ping or a pong, going by its first byte. To look for more would have the
// reader take what [Conn.takeMessage] takes better.
func (c *Conn) controlComes() bool {
	first := c.parking.ahead(1)
	return len(first) > 0 && (first[0] == finBit|websocket.PingMessage || first[0] == finBit|websocket.PongMessage)
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
	c.parking.giveBack()
	return true
}

// wake has the connection read again if it is parked. It is called with mu held.
func (c *Conn) wake() {
	p := c.parking
	if p == nil || p.resume == nil {
		return
	}
	p.lot.remove(c)
	p.borrow()
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

// stirAt is wakeAt when something has come. For pings and pongs nobody is woken: of a silent client's connection they are
// all there is, once a heartbeat.
func (c *Conn) stirAt(place uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parking.place == place && c.parking.resume != nil && !c.dozes() {
		c.wake()
	}
}

// dozes takes what has come for a parked connection as far as that is pings and pongs, and reports whether there is nothing
// else. It is called with mu held, and takes the reader's part, which nobody else has.
func (c *Conn) dozes() bool {
	p, came := c.parking, false
	if p.raw.Control(func(fd uintptr) { came = p.source.readNow(fd) }) != nil || came && p.source.left() == 0 {
		return false // the end, or an error, of which Read tells
	}
	for p.source.left() > 0 && c.takeControl() {
		continue
	}
	return p.source.left() == 0
}
