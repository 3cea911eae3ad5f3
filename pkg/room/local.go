package room

import (
	"bytes"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// local is a room as this node knows it: its own seats, how far it has followed the room's events, and what it has to know
// to make the room again should Redis lose it. Guarded by its shard's lock.
type local struct {
	room      store.Room
	partition int
	seats     map[string]*seat // by peer id

	// epoch is the room's present life, "" before the first snapshot, and before the one that it had then: events of that
	// one may still come, and are void.
	epoch, before string
	// last is the number of the last event of the epoch that has reached this node, or of its first snapshot.
	last int64
	// first is the number of the snapshot that the node follows the room from, and behind, unless it is 0, that of an older
	// one which a seat goes on from: what is between the two may not have come to this node.
	first, behind int64
	mark          mark
	view          view

	// state is whether events go to the seats as they come, or wait for what was missed before them.
	state   following
	now     atomic.Int32 // state, for those who have no lock
	answers answers
	ticket  int // rises with each change of state: answers for an earlier one are void
	repairs int // in a row, without an end
	// unsure is set when events may have been missed before the first snapshot's answer came: those that come wait for it.
	unsure bool
	// forked is set when the log turned out to have other events than this node has seen: the room is to get another epoch.
	forked bool
	// lost is set when Redis is known to have lost data of the room: seats that are missing were not taken away.
	lost    bool
	waiting *backlog // nil when there is nothing
}

// following is how a node follows a room's events.
type following int

const (
	// whole: every event comes, in order.
	whole following = iota
	// broken: the subscription is lost. Events may be missing until it is made again.
	broken
	// catching: the log is asked for what was missed.
	catching
	// repairing: what is known of the room is void. The node's seats are put back, and all start over from a snapshot.
	repairing
)

// mark remembers the last event of a room's log that has reached this node, or that Redis has vouched for in its answer to
// a peer of this node: if the log has another one in its place, or none, Redis has gone back in time. The answer counts
// because a Redis that dies may have sent it, and not the event, which then no node has seen.
type mark struct {
	seq  int64
	hash uint64
}

var markSeed = maphash.MakeSeed()

func hashOf(event *store.Event) uint64 { return hashOfBody(event.Body) }

func hashOfBody(body []byte) uint64 { return maphash.Bytes(markSeed, body) }

// answers keeps the last event of this node's peers that Redis has given a number, until it is compared with what comes by the
// subscription. It has a lock of its own: answers come on the goroutine that all requests go through.
type answers struct {
	mu   sync.Mutex
	last mark
	// doubted are those that came while events were missing, the earliest maxDoubted of them: some may be of a Redis that
	// has gone back in time, and so none takes the place of what is known from before.
	doubted []mark
}

// maxDoubted is more than a node's peers are answered in one room until Redis has answered the question what is missing.
const maxDoubted = 256

func (a *answers) add(seq int64, hash uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if seq > a.last.seq {
		a.last = mark{seq: seq, hash: hash}
	}
}

func (a *answers) doubt(seq int64, hash uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.doubted) < maxDoubted {
		a.doubted = append(a.doubted, mark{seq: seq, hash: hash})
	}
}

// takeDoubted gives the doubted ones, which are to be compared with the log.
func (a *answers) takeDoubted() []mark {
	a.mu.Lock()
	defer a.mu.Unlock()
	doubted := a.doubted
	a.doubted = nil
	return doubted
}

// forget is called when the room has another epoch, in which the numbers stand for something else.
func (a *answers) forget() {
	a.take()
	a.takeDoubted()
}

func (a *answers) take() mark {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.last
	a.last = mark{}
	return last
}

// contradicts reports whether an event has the number of the marked one and is another.
func (m mark) contradicts(seq int64, hash uint64) bool { return seq == m.seq && hash != m.hash }

// isAnother reports whether an event has the number of the marked one, and is not the same.
func (l *local) isAnother(event *store.Event) bool {
	return !event.Volatile && event.Seq == l.mark.seq && l.mark.contradicts(event.Seq, hashOf(event))
}

// view is what the room is like.
type view struct {
	capacity   int
	version    int64
	locked     bool
	presenter  string
	spotlight  []byte
	properties store.State
	created    time.Time
	hooks      string // see [store.Snapshot]
	rules      string // likewise
}

// pass moves to another state.
func (l *local) pass(to following) int {
	l.state = to
	l.now.Store(int32(to))
	l.ticket++
	return l.ticket
}

// hold keeps an event until it is known what comes before it.
func (l *local) hold(event store.Event) {
	if l.waiting == nil {
		l.waiting = new(backlog)
	}
	if !l.waiting.overrun {
		event.Body = bytes.Clone(event.Body)
	}
	l.waiting.add(event)
}

// backlog is events that wait, in order.
type backlog struct {
	events []store.Event
	bytes  int
	// overrun is set when there were too many: from then on none is kept, for it would follow a gap.
	overrun bool
}

// maxWaiting and maxWaitingBytes bound the events that wait for a join's reply, or in a room for what was missed before them.
// Redis answers within seconds, or what they wait for fails.
const (
	maxWaiting      = 4096
	maxWaitingBytes = 4 << 20
)

// add keeps an event, whose body is a copy: the store's own is valid for a moment only.
func (b *backlog) add(event store.Event) {
	b.bytes += len(event.Body)
	if b.overrun = b.overrun || len(b.events) == maxWaiting || b.bytes > maxWaitingBytes; !b.overrun {
		b.events = append(b.events, event)
	}
}

// put adds events in front, whatever their number.
func (b *backlog) put(events []store.Event) {
	b.events = append(events, b.events...)
	for i := range events {
		b.bytes += len(events[i].Body)
	}
}

// void removes the events of other epochs among the first ones: they came before a snapshot was asked for that is not of their
// epoch. Were they taken for those of a life to come, the room would be put right again for ever.
func (b *backlog) void(first int, epoch string) {
	if b == nil {
		return
	}
	kept := slices.DeleteFunc(b.events[:first:first], func(event store.Event) bool { return event.Epoch != epoch })
	b.events = append(kept, b.events[first:]...)
}

// overran reports whether events were dropped.
func (b *backlog) overran() bool { return b != nil && b.overrun }

// all gives the events that wait.
func (b *backlog) all() []store.Event {
	if b == nil {
		return nil
	}
	return b.events
}

// witness compares what answers said with what came, and reports whether one contradicts the other.
func (l *local) witness() bool {
	said := l.answers.take()
	if said.seq > l.mark.seq {
		l.mark = said
		return false
	}
	return said.seq > 0 && l.mark.contradicts(said.seq, said.hash)
}

// learn takes what a snapshot says of the room.
func (l *local) learn(snapshot *store.Snapshot) {
	if l.epoch != snapshot.Epoch {
		l.before, l.epoch = l.epoch, snapshot.Epoch
		l.last, l.mark, l.view = snapshot.Seq, mark{}, view{}
		l.first, l.behind = snapshot.Seq, 0
		l.answers.forget()
	}
	if snapshot.Version >= l.view.version {
		l.view = view{
			capacity: snapshot.Capacity, version: snapshot.Version, locked: snapshot.Locked, presenter: snapshot.Presenter,
			spotlight: snapshot.Spotlight, properties: snapshot.Properties, created: snapshot.Created,
			hooks: snapshot.Hooks, rules: snapshot.Rules,
		}
	}
}

// note takes what an event of the present epoch says.
func (l *local) note(event *store.Event) {
	if event.Seq <= l.last {
		return
	}
	l.last = event.Seq
	if !event.Volatile && event.Seq > l.mark.seq {
		l.mark = mark{seq: event.Seq, hash: hashOf(event)}
	}
	switch wire.Type(event.Type) {
	case wire.TypeRoom, wire.TypeState, wire.TypeControl:
	default:
		return
	}
	_, decoded, err := wire.DecodeServer(event.Body)
	if err != nil || decoded == nil {
		return
	}
	switch body := decoded.Body.(type) {
	case *wire.RoomChanged:
		l.view.change(body)
	case *wire.StateChanged:
		if st := l.seats[body.Peer]; st != nil {
			st.merge(body.State)
		}
	case *wire.Controlling:
		l.control(body)
	}
}

// control notes what moderators do to the states of this node's peers.
func (l *local) control(c *wire.Controlling) {
	if c.Action != wire.ActionMute && c.Action != wire.ActionUnmute {
		return
	}
	key, value := wire.StateMutedAudio, []byte("true")
	if c.Kind == wire.KindVideo {
		key = wire.StateMutedVideo
	}
	if c.Action == wire.ActionUnmute {
		value = []byte("null")
	}
	for peer, st := range l.seats {
		if peer == c.To || c.To == "" && peer != c.By {
			st.merge(wire.Object{key: value})
		}
	}
}

// change applies a room event.
func (v *view) change(c *wire.RoomChanged) {
	if c.Version <= v.version {
		return
	}
	v.version = c.Version
	if c.Capacity != nil {
		v.capacity = *c.Capacity
	}
	if c.Locked != nil {
		v.locked = *c.Locked
	}
	if c.Presenter != nil {
		v.presenter = *c.Presenter
	}
	if c.Spotlight != nil {
		v.spotlight = bytes.Clone(c.Spotlight)
	}
	v.properties = merged(v.properties, store.State(c.Properties))
}

// merged gives a state with a change: null removes a key. It changes neither.
func merged(state, change store.State) store.State {
	if len(change) == 0 {
		return state
	}
	result := make(store.State, len(state)+len(change))
	maps.Copy(result, state)
	for key, value := range change {
		if bytes.Equal(value, []byte("null")) {
			delete(result, key)
		} else {
			result[key] = bytes.Clone(value)
		}
	}
	return result
}
