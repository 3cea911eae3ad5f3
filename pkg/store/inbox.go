package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// defaultPingPeriod is how often a subscription connection is asked for a PONG. One that brings nothing for
	// two periods is given up. go-redis' own check only writes its PING: a connection whose packets are dropped
	// then stays silent for minutes, while PUBLISH still counts it as a receiver.
	defaultPingPeriod = 1500 * time.Millisecond
	// looksAPeriod is how often in a period the connection is looked at, so by how much of one its end may come late.
	looksAPeriod = 2

	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// The reasons of the reconnect metric.
const (
	reasonDial   = "dial"
	reasonSilent = "silent"
	reasonMoved  = "moved"
	reasonClosed = "closed"
	reasonReply  = "reply"
	reasonCanary = "canary"
)

var reconnectReasons = []string{reasonDial, reasonSilent, reasonMoved, reasonClosed, reasonReply, reasonCanary}

var errSilent = errors.New("the inbox connection brings nothing, not even an answer")

// Event is what happened in a room, as a node's inbox receives it. Two types are for the node itself: [TypeFenced], without
// a number of its own, and [TypeEpoch].
type Event struct {
	Partition int
	Room      Room
	Epoch     string
	Seq       int64
	// Type is the event's type, the same word as in Body.
	Type string
	// To is the peer that it is for; empty for everybody in the room.
	To string
	// Except is the peer that does not get it; empty for none.
	Except string
	// Volatile is set for what the room's log does not have.
	Volatile bool
	// Body is the event's JSON object without seq, starting with {"type":". A [Receiver] may keep it only as a copy.
	Body []byte
	// Trail is the way of a message that is measured; nil for all others, and for what a room's log brings.
	Trail *Trail
}

// Receiver takes the events of a node's inbox.
type Receiver interface {
	// Deliver takes one event and must not block. The event's Body is valid until it returns, and must not be changed.
	// It is called from one goroutine per subscription connection, in order for each partition. An event may be lost with
	// a connection and a later replay may deliver one twice: compare Epoch and Seq.
	Deliver(Event)
}

// Inbox is one node's subscription to all its inbox channels, one per partition.
//
// A single Redis carries them all over one connection. A Redis Cluster needs one connection per partition,
// since a sharded subscription of go-redis must not mix slots.
type Inbox struct {
	// The hooks, which may be nil, are set before Run and called from the goroutine that calls Deliver for the
	// partition. They must not block.

	// OnLost is called when a partition's subscription is lost: events may be missing from now on, also between
	// those that still arrive, until OnResubscribed. It is called once until then, and before the first event of
	// the next subscription. It is not called when Run ends.
	OnLost func(partition int)
	// OnResubscribed is called when a partition's subscription was made again: everything that is published from
	// now on arrives. What was published since OnLost may or may not have arrived.
	OnResubscribed func(partition int)
	// OnEmptied is called when Redis turns out to have lost a partition's data: its rooms are gone, or begin anew.
	// It may come before OnLost, between OnLost and OnResubscribed or after it.
	OnEmptied func(partition int)

	// Immutable.
	store         *Store
	node          string
	receiver      Receiver
	nonces        string // what those of its canaries begin with
	subscriptions []*subscription

	mu      sync.Mutex
	missing int           // subscriptions that are not ready; guarded by mu
	changed chan struct{} // closed and replaced when missing changes; guarded by mu
}

// Inbox makes the node's inbox. It receives nothing before its Run. Node is an id as in [Seat].
func (s *Store) Inbox(node string, r Receiver) *Inbox {
	i := &Inbox{store: s, node: node, receiver: r, nonces: newNonces(), changed: make(chan struct{})}
	if s.opts.Mode == ModeCluster {
		for p := range s.partitions {
			i.subscriptions = append(i.subscriptions, newSubscription(i, p, p+1))
		}
	} else {
		i.subscriptions = append(i.subscriptions, newSubscription(i, 0, len(s.partitions)))
	}
	i.missing = len(i.subscriptions)
	return i
}

// Run subscribes, delivers until ctx ends and then returns nil. It re-subscribes for ever when Redis fails.
// It must be called once. An error is returned for a node id that is not valid.
func (i *Inbox) Run(ctx context.Context) error {
	if !validID(i.node) {
		return errors.New("store: the inbox's node id is not valid")
	}
	var running sync.WaitGroup
	for _, sub := range i.subscriptions {
		running.Go(func() { sub.run(ctx) })
	}
	running.Wait()
	i.wipe(context.WithoutCancel(ctx))
	return nil
}

// Ready is nil when every partition is subscribed, its connection answered lately and brings what is sent to it; otherwise
// it says what is missing.
func (i *Inbox) Ready() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.missing > 0 {
		return fmt.Errorf("store: %d of %d inbox subscriptions are not made", i.missing, len(i.subscriptions))
	}
	now := time.Now()
	for _, sub := range i.subscriptions {
		// A period more than what ends a connection: this is about one that is not even given up.
		if age := now.Sub(sub.heard); age > 3*i.store.opts.pingPeriod {
			return fmt.Errorf("store: an inbox connection did not answer for %v", age.Round(time.Millisecond))
		}
		if err := sub.overdue(now); err != nil {
			return err
		}
	}
	return nil
}

// WaitReady waits until every partition is subscribed, or returns why it gave up when ctx ends.
func (i *Inbox) WaitReady(ctx context.Context) error {
	for {
		i.mu.Lock()
		changed := i.changed
		i.mu.Unlock()
		err := i.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// setReady notes that a subscription is made, or lost.
func (i *Inbox) setReady(sub *subscription, ready bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	sub.heard = time.Now()
	if !ready || !sub.ready {
		sub.canaries.reset()
	}
	if sub.ready == ready {
		return
	}
	sub.ready = ready
	if ready {
		i.missing--
	} else {
		i.missing++
	}
	if i.missing == 0 {
		i.store.metrics.ready.Set(1)
	} else {
		i.store.metrics.ready.Set(0)
	}
	close(i.changed)
	i.changed = make(chan struct{})
}

// subscription is the part of an inbox that one connection carries.
type subscription struct {
	// Immutable.
	inbox     *Inbox
	channels  []string
	index     map[string]int // channel to partition
	published chan struct{}  // capacity 1: Redis has answered a canary

	// Guarded by inbox.mu.
	ready    bool
	heard    time.Time // when the connection last answered
	canaries canaries

	// Owned by run's goroutine.
	made int  // how often the subscription was made
	lost bool // it was lost, and is not made again yet
}

func newSubscription(i *Inbox, first, end int) *subscription {
	sub := &subscription{inbox: i, index: make(map[string]int, end-first), published: make(chan struct{}, 1)}
	for p := first; p < end; p++ {
		channel := i.store.partitions[p].inbox(i.node)
		sub.channels = append(sub.channels, channel)
		sub.index[channel] = p
	}
	return sub
}

// run makes the subscription again and again until ctx ends.
func (s *subscription) run(ctx context.Context) {
	st := s.inbox.store
	backoff := minBackoff
	for ctx.Err() == nil {
		made := s.made
		reason, err := s.session(ctx)
		if ctx.Err() == nil {
			s.lose()
		}
		s.inbox.setReady(s, false)
		if ctx.Err() != nil {
			return
		}
		st.metrics.reconnects.WithLabelValues(reason).Inc()
		st.log.warn("inbox "+reason, "an inbox subscription ended and is made again", "reason", reason, "error", err)
		st.router.refresh()
		if s.made > made {
			backoff = minBackoff
		}
		// Full jitter: the nodes of a cluster lose their subscriptions together and must not come back so.
		select {
		case <-ctx.Done():
		case <-time.After(minBackoff + time.Duration(chance().Int64N(int64(backoff)))):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// session subscribes over a new connection and delivers until that fails.
//
// A go-redis PubSub makes a new connection by itself when it meets an error, says nothing, and holds its lock for
// as long as that takes. A gap must not go unseen, so the connection is given up at its first error, and a context
// that has ended already keeps the PubSub from dialing: its methods look at the context when they dial alone. Nor does it read
// once it has subscribed: see [pushReader].
func (s *subscription) session(ctx context.Context) (reason string, err error) {
	st := s.inbox.store
	pubsub := st.client.Subscribe(ctx) // dials nothing yet
	tapping, tap := tapped(ctx)
	subscribing, done := context.WithTimeout(tapping, st.opts.DialTimeout+st.opts.WriteTimeout+st.opts.ReadTimeout)
	if st.opts.Mode == ModeCluster {
		err = pubsub.SSubscribe(subscribing, s.channels...)
	} else {
		err = pubsub.Subscribe(subscribing, s.channels...)
	}
	done()
	var conn net.Conn
	if err == nil {
		conn, err = tap.take()
	}
	if err != nil {
		_ = pubsub.Close()
		return reasonDial, err
	}
	noDial, cancel := context.WithCancel(ctx)
	cancel()
	ended, end := context.WithCancelCause(ctx)
	var pinging sync.WaitGroup
	var came atomic.Uint64 // what the connection brought, and what was taken of it
	pinging.Go(func() { watch(ended, end, noDial, pubsub, st.opts.pingPeriod, &came) })
	defer pinging.Wait()
	defer end(nil)
	pushes, confirmed := newPushReader(conn, &came), 0
	for {
		message, err := pushes.next()
		came.Add(1)
		if err != nil {
			if cause := context.Cause(ended); cause != nil {
				err = cause // it was given up
			}
			return reasonOf(err), err
		}
		switch message.kind {
		case pushMessage:
			s.deliver(message) //nolint:contextcheck // a span of another node is no context of this one
		case pushPong:
			if confirmed == len(s.channels) {
				s.inbox.setReady(s, true)
			}
		case pushEnded:
			// Redis Cluster ends sharded subscriptions of a slot that has moved away.
			return reasonMoved, errors.New("the server has ended the subscription")
		case pushSubscribed:
			if confirmed++; confirmed == len(s.channels) {
				s.begin()
				if !st.opts.noCanaries {
					pinging.Go(func() { s.probe(ended, end) })
				}
			}
		}
	}
}

// begin is called when every channel is subscribed.
func (s *subscription) begin() {
	s.made++
	if s.lost {
		s.lost = false
		s.each(s.inbox.OnResubscribed)
	}
	s.inbox.setReady(s, true)
}

// lose is called when a session has ended.
func (s *subscription) lose() {
	if s.made > 0 && !s.lost {
		s.lost = true
		s.each(s.inbox.OnLost)
	}
}

// each calls a hook for every partition of the subscription.
func (s *subscription) each(hook func(partition int)) {
	if hook == nil {
		return
	}
	for _, channel := range s.channels {
		hook(s.index[channel])
	}
}

func (s *subscription) deliver(message push) {
	st := s.inbox.store
	if bytes.HasPrefix(message.payload, []byte(canaryPrefix)) && s.canaryBack(string(message.payload)) == nil {
		return
	}
	partition, known := s.index[string(message.channel)]
	for record := range records(message.payload) {
		st.metrics.events.Inc()
		event, stamp, err := parseRecord(record)
		if err == nil && stamp != "" {
			event.Trail, err = st.arrived(&event, stamp)
		}
		if err != nil || !known {
			st.metrics.malformed.Inc()
			st.log.warn("malformed", "a message in the inbox is not a record", "bytes", len(message.payload))
			return
		}
		event.Partition = partition
		s.inbox.receiver.Deliver(event)
		poison(event.Body)
	}
}

// watch asks for PONGs, ends the connection when nothing comes for two periods, and closes it when ctx has ended: a read that
// waits sees nothing of a context.
func watch(ctx context.Context, end context.CancelCauseFunc, noDial context.Context, pubsub *redis.PubSub, period time.Duration, came *atomic.Uint64) {
	defer func() { _ = pubsub.Close() }()
	ticker := time.NewTicker(period / looksAPeriod)
	defer ticker.Stop()
	var before uint64
	for look, silent := 1, 0; ; look++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := came.Load()
		if silent++; now != before {
			before, silent = now, 0
		}
		if silent >= 2*looksAPeriod {
			end(errSilent)
			return
		}
		if look%looksAPeriod == 0 && pubsub.Ping(noDial) != nil {
			return
		}
	}
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, errCanary):
		return reasonCanary
	case errors.Is(err, errSilent):
		return reasonSilent
	}
	switch classify(err) {
	case classTimeout:
		return reasonSilent
	case classMoved:
		return reasonMoved
	case classDial:
		return reasonDial
	}
	_, isReply := errors.AsType[redis.Error](err)
	if _, isStrange := errors.AsType[pushError](err); isReply || isStrange {
		return reasonReply
	}
	return reasonClosed
}
