package cluster

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// suspects are nodes that hold seats and are on no roster. A node gets on it before it takes a seat, and Redis notes the end
// of each lease, so there should be none. But Redis may lose a lease with its data, and carries out calls late: a node's
// seats would stay for ever if it died before its next beat, or had struck itself off. A suspect that is on no roster for a
// whole lease, of beats that go well, is given up as one whose lease has ended; a living one is on it again by then.
type suspects struct {
	mu    sync.Mutex
	since map[string]time.Time // when a node was first seen so; guarded by mu
}

// add notes those of the holders of seats that are not listed.
func (s *suspects) add(holders []string, listed func(string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range holders {
		if _, noted := s.since[id]; noted || listed(id) {
			continue
		}
		if s.since == nil {
			s.since = make(map[string]time.Time)
		}
		s.since[id] = time.Now()
	}
}

// check forgets those that are listed after all.
func (s *suspects) check(listed func(string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.since, func(id string, _ time.Time) bool { return listed(id) })
}

// reset forgets all: this node's own beats have failed, and who was suspected gets the time of a lease again.
func (s *suspects) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.since)
}

// due gives those that were noted a lease ago, in order.
func (s *suspects) due(lease time.Duration) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []string
	for id, since := range s.since {
		if time.Since(since) >= lease {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	return due
}

// clear forgets those that were dealt with.
func (s *suspects) clear(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.since, id)
	}
}
