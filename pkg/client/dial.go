package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// readBuffer is what every connection holds; longer messages pass through it in pieces.
	readBuffer = 1 << 10
	// writeBuffer is pooled, and large, since a longer message goes out in fragments.
	writeBuffer = 16 << 10
)

var writeBuffers sync.Pool

// open connects and says hello, within the open timeout.
func (c *Client) open(ctx context.Context) (*link, *wire.Welcome, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.OpenTimeout)
	defer cancel()
	l, welcome, err := c.connect(ctx)
	if err == nil {
		return l, welcome, nil
	}
	// The end of ctx closes the connection, and the connection has the deadline of ctx: both show as some fault of the
	// network.
	if deadline, _ := ctx.Deadline(); !time.Now().Before(deadline) {
		<-ctx.Done() // its own timer may be a moment behind
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, nil, fmt.Errorf("client: connect to %s: %w", c.opts.URL, err)
}

func (c *Client) connect(ctx context.Context) (*link, *wire.Welcome, error) {
	hello, err := c.hello(ctx)
	if err != nil {
		return nil, nil, err
	}
	watch := &watch{dial: c.opts.NetDialContext}
	defer watch.end()
	conn, err := c.handshake(ctx, watch)
	if err != nil {
		return nil, nil, err
	}
	l := newLink(conn)
	welcome, err := c.introduce(ctx, l, hello)
	if err == nil && !watch.end() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	l.silence = silence(welcome)
	l.alive()
	return l, welcome, nil
}

// introduce says hello. When the gateway refuses to resume the session, a new one begins on the same connection.
func (c *Client) introduce(ctx context.Context, l *link, hello *wire.Hello) (*wire.Welcome, error) {
	welcome, err := l.hello(c.nextID(), hello)
	if hello.Resume == "" || !refusesResume(err) {
		return welcome, err
	}
	c.opts.Logger.Info("session not resumed", "error", err)
	if hello, err = c.newHello(ctx); err != nil {
		return nil, err
	}
	return l.hello(c.nextID(), hello)
}

// newHello begins a session.
func (c *Client) newHello(ctx context.Context) (*wire.Hello, error) {
	c.forgetSession()
	hello := &wire.Hello{Token: c.opts.Token, Client: c.opts.Software}
	if c.opts.TokenSource != nil {
		token, err := c.opts.TokenSource(ctx)
		if err != nil {
			return nil, fmt.Errorf("fetch a token: %w", err)
		}
		hello.Token = token
	}
	if hello.Token == "" {
		hello.App, hello.Name = c.opts.App, c.opts.Name
	}
	if c.opts.Reconnect && !c.opts.NoResume {
		hello.Resumable, hello.Attempt = true, 1
	}
	return hello, nil
}

// handshake opens the WebSocket (RFC 6455, section 4).
func (c *Client) handshake(ctx context.Context, watch *watch) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		NetDialContext:  watch.dialContext,
		TLSClientConfig: c.opts.TLS,
		ReadBufferSize:  readBuffer,
		WriteBufferSize: writeBuffer,
		WriteBufferPool: &writeBuffers,
		Subprotocols:    []string{wire.Subprotocol},
	}
	if c.opts.NetDialContext == nil {
		dialer.Proxy = http.ProxyFromEnvironment
	}
	header := http.Header{}
	maps.Copy(header, c.opts.Header)
	if c.opts.Origin != "" {
		header.Set("Origin", c.opts.Origin)
	}
	conn, response, err := dialer.DialContext(ctx, c.opts.URL, header)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if err != nil {
		if errors.Is(err, websocket.ErrBadHandshake) && response != nil {
			return nil, handshakeError(response)
		}
		return nil, err
	}
	if conn.Subprotocol() != wire.Subprotocol {
		_ = conn.Close()
		return nil, errSubprotocol
	}
	return conn, nil
}

func handshakeError(response *http.Response) error {
	refusal := &HandshakeError{Status: response.StatusCode}
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	return refusal
}

// hello says hello and waits for the reply, before anybody else uses the link.
func (l *link) hello(id int64, hello *wire.Hello) (*wire.Welcome, error) {
	welcome := new(wire.Welcome)
	var answer error
	answered := false
	l.happened = func(*wire.Event) {} // none has a meaning before the session
	l.replied = func(reply *wire.Reply) {
		if reply.Re == id {
			answered, answer = true, decode(reply, welcome)
		}
	}
	l.write(wire.Request{ID: id, Body: hello}) // a failure shows as the end of the connection
	for !answered {
		if err := l.step(); err != nil {
			return nil, err
		}
	}
	if answer != nil {
		return nil, answer
	}
	return welcome, nil
}

// silence is how long the gateway may be silent: two of its heartbeats, and some time for the network.
func silence(welcome *wire.Welcome) time.Duration {
	const most = int64(time.Hour / time.Millisecond)
	if welcome.Heartbeat == 0 {
		return 0
	}
	return 2*time.Duration(min(welcome.Heartbeat, most))*time.Millisecond + heartbeatSlack
}

// watch closes the network connection of a handshake when its context ends: what dials it looks at the context no
// more once the connection stands.
type watch struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	stop   func() bool
	closed chan struct{} // closed when the context has closed the connection
	late   bool          // end came after that
}

func (w *watch) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := w.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.closed = make(chan struct{})
	w.stop = context.AfterFunc(ctx, func() {
		_ = conn.Close()
		close(w.closed)
	})
	return conn, nil
}

// end lets the connection go on without the context. It gives false when the context has closed it.
func (w *watch) end() bool {
	if w.stop != nil && !w.stop() {
		<-w.closed
		w.late = true
	}
	w.stop = nil
	return !w.late
}
