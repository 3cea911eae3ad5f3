package ws

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Conn is one client's WebSocket. One goroutine at a time reads, one other writes; Close may come from any.
type Conn struct {
	// immutable
	upgrader *Upgrader
	conn     *websocket.Conn
	socket   net.Conn
	send     func(*wire.Frame) // set by Bind
	prompt   *prompt           // nil if it is not written to without waiting
	parking  *parking          // nil if it cannot be parked

	// owned by the reader
	message      *buffer // of the last request, given back by the next Read
	controls     int     // control frames in the second that began at controlsFrom
	controlsFrom time.Time

	lastRead atomic.Int64 // when a frame was last read, in Unix nanoseconds

	writing sync.Mutex // held from a frame's first byte to its last

	mu      sync.Mutex
	closing bool // a close frame was sent or tried: only its echo is waited for
	torn    bool // a write failed, perhaps in the middle of a frame: a close frame would be read as a part of it
	silent  bool // the heartbeat has given up
	gone    bool // the socket is closed
	timer   *time.Timer
	asked   int64 // when the ping was sent that is to be answered, in Unix nanoseconds; 0 between an answer and the next ping
}

// closeTimeout is how long a client has to answer a close frame.
const closeTimeout = 5 * time.Second

// closeWriteTimeout is how long a close frame may take to write.
const closeWriteTimeout = time.Second

// How long, and for how many bytes, a client that broke a rule is listened to after its close frame.
const (
	lingerTimeout = time.Second
	lingerBytes   = 1 << 20
)

// Ended is how a connection ended.
type Ended struct {
	code wire.CloseCode
	left bool
	err  error
}

// Error says what was seen.
func (e *Ended) Error() string { return fmt.Sprintf("ws: connection ended: %v", e.err) }

// Unwrap gives what was seen.
func (e *Ended) Unwrap() error { return e.err }

// Ended gives the close code that was sent or received, 0 if there was none, and whether the client closed
// on purpose: with 1000, or with a close frame that gives no code, as close() in a browser sends it.
func (e *Ended) Ended() (code wire.CloseCode, left bool) { return e.code, e.left }

func newConn(u *Upgrader, conn *websocket.Conn, h *hijacker) *Conn {
	c := &h.whole.conn
	c.upgrader, c.conn, c.socket, c.prompt, c.parking = u, conn, h.socket, h.prompt, h.parking
	if c.prompt != nil {
		c.prompt.try = c.tryWrite
	}
	if c.parking != nil {
		c.parking.try = c.tryRead
	}
	c.lastRead.Store(time.Now().UnixNano())
	conn.SetReadLimit(int64(u.opts.MessageBytes))
	conn.SetPingHandler(func(payload string) error {
		if err := c.control(); err != nil {
			return err
		}
		c.send(wire.ControlFrame(wire.OpPong, []byte(payload)))
		return nil
	})
	conn.SetPongHandler(func(string) error { return c.control() })
	conn.SetCloseHandler(func(int, string) error { return nil }) // answered by end
	return c
}

// Bind tells where pings and pongs go, and starts the heartbeat.
func (c *Conn) Bind(send func(*wire.Frame)) {
	c.send = send
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(time.Duration(chance().Int64N(int64(c.upgrader.opts.Heartbeat)))+1, c.beat)
}

// beat sends a ping, and comes back to see whether anything was read since: if so, it waits for the next one, and if not,
// that is the end of the connection.
func (c *Conn) beat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.gone {
		return
	}
	opts := &c.upgrader.opts
	switch {
	case c.asked == 0:
		c.upgrader.metrics.pings.Inc()
		c.send(pingFrame)
		c.asked = time.Now().UnixNano()
		c.timer.Reset(opts.HeartbeatTimeout)
	case c.lastRead.Load() >= c.asked:
		c.asked = 0
		c.timer.Reset(max(opts.Heartbeat-opts.HeartbeatTimeout, time.Millisecond))
	default:
		c.silent = true
		c.setReadDeadline(time.Now())
		c.wake()
	}
}

// pingFrame is the one ping that everybody gets.
var pingFrame = wire.ControlFrame(wire.OpPing, nil)

// errControlFlood ends a connection that sends too many pings or pongs.
var errControlFlood = errors.New("too many control frames")

// control counts a control frame.
func (c *Conn) control() error {
	now := time.Now()
	c.lastRead.Store(now.UnixNano())
	if now.Sub(c.controlsFrom) >= time.Second {
		c.controls, c.controlsFrom = 0, now
	}
	if c.controls++; c.controls > c.upgrader.opts.PingsPerSecond {
		return errControlFlood
	}
	return nil
}

// What ends a connection beside the network.
var (
	errBinary    = errors.New("binary frame")
	errUTF8      = errors.New("text that is not UTF-8")
	errFragments = errors.New("too many fragments")
)

// Read waits for the next request. Errors are a *wire.Error for a message that is not valid, or an [Ended] with which
// the socket is closed.
func (c *Conn) Read() (wire.Request, error) {
	c.forgetMessage()
	text, ok := c.takeMessage()
	if !ok {
		var err error
		if text, err = c.readMessage(); err != nil {
			return wire.Request{}, c.end(err)
		}
	}
	now := time.Now()
	c.lastRead.Store(now.UnixNano()) // a long message is a sign of life to its end
	if c.parking != nil {
		c.parking.lastMessage = now
	}
	if !utf8.Valid(text) {
		return wire.Request{}, c.end(errUTF8)
	}
	return wire.DecodeRequest(text, c.upgrader.opts.Limits)
}

// readMessage waits for the next message and reads it.
func (c *Conn) readMessage() ([]byte, error) {
	if c.parking != nil {
		c.parking.begun = true
		if c.parking.armed {
			c.disarm() // what is begun has a deadline of its own
		}
	}
	kind, reader, err := c.conn.NextReader()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c.lastRead.Store(now.UnixNano())
	if kind != websocket.TextMessage {
		return nil, errBinary
	}
	c.armReadDeadline(now.Add(c.upgrader.opts.MessageReadTimeout))
	c.message = buffers.Get().(*buffer)
	if err := c.message.fill(reader, c.upgrader.opts.Fragments); err != nil {
		return nil, err
	}
	c.armReadDeadline(time.Time{})
	if c.parking != nil {
		c.parking.begun = false
	}
	return c.message.bytes, nil
}

// forgetMessage gives the buffer of the last request back.
func (c *Conn) forgetMessage() {
	if c.message != nil {
		c.message.release()
		c.message = nil
	}
	if c.parking != nil && c.parking.taken > 0 {
		c.parking.source.skip(c.parking.taken)
		c.parking.taken = 0
	}
}

// armReadDeadline sets the deadline of a message, or of a wait for one. It reports false, and does nothing, when one for
// the end of the connection is in force.
func (c *Conn) armReadDeadline(deadline time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.silent || c.gone {
		return false
	}
	c.setReadDeadline(deadline)
	return true
}

// setReadDeadline is called with mu held. A socket that takes no deadline is broken, and reading will tell.
func (c *Conn) setReadDeadline(deadline time.Time) { _ = c.conn.SetReadDeadline(deadline) }

// end closes the socket because reading has ended with err, and says why. A client that broke a rule is told its close
// code; a client that closed gets its echo (RFC 6455, section 5.5.1).
func (c *Conn) end(err error) error {
	ended := &Ended{err: err}
	closed := new(websocket.CloseError)
	byClient := errors.As(err, &closed)
	switch {
	case byClient:
		ended.code, ended.left = received(closed.Code)
	case errors.Is(err, websocket.ErrReadLimit):
		ended.code = c.limit("message_bytes", wire.CloseTooLarge)
	case errors.Is(err, errBinary):
		ended.code = c.limit("binary", wire.CloseUnsupportedData)
	case errors.Is(err, errUTF8):
		ended.code = c.limit("utf8", wire.CloseInvalidUTF8)
	case errors.Is(err, errFragments):
		ended.code = c.limit("fragments", wire.ClosePolicy)
	case errors.Is(err, errControlFlood):
		ended.code = c.limit("control", wire.ClosePolicy)
	case isTimeout(err):
		ended.code = c.late()
	case !isNetwork(err):
		ended.code = c.limit("protocol", wire.CloseProtocolError)
	}
	told := c.goodbye(ended.code, err.Error())
	c.mu.Lock()
	c.gone = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if told && !byClient && ended.code != wire.CloseHeartbeat {
		c.linger()
	}
	_ = c.conn.Close() // nobody is left to be told
	return ended
}

// linger takes what the client still sends, so that it can read its close frame: closing a socket with unread bytes
// resets it, and the reset may overtake what was written before (RFC 9112, section 9.6, says the same of HTTP).
func (c *Conn) linger() {
	half, ok := c.socket.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.socket.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.socket, lingerBytes) // however it ends, the socket is closed next
}

// received gives what a client's close code means. gorilla's 1006 stands for no close frame at all, and 1005 for one
// without a code (RFC 6455, section 7.1.5): neither is ever sent, nor echoed.
func received(code int) (echo wire.CloseCode, left bool) {
	switch code {
	case websocket.CloseAbnormalClosure:
		return 0, false
	case websocket.CloseNoStatusReceived:
		return wire.CloseCode(websocket.CloseNormalClosure), true
	}
	return wire.CloseCode(code), code == websocket.CloseNormalClosure
}

// limit counts a broken rule, unless the connection is on its way out already.
func (c *Conn) limit(name string, code wire.CloseCode) wire.CloseCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.upgrader.metrics.limited.WithLabelValues(name).Inc()
	}
	return code
}

// late tells which deadline has passed: that of the heartbeat, of a message, or, with code 0, of a connection that was
// on its way out.
func (c *Conn) late() wire.CloseCode {
	c.mu.Lock()
	silent, closing := c.silent, c.closing
	c.mu.Unlock()
	switch {
	case silent:
		return wire.CloseHeartbeat
	case closing:
		return 0
	}
	return c.limit("message_time", wire.ClosePolicy)
}

// isTimeout reports whether a deadline has passed. gorilla wraps the error such that errors.Is does not find it.
func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// isNetwork reports whether err is the network's, and not gorilla's about a frame that is not valid.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// Close sends a close frame and gives the client closeTimeout to answer; Read meanwhile goes on.
func (c *Conn) Close(code wire.CloseCode, reason string) { _ = c.goodbye(code, reason) }

// goodbye sends the one close frame of the connection, and reports whether it did. Code 0 sends none.
func (c *Conn) goodbye(code wire.CloseCode, reason string) bool {
	c.mu.Lock()
	said := c.closing || c.gone
	c.closing = true
	c.mu.Unlock()
	if said || code == 0 {
		return false
	}
	sent := c.writeClose(code, reason)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return sent
	}
	wait := time.Now()
	if sent {
		wait = wait.Add(closeTimeout)
	}
	c.setReadDeadline(wait)
	c.wake()
	return sent
}

// writeClose reports whether a close frame went out, for which a write under way has as long as it has itself. gorilla sends
// its own after a frame that RFC 6455 does not allow.
func (c *Conn) writeClose(code wire.CloseCode, reason string) bool {
	deadline := time.Now().Add(closeWriteTimeout)
	_ = c.socket.SetWriteDeadline(deadline) // a socket that takes none is broken, and writing will tell
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	torn := c.torn
	c.mu.Unlock()
	if torn {
		return false
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	frame := websocket.FormatCloseMessage(int(code), reason)
	err := c.conn.WriteControl(websocket.CloseMessage, frame, deadline)
	return err == nil || errors.Is(err, websocket.ErrCloseSent)
}

// maxReason is the longest reason of a close frame (RFC 6455, section 5.5: 125 bytes with the code).
const maxReason = 123
