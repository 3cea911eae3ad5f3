package session

import (
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// roster knows the sessions that are on connections, so that a gateway that ends can have them move one by one. Sessions
// that were attached are not on it: whoever has their transport moves them.
type roster struct {
	mu      sync.Mutex
	present map[*Session]struct{}
	retired bool
	empty   chan struct{} // closed when nobody is present any more after retired
}

func newRoster() *roster {
	return &roster{present: make(map[*Session]struct{}), empty: make(chan struct{})}
}

// add puts a session on the roster. It reports false when it came too late.
func (r *roster) add(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retired {
		return false
	}
	r.present[s] = struct{}{}
	return true
}

// remove takes a session off, as the last thing of it.
func (r *roster) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.present[s]; !ok {
		return
	}
	delete(r.present, s)
	if r.retired && len(r.present) == 0 {
		close(r.empty)
	}
}

// Retire is the beginning of the end: it gives the sessions that are there, to be moved one by one, and a channel that is
// closed when the last of them has ended. One that comes later, from a handshake that was under way, is closed at once
// with [wire.CloseMoved]. It must be called once.
func (s *Server) Retire() (present []*Session, empty <-chan struct{}) {
	r := s.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired = true
	for session := range r.present {
		present = append(present, session)
	}
	if len(present) == 0 {
		close(r.empty)
	}
	return present, r.empty
}

// Count tells how many sessions are on connections, those before their hello included.
func (s *Server) Count() int {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	return len(s.roster.present)
}

// GoAway tells the client to move to another gateway after a time, and when it is closed if it has not. A client that
// has not got its welcome yet has nothing to lose here and is closed at once.
func (s *Session) GoAway(retryAfter, deadline time.Duration) {
	s.mu.Lock()
	welcomed := s.welcomed
	s.mu.Unlock()
	if !welcomed {
		s.Move()
		return
	}
	s.queue.Deliver(wire.MessageFrame(&wire.GoAway{RetryAfter: retryAfter.Milliseconds(), Deadline: deadline.Milliseconds()}))
}

// Move closes the session with [wire.CloseMoved]. It reports false when the session was ending anyway.
func (s *Session) Move() bool {
	before := s.queue.ended()
	s.queue.Close(wire.CloseMoved, movedReason)
	s.release()
	return !before
}

// greeted notes that the welcome is on its way: events that come behind it have a meaning to the client.
func (s *Session) greeted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.welcomed = true
}
