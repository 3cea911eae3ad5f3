package socketio

import "time"

// heartbeat is when a session pings and when it ends for silence. In version 4 the server pings, PingInterval after the
// handshake or the last pong, and waits PingTimeout for the pong, or for anything: the pong of a client that has sent
// much stands behind it. In version 3 the client pings, and any packet is a sign of life. A session whose handler runs is
// not silent: it is the server that does not listen. All goes on unchanged when the session changes its transport.
type heartbeat struct {
	timer    *time.Timer
	pingAt   time.Time // zero while a pong is awaited, and in version 3
	deadline time.Time
}

// startHeartbeat is called with mu held.
func (s *Session) startHeartbeat(now time.Time) {
	h := &s.heartbeat
	h.deadline = now.Add(s.server.opts.PingInterval + s.server.opts.PingTimeout)
	next := h.deadline
	if s.version == Version4 {
		h.pingAt = now.Add(s.server.opts.PingInterval)
		next = h.pingAt
	}
	if h.timer == nil {
		h.timer = time.AfterFunc(next.Sub(now), s.beat)
	} else {
		h.timer.Reset(next.Sub(now))
	}
}

// heard notes a sign of life that counts for more than having been handled: see listened.
func (s *Session) heard(t EngineType) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase != phaseOpen:
	case s.version == Version3: // the timer finds out when it fires, instead of being set with every packet
		s.heartbeat.deadline = now.Add(s.server.opts.PingInterval + s.server.opts.PingTimeout)
	case t == EnginePong:
		s.startHeartbeat(now)
	}
}

// beat is what the timer calls.
func (s *Session) beat() {
	now := time.Now()
	s.mu.Lock()
	h := &s.heartbeat
	switch {
	case s.phase == phaseEnded:
		s.mu.Unlock()
	case s.phase == phaseClosing: // CloseTimeout is over
		s.mu.Unlock()
		s.end(ReasonTransportError)
	case !now.Before(h.deadline):
		s.mu.Unlock()
		s.endUnlessHandling(now)
	case !h.pingAt.IsZero() && !now.Before(h.pingAt):
		h.pingAt = time.Time{}
		h.timer.Reset(h.deadline.Sub(now))
		s.mu.Unlock()
		s.send(pingPacket)
	case !h.pingAt.IsZero():
		h.timer.Reset(h.pingAt.Sub(now))
		s.mu.Unlock()
	default:
		h.timer.Reset(h.deadline.Sub(now))
		s.mu.Unlock()
	}
}

// listened is called when a packet was handled, with handling held: what the client has sent meanwhile is only read now.
func (s *Session) listened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extend(time.Now())
}

// extend gives the client at least PingTimeout from now. mu is held.
func (s *Session) extend(now time.Time) {
	if soonest := now.Add(s.server.opts.PingTimeout); soonest.After(s.heartbeat.deadline) {
		s.heartbeat.deadline = soonest
	}
}

// endUnlessHandling ends a session that was silent, unless one of its handlers runs, behind which a sign of life may wait.
func (s *Session) endUnlessHandling(now time.Time) {
	idle := s.handling.TryLock()
	if idle {
		defer s.handled()
	}
	s.mu.Lock()
	if !idle {
		s.extend(now)
	}
	left := s.heartbeat.deadline.Sub(now)
	if left > 0 && s.phase == phaseOpen { // also when a handler has ended since the timer fired
		s.heartbeat.timer.Reset(left)
	}
	s.mu.Unlock()
	if left <= 0 {
		s.end(ReasonPingTimeout)
	}
}

// endIfSilent ends a session whose time is over already, though its timer may be a little late: who comes that late is
// to find it gone.
func (s *Session) endIfSilent() {
	now := time.Now()
	s.mu.Lock()
	silent := s.phase == phaseOpen && !s.heartbeat.deadline.IsZero() && !now.Before(s.heartbeat.deadline)
	s.mu.Unlock()
	if silent {
		s.endUnlessHandling(now)
	}
}
