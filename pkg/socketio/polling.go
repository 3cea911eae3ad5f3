package socketio

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// poll is a GET that waits.
type poll struct {
	woken chan struct{} // has something when there is something to look at
	late  *time.Timer   // nil unless the GET has come while the client is about to change to a WebSocket

	// guarded by the session's mu
	answer *pollAnswer // what the GET is to be answered with; nil to take what waits
}

// pollAnswer is packets or a refusal.
type pollAnswer struct {
	packets []*outgoing
	refused *refusal
}

// wake has the GET look at what there is. It may be nil.
func (p *poll) wake() {
	if p == nil {
		return
	}
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// release has the GET answered with packets.
func (p *poll) release(packets ...*outgoing) {
	p.answer = &pollAnswer{packets: packets}
	p.wake()
}

// refuse has the GET answered with an error.
func (p *poll) refuse(refused *refusal) {
	p.answer = &pollAnswer{refused: refused}
	p.wake()
}

// serveGet answers with what waits for the client, as soon as there is something. A session has one GET at a time.
func (s *Session) serveGet(w http.ResponseWriter, r *http.Request) {
	p := &poll{woken: make(chan struct{}, 1)}
	refused := s.wait(p)
	if refused == nil && s.server.letWait(w) != nil {
		s.abandon(p)
		refused = refusedRequest
	}
	if refused != nil {
		s.server.refuse(w, refused, false)
		return
	}
	if p.late != nil {
		defer p.late.Stop()
	}
	for {
		answer := s.takeFor(p)
		switch {
		case answer == nil:
		case answer.refused != nil:
			s.server.refuse(w, answer.refused, false)
			return
		default:
			if err := s.answerGet(w, answer.packets); err != nil {
				s.logger().Debug("answer not written", "error", err)
				s.end(ReasonTransportError)
			}
			return
		}
		select {
		case <-p.woken:
		case <-r.Context().Done():
			s.abandon(p)
			return
		}
	}
}

// wait makes p the GET that waits.
func (s *Session) wait(p *poll) *refusal {
	s.endIfSilent()
	s.mu.Lock()
	switch {
	case s.phase == phaseEnded:
		s.mu.Unlock()
		return refusedSession
	case s.transport != TransportPolling:
		s.mu.Unlock()
		return refusedRequest
	case s.poll != nil:
		s.mu.Unlock()
		s.end(ReasonTransportError)
		return refusedRequest
	}
	s.poll = p
	if s.probed {
		p.late = time.AfterFunc(lateNoop, func() { s.releaseLate(p) })
	}
	s.mu.Unlock()
	return nil
}

// lateNoop is how long a GET waits that comes when the client is told already that it may change to a WebSocket. It
// may have crossed the answer to the probe, or even the upgrade packet, which would have to refuse it.
const lateNoop = 50 * time.Millisecond

// releaseLate answers a GET that has come so late with a noop, unless something else was quicker.
func (s *Session) releaseLate(p *poll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == p && len(s.queue.packets) == 0 {
		p.release(noopPacket)
		s.poll = nil
	}
}

// takeFor gives what to answer p with, or nil when it has to wait.
func (s *Session) takeFor(p *poll) *pollAnswer {
	s.mu.Lock()
	answer := p.answer
	over := false
	switch {
	case answer != nil:
	case len(s.queue.packets) > 0:
		answer = &pollAnswer{packets: s.queue.take()}
		s.poll = nil
	case s.queue.last != nil:
		answer, over = &pollAnswer{packets: []*outgoing{s.queue.last}}, true
		s.poll = nil
	}
	s.mu.Unlock()
	if over {
		s.end(ReasonTransportClose)
	}
	return answer
}

// abandon ends the session whose client has given its GET up.
func (s *Session) abandon(p *poll) {
	s.mu.Lock()
	waited := s.poll == p
	if waited {
		s.poll = nil
	}
	s.mu.Unlock()
	if waited {
		s.end(ReasonTransportError)
	}
}

// answerGet writes packets as the body of an answer.
func (s *Session) answerGet(w http.ResponseWriter, packets []*outgoing) error {
	plain := make([]EnginePacket, len(packets))
	size := 0
	for i, packet := range packets {
		plain[i] = packet.packet
		size += packet.size()
	}
	body, binary := AppendPayload(make([]byte, 0, size+size/8), s.version, s.asText, plain)
	contentType := "text/plain; charset=UTF-8"
	if binary {
		contentType = "application/octet-stream"
	}
	if err := s.server.answer(w, http.StatusOK, contentType, body); err != nil {
		return err
	}
	s.server.metrics.sent.Add(float64(len(packets)))
	return nil
}

// servePost reads and handles the packets of one request. A session has one POST at a time.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request) {
	if refused := s.beginPost(); refused != nil {
		s.server.refuse(w, refused, false)
		return
	}
	refused := s.post(w, r)
	s.mu.Lock()
	s.posting = false
	s.mu.Unlock()
	if refused != nil {
		s.server.refuse(w, refused, false)
		return
	}
	// text/plain makes old browsers offer it as a download.
	if err := s.server.answer(w, http.StatusOK, "text/html", []byte("ok")); err != nil {
		s.logger().Debug("answer not written", "error", err)
	}
}

func (s *Session) beginPost() *refusal {
	s.endIfSilent()
	s.mu.Lock()
	switch {
	case s.phase == phaseEnded:
		s.mu.Unlock()
		return refusedSession
	case s.transport != TransportPolling:
		s.mu.Unlock()
		return refusedRequest
	case s.posting:
		s.mu.Unlock()
		s.end(ReasonTransportError)
		return refusedRequest
	}
	s.posting = true
	s.mu.Unlock()
	return nil
}

// post reads the body and handles its packets. What cannot be read is lost, so it ends the session.
func (s *Session) post(w http.ResponseWriter, r *http.Request) *refusal {
	body, err := s.readBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.countInvalid(BadLength)
		s.end(ReasonParseError)
		return &refusal{code: codeBadRequest, status: http.StatusRequestEntityTooLarge, message: "Payload too large"}
	case err != nil:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.countInvalid(BadTime)
		}
		s.logger().Debug("body not read", "error", err)
		s.end(ReasonTransportError)
		return refusedRequest
	}
	binary := strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream")
	s.handling.Lock()
	defer s.handled()
	if s.onWebSocket() { // it changed while the body came
		return refusedRequest
	}
	for packet, err := range DecodePayload(s.version, binary, body) {
		if !s.receive(packet, err) {
			return refusedRequest
		}
	}
	return nil
}

// readBody reads a body within the server's bounds of size and time.
func (s *Session) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	most := int64(s.server.opts.MaxPayload)
	if r.ContentLength > most {
		return nil, &http.MaxBytesError{Limit: most}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return nil, err
	}
	return body, handleWithoutDeadline(w)
}
