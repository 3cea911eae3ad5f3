package socketio

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// The timeouts of the http.Server in front are made for requests that are answered at once. A GET that waits would be
// cut by them, and its session with it: net/http takes a read that fails while a handler runs, be it for the deadline
// alone, for the end of the connection. So every request gets deadlines of its own. They go no further than that: net/http
// takes them back at the request's end, and gives the next one on the connection the server's.

// arm bounds the reading of a request's body.
func (s *Server) arm(w http.ResponseWriter) {
	// What cannot be set is left to the server in front, which has set its own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.opts.ReadTimeout))
}

// letWait has a request wait as long as a session can be silent, and its answer be written then.
func (s *Server) letWait(w http.ResponseWriter) error {
	until := time.Now().Add(s.opts.PingInterval + s.opts.PingTimeout + s.opts.WriteTimeout)
	control := http.NewResponseController(w)
	return errors.Join(supported(control.SetReadDeadline(until)), supported(control.SetWriteDeadline(until)))
}

// handleWithoutDeadline lets handlers take their time once the body was read. What watches the connection for its end
// would take the body's deadline for it.
func handleWithoutDeadline(w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	return errors.Join(supported(control.SetReadDeadline(time.Time{})), supported(control.SetWriteDeadline(time.Time{})))
}

// answer writes a whole answer within WriteTimeout.
func (s *Server) answer(w http.ResponseWriter, status int, contentType string, body []byte) error {
	control := http.NewResponseController(w)
	if err := supported(control.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout))); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // flushing tells
	return supported(control.Flush())
}

// supported passes over what a ResponseWriter, wrapped perhaps, cannot do.
func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
