package socketio

// queue holds what waits for one client.
type queue struct {
	packets  []*outgoing
	bytes    int
	last     *outgoing // on polling: what a GET gets when nothing else waits, and then the session is over
	flushing bool      // a goroutine writes to the WebSocket
	over     bool      // too much has waited: nothing is taken any more
}

func (q *queue) add(packet *outgoing) {
	q.packets = append(q.packets, packet)
	q.bytes += packet.size()
}

// take empties the queue.
func (q *queue) take() []*outgoing {
	packets := q.packets
	q.packets, q.bytes = nil, 0
	return packets
}

// send queues packets together. It does not block. With more than may wait the session is ended.
func (s *Session) send(packets ...*outgoing) {
	opts := &s.server.opts
	s.mu.Lock()
	if s.phase != phaseOpen || s.queue.over {
		s.mu.Unlock()
		s.server.metrics.dropped.Add(float64(len(packets)))
		return
	}
	for _, packet := range packets {
		s.queue.add(packet)
	}
	full := len(s.queue.packets) > opts.QueuePackets || s.queue.bytes > opts.QueueBytes
	if s.transport == TransportPolling {
		s.poll.wake()
	} else {
		s.startFlush()
	}
	s.mu.Unlock()
	if full {
		s.overflow()
	}
}

// overflow ends the session, as more waits for it than may. It does so on another goroutine: who sends may hold what the
// handlers of the end want.
func (s *Session) overflow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOpen || s.queue.over {
		return
	}
	s.queue.over = true
	s.drop()
	s.logger().Info("client is too slow", "waiting_packets", s.server.opts.QueuePackets, "waiting_bytes", s.server.opts.QueueBytes)
	s.server.running.Go(func() { s.end(ReasonSlow) }) // the session itself is counted, so this is never from zero
}

// startFlush has what waits written to the WebSocket, by a goroutine that lives only as long as there is something.
// There is never a delay to collect more: what comes while a write is under way makes the next batch. mu is held.
func (s *Session) startFlush() {
	if !s.queue.flushing {
		s.queue.flushing = true
		s.server.running.Go(s.flush) // the session itself is counted, so this is never from zero
	}
}

func (s *Session) flush() {
	for {
		s.mu.Lock()
		packets := s.queue.take()
		if len(packets) == 0 {
			s.queue.flushing = false
			over := s.phase == phaseEnded
			s.mu.Unlock()
			if over {
				s.ws.goodbye()
			}
			return
		}
		s.mu.Unlock()
		if err := s.ws.write(s.version, s.asText, packets); err != nil {
			s.server.metrics.dropped.Add(float64(len(packets)))
			s.ws.abort()
			s.end(ReasonTransportError)
			continue
		}
		s.server.metrics.sent.Add(float64(len(packets)))
	}
}
