package app

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/session"
)

// newPublicServer makes the server for clients: the native protocol, and the pages if they are on.
func (g *Gateway) newPublicServer() (*http.Server, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/connect", g.connect)
	if g.socketIO != nil {
		mux.Handle(g.socketIO.Path(), g.socketIO)
		mux.Handle(strings.TrimSuffix(g.socketIO.Path(), "/"), g.socketIO) // clients may leave the last slash out
		files, err := clientFiles(g.socketIO.Path())
		if err != nil {
			return nil, err
		}
		for pattern, handler := range files {
			mux.Handle(pattern, handler)
		}
	}
	if g.config.Pages.Enabled {
		if err := handlePages(mux); err != nil {
			return nil, err
		}
	}
	mux.HandleFunc("/", nothingHere)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // a WebSocket of the native protocol starts with an upgrade, which HTTP/2 does not have
	return &http.Server{
		Handler:           g.proxies.resolve(mux),
		Protocols:         protocols,
		ReadHeaderTimeout: g.config.Limits.HeaderTimeout,
		MaxHeaderBytes:    g.config.Limits.HeaderBytes,
		ReadTimeout:       publicReadTimeout,
		WriteTimeout:      publicWriteTimeout,
		IdleTimeout:       publicIdleTimeout,
		ErrorLog:          slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}, nil
}

func nothingHere(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, map[string]any{
		"error": map[string]string{"code": "not_found", "message": "there is nothing here; clients connect to /v1/connect"}})
}

// connect takes a client's WebSocket and gives it to a session of its own. The handler returns at once: the session
// keeps neither its goroutine nor its buffers.
func (g *Gateway) connect(w http.ResponseWriter, r *http.Request) {
	count, limit := g.connections.Add(1), int64(g.config.Limits.Connections)
	if d := g.admission.admit(limit > 0 && count > limit); d != nil {
		g.connections.Add(-1)
		g.upgrader.Refuse(w, http.StatusServiceUnavailable, d.reason, d.message, d.retryAfter)
		return
	}
	// Counted before the upgrade: up to then the end of the HTTP server waits for this request, and so cannot miss it.
	g.serving.Add(1)
	conn, err := g.upgrader.Upgrade(w, r)
	if err != nil {
		g.serving.Done()
		g.connections.Add(-1)
		g.logger.Debug("handshake refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	client := session.Client{Transport: transportWebSocket, Remote: r.RemoteAddr}
	if origin := r.Header.Get("Origin"); !sameHost(origin, r.Host) {
		client.Origin = origin
	}
	go g.sessions.Serve(g.lifeOf(r.Header), conn, client, g.connectionEnded) //nolint:contextcheck // a session outlives its request
}

// connectionEnded counts out what connect has counted.
func (g *Gateway) connectionEnded() {
	g.connections.Add(-1)
	g.serving.Done()
}

// checkOrigin decides whether a page may connect at all; the session looks again once it knows the app. Browsers
// always send an origin with a WebSocket (RFC 6455, section 10.2), so that a request that has none but looks like a
// browser's is none of a program either.
func (g *Gateway) checkOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	switch len(origins) {
	case 0:
		browser := r.Header.Get("Cookie") != "" || r.Header.Get("Sec-Fetch-Mode") != ""
		return g.config.Origins.AllowMissing && !browser
	case 1:
		return sameHost(origins[0], r.Host) || g.directory.OriginAllowed(origins[0])
	}
	return false
}

// sameHost reports whether a page comes from the host that it connects to. The scheme cannot be compared: TLS may end
// in front of the gateway.
func sameHost(origin, host string) bool {
	page, err := url.Parse(origin)
	return err == nil && page.Host != "" && (page.Scheme == "http" || page.Scheme == "https") && strings.EqualFold(page.Host, host)
}
