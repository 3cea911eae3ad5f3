package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// node is one gateway's share of the cluster: a store, and an inbox whose events are kept.
type node struct {
	id    string
	store *store.Store
	inbox *store.Inbox
	stop  func() // ends both Runs and closes the store; may be called twice

	discard atomic.Bool // keep no events

	mu     sync.Mutex
	events []store.Event // guarded by mu

	probes int // owned by the test's goroutine
}

// startNode opens a store and runs it with an inbox until the test ends or stop is called.
func startNode(tb testing.TB, opts store.Options, id string) *node {
	tb.Helper()
	n := openNode(tb, opts, id)
	waiting, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	require.NoError(tb, n.inbox.WaitReady(waiting))
	return n
}

// openNode is startNode without waiting for the inbox.
func openNode(tb testing.TB, opts store.Options, id string) *node {
	tb.Helper()
	return openNodeWith(tb, opts, id, nil, func(*store.Inbox) {})
}

// openNodeWith is openNode with an inbox that is changed before it runs, and whose events go to receiver if there is one.
func openNodeWith(tb testing.TB, opts store.Options, id string, receiver store.Receiver, change func(*store.Inbox)) *node {
	tb.Helper()
	s, err := store.Open(tb.Context(), opts)
	require.NoError(tb, err)
	n := &node{id: id, store: s}
	if receiver == nil {
		receiver = n
	}
	n.inbox = s.Inbox(id, receiver)
	change(n.inbox)
	ctx, cancel := context.WithCancel(context.Background())
	failures := make(chan error, 2)
	var running sync.WaitGroup
	running.Go(func() { failures <- n.inbox.Run(ctx) })
	running.Go(func() { failures <- s.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		require.NoError(tb, <-failures)
		require.NoError(tb, <-failures)
		require.NoError(tb, s.Close())
	})
	tb.Cleanup(n.stop)
	return n
}

// Deliver keeps an event, unless they are discarded.
func (n *node) Deliver(e store.Event) {
	if n.discard.Load() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e.Body = bytes.Clone(e.Body)
	n.events = append(n.events, e)
}

// tester is the part of testing.TB that a property test's T has too.
type tester interface {
	require.TestingT
	Helper()
}

// expect waits until the node has received a number of events since the last call, and returns these. What came
// beyond stays for the next call.
func (n *node) expect(tb tester, count int) []store.Event {
	tb.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		n.mu.Lock()
		if len(n.events) >= count {
			events := slices.Clone(n.events[:count])
			n.events = n.events[count:]
			n.mu.Unlock()
			return events
		}
		here := briefs(n.events)
		n.mu.Unlock()
		select {
		case <-tick.C:
		case <-deadline.C:
			require.Failf(tb, "events are missing", "%s has %d of %d: %v", n.id, len(here), count, here)
		}
	}
}

// quiet checks that no event has come since the last call.
func (n *node) quiet(tb tester, room store.Room) {
	tb.Helper()
	require.Empty(tb, briefs(n.drain(tb, room)), "events at %s", n.id)
}

// drain returns all events of the rooms since the last call. It sends one to the node itself in another room of
// each partition: a connection delivers in order, so whatever was published before has then arrived.
func (n *node) drain(tb tester, rooms ...store.Room) []store.Event {
	tb.Helper()
	var events []store.Event
	for _, room := range rooms {
		probe := store.Room{App: "probe"}
		for i := 0; probe.Name == "" || n.store.Partition(probe) != n.store.Partition(room); i++ {
			probe.Name = n.id + "-" + strconv.Itoa(i)
		}
		n.probes++
		body := fmt.Sprintf(`{"type":"signal","probe":%d}`, n.probes)
		seat := n.seat(probe, "probe")
		_, err := n.join(seat)
		require.NoError(tb, err)
		_, err = n.send(store.Send{Seat: seat, To: seat.Peer, Type: "signal", Event: []byte(body)})
		require.NoError(tb, err)
		_, err = n.leave(seat)
		require.NoError(tb, err)
		for arrived := false; !arrived; {
			for _, e := range n.expect(tb, 1) {
				if e.Room.App != "probe" {
					events = append(events, e)
				}
				arrived = arrived || string(e.Body) == body
			}
		}
	}
	return events
}

// seat is one of the node's seats.
func (n *node) seat(room store.Room, peer string) store.Seat {
	return store.Seat{Room: room, Peer: peer, Node: n.id}
}

// later is the seat of a later connection of its session.
func later(seat store.Seat, node string, generation int64) store.Seat {
	seat.Node, seat.Generation = node, generation
	return seat
}

func (n *node) join(seat store.Seat, changes ...func(*store.Join)) (*store.Snapshot, error) {
	j := joinOf(seat)
	for _, change := range changes {
		change(&j)
	}
	return wait(func(done func(*store.Snapshot, error)) { n.store.Join(j, done) })
}

// numberOf takes the answer to a leave for its number.
func numberOf(done func(int64, error)) func(store.Left, error) {
	return func(left store.Left, err error) { done(left.Seq, err) }
}

func (n *node) leave(seat store.Seat) (int64, error) {
	return wait(func(done func(int64, error)) { n.store.Leave(leaveOf(seat), numberOf(done)) })
}

func (n *node) lose(seat store.Seat) (int64, error) {
	return wait(func(done func(int64, error)) { n.store.Lose(loseOf(seat), done) })
}

func (n *node) resume(r store.Resume) (*store.Resumed, error) {
	return wait(func(done func(*store.Resumed, error)) { n.store.Resume(r, done) })
}

func (n *node) replay(room store.Room, epoch string, since int64) (*store.Replayed, error) {
	return n.replayMarked(store.Replay{Room: room, Node: n.id, Epoch: epoch, Since: since})
}

func (n *node) replayMarked(r store.Replay) (*store.Replayed, error) {
	return wait(func(done func(*store.Replayed, error)) { n.store.Replay(r, done) })
}

func (n *node) rebirth(room store.Room, epoch string, least int64) error {
	_, err := wait(func(done func(struct{}, error)) {
		n.store.Rebirth(room, epoch, least, func(err error) { done(struct{}{}, err) })
	})
	return err
}

func (n *node) restore(r store.Restore) (*store.Restored, error) {
	return wait(func(done func(*store.Restored, error)) { n.store.Restore(r, done) })
}

// expired is the answer of Expire.
type expired struct{ seats, left int }

func (n *node) expire(room store.Room, notAfter time.Time) (expired, error) {
	return wait(func(done func(expired, error)) {
		n.store.Expire(n.store.Partition(room), notAfter, func(seats, left int, err error) { done(expired{seats, left}, err) })
	})
}

// held gives the seats that Redis has for a node in a room's partition, as "<app>/<room> <peer>" in order, and whether they
// are listed.
func (n *node) held(room store.Room, node string, believed int) (held, error) {
	return wait(func(done func(held, error)) {
		n.store.Held(n.store.Partition(room), node, believed, func(seats []store.HeldSeat, differs bool, err error) {
			answer := held{differs: differs}
			for _, seat := range seats {
				answer.seats = append(answer.seats, seat.Room.App+"/"+seat.Room.Name+" "+seat.Peer)
			}
			slices.Sort(answer.seats)
			done(answer, err)
		})
	})
}

type held struct {
	seats   []string
	differs bool
}

func (n *node) holders(room store.Room) ([]string, error) {
	return wait(func(done func([]string, error)) {
		n.store.Holders(n.store.Partition(room), func(nodes []string, err error) {
			slices.Sort(nodes)
			done(nodes, err)
		})
	})
}

func (n *node) send(m store.Send) (int64, error) {
	return wait(func(done func(int64, error)) { n.store.Send(m, done) })
}

func (n *node) setState(m store.SetState) (int64, error) {
	return wait(func(done func(int64, error)) { n.store.SetState(m, done) })
}

func (n *node) snapshot(l store.Look) (*store.Snapshot, error) {
	return wait(func(done func(*store.Snapshot, error)) { n.store.Snapshot(l, done) })
}

// look is the room with its members.
func (n *node) look(tb tester, room store.Room) *store.Snapshot {
	tb.Helper()
	s, err := n.snapshot(store.Look{Room: room, Members: true})
	require.NoError(tb, err)
	return s
}

// updated and controlled are the two answers with a second number.
type updated struct{ seq, version int64 }

func (n *node) updateRoom(u store.UpdateRoom) (updated, error) {
	return wait(func(done func(updated, error)) {
		n.store.UpdateRoom(u, func(seq, version int64, err error) { done(updated{seq, version}, err) })
	})
}

type controlled struct {
	seq      int64
	affected int
}

func controlledOf(c store.Controlled) controlled { return controlled{c.Seq, c.Affected} }

func (n *node) control(m store.Control) (controlled, error) {
	return wait(func(done func(controlled, error)) {
		n.store.Control(m, func(c store.Controlled, err error) { done(controlledOf(c), err) })
	})
}

// wait makes an asynchronous call synchronous.
func wait[T any](call func(done func(T, error))) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	call(func(value T, err error) { answers <- answer{value, err} })
	a := <-answers
	return a.value, a.err
}

// requireCode checks a refusal.
func requireCode(tb testing.TB, code wire.Code, err error) {
	tb.Helper()
	var refusal *wire.Error
	require.ErrorAs(tb, err, &refusal)
	require.Equal(tb, code, refusal.Code)
}

func joinOf(seat store.Seat) store.Join {
	return store.Join{
		Seat: seat, Profile: []byte(`{"user":"u-` + seat.Peer + `","name":"Name of ` + seat.Peer + `"}`), Capacity: 30, Back: backOf(seat),
		EventHead: []byte(`{"type":"joined-peer","peer":"` + seat.Peer + `","order":`), EventTail: []byte(`}`),
	}
}

// kept gives a seat a grace that no test waits for.
func kept(j *store.Join) { j.Grace = time.Hour }

func resumeOf(seat store.Seat, epoch string, seq int64) store.Resume {
	return store.Resume{Seat: seat, Epoch: epoch, Seq: seq, Back: backOf(seat)}
}

func backOf(seat store.Seat) []byte { return []byte(`{"type":"back-peer","peer":"` + seat.Peer + `"}`) }

func leaveOf(seat store.Seat) store.Leave {
	return store.Leave{Seat: seat, Event: []byte(`{"type":"left-peer","peer":"` + seat.Peer + `"}`)}
}

func loseOf(seat store.Seat) store.Lose {
	return store.Lose{
		Seat: seat, Away: []byte(`{"type":"away-peer","peer":"` + seat.Peer + `"}`),
		Left: []byte(`{"type":"left-peer","peer":"` + seat.Peer + `","reason":"disconnected"}`),
	}
}

func stateOf(seat store.Seat, state store.State) store.SetState {
	return store.SetState{Seat: seat, State: state, Event: []byte(`{"type":"state","peer":"` + seat.Peer + `"}`)}
}

func updateOf(seat store.Seat, version int64) store.UpdateRoom {
	return store.UpdateRoom{
		Seat: seat, Version: version,
		EventHead: []byte(`{"type":"room","by":"` + seat.Peer + `","version":`), EventTail: []byte(`}`),
	}
}

func muteOf(seat store.Seat, action store.Action, media store.Media, target string) store.Control {
	return store.Control{
		Seat: seat, Action: action, Media: media, Target: target,
		Event: []byte(`{"type":"control","action":"` + string(action) + `"}`),
	}
}

func kickOf(seat store.Seat, target string) store.Control {
	return store.Control{
		Seat: seat, Action: store.ActionKick, Target: target,
		EventHead: []byte(`{"type":"left-peer","peer":"`), EventTail: []byte(`","reason":"kicked"}`),
	}
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }
