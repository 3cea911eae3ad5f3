package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/lockedbuf"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what must happen, on a machine that is busy with other things.
const patience = time.Minute

// backend is a deployment of Redis.
type backend struct {
	mode      string
	addresses []string
	servers   []*redistest.Server
}

func singleRedis(tb testing.TB) backend {
	tb.Helper()
	server := redistest.Single(tb)
	return backend{mode: app.RedisSingle, addresses: []string{server.Addr()}, servers: []*redistest.Server{server}}
}

func clusterRedis(tb testing.TB) backend {
	tb.Helper()
	cluster := redistest.Cluster(tb, 3)
	return backend{mode: app.RedisCluster, addresses: cluster.Addrs(), servers: cluster.Nodes()}
}

// onBoth runs a test on a single Redis and on a cluster of three primaries.
func onBoth(t *testing.T, test func(t *testing.T, redis backend)) {
	t.Run("single", func(t *testing.T) { test(t, singleRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, clusterRedis(t)) })
}

// each sends a command to every server and gives the replies.
func (b backend) each(args ...string) ([]any, error) {
	var replies []any
	for _, server := range b.servers {
		reply, err := server.Do(args...)
		if err != nil {
			return nil, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// roomKeys gives the names of all keys of rooms and seats. Nothing is left of a room that everybody has left.
func (b backend) roomKeys(tb testing.TB) []string {
	tb.Helper()
	replies, err := b.each("KEYS", "sb:{*")
	require.NoError(tb, err)
	var keys []string
	for _, reply := range replies {
		for _, key := range reply.([]any) {
			if key := key.(string); isRoomKey(key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// isRoomKey reports whether a key is of a room, and not the gateways' own.
func isRoomKey(key string) bool {
	return key != "sb:partitions" && !strings.HasPrefix(key, "sb:{cluster}:") && !strings.HasSuffix(key, "}:gate") &&
		!strings.Contains(key, "}:canary:")
}

// gateway is one that runs in this process.
type gateway struct {
	*app.Gateway
	registry *prometheus.Registry
	log      *lockedbuf.Buffer
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	// end ends it, as SIGTERM does, and waits for it. It may be called twice.
	end func() error
}

// demoConfig is a gateway's configuration with the demo app, free ports, and time for a busy machine.
func demoConfig(name string, redis backend) *app.Config {
	config := app.Default()
	config.Node.Name = name
	config.Demo.Enabled = true
	config.Listen.Public, config.Listen.Operations, config.Listen.Cluster = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	config.Redis.Mode, config.Redis.Addresses = redis.mode, redis.addresses
	config.Redis.DialTimeout, config.Redis.ReadTimeout, config.Redis.WriteTimeout = patience, patience, patience
	config.Cluster.CanaryTimeout = patience
	config.Cluster.Partitions = 16
	config.Log.Level = "debug"
	config.Shutdown.Delay, config.Shutdown.Window, config.Shutdown.Grace = 0, 0, 0 // tests of other things end at once
	config.Limits.AcceptsPerSecond = 0                                             // and open as many clients as they like
	return config
}

// openGateway opens and runs a gateway; it ends with the test at the latest.
func openGateway(tb testing.TB, opts app.Options) *gateway {
	tb.Helper()
	g := &gateway{log: new(lockedbuf.Buffer), registry: newRegistry(), dial: new(net.Dialer).DialContext}
	level := new(slog.LevelVar)
	level.Set(opts.Config.Log.SlogLevel())
	opts.Logger = telemetry.NewLogger(g.log, level, telemetry.FormatJSON)
	opts.Registry = g.registry
	var err error
	g.Gateway, err = app.Open(tb.Context(), opts)
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	g.end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	tb.Cleanup(func() {
		require.NoError(tb, g.end())
		if tb.Failed() {
			tb.Logf("log of %s:\n%s", g.Name(), tail(g.log.String(), 4000))
		}
	})
	waiting, done := context.WithTimeout(tb.Context(), patience)
	defer done()
	require.NoError(tb, g.WaitReady(waiting))
	return g
}

func tail(text string, most int) string { return text[max(0, len(text)-most):] }

// startGateways runs gateways on one Redis, each changed by configure.
func startGateways(tb testing.TB, count int, redis backend, configure ...func(*app.Config)) []*gateway {
	tb.Helper()
	gateways := make([]*gateway, count)
	for i := range gateways {
		config := demoConfig("gateway-"+strconv.Itoa(i+1), redis)
		for _, change := range configure {
			change(config)
		}
		gateways[i] = openGateway(tb, app.Options{Config: config})
	}
	return gateways
}

func newRegistry() *prometheus.Registry { return telemetry.NewRegistry(telemetry.Build{}) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// get fetches a page of the operations address: its status and its body.
func (g *gateway) get(tb testing.TB, path string) (int, string) {
	tb.Helper()
	response, text := g.fetch(tb, http.MethodGet, "http://"+g.OperationsAddr().String()+path, nil)
	return response.StatusCode, text
}

// fetch makes a request over a connection of its own.
func (g *gateway) fetch(tb testing.TB, method, url string, header http.Header) (*http.Response, string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, url, nil)
	require.NoError(tb, err)
	if header != nil {
		request.Header = header
	}
	return g.do(tb, request)
}

func (g *gateway) do(tb testing.TB, request *http.Request) (*http.Response, string) {
	tb.Helper()
	transport := &http.Transport{DialContext: g.dial, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	require.NoError(tb, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	return response, string(text)
}

// peer is a client with a record of its events.
type peer struct {
	*client.Client

	mu     sync.Mutex
	events []wire.Event // guarded by mu
}

// connect opens a session of the demo app.
func connect(tb testing.TB, g *gateway, name string, change ...func(*client.Options)) *peer {
	tb.Helper()
	p, err := dial(tb.Context(), g, name, change...)
	require.NoError(tb, err)
	tb.Cleanup(p.Close)
	return p
}

func dial(ctx context.Context, g *gateway, name string, change ...func(*client.Options)) (*peer, error) {
	p := new(peer)
	opts := client.Options{
		URL: "ws://" + g.PublicAddr().String(), App: "demo", Name: name, OpenTimeout: patience, NetDialContext: g.dial,
		OnEvent: func(event wire.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, event)
		},
	}
	for _, c := range change {
		c(&opts)
	}
	var err error
	p.Client, err = client.Dial(ctx, opts)
	return p, err
}

func (p *peer) id() string { return p.Welcome().Session }

// seen gives the events so far.
func (p *peer) seen() []wire.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]wire.Event(nil), p.events...)
}

// await waits for the first event of a type that the peer has not waited for yet, and forgets it and all before it.
func (p *peer) await(tb testing.TB, kind wire.Type) wire.Event {
	tb.Helper()
	var found wire.Event
	until(tb, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, event := range p.events {
			if event.Body != nil && event.Body.Type() == kind {
				found, p.events = event, p.events[i+1:]
				return true
			}
		}
		return false
	}, "an event of type "+string(kind))
	return found
}

func (p *peer) mustJoin(tb testing.TB, room string) *wire.Snapshot {
	tb.Helper()
	snapshot, err := p.Join(tb.Context(), wire.Join{Room: room})
	require.NoError(tb, err)
	return snapshot
}

// publish publishes a text.
func (p *peer) publish(ctx context.Context, room, text string) error {
	_, err := p.Publish(ctx, wire.Publish{Room: room, Data: []byte(strconv.Quote(text))})
	return err
}

// until waits for a condition with patience.
func until(tb testing.TB, condition func() bool, what string) {
	tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			require.FailNow(tb, "not in time: "+what)
		}
	}
}

// closeCode gives the code with which a session's connection was closed, once its client has ended.
func closeCode(tb testing.TB, p *peer) wire.CloseCode {
	tb.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		require.FailNow(tb, "the session has not ended")
	}
	var closed *client.CloseError
	require.ErrorAs(tb, p.Err(), &closed)
	return closed.Code
}

func code(err error) wire.Code {
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

// The main job: two clients on two gateways negotiate.
func TestCall(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		gateways := startGateways(t, 2, redis, func(c *app.Config) { c.Demo.Capacity = 2 })
		ada, bob := connect(t, gateways[0], "Ada"), connect(t, gateways[1], "Bob")
		require.Equal(t, "gateway-1", ada.Welcome().Node)
		require.Equal(t, "gateway-2", bob.Welcome().Node)
		ada.mustJoin(t, "hall")
		snapshot := bob.mustJoin(t, "hall")
		require.Equal(t, []string{"Ada", "Bob"}, []string{snapshot.Peers[0].Name, snapshot.Peers[1].Name})
		require.Equal(t, bob.id(), ada.await(t, wire.TypeJoinedPeer).Body.(*wire.JoinedPeer).Peer.ID)

		offer := []byte(`{"description":{"type":"offer","sdp":"v=0\r\n"}}`)
		_, err := bob.Signal(t.Context(), wire.Signal{Room: "hall", To: ada.id(), Data: offer})
		require.NoError(t, err)
		signaled := ada.await(t, wire.TypeSignal).Body.(*wire.Signaled)
		require.Equal(t, bob.id(), signaled.From)
		require.Equal(t, string(offer), string(signaled.Data), "byte for byte")

		third := connect(t, gateways[0], "Cy")
		_, err = third.Join(t.Context(), wire.Join{Room: "hall"})
		require.Equal(t, wire.CodeRoomFull, code(err), "%v", err)

		_, err = bob.SetState(t.Context(), wire.SetState{Room: "hall", State: wire.Object{"mic": []byte("false")}})
		require.NoError(t, err)
		require.Equal(t, wire.Object{"mic": []byte("false")}, ada.await(t, wire.TypeState).Body.(*wire.StateChanged).State)
		bob.Close()
		require.Equal(t, &wire.LeftPeer{Peer: bob.id(), Reason: wire.ReasonLeft}, ada.await(t, wire.TypeLeftPeer).Body)
		_, err = ada.Leave(t.Context(), "hall")
		require.NoError(t, err)
		require.Empty(t, redis.roomKeys(t))
	})
}

// metric gives the sum of a metric's samples whose line has all of some texts in it.
func metric(tb testing.TB, page, name string, having ...string) float64 {
	tb.Helper()
	sum := 0.0
line:
	for line := range strings.Lines(page) {
		series, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if bare, _, _ := strings.Cut(series, "{"); !found || bare != name {
			continue
		}
		for _, text := range having {
			if !strings.Contains(series, text) {
				continue line
			}
		}
		number, err := strconv.ParseFloat(value, 64)
		require.NoError(tb, err, fmt.Sprint(line))
		sum += number
	}
	return sum
}

// anonymousOf changes the app that a client asks for.
func anonymousOf(app string) func(*client.Options) { return func(o *client.Options) { o.App = app } }
