package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A session's id names the node that has it, and is known to nobody who could guess it: 24 characters of 5 bits.
const (
	sidSecretLength = 24
	sidLength       = nodeIDLength + sidSecretLength
)

// openSocketIO makes what serves stock socket.io clients: the protocol, the events of rooms, and the hop to the gateway
// that has the session of a request.
func (g *Gateway) openSocketIO(registry *prometheus.Registry) error {
	if err := g.openHop(registry); err != nil {
		return err
	}
	c := &g.config.SocketIO
	events, err := classic.New(classic.Options{
		Profiles: c.profiles(), Open: g.attach, Recovery: c.Recovery, MessageBytes: c.MessageBytes, Limits: g.wireLimits(),
		Logger: g.calm, Registerer: registry,
	})
	if err != nil {
		return err
	}
	g.socketIO, err = socketio.New(socketio.Options{
		Namespaces: events.Namespaces(), Path: c.Path,
		PingInterval: c.PingInterval, PingTimeout: c.PingTimeout, UpgradeTimeout: c.UpgradeTimeout, ConnectTimeout: c.ConnectTimeout,
		ReadTimeout: g.config.Limits.MessageReadTimeout, WriteTimeout: g.config.Session.WriteTimeout,
		MaxPayload: c.MaxPayload,
		Packet:     socketio.Limits{Attachments: c.Attachments, Depth: c.JSONDepth, ConnectBytes: c.connectBytes()},
		Sessions:   c.Sessions, QueuePackets: c.QueuePackets, QueueBytes: c.QueueBytes, NamespacesPerSession: c.Namespaces,
		Origin: g.pageMayConnect, Admit: g.admit, NewID: g.newSID, Foreign: g.foreign, BindingCookie: c.BindingCookie,
		Logger: g.calm, Registerer: registry,
	})
	if err != nil {
		return err
	}
	g.hopHTTP = g.hop.Server(g.socketIO)
	return nil
}

// openCluster makes this gateway's place on the roster.
func (g *Gateway) openCluster(ctx context.Context, registry *prometheus.Registry) (err error) {
	self := cluster.Node{
		ID: g.node, Name: g.name, Version: telemetry.ReadBuild().Version, Started: time.Now().UnixMilli()}
	if g.config.SocketIO.Enabled {
		if self.Address, err = g.advertised(ctx); err != nil {
			return err
		}
	}
	g.cluster, err = cluster.New(cluster.Options{
		Store: g.store, Self: self,
		Beat: g.config.Cluster.Beat, Lease: g.config.Cluster.Lease, Lapses: g.options.lapses,
		Forgotten: g.putBack, Load: g.load, Apps: g.sessions.Apps, MaxApps: g.config.Quotas.Apps,
		Counts: func() map[string]float64 { return counts(g.options.Registry) },
		Logger: g.logger, Registerer: registry,
	})
	return err
}

// load is what this gateway tells the others about how much it has to do.
func (g *Gateway) load() cluster.Load {
	return cluster.Load{
		Sessions: g.sessions.Count() + g.socketIOCount(), Connections: int(g.connections.Load()) + g.socketIOCount(), Draining: g.draining.Load(),
	}
}

// openKey gets the secret that all gateways share.
func (g *Gateway) openKey(ctx context.Context) (err error) {
	if g.key = []byte(g.config.Cluster.Key); len(g.key) == 0 {
		if g.key, err = g.store.ClusterKey(ctx); err != nil {
			return &store.UnreachableError{Err: fmt.Errorf("app: the cluster's key: %w", err)}
		}
	}
	return nil
}

// putBack writes again what Redis has lost: what belongs to the cluster at once, and all rooms soon.
func (g *Gateway) putBack(ctx context.Context) error {
	var key []byte
	if g.config.Cluster.Key == "" {
		key = g.key
	}
	if err := g.store.PutBack(ctx, key); err != nil {
		return err
	}
	for partition := range g.store.Partitions() {
		g.rooms.Emptied(partition)
	}
	return g.tenants.putBack(ctx)
}

// openHop makes what this gateway and the others need to trust each other.
func (g *Gateway) openHop(registry *prometheus.Registry) (err error) {
	g.hop, err = cluster.NewHop(cluster.HopOptions{
		Key: g.key, Cluster: g.cluster, DialTimeout: g.config.Cluster.DialTimeout, Timeout: g.config.forwardTimeout(),
		ReadTimeout: g.config.Limits.MessageReadTimeout, WriteTimeout: g.config.Session.WriteTimeout,
		Unreachable: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.socketIO.RefuseUnknown(w, r) }),
		Logger:      g.calm, Registerer: registry,
	})
	return err
}

// advertised is where the other gateways reach this one.
func (g *Gateway) advertised(ctx context.Context) (string, error) {
	if g.config.Node.Address != "" {
		return g.config.Node.Address, nil
	}
	bound := g.internal.Addr().String()
	host, port, err := net.SplitHostPort(bound)
	if ip := net.ParseIP(host); err != nil || ip == nil && host != "" || ip != nil && !ip.IsUnspecified() {
		return bound, nil // it listens on one address
	}
	// Nothing is sent: a datagram socket that is connected knows which of the machine's addresses it would be sent from.
	conn, err := new(net.Dialer).DialContext(ctx, "udp", g.config.Redis.Addresses[0])
	if err != nil {
		return "", fmt.Errorf("app: node.address is needed, since this machine's address on the way to Redis is not known: %w", err)
	}
	defer func() { _ = conn.Close() }()
	host, _, err = net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return "", fmt.Errorf("app: node.address is needed: %w", err)
	}
	return net.JoinHostPort(host, port), nil
}

func (c *SocketIOConfig) profiles() map[string]classic.Profile {
	profiles := make(map[string]classic.Profile, len(c.CallNamespaces)+len(c.ChatNamespaces))
	for _, namespace := range c.CallNamespaces {
		profiles[namespace] = classic.Profile{Kind: classic.Call, SenderID: c.SenderID}
	}
	for _, namespace := range c.ChatNamespaces {
		profiles[namespace] = classic.Profile{Kind: classic.Chat}
	}
	return profiles
}

// seats is how many a room has that a client of a namespace creates; 0 leaves it to the app's policy.
func (c *SocketIOConfig) seats(namespace string) int {
	if slices.Contains(c.ChatNamespaces, namespace) {
		return math.MaxInt // as many as a room can have
	}
	return c.CallCapacity
}

// connectBytes is how large the object of a CONNECT may be; 0 for as much as usual. A client that comes back has in it a
// resume token, too, which may be twice as long as another one, and its place in its rooms.
func (c *SocketIOConfig) connectBytes() int {
	if !c.Recovery {
		return 0
	}
	return 16<<10 + 2*auth.DefaultMaxTokenBytes + 2<<10
}

var _ session.Returner = (*classic.Peer)(nil)

// attach opens the session of a socket.
func (g *Gateway) attach(s *socketio.Socket, hello *wire.Hello, peer *classic.Peer) (classic.Session, error) {
	if hello.Token == "" && hello.App == "" {
		hello.App = g.config.DefaultApp()
	}
	handshake := s.Session().Handshake()
	client := session.Client{
		Transport: transportSocketIO, ID: s.ID(), Remote: handshake.RemoteAddr,
		Capacity: g.config.SocketIO.seats(s.Namespace()),
	}
	if origin := handshake.Header.Get("Origin"); !sameHost(origin, handshake.Host) {
		client.Origin = origin
	}
	attached, err := g.sessions.Attach(g.lifeOf(handshake.Header), hello, peer, client)
	if err != nil {
		return nil, err // not attached: a nil pointer in an interface is not nil
	}
	peer.Recoverable(attached.ResumeToken())
	attached.TellICE()
	return attached, nil
}

// pageMayConnect decides whether pages of an origin may connect at all; the session looks again once it knows the app.
func (g *Gateway) pageMayConnect(r *http.Request, origin string) bool {
	return sameHost(origin, r.Host) || g.directory.OriginAllowed(origin)
}

// Refusals of handshakes.
var (
	errOriginTwice   = &socketio.Refusal{Message: "more than one Origin"}
	errOriginMissing = &socketio.Refusal{Message: "an Origin is needed"}
)

// admit decides on a handshake, beside its origin. A browser sends no Origin with a GET to the page's own server.
func (g *Gateway) admit(r *http.Request) error {
	switch origins := r.Header["Origin"]; {
	case len(origins) > 1:
		return errOriginTwice
	case len(origins) == 0 && !g.config.Origins.AllowMissing && r.Header.Get("Sec-Fetch-Site") != "same-origin":
		return errOriginMissing
	}
	if d := g.admission.admit(g.socketIO.Full()); d != nil {
		return &socketio.Refusal{Message: d.message, RetryAfter: d.retryAfter}
	}
	return nil
}

func (g *Gateway) newSID() string { return g.node + rand.Text()[:sidSecretLength] }

// foreign gives the way to the gateway that has a session, nil if there is none.
func (g *Gateway) foreign(r *http.Request, sid string) http.Handler {
	if cluster.Hopped(r) || len(sid) != sidLength || sid[:nodeIDLength] == g.node {
		return nil
	}
	return g.hop.Forward(r.Context(), sid[:nodeIDLength])
}

// runSocketIO serves sessions until ctx ends, and then closes them.
func (g *Gateway) runSocketIO(ctx context.Context) error {
	defer g.serving.Done()
	if g.socketIO != nil {
		g.socketIO.Run(ctx)
	}
	return nil
}

// serveHops serves what other gateways forward.
func (g *Gateway) serveHops() error {
	if g.hopHTTP == nil {
		return nil
	}
	return serve(g.hopHTTP, g.hop.Listener(g.internal))
}

// endHops ends what goes between gateways, once no session is left.
func (g *Gateway) endHops() {
	if g.hopHTTP != nil {
		_ = g.hopHTTP.Close()
	}
	if g.hop != nil {
		g.hop.Close()
	}
}
