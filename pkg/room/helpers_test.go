package room_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const app = "test"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deployments runs a test on a real Redis and on the embedded one.
func deployments(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("real", func(t *testing.T) { test(t, redistest.Single(t).Addr()) })
	t.Run("embedded", func(t *testing.T) {
		server := miniredis.RunT(t)
		test(t, server.Addr())
	})
}

// node is one gateway's share: its rooms, and the store below.
type node struct {
	rooms    *room.Service
	store    *store.Store
	registry *prometheus.Registry
	// run starts the store, if it does not run yet.
	run func()
	// stop ends everything; it may be called twice.
	stop func()
}

// nodeOptions are what tests want otherwise than usual.
type nodeOptions struct {
	room.Options
	// readTimeout is how long Redis may take to answer; 20 s if 0.
	readTimeout time.Duration
	// stopped leaves the store not running: calls wait until run.
	stopped bool
	// deaf runs no inbox: the test delivers events itself.
	deaf bool
	// dialer takes the place of the network.
	dialer func(ctx context.Context, network, addr string) (net.Conn, error)
}

// startNode runs a node until the test ends or stop is called.
func startNode(tb testing.TB, addr, id string, opts nodeOptions) *node {
	tb.Helper()
	patience := 20 * time.Second
	n := &node{registry: prometheus.NewRegistry()}
	if opts.readTimeout == 0 {
		opts.readTimeout = patience
	}
	var err error
	n.store, err = store.Open(tb.Context(), store.Options{
		Addresses: []string{addr}, DialTimeout: patience, ReadTimeout: opts.readTimeout, WriteTimeout: patience, Partitions: 8, Dialer: opts.dialer,
		Registerer: n.registry, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	opts.Store, opts.Node, opts.Registerer = n.store, id, n.registry
	n.rooms, err = room.New(opts.Options)
	require.NoError(tb, err)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	n.run = sync.OnceFunc(func() { running.Go(func() { _ = n.store.Run(ctx) }) })
	if !opts.stopped {
		n.run()
	}
	running.Go(func() { _ = n.rooms.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		require.NoError(tb, n.store.Close())
	})
	tb.Cleanup(n.stop)
	if !opts.deaf {
		inbox := n.store.Inbox(id, n.rooms)
		inbox.OnLost, inbox.OnResubscribed, inbox.OnEmptied = n.rooms.Lost, n.rooms.Resubscribed, n.rooms.Emptied
		running.Go(func() { _ = inbox.Run(ctx) })
		waiting, done := context.WithTimeout(tb.Context(), patience)
		defer done()
		require.NoError(tb, inbox.WaitReady(waiting))
	}
	return n
}

// deliver hands an event over as the store does, which uses the body's memory for the next one.
func (n *node) deliver(event store.Event) {
	event.Body = bytes.Clone(event.Body)
	n.rooms.Deliver(event)
	for i := range event.Body {
		event.Body[i] = 'x'
	}
}

// metric gives the value of a metric without labels or with one.
func (n *node) metric(tb testing.TB, name string, label ...string) float64 {
	tb.Helper()
	families, err := n.registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := metric.GetLabel()
			if len(label) == 0 && len(labels) == 0 || len(label) == 1 && len(labels) == 1 && labels[0].GetValue() == label[0] {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// emptied requires that the node's table holds nothing any more.
func (n *node) emptied(tb testing.TB) {
	tb.Helper()
	require.Zero(tb, n.metric(tb, "signalbox_rooms"), "rooms with local members")
	require.Zero(tb, n.metric(tb, "signalbox_seats"), "seats")
}

// everything lets a member do all things in all rooms.
func everything(string) (room.Permissions, bool) {
	return room.Permissions{Publish: true, Moderate: true, SetCapacity: true}, true
}

// peer is a member with a record of all that it was told, replies to join included.
type peer struct {
	*room.Member
	id string

	mu   sync.Mutex
	told []told // guarded by mu
}

// told is an event, or the reply to a join.
type told struct {
	event    *wire.Event
	snapshot *wire.Snapshot
	err      error
}

func newPeer(tb testing.TB, n *node, id string) *peer {
	tb.Helper()
	return newPeerAs(tb, n, room.Identity{ID: id, App: app, User: "user-" + id, Name: "Name of " + id, Grant: everything})
}

func newPeerAs(tb testing.TB, n *node, identity room.Identity) *peer {
	tb.Helper()
	p := &peer{id: identity.ID}
	var err error
	p.Member, err = n.rooms.NewMember(identity, p)
	require.NoError(tb, err)
	return p
}

// Deliver implements room.Subscriber.
func (p *peer) Deliver(frame *wire.Frame) {
	_, event, err := wire.DecodeServer([]byte(string(frame.Text())))
	p.tell(told{event: event, err: err})
}

func (p *peer) tell(t told) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, t)
}

// record gives what the peer was told so far, one word each: "join" with the seq of a join's reply, the code of its
// refusal, or an event's type and seq.
func (p *peer) record() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var words []string
	for _, t := range p.told {
		words = append(words, t.word())
	}
	return words
}

func (t told) word() string {
	seq := func(n int64) string { return " " + string(mustJSON(n)) }
	switch {
	case t.err != nil:
		return "error " + t.err.Error()
	case t.snapshot != nil:
		return "join" + seq(t.snapshot.Seq)
	}
	return string(t.event.Body.Type()) + seq(t.event.Seq)
}

// events gives the events so far.
func (p *peer) events() []*wire.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	var events []*wire.Event
	for _, t := range p.told {
		if t.event != nil {
			events = append(events, t.event)
		}
	}
	return events
}

// await waits until the peer was told an event of a type, and returns the latest of it.
func (p *peer) await(tb testing.TB, kind wire.Type) *wire.Event {
	tb.Helper()
	var found *wire.Event
	eventually(tb, func() bool {
		for _, event := range slices.Backward(p.events()) {
			if event.Body.Type() == kind {
				found = event
				return true
			}
		}
		return false
	}, "%s is told %s: %v", p.id, kind, p.record)
	return found
}

// awaitBody waits until the latest event of its type has this body: an earlier one of another body may be all there is for a while.
func (p *peer) awaitBody(tb testing.TB, want wire.EventBody) {
	tb.Helper()
	eventually(tb, func() bool {
		return assert.ObjectsAreEqual(want, p.await(tb, want.Type()).Body)
	}, "%s is told %+v: %v", p.id, want, p.record)
}

// startJoin asks for a seat; the channel gives the outcome, which is in the record, too.
func (p *peer) startJoin(request *wire.Join) <-chan told {
	outcome := make(chan told, 1)
	p.Join(0, request, func(snapshot *wire.Snapshot, err error) {
		t := told{snapshot: snapshot, err: err}
		p.tell(t)
		outcome <- t
	})
	return outcome
}

func (p *peer) join(name string) (*wire.Snapshot, error) { return p.joinWith(&wire.Join{Room: name}) }

func (p *peer) joinWith(request *wire.Join) (*wire.Snapshot, error) {
	outcome := <-p.startJoin(request)
	return outcome.snapshot, outcome.err
}

func (p *peer) mustJoin(tb testing.TB, name string) *wire.Snapshot {
	tb.Helper()
	snapshot, err := p.join(name)
	require.NoError(tb, err)
	return snapshot
}

func (p *peer) leave(name string) error {
	_, err := wait(func(done func(wire.Done, error)) { p.Leave(0, name, done) })
	return err
}

func (p *peer) publish(name, data string) (int64, error) {
	reply, err := wait(func(done func(wire.Done, error)) {
		p.Publish(0, &wire.Publish{Room: name, Data: mustJSON(data)}, done)
	})
	return reply.Seq, err
}

func (p *peer) kick(name, target string) (wire.Controlled, error) {
	return wait(func(done func(wire.Controlled, error)) {
		p.Control(0, &wire.Control{Room: name, Action: wire.ActionKick, To: target}, done)
	})
}

func (p *peer) look(name string) (*wire.Snapshot, error) {
	return wait(func(done func(*wire.Snapshot, error)) { p.Look(name, true, done) })
}

// members gives the ids of who has a seat, as the store has it.
func members(tb testing.TB, n *node, name string) []string {
	tb.Helper()
	snapshot, err := wait(func(done func(*store.Snapshot, error)) {
		n.store.Snapshot(store.Look{Room: store.Room{App: app, Name: name}, Members: true}, done)
	})
	require.NoError(tb, err)
	var ids []string
	for _, member := range snapshot.Members {
		ids = append(ids, member.ID)
	}
	return ids
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

// eventually waits for a condition. Arguments that are functions are called when it fails.
func eventually(tb testing.TB, condition func() bool, message string, args ...any) {
	tb.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			for i, arg := range args {
				if describe, ok := arg.(func() []string); ok {
					args[i] = strings.Join(describe(), ", ")
				}
			}
			require.FailNowf(tb, "condition not met in time", message, args...)
		}
	}
}

func requireCode(tb testing.TB, code wire.Code, err error) {
	tb.Helper()
	var refusal *wire.Error
	require.ErrorAs(tb, err, &refusal)
	require.Equal(tb, code, refusal.Code, "%v", err)
}

func mustJSON(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}
