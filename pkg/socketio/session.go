package socketio

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
)

// EngineHandlers take bare Engine.IO messages. The handlers of one session are called one after the other; a handler
// that waits keeps its client waiting.
type EngineHandlers struct {
	// Open is called with a new session, before its client knows of it; may be nil.
	Open func(*Session)
	// Message is called with each message, which is the handler's to keep.
	Message func(s *Session, data []byte, binary bool)
	// Close is called once after Open, as the last of all; may be nil.
	Close func(*Session, Reason)
}

// handler is what is above a session: an application's EngineHandlers, or Socket.IO.
type handler interface {
	open()
	message(data []byte, binary bool) error
	close(reason Reason)
}

// engineHandler calls EngineHandlers.
type engineHandler struct {
	session  *Session
	handlers *EngineHandlers
}

func (h engineHandler) open() {
	if h.handlers.Open != nil {
		h.handlers.Open(h.session)
	}
}

func (h engineHandler) message(data []byte, binary bool) error {
	if h.handlers.Message != nil {
		h.handlers.Message(h.session, data, binary)
	}
	return nil
}

func (h engineHandler) close(reason Reason) {
	if h.handlers.Close != nil {
		h.handlers.Close(h.session, reason)
	}
}

// Session is one Engine.IO session: a client, on polling or on a WebSocket, or on its way from the one to the other.
// While it is idle it has no goroutine, but for the reader of its WebSocket.
type Session struct {
	// immutable
	server    *Server
	id        string
	version   Version
	asText    bool // the client takes no bytes (b64)
	handshake kept
	handler   handler

	handling sync.Mutex // held while a handler runs: see run

	mu        sync.Mutex
	tasks     []func() // wait for handling
	binding   binding
	phase     phase
	transport string
	queue     queue
	heartbeat heartbeat
	poll      *poll      // the GET that waits; nil if none does
	posting   bool       // a POST is being read or handled
	ws        *webSocket // nil on polling
	probe     *webSocket // that would like to take over from polling; nil if there is none
	probed    bool       // its probe was answered
}

// phase is how far a session has come.
type phase int

const (
	phaseOpen    phase = iota
	phaseClosing       // on polling: over, but the next GET may still fetch what waits
	phaseEnded
)

// newSession makes a session that nobody knows of yet. Nothing in it may refer to the request: with a WebSocket it
// outlives the handler, and would keep the request's buffers alive.
func newSession(server *Server, r *http.Request, query url.Values, version Version, handshake kept) *Session {
	s := &Session{
		server: server, id: server.opts.NewID(), version: version, transport: TransportPolling,
		asText: version == Version3 && query.Get("b64") != "", handshake: handshake,
	}
	if query.Get("transport") == TransportWebSocket {
		s.transport = TransportWebSocket
	}
	s.bind(r)
	if server.opts.Engine != nil {
		s.handler = engineHandler{session: s, handlers: server.opts.Engine}
	} else {
		s.handler = newClient(s)
	}
	// The first of all, whatever comes between the server's knowing the session and its beginning.
	s.queue.add(s.openPacket())
	s.tasks = append(s.tasks, s.handler.open)
	return s
}

// openPacket makes the handshake.
func (s *Session) openPacket() *outgoing {
	opts := &s.server.opts
	upgrades := []string{}
	if s.transport == TransportPolling && opts.allows(TransportWebSocket) {
		upgrades = append(upgrades, TransportWebSocket)
	}
	// Strings and numbers; it cannot fail.
	handshake, _ := json.Marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{s.id, upgrades, opts.PingInterval.Milliseconds(), opts.PingTimeout.Milliseconds(), opts.MaxPayload})
	return newText(EngineOpen, len(handshake), func(b []byte) []byte { return append(b, handshake...) })
}

// begin sends the handshake and tells the handler. The server has added the session before.
func (s *Session) begin() {
	s.mu.Lock()
	if s.transport == TransportWebSocket {
		s.startFlush()
	}
	s.mu.Unlock()
	s.runTasks()
}

// ID gives the session's id. It is a credential: whoever shows it can be the client.
func (s *Session) ID() string { return s.id }

// Version gives the version that the client speaks.
func (s *Session) Version() Version { return s.version }

// Handshake gives what is kept of the request that opened the session. It is made anew by each call.
func (s *Session) Handshake() *Handshake { return s.handshake.open() }

// Transport names the transport that the session is on.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport
}

// Send queues a text message. It does not block. In version 4 the text must not have the character U+001E, which stands
// between the packets of an HTTP answer.
func (s *Session) Send(text []byte) {
	s.send(newText(EngineMessage, len(text), func(b []byte) []byte { return append(b, text...) }))
}

// SendBinary queues a message of bytes, which it keeps. It does not block.
func (s *Session) SendBinary(data []byte) { s.send(newBinary(data)) }

// Close ends the session, after what was sent before has gone to the client or CloseTimeout is over.
func (s *Session) Close() { s.end(ReasonForcedClose) }

// run calls f when no other handler of the session runs: at once, or, when one does, after it and on its goroutine.
func (s *Session) run(f func()) {
	s.mu.Lock()
	s.tasks = append(s.tasks, f)
	s.mu.Unlock()
	s.runTasks()
}

func (s *Session) runTasks() {
	if s.handling.TryLock() {
		s.handled()
	}
}

// handled gives handling up, after what has come to run meanwhile.
func (s *Session) handled() {
	for {
		for task := s.nextTask(); task != nil; task = s.nextTask() {
			s.guard(task)
		}
		s.handling.Unlock()
		// Who came in between has found it locked.
		s.mu.Lock()
		left := len(s.tasks)
		s.mu.Unlock()
		if left == 0 || !s.handling.TryLock() {
			return
		}
	}
}

func (s *Session) nextTask() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tasks) == 0 {
		s.tasks = nil
		return nil
	}
	task := s.tasks[0]
	s.tasks = s.tasks[1:]
	return task
}

// guard calls a handler: its panic is the end of this session, and of nobody else's.
func (s *Session) guard(f func()) {
	defer func() {
		if fault := recover(); fault != nil {
			s.server.metrics.panics.Inc()
			s.logger().Error("panic in a session", "panic", fault, "stack", string(debug.Stack()))
			s.end(ReasonInternal)
		}
	}()
	f()
}

// receive handles one packet, or what was none, and reports whether it was valid. handling is held.
func (s *Session) receive(packet EnginePacket, err error) bool {
	if s.isOver() {
		return true // whatever it was
	}
	if err == nil {
		s.server.metrics.received.Inc()
		s.guard(func() { err = s.handle(packet) })
		s.listened()
	}
	if err != nil {
		s.invalid(err)
	}
	return err == nil
}

func (s *Session) handle(packet EnginePacket) error {
	s.heard(packet.Type)
	switch packet.Type {
	case EngineMessage:
		return s.handler.message(packet.Data, packet.Binary)
	case EnginePing:
		if s.version == Version3 {
			s.send(pongPacket)
			return nil
		}
	case EnginePong:
		if s.version == Version4 {
			return nil
		}
	case EngineClose:
		s.end(ReasonTransportClose)
		return nil
	case EngineNoop:
		return nil
	}
	return malformed(BadEnginePacket, "a type that may not come here")
}

// invalid ends a session for what its client has sent.
func (s *Session) invalid(err error) {
	var format *FormatError
	if errors.As(err, &format) {
		s.countInvalid(format.Code)
	}
	s.logger().Debug("session sent what is not valid", "error", err)
	s.end(ReasonParseError)
}

func (s *Session) countInvalid(rule FormatCode) {
	s.server.metrics.invalid.WithLabelValues(string(rule)).Inc()
}

func (s *Session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase != phaseOpen
}

func (s *Session) onWebSocket() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport == TransportWebSocket
}

// logger tells sessions apart by a digest of the id: who reads the log must not be able to take one over.
func (s *Session) logger() *slog.Logger {
	digest := sha256.Sum256([]byte(s.id))
	return s.server.opts.Logger.With("connection", hex.EncodeToString(digest[:8]), "version", int(s.version))
}
