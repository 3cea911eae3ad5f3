package ice_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	acmeSecret  = "acme and its TURN server know it"
	umbraSecret = "umbra and its TURN server know it"
	ourSecret   = "the deployment's TURN server knows it"
	relaySecret = "the relays know it"
)

var ourServers = []auth.ICEServerSettings{
	{URLs: []string{"stun:stun.example.org"}},
	{URLs: []string{"turn:ours.example.org"}, Secret: ourSecret, Secrets: []auth.Secret{"the one of before, or to come"}},
	{URLs: []string{"turn:fixed.example.org"}, Username: "u", Credential: "c"},
}

// apps are of tenants that say different things of ICE.
func apps() []auth.App {
	return []auth.App{
		{ID: "plain", Anonymous: true},
		{ID: "acme", Anonymous: true, ICE: auth.ICE{
			Servers: []auth.ICEServerSettings{{URLs: []string{"turn:acme.example"}, Secrets: []auth.Secret{acmeSecret}}}, TTL: auth.Duration(10 * time.Minute)}},
		{ID: "umbra", Anonymous: true, ICE: auth.ICE{
			Servers: []auth.ICEServerSettings{{URLs: []string{"turn:umbra.example"}, Secret: umbraSecret}}, Inherit: auth.Off}},
		{ID: "fixed", Anonymous: true, ICE: auth.ICE{
			Servers: []auth.ICEServerSettings{{URLs: []string{"stun:a.example"}}}, Inherit: auth.Off}},
		{ID: "silent", Anonymous: true, ICE: auth.ICE{Inherit: auth.Off}},
	}
}

// fixture is an issuer that runs, in a bubble.
type fixture struct {
	*ice.Issuer
	apps     *auth.Directory
	registry *prometheus.Registry

	mu      sync.Mutex
	changes int
}

func (f *fixture) told() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

func run(t *testing.T, relays ice.Relays) *fixture {
	t.Helper()
	f := &fixture{registry: prometheus.NewRegistry()}
	var err error
	f.apps, err = auth.NewDirectory(auth.Options{Apps: apps()})
	require.NoError(t, err)
	f.Issuer, err = ice.New(ice.Options{Apps: f.apps, Servers: ourServers, Relays: relays, Registerer: f.registry})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_ = f.Run(ctx, func(context.Context) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changes++
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	require.NoError(t, f.WaitReady(t.Context()))
	return f
}

// value gives a metric without labels, or the one of a label's value.
func (f *fixture) value(t *testing.T, name string, label ...string) float64 {
	t.Helper()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (len(label) == 0 || m.GetLabel()[0].GetValue() == label[0]) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	require.Fail(t, "no metric", "%s %v", name, label)
	return 0
}

func urls(servers []wire.ICEServer) []string {
	var all []string
	for _, server := range servers {
		all = append(all, server.URLs...)
	}
	return all
}

// requireOf requires credentials that a server takes which knows the secret, for a user of the app, until then.
func requireOf(t *testing.T, server wire.ICEServer, secret, app, user string, until time.Time) {
	t.Helper()
	require.Equal(t, turncred.Password(secret, server.Username), server.Credential)
	name, err := turncred.Parse(server.Username)
	require.NoError(t, err)
	require.Equal(t, turncred.Name{Expires: until, App: app, User: turncred.Pseudonym(secret, app, user)}, name)
}

func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t, ice.Relays{})
		now := time.Now().Truncate(time.Second)
		hour, minutes := time.Unix(now.Add(time.Hour).Unix(), 0), time.Unix(now.Add(10*time.Minute).Unix(), 0)

		plain := f.Issue("plain", "ann")
		require.Equal(t, []string{"stun:stun.example.org", "turn:ours.example.org", "turn:fixed.example.org"}, urls(plain.Servers))
		require.Equal(t, wire.ICEServer{URLs: []string{"stun:stun.example.org"}}, plain.Servers[0])
		requireOf(t, plain.Servers[1], ourSecret, "plain", "ann", hour)
		require.Equal(t, wire.ICEServer{URLs: []string{"turn:fixed.example.org"}, Username: "u", Credential: "c"}, plain.Servers[2])
		require.Equal(t, time.Hour, plain.TTL)
		require.Equal(t, hour, plain.Expires)
		require.Equal(t, &wire.ICE{Servers: plain.Servers, Expires: hour.UnixMilli()}, plain.Event())

		acme := f.Issue("acme", "ann")
		require.Equal(t, []string{"turn:acme.example", "stun:stun.example.org", "turn:ours.example.org", "turn:fixed.example.org"}, urls(acme.Servers))
		requireOf(t, acme.Servers[0], acmeSecret, "acme", "ann", minutes)
		requireOf(t, acme.Servers[2], ourSecret, "acme", "ann", minutes)
		require.Equal(t, 10*time.Minute, acme.TTL)

		umbra := f.Issue("umbra", "ann")
		require.Equal(t, []string{"turn:umbra.example"}, urls(umbra.Servers))
		requireOf(t, umbra.Servers[0], umbraSecret, "umbra", "ann", hour)

		for _, app := range []string{"fixed", "silent", "none"} {
			grant := f.Issue(app, "ann")
			require.Zero(t, grant.Expires, app)
			require.Zero(t, grant.Renew, app)
			require.Zero(t, grant.TTL, app)
			require.Zero(t, grant.Event().Expires, app)
			require.Equal(t, map[string]int{"fixed": 1}[app], len(grant.Servers), app)
		}
		require.EqualValues(t, 4, f.value(t, "signalbox_ice_credentials_total", "third_party"))
		require.Zero(t, f.value(t, "signalbox_ice_credentials_total", "relay"))
		time.Sleep(time.Minute)
		require.Zero(t, f.value(t, "signalbox_ice_relays_age_seconds"))
	})
}

// No app's servers, nor what is made of its secrets, reach another app's clients.
func TestAppsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t, ice.Relays{})
		for _, app := range apps() {
			for _, server := range f.Issue(app.ID, "ann").Servers {
				for _, other := range apps() {
					for _, theirs := range other.ICE.Servers {
						if other.ID == app.ID {
							continue
						}
						require.NotEqual(t, theirs.URLs, server.URLs)
						for _, secret := range theirs.Keys() {
							require.NotEqual(t, turncred.Password(string(secret), server.Username), server.Credential)
						}
					}
				}
			}
		}
		// One user of two apps is not known as one to a server that both use.
		one, two := f.Issue("plain", "ann").Servers[1], f.Issue("acme", "ann").Servers[2]
		require.Equal(t, one.URLs, two.URLs)
		ofOne, err := turncred.Parse(one.Username)
		require.NoError(t, err)
		ofTwo, err := turncred.Parse(two.Username)
		require.NoError(t, err)
		require.NotEqual(t, ofOne.User, ofTwo.User)
	})
}

// All that come at once are not told anew at once, and each is before its credentials are none.
func TestRenewIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t, ice.Relays{})
		least, most := time.Hour, time.Duration(0)
		for n := range 1000 {
			wait := time.Until(f.Issue("plain", fmt.Sprint(n)).Renew)
			require.GreaterOrEqual(t, wait, 40*time.Minute)
			require.LessOrEqual(t, wait, 45*time.Minute)
			least, most = min(least, wait), max(most, wait)
		}
		require.Greater(t, most-least, 4*time.Minute)
	})
}

func TestChangesOfAppsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t, ice.Relays{})
		acme, umbra := f.Issue("acme", "ann").Told, f.Issue("umbra", "ann").Told
		require.Zero(t, f.told())
		changed := apps()
		changed[1].Origins = []string{"https://acme.example"}
		require.NoError(t, f.apps.Configure(changed))
		require.Equal(t, 1, f.told())
		require.False(t, f.Stale("acme", acme), "it is told the same")

		changed[1].ICE.Servers[0].Secrets = []auth.Secret{"another one, as the first was lost"}
		require.NoError(t, f.apps.Configure(changed))
		require.Equal(t, 1, f.told(), "there is a pause")
		time.Sleep(time.Second)
		require.Equal(t, 2, f.told())
		require.True(t, f.Stale("acme", acme))
		require.False(t, f.Stale("umbra", umbra))
		require.False(t, f.Stale("acme", f.Issue("acme", "ann").Told))
		require.False(t, f.Stale("acme", ice.Told{}), "nobody was told")
		require.NoError(t, f.apps.Configure(changed[2:]))
		require.False(t, f.Stale("acme", acme), "its sessions are closed")
	})
}

func TestOptionsAreChecked(t *testing.T) {
	directory, err := auth.NewDirectory(auth.Options{})
	require.NoError(t, err)
	for want, opts := range map[string]ice.Options{
		"directory of apps": {},
		"need a secret":     {Apps: directory, Relays: ice.Relays{List: none, Secret: "short"}},
		"negative":          {Apps: directory, TTL: -1},
	} {
		_, err := ice.New(opts)
		require.ErrorContains(t, err, want)
	}
	require.EqualValues(t, turncred.MinSecret, auth.MinICESecret, "they are checked there")
}
