package session_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// conn is a transport that does what its test says: it gives requests as they are put in, keeps what is written, and
// fails on demand. It stands for a client that answers a close frame at once.
type conn struct {
	requests chan step
	sending  sync.RWMutex // what is put into requests while it is held comes at once: no Read begins meanwhile

	mu      sync.Mutex
	changed sync.Cond
	send    func(*wire.Frame)
	written []*wire.Frame // guarded by mu
	batches []int         // frames in each write; guarded by mu
	held    bool          // writes wait; guarded by mu
	waiting int           // frames of the write that waits; guarded by mu
	failure error         // of the writes to come; guarded by mu
	discard func(int)     // takes the place of written; guarded by mu
	closed  []farewell    // calls of Close; guarded by mu
	gone    chan struct{} // closed with the first Close
}

var _ session.Conn = (*conn)(nil)

// step is what one Read gives.
type step struct {
	request wire.Request
	err     error
	panics  string
}

type farewell struct {
	code   wire.CloseCode
	reason string
	after  int // frames that were written before
}

// ended is the end of a connection as a transport tells it.
type ended struct {
	code wire.CloseCode
	left bool
}

var _ session.Ended = (*ended)(nil)

func (e *ended) Error() string                 { return "ended" }
func (e *ended) Ended() (wire.CloseCode, bool) { return e.code, e.left }

func newConn() *conn {
	c := &conn{requests: make(chan step, 4096), gone: make(chan struct{})}
	c.changed.L = &c.mu
	return c
}

// Bind implements session.Conn.
func (c *conn) Bind(send func(*wire.Frame)) { c.send = send }

// Read implements session.Conn.
func (c *conn) Read() (wire.Request, error) {
	c.sending.RLock()
	c.sending.RUnlock() //nolint:staticcheck // to wait is all
	var next step
	select {
	case next = <-c.requests: // also what came before the close frame's answer
	default:
		select {
		case next = <-c.requests:
		case <-c.gone:
			next.err = c.end()
		}
	}
	if next.panics != "" {
		panic(next.panics)
	}
	return next.request, next.err
}

// atOnce has what a function sends come at once, whatever the session makes of the first of it.
func (c *conn) atOnce(send func()) {
	c.sending.Lock()
	defer c.sending.Unlock()
	send()
}

// end is what Read says after Close: the client's answer, or nothing from one that could not be told.
func (c *conn) end() *ended {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return &ended{}
	}
	return &ended{code: c.closed[0].code}
}

// Write implements session.Conn.
func (c *conn) Write(frames []*wire.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = len(frames)
	c.changed.Broadcast()
	for c.held {
		c.changed.Wait()
	}
	c.waiting = 0
	switch {
	case c.failure != nil:
		return c.failure
	case c.discard != nil:
		c.discard(len(frames))
		return nil
	}
	c.written = append(c.written, frames...)
	c.batches = append(c.batches, len(frames))
	c.changed.Broadcast()
	return nil
}

// Close implements session.Conn.
func (c *conn) Close(code wire.CloseCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = append(c.closed, farewell{code, reason, len(c.written)})
	if len(c.closed) == 1 {
		close(c.gone)
	}
	c.changed.Broadcast()
}

// farewell is the first call of Close.
func (c *conn) farewell() farewell {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.closed) == 0 {
		return farewell{}
	}
	return c.closed[0]
}

// hold lets writes wait, and release lets them go on.
func (c *conn) hold() { c.set(func() { c.held = true }) }

func (c *conn) release() { c.set(func() { c.held = false }) }

// fail has writes fail from now on, also one that is held.
func (c *conn) fail(err error) { c.set(func() { c.failure, c.held = err, false }) }

func (c *conn) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.changed.Broadcast()
}

// until waits for a condition, which is looked at with mu held.
func (c *conn) until(tb testing.TB, condition func() bool) {
	tb.Helper()
	c.within(tb, time.Minute, condition)
}

// within is until for what takes so long at most.
func (c *conn) within(tb testing.TB, most time.Duration, condition func() bool) {
	tb.Helper()
	late := false
	timer := time.AfterFunc(most, func() { c.set(func() { late = true }) })
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !condition() && !late {
		c.changed.Wait()
	}
	require.False(tb, late, "waited in vain")
}

// client is the far end of a conn: it speaks the protocol.
type client struct {
	*conn
	tb     testing.TB
	served chan struct{} // closed when the session has ended
	seen   int           // frames that the test has looked at
}

// say sends a message as its text.
func (c *client) say(text string) {
	c.tb.Helper()
	request, err := wire.DecodeRequest([]byte(text), wire.Limits{})
	c.requests <- step{request: request, err: err}
}

// leave ends the connection as a client does that means it.
func (c *client) leave() {
	c.requests <- step{err: &ended{code: 1000, left: true}}
	<-c.served
}

// lose ends the connection as the network does.
func (c *client) lose() {
	c.requests <- step{err: errors.New("connection reset")}
	<-c.served
}

// next gives the next frame that was written.
func (c *client) next() *wire.Frame {
	c.tb.Helper()
	c.until(c.tb, func() bool { return len(c.written) > c.seen })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	return c.written[c.seen-1]
}

// reply gives the next frame, which must be a reply.
func (c *client) reply() *wire.Reply {
	c.tb.Helper()
	frame := c.next()
	reply, _, err := wire.DecodeServer(slices.Clone(frame.Text()))
	require.NoError(c.tb, err)
	require.NotNil(c.tb, reply, "%s", frame.Text())
	return reply
}

// ok sends a request and gives its reply's body.
func (c *client) ok(text string, body wire.ReplyBody) {
	c.tb.Helper()
	c.say(text)
	reply := c.reply()
	require.Nil(c.tb, reply.Err)
	require.NoError(c.tb, reply.Decode(body))
}

// refused sends a request that must be refused with a code.
func (c *client) refused(text string, code wire.Code) *wire.Reply {
	c.tb.Helper()
	c.say(text)
	reply := c.reply()
	require.NotNil(c.tb, reply.Err, "was not refused")
	require.Equal(c.tb, code, reply.Err.Code, reply.Err.Message)
	return reply
}

// event gives the next frame, which must be an event.
func (c *client) event() *wire.Event {
	c.tb.Helper()
	frame := c.next()
	_, event, err := wire.DecodeServer(slices.Clone(frame.Text()))
	require.NoError(c.tb, err)
	require.NotNil(c.tb, event, "%s", frame.Text())
	return event
}

// requireClosed waits for the session's end, which it must have said with a code.
func (c *client) requireClosed(code wire.CloseCode) farewell {
	c.tb.Helper()
	<-c.served
	said := c.farewell()
	require.Equal(c.tb, code, said.code, said.reason)
	return said
}

// open reports whether the session still runs and has said no farewell.
func (c *client) open() bool {
	select {
	case <-c.served:
		return false
	default:
		return c.farewell().code == 0
	}
}
