// Package oracle judges while a load runs whether the servers kept their word: nothing lost, nothing double, in order, never
// more seats than a room has. It keeps no history, so that it can look at every message of a saturating load.
package oracle

import (
	"fmt"
	"sync"
)

// Rule is one promise.
type Rule string

// The promises.
const (
	Lost     Rule = "lost"     // who was entitled got it
	Double   Rule = "double"   // nobody got it twice
	Order    Rule = "order"    // one sender's messages, and a room's numbers, rise
	Stranger Rule = "stranger" // nobody got what was not for them
	Capacity Rule = "capacity" // never more seats than the room has
	Short    Rule = "short"    // no seat refused that was free
)

// Violation is one breach.
type Violation struct {
	Rule Rule   `json:"rule"`
	Text string `json:"text"`
}

// examples are how many violations are kept with their texts.
const examples = 20

// Oracle collects the violations of one run. Its methods may be called from several goroutines.
type Oracle struct {
	mu     sync.Mutex
	counts map[Rule]int64 // guarded by mu
	first  []Violation    // guarded by mu
	rooms  map[string]int // seats that are taken for certain; guarded by mu
}

// New makes an oracle that knows of nothing yet.
func New() *Oracle {
	return &Oracle{counts: map[Rule]int64{}, rooms: map[string]int{}}
}

// Breach notes a violation.
func (o *Oracle) Breach(rule Rule, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.breach(rule, 1, format, args...)
}

func (o *Oracle) breach(rule Rule, n int64, format string, args ...any) {
	o.counts[rule] += n
	if len(o.first) < examples {
		o.first = append(o.first, Violation{Rule: rule, Text: fmt.Sprintf(format, args...)})
	}
}

// Counts gives the number of violations of each rule that was broken.
func (o *Oracle) Counts() map[Rule]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := make(map[Rule]int64, len(o.counts))
	for rule, n := range o.counts {
		counts[rule] = n
	}
	return counts
}

// Examples gives the first violations.
func (o *Oracle) Examples() []Violation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Violation(nil), o.first...)
}

// Seated notes that a join was answered with a seat, in a room of so many; 0 is without a limit. Call Leaving before a leave
// is sent: in between the seat is taken for certain, so that what is counted is at most what the server has given.
func (o *Oracle) Seated(room string, capacity int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rooms[room]++
	if taken := o.rooms[room]; capacity > 0 && taken > capacity {
		o.breach(Capacity, 1, "room %s has %d seats, and %d have one", room, capacity, taken)
	}
}

// Leaving notes that a seat is about to be given up.
func (o *Oracle) Leaving(room string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rooms[room]--; o.rooms[room] <= 0 {
		delete(o.rooms, room)
	}
}

// Raced judges a room for which more wanted a seat than there are, once all have their answer.
func (o *Oracle) Raced(room string, capacity, wanted int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if taken, want := o.rooms[room], min(capacity, wanted); taken < want {
		o.breach(Short, 1, "room %s has %d seats, %d wanted one, and %d have one", room, capacity, wanted, taken)
	}
}
