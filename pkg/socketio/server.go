package socketio

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Server serves the requests of its path. It is an [http.Handler]. The timeouts of the http.Server in front of it do not
// matter: each request gets deadlines of its own.
type Server struct {
	// immutable
	opts     Options
	metrics  *metrics
	upgrader websocket.Upgrader

	running sync.WaitGroup // sessions, their WebSockets and writers

	mu       sync.RWMutex
	sessions map[string]*Session
	ended    bool          // Run is over: no session is opened any more
	empty    chan struct{} // made by Retire, closed when no session is left
}

var _ http.Handler = (*Server)(nil)

// New makes a server without sessions.
func New(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts, metrics: newMetrics(opts.Registerer), sessions: make(map[string]*Session)}
	s.upgrader = s.newUpgrader()
	return s, nil
}

// Path is where the server is to be served.
func (s *Server) Path() string { return s.opts.Path }

// Run waits for ctx to end, closes all sessions, and returns when nothing of them runs any more. From then on new
// sessions are refused.
func (s *Server) Run(ctx context.Context) {
	<-ctx.Done()
	s.mu.Lock()
	s.ended = true
	open := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		open = append(open, session)
	}
	s.mu.Unlock()
	for _, session := range open {
		session.end(ReasonShutdown)
	}
	s.running.Wait()
}

// ServeHTTP answers the requests of one path: GET and POST of the polling transport, the WebSocket handshake, and the
// OPTIONS by which browsers ask beforehand.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != s.opts.Path && r.URL.Path+"/" != s.opts.Path {
		http.NotFound(w, r)
		return
	}
	query := r.URL.Query()
	sid := query.Get("sid")
	session := s.session(sid)
	if sid != "" && session == nil && s.opts.Foreign != nil && r.Method != http.MethodOptions {
		if owner := s.opts.Foreign(r, sid); owner != nil {
			owner.ServeHTTP(w, r)
			return
		}
	}
	s.arm(w)
	allowed := s.allowOrigin(w, r)
	if r.Method == http.MethodOptions {
		preflight(w, r, allowed)
		return
	}
	upgrade := websocket.IsWebSocketUpgrade(r)
	version, refusal := s.verify(r, query, session, upgrade, allowed)
	switch {
	case refusal != nil:
		s.refuse(w, refusal, upgrade)
	case session == nil:
		s.open(w, r, query, version)
	case upgrade:
		session.serveUpgrade(w, r)
	case r.Method == http.MethodGet:
		session.serveGet(w, r)
	default:
		session.servePost(w, r)
	}
}

// RefuseUnknown answers a request of a session that is nowhere to be found, as ServeHTTP does one whose id is unknown:
// upon that, the client starts anew. It is for handlers that Foreign gives.
func (s *Server) RefuseUnknown(w http.ResponseWriter, r *http.Request) {
	s.arm(w)
	s.allowOrigin(w, r)
	s.refuse(w, refusedSession, websocket.IsWebSocketUpgrade(r))
}

// session gives the session of an id, or nil.
func (s *Server) session(sid string) *Session {
	if sid == "" {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sessions[sid]
}

// open makes a session of a handshake that was verified. By polling it answers the handshake; a WebSocket it leaves to
// a goroutine of its own.
func (s *Server) open(w http.ResponseWriter, r *http.Request, query url.Values, version Version) {
	upgrade := websocket.IsWebSocketUpgrade(r)
	handshake := s.keep(r, query)
	switch {
	case handshake.size() > s.opts.HandshakeBytes:
		s.refuse(w, refusedRequest, upgrade)
		return
	case s.Full(): // spares a WebSocket handshake; add has the last word
		s.refuse(w, refusedFull, upgrade)
		return
	}
	session := newSession(s, r, query, version, handshake)
	if upgrade {
		s.openWebSocket(w, r, session)
		return
	}
	if refusal := s.add(session); refusal != nil {
		s.refuse(w, refusal, false)
		return
	}
	session.setCookies(w, r)
	session.begin()
	session.serveGet(w, r)
}

// openWebSocket lets the handler return, so that net/http gives up its goroutine, with the stack that it has grown, and
// the buffers of the request.
func (s *Server) openWebSocket(w http.ResponseWriter, r *http.Request, session *Session) {
	header := http.Header{}
	if s.opts.Cookie != nil {
		header.Add("Set-Cookie", s.opts.Cookie(session.id).String())
	}
	ws := s.accept(w, r, header)
	if ws == nil {
		return
	}
	session.ws = ws
	if refusal := s.add(session); refusal != nil {
		ws.close(websocket.CloseTryAgainLater, refusal.message)
		s.release(ws)
		return
	}
	go session.serveWebSocket(ws)
}

// add makes a session known by its id, and starts its heartbeat.
func (s *Server) add(session *Session) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses() || s.sessions[session.id] != nil {
		return refusedFull
	}
	s.sessions[session.id] = session
	s.running.Add(1)
	session.mu.Lock()
	session.startHeartbeat(time.Now())
	session.mu.Unlock()
	s.metrics.sessions.WithLabelValues(session.transport).Inc()
	s.metrics.opened.WithLabelValues(session.version.label(), session.transport).Inc()
	return nil
}

// forget is called once for every session that was added, when nothing more is answered under its id.
func (s *Server) forget(session *Session) {
	s.mu.Lock()
	delete(s.sessions, session.id)
	if s.empty != nil && len(s.sessions) == 0 {
		close(s.empty)
	}
	s.mu.Unlock()
	s.running.Done()
}

// track counts something that Run has to wait for. It reports false when Run is over.
func (s *Server) track() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ended {
		return false
	}
	s.running.Add(1)
	return true
}
