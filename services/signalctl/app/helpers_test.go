package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/signalctl/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys of the tests.
const (
	operatorKey = "operator-key-of-the-tests-0123456789"
	appSecret   = "a-secret-of-an-app-for-tests-0123456789"
	patience    = 30 * time.Second
)

// cluster is a Redis and gateways on it, with the apps demo and example.
type cluster struct {
	redis    *redistest.Server
	gateways []*gateway.Gateway
}

// configOf is a gateway's configuration.
func configOf(name string, redis *redistest.Server) *gateway.Config {
	config := gateway.Default()
	config.Node.Name = name
	config.Demo.Enabled = true
	config.Listen.Public, config.Listen.Operations, config.Listen.Cluster = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	config.Redis.Addresses = []string{redis.Addr()}
	config.Cluster.Partitions = 4
	config.API.Address = "127.0.0.1:0"
	config.API.Keys = []gateway.APIKey{{ID: "root", Secret: operatorKey, Can: "admin"}}
	config.API.EventsPeriod = 20 * time.Millisecond
	config.API.RequestsPerSecond, config.API.RequestsBurst = 10000, 10000
	config.Apps = []auth.App{{ID: "example", Keys: []auth.Key{{ID: "2026-11", Algorithm: auth.HS256, Secret: appSecret}}, Policy: auth.Policy{Capacity: 3}}}
	config.Shutdown.Delay, config.Shutdown.Window, config.Shutdown.Grace, config.Shutdown.Timeout = 0, 0, 0, 5*time.Second
	return config
}

// start makes a cluster of gateways with these names.
func start(tb testing.TB, names ...string) *cluster {
	tb.Helper()
	return startWith(tb, func(*gateway.Config) {}, names...)
}

// startWith makes a cluster of gateways whose configuration is changed.
func startWith(tb testing.TB, change func(*gateway.Config), names ...string) *cluster {
	tb.Helper()
	c := &cluster{redis: redistest.Single(tb)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	tb.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, name := range names {
		config := configOf(name, c.redis)
		change(config)
		g, err := gateway.Open(ctx, gateway.Options{
			Config: config, Logger: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(telemetry.ReadBuild()),
		})
		require.NoError(tb, err)
		running.Go(func() { _ = g.Run(ctx) })
		require.NoError(tb, g.WaitReady(tb.Context()))
		c.gateways = append(c.gateways, g)
	}
	return c
}

// api is where the first gateway has its server API.
func (c *cluster) api() string { return "http://" + c.gateways[0].APIAddr().String() }

// url is where clients reach a gateway.
func (c *cluster) url(i int) string { return "http://" + c.gateways[i].PublicAddr().String() }

// env is the environment of an operator.
func (c *cluster) env(more ...string) []string {
	return append([]string{"SIGNALCTL_URL=" + c.api(), "SIGNALCTL_KEY=" + operatorKey, "SIGNALCTL_APP=example"}, more...)
}

// result is what a call of the program has written, and its exit code.
type result struct {
	tb       testing.TB
	out, err string
	code     int
}

// run calls the program with arguments, that of standard input, and an environment.
func run(tb testing.TB, env []string, in string, args ...string) *result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	code := app.Main(ctx, app.Process{Args: args, Env: env, In: strings.NewReader(in), Out: &out, Err: &errOut})
	require.NoError(tb, ctx.Err(), "it hangs: %v\n%s%s", args, &out, &errOut)
	require.NotContains(tb, out.String()+errOut.String(), operatorKey, "the key is never shown")
	return &result{tb, out.String(), errOut.String(), code}
}

func (c *cluster) run(tb testing.TB, args ...string) *result {
	tb.Helper()
	return run(tb, c.env(), "", args...)
}

// ok requires success, and gives what was written.
func (r *result) ok() string {
	r.tb.Helper()
	require.Equal(r.tb, app.ExitOK, r.code, "%s%s", r.out, r.err)
	return r.out
}

// json requires success, and reads the one document that was written.
func (r *result) json(into any) {
	r.tb.Helper()
	decoder := json.NewDecoder(strings.NewReader(r.ok()))
	require.NoError(r.tb, decoder.Decode(into), r.out)
	_, err := decoder.Token()
	require.ErrorIs(r.tb, err, io.EOF, "one document: %s", r.out)
}

// fails requires an exit code, and text on standard error.
func (r *result) fails(code int, texts ...string) {
	r.tb.Helper()
	require.Equal(r.tb, code, r.code, "%s%s", r.out, r.err)
	for _, text := range texts {
		require.Contains(r.tb, r.err, text)
	}
}

// join has a user take a seat in a room of the app example.
func (c *cluster) join(tb testing.TB, gateway int, user, room string, events func(wire.Event)) *client.Client {
	tb.Helper()
	token, err := auth.Sign(auth.SigningKey{ID: "2026-11", Algorithm: auth.HS256, Secret: appSecret}, auth.Claims{
		App: "example", User: user, Name: strings.ToUpper(user[:1]) + user[1:], IssuedAt: time.Now(), Expires: time.Now().Add(time.Hour),
		Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}},
	})
	require.NoError(tb, err)
	joined, err := client.Dial(tb.Context(), client.Options{URL: c.url(gateway), Token: token, OnEvent: events, Origin: c.url(gateway)})
	require.NoError(tb, err)
	tb.Cleanup(joined.Close)
	_, err = joined.Join(tb.Context(), wire.Join{Room: room})
	require.NoError(tb, err)
	return joined
}
