package ws

import (
	"syscall"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// prompt is what a connection has beside the others that can be written to without waiting.
type prompt struct {
	// immutable
	raw syscall.RawConn
	try func(fd uintptr) bool

	// owned by the writer
	left  []byte  // what is still to be written
	lent  *buffer // where that is, unless it is a frame's own
	err   error
	timed bool // a deadline was set, and may have passed
}

// Prompt reports whether [Conn.WriteNow] may be called.
func (c *Conn) Prompt() bool { return c.prompt != nil }

// WriteNow is [Conn.Write] as far as that takes no waiting, and sets no deadline. It reports false when something is left
// over: then Write has to be called next, which writes that first, and may be given no frames of its own. Until it has
// done so no close frame is sent, which would come into the middle of another.
func (c *Conn) WriteNow(frames []*wire.Frame) (bool, error) {
	if c.over() {
		return true, errClosing
	}
	p := c.prompt
	c.writing.Lock()
	if len(frames) == 1 {
		p.left = frames[0].WebSocket()
	} else {
		p.lent = gather(frames)
		p.left = p.lent.bytes
	}
	err := c.tryLeft()
	if err == nil && len(p.left) > 0 {
		return false, nil // and stays locked
	}
	c.wrote(err)
	return true, err
}

// tryLeft writes what the socket takes of what is left.
func (c *Conn) tryLeft() error {
	p := c.prompt
	if p.timed {
		if err := c.socket.SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
		p.timed = false
	}
	if err := p.raw.Write(p.try); err != nil {
		return err
	}
	return p.err
}

// tryWrite writes what the socket takes. Nothing more is to be waited for.
func (c *Conn) tryWrite(fd uintptr) bool {
	p := c.prompt
	for p.err = nil; len(p.left) > 0; {
		n, again, err := writeSocket(fd, p.left)
		if again {
			return true
		}
		if err != nil {
			p.err = err
			return true
		}
		p.left = p.left[n:]
	}
	return true
}

// writeLeft waits until what WriteNow has left over is written.
func (c *Conn) writeLeft() error {
	timeout := c.upgrader.opts.WriteTimeout
	if c.over() {
		timeout = closeWriteTimeout // as if the close frame had come upon a write under way
	}
	err := c.setWriteDeadline(timeout)
	if err == nil {
		_, err = c.socket.Write(c.prompt.left)
	}
	c.wrote(err)
	return err
}

// wrote ends what WriteNow has begun.
func (c *Conn) wrote(err error) {
	p := c.prompt
	if p.lent != nil {
		p.lent.release()
	}
	p.left, p.lent = nil, nil
	c.tear(err)
	c.writing.Unlock()
}
