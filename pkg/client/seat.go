package client

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// oldSeatPatience is how long a full room is not believed when a new session takes a seat again: until the gateway has
// noticed that the lost connection is dead, it may be the client's own old seat that fills the room. A session that goes on
// has no other seat than that of which it was told that it is gone.
const oldSeatPatience = 90 * time.Second

// ReasonLost is the reason of a [wire.Closed] of the client's own making: the seat was lost, and could not be taken again.
const ReasonLost = "lost"

// seat is a room that the client is in, or waits for a seat of, and how to get in again.
type seat struct {
	join wire.Join // guarded by the client's mu; the state is replaced, never changed
	// position is how far the room's events were told; its epoch is empty while the seat is being taken again.
	position wire.Position // guarded by the client's mu

	// Owned by the reader, while the seat is being taken again.
	attempt  int
	patience time.Time // until when a full room is not believed
}

// keeping wraps done, which the reader calls, so that the client knows its seats.
func (c *Client) keeping(body wire.RequestBody, done func(*wire.Reply, error)) func(*wire.Reply, error) {
	var keep func(*wire.Reply, error)
	switch body := body.(type) {
	case *wire.Join:
		keep = func(reply *wire.Reply, err error) {
			var position wire.Position
			if err == nil && decode(reply, &position) == nil {
				c.keepSeat(body, position)
			}
		}
	case *wire.Leave:
		keep = func(reply *wire.Reply, err error) {
			if err != nil || reply.Err == nil || reply.Err.Code == wire.CodeNotMember { // lost is left, too
				c.forgetSeat(body.Room)
			}
		}
	case *wire.SetState:
		keep = func(reply *wire.Reply, err error) {
			if err == nil && reply.Err == nil {
				c.keepState(body)
			}
		}
	default:
		return done
	}
	return func(reply *wire.Reply, err error) {
		keep(reply, err)
		done(reply, err)
	}
}

// unwanted is what is done with a reply that nobody waits for any more.
func (c *Client) unwanted(body wire.RequestBody) func(*wire.Reply, error) {
	join, ok := body.(*wire.Join)
	if !ok {
		return c.keeping(body, ignore)
	}
	return func(reply *wire.Reply, err error) {
		if err == nil && reply.Err == nil && c.unclaimed(join.Room) {
			c.giveUp(join.Room)
		}
	}
}

// unclaimed reports whether nobody wants a seat in the room.
func (c *Client) unclaimed(room string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seats[room] == nil && !c.requests.joining(room)
}

func ignore(*wire.Reply, error) {}

func (c *Client) seat(room string) *seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seats[room]
}

// keepSeat remembers a join. A join of a room that one is in changes the state and nothing else: events below its
// snapshot may still come.
func (c *Client) keepSeat(join *wire.Join, position wire.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seats[join.Room]
	switch {
	case s == nil:
		s = &seat{join: wire.Join{Room: join.Room, Capacity: join.Capacity, Wait: join.Wait}, position: position}
		c.seats[join.Room] = s
	case s.position.Epoch != "" && s.position.Epoch != position.Epoch: // another life of the room
		s.position = position
	}
	s.merge(join.State)
}

// advance notes how far a room's events were told. It gives false for one that was told before: after a resume, the
// gateway may say again what the client had heard already.
func (c *Client) advance(event *wire.Event) bool {
	if event.Room == "" {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seats[event.Room]
	if s == nil {
		return true
	}
	switch body := event.Body.(type) {
	case *wire.Resync:
		s.position = wire.Position{Epoch: body.Epoch, Seq: body.Seq}
		return true
	case *wire.Seated:
		s.position = wire.Position{Epoch: body.Epoch, Seq: body.Seq}
		return true
	}
	switch {
	case event.Seq == 0:
		return true // the gateway's own word, or the client's, about the seat
	case event.Seq <= s.position.Seq:
		return false
	}
	s.position.Seq = event.Seq
	return true
}

func (c *Client) keepState(change *wire.SetState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.seats[change.Room]; s != nil {
		s.merge(change.State)
	}
}

// forgetSeat is called by the reader.
func (c *Client) forgetSeat(room string) {
	delete(c.held, room)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seats, room)
}

// merge changes the state as the gateway does: null deletes a key.
func (s *seat) merge(change wire.Object) {
	if len(change) == 0 {
		return
	}
	state := make(wire.Object, len(s.join.State)+len(change))
	maps.Copy(state, s.join.State)
	for key, value := range change {
		if bytes.Equal(value, []byte("null")) {
			delete(state, key)
		} else {
			state[key] = value
		}
	}
	s.join.State = state
}

// rejoin asks for every seat again that was not kept, on a connection that nobody else uses yet. Events of the rooms wait
// for the snapshots, which tell what they build on. The caller holds mu.
func (c *Client) rejoin(l *link, welcome *wire.Welcome) {
	clear(c.held)
	var patience time.Time
	if !welcome.Resumed {
		patience = time.Now().Add(oldSeatPatience)
	}
	for _, room := range slices.Sorted(maps.Keys(c.seats)) {
		if keeps(welcome, room) {
			continue
		}
		c.held[room] = nil
		s := c.seats[room]
		s.position, s.attempt, s.patience = wire.Position{}, 0, patience
		c.requests.put(c.rejoining(l, s, s.join))
	}
}

// takeAgain sends the join of one seat once more.
func (c *Client) takeAgain(l *link, s *seat) {
	c.mu.Lock()
	join := s.join
	wanted := c.seats[join.Room] == s
	c.mu.Unlock()
	if wanted {
		_, _ = c.send(c.ctx, l, c.rejoining(l, s, join)) // an error is the link's end, after which all begins anew
	}
}

// rejoining is the request that takes a seat again. The reply is handled by the reader.
func (c *Client) rejoining(l *link, s *seat, join wire.Join) request {
	return request{body: &join, again: true, done: func(reply *wire.Reply, err error) {
		if err == nil {
			c.takenAgain(l, s, join.Room, reply)
		}
	}}
}

func (c *Client) takenAgain(l *link, s *seat, room string, reply *wire.Reply) {
	wanted := c.seat(room) == s
	snapshot := new(wire.Snapshot)
	err := decode(reply, snapshot)
	switch {
	case err == nil && wanted && snapshot.Waiting != nil:
		c.waitAgain(s, snapshot)
	case err == nil && wanted:
		c.resync(snapshot)
	case err == nil: // left meanwhile
		delete(c.held, room)
		c.giveUp(room)
	case !wanted:
		delete(c.held, room)
	case Retryable(err), isFull(err) && time.Now().Before(s.patience):
		pause := max(c.opts.Backoff.pause(s.attempt), retryAfter(err))
		s.attempt++
		l.after(pause, func() { c.takeAgain(l, s) })
	default:
		c.opts.Logger.Warn("seat lost", "room", room, "error", err)
		delete(c.held, room)
		c.forgetSeat(room)
		c.opts.OnSeatLost(room, err)
		c.deliver(wire.Event{Room: room, Body: &wire.Closed{Reason: ReasonLost}})
	}
}

// resync tells the application what the room is now, and what has happened in it since.
func (c *Client) resync(snapshot *wire.Snapshot) {
	held := c.held[snapshot.Room]
	delete(c.held, snapshot.Room)
	c.deliver(wire.Event{Room: snapshot.Room, Seq: snapshot.Seq, Body: &wire.Resync{Snapshot: *snapshot}})
	for _, event := range held {
		if event.Seq > snapshot.Seq {
			c.deliver(event)
		}
	}
}

// waitAgain tells the application that it waits, where it did, or had a seat.
func (c *Client) waitAgain(s *seat, snapshot *wire.Snapshot) {
	held := c.held[snapshot.Room]
	delete(c.held, snapshot.Room)
	c.mu.Lock()
	s.position = wire.Position{Epoch: snapshot.Epoch, Seq: snapshot.Seq}
	c.mu.Unlock()
	c.deliver(wire.Event{Room: snapshot.Room, Body: snapshot.Waiting})
	for _, event := range held { // its place, or its seat, since
		c.deliver(event)
	}
}

func isFull(err error) bool {
	refusal, ok := errors.AsType[*wire.Error](err)
	return ok && refusal.Code == wire.CodeRoomFull
}
