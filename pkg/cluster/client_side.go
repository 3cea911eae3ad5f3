package cluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnelBuffer is what a tunnel holds for each direction, used or not.
const tunnelBuffer = 4 << 10

// errEarlyBytes ends a client that did not wait for the answer to its upgrade, as it has to (RFC 6455, section 4.1).
var errEarlyBytes = errors.New("cluster: the client sent something before its upgrade was granted")

// clientSide is the client's end of a request. It has deadlines of its own, in place of those of the http.Server in
// front, which know nothing of a poll that waits.
type clientSide struct {
	http.ResponseWriter
	hop      *Hop
	control  *http.ResponseController
	ctx      context.Context // of this request alone, as the ResponseWriter is
	cancel   context.CancelFunc
	hijacked bool
	tooEarly bool // see errEarlyBytes, which ReverseProxy does not wrap
}

func newClientSide(ctx context.Context, cancel context.CancelFunc, hop *Hop, w http.ResponseWriter) *clientSide {
	return &clientSide{ResponseWriter: w, hop: hop, control: http.NewResponseController(w), ctx: ctx, cancel: cancel}
}

// Unwrap lets [http.ResponseController] find what the ResponseWriter can do.
func (c *clientSide) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// letWait sets the deadline by which a request's body has to be there, which the server takes away at the body's end,
// and none for the answer. A connection that takes no deadline is broken, and using it will tell.
func (c *clientSide) letWait(r *http.Request) {
	if r.Body != nil && r.ContentLength != 0 {
		_ = c.control.SetReadDeadline(time.Now().Add(c.hop.opts.ReadTimeout))
	}
	_ = c.control.SetWriteDeadline(time.Time{}) // by HTTP/2 it would end the request before anything is written
}

// armWrite sets the deadline by which the whole answer has to be taken. The server takes it away after the answer.
func (c *clientSide) armWrite() {
	_ = c.control.SetWriteDeadline(time.Now().Add(c.hop.opts.WriteTimeout))
}

// Hijack implements [http.Hijacker] for a tunnel.
func (c *clientSide) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := c.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	c.hijacked = true
	if buffered.Reader.Buffered() > 0 {
		c.tooEarly = true
		_ = conn.Close()
		return nil, nil, errEarlyBytes
	}
	context.AfterFunc(c.ctx, func() { _ = conn.Close() })
	_ = conn.SetWriteDeadline(time.Now().Add(c.hop.opts.WriteTimeout)) // of the answer's head, which goes past the tunnel
	return &tunnel{boundedConn: boundedConn{Conn: conn, timeout: c.hop.opts.WriteTimeout}, cancel: c.cancel}, buffered, nil
}

// tunnel is a client's connection after an upgrade. When one direction has ended, the other has as long as a write may
// take to end, too: else a client that says nothing more could hold it for ever.
type tunnel struct {
	boundedConn
	cancel context.CancelFunc
	ending sync.Once
}

func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if err != nil {
		t.endSoon()
	}
	return n, err
}

// CloseWrite is called when the owner has nothing more to say.
func (t *tunnel) CloseWrite() error {
	t.endSoon()
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported // ends the tunnel at once
}

func (t *tunnel) endSoon() {
	t.ending.Do(func() {
		time.AfterFunc(t.timeout, t.cancel)
	})
}

// WriteTo and ReadFrom have [io.Copy] use buffers of tunnelBuffer bytes instead of its own, eight times as large.
func (t *tunnel) WriteTo(w io.Writer) (int64, error) { return copyTunnel(w, t) }

// ReadFrom is the other direction of WriteTo.
func (t *tunnel) ReadFrom(r io.Reader) (int64, error) { return copyTunnel(t, r) }

func copyTunnel(to io.Writer, from io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, tunnelBuffer))
}
