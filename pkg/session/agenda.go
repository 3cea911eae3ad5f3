package session

import (
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// agenda is what a session is to do in time. One timer stands for all of it: it is all that an idle session costs, beside what it keeps in memory.
// It is guarded by the core's mu.
type agenda struct {
	timer *time.Timer // nil while there is nothing to do
	// warnAt is when the client is told that its token is about to expire; zero if it was, or is not.
	warnAt time.Time
	// renewAt is when it is told fresh ICE servers; zero if its credentials are good for ever.
	renewAt time.Time
}

// schedule sets the timer for what is due next. mu is held.
func (c *core) schedule() {
	next := c.agenda.renewAt
	for _, at := range []time.Time{c.agenda.warnAt, c.identity.Expires} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	switch {
	case next.IsZero() || c.over:
		c.agenda.stop()
	case c.agenda.timer == nil:
		c.agenda.timer = time.AfterFunc(time.Until(next), c.due)
	default:
		c.agenda.timer.Reset(time.Until(next))
	}
}

// stop has nothing done any more. The core's mu is held.
func (a *agenda) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
	*a = agenda{}
}

// due does what is to be done by now. It runs on the timer's goroutine.
func (c *core) due() {
	c.mu.Lock()
	if c.agenda.timer == nil || c.over || c.identity == nil {
		c.mu.Unlock()
		return
	}
	now, expires := time.Now(), c.identity.Expires
	expired := !expires.IsZero() && !now.Before(expires)
	warns := past(&c.agenda.warnAt, now)
	renews := past(&c.agenda.renewAt, now)
	if expired {
		c.agenda.stop()
	} else {
		c.schedule()
	}
	c.mu.Unlock()
	if expired {
		c.sink.Close(wire.CloseExpired, "the token has expired")
		return
	}
	if warns {
		c.sink.Deliver(wire.MessageFrame(&wire.Expiring{At: expires.UnixMilli()}))
	}
	if renews {
		c.tellICE(toldExpiring)
	}
}

// past reports whether a time has come, and takes it off the agenda if so.
func past(at *time.Time, now time.Time) bool {
	if at.IsZero() || now.Before(*at) {
		return false
	}
	*at = time.Time{}
	return true
}

// cancel takes everything off the agenda.
func (c *core) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.stop()
}
