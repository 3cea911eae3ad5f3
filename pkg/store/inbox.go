package store

import "context"

// Event is what happened in a room, as a node's inbox receives it.
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
	// Body is the event's JSON object without seq, starting with {"type":". The receiver owns it.
	Body []byte
}

// Receiver takes the events of a node's inbox.
type Receiver interface {
	// Deliver takes one event and must not block. It is called from one goroutine per subscription
	// connection, in order for each partition. An event may be lost with a connection and a later step's
	// replay may deliver one twice: compare Epoch and Seq.
	Deliver(Event)
}

// Inbox is one node's subscription to all its inbox channels, one per partition.
type Inbox struct {
	// OnResubscribed, if set before Run, is called when a partition's subscription was made again: events may
	// have been lost before this instant. Called from the goroutine that calls Deliver for the partition.
	OnResubscribed func(partition int)
}

// Inbox makes the node's inbox. It receives nothing before its Run.
func (s *Store) Inbox(node string, r Receiver) *Inbox { return nil }

// Run subscribes, delivers until ctx ends and then returns nil. It re-subscribes for ever when Redis fails.
// It must be called once.
func (i *Inbox) Run(ctx context.Context) error { return nil }

// Ready is nil when every partition is subscribed and its connection answered lately; otherwise it says what
// is missing.
func (i *Inbox) Ready() error { return nil }

// WaitReady waits until Ready is nil or ctx ends.
func (i *Inbox) WaitReady(ctx context.Context) error { return nil }
