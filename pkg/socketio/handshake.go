package socketio

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Handshake is what is kept of the request that opened a session.
type Handshake struct {
	// Query is what the client has put into the address, without what the protocol has put there.
	Query url.Values
	// Header has the headers that Options.HandshakeHeaders names.
	Header     http.Header
	Host       string
	RemoteAddr string
}

// protocolParameters are those of the address that are not the application's.
var protocolParameters = []string{"EIO", "transport", "sid", "t", "b64", "j"}

// kept is a Handshake in as little memory as possible: a session has it all its life, and asks for it once or twice.
// Strings are copies of their own, as a part of a request's string keeps all of it.
type kept struct {
	query  string   // encoded
	header []string // names and values by turns
	host   string
	remote string
}

func (s *Server) keep(r *http.Request, query url.Values) kept {
	k := kept{host: strings.Clone(r.Host), remote: strings.Clone(r.RemoteAddr)}
	for _, name := range s.opts.HandshakeHeaders {
		for _, value := range r.Header.Values(name) {
			k.header = append(k.header, name, strings.Clone(value))
		}
	}
	k.header = slices.Clip(k.header)
	own := make(url.Values, len(query))
	for name, values := range query {
		if !slices.Contains(protocolParameters, name) {
			own[name] = values
		}
	}
	k.query = own.Encode()
	return k
}

// size is how many bytes a client can have kept.
func (k *kept) size() int {
	size := len(k.query) + len(k.host)
	for _, text := range k.header {
		size += len(text)
	}
	return size
}

func (k *kept) open() *Handshake {
	query, _ := url.ParseQuery(k.query) // it was encoded here
	h := &Handshake{Query: query, Header: make(http.Header, len(k.header)/2), Host: k.host, RemoteAddr: k.remote}
	for pair := range slices.Chunk(k.header, 2) {
		h.Header.Add(pair[0], pair[1])
	}
	return h
}
