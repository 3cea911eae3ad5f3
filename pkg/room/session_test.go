package room_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// connection is one connection of a session that can be resumed.
type connection struct {
	*peer

	lock     sync.Mutex
	detached []bool // calls of Detached; guarded by lock
}

// connect gives the session another connection.
func connect(tb testing.TB, n *node, id string, generation int64) *connection {
	tb.Helper()
	return connectAs(tb, n, room.Identity{ID: id, User: "user-" + id, Name: "Name of " + id, Generation: generation})
}

func connectAs(tb testing.TB, n *node, identity room.Identity) *connection {
	tb.Helper()
	c := &connection{peer: &peer{id: identity.ID}}
	identity.App, identity.Grant = app, everything
	if identity.Grace == 0 {
		identity.Grace = time.Minute
	}
	identity.Detached = func(takenOver bool) {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.detached = append(c.detached, takenOver)
	}
	var err error
	c.Member, err = n.rooms.NewMember(identity, c)
	require.NoError(tb, err)
	return c
}

// closings gives how the connection was told that it has lost its seats.
func (c *connection) closings() []bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	return append([]bool(nil), c.detached...)
}

// resume asks for the seat in a room, and does not begin.
func (c *connection) resume(name string, position wire.Position) (wire.ResumedRoom, error) {
	return c.resumed(c.startResume(name, position), name)
}

func (c *connection) startResume(name string, position wire.Position) <-chan resumed {
	outcome := make(chan resumed, 1)
	c.Resume(map[string]wire.Position{name: position}, func(rooms map[string]wire.ResumedRoom, err error) {
		outcome <- resumed{rooms, err}
	})
	return outcome
}

type resumed struct {
	rooms map[string]wire.ResumedRoom
	err   error
}

func (c *connection) resumed(outcome <-chan resumed, name string) (wire.ResumedRoom, error) {
	r := <-outcome
	return r.rooms[name], r.err
}

// mustResume has the seat in a room back, and goes on.
func (c *connection) mustResume(tb testing.TB, name string, position wire.Position) wire.ResumedRoom {
	tb.Helper()
	result, err := c.resume(name, position)
	require.NoError(tb, err)
	c.Begin()
	return result
}

// lose ends the connection, and waits until Redis knows.
func (c *connection) lose(tb testing.TB, n *node) {
	tb.Helper()
	c.Lose()
	n.settle(tb)
}

func (n *node) settle(tb testing.TB) {
	tb.Helper()
	settled, done := context.WithTimeout(tb.Context(), time.Minute)
	defer done()
	require.NoError(tb, n.rooms.Settled(settled))
}

// at is a place in a room's order.
func at(s *wire.Snapshot, seq int64) wire.Position { return wire.Position{Epoch: s.Epoch, Seq: seq} }

// mustPublish sends some messages, and gives the number of the last.
func (p *peer) mustPublish(tb testing.TB, name string, count int) int64 {
	tb.Helper()
	var last int64
	for i := range count {
		seq, err := p.publish(name, fmt.Sprint("message ", i))
		require.NoError(tb, err)
		last = seq
	}
	return last
}

// awaitRecord waits until the peer was told these, and no more.
func (p *peer) awaitRecord(tb testing.TB, want ...string) {
	tb.Helper()
	eventually(tb, func() bool { return len(p.record()) >= len(want) }, "%s is told %v: %v", p.id, want, p.record)
	require.Equal(tb, want, p.record())
}

// awaitSeq waits until the peer was told an event of a number.
func (p *peer) awaitSeq(tb testing.TB, seq int64) {
	tb.Helper()
	eventually(tb, func() bool {
		events := p.events()
		return len(events) > 0 && events[len(events)-1].Seq == seq
	}, "%s is told %d: %v", p.id, seq, p.record)
}

// seen gives the number of events of a type that the peer was told.
func (p *peer) seen(kind wire.Type) int {
	count := 0
	for _, event := range p.events() {
		if event.Body.Type() == kind {
			count++
		}
	}
	return count
}

// stored gives a room as the store has it.
func stored(tb testing.TB, n *node, name string) *store.Snapshot {
	tb.Helper()
	snapshot, err := wait(func(done func(*store.Snapshot, error)) {
		n.store.Snapshot(store.Look{Room: roomOf(name), Members: true}, done)
	})
	require.NoError(tb, err)
	return snapshot
}

func roomOf(name string) store.Room { return store.Room{App: app, Name: name} }

// member gives a seat as the store has it, nil if there is none.
func member(tb testing.TB, n *node, name, peer string) *store.Member {
	tb.Helper()
	for _, m := range stored(tb, n, name).Members {
		if m.ID == peer {
			return &m
		}
	}
	return nil
}

// gap has the node miss what happens meanwhile in the room.
func (n *node) gap(name string, during func()) {
	partition := n.store.Partition(roomOf(name))
	n.rooms.Lost(partition)
	during()
	n.rooms.Resubscribed(partition)
}
