package client

import (
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// arrival is how an attempt ended to open the next connection while the last one still stood.
type arrival struct {
	link    *link
	welcome *wire.Welcome
	err     error
}

// move leaves a draining gateway at the time that it asks for: until then the connection is good.
func (c *Client) move(goaway *wire.GoAway) {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if !c.opts.Reconnect || l == nil || l.leaving {
		return
	}
	l.leaving = true
	const most = int64(time.Hour / time.Millisecond)
	wait := time.Duration(min(goaway.RetryAfter, most)) * time.Millisecond
	c.moveAt = time.Now().Add(wait)
	l.after(wait, func() { c.leave(l) })
}

// leave ends a connection to a draining gateway, which the reader serves meanwhile. Where the session can be resumed it
// opens the next one first, which takes the session over; the reader finds it in arrived.
func (c *Client) leave(l *link) {
	if c.resumable() {
		var next arrival
		next.link, next.welcome, next.err = c.open(c.ctx)
		c.arrived = &next
	}
	c.drop(l)
	switch {
	case c.arrived != nil && c.arrived.err == nil && c.arrived.welcome.Resumed:
		_ = l.conn.Close() // it has lost the session
	case c.arrived != nil && !c.resumable():
		l.close(closeNormal, "moving") // its session is over: the seats must not wait for it
	default:
		l.close(wire.CloseGoingAway, "moving")
	}
}
