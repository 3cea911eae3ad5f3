package client

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
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

// link is one connection: it numbers requests and finds the request of each reply.
type link struct {
	// Immutable once serve is called.
	conn     *websocket.Conn
	silence  time.Duration // how long the gateway may be silent; 0 is for ever
	happened func(*wire.Event)

	// writing is held by who writes; a channel and not a mutex because a waiter may give up.
	writing chan struct{}
	lastID  int64 // owned by who writes

	mu      sync.Mutex
	pending map[int64]request // guarded by mu
	closing bool              // guarded by mu: a close was sent; the read deadline is the close's
	ended   error             // guarded by mu: why nothing can be sent any more
	timers  []*time.Timer     // guarded by mu
	running sync.WaitGroup    // what the timers have started
}

// request waits for its reply.
type request struct {
	body wire.RequestBody
	done func(*wire.Reply, error)
}

func newLink(conn *websocket.Conn) *link {
	l := &link{conn: conn, writing: make(chan struct{}, 1), pending: make(map[int64]request)}
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

// send writes a request. When it gives no error, done is called once, from serve, with the reply or the loss.
// It gives up waiting for its turn with ctx; what has begun to be written goes out whole.
func (l *link) send(ctx context.Context, body wire.RequestBody, done func(*wire.Reply, error)) (int64, error) {
	select {
	case l.writing <- struct{}{}:
	default:
		select {
		case l.writing <- struct{}{}:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	defer func() { <-l.writing }()
	id := l.lastID + 1
	if err := l.expect(id, request{body: body, done: done}); err != nil {
		return 0, err
	}
	l.lastID = id
	buffer := takeBuffer()
	defer buffer.release()
	buffer.bytes = wire.AppendRequest(buffer.bytes, wire.Request{ID: id, Body: body})
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // only sets a field
	if err := l.conn.WriteMessage(websocket.TextMessage, buffer.bytes); err != nil {
		// Whether the message went out is not known: serve notices the end, and tells all that wait.
		_ = l.conn.Close()
	}
	return id, nil
}

// expect registers a request before it is written, since its reply may be quick.
func (l *link) expect(id int64, r request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended != nil:
		return l.ended
	case l.closing:
		return &LostError{Cause: errNotConnected}
	}
	l.pending[id] = r
	return nil
}

// abandon replaces what is called with the reply. It does nothing and gives false when the reply is here already.
func (l *link) abandon(id int64, done func(*wire.Reply, error)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, waiting := l.pending[id]
	if waiting {
		r.done = done
		l.pending[id] = r
	}
	return waiting
}

// joining reports whether a join of the room waits for its reply.
func (l *link) joining(room string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.pending {
		if join, ok := r.body.(*wire.Join); ok && join.Room == room {
			return true
		}
	}
	return false
}

// take removes the request that a reply answers.
func (l *link) take(id int64) (request, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.pending[id]
	delete(l.pending, id)
	return r, ok
}

// serve reads until the connection ends, and gives the reason. It calls done for each reply, and happened for each
// event; they may use the message's bytes until they return. Requests still wait then: see fail.
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
		if r, ok := l.take(reply.Re); ok {
			r.done(reply, nil)
		}
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

// close says goodbye; serve returns when the gateway has answered, or soon.
func (l *link) close(code wire.CloseCode, reason string) {
	l.mu.Lock()
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
	if l.ended != nil {
		return
	}
	l.running.Add(1)
	l.timers = append(l.timers, time.AfterFunc(d, func() {
		defer l.running.Done()
		f()
	}))
}

// fail ends all that is left of a link after serve: timers, and requests that wait.
func (l *link) fail(err error) {
	l.mu.Lock()
	l.ended = err
	pending, timers := l.pending, l.timers
	l.pending, l.timers = nil, nil
	l.mu.Unlock()
	for _, timer := range timers {
		if timer.Stop() {
			l.running.Done()
		}
	}
	l.running.Wait()
	for _, id := range slices.Sorted(maps.Keys(pending)) {
		pending[id].done(nil, err)
	}
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
