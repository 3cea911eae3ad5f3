package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// writer is the answer to one request. What the API does not answer itself, as the standard library's words about a path that
// is not there, becomes a problem. While held, nothing is sent.
type writer struct {
	http.ResponseWriter

	ours    bool // the API answers, and not the library's multiplexer
	held    bool
	status  int // 0 until it is known
	dropped bool
	body    bytes.Buffer // while held
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader takes the status.
func (w *writer) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if !w.ours {
		w.replace(status)
		return
	}
	w.status = status
	if !w.held {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write takes a part of the body.
func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.dropped:
		return len(b), nil
	case w.held:
		return w.body.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// replace answers in place of the multiplexer: 404, 405, or a redirection to a path that it likes better, which would have a
// program send its request, and its key, once more.
func (w *writer) replace(status int) {
	p := missing()
	if status == http.StatusMethodNotAllowed {
		p = newProblem(CodeMethodNotAllowed, "this path takes other methods")
		p.allow = w.Header().Get("Allow")
	}
	header := w.Header()
	clear(header)
	setPlain(header)
	w.ours = true
	w.problem(p)
	w.dropped = true
}

// problem answers with a problem, in place of what is held.
func (w *writer) problem(p *Problem) {
	header := w.Header()
	for name, values := range p.GetHeaders() {
		header[name] = values
	}
	text, err := json.Marshal(p)
	if err != nil { // the type always encodes
		text = []byte(`{"code":"internal"}`)
	}
	text = append(text, '\n')
	header.Set("Content-Type", problemType)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.ours, w.status = true, 0
	w.body.Reset()
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) // who went away needs no answer
}

// release sends what was held.
func (w *writer) release() {
	if !w.held {
		return
	}
	w.held = false
	if w.status == 0 {
		return
	}
	w.ResponseWriter.WriteHeader(w.status)
	_, _ = w.ResponseWriter.Write(w.body.Bytes())
}

// setPlain keeps an answer out of caches, and from being taken for anything but what it says it is.
func setPlain(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
}
