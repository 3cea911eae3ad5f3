// Package ws is the native protocol's transport: WebSocket (RFC 6455) on gorilla/websocket.
//
// gorilla does the handshake and parses frames; this package adds what it leaves out: the checks of UTF-8, of
// fragments and of control frames, heartbeats, and writing many frames in one system call.
package ws

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Options configures an [Upgrader].
type Options struct {
	// CheckOrigin decides whether a request's page may connect; required.
	CheckOrigin func(*http.Request) bool
	// MessageBytes is the longest message; 65536 if 0.
	MessageBytes int
	// MessageReadTimeout is how long a message may take from its first byte to its last; 10 s if 0.
	MessageReadTimeout time.Duration
	// Limits bounds what is in a message.
	Limits wire.Limits
	// Heartbeat is the period of pings; 25 s if 0. The first comes after a random part of it, so that connections
	// which came together are not pinged together.
	Heartbeat time.Duration
	// HeartbeatTimeout is how long a connection may stay silent after a ping; 10 s if 0.
	HeartbeatTimeout time.Duration
	// WriteTimeout bounds one write; 10 s if 0.
	WriteTimeout time.Duration
	// Fragments is how many fragments a message may have, however small they are; 128 if 0. A message of more is taken
	// as long as they have 64 bytes on average.
	Fragments int
	// PingsPerSecond is how many control frames a client may send; 10 if 0.
	PingsPerSecond int
	// Lot is where silent connections are parked; nil parks none.
	Lot        *Lot
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if o.CheckOrigin == nil {
		return errors.New("ws: an origin check is needed")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.MessageReadTimeout, 10 * time.Second}, {&o.Heartbeat, 25 * time.Second},
		{&o.HeartbeatTimeout, 10 * time.Second}, {&o.WriteTimeout, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("ws: a duration is negative: %v", *d.field)
		}
	}
	if o.MessageBytes == 0 {
		o.MessageBytes = 1 << 16
	}
	if o.Fragments == 0 {
		o.Fragments = 128
	}
	if o.PingsPerSecond == 0 {
		o.PingsPerSecond = 10
	}
	if o.MessageBytes < 0 || o.Fragments < 0 || o.PingsPerSecond < 0 {
		return errors.New("ws: a limit is negative")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Upgrader turns HTTP requests into connections.
type Upgrader struct {
	opts     Options
	metrics  *metrics
	upgrader websocket.Upgrader
}

// New makes an upgrader.
func New(opts Options) (*Upgrader, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	u := &Upgrader{opts: opts, metrics: newMetrics(opts.Registerer)}
	u.upgrader = websocket.Upgrader{
		HandshakeTimeout: opts.WriteTimeout,
		// Frames are written past gorilla; a pool keeps it from holding a write buffer for each connection.
		WriteBufferPool: noBuffers{},
		WriteBufferSize: 256,
		Subprotocols:    []string{wire.Subprotocol},
		CheckOrigin:     func(*http.Request) bool { return true }, // checked before, with an answer of ours
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			u.refuse(w, status, "handshake", reason.Error())
		},
	}
	return u, nil
}

// noBuffers is a pool that keeps nothing: gorilla writes only control frames, which need no buffer.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// Upgrade answers a handshake (RFC 6455, section 4.2). When it is refused, the answer is written, a JSON object with
// the reason, and the error says the same.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	if status, reason, message := u.check(w, r); status != 0 {
		u.refuse(w, status, reason, message)
		return nil, errors.New("ws: handshake refused: " + message)
	}
	hijacked := &hijacker{ResponseWriter: w, lot: u.opts.Lot}
	conn, err := u.upgrader.Upgrade(hijacked, r, nil)
	if err != nil {
		return nil, fmt.Errorf("ws: handshake: %w", err)
	}
	return newConn(u, conn, hijacked), nil
}

// Refuse answers a handshake that the gateway does not want for a reason of its own; retryAfter tells when to come
// back.
func (u *Upgrader) Refuse(w http.ResponseWriter, status int, reason, message string, retryAfter time.Duration) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(retryAfter.Round(time.Second)/time.Second)))
	}
	u.refuse(w, status, reason, message)
}

// check gives the status, the metric's reason and the message of a refusal, or 0.
func (u *Upgrader) check(w http.ResponseWriter, r *http.Request) (status int, reason, message string) {
	header := r.Header
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		return http.StatusMethodNotAllowed, "method", "a WebSocket handshake is a GET"
	case !r.ProtoAtLeast(1, 1):
		return http.StatusBadRequest, "handshake", "a WebSocket handshake needs HTTP/1.1"
	case !websocket.IsWebSocketUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return http.StatusUpgradeRequired, "not_websocket", "this address speaks WebSocket"
	case header.Get("Sec-Websocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return http.StatusUpgradeRequired, "version", "WebSocket version 13 is needed"
	case len(header["Sec-Websocket-Key"]) != 1:
		return http.StatusBadRequest, "handshake", "one Sec-WebSocket-Key is needed"
	case hasToken(r):
		return http.StatusUnauthorized, "query_token", "a token in the address ends up in logs: send it in hello"
	case !u.opts.CheckOrigin(r):
		return http.StatusForbidden, "origin", "this origin is not allowed"
	}
	if offered := websocket.Subprotocols(r); len(offered) > 0 && !slices.Contains(offered, wire.Subprotocol) {
		return http.StatusBadRequest, "subprotocol", "the subprotocol is " + wire.Subprotocol
	}
	return 0, "", ""
}

// hasToken reports whether the address carries a credential, which is refused so that nobody gets used to it.
func hasToken(r *http.Request) bool {
	for _, name := range []string{"token", "access_token", "jwt"} {
		if strings.Contains(r.URL.RawQuery, name+"=") && r.URL.Query().Has(name) {
			return true
		}
	}
	return false
}

func (u *Upgrader) refuse(w http.ResponseWriter, status int, reason, message string) {
	u.metrics.refused.WithLabelValues(reason).Inc()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	body := map[string]any{"error": map[string]string{"code": reason, "message": message}}
	if err := json.NewEncoder(w).Encode(body); err != nil && !errors.Is(err, net.ErrClosed) {
		u.opts.Logger.Debug("refusal not written", "error", err)
	}
}

type metrics struct {
	refused *prometheus.CounterVec
	pings   prometheus.Counter
	limited *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		refused: metric.Counters("signalbox_handshakes_refused_total",
			"WebSocket handshakes that were refused, by reason.", "reason"),
		pings: metric.Counter("signalbox_heartbeat_pings_total",
			"Pings sent to silent or talking clients alike, one a heartbeat."),
		limited: metric.Counters("signalbox_websocket_limits_total",
			"Connections closed for what their frames did: message_bytes, message_time, fragments, control, utf8, binary, protocol.", "limit"),
	}
	reg.MustRegister(m.refused, m.pings, m.limited)
	return m
}
