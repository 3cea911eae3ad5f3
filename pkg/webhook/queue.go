package webhook

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// queue is what one endpoint is still to be told of one partition. Owned by the worker of the partition.
type queue struct {
	name store.Queue
	// window is the beginning of the queue, in order, with what is under way.
	window []store.OutboxEntry
	last   string // the place of the last entry that was read
	length int    // of the whole queue when it was last read
	stale  bool   // there may be more than was read
	busy   bool   // a post is under way
	// skipped are rooms of which entries behind the window were passed over, as it was full of rooms that wait: all that is read of
	// them is passed over until the queue is read from its beginning.
	skipped map[string]bool
	// told are the places of what the endpoint has and that is still to be taken out of the queue in Redis.
	told map[string]bool
	// troubles are the rooms whose next events were not taken: they wait for their time, and then go by themselves, in order that
	// one room's events hold up no other's.
	troubles map[string]*trouble
}

type trouble struct {
	next  time.Time
	pause *backoff.ExponentialBackOff
}

// newQueue makes a queue of which nothing is known yet.
func newQueue(name store.Queue) *queue {
	return &queue{name: name, stale: true, skipped: make(map[string]bool), told: make(map[string]bool), troubles: make(map[string]*trouble)}
}

// take adds what was read; past the window only what is of rooms that do not wait.
func (q *queue) take(entries []store.OutboxEntry, length, asked int, past bool) {
	for _, entry := range entries {
		if entry.Event == nil || q.told[entry.Place] { // the first it was not when it was forwarded
			continue
		}
		room := entry.Event.Room.Name
		if q.skipped[room] || past && q.troubles[room] != nil {
			q.skipped[room] = true
			continue
		}
		q.window = append(q.window, entry)
	}
	if n := len(entries); n > 0 {
		q.last = entries[n-1].Place
	}
	q.length = length
	q.stale = len(entries) == asked
}

// after is the place behind which to read on.
func (q *queue) after() string {
	if len(q.window) == 0 {
		return "" // whatever is there was not told
	}
	return q.last
}

// next gives the events of the next post: of all rooms that have no trouble, or of one whose time has come.
func (q *queue) next(now time.Time, most int) []store.OutboxEntry {
	var batch []store.OutboxEntry
	passed, only := map[string]bool{}, ""
	for _, entry := range q.window {
		room := entry.Event.Room.Name
		t := q.troubles[room]
		switch {
		case len(batch) == most:
			return batch
		case passed[room] || only != "" && room != only:
			continue
		case t != nil && only == "" && (len(batch) > 0 || now.Before(t.next)):
			passed[room] = true
			continue
		case t != nil:
			only = room
		}
		batch = append(batch, entry)
	}
	return batch
}

// done takes entries out of the window.
func (q *queue) done(entries []store.OutboxEntry) {
	gone := make(map[string]bool, len(entries))
	for _, e := range entries {
		gone[e.Place] = true
	}
	q.window = slices.DeleteFunc(q.window, func(e store.OutboxEntry) bool { return gone[e.Place] })
	q.length = max(len(q.window), q.length-len(entries))
	if len(q.window) == 0 {
		q.stale = true
	}
}

// taken notes that the endpoint has what it was told of some rooms.
func (q *queue) taken(entries []store.OutboxEntry) {
	q.done(entries)
	for _, e := range entries {
		q.told[e.Place] = true
		delete(q.troubles, e.Event.Room.Name)
	}
}

// failed has the rooms of a post that was not taken wait, at least for a time that the endpoint has named.
func (q *queue) failed(entries []store.OutboxEntry, now time.Time, atLeast time.Duration, retry func() *backoff.ExponentialBackOff) {
	seen := map[string]bool{}
	for _, e := range entries {
		room := e.Event.Room.Name
		if seen[room] {
			continue
		}
		seen[room] = true
		t := q.troubles[room]
		if t == nil {
			t = &trouble{pause: retry()}
			q.troubles[room] = t
		}
		t.next = now.Add(max(t.pause.NextBackOff(), atLeast))
	}
}

// thin reports whether a room that was passed over has nothing more in the window.
func (q *queue) thin() bool {
	if len(q.skipped) == 0 {
		return false
	}
	there := make(map[string]bool, len(q.skipped))
	for _, e := range q.window {
		if room := e.Event.Room.Name; q.skipped[room] {
			there[room] = true
		}
	}
	return len(there) < len(q.skipped)
}

// rewind has the queue be read from its beginning. Nothing may be under way.
func (q *queue) rewind() {
	q.window, q.last, q.stale = nil, "", true
	clear(q.skipped)
}

// outlived gives the entries that have waited too long, in order: those of rooms in trouble, or with all where the endpoint takes
// nothing.
func (q *queue) outlived(before time.Time, all bool) []store.OutboxEntry {
	var old []store.OutboxEntry
	for _, e := range q.window {
		if !e.Since().Before(before) {
			break // as are all that follow
		}
		if all || q.troubles[e.Event.Room.Name] != nil {
			old = append(old, e)
		}
	}
	return old
}
