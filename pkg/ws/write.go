package ws

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// errClosing refuses frames after the close frame (RFC 6455, section 5.5.1), or after a write that failed.
var errClosing = errors.New("ws: the connection is being closed")

// Write sends frames in their order: over TCP in one vectored write (writev), over anything else, TLS above all, in one
// write of all bytes together. gorilla's own control frames are single writes, too, so they come between frames and
// never into one. An error is the end: nothing can be written after it, and Close then makes Read return at once.
func (c *Conn) Write(frames []*wire.Frame) error {
	if c.prompt != nil && len(c.prompt.left) > 0 {
		if err := c.writeLeft(); err != nil || len(frames) == 0 {
			return err
		}
	}
	if c.over() {
		return errClosing
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	err := c.write(frames)
	c.tear(err)
	return err
}

// over reports whether nothing is to be written any more.
func (c *Conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.torn || c.gone
}

// tear notes a write that failed.
func (c *Conn) tear(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.torn = true
}

// setWriteDeadline has a write end in time.
func (c *Conn) setWriteDeadline(timeout time.Duration) error {
	if c.prompt != nil {
		c.prompt.timed = true
	}
	return c.socket.SetWriteDeadline(time.Now().Add(timeout))
}

func (c *Conn) write(frames []*wire.Frame) error {
	if err := c.setWriteDeadline(c.upgrader.opts.WriteTimeout); err != nil {
		return err
	}
	if len(frames) == 1 {
		_, err := c.socket.Write(frames[0].WebSocket())
		return err
	}
	if tcp, ok := c.socket.(*net.TCPConn); ok {
		return writeVectored(tcp, frames)
	}
	return writeTogether(c.socket, frames)
}

// vectors are reused: WriteTo consumes the slice that it is given, so the whole is kept beside it.
type vectors struct{ whole, rest net.Buffers }

var vectorPool = sync.Pool{New: func() any { return &vectors{whole: make(net.Buffers, 0, 32)} }}

func writeVectored(socket *net.TCPConn, frames []*wire.Frame) error {
	v := vectorPool.Get().(*vectors)
	for _, frame := range frames {
		v.whole = append(v.whole, frame.WebSocket())
	}
	v.rest = v.whole
	_, err := v.rest.WriteTo(socket)
	clear(v.whole)
	v.whole = v.whole[:0]
	if cap(v.whole) <= 1024 {
		vectorPool.Put(v)
	}
	return err
}

func writeTogether(socket net.Conn, frames []*wire.Frame) error {
	b := gather(frames)
	defer b.release()
	_, err := socket.Write(b.bytes)
	return err
}

// gather copies frames into one buffer.
func gather(frames []*wire.Frame) *buffer {
	b := buffers.Get().(*buffer)
	for _, frame := range frames {
		b.bytes = append(b.bytes, frame.WebSocket()...)
	}
	return b
}
