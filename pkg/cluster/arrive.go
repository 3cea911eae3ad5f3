package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// hopHeaderBytes leaves room for what any gateway takes from a client, and for our own headers.
	hopHeaderBytes   = 2 << 20
	hopHeaderTimeout = 5 * time.Second // also of the TLS handshake
)

// Listener wraps the internal listener, for Server: only nodes with the cluster's key get through.
func (h *Hop) Listener(inner net.Listener) net.Listener {
	return tls.NewListener(inner, h.identity.config(h.metrics.refused.WithLabelValues(refusedCaller).Inc))
}

// Server makes the HTTP server of the internal listener, to be served on what Listener gives. To the handler a request
// looks as if its client had sent it to this node; see [Hopped]. Beyond the head of a request the server sets no time
// limits: the handler has to.
func (h *Hop) Server(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // an upgrade is none of HTTP/2
	return &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.arrive(w, r, handler) }),
		Protocols:         protocols,
		ReadHeaderTimeout: hopHeaderTimeout,
		MaxHeaderBytes:    hopHeaderBytes,
		IdleTimeout:       serverIdleTimeout,
		ErrorLog:          h.errorLog,
	}
}

// arrive takes a request that another node passes on.
func (h *Hop) arrive(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	if r.TLS == nil || !h.identity.isOf(r.TLS) { // served past Listener: anybody could have sent the headers
		h.refuse(w, r, refusedPlain, http.StatusForbidden)
		return
	}
	address, ok := arrivedFrom(r.Header)
	if !ok {
		h.refuse(w, r, refusedHeader, http.StatusBadRequest)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), hoppedKey{}, true))
	r.RemoteAddr = address.String()
	r.TLS = nil // this node's with the other one, not the client's
	if r.Header.Get(headerTLS) == "1" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true} // all that is known of it
	}
	for _, name := range []string{headerAddress, headerTLS, headerNode} {
		r.Header.Del(name)
	}
	handler.ServeHTTP(w, r)
}

func (h *Hop) refuse(w http.ResponseWriter, r *http.Request, reason string, status int) {
	h.metrics.refused.WithLabelValues(reason).Inc()
	h.opts.Logger.Warn("a request that was passed on is refused", "reason", reason, "other", r.Header.Get(headerNode), "remote", r.RemoteAddr)
	http.Error(w, http.StatusText(status), status)
}

// arrivedFrom gives the address of the client.
func arrivedFrom(header http.Header) (netip.AddrPort, bool) {
	values := header[headerAddress]
	if len(values) != 1 {
		return netip.AddrPort{}, false
	}
	address, err := netip.ParseAddrPort(values[0])
	return address, err == nil
}

type hoppedKey struct{}

// Hopped reports whether a request was passed on by another node. It must not be passed on again.
func Hopped(r *http.Request) bool {
	return r.Context().Value(hoppedKey{}) != nil
}
