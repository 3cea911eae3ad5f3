package socketio

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The codes and messages of refusals, as clients know them.
const (
	codeUnknownTransport = iota
	codeUnknownSession
	codeBadMethod
	codeBadRequest
	codeForbidden
	codeBadVersion
)

// refusal is a request that is answered with an error.
type refusal struct {
	code, status int
	message      string
	retryAfter   time.Duration // until it is worth another try; 0 if that is not known
}

func (r *refusal) body() []byte {
	body := strconv.AppendInt([]byte(`{"code":`), int64(r.code), 10)
	return append(wire.AppendString(append(body, `,"message":`...), r.message), '}')
}

func badRequest(code int, message string) *refusal {
	return &refusal{code: code, status: http.StatusBadRequest, message: message}
}

// The refusals that more than one place makes. What there is to be told apart in a bad request goes no further.
var (
	refusedSession = badRequest(codeUnknownSession, "Session ID unknown")
	refusedRequest = badRequest(codeBadRequest, "Bad request")
	refusedFull    = &refusal{code: codeForbidden, status: http.StatusServiceUnavailable, message: "No more sessions"}
)

// verify checks a request in the reference's order, and gives the version that a new session is to speak.
func (s *Server) verify(r *http.Request, query url.Values, session *Session, upgrade, allowed bool) (Version, *refusal) {
	transport := query.Get("transport")
	switch {
	case !s.opts.allows(transport):
		return 0, badRequest(codeUnknownTransport, "Transport unknown")
	case !validHeader(r.Header.Get("Origin")):
		return 0, refusedRequest
	case session != nil:
		return session.version, session.verify(r, query, upgrade)
	case query.Get("sid") != "":
		return 0, refusedSession
	case r.Method != http.MethodGet:
		return 0, badRequest(codeBadMethod, "Bad handshake method")
	case upgrade != (transport == TransportWebSocket), query.Has("j"): // j asks for JSONP
		return 0, refusedRequest
	case !allowed:
		return 0, &refusal{code: codeForbidden, status: http.StatusForbidden, message: "Forbidden"}
	}
	if refusal := s.admit(r); refusal != nil {
		return 0, refusal
	}
	switch query.Get("EIO") {
	case "3":
		return Version3, nil
	case "4":
		return Version4, nil
	}
	return 0, badRequest(codeBadVersion, "Unsupported protocol version")
}

// verify checks a request with the id of a session that is here.
func (s *Session) verify(r *http.Request, query url.Values, upgrade bool) *refusal {
	transport := query.Get("transport")
	switch {
	case !s.isBoundTo(r):
		return refusedSession // for whoever has learned the id there is no such session
	case upgrade != (transport == TransportWebSocket), query.Has("j"), upgrade && r.Method != http.MethodGet:
		return refusedRequest
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return refusedRequest
	case !upgrade && s.onWebSocket():
		return refusedRequest
	}
	return nil
}

// admit asks the hook.
func (s *Server) admit(r *http.Request) *refusal {
	if s.opts.Admit == nil {
		return nil
	}
	err := s.opts.Admit(r)
	if err == nil {
		return nil
	}
	refused := &refusal{code: codeForbidden, status: http.StatusForbidden, message: "Forbidden"}
	var told *Refusal
	if errors.As(err, &told) {
		refused.message = told.Message
		if told.RetryAfter > 0 {
			refused.status, refused.retryAfter = http.StatusServiceUnavailable, told.RetryAfter
		}
	} else {
		s.opts.Logger.Warn("admission failed", "error", err, "remote", r.RemoteAddr)
	}
	return refused
}

// refuse answers with JSON, or, in place of a WebSocket, with text, as the reference does. A refusal for the time being
// keeps its status also there: programs that are no browsers can read it.
func (s *Server) refuse(w http.ResponseWriter, refused *refusal, upgrade bool) {
	s.metrics.refused.WithLabelValues(strconv.Itoa(refused.code)).Inc()
	status, contentType, body := refused.status, "application/json", refused.body()
	if upgrade {
		w.Header().Set("Connection", "close")
		status, contentType, body = http.StatusBadRequest, "text/html", []byte(refused.message)
	}
	if refused.retryAfter > 0 {
		status = refused.status
		seconds := (refused.retryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if err := s.answer(w, status, contentType, body); err != nil {
		s.opts.Logger.Debug("refusal not written", "error", err)
	}
}

// validHeader reports whether a header's value has no byte that may not be in one (RFC 9110, section 5.5).
func validHeader(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
