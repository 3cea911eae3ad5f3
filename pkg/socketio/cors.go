package socketio

import (
	"net/http"
	"net/url"
	"strings"
)

// sameHost lets those pages in that come from the host that the request was sent to, whatever the scheme: TLS may end
// in front of the server.
func sameHost(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// allowOrigin tells the browser whether a page of another origin may see the answer, errors included, and reports
// whether the origin may use the server. A client of version 3 sends credentials always, so the origin itself has to
// be named (Fetch standard, CORS protocol and credentials).
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if origin == "" {
		return true
	}
	if !validHeader(origin) || !s.opts.Origin(r, origin) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	return true
}

// preflight answers a browser that asks what it may send (Fetch standard, CORS-preflight fetch).
func preflight(w http.ResponseWriter, r *http.Request, allowed bool) {
	header := w.Header()
	header.Set("Allow", "GET, POST, OPTIONS")
	if allowed && header.Get("Access-Control-Allow-Origin") != "" {
		header.Set("Access-Control-Allow-Methods", "GET, POST")
		header.Set("Access-Control-Max-Age", "600")
		header.Add("Vary", "Access-Control-Request-Headers")
		asked := r.Header.Get("Access-Control-Request-Headers")
		if asked == "" || !validHeader(asked) {
			asked = "Content-Type"
		}
		header.Set("Access-Control-Allow-Headers", asked) // clients have options for headers of the application's own
	}
	w.WriteHeader(http.StatusNoContent)
}
