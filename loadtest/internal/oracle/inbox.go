package oracle

import "sync"

// Inbox is what one receiver has had of one stream: the messages of one sender, numbered from 0 on. Its methods may be
// called from several goroutines.
type Inbox struct {
	oracle *Oracle
	name   string

	mu    sync.Mutex
	next  uint32              // all below have come; guarded by mu
	ahead map[uint32]struct{} // those above next that have come; guarded by mu
	got   int64               // guarded by mu
}

// Inbox makes the record of one receiver of one stream. The name is for people.
func (o *Oracle) Inbox(name string) *Inbox { return &Inbox{oracle: o, name: name} }

// Got notes that a message has come, and reports whether it is a new one.
func (i *Inbox) Got(seq uint32) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, again := i.ahead[seq]
	switch {
	case seq < i.next || again:
		i.oracle.Breach(Double, "%s: message %d came again", i.name, seq)
		return false
	case seq > i.next:
		// Whether those in between come late or never is not known yet.
		if i.ahead == nil {
			i.ahead = map[uint32]struct{}{}
		}
		i.ahead[seq] = struct{}{}
	default:
		if len(i.ahead) > 0 {
			i.oracle.Breach(Order, "%s: message %d came after a later one", i.name, seq)
		}
		for i.next++; ; i.next++ {
			if _, ok := i.ahead[i.next]; !ok {
				break
			}
			delete(i.ahead, i.next)
		}
	}
	i.got++
	return true
}

// Count is how many different messages have come.
func (i *Inbox) Count() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.got
}

// End judges the stream when so many messages were sent and nothing more can come.
func (i *Inbox) End(sent uint32) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if missing := int64(sent) - i.got; missing > 0 {
		i.oracle.mu.Lock()
		defer i.oracle.mu.Unlock()
		i.oracle.breach(Lost, missing, "%s: %d of %d messages did not come, the first of them is %d", i.name, missing, sent, i.next)
	}
}

// Ledger holds the members of one room to one order, where the server numbers its messages.
type Ledger struct {
	oracle *Oracle
	room   string

	mu      sync.Mutex
	entries []entry // by number; guarded by mu
}

type entry struct {
	number  int64
	message uint64
}

// Ledger makes the record of one room, in which members are held against each other for so many of its last numbers.
func (o *Oracle) Ledger(room string, size int) *Ledger {
	return &Ledger{oracle: o, room: room, entries: make([]entry, size)}
}

// Numbered notes that a member got a message under a number; last is the number that it had before. It gives the number
// for the next call.
func (l *Ledger) Numbered(last, number int64, stream, seq uint32) int64 {
	if number <= last {
		l.oracle.Breach(Order, "room %s: number %d came after %d", l.room, number, last)
		return last
	}
	message := uint64(stream)<<32 | uint64(seq)
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := &l.entries[number%int64(len(l.entries))]
	switch {
	case slot.number < number:
		*slot = entry{number, message}
	case slot.number == number && slot.message != message:
		l.oracle.Breach(Order, "room %s: number %d is message %d of stream %d for one member and another for others", l.room, number, seq, stream)
	}
	return number
}
