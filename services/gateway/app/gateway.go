// Package app is the gateway: it puts the parts together, starts them in order and ends them in order.
package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// Options are what a gateway needs beside its configuration.
type Options struct {
	// Config is only read. Required.
	Config *Config
	// Logger and Registry are this gateway's own. Required.
	Logger   *slog.Logger
	Registry *prometheus.Registry
	// Level is the logger's level, which the operations address can change; it cannot if nil.
	Level *LogLevel
	// Public, Operations and Cluster take the place of the configured addresses. The gateway closes them.
	Public     net.Listener
	Operations net.Listener
	Cluster    net.Listener
	API        net.Listener
	// RedisDialer takes the place of the network on the way to Redis, for tests in memory.
	RedisDialer func(ctx context.Context, network, addr string) (net.Conn, error)

	// Hangup has the configuration's files looked at; it may be nil.
	Hangup <-chan os.Signal

	lapses int // how often RunAnew has begun anew
}

func (o *Options) validate() error {
	if o.Config == nil || o.Logger == nil || o.Registry == nil {
		return errors.New("app: a configuration, a logger and a registry are needed")
	}
	return o.Config.Validate()
}

// Gateway is one node of the cluster.
type Gateway struct {
	// immutable
	config      *Config
	name        string // shown to users
	node        string // this process' id in the cluster, new at each start
	logger      *slog.Logger
	calm        *slog.Logger // logger for what clients, or an outage, can cause any number of times
	directory   *auth.Directory
	tenants     *tenants
	reloader    *reloader
	store       *store.Store
	inbox       *store.Inbox
	webhooks    *webhooks
	deliveries  *webhook.Engine // nil where the other gateways deliver
	delivered   chan struct{}   // closed once the engine has ended
	rooms       *room.Service
	quotas      *quota.Keeper
	ice         *ice.Issuer
	sessions    *session.Server
	upgrader    *ws.Upgrader
	lot         *ws.Lot
	certificate *Certificate // nil without TLS
	public      net.Listener
	operations  net.Listener
	publicHTTP  *http.Server
	opsHTTP     *http.Server
	proxies     proxies
	admission   *admission
	holdDown    *holdDown

	traces  *telemetry.Traces // nil if nothing is traced
	cluster *cluster.Cluster
	key     []byte // the cluster's
	options Options

	api *apiServer // nil without

	// for socket.io clients; nil without
	socketIO *socketio.Server
	hop      *cluster.Hop
	internal net.Listener
	hopHTTP  *http.Server

	ready        chan struct{} // closed once clients are served
	connections  atomic.Int64
	draining     atomic.Bool
	drainAsked   chan struct{} // closed when somebody wants this gateway to end
	drainOnce    sync.Once
	moves        moves
	serving      sync.WaitGroup // sessions
	sessionsLife context.Context
	endSessions  context.CancelFunc
}

// calmInterval is between lines that say the same of different clients.
const calmInterval = time.Second

// nodeIDLength is that of a node's id: 12 characters of 5 bits.
const nodeIDLength = 12

// Open checks the configuration, listens, and connects to Redis. What it returns must be run.
func Open(ctx context.Context, opts Options) (*Gateway, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{
		config: opts.Config, node: rand.Text()[:nodeIDLength], public: opts.Public, operations: opts.Operations, internal: opts.Cluster,
		ready: make(chan struct{}), drainAsked: make(chan struct{}), delivered: make(chan struct{}), options: opts,
	}
	if g.name = opts.Config.Node.Name; g.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("app: the host's name, for node.name: %w", err)
		}
		g.name = host
	}
	g.logger = opts.Logger.With("node", g.name, "node_id", g.node)
	g.calm = telemetry.Every(g.logger, calmInterval)
	// Sessions outlive the context of Open, and end before the rest of the gateway does.
	g.sessionsLife, g.endSessions = context.WithCancel(context.Background())
	if err := g.open(ctx, opts); err != nil {
		g.Close() //nolint:contextcheck // it waits for nothing
		return nil, err
	}
	return g, nil
}

// open makes the parts, from the bottom up.
func (g *Gateway) open(ctx context.Context, opts Options) (err error) {
	if g.directory, err = g.config.directory(g.logger, opts.Registry); err != nil {
		return err
	}
	if g.config.TLS.Enabled() {
		g.certificate, err = OpenCertificate(CertificateOptions{
			CertFile: g.config.TLS.CertFile, KeyFile: g.config.TLS.KeyFile, Interval: g.config.TLS.ReloadInterval,
			Logger: g.logger, Registerer: opts.Registry,
		})
		if err != nil {
			return err
		}
	}
	if g.proxies, err = newProxies(g.config.Listen.TrustedProxies); err != nil {
		return err
	}
	if err = g.listen(ctx); err != nil {
		return err
	}
	g.admission = newAdmission(g.config.Limits.AcceptsPerSecond, g.config.Limits.AcceptsBurst, g.config.Limits.Connections, opts.Registry)
	g.holdDown = newHoldDown(g.config.Readiness.HoldDown, g.logger, opts.Registry)
	g.openDrain(opts.Registry)
	if err = g.openTraces(ctx, opts.Registry); err != nil {
		return err
	}
	if g.store, err = g.openStore(ctx, opts); err != nil {
		return err
	}
	g.tenants = newTenants(g.store, g.directory, g.logger)
	g.tenants.drain = g.askToDrain
	g.reloader = newReloader(g.config, g.directory, opts.Hangup, g.logger, opts.Registry)
	if err = g.openKey(ctx); err != nil {
		return err
	}
	g.webhooks = newWebhooks(g.directory)
	if err = g.openRooms(opts.Registry); err != nil {
		return err
	}
	if err = g.openWebhooks(opts.Registry); err != nil {
		return err
	}
	g.inbox = g.store.Inbox(g.node, g.rooms)
	g.inbox.OnLost, g.inbox.OnResubscribed, g.inbox.OnEmptied = g.rooms.Lost, g.rooms.Resubscribed, g.rooms.Emptied
	if err = g.openCluster(ctx, opts.Registry); err != nil {
		return err
	}
	if g.config.SocketIO.Enabled {
		if err = g.openSocketIO(opts.Registry); err != nil {
			return err
		}
	}
	if g.config.API.Enabled() {
		if g.api, err = g.openAPI(ctx, opts); err != nil {
			return err
		}
	}
	handler, err := NewOperations(OperationsOptions{
		Registry: opts.Registry, Checks: g.checks(), Pprof: g.config.Listen.Pprof, Level: opts.Level, Logger: g.logger,
	})
	if err != nil {
		return err
	}
	g.opsHTTP = NewOperationsServer(handler, g.logger)
	g.publicHTTP, err = g.newPublicServer()
	return err
}

func (g *Gateway) listen(ctx context.Context) error {
	var config net.ListenConfig
	for _, l := range []struct {
		to      *net.Listener
		address string
		key     string
	}{
		{&g.public, g.config.Listen.Public, "listen.public"},
		{&g.operations, g.config.Listen.Operations, "listen.operations"},
		{&g.internal, g.config.Listen.Cluster, "listen.cluster"},
	} {
		if *l.to != nil || l.to == &g.internal && !g.config.SocketIO.Enabled {
			continue
		}
		listener, err := config.Listen(ctx, "tcp", l.address)
		if err != nil {
			return fmt.Errorf("app: %s: %w", l.key, err)
		}
		*l.to = listener
	}
	if g.certificate != nil {
		g.public = tls.NewListener(g.public, g.certificate.TLSConfig())
	}
	return nil
}

// The transports, as metrics and logs name them.
const (
	transportWebSocket = "websocket"
	transportSocketIO  = "socketio"
)

// openRooms makes what stands between the store and the sockets.
func (g *Gateway) openRooms(registry *prometheus.Registry) (err error) {
	c := g.config
	if g.rooms, err = room.New(room.Options{
		Store: g.store, Node: g.node, Capacity: c.Rooms.Capacity, MaxCapacity: c.Rooms.MaxCapacity,
		PerSession: c.Rooms.PerSession, StateKeys: c.Rooms.StateKeys, StateBytes: c.Rooms.StateBytes,
		Waiting: c.Rooms.Waiting, Keep: c.Rooms.Keep, ChatLength: c.Rooms.ChatLength, WhiteboardLength: c.Rooms.Whiteboard, HistoryBytes: c.Rooms.HistoryBytes,
		Logger: g.calm, Registerer: registry,
	}); err != nil {
		return err
	}
	tokens, err := auth.NewResumeTokens(g.directory, g.key)
	if err != nil {
		return err
	}
	if err = g.openQuotas(registry); err != nil {
		return err
	}
	if err = g.openICE(registry); err != nil {
		return err
	}
	if g.sessions, err = session.NewServer(session.Options{
		Quotas: g.quotas,
		Tokens: tokens, Grace: c.Rooms.Grace, SameUser: auth.SameUser(c.Rooms.SameUser),
		Rooms: g.rooms, Auth: g.directory, Origin: g.directory.AppOriginAllowed, Hooks: g.webhooks.wanted, Node: g.name, Region: c.Node.Region,
		ICE: g.ice, ICEChangesPerSecond: c.ICE.ChangesPerSecond, ExpiryNotice: c.Session.ExpiryNotice,
		Heartbeat: c.Session.Heartbeat, HelloTimeout: c.Session.HelloTimeout,
		QueueMessages: c.Session.QueueMessages, QueueBytes: c.Session.QueueBytes, InFlight: c.Session.InFlight,
		RequestsPerSecond: c.Limits.RequestsPerSecond, RequestsBurst: c.Limits.RequestsBurst,
		RequestsWait: c.Limits.RequestsWait, BadMessages: c.Limits.BadMessages,
		MessageBytes: c.Limits.MessageBytes, RoomsPerSession: c.Rooms.PerSession, StateBytes: c.Rooms.StateBytes,
		Transports: []string{transportWebSocket, transportSocketIO}, Apps: g.config.labelledApps(),
		Tracer: g.tracer(), Sample: g.sample(), TrustParents: c.Tracing.TrustParents,
		Logger: g.logger, Registerer: registry,
	}); err != nil {
		return err
	}
	g.tenants.closesFor(g.sessions)
	if g.lot, err = ws.NewLot(ws.LotOptions{
		After: c.Listen.ParkAfter, Logger: g.logger, Registerer: registry,
	}); err != nil {
		return err
	}
	g.upgrader, err = ws.New(ws.Options{
		Lot: g.lot, CheckOrigin: g.checkOrigin, MessageBytes: c.Limits.MessageBytes, MessageReadTimeout: c.Limits.MessageReadTimeout,
		Limits:    g.wireLimits(),
		Heartbeat: c.Session.Heartbeat, HeartbeatTimeout: c.Session.HeartbeatTimeout, WriteTimeout: c.Session.WriteTimeout,
		Fragments: c.Limits.MessageFragments, PingsPerSecond: c.Limits.PingsPerSecond, Logger: g.logger, Registerer: registry,
	})
	return err
}

// wireLimits bound a message of the native protocol.
func (g *Gateway) wireLimits() wire.Limits {
	c := g.config
	return wire.Limits{
		Depth: c.Limits.JSONDepth, Keys: c.Limits.JSONKeys, StateKeys: c.Rooms.StateKeys, StateBytes: c.Rooms.StateBytes}
}

// checks are the conditions under which the gateway wants new connections.
func (g *Gateway) checks() []Check {
	return []Check{
		{Name: "accepting", Ready: func(context.Context) error {
			select {
			case <-g.ready:
			default:
				return errors.New("the gateway is starting")
			}
			if g.draining.Load() {
				return errors.New("the gateway is ending")
			}
			return nil
		}},
		g.holdDown.check("redis", g.store.Ping),
		g.holdDown.check("inboxes", func(context.Context) error { return g.inbox.Ready() }),
	}
}

// Name is the gateway's name as users see it.
func (g *Gateway) Name() string { return g.name }

// PublicAddr is the address for clients.
func (g *Gateway) PublicAddr() net.Addr { return g.public.Addr() }

// OperationsAddr is the address of /metrics, /livez and /readyz.
func (g *Gateway) OperationsAddr() net.Addr { return g.operations.Addr() }

// WaitReady waits until clients are served, or ctx ends.
func (g *Gateway) WaitReady(ctx context.Context) error {
	select {
	case <-g.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run serves until ctx ends, then ends in order within shutdown.timeout. It must be called once. It ends with
// [cluster.ErrLapsed] when the other gateways have taken this one for dead: see [Gateway.RunAnew].
func (g *Gateway) Run(ctx context.Context) error {
	defer g.Close() //nolint:contextcheck // it waits for nothing
	parts, life := newParts(), context.WithoutCancel(ctx)
	// Each part lives as long as what stands on it: ended in the opposite order.
	storeLife := parts.start(life, func(ctx context.Context) error { return g.store.Run(ctx) })
	inboxLife := parts.start(life, func(ctx context.Context) error { return g.inbox.Run(ctx) })
	keysLife := parts.start(life, g.directory.Run)
	tenantsLife := parts.start(life, g.tenants.run)
	reloaderLife := parts.start(life, g.reloader.run)
	roomsLife := parts.start(life, func(ctx context.Context) error { return g.rooms.Run(ctx) })
	webhooksLife := parts.start(life, g.runWebhooks)
	lotLife := parts.start(life, g.lot.Run)
	certLife := parts.start(life, func(ctx context.Context) error {
		if g.certificate != nil {
			g.certificate.Run(ctx)
		}
		return nil
	})
	quotasLife := parts.start(life, g.runQuotas)
	iceLife := parts.start(life, func(ctx context.Context) error { return g.ice.Run(ctx, g.sessions.ICEChanged) })
	clusterLife := parts.start(life, g.cluster.Run)
	g.serving.Add(1) // the sessions of socket.io clients, all together
	socketIOLife := parts.start(life, g.runSocketIO)
	parts.start(life, func(context.Context) error { return g.serveHops() })
	apiLife := parts.start(life, g.runAPI)
	holdLife := parts.start(life, g.holdDown.run)
	opsLife := parts.start(life, func(context.Context) error { return serve(g.opsHTTP, g.operations) })
	// No client before the inboxes are there: it would miss what it is told. None before the other gateways can find this
	// one either: they get its requests, too.
	publicLife := parts.start(life, func(life context.Context) error {
		if err := g.inbox.WaitReady(life); err != nil {
			return nil // ended before it was ready
		}
		if err := g.cluster.WaitReady(life); err != nil {
			return nil
		}
		if !g.tenants.waitLoaded(life) { // whom they let in is not known before
			return nil
		}
		if err := g.waitQuotas(life); err != nil {
			return nil
		}
		if err := g.ice.WaitReady(life); err != nil { // who came before would be told of no relay, and then of some
			return nil
		}
		close(g.ready)
		addresses := []any{"public", g.public.Addr().String(), "operations", g.operations.Addr().String()}
		if api := g.APIAddr(); api != nil {
			addresses = append(addresses, "api", api.String())
		}
		g.logger.Info("gateway is ready", addresses...)
		return serve(g.publicHTTP, g.public)
	})

	var failure error
	select {
	case <-ctx.Done():
	case <-g.drainAsked:
	case failure = <-parts.failed:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.Shutdown.Timeout)
	defer cancel()

	failure = g.drain(end, parts.failed, failure)
	publicLife()
	socketIOLife()   // with its sessions end the polls that the public server would wait for
	g.endSessions()  // what is left is closed and gives up its seats
	g.endPublic(end) // no new connections; what is under way is finished, polls for other gateways, too
	if err := g.awaitSessions(end); err != nil {
		g.logger.Warn("sessions did not end in time", "error", err, "connections", g.connections.Load())
		g.cluster.KeepLease()
	} else if err := g.rooms.Settled(end); err != nil {
		g.logger.Warn("seats were left behind, for the others to give up", "error", err)
		g.cluster.KeepLease()
	}
	webhooksLife() // others go on with what is left
	g.awaitWebhooks(end)
	quotasLife()
	iceLife()
	lotLife()     // nobody is parked any more who has ended
	g.endAPI(end) // a drain can be watched through it, and it asks the store
	apiLife()
	clusterLife()
	g.endHops()
	roomsLife()
	reloaderLife()
	tenantsLife()
	keysLife()
	inboxLife()
	storeLife()
	certLife()
	holdLife()
	opsLife()
	_ = g.opsHTTP.Close() // last, so that the end can be watched
	parts.wait()
	g.closeTraces(end)
	g.logger.Info("gateway has ended")
	return failure
}

// endPublic closes the public address, and leaves time to the sessions, whatever a slow page takes.
func (g *Gateway) endPublic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Shutdown.Timeout/2)
	defer cancel()
	if g.publicHTTP.Shutdown(ctx) != nil {
		_ = g.publicHTTP.Close()
	}
}

// awaitSessions waits until every session has given up its seats.
func (g *Gateway) awaitSessions(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the sessions, whose deadlines are shorter than this process' life
		g.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close releases what Open took. Run does it itself.
func (g *Gateway) Close() {
	g.endSessions()
	for _, listener := range []net.Listener{g.public, g.operations, g.internal} {
		if listener != nil {
			_ = listener.Close()
		}
	}
	if g.api != nil {
		_ = g.api.listener.Close()
	}
	if g.store != nil {
		_ = g.store.Close()
	}
	g.closeTraces(over) // does nothing after Run has
}

// parts are goroutines that each end when told, and whose first failure ends the gateway.
type parts struct {
	running sync.WaitGroup
	failed  chan error
}

func newParts() *parts { return &parts{failed: make(chan error, 1)} }

// start runs a part and gives the function that tells it to end.
func (p *parts) start(ctx context.Context, run func(context.Context) error) context.CancelFunc {
	ctx, cancel := context.WithCancel(ctx)
	p.running.Go(func() {
		if err := run(ctx); err != nil {
			select {
			case p.failed <- err:
			default:
			}
		}
	})
	return cancel
}

func (p *parts) wait() { p.running.Wait() }

func serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("app: %s: %w", listener.Addr(), err)
	}
	return nil
}

// Limits of the public listener beside those of the configuration.
const (
	publicReadTimeout  = 10 * time.Second // of a page's request; a WebSocket has deadlines of its own
	publicWriteTimeout = 30 * time.Second
	publicIdleTimeout  = 2 * time.Minute
)
