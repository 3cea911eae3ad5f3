package session_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// gateway is all that is below the transports: sessions, rooms, a store, and a Redis.
type gateway struct {
	tb       testing.TB
	sessions *session.Server
	rooms    *room.Service
	registry *prometheus.Registry
	apps     *auth.Directory
	backend  func(context.Context, string, string) (net.Conn, error) // leads to the backend of the app "hooked"
	key      auth.SigningKey
	prompt   bool            // the connections to come can be written to without waiting
	life     context.Context // of the sessions
	end      context.CancelFunc
	serving  sync.WaitGroup
}

// inBubble runs a test on fake time with an embedded Redis; with servers, if there are any, clients are told of them.
func inBubble(t *testing.T, opts session.Options, test func(t *testing.T, g *gateway), servers ...auth.ICEServerSettings) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) { test(t, onEmbedded(t, opts, 0, servers...)) })
}

// inBubbleFarFromRedis has Redis a distance away.
func inBubbleFarFromRedis(t *testing.T, opts session.Options, oneWay time.Duration, test func(t *testing.T, g *gateway)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) { test(t, onEmbedded(t, opts, oneWay)) })
}

// onEmbedded makes a gateway in a bubble, on a Redis of its own.
func onEmbedded(t *testing.T, opts session.Options, oneWay time.Duration, servers ...auth.ICEServerSettings) *gateway {
	t.Helper()
	network := new(memnet.Network)
	network.SetLatency(oneWay)
	memredis.Serve(t, network)
	return newGateway(t, opts, store.Options{Addresses: []string{memredis.Addr}, Dialer: network.DialContext}, servers...)
}

// onRedis makes a gateway on a real Redis.
func onRedis(tb testing.TB, opts session.Options) *gateway {
	tb.Helper()
	const patience = 20 * time.Second
	return newGateway(tb, opts, store.Options{
		Addresses: []string{redistest.Single(tb).Addr()}, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience})
}

// newGateway runs the parts until the test ends.
func newGateway(tb testing.TB, opts session.Options, redis store.Options, servers ...auth.ICEServerSettings) *gateway {
	tb.Helper()
	return newGatewayOf(tb, "1", opts, redis, servers...)
}

// newGatewayOf makes one of several gateways.
func newGatewayOf(tb testing.TB, number string, opts session.Options, redis store.Options, servers ...auth.ICEServerSettings) *gateway {
	tb.Helper()
	g := &gateway{tb: tb, registry: prometheus.NewRegistry()}
	redis.Logger, redis.Registerer, redis.Partitions = slog.New(slog.DiscardHandler), g.registry, 4
	redis.CanaryPeriod = 1000 * time.Hour // tests go through days of fake time
	stored, err := store.Open(tb.Context(), redis)
	require.NoError(tb, err)
	g.rooms, err = room.New(room.Options{Store: stored, Node: "node" + number, MaxCapacity: 2000, Registerer: g.registry})
	require.NoError(tb, err)
	inbox := stored.Inbox("node"+number, g.rooms)

	key, signing, err := auth.GenerateKey("k1", auth.HS256)
	require.NoError(tb, err)
	g.key = signing
	toBackend := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return g.backend(ctx, network, addr)
	}
	opts.Auth, err = auth.NewDirectory(auth.Options{Loopback: true, DialContext: toBackend, Apps: []auth.App{
		{ID: "hooked", Origins: []string{"https://acme.example"}, Hook: auth.Hook{
			URL: "http://127.0.0.1:80/auth", Secrets: []auth.Secret{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}, Join: auth.On}},
		{ID: "acme", Keys: []auth.Key{key}, Origins: []string{"https://acme.example"}},
		{ID: "open", Anonymous: true, Origins: []string{"*"}},
		{ID: "off", Anonymous: true, Disabled: true},
		{ID: "brief", Anonymous: true, Policy: auth.Policy{Grace: auth.Duration(5 * time.Second)}},
		{ID: "ruled", Anonymous: true, Policies: []auth.RoomPolicy{
			{Rooms: "quiet", Policy: auth.Policy{Echo: auth.EchoOff}},
			{Rooms: "strict", Policy: auth.Policy{Topics: []string{"chat"}, MaxMessageBytes: 10}},
			{Rooms: "hidden", Policy: auth.Policy{RelayOnly: auth.On}},
		}},
		{ID: "relayed", Keys: []auth.Key{key}, Anonymous: true, Negotiation: auth.Negotiation{
			Mode: auth.NegotiationEnforce, Types: []string{"relay"}, HidePrivate: auth.On, CandidatesPerMinute: 4}},
		{ID: "own", Anonymous: true, ICE: auth.ICE{Servers: []auth.ICEServerSettings{{URLs: []string{"turn:own.example"}, Secret: turnSecret}}, Inherit: auth.Off}},
		{ID: "fleeting", Anonymous: true, Policy: auth.Policy{Grace: -1}},
	}})
	require.NoError(tb, err)
	g.apps = opts.Auth
	if len(servers) > 0 {
		opts.ICE, err = ice.New(ice.Options{Apps: g.apps, Servers: servers, Registerer: g.registry})
		require.NoError(tb, err)
	}
	if opts.Grace > 0 {
		opts.Tokens, err = auth.NewResumeTokens(opts.Auth, []byte("the key of a cluster of tests"))
		require.NoError(tb, err)
	}
	opts.Rooms, opts.Node, opts.Registerer = g.rooms, "gateway-"+number, g.registry
	if opts.Origin == nil {
		opts.Origin = opts.Auth.AppOriginAllowed
	}
	g.sessions, err = session.NewServer(opts)
	require.NoError(tb, err)

	var parts sync.WaitGroup
	life, cancel := context.WithCancel(context.Background())
	parts.Go(func() { _ = stored.Run(life) })
	parts.Go(func() { _ = inbox.Run(life) })
	parts.Go(func() { _ = g.rooms.Run(life) })
	if opts.ICE != nil {
		parts.Go(func() { _ = opts.ICE.Run(life, g.sessions.ICEChanged) })
	}
	waiting, stopWaiting := context.WithTimeout(tb.Context(), time.Minute)
	defer stopWaiting()
	require.NoError(tb, inbox.WaitReady(waiting))

	g.life, g.end = context.WithCancel(context.Background())
	tb.Cleanup(func() {
		g.end()
		g.serving.Wait()
		settled, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		require.NoError(tb, g.rooms.Settled(settled))
		cancel()
		parts.Wait()
		require.NoError(tb, stored.Close())
	})
	return g
}

// serve runs a session on a conn.
func (g *gateway) serve(conn *conn, who session.Client) *client { return g.serveBy(conn, conn, who) }

// serveBy runs a session on a conn by way of another one.
func (g *gateway) serveBy(conn *conn, by session.Conn, who session.Client) *client {
	c := &client{conn: conn, tb: g.tb, served: make(chan struct{})}
	g.serving.Add(1)
	go g.sessions.Serve(g.life, by, who, func() {
		close(c.served)
		g.serving.Done()
	})
	return c
}

func (g *gateway) connect() *client {
	conn, who := newConn(), session.Client{Transport: "test", Remote: "192.0.2.1:1234"}
	if g.prompt {
		return g.serveBy(conn, &promptConn{conn: conn}, who)
	}
	return g.serve(conn, who)
}

const helloOpen = `{"id":1,"type":"hello","app":"open","name":"Ada"}`

// enter gives a session that has said hello.
func (g *gateway) enter() (*client, *wire.Welcome) {
	g.tb.Helper()
	c := g.connect()
	welcome := new(wire.Welcome)
	c.ok(helloOpen, welcome)
	return c, welcome
}

// token is one of acme's, with what claims changes.
func (g *gateway) token(change func(*auth.Claims)) string {
	g.tb.Helper()
	claims := auth.Claims{
		App: "acme", User: "ada", Name: "Ada", Expires: time.Now().Add(time.Hour),
		Grants: []auth.Grant{{Room: "team-*", Can: auth.Permissions{Publish: true}}},
	}
	if change != nil {
		change(&claims)
	}
	token, err := auth.Sign(g.key, claims)
	require.NoError(g.tb, err)
	return token
}

// metric gives the value of a metric: a gauge, a counter, or the count of a histogram. The labels' values are those that
// it must have, in the order of their names.
func (g *gateway) metric(name string, labels ...string) float64 {
	g.tb.Helper()
	families, err := g.registry.Gather()
	require.NoError(g.tb, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, metric := range family.GetMetric() {
			// An empty region is none, as to Prometheus.
			have := slices.DeleteFunc(metric.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "region" && l.GetValue() == "" })
			if len(have) != len(labels) {
				continue
			}
			for i, label := range have {
				if label.GetValue() != labels[i] {
					continue metrics
				}
			}
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return 0
}
