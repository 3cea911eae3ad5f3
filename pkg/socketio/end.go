package socketio

import (
	"time"

	"github.com/gorilla/websocket"
)

// orderly tells the ends before which a client gets what waits for it.
func (r Reason) orderly() bool { return r == ReasonForcedClose || r == ReasonShutdown }

// closeCode is what a WebSocket is closed with. Clients treat all codes alike: they come back.
func (r Reason) closeCode() int {
	switch r {
	case ReasonShutdown:
		return websocket.CloseGoingAway
	case ReasonParseError:
		return websocket.CloseUnsupportedData
	case ReasonSlow, ReasonConnectTimeout, ReasonPingTimeout:
		return websocket.ClosePolicyViolation
	case ReasonInternal:
		return websocket.CloseInternalServerErr
	}
	return websocket.CloseNormalClosure
}

// end ends the session. Only the first call has a reason, a later one can still end the wait for a last GET.
func (s *Session) end(reason Reason) {
	s.mu.Lock()
	before := s.phase
	if before == phaseEnded || before == phaseClosing && reason == ReasonForcedClose {
		s.mu.Unlock()
		return
	}
	s.phase = phaseEnded
	if !reason.orderly() {
		s.drop()
	}
	if s.transport == TransportPolling {
		s.endPolling(before, reason)
	} else {
		s.ws.farewell(reason)
		s.startFlush()
	}
	ended := s.phase == phaseEnded
	if s.probe != nil && (ended || !s.probed) {
		s.probe.abort()
	}
	if ended {
		s.heartbeat.timer.Stop()
	}
	transport := s.transport
	s.mu.Unlock()

	if before == phaseOpen {
		s.server.metrics.sessions.WithLabelValues(transport).Dec()
		s.server.metrics.closed[reason].Inc()
		s.logger().Debug("session ended", "reason", string(reason), "transport", transport)
		s.server.running.Add(1) // beside the session's own, so never from zero
		s.run(func() {
			defer s.server.running.Done()
			s.handler.close(reason)
		})
	}
	if ended {
		s.server.forget(s)
	}
}

// crossing is how long the GET of a client that has closed its session by POST may take to arrive: the two requests go
// by connections of their own.
const crossing = 50 * time.Millisecond

// endPolling answers the GET that waits: with a noop a client that closes the session itself, else with a close packet.
// What the next GET has to fetch, or the WebSocket that is about to take over, is left to it. mu is held.
func (s *Session) endPolling(before phase, reason Reason) {
	last, wait := closePacket, time.Duration(0)
	switch reason {
	case ReasonTransportClose:
		last, wait = noopPacket, crossing
	case ReasonForcedClose:
		wait = s.server.opts.CloseTimeout
	}
	waiting := s.queue.take()
	if p := s.poll; p != nil {
		s.poll = nil
		if reason != ReasonForcedClose || len(waiting) == 0 {
			p.release(append(waiting, last)...)
			return
		}
		// A client takes a close packet before the DISCONNECT that is in front of it in the same answer, and comes back.
		p.release(waiting...)
		waiting = nil
	}
	if wait == 0 || before != phaseOpen {
		s.server.metrics.dropped.Add(float64(len(waiting)))
		return
	}
	s.queue.packets, s.queue.last = waiting, last
	s.phase = phaseClosing
	s.heartbeat.timer.Reset(wait)
}

// drop forgets what waits. mu is held.
func (s *Session) drop() { s.server.metrics.dropped.Add(float64(len(s.queue.take()))) }
