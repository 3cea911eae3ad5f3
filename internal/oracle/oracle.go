// Package oracle records what scripted clients of a cluster did and saw, and tells afterwards whether the cluster kept
// its word: capacity, one order, every acknowledged message once, every departure once, no ghosts, fair queues.
//
// A harness makes an [Oracle], a [Client] of it for each client of the cluster, and calls a method for whatever happens.
// Recording appends to a list and no more; [Oracle.Check] judges when the run is over. It is right about what can be
// known from outside, and silent about the rest:
//
//   - A client is entitled to what the room's numbers say it must have seen: from the snapshot that gave it its seat up to
//     the last number that it saw, or that [Look.Synced] vouched for. What a `resync` covers need not be delivered.
//   - What one member saw happened: it has one number in one epoch, and every member that was entitled saw it, whether its
//     sender had an answer or not. What the sender alone knows of, because its answer says so, must have reached them, too,
//     if the epoch of the answer is beyond doubt: the room was seen in this epoch before the sending and after the answer.
//   - Volatile messages may be missing. They have their place in the order all the same.
//
// So a harness ends a run like this: it heals all faults, waits until everything is quiet, asks for each client's snapshot
// of each room, and tells it with Synced. Without that the last events of a room could be lost unseen.
//
// Replies belong into the order of the events: record them from the callback of the client's Go method. A harness that
// makes blocking calls, and so records a reply some time after it came, sets [Options.Blocking].
package oracle

import (
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Options say how the harness records. The zero value is a harness that records replies in the order of the events.
type Options struct {
	// Blocking says that an acknowledged join may be recorded after events that came after it.
	Blocking bool
	// GhostAfter is how long after a session's end its seats may be seen: grace, lease and some time. 0: for ever.
	GhostAfter time.Duration
	// TwiceAfterLoss lets a message come again in another epoch: Redis lost its data, and with it what it knew of requests
	// that are sent again.
	TwiceAfterLoss bool
	// Rewinds lets a number of an epoch stand for two events, as Redis went back in time and nobody knew yet, and lets the first
	// of the two be lost, if all who were there from then on start over in another epoch.
	Rewinds bool
	// LateReturns says that a gateway may have been cut off while Redis had lost its data, and so put back the places of those who wait
	// after others were called. Then a place counts from when somebody has seen it.
	LateReturns bool
	// Now is the clock; [time.Now] if nil.
	Now func() time.Time
}

// Oracle is the record of one run. Its methods and those of its clients may be called from several goroutines at once.
type Oracle struct {
	opts Options

	mu      sync.Mutex
	records []record  // guarded by mu
	clients []*Client // guarded by mu
}

// New makes an empty record.
func New(opts Options) *Oracle {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Oracle{opts: opts}
}

// Client is one scripted client: one application that has one session after the other.
type Client struct {
	oracle *Oracle
	name   string
	sent   int // guarded by oracle.mu
}

// Client adds a client. The name is for people; it must be of its own, and fit in a JSON string as it is.
func (o *Oracle) Client(name string) *Client {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &Client{oracle: o, name: name}
	o.clients = append(o.clients, c)
	return c
}

// Name gives the client's name.
func (c *Client) Name() string { return c.name }

// kind is what a record tells.
type kind uint8

const (
	session kind = iota
	gone
	ending
	ended
	joinStarted
	joinAcked
	joinFailed
	leaveStarted
	leaveAcked
	leaveFailed
	sent
	acked
	failed
	event
	lookStarted
	looked
	synced
	unseated
	shaken
)

// record is one line of the history.
type record struct {
	kind   kind
	refuse bool // of failed: the refusal is certain
	at     time.Time
	client *Client
	room   string
	text   string // a session's id, an error, the id of a message that came
	seq    int64  // of acked and event
	body   wire.EventBody
	shot   *wire.Snapshot
	msg    *Message
	look   *Look
}

func (o *Oracle) note(r record) {
	r.at = o.opts.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.records = append(o.records, r)
}

func (c *Client) note(r record) {
	r.client = c
	c.oracle.note(r)
}

// Session notes that a hello was answered: under a new id where the earlier session could not be resumed. It comes before
// anything that the session did or saw.
func (c *Client) Session(id string) { c.note(record{kind: session, text: id}) }

// Gone notes that the answer to a resume says that a seat is no more. If the client takes it again by itself, a resync
// follows.
func (c *Client) Gone(room string) { c.note(record{kind: gone, room: room}) }

// Ending notes that the client is about to close its session, or is given up for dead.
func (c *Client) Ending() { c.note(record{kind: ending}) }

// Ended notes that the client has closed: nothing more can come.
func (c *Client) Ended() { c.note(record{kind: ended}) }

// Joining notes that a join is about to be sent.
func (c *Client) Joining(room string) { c.note(record{kind: joinStarted, room: room}) }

// Joined notes a join's outcome. An error is certain if it is a [*wire.Error] itself and not retryable; after any other
// the client may have the seat.
func (c *Client) Joined(room string, snapshot *wire.Snapshot, err error) {
	if err != nil {
		c.note(record{kind: joinFailed, room: room, text: err.Error(), refuse: certain(err)})
		return
	}
	c.note(record{kind: joinAcked, room: room, shot: snapshot, seq: snapshot.Seq})
}

// Leaving notes that a leave is about to be sent.
func (c *Client) Leaving(room string) { c.note(record{kind: leaveStarted, room: room}) }

// Left notes a leave's outcome.
func (c *Client) Left(room string, err error) {
	if err != nil {
		c.note(record{kind: leaveFailed, room: room, text: err.Error(), refuse: certain(err)})
		return
	}
	c.note(record{kind: leaveAcked, room: room})
}

// Event notes an event as the application got it.
func (c *Client) Event(e wire.Event) {
	if e.Body == nil || e.Room == "" {
		return
	}
	r := record{kind: event, room: e.Room, seq: e.Seq, body: e.Body}
	switch body := e.Body.(type) {
	case *wire.Message:
		r.text = idIn(body.Data)
		r.body = &wire.Message{From: body.From, Volatile: body.Volatile}
	case *wire.Signaled:
		r.text = idIn(body.Data)
		r.body = &wire.Signaled{From: body.From}
	case *wire.Resync:
		r.shot, r.seq = &body.Snapshot, body.Snapshot.Seq
	case *wire.Seated:
		r.shot, r.seq = &body.Snapshot, body.Snapshot.Seq
	}
	c.note(r)
}

// Look is one snapshot that a client asks for. Several may be under way: the answer to an earlier one may be as of a time before a
// later one began.
type Look struct {
	client *Client
	room   string
}

// Looking notes that a snapshot is about to be asked for.
func (c *Client) Looking(room string) *Look {
	look := &Look{client: c, room: room}
	c.note(record{kind: lookStarted, room: room, look: look})
	return look
}

// Saw notes the snapshot that was asked for.
func (l *Look) Saw(snapshot *wire.Snapshot) {
	l.client.note(record{kind: looked, room: l.room, shot: snapshot, seq: snapshot.Seq, look: l})
}

// Synced notes the snapshot, that the client got it while it had its seat, and that all events up to its number have had the time to
// arrive. An error that is certain says that it has no seat.
func (l *Look) Synced(snapshot *wire.Snapshot, err error) {
	switch {
	case err == nil:
		l.client.note(record{kind: synced, room: l.room, shot: snapshot, seq: snapshot.Seq, look: l})
	case certain(err):
		l.client.note(record{kind: unseated, room: l.room, text: err.Error()})
	}
}

// certain reports whether an error says that a request did not take effect. One that is wrapped may be how a connection
// ended.
func certain(err error) bool {
	refusal, ok := err.(*wire.Error) //nolint:errorlint // see above
	return ok && !refusal.Code.Retryable() && refusal.Code != outcomeUnknown
}

// outcomeUnknown is the code of a request that was sent again, and of which nobody knows what became of it.
const outcomeUnknown wire.Code = "outcome_unknown"

// Finding is one breach of what was promised.
type Finding struct {
	// Rule is the promise in a word: one of the Rule constants.
	Rule   string
	Room   string
	Epoch  string
	Seq    int64
	Client string
	Text   string
}

// The promises.
const (
	RuleCapacity = "capacity" // never more seats than the room has
	RuleOrder    = "order"    // one number for one event, the same for all, rising
	RuleLost     = "lost"     // who was entitled got it
	RuleTwice    = "twice"    // nobody got it twice
	RuleStranger = "stranger" // nobody else got it, and only what was sent
	RuleSeats    = "seats"    // joined, away, back and left alternate, and agree with the snapshots
	RuleGhost    = "ghost"    // seats end with their sessions
	RuleQueue    = "queue"    // seats go to those who wait, in order, and nobody is forgotten
)

func (f Finding) String() string {
	text := f.Rule + ": room " + f.Room
	if f.Epoch != "" {
		text += " epoch " + f.Epoch
	}
	if f.Seq > 0 {
		text += fmt.Sprintf(" seq %d", f.Seq)
	}
	if f.Client != "" {
		text += ", client " + f.Client
	}
	return text + ": " + f.Text
}
