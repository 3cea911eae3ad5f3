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

const (
	// lingerTimeout is how long a tunnel goes on when one of its ends has nothing more to say: time for a last answer.
	lingerTimeout = 5 * time.Second
	// tunnelBuffer is what a tunnel holds for each direction, used or not.
	tunnelBuffer = 4 << 10
)

// errEarlyBytes ends a client that did not wait for the answer to its upgrade, as it has to (RFC 6455, section 4.1).
var errEarlyBytes = errors.New("cluster: the client sent something before its upgrade was granted")

// clientSide is the client's end of a request. It has deadlines of its own, in place of those of the http.Server in
// front, which know nothing of a poll that waits.
type clientSide struct {
	http.ResponseWriter
	hop      *Hop
	control  *http.ResponseController
	cancel   context.CancelFunc // ends the request to the owner
	hijacked bool

	mu      sync.Mutex
	reading bool // the body is not at its end, and the handler has not ended
}

func newClientSide(w http.ResponseWriter, hop *Hop, cancel context.CancelFunc) *clientSide {
	return &clientSide{ResponseWriter: w, hop: hop, control: http.NewResponseController(w), cancel: cancel}
}

// Unwrap lets [http.ResponseController] find what the ResponseWriter can do.
func (c *clientSide) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// request arms the deadline of reading, and gives the request with a body that takes it away at its end: from there on
// the server reads only to see the client go, and would take the deadline for it.
func (c *clientSide) request(r *http.Request) *http.Request {
	if r.Body == nil || r.ContentLength == 0 {
		_ = c.control.SetReadDeadline(time.Time{}) // a connection that takes none is broken, and using it will tell
		return r
	}
	c.reading = true
	_ = c.control.SetReadDeadline(time.Now().Add(c.hop.opts.ReadTimeout))
	r.Body = &clientBody{ReadCloser: r.Body, client: c}
	return r
}

// bodyRead takes the deadline of reading away, unless the connection is the server's again.
func (c *clientSide) bodyRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading {
		c.reading = false
		_ = c.control.SetReadDeadline(time.Time{})
	}
}

// stopReading has bodyRead change nothing any more.
func (c *clientSide) stopReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
}

// armWrite sets the deadline by which the whole answer has to be taken.
func (c *clientSide) armWrite() {
	_ = c.control.SetWriteDeadline(time.Now().Add(c.hop.opts.WriteTimeout))
}

// finish gives the connection back to the server.
func (c *clientSide) finish() {
	c.stopReading()
	if c.hijacked {
		return
	}
	_ = c.control.Flush()
	_ = c.control.SetWriteDeadline(time.Time{}) // the next answer's time has not begun
}

// Hijack implements [http.Hijacker] for a tunnel.
func (c *clientSide) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.stopReading()
	conn, buffered, err := c.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	c.hijacked = true
	if buffered.Reader.Buffered() > 0 {
		_ = conn.Close()
		return nil, nil, errEarlyBytes
	}
	_ = conn.SetWriteDeadline(time.Now().Add(c.hop.opts.WriteTimeout)) // of the answer's head, which goes past the tunnel
	return &tunnel{boundedConn: boundedConn{Conn: conn, timeout: c.hop.opts.WriteTimeout}, cancel: c.cancel}, buffered, nil
}

// clientBody is the body of a client's request.
type clientBody struct {
	io.ReadCloser
	client *clientSide
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.client.bodyRead()
	}
	return n, err
}

// tunnel is a client's connection after an upgrade. When one direction has ended, the other has a moment to end, too:
// else a client that says nothing more could hold it for ever.
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
		time.AfterFunc(lingerTimeout, func() {
			t.cancel()
			_ = t.Conn.Close()
		})
	})
}

// WriteTo and ReadFrom have [io.Copy] use buffers of tunnelBuffer bytes instead of its own, eight times as large.
func (t *tunnel) WriteTo(w io.Writer) (int64, error) { return copyTunnel(w, t) }

// ReadFrom is the other direction of WriteTo.
func (t *tunnel) ReadFrom(r io.Reader) (int64, error) { return copyTunnel(t, r) }

func copyTunnel(to io.Writer, from io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, tunnelBuffer))
}
