// Package socketio speaks Engine.IO 3 and 4 and Socket.IO protocol 4 and 5, by polling and by WebSocket, to the stock
// socket.io clients of all versions since 1.0, and knows nothing of what is said.
//
// The protocols: docs/engine.io-protocol and docs/socket.io-protocol of the repository socketio/socket.io.
package socketio

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the transports.
const (
	TransportPolling   = "polling"
	TransportWebSocket = "websocket"
)

// OriginCheck decides whether a page of this origin (RFC 6454, section 7) may use the server; origin is not empty.
type OriginCheck func(r *http.Request, origin string) bool

// AdmissionHook decides whether a client may open a session. A [*Refusal] is told to it, of other errors it learns no
// more than that it is forbidden.
type AdmissionHook func(r *http.Request) error

// Options configures a [Server]. It needs either Namespaces or Engine.
type Options struct {
	// Namespaces are what clients can connect to, by name: "/", "/chat". They are fixed from then on.
	Namespaces map[string]Namespace
	// Engine takes bare Engine.IO messages instead.
	Engine *EngineHandlers

	// Path is where it is served, "/socket.io/" if empty. Clients may leave its last slash out.
	Path string
	// Transports are those that clients may use, both if empty.
	Transports []string
	// PingInterval is the period of heartbeats, and PingTimeout how long the answer may take: 10 s and 5 s if 0.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// UpgradeTimeout is how long the change from polling to WebSocket may take; 10 s if 0.
	UpgradeTimeout time.Duration
	// ConnectTimeout is how long a client of Socket.IO 5 may take to ask for its first namespace; 45 s if 0.
	ConnectTimeout time.Duration
	// ReadTimeout is how long a request's body or a WebSocket message may take to arrive, from its first byte to its
	// last, and WriteTimeout how long an answer or a batch of messages may take to be sent; 10 s if 0.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration
	// AttachmentTimeout is how long the attachments of a packet may take, all together; 10 s if 0.
	AttachmentTimeout time.Duration
	// CloseTimeout is how long a session that the server closes is kept for its client to come and hear of it; 5 s if 0.
	CloseTimeout time.Duration

	// MaxPayload is how many bytes a request's body or a WebSocket message may have; 1000000 if 0.
	MaxPayload int
	// Packet bounds what is in a packet.
	Packet Limits
	// AttachmentBytes is how large the attachments of one packet may be together; MaxPayload if 0.
	AttachmentBytes int
	// HandshakeHeaders names the headers of a session's first request that are kept, for [Session.Handshake]. If it is nil
	// they are Authorization and Origin; if it is empty, none.
	HandshakeHeaders []string
	// HandshakeBytes is how large these, and the application's part of the query, may be together; 16384 if 0. A request
	// with more is refused.
	HandshakeBytes int
	// Sessions is how many there may be at a time; 100000 if 0.
	Sessions int
	// QueuePackets and QueueBytes bound what waits for one client; 1024 and 4 MiB if 0. A client with more is closed.
	QueuePackets int
	QueueBytes   int
	// NamespacesPerSession is how many a client may be in at a time; 16 if 0.
	NamespacesPerSession int
	// PendingAcks is how many acknowledgements of one socket may be awaited; 256 if 0.
	PendingAcks int

	// Origin decides whose pages may use the server, by polling (CORS) and by WebSocket. If nil, those may whose origin
	// has the host that the request was sent to. Requests without an origin come from no browser, or from the same one.
	Origin OriginCheck
	// Admit decides on each new session; nil admits all.
	Admit AdmissionHook
	// NewID makes the ids of sessions, by which alone a client of version 4 is known: they have to be unguessable. They
	// consist of letters, digits, - and _. If nil, an id has 20 characters of 120 random bits.
	NewID func() string
	// Foreign is asked for a handler of requests whose session id is unknown here, before anything else is looked at. If it
	// is nil or gives none, the client is told that the id is unknown, upon which it starts anew; a handler can say the
	// same by [Server.RefuseUnknown].
	Foreign func(r *http.Request, sid string) http.Handler
	// ClientKey gives what tells a client from others, who may have learned its session's id; see [ClientAddress], which
	// is used if it is nil. Behind a proxy it needs the address of the client instead of the proxy's.
	ClientKey func(*http.Request) string
	// BindingCookie names a cookie that binds sessions of version 3 more closely than ClientKey; none is set if empty.
	BindingCookie string
	// Cookie gives the cookie to be set with a session's handshake, for load balancers that need one; nil sets none.
	Cookie func(sid string) *http.Cookie

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if (len(o.Namespaces) == 0) == (o.Engine == nil) {
		return errors.New("socketio: either namespaces or engine handlers are needed")
	}
	for name := range o.Namespaces {
		if !strings.HasPrefix(name, "/") || strings.ContainsAny(name, ",?") {
			return fmt.Errorf("socketio: %q is no name of a namespace", name)
		}
	}
	for _, transport := range o.Transports {
		if transport != TransportPolling && transport != TransportWebSocket {
			return fmt.Errorf("socketio: unknown transport %q", transport)
		}
	}
	if o.Path == "" {
		o.Path = "/socket.io/"
	}
	if !strings.HasPrefix(o.Path, "/") || !strings.HasSuffix(o.Path, "/") {
		return fmt.Errorf("socketio: the path %q has to begin and to end with a slash", o.Path)
	}
	if len(o.Transports) == 0 {
		o.Transports = []string{TransportPolling, TransportWebSocket}
	}
	if err := o.validateNumbers(); err != nil {
		return err
	}
	o.setDefaults()
	return nil
}

func (o *Options) validateNumbers() error {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.PingInterval, 10 * time.Second}, {&o.PingTimeout, 5 * time.Second}, {&o.UpgradeTimeout, 10 * time.Second},
		{&o.ConnectTimeout, 45 * time.Second}, {&o.ReadTimeout, 10 * time.Second}, {&o.WriteTimeout, 10 * time.Second},
		{&o.CloseTimeout, 5 * time.Second}, {&o.AttachmentTimeout, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("socketio: a duration is negative: %v", *d.field)
		}
	}
	if o.PingInterval < time.Millisecond || o.PingTimeout < time.Millisecond {
		return errors.New("socketio: clients count heartbeats in whole milliseconds")
	}
	o.Packet.setDefaults()
	if o.MaxPayload == 0 {
		o.MaxPayload = 1_000_000
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.AttachmentBytes, o.MaxPayload}, {&o.Sessions, 100_000}, {&o.QueuePackets, 1024}, {&o.QueueBytes, 4 << 20},
		{&o.NamespacesPerSession, 16}, {&o.PendingAcks, 256}, {&o.HandshakeBytes, 16384},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	smallest := min(o.MaxPayload, o.AttachmentBytes, o.Sessions, o.QueuePackets, o.QueueBytes, o.NamespacesPerSession,
		o.PendingAcks, o.HandshakeBytes, o.Packet.Attachments, o.Packet.Arguments, o.Packet.Depth, o.Packet.NamespaceBytes,
		o.Packet.ConnectBytes)
	if smallest < 0 {
		return fmt.Errorf("socketio: a limit is negative: %d", smallest)
	}
	return nil
}

func (o *Options) setDefaults() {
	if o.HandshakeHeaders == nil {
		o.HandshakeHeaders = []string{"Authorization", "Origin"}
	}
	if o.Origin == nil {
		o.Origin = sameHost
	}
	if o.ClientKey == nil {
		o.ClientKey = ClientAddress
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
}

func (o *Options) allows(transport string) bool { return slices.Contains(o.Transports, transport) }

// newID makes an id of 20 characters that need no escape in an address.
func newID() string {
	var random [15]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}
