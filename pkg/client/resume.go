package client

import (
	"context"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// session is what a client knows of its session at the gateway. All of it is guarded by the client's mu.
type session struct {
	// token resumes the session; "" where it cannot be.
	token string
	// attempt counts the connections that were tried for the session.
	attempt int64
}

// hello makes the first request of a connection: of the session that there is, or else of a new one.
func (c *Client) hello(ctx context.Context) (*wire.Hello, error) {
	if hello := c.resumption(); hello != nil {
		return hello, nil
	}
	return c.newHello(ctx)
}

// resumption gives the hello that resumes the session, and nil where it cannot be. A seat that is being taken again is
// none yet.
func (c *Client) resumption() *wire.Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.token == "" {
		return nil
	}
	c.session.attempt++
	hello := &wire.Hello{Resume: c.session.token, Attempt: c.session.attempt, Client: c.opts.Software}
	for room, s := range c.seats {
		if s.position.Epoch == "" {
			continue
		}
		if hello.Rooms == nil {
			hello.Rooms = make(map[string]wire.Position, len(c.seats))
		}
		hello.Rooms[room] = s.position
	}
	return hello
}

// renewed takes the resume token of a session that was refreshed: the one before is good until the token before expires.
func (c *Client) renewed(refreshed *wire.Refreshed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.token != "" && refreshed.Resume != "" {
		c.session.token = refreshed.Resume
	}
}

// expiring has the session refreshed, if there is a source of tokens.
func (c *Client) expiring() {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil && c.opts.TokenSource != nil {
		l.after(0, func() { c.renew(l) })
	}
}

// renew fetches a token and goes on with it, before the one before expires. Where that fails, the connection is closed then, and the
// client comes back with a token that it fetches anew.
func (c *Client) renew(l *link) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.OpenTimeout)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)() // coming back does not wait for it
	token, err := c.opts.TokenSource(ctx)
	if err != nil {
		c.opts.Logger.Warn("no token to refresh the session with", "error", err)
		return
	}
	c.Go(&wire.Refresh{Token: token}, func(reply *wire.Reply, err error) {
		refreshed := new(wire.Refreshed)
		if err == nil && reply.Err != nil {
			err = reply.Err
		}
		if err == nil {
			err = reply.Decode(refreshed)
		}
		if err != nil {
			c.opts.Logger.Warn("the session was not refreshed", "error", err)
			return
		}
		c.renewed(refreshed)
	})
}

// resumable reports whether the session outlives its connection.
func (c *Client) resumable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.token != ""
}

// forgetSession makes the next hello one of a new session, and that connection its first.
func (c *Client) forgetSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = session{attempt: 1}
}

func (c *Client) nextID() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests.next()
}

// adopt makes a connection the client's own: the seats that have not outlived the last one are asked for again, behind
// the requests that wait for their replies.
func (c *Client) adopt(l *link, welcome *wire.Welcome) {
	l.happened, l.replied = c.happened, c.replied
	c.refusals = 0
	gone := func(r request) bool {
		room, bound := bound(r)
		return bound && (!welcome.Resumed || c.seats[room] != nil && !keeps(welcome, room))
	}
	c.finish(func(r request) bool {
		return welcome.Resumed && r.written && !passing(r) && mayHaveActed(r) && gone(r)
	}, doubt)
	c.lose(&LostError{Cause: errSeatGone}, func(r request) bool { return passing(r) || gone(r) })
	c.mu.Lock()
	closed := c.err != nil
	c.welcome = welcome
	if c.session.token = ""; c.opts.Reconnect && !c.opts.NoResume {
		c.session.token = welcome.Resume
	}
	if !closed {
		c.rejoin(l, welcome)
		c.requests.written = 0
		c.requests.queued = len(c.requests.pending) > 0
	}
	queued := c.requests.queued
	c.setLink(l)
	c.mu.Unlock()
	switch {
	case closed:
		l.close(closeNormal, "") // Close came too early to see the link
	case queued:
		first, then := paceOf(welcome.Limits)
		l.after(0, func() { c.sendAgain(l, first, then) })
	}
}

// keeps reports whether a resume has kept the seat in a room, or the place in its queue.
func keeps(welcome *wire.Welcome, room string) bool {
	switch welcome.Rooms[room].Result {
	case wire.ResumeReplayed, wire.ResumeResync, wire.ResumeWaiting:
		return welcome.Resumed
	}
	return false
}
