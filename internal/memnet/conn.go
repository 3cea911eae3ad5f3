package memnet

import (
	"errors"
	"io"
	"net"
	"time"
)

var _ net.Conn = (*Conn)(nil)

// Conn is one end of a connection. Besides net.Conn it has the faults of a network: [Conn.Sever] and
// [Conn.HangUp], and [Conn.Freeze] with [Conn.Thaw]. They act from either end.
type Conn struct {
	in, out       *stream // immutable; the other end has them the other way round
	local, remote address // immutable
}

// pair makes a connection and returns its two ends.
func pair(local, remote address, latency time.Duration) (*Conn, *Conn) {
	there, back := newStream(latency), newStream(latency)
	return &Conn{in: back, out: there, local: local, remote: remote},
		&Conn{in: there, out: back, local: remote, remote: local}
}

// Read takes what has arrived, at least one byte. It returns io.EOF when the other end has closed
// and everything was read, ECONNRESET after Sever, and os.ErrDeadlineExceeded past the deadline.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.opError("read", err)
}

// Write hands over all of p, and waits while the other end has a full buffer (1 MiB) unread. It
// returns EPIPE when the other end has closed, ECONNRESET after Sever, and os.ErrDeadlineExceeded
// past the deadline. Concurrent writes do not mix their bytes.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.opError("write", err)
}

// Close ends both directions. What was written before is still delivered.
func (c *Conn) Close() error {
	first := c.out.closeWrite()
	c.in.closeRead()
	if !first {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

// Sever breaks the connection as a reset does: both ends fail with ECONNRESET from now on, and
// bytes that are under way are lost.
func (c *Conn) Sever() {
	c.in.sever()
	c.out.sever()
}

// Freeze makes the connection silent, as when every packet is lost: nothing arrives at either end,
// not even a close, while writes are accepted until the buffer is full.
func (c *Conn) Freeze() {
	c.in.setFrozen(true)
	c.out.setFrozen(true)
}

// FreezeIn makes the connection silent for this end alone, as when packets are lost one way: it gets nothing any more, while
// the other end still gets what it writes.
func (c *Conn) FreezeIn() { c.in.setFrozen(true) }

// FreezeOut is FreezeIn for the other end.
func (c *Conn) FreezeOut() { c.out.setFrozen(true) }

// Thaw ends all freezing: what was written meanwhile arrives.
func (c *Conn) Thaw() {
	c.in.setFrozen(false)
	c.out.setFrozen(false)
}

// HangUp closes the other end, as the death of its process does: what it has written is still delivered.
func (c *Conn) HangUp() {
	c.in.closeWrite()
	c.out.closeRead()
}

// LocalAddr returns this end's address: the listener's, or an ephemeral one of the dialing end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline applies to the reads to come and to one that is waiting.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline applies to the writes to come and to one that is waiting.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.out.setWriteDeadline(t))
}

// opError wraps as package net does, which leaves io.EOF bare.
func (c *Conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: networkName, Source: c.local, Addr: c.remote, Err: err}
}
