package client

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// request waits for its reply.
type request struct {
	body wire.RequestBody
	done func(*wire.Reply, error)
	// again is set on a join that takes a seat again: with its connection it ends, since all begins anew with the next.
	again bool
	// abandoned is set when nobody waits any more. The body may then be somebody else's, and is not written again.
	abandoned bool
	// written is set when it was written, and again when it was before, on an earlier connection.
	written, rewritten bool
	// resynced is set when it was written again where the log did not reach back: Redis may have lost its data, and with it
	// that the request took effect before.
	resynced bool
}

// requests are those of a session: they are numbered over all its connections, and outlive each. All of it is guarded
// by the client's mu.
type requests struct {
	lastID  int64
	pending map[int64]request
	// While queued is set, requests are not written by who makes them: those above written wait for their turn behind
	// those that are written again.
	queued  bool
	written int64
}

// next gives an id. The caller holds mu.
func (r *requests) next() int64 {
	r.lastID++
	return r.lastID
}

// put registers a request. The caller holds mu.
func (r *requests) put(request request) int64 {
	id := r.next()
	r.pending[id] = request
	return id
}

// joining reports whether a join of the room waits for its reply. The caller holds mu.
func (r *requests) joining(room string) bool {
	for _, request := range r.pending {
		if join, ok := request.body.(*wire.Join); ok && join.Room == room && !request.abandoned {
			return true
		}
	}
	return false
}

// send makes a request on a connection. When it gives no error, done is called once, by the reader, with the reply or
// the loss. The error is errNotConnected when the connection is not the client's any more. It gives up waiting for its
// turn to write with ctx; what has begun to be written goes out whole.
func (c *Client) send(ctx context.Context, l *link, r request) (int64, error) {
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
	id, queued, err := c.expect(l, r)
	if err != nil || queued {
		return id, err
	}
	l.write(wire.Request{ID: id, Body: r.body})
	return id, nil
}

// expect registers a request before it is written, since its reply may be quick.
func (c *Client) expect(l *link, r request) (id int64, queued bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, false, c.err
	case c.link != l:
		return 0, false, errNotConnected
	}
	r.written = !c.requests.queued
	return c.requests.put(r), c.requests.queued, nil
}

// replied hands a reply to the request that it answers.
func (c *Client) replied(reply *wire.Reply) {
	c.mu.Lock()
	r, ok := c.requests.pending[reply.Re]
	delete(c.requests.pending, reply.Re)
	c.mu.Unlock()
	switch {
	case !ok:
	case r.rewritten && mayHaveActed(r) && reply.Err != nil && r.doubts(reply.Err.Code):
		doubt(reply.Re, r)
	default:
		r.done(reply, nil)
	}
}

// doubt answers a request that may have taken effect on an earlier connection.
func doubt(id int64, r request) {
	r.done(&wire.Reply{Re: id, Err: wire.Errorf(wire.CodeOutcomeUnknown, "the seat, or what is known of it, was lost meanwhile")}, nil)
}

// doubts reports whether a request that was written again and is refused may have taken effect before: its seat, the peer
// that it was for, or the version that it names may have been there then.
func (r *request) doubts(code wire.Code) bool {
	return code == wire.CodeNotMember || r.resynced && (code == wire.CodePeerGone || code == wire.CodeConflict)
}

// abandon replaces what is called with the reply. It does nothing and gives false when the reply is here already.
func (c *Client) abandon(id int64, done func(*wire.Reply, error)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, waiting := c.requests.pending[id]
	if waiting {
		r.done, r.abandoned = done, true
		c.requests.pending[id] = r
	}
	return waiting
}

// lose ends the requests that are lost with a connection or a session, in order. It is asked for each with mu held.
func (c *Client) lose(err error, lost func(request) bool) {
	c.finish(lost, func(_ int64, r request) { r.done(nil, err) })
}

// finish ends some of the requests that wait.
func (c *Client) finish(which func(request) bool, end func(int64, request)) {
	c.mu.Lock()
	ended := make(map[int64]request)
	for id, r := range c.requests.pending {
		if which(r) {
			ended[id] = r
			delete(c.requests.pending, id)
		}
	}
	c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		end(id, ended[id])
	}
}

func everything(request) bool { return true }

// passing reports whether a request ends with its connection although the session goes on.
func passing(r request) bool {
	switch body := r.body.(type) {
	case *wire.Publish:
		return r.abandoned || body.Volatile
	case *wire.Join:
		return r.again
	case *wire.Leave:
		return false
	}
	return r.abandoned
}

// bound gives the room in which a request does something that a session without its seat cannot do.
func bound(r request) (room string, ok bool) {
	switch body := r.body.(type) {
	case *wire.Leave:
		return body.Room, true
	case *wire.Signal:
		return body.Room, true
	case *wire.Publish:
		return body.Room, true
	case *wire.SetState:
		return body.Room, true
	case *wire.UpdateRoom:
		return body.Room, true
	case *wire.Control:
		return body.Room, true
	}
	return "", false
}

// mayHaveActed reports whether it matters that a request of which the gateway says that there is no seat may have had one
// before. Who leaves is right to be told that there is none.
func mayHaveActed(r request) bool {
	_, bound := bound(r)
	_, leaves := r.body.(*wire.Leave)
	return bound && !leaves
}

// pace is how fast requests are written again: within what the gateway allows, since to it they are a flood.
type pace struct {
	batch int           // how many at once
	pause time.Duration // between batches
}

// The first batch is half of what may come at once; what follows stays a tenth below the rate.
func paceOf(limits wire.SessionLimits) (first int, then pace) {
	if limits.RequestsPerSecond <= 0 {
		return math.MaxInt, pace{}
	}
	batch := max(limits.RequestsPerSecond/5, 1)
	return max(limits.RequestsBurst/2, 1), pace{batch, time.Duration(batch) * time.Second * 10 / 9 / time.Duration(limits.RequestsPerSecond)}
}

// sendAgain writes the requests that wait, in order, and those that are made meanwhile behind them.
func (c *Client) sendAgain(l *link, batch int, then pace) {
	buffer := takeBuffer()
	defer buffer.release()
	for batch > 0 {
		ids := c.unwritten(l)
		if len(ids) == 0 {
			return
		}
		for _, id := range ids[:min(batch, len(ids))] {
			batch--
			buffer.bytes = c.appendAgain(buffer.bytes[:0], id)
			if len(buffer.bytes) > 0 && !l.writeText(buffer.bytes) {
				return
			}
		}
	}
	l.after(then.pause, func() { c.sendAgain(l, then.batch, then) })
}

// unwritten gives the ids of the requests that wait for their turn. When there are none, or the connection is lost,
// the queue has ended.
func (c *Client) unwritten(l *link) (ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return nil
	}
	for id := range c.requests.pending {
		if id > c.requests.written {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	c.requests.queued = len(ids) > 0
	return ids
}

// appendAgain appends a request whose turn has come, unless there is none any more. It holds mu, since until a request
// is abandoned its body does not change.
func (c *Client) appendAgain(b []byte, id int64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests.written = id
	r, ok := c.requests.pending[id]
	if !ok {
		return b
	}
	if _, leaves := r.body.(*wire.Leave); r.abandoned && !leaves {
		delete(c.requests.pending, id)
		if join, ok := r.body.(*wire.Join); ok {
			c.leaveUnwanted(join.Room)
		}
		return b
	}
	r.rewritten, r.written = r.written, true
	if room, ok := bound(r); ok {
		r.resynced = c.welcome.Rooms[room].Result == wire.ResumeResync
	}
	c.requests.pending[id] = r
	return wire.AppendRequest(b, wire.Request{ID: id, Body: r.body})
}

// leaveUnwanted gives a seat up that an abandoned join may have got. The caller holds mu, and the queue is written.
func (c *Client) leaveUnwanted(room string) {
	if c.seats[room] == nil && !c.requests.joining(room) {
		c.requests.put(request{body: &wire.Leave{Room: room}, done: ignore})
	}
}

// giveUp leaves a room without waiting for a reply.
func (c *Client) giveUp(room string) {
	leave := request{body: &wire.Leave{Room: room}, done: ignore}
	for {
		c.mu.Lock()
		l := c.link
		if l == nil || c.requests.queued {
			c.requests.put(leave) // written when its turn comes
		}
		queued := l == nil || c.requests.queued
		c.mu.Unlock()
		if queued {
			return
		}
		if _, err := c.send(c.ctx, l, leave); !errors.Is(err, errNotConnected) {
			return
		}
	}
}
