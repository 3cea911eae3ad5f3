package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// backendStore is how a backend's changes come into Redis: by no gateway of the test.
func backendStore(t *testing.T, redis backend) *store.Store {
	t.Helper()
	mode := store.ModeSingle
	if redis.mode == app.RedisCluster {
		mode = store.ModeCluster
	}
	s, err := store.Open(t.Context(), store.Options{Mode: mode, Addresses: redis.addresses, Partitions: 16, Logger: discard()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func putApp(t *testing.T, s *store.Store, a auth.App) {
	t.Helper()
	data, err := auth.EncodeApp(a)
	require.NoError(t, err)
	_, err = s.PutApp(t.Context(), a.ID, data, store.AnyVersion)
	require.NoError(t, err)
}

// enters reports whether an app lets anonymous users in at a gateway.
func enters(ctx context.Context, g *gateway, id string) bool {
	p, err := dial(ctx, g, "", func(o *client.Options) { o.App = id })
	if err != nil {
		return false
	}
	p.Close()
	return true
}

func awaitEnters(t *testing.T, g *gateway, id string, want bool) {
	t.Helper()
	require.Eventually(t, func() bool { return enters(t.Context(), g, id) == want }, patience, 5*time.Millisecond)
}

// What is put into Redis counts on every gateway, at once and on those that start later, and nobody is disconnected by it.
func TestManagedAppsCountEverywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		gateways := startGateways(t, 2, redis)
		backend := backendStore(t, redis)
		bystander := connect(t, gateways[0], "bystander")
		bystander.mustJoin(t, "r")
		require.False(t, enters(t.Context(), gateways[0], "acme"))
		putApp(t, backend, auth.App{ID: "acme", Anonymous: true})
		putApp(t, backend, auth.App{ID: "demo", Disabled: true}) // the configuration's goes before
		for _, g := range gateways {
			awaitEnters(t, g, "acme", true)
			require.True(t, enters(t.Context(), g, "demo"))
		}
		resident := connect(t, gateways[1], "resident", func(o *client.Options) { o.App = "acme" })
		resident.mustJoin(t, "r")

		_, err := backend.PutApp(t.Context(), "broken", []byte(`{"id":"broken"`), store.AnyVersion)
		require.NoError(t, err)
		putApp(t, backend, auth.App{ID: "second", Anonymous: true})
		putApp(t, backend, auth.App{ID: "acme", Anonymous: true, Audience: "changed"})
		for _, g := range gateways {
			awaitEnters(t, g, "second", true)
			_, text := g.get(t, "/metrics")
			require.Contains(t, text, `signalbox_apps{source="refused"} 2`)
			require.Equal(t, 1, strings.Count(g.log.String(), `"app":"broken"`))
		}
		late := startGateways(t, 1, redis)[0]
		require.True(t, enters(t.Context(), late, "second"))

		require.NoError(t, backend.DeleteApp(t.Context(), "second", store.AnyVersion))
		awaitEnters(t, gateways[0], "second", false)
		require.NoError(t, resident.publish(t.Context(), "r", "still here"))
		require.NoError(t, bystander.publish(t.Context(), "r", "still here"))
	})
}

// Apps that Redis has lost are put back by those who know them.
func TestManagedAppsOutliveRedisData(t *testing.T) {
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis)
	backend := backendStore(t, redis)
	putApp(t, backend, auth.App{ID: "acme", Anonymous: true})
	for _, g := range gateways {
		awaitEnters(t, g, "acme", true)
	}
	before, err := backend.App(t.Context(), "acme")
	require.NoError(t, err)
	_, err = redis.each("FLUSHALL")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		after, err := backend.App(t.Context(), "acme")
		return err == nil && after.Version == before.Version
	}, patience, 10*time.Millisecond)
	for _, g := range gateways {
		require.True(t, enters(t.Context(), g, "acme"))
	}
}

// configured gives a gateway the apps of a file, beside what its test needs.
func configured(t *testing.T, path string) func(*app.Config) {
	return func(c *app.Config) {
		t.Helper()
		loaded, err := app.Load([]string{"--config", path, "--demo.enabled=true"}, nil, nil)
		require.NoError(t, err)
		loaded.Node, loaded.Redis, loaded.Listen = c.Node, c.Redis, c.Listen
		*c = *loaded
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// Apps of the configuration change with its file, without a restart; a file that is wrong changes nothing.
func TestConfigurationIsReloaded(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		path := filepath.Join(t.TempDir(), "signalbox.yaml")
		writeFile(t, path, "apps: [{id: acme, anonymous: true}]\n")
		g := w.gateway(t, "one", configured(t, path), func(c *app.Config) { c.AppsReload.Interval = time.Second })
		in := func(id string) bool {
			p, err := dial(t.Context(), g, "", func(o *client.Options) { o.App, o.NetDialContext = id, w.network.DialContext })
			if err == nil {
				p.Close()
			}
			return err == nil
		}
		resident := w.connect(t, g, "resident", func(o *client.Options) { o.App = "acme" })
		resident.mustJoin(t, "r")
		require.True(t, in("acme"))

		writeFile(t, path, "apps: [{id: acme, anonymous: true, policy: {capacity: 3}}, {id: other, anonymous: true}]\nrooms: {capacity: 7}\n")
		time.Sleep(2 * time.Second)
		require.True(t, in("other"))
		require.True(t, in("demo"))
		require.Contains(t, g.log.String(), "the rest counts from its next start on")

		for _, wrong := range []string{"apps: [{id: acme, anonymous: true}, {id: BAD}]\n", "apps: [", "apps: [{id: other, anonimous: true}]"} {
			writeFile(t, path, wrong)
			time.Sleep(3 * time.Second)
			require.True(t, in("acme"))
			require.True(t, in("other"))
		}
		require.NoError(t, os.Remove(path))
		time.Sleep(3 * time.Second)
		require.True(t, in("other"))
		writeFile(t, path, "apps: [{id: acme, anonymous: true}]\n")
		time.Sleep(2 * time.Second)
		require.False(t, in("other"))
		_, text := g.get(t, "/metrics")
		require.Contains(t, text, `signalbox_config_reloads_total{result="ok"} 2`)
		require.Contains(t, text, `signalbox_config_reloads_total{result="error"} 4`)
		require.Equal(t, 4, strings.Count(g.log.String(), "are not taken"), "each is told once")
		require.NoError(t, resident.publish(t.Context(), "r", "still here"))
	})
}

// A signal has the files looked at, also where nothing else does.
func TestConfigurationIsReloadedAtASignal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signalbox.yaml")
	writeFile(t, path, "apps: []\n")
	config := demoConfig("one", singleRedis(t))
	configured(t, path)(config)
	config.AppsReload.Interval = 0
	hangup := make(chan os.Signal, 1)
	g := openGateway(t, app.Options{Config: config, Hangup: hangup})
	writeFile(t, path, "apps: [{id: acme, anonymous: true}]\n")
	require.False(t, enters(t.Context(), g, "acme"))
	hangup <- os.Interrupt // any
	awaitEnters(t, g, "acme", true)
}
