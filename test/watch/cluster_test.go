// Package watch runs a cluster under load with a real Prometheus, and asks it everything that the dashboards, recording rules and
// alerts of the chart ask.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
	relay "github.com/signalbox-rtc/signalbox/services/relay/app"
)

// patience is how long a step may take on a machine that is busy with other things.
const patience = 2 * time.Minute

// startGateway runs a gateway in this process until the test ends.
func startGateway(tb testing.TB, name, region, redis, receiver, backend string) *app.Gateway {
	tb.Helper()
	config := app.Default()
	config.Node.Name, config.Node.Region = name, region
	config.ICE.Relays.Enabled, config.ICE.Relays.Secrets = true, []auth.Secret{relaySecret}
	config.Demo.Enabled = true
	config.Listen.Public, config.Listen.Operations, config.Listen.Cluster = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	config.Redis.Addresses = []string{redis}
	config.Limits.Connections = 1000
	config.Shutdown.Delay, config.Shutdown.Window, config.Shutdown.Grace = 0, 0, 0
	serveApps(config, backend)
	config.Tracing.Endpoint, config.Tracing.OneIn = receiver, 1
	registry := telemetry.NewRegistry(telemetry.Build{})
	gateway, err := app.Open(tb.Context(), app.Options{Config: config, Logger: slog.New(slog.DiscardHandler), Registry: registry})
	require.NoError(tb, err)
	// The process' own metrics, which services/gateway adds.
	log := telemetry.NewBuffer(io.Discard, 16)
	log.Register(registry)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-ended)
	})
	waiting, done := context.WithTimeout(tb.Context(), patience)
	defer done()
	require.NoError(tb, gateway.WaitReady(waiting))
	return gateway
}

// newReceiver takes spans and forgets them.
func newReceiver(tb testing.TB) string {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	tb.Cleanup(receiver.Close)
	return receiver.URL
}

// cluster is two gateways and a relay on one Redis, with people who do everything that is counted.
type cluster struct {
	gateways []*app.Gateway
	relay    *relay.Relay
	failures chan error
	asked    atomic.Int64 // requests to the server API
	calls    atomic.Int64 // of which some come to nothing
	meetings atomic.Int64 // rooms that get a name of their own

	allocations atomic.Int64 // at the relay, of which some are refused
}

// startCluster runs gateways and people until the test ends.
func startCluster(tb testing.TB) *cluster {
	tb.Helper()
	redis, receiver, backend := redistest.Single(tb).Addr(), newReceiver(tb), newBackend(tb)
	c := &cluster{failures: make(chan error, 100)}
	for i := range 2 {
		region := []string{"eu-west", "us-east"}[i]
		c.gateways = append(c.gateways, startGateway(tb, fmt.Sprint("gateway-", i+1), region, redis, receiver, backend))
	}
	c.relay = startRelay(tb, redis)
	ctx, cancel := context.WithCancel(context.Background())
	var people sync.WaitGroup
	for room := range 4 {
		people.Go(func() {
			c.again(ctx, func(ctx context.Context) error { return c.call(ctx, fmt.Sprint("room-", room)) })
		})
	}
	people.Go(func() { c.again(ctx, c.visit) })
	people.Go(func() { c.again(ctx, c.poll) })
	for _, do := range []func(context.Context) error{c.manage, c.follow, c.crowd, c.ask, c.relayed} {
		people.Go(func() { c.again(ctx, do) })
	}
	tb.Cleanup(func() {
		cancel()
		people.Wait()
	})
	return c
}

// again does something over and over.
func (c *cluster) again(ctx context.Context, do func(context.Context) error) {
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			select {
			case c.failures <- err:
			default:
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *cluster) url(i int) string {
	return "http://" + c.gateways[i%len(c.gateways)].PublicAddr().String()
}

// cutter makes connections that can be cut.
type cutter struct {
	mu   sync.Mutex
	conn net.Conn
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.Close()
}

// call is two people on two gateways who talk, of whom one loses the connection and comes back.
func (c *cluster) call(ctx context.Context, room string) error {
	line, back := new(cutter), make(chan struct{}, 1)
	calls := int(c.calls.Add(1))
	ada, err := client.Dial(ctx, client.Options{URL: c.url(calls), App: "demo", Name: "Ada"})
	if err != nil {
		return err
	}
	defer ada.Close()
	bob, err := client.Dial(ctx, client.Options{
		URL: c.url(calls + 1), App: "demo", Name: "Bob", Reconnect: true, NetDialContext: line.dial,
		Backoff: client.Backoff{}, OnResumed: func(*wire.Welcome) {
			select {
			case back <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	defer bob.Close()
	for _, peer := range []*client.Client{ada, bob} {
		if _, err := peer.Join(ctx, wire.Join{Room: room, Capacity: 8}); err != nil {
			return err
		}
	}
	bobID := bob.Welcome().Session
	for range 5 {
		if _, err := ada.Signal(ctx, wire.Signal{Room: room, To: bobID, Data: []byte(`{"candidate":{}}`)}); err != nil {
			return err
		}
		if _, err := bob.Publish(ctx, wire.Publish{Room: room, Topic: "chat", Data: []byte(`{"text":"hello"}`)}); err != nil {
			return err
		}
	}
	reports := []wire.Report{
		{Outcome: "connected", Milliseconds: 300, Local: "host", Remote: "srflx", Protocol: "udp"},
		{Outcome: "connected", Milliseconds: 900, Local: "relay", Remote: "host", Protocol: "udp"},
		{Outcome: "connected", Milliseconds: 1200, Local: "srflx", Remote: "relay", Protocol: "tcp"},
	}
	switch calls % 10 {
	case 1:
		reports = append(reports, wire.Report{Outcome: "failed", Local: "host", Reason: "ice", Restarts: 2})
	case 2:
		reports = append(reports, wire.Report{Outcome: "failed", Local: "relay", Reason: "dtls"})
	case 5:
		reports = append(reports, wire.Report{Outcome: "connected", Milliseconds: 700, Again: true, Restarts: 1, Local: "relay", Remote: "relay", Protocol: "udp"})
	case 3, 8:
		reports = append(reports, wire.Report{Outcome: "disconnected", Local: "srflx", Remote: "relay", Protocol: "tcp"})
	}
	for _, report := range reports {
		report.Room, report.Peer = room, bobID
		if err := ada.Report(ctx, report); err != nil {
			return err
		}
	}
	line.cut()
	select {
	case <-back:
	case <-ctx.Done():
	case <-time.After(patience):
		return errors.New("who lost the connection is not back")
	}
	return nil
}

// visit is somebody who looks in and goes.
func (c *cluster) visit(ctx context.Context) error {
	visitor, err := client.Dial(ctx, client.Options{URL: c.url(0), App: "demo", Name: "Cy"})
	if err != nil {
		return err
	}
	defer visitor.Close()
	_, err = visitor.Join(ctx, wire.Join{Room: "hall"})
	return err
}

// poll is a socket.io client on polling whose requests come to one gateway and the other.
func (c *cluster) poll(ctx context.Context) error {
	query := url.Values{"EIO": {"4"}, "transport": {"polling"}}
	ask := func(gateway int, method, body string) (string, error) {
		request, err := http.NewRequestWithContext(ctx, method, c.url(gateway)+"/socket.io/?"+query.Encode(), strings.NewReader(body))
		if err != nil {
			return "", err
		}
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("polling: %s: %s", response.Status, text)
		}
		return string(text), err
	}
	open, err := ask(0, http.MethodGet, "")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	query.Set("sid", sid)
	for _, packet := range []string{`40{"app":"demo"}`, `42["join","classic"]`} {
		if _, err := ask(1, http.MethodPost, packet); err != nil {
			return err
		}
		if _, err := ask(0, http.MethodGet, ""); err != nil {
			return err
		}
	}
	_, err = ask(1, http.MethodPost, "1") // goodbye
	return err
}

// number reports whether a sample's value is one.
func number(value float64) bool { return !math.IsNaN(value) && !math.IsInf(value, 0) }
