// Package room holds the rules of rooms, and this node's table of the peers that are connected to it.
//
// A request goes down from a session's [Member] to a script of the store, which decides. What happened comes back
// twice: as the script's reply, through the callback, and as an event through [Service.Deliver], from where it goes to
// each [Subscriber] on this node that it is meant for.
package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Subscriber takes what a peer is told. Deliver is called with locks held: it must not block, nor call back into this
// package.
type Subscriber interface {
	Deliver(*wire.Frame)
}

// Permissions are what a session may do in a room.
type Permissions struct {
	// Publish allows signal, publish and state.
	Publish bool
	// Moderate allows room, control, and joining a locked room.
	Moderate bool
	// SetCapacity allows to choose the capacity of a room that a join creates.
	SetCapacity bool
}

// Grant tells what a session may do in a room; false means that it may not even join.
type Grant func(room string) (Permissions, bool)

// Options configures a [Service].
type Options struct {
	Store *store.Store
	// Node is this process' id in the store.
	Node string
	// Capacity is the number of seats of a new room for which nothing else is said; 50 if 0.
	Capacity int
	// MaxCapacity is the most seats that a room can be given; 500 if 0.
	MaxCapacity int
	// PerSession is the most rooms of one session; 16 if 0.
	PerSession int
	// StateKeys and StateBytes bound a peer's state and a room's properties; 32 and 4096 if 0.
	StateKeys  int
	StateBytes int
	// Waiting is how many may wait for a seat of a room for which nothing else is said, 0 for none, and Keep how long such a room
	// stays when nobody has a seat in it.
	Waiting int
	Keep    time.Duration
	// ChatLength and WhiteboardLength are how many messages are kept of these topics for those who join later, 100 and 2000 if
	// 0, and HistoryBytes bounds what is kept of each, with its senders' names; 262144 if 0.
	ChatLength       int
	WhiteboardLength int
	HistoryBytes     int
	Logger           *slog.Logger
	Registerer       prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Store == nil || !wire.ValidID(o.Node) {
		return errors.New("room: a store and a valid node id are needed")
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Capacity, 50}, {&o.MaxCapacity, 500}, {&o.PerSession, 16}, {&o.StateKeys, 32}, {&o.StateBytes, 4096},
		{&o.ChatLength, 100}, {&o.WhiteboardLength, 2000}, {&o.HistoryBytes, 256 << 10}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("room: a limit is negative: %d", *d.field)
		}
	}
	if o.Capacity > o.MaxCapacity {
		return fmt.Errorf("room: the capacity %d is over the maximum %d", o.Capacity, o.MaxCapacity)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Service is the rooms as one node sees them.
type Service struct {
	opts    Options
	metrics *metrics
	table   table
	leaves  leaves
	agenda  agenda
	broken  []atomic.Bool // by partition: its events may be missing
	emptied atomic.Int64  // how often Redis was found to have lost data
	audits  audits
}

var _ store.Receiver = (*Service)(nil)

// New makes a service without any room.
func New(opts Options) (*Service, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Service{opts: opts, metrics: newMetrics(opts.Registerer)}
	s.table.init()
	s.agenda.changed = make(chan struct{}, 1)
	s.broken = make([]atomic.Bool, opts.Store.Partitions())
	s.audits.doubts = make([]seats, opts.Store.Partitions())
	return s, nil
}

// Run does what could not be done where it was found to be needed, until ctx ends: it repeats the departures that Redis did
// not answer, so that a session that has ended leaves no seat behind because Redis was away for a moment, and brings rooms
// back in line after events, or Redis' data, were lost. Now and then it looks whether Redis holds the same seats for this
// node as the node itself.
func (s *Service) Run(ctx context.Context) error {
	s.agenda.add(auditPause, s.audit)
	s.agenda.run(ctx)
	return nil
}

// Settled waits until every departure of an ended session was answered, or ctx ends.
func (s *Service) Settled(ctx context.Context) error { return s.leaves.settled(ctx) }

// departure is a seat that its session has no more: left for good, or lost with its connection.
type departure struct {
	seat       store.Seat
	lost       bool
	away, left []byte // the events that tell it
}

// depart gives up a seat that nobody has any more, or keeps it for a session that may come back.
func (s *Service) depart(d departure) {
	s.leaves.begin(&d)
	s.send(d)
}

// departLater leaves the seats of a connection that was taken over to the one that takes them: room by room, and some of them
// before others, which nobody should be told as a peer that went away. What it has not taken by then is kept as any other.
func (s *Service) departLater(d departure) {
	s.leaves.begin(&d)
	s.agenda.add(departPause, func() { s.repeat(d) })
}

// departPause is between attempts when Redis does not answer, and what a connection that takes over has for all rooms.
const departPause = time.Second

// repeat sends a departure again, unless its connection has asked for a seat in the room meanwhile: that join finds the seat or
// takes another one, and the leave would take it away. The lock keeps a join from coming in between. A later connection of the
// session is no reason not to: if it gets the seat, this has no effect, and if not, nobody else gives it up.
func (s *Service) repeat(d departure) {
	sh := s.table.shard(d.seat.Room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l := sh.rooms[d.seat.Room]; l != nil {
		if st := l.seats[d.seat.Peer]; st != nil && st.member.generation == d.seat.Generation {
			s.leaves.end(&d)
			return
		}
	}
	s.send(d)
}

func (s *Service) send(d departure) {
	done := func(err error) {
		var refusal *wire.Error
		if errors.As(err, &refusal) && refusal.Code == wire.CodeUnavailable {
			s.agenda.add(departPause, func() { s.repeat(d) })
			return
		}
		if err == nil && d.lost {
			s.metrics.lost.Inc()
		}
		s.leaves.end(&d)
	}
	if d.lost {
		s.opts.Store.Lose(store.Lose{Seat: d.seat, Away: d.away, Left: d.left}, func(_ int64, err error) { done(err) })
	} else {
		s.opts.Store.Leave(store.Leave{Seat: d.seat, Event: d.left}, func(_ store.Left, err error) { done(err) })
	}
}

// leaves knows the departures that are not answered yet: under way, or to be repeated.
type leaves struct {
	mu      sync.Mutex
	waiters []chan struct{}
	peers   map[store.Room][]string // whose they are; no room is there without one
}

func (l *leaves) begin(d *departure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers == nil {
		l.peers = make(map[store.Room][]string)
	}
	l.peers[d.seat.Room] = append(l.peers[d.seat.Room], d.seat.Peer)
}

func (l *leaves) end(d *departure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	peers := l.peers[d.seat.Room]
	if i := slices.Index(peers, d.seat.Peer); i >= 0 {
		peers = slices.Delete(peers, i, i+1)
	}
	if l.peers[d.seat.Room] = peers; len(peers) == 0 {
		delete(l.peers, d.seat.Room)
	}
	if len(l.peers) == 0 {
		for _, waiter := range l.waiters {
			close(waiter)
		}
		l.waiters = nil
	}
}

// in gives the peers of a room whose departure is not answered yet.
func (l *leaves) in(room store.Room) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.peers[room])
}

func (l *leaves) settled(ctx context.Context) error {
	l.mu.Lock()
	if len(l.peers) == 0 {
		l.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	l.waiters = append(l.waiters, done)
	l.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("room: leaves are not settled: %w", ctx.Err())
	}
}
