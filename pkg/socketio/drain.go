package socketio

// Retire is the beginning of the end: no session is opened any more, while those that are there go on. It gives them, to
// be moved one by one, and a channel that is closed when the last of them is gone. It must be called once, before Run
// ends.
func (s *Server) Retire() (present []*Session, empty <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty = make(chan struct{})
	for _, session := range s.sessions {
		present = append(present, session)
	}
	if len(present) == 0 {
		close(s.empty)
	}
	return present, s.empty
}

// Count tells how many sessions there are.
func (s *Server) Count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.sessions)
}

// Full reports whether a session would be refused now.
func (s *Server) Full() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.refuses()
}

// refuses reports whether no session can be opened. mu is held.
func (s *Server) refuses() bool {
	return s.ended || s.empty != nil || len(s.sessions) >= s.opts.Sessions
}

// Move ends the session so that its client comes back by itself, on another gateway. It reports false when it was over
// already.
func (s *Session) Move() bool {
	over := s.isOver()
	s.end(ReasonShutdown)
	return !over
}
