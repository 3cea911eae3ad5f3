package socketio

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// The change from polling to WebSocket, seen from here:
//
//  1. the client opens a WebSocket with its session's id and sends a ping "probe", which gets a pong "probe";
//  2. the GET that waits is answered with a noop, and so is, a little later, one that comes yet, so that the client can
//     stop polling without losing an answer;
//  3. when its GET and its POST are done, the client sends an upgrade packet. All that waits, and all that comes, goes
//     by WebSocket then, and requests under this id are refused.
//
// Until the upgrade packet, polling goes on as ever, and whatever becomes of the WebSocket does not harm it.

// probe is what the ping and the pong of a WebSocket say that wants to take over.
const probe = "probe"

// serveUpgrade takes a WebSocket that comes with the id of a session, and leaves it to a goroutine of its own. Only one
// at a time is heard.
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	ws := s.server.accept(w, r, nil)
	if ws == nil {
		return
	}
	if !s.beginProbe(ws) {
		s.server.metrics.upgrades.WithLabelValues("refused").Inc()
		ws.close(websocket.ClosePolicyViolation, "the session has a WebSocket")
		s.server.release(ws)
		return
	}
	go s.serveProbe(ws)
}

// serveProbe has a WebSocket take over from polling, and serves it to its end.
func (s *Session) serveProbe(ws *webSocket) {
	defer s.server.release(ws)
	s.guard(func() {
		ws.until = time.Now().Add(s.server.opts.UpgradeTimeout)
		if !s.awaitProbe(ws) || !s.awaitUpgrade(ws) {
			s.server.metrics.upgrades.WithLabelValues("failed").Inc()
			s.endProbe(ws)
			ws.close(websocket.ClosePolicyViolation, "no upgrade")
			return
		}
		s.server.metrics.upgrades.WithLabelValues("done").Inc()
		ws.until = time.Time{}
		s.read(ws)
	})
}

// beginProbe notes who wants to take over, if anybody may.
func (s *Session) beginProbe(ws *webSocket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOpen || s.transport != TransportPolling || s.probe != nil {
		return false
	}
	s.probe = ws
	return true
}

// endProbe lets polling go on alone.
func (s *Session) endProbe(ws *webSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe == ws {
		s.probe, s.probed = nil, false
	}
}

// awaitProbe answers the probe, and lets go of the GET that waits.
func (s *Session) awaitProbe(ws *webSocket) bool {
	packet, err := s.nextPacket(ws)
	if err != nil || packet.Type != EnginePing || string(packet.Data) != probe {
		return false
	}
	s.mu.Lock()
	s.probed = true // before the client can know
	s.mu.Unlock()
	if ws.write(s.version, s.asText, []*outgoing{probePacket}) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.poll; p != nil && p.late == nil && len(s.queue.packets) == 0 {
		p.release(noopPacket)
		s.poll = nil
	}
	return s.phase != phaseEnded
}

// probePacket answers a probe.
var probePacket = newText(EnginePong, len(probe), func(b []byte) []byte { return append(b, probe...) })

// awaitUpgrade waits for the upgrade packet, and makes the WebSocket the session's transport. A POST that is being
// handled is let finish, so that nothing of it comes after what the WebSocket brings.
func (s *Session) awaitUpgrade(ws *webSocket) bool {
	packet, err := s.nextPacket(ws)
	if err != nil || packet.Type != EngineUpgrade {
		return false
	}
	s.handling.Lock()
	defer s.handled()
	s.mu.Lock()
	if s.phase == phaseEnded {
		s.mu.Unlock()
		return false
	}
	s.transport, s.ws = TransportWebSocket, ws
	s.probe, s.probed = nil, false
	if s.poll != nil {
		s.poll.refuse(refusedRequest) // the client should have waited for it
		s.poll = nil
	}
	closing := s.phase == phaseClosing
	if closing { // what is left is said here
		s.phase = phaseEnded
		s.heartbeat.timer.Stop()
		ws.farewell(ReasonForcedClose)
	} else {
		s.server.metrics.sessions.WithLabelValues(TransportPolling).Dec()
		s.server.metrics.sessions.WithLabelValues(TransportWebSocket).Inc()
	}
	s.startFlush()
	s.mu.Unlock()
	if closing {
		s.server.forget(s)
	} else {
		s.heard(packet.Type)
	}
	return true
}

func (s *Session) nextPacket(ws *webSocket) (EnginePacket, error) {
	message, binary, err := ws.next()
	if err != nil {
		return EnginePacket{}, err
	}
	return DecodeEngine(s.version, binary, message)
}
