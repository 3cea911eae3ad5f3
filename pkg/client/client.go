// Package client is the Go client of the native protocol: one session on one WebSocket, with requests that wait for
// their replies, events in order, and, if asked for, a way back after a loss: the session goes on over the next
// connection, where the gateway has kept it.
//
// A client costs one goroutine, which reads, calls back, and comes back after a loss; requests are written by who
// makes them. All times are those of package time, and all bytes go through the dialer's net.Conn, so that it also
// runs on fake time over a network in memory.
package client

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// State is how a client stands with its gateway.
type State string

// The states of a client. After Closed there is no other.
const (
	StateConnected    State = "connected"
	StateReconnecting State = "reconnecting"
	StateClosed       State = "closed"
)

// closeNormal says that the session is over (RFC 6455, section 7.4.1).
const closeNormal wire.CloseCode = 1000

// Client is one session. Its methods may be called from several goroutines at once, also from callbacks, where those
// that wait (for a reply, or Close) must not be called: the goroutine that calls back is the one that they wait for.
type Client struct {
	// Immutable. ctx ends with Close, and with it the attempts to come back.
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	link     *link            // guarded by mu; nil while there is no connection
	welcome  *wire.Welcome    // guarded by mu; replaced with each connection, never changed
	up       chan struct{}    // guarded by mu; while link is nil: closed when that changes, or never will
	err      error            // guarded by mu; why the client has ended, or is about to
	session  session          // guarded by mu
	requests requests         // guarded by mu
	seats    map[string]*seat // guarded by mu; by room

	// Owned by the reader.
	held     map[string][]wire.Event // events of rooms whose seat is being taken again
	returns  int                     // attempts to come back, since the last healthy connection
	refusals int                     // of the token, in a row
	moveAt   time.Time               // when a draining gateway wants its clients to come back
	arrived  *arrival                // written by the link's timer, which has ended with the link
}

// Dial connects, says hello, and starts to read. It makes one attempt, whatever Reconnect says: the error is a
// [*wire.Error] where the hello was refused, a [*HandshakeError] where the WebSocket was, a [*CloseError], or one of
// the network. The client must be closed.
func Dial(ctx context.Context, opts Options) (*Client, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	c := &Client{opts: opts, done: make(chan struct{}), seats: make(map[string]*seat), held: make(map[string][]wire.Event)}
	c.requests.pending = make(map[int64]request)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	l, welcome, err := c.open(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.adopt(l, welcome)
	c.tell(welcome, false)
	go c.run(l)
	return c, nil
}

// Welcome gives the gateway's answer to the last hello. It must not be changed.
func (c *Client) Welcome() *wire.Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// Close ends the session and waits until nothing of the client runs any more: at most a few seconds, where the
// gateway does not answer. It may be called again.
func (c *Client) Close() {
	c.mu.Lock()
	if c.err == nil {
		c.err = ErrClosed
	}
	l := c.link
	c.mu.Unlock()
	c.cancel()
	if l != nil {
		l.close(closeNormal, "")
	}
	<-c.done
}

// Done is closed when the client has ended: after Close, a final close code, a final refusal, or, without Reconnect,
// any loss.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why the client has ended, once it has: [ErrClosed], a [*CloseError], a [*wire.Error] for a hello that was
// refused, or a [*LostError].
func (c *Client) Err() error {
	select {
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	default:
		return nil
	}
}

// run is the reader: one connection after the other.
func (c *Client) run(l *link) {
	defer close(c.done)
	defer c.cancel()
	for l != nil {
		began := time.Now()
		err := l.serve()
		c.drop(l)
		l.finish()
		if time.Since(began) >= c.opts.Backoff.Healthy {
			c.returns = 0
		}
		if next := c.arrived; next != nil {
			c.arrived = nil
			if next.err == nil {
				l = next.link
				c.adopt(l, next.welcome)
				c.tell(next.welcome, true)
				continue
			}
			err = next.err // how the old connection ended does not matter
		}
		if ended := c.ended(); ended != nil {
			err = ended // what was seen of the end is its echo
		}
		if !c.opts.Reconnect || c.final(err) {
			if _, ok := errors.AsType[*CloseError](err); !ok {
				err = lost(err)
			}
			c.end(err)
			return
		}
		if c.resumable() {
			c.lose(lost(err), passing)
		} else {
			c.lose(lost(err), everything)
		}
		l = c.comeBack(err)
	}
}

// lost is what requests get that waited when a connection or the client ended.
func lost(err error) error {
	if _, ok := errors.AsType[*LostError](err); ok || errors.Is(err, ErrClosed) {
		return err
	}
	return &LostError{Cause: err}
}

// comeBack connects again, and gives nil when there is no sense in it any more.
func (c *Client) comeBack(err error) *link {
	c.opts.OnState(StateReconnecting)
	for {
		delay := max(c.opts.Backoff.pause(c.returns), retryAfter(err), time.Until(c.moveAt))
		c.returns++
		c.opts.Logger.Info("coming back", "after", err, "attempt", c.returns, "delay", delay)
		if !c.sleep(delay) {
			c.end(ErrClosed)
			return nil
		}
		var l *link
		var welcome *wire.Welcome
		if l, welcome, err = c.open(c.ctx); err == nil {
			c.adopt(l, welcome)
			c.tell(welcome, false)
			return l
		}
		if c.final(err) {
			c.end(err)
			return nil
		}
	}
}

// tell says that there is a connection, once it is adopted.
func (c *Client) tell(welcome *wire.Welcome, moved bool) {
	if c.ended() != nil {
		return
	}
	if !moved || !welcome.Resumed { // the application must learn of a new session
		c.opts.OnState(StateConnected)
	}
	if welcome.Resumed {
		c.opts.OnResumed(welcome)
	}
}

// drop takes a connection away: calls wait for the next.
func (c *Client) drop(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.setLink(nil)
	}
}

// setLink changes the link, and wakes who waits for one. The caller holds mu.
func (c *Client) setLink(l *link) {
	c.link = l
	switch {
	case l == nil:
		c.up = make(chan struct{})
	case c.up != nil:
		close(c.up)
		c.up = nil
	}
}

// end is the last thing that a client does.
func (c *Client) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	close(c.up)
	err = c.err
	c.mu.Unlock()
	c.lose(lost(err), everything)
	c.opts.OnState(StateClosed)
}

func (c *Client) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// final reports whether there is no coming back after err. Where tokens are fetched, the first refusal of one is not
// final: it may have expired.
func (c *Client) final(err error) bool {
	if c.ended() != nil {
		return true
	}
	if c.opts.TokenSource != nil && refusesToken(err) {
		c.forgetSession() // it was the token's
		c.refusals++
		return c.refusals > 1
	}
	return !Retryable(err)
}

// sleep gives false when the client is closed meanwhile.
func (c *Client) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return c.ctx.Err() == nil
	case <-c.ctx.Done():
		return false
	}
}

// happened sees every event before the application does.
func (c *Client) happened(event *wire.Event) {
	switch body := event.Body.(type) { // data is a slice of the message
	case *wire.Signaled:
		body.Data = bytes.Clone(body.Data)
	case *wire.Message:
		body.Data = bytes.Clone(body.Data)
	case *wire.GoAway:
		c.move(body)
	case *wire.Expiring:
		c.expiring()
	}
	if waiting, ok := c.held[event.Room]; ok {
		c.held[event.Room] = append(waiting, *event)
		return
	}
	c.deliver(*event)
}

// deliver gives an event to the application, unless it has had it already.
func (c *Client) deliver(event wire.Event) {
	if !c.advance(&event) {
		return
	}
	if _, ok := event.Body.(*wire.Closed); ok {
		c.forgetSeat(event.Room)
	}
	c.opts.OnEvent(event)
}

// ready gives the connection, and waits for it while the client is coming back.
func (c *Client) ready(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, up, err := c.link, c.up, c.err
		c.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case l != nil:
			return l, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
