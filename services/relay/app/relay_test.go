package app_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

func TestServesUntilItsClientsHaveGone(t *testing.T) {
	s := start(t, nil)
	status, _ := s.get(t, "/readyz")
	require.Equal(t, http.StatusOK, status)
	relayed, err := s.connect(t, "ann").Allocate()
	require.NoError(t, err)
	exchange(t, relayed)
	_, metrics := s.get(t, "/metrics")
	require.Contains(t, metrics, `signalbox_relay_allocations{transport="udp"} 1`)
	require.Contains(t, metrics, `signalbox_relay_packets_total{direction="to_client",transport="udp"} 1`)

	s.cancel()
	require.Eventually(t, func() bool {
		status, text := s.get(t, "/readyz")
		return status == http.StatusServiceUnavailable && text != ""
	}, patience, time.Millisecond)
	status, _ = s.get(t, "/livez")
	require.Equal(t, http.StatusOK, status)
	_, err = s.connect(t, "ben").Allocate()
	require.ErrorContains(t, err, "508")
	exchange(t, relayed)
	require.NoError(t, relayed.Close())
	require.NoError(t, <-s.done)
}

func TestCutsWhatOutlivesTheDrain(t *testing.T) {
	s := start(t, func(c *app.Config) { c.Shutdown.Drain = 10 * time.Millisecond })
	relayed, err := s.connect(t, "ann").Allocate()
	require.NoError(t, err)
	s.cancel()
	require.NoError(t, <-s.done)
	_ = relayed.Close() // for the client's own sake: nobody answers
}

func TestURLs(t *testing.T) {
	s := start(t, func(c *app.Config) { c.Listen.TCP = nil })
	server := address(t, s.URLs(), "stun:", "")
	require.Equal(t, []string{"stun:" + server, "turn:" + server + "?transport=udp"}, s.URLs())
	own, err := relay.Reflexive(t.Context(), "udp4", server)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", own.String())

	// Its own address is what another relay says.
	other := start(t, func(c *app.Config) { c.Relay.ExternalIP, c.Relay.STUNServer = nil, server })
	require.NotEmpty(t, address(t, other.URLs(), "turn:127.0.0.1:", "?transport=tcp"))

	named := start(t, func(c *app.Config) { c.Relay.URLs = []string{"turns:turn.example.com:443?transport=tcp"} })
	require.Equal(t, []string{"turns:turn.example.com:443?transport=tcp"}, named.URLs())
}

func TestSecretsFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600)) // never seen half written
		require.NoError(t, os.Rename(path+".new", path))
		return path
	}
	s := start(t, func(c *app.Config) {
		c.Credentials.Secrets, c.Credentials.File = nil, write("good", "another secret, of others\n\n"+secret+"\n")
	})
	relayed, err := s.connect(t, "ann").Allocate()
	require.NoError(t, err)
	require.NoError(t, relayed.Close())

	// Another one is taken while it runs, and one that is wrong is not.
	path := write("changing", "a secret that nobody has\n")
	s = start(t, func(c *app.Config) {
		c.Credentials.Secrets, c.Credentials.File, c.Credentials.Reload = nil, path, 100*time.Millisecond
	})
	changes := func(result string) func() bool {
		return func() bool {
			_, metrics := s.get(t, "/metrics")
			return metricOf(metrics, `signalbox_relay_secrets_reloads_total{result="`+result+`"}`) == 1
		}
	}
	_, err = s.connect(t, "ann").Allocate()
	require.Error(t, err)
	write("changing", secret+"\n")
	require.Eventually(t, changes("ok"), patience, time.Millisecond)
	write("changing", "short\n")
	require.Eventually(t, changes("error"), patience, time.Millisecond)
	relayed, err = s.connect(t, "ann").Allocate()
	require.NoError(t, err)
	require.NoError(t, relayed.Close())

	for want, path := range map[string]string{
		"no such file":                   filepath.Join(dir, "missing"),
		"line 2 has fewer than 16 bytes": write("short", "a secret of 16 bytes or more\nhunter2-hunter\n"),
		"holds no secret":                write("empty", "\n"),
	} {
		c := app.Default()
		c.Credentials.File = path
		c.Listen.Operations, c.Relay.ExternalIP = "127.0.0.1:0", []string{"127.0.0.1"}
		_, err := app.Open(t.Context(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(telemetry.ReadBuild())})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// The gateways know the relay while it lives, and learn at once that it is about to end.
func TestIsAnnounced(t *testing.T) {
	server := redistest.Single(t)
	gateways, err := store.Open(t.Context(), store.Options{Addresses: []string{server.Addr()}})
	require.NoError(t, err)
	defer func() { require.NoError(t, gateways.Close()) }()
	known := func() *store.Relay {
		relays, err := gateways.Relays(t.Context())
		require.NoError(t, err)
		if len(relays) == 0 {
			return nil
		}
		require.Len(t, relays, 1)
		return &relays[0]
	}

	s := start(t, func(c *app.Config) {
		c.Announce.Enabled, c.Announce.Beat, c.Announce.Lease = true, 100*time.Millisecond, time.Minute
		c.Redis.Addresses = []string{server.Addr()}
		c.Relay.Region = "eu-west"
		c.Quotas.Allocations = 4
	})
	require.Eventually(t, func() bool { return known() != nil }, patience, time.Millisecond)
	first := known()
	require.Equal(t, "eu-west", first.Region)
	require.Equal(t, s.URLs(), first.URLs)
	require.Zero(t, first.Load)
	require.False(t, first.Draining)
	relayed, err := s.connect(t, "ann").Allocate()
	require.NoError(t, err)
	require.Eventually(t, func() bool { return known().Load == 0.25 }, patience, time.Millisecond)

	s.cancel()
	require.Eventually(t, func() bool { return known().Draining }, patience, time.Millisecond)
	require.NoError(t, relayed.Close())
	require.NoError(t, <-s.done)
	require.Nil(t, known(), "it has taken its leave")
}

// All of it together: a gateway learns of the relay, tells its client, and what it tells is good.
func TestGatewaysTellOfIt(t *testing.T) {
	server := redistest.Single(t)
	s := start(t, func(c *app.Config) {
		c.Announce.Enabled, c.Redis.Addresses = true, []string{server.Addr()}
	})
	c := gateway.Default()
	c.Demo.Enabled = true
	c.Listen.Public, c.Listen.Operations, c.Listen.Cluster = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Redis.Addresses = []string{server.Addr()}
	c.ICE.Relays.Enabled, c.ICE.Relays.Secrets, c.ICE.Relays.Interval = true, []auth.Secret{secret}, 100*time.Millisecond
	c.Shutdown.Delay, c.Shutdown.Window, c.Shutdown.Grace = 0, 0, 0
	g, err := gateway.Open(t.Context(), gateway.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(telemetry.ReadBuild()),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	require.NoError(t, g.WaitReady(t.Context()))
	var told wire.ICEServer
	require.Eventually(t, func() bool { // the gateway asks Redis in a while
		connected, err := client.Dial(t.Context(), client.Options{URL: "ws://" + g.PublicAddr().String() + "/v1/connect", App: gateway.DemoApp, Name: "Ada"})
		require.NoError(t, err)
		defer connected.Close()
		servers := connected.Welcome().ICEServers
		if len(servers) > 0 {
			told = servers[0]
		}
		return len(servers) > 0
	}, patience, 10*time.Millisecond)
	require.Equal(t, s.URLs(), told.URLs)
	relayed, err := s.connectWith(t, told.Username, told.Credential).Allocate()
	require.NoError(t, err)
	exchange(t, relayed)
	require.NoError(t, relayed.Close())
}

// Redis need not be there, neither at the beginning nor later.
func TestWorksWithoutRedis(t *testing.T) {
	server := redistest.Single(t)
	announced := func(c *app.Config) {
		c.Announce.Enabled, c.Announce.Beat, c.Announce.Lease = true, 100*time.Millisecond, time.Second
		c.Redis.Addresses = []string{server.Addr()}
	}
	counted := func(s *started, result string) func() bool {
		return func() bool {
			_, metrics := s.get(t, "/metrics")
			return metricOf(metrics, `signalbox_relay_announcements_total{result="`+result+`"}`) > 0
		}
	}
	s := start(t, announced)
	require.Eventually(t, counted(s, "ok"), patience, time.Millisecond)
	server.Kill()
	require.Eventually(t, counted(s, "error"), patience, time.Millisecond)
	relayed, err := s.connect(t, "ann").Allocate()
	require.NoError(t, err)
	exchange(t, relayed)
	require.NoError(t, relayed.Close())

	late := start(t, announced)
	require.Eventually(t, counted(late, "error"), patience, time.Millisecond)
	relayed, err = late.connect(t, "ben").Allocate()
	require.NoError(t, err)
	exchange(t, relayed)
	require.NoError(t, relayed.Close())
	status, _ := late.get(t, "/readyz")
	require.Equal(t, http.StatusOK, status)
	server.Restart()
	require.Eventually(t, counted(late, "ok"), patience, time.Millisecond)
}
