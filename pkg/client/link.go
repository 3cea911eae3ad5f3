package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// writeTimeout is how long the network may take to accept one message.
	writeTimeout = 10 * time.Second
	// closeTimeout is how long the gateway has to answer a close.
	closeTimeout = 2 * time.Second
	// heartbeatSlack is how much later than two heartbeats a sign of life may come.
	heartbeatSlack = 5 * time.Second
	// readLimit bounds a message of the gateway's, in bytes. A snapshot holds a whole room.
	readLimit = 16 << 20
)

// errSilent is the cause of a loss without a word.
var errSilent = errors.New("no sign of life from the gateway")

// link is one connection.
type link struct {
	// Immutable once serve is called.
	life     context.Context // of what the timers start; ends with the connection
	end      context.CancelFunc
	conn     *websocket.Conn
	silence  time.Duration // how long the gateway may be silent; 0 is for ever
	happened func(*wire.Event)
	replied  func(*wire.Reply)

	// writing is held by who writes; a channel and not a mutex because a waiter may give up.
	writing chan struct{}
	leaving bool // owned by the reader: the gateway drains, and a timer for the move is set

	mu      sync.Mutex
	closing bool           // guarded by mu: a close was sent; the read deadline is the close's
	ended   bool           // guarded by mu: no timer is set any more
	timers  []*time.Timer  // guarded by mu
	running sync.WaitGroup // what the timers have started
}

func newLink(conn *websocket.Conn) *link {
	l := &link{conn: conn, writing: make(chan struct{}, 1)}
	l.life, l.end = context.WithCancel(context.Background())
	conn.SetReadLimit(readLimit)
	conn.SetPingHandler(func(payload string) error {
		l.alive()
		err := conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeTimeout))
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	return l
}

// write writes a request, and gives false when the connection is of no use any more. The caller has the right to write.
func (l *link) write(request wire.Request) bool {
	buffer := takeBuffer()
	defer buffer.release()
	buffer.bytes = wire.AppendRequest(buffer.bytes, request)
	return l.writeText(buffer.bytes)
}

func (l *link) writeText(message []byte) bool {
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // only sets a field
	if err := l.conn.WriteMessage(websocket.TextMessage, message); err != nil {
		// Whether the message went out is not known: serve notices the end, and tells all that wait.
		_ = l.conn.Close()
		return false
	}
	return true
}

// serve reads until the connection ends, and gives the reason. It calls replied for each reply, and happened for each
// event; they may use the message's bytes until they return.
func (l *link) serve() error {
	for {
		if err := l.step(); err != nil {
			_ = l.conn.Close()
			return err
		}
	}
}

// step reads one message.
func (l *link) step() error {
	kind, r, err := l.conn.NextReader()
	if err != nil {
		return readError(err)
	}
	l.alive()
	if kind != websocket.TextMessage {
		return errors.New("client: a message of the gateway is not text")
	}
	buffer := takeBuffer()
	defer buffer.release()
	if err := buffer.readFrom(r); err != nil {
		return readError(err)
	}
	reply, event, err := wire.DecodeServer(buffer.bytes)
	switch {
	case err != nil:
		return &protocolError{err}
	case event != nil:
		if event.Body != nil { // else of a later version
			l.happened(event)
		}
	default:
		l.replied(reply)
	}
	return nil
}

// alive puts off the time at which the gateway is too silent.
func (l *link) alive() {
	if l.silence == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		_ = l.conn.SetReadDeadline(time.Now().Add(l.silence)) // a closed connection is seen by the read
	}
}

// close says goodbye, once; serve returns when the gateway has answered, or soon.
func (l *link) close(code wire.CloseCode, reason string) {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return
	}
	l.closing = true
	_ = l.conn.SetReadDeadline(time.Now().Add(closeTimeout))
	l.mu.Unlock()
	message := websocket.FormatCloseMessage(int(code), reason)
	if err := l.conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(closeTimeout)); err != nil {
		_ = l.conn.Close() // nothing to wait for
	}
}

// after calls f later, unless the link has ended by then.
func (l *link) after(d time.Duration, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.running.Add(1)
	l.timers = append(l.timers, time.AfterFunc(d, func() {
		defer l.running.Done()
		f()
	}))
}

// finish ends the timers that are left after serve, and waits for what they have started.
func (l *link) finish() {
	l.mu.Lock()
	l.ended = true
	l.end()
	timers := l.timers
	l.timers = nil
	l.mu.Unlock()
	for _, timer := range timers {
		if timer.Stop() {
			l.running.Done()
		}
	}
	l.running.Wait()
}

// readError says how a connection ended.
func readError(err error) error {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		if closed.Code == websocket.CloseAbnormalClosure { // never sent: gorilla's word for an end without a close
			return io.ErrUnexpectedEOF
		}
		return &CloseError{Code: wire.CloseCode(closed.Code), Reason: closed.Text}
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return errSilent
	}
	return err
}
