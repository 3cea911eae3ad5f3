package socketio

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
)

// A client of version 3 takes its session's id for its socket's id, so its peers get to know it. The same id is all that
// a polling request shows. Such a session is therefore bound to something else, too: to what ClientKey says of the
// client, or, once the client has shown the cookie that came with the handshake, to that cookie, which only its browser
// has. The first request after the handshake decides which: until then nobody but the client knows the id.

// ClientAddress tells clients apart by their address, of IPv6 the network of 64 bits, in which hosts change theirs. A
// User-Agent would not do: Node's clients send another one with their WebSocket than by polling.
func ClientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if address, err := netip.ParseAddr(host); err == nil {
		address = address.Unmap()
		host = address.String()
		if network, err := address.Prefix(64); err == nil { // an address of IPv4 has no 64 bits
			host = network.String()
		}
	}
	return host
}

// binding is what requests of a session have to show beside its id.
type binding struct {
	key     [sha256.Size]byte // of ClientKey at the handshake
	decided bool              // a request has come after the handshake
	cookie  bool              // key is of the cookie
}

// bind notes who the client is that opens the session.
func (s *Session) bind(r *http.Request) {
	if s.version == Version3 {
		s.binding.key = sha256.Sum256([]byte(s.server.opts.ClientKey(r)))
	}
}

// isBoundTo reports whether a request comes from the session's client.
func (s *Session) isBoundTo(r *http.Request) bool {
	if s.version != Version3 {
		return true
	}
	shown := s.bindingCookie(r)
	cookie, client := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(s.server.opts.ClientKey(r)))
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.binding
	if !b.decided {
		b.decided = true
		if shown != "" {
			b.cookie, b.key = true, cookie
		}
	}
	if b.cookie {
		return b.key == cookie
	}
	return b.key == client
}

func (s *Session) bindingCookie(r *http.Request) string {
	name := s.server.opts.BindingCookie
	if name == "" {
		return ""
	}
	cookie, err := r.Cookie(name)
	if err != nil || len(cookie.Value) < len(newID()) {
		return ""
	}
	return cookie.Value
}

// setCookies sets those of the handshake. The binding's is one for all sessions of a browser: a new one with every
// session would take it from those in its other windows.
func (s *Session) setCookies(w http.ResponseWriter, r *http.Request) {
	opts := &s.server.opts
	if opts.Cookie != nil {
		http.SetCookie(w, opts.Cookie(s.id))
	}
	if s.version != Version3 || opts.BindingCookie == "" || s.bindingCookie(r) != "" {
		return
	}
	cookie := &http.Cookie{Name: opts.BindingCookie, Value: newID() + newID(), Path: opts.Path, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if r.TLS != nil {
		// A page of another origin, which the origin check has let in, keeps it only so.
		cookie.Secure, cookie.SameSite = true, http.SameSiteNoneMode
	}
	http.SetCookie(w, cookie)
}
