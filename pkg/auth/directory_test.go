package auth_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func mustEncode(tb testing.TB, a auth.App) []byte {
	tb.Helper()
	data, err := auth.EncodeApp(a)
	require.NoError(tb, err)
	return data
}

// wholeApp has a value in every field.
func wholeApp() auth.App {
	return auth.App{
		ID: "whole", Keys: []auth.Key{pairs()[auth.HS256].public, expiring(pairs()[auth.ES256].public)}, Origins: []string{"https://a.example"},
		Anonymous: true, AnonymousGrants: []auth.Grant{{Room: "open-*", Can: auth.Permissions{Publish: true, SetCapacity: true}}},
		Policy: auth.Policy{Capacity: 3, MaxCapacity: 9, Grace: auth.Duration(90 * time.Second), SameUser: auth.SameUserReplace},
		Policies: []auth.RoomPolicy{{Rooms: "stage-*", Policy: auth.Policy{
			Create: auth.CreateModerators, Echo: auth.EchoOff, Topics: []string{"chat"}, MaxMessageBytes: 1000, Moderated: auth.On,
			Succession: auth.SuccessionNext, Spotlight: auth.Off, History: 20, Keep: auth.Duration(time.Hour), Webhooks: auth.On, Waiting: 5,
			RelayOnly: auth.On, FirstModerates: auth.On,
		}}},
		Audience: "here", Issuer: "there", MaxLifetime: auth.Duration(2 * time.Hour),
		JWKS: auth.JWKS{URL: "https://a.example/jwks", Interval: auth.Duration(time.Hour)},
		Hook: auth.Hook{
			URL: "https://a.example/auth", Secrets: []auth.Secret{webhookSecret}, Timeout: auth.Duration(time.Second), Join: auth.On, Failing: auth.FailOpen,
		},
		ICE: auth.ICE{Servers: []auth.ICEServerSettings{
			{URLs: []string{"turn:a.example"}, Username: "u", Credential: turnSecret},
			{URLs: []string{"turns:b.example"}, Secret: turnSecret, Secrets: []auth.Secret{turnSecret}},
		}, Inherit: auth.Off, TTL: auth.Duration(time.Minute)},
		Negotiation: auth.Negotiation{
			Mode: auth.NegotiationEnforce, DescriptionBytes: 1000, Sections: 2, Candidates: 3, CandidatesPerMinute: 4, Types: []string{"relay"},
			HidePrivate: auth.On, Deny: []string{"192.0.2.0/24"}, Allow: []string{"2001:db8::/32"},
		},
		Webhooks: []auth.Webhook{{ID: "w", URL: "https://a.example/hook", Secrets: []auth.Secret{webhookSecret}, Events: []string{"room.full"}, Rooms: "a*"}},
		APIKeys:  []auth.APIKey{{ID: "backend", Hash: auth.HashAPIKey("s3cret"), Can: []string{auth.APIWrite}, Expires: auth.TimeOf(noon)}},
	}
}

const (
	webhookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	turnSecret    = "shared with a TURN server"
)

func expiring(key auth.Key) auth.Key {
	key.Expires = auth.TimeOf(noon.AddDate(1, 0, 0))
	return key
}

func TestStoredAppIsTheSame(t *testing.T) {
	app := wholeApp()
	require.NoError(t, app.Validate())
	data := mustEncode(t, app)
	require.Contains(t, string(data), webhookSecret)
	require.Contains(t, string(data), `"grace":"1m30s"`)
	back, err := auth.DecodeApp(data)
	require.NoError(t, err)
	require.Equal(t, app, back)
}

// What an API answers, or a log line says, is made by these: a secret in them would be everybody's.
func TestAppHidesItsSecrets(t *testing.T) {
	app := wholeApp()
	plain, err := json.Marshal(app)
	require.NoError(t, err)
	for _, text := range []string{string(plain), fmt.Sprintf("%v %+v %#v", app, app, app)} {
		require.NotContains(t, text, webhookSecret[6:])
		require.NotContains(t, text, string(app.Keys[0].Secret))
		require.NotContains(t, text, turnSecret)
		require.Contains(t, text, "(hidden)")
	}
	// Who sends back what was shown does not make it the secret.
	back, err := auth.DecodeApp(plain)
	require.NoError(t, err)
	require.ErrorContains(t, back.Validate(), "secret")
}

func TestDecodeAppIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"NotJSON": "x", "NotAnObject": `["a"]`, "Twice": `{"id":"a","id":"b"}`, "Unknown": `{"id":"a","keyes":[]}`,
		"UnknownInside": `{"id":"a","policy":{"capcity":1}}`, "WrongType": `{"id":"a","anonymous":"indeed"}`,
		"NotADuration": `{"id":"a","max_lifetime":"5"}`, "After": `{"id":"a"} {}`, "Large": `{"id":"` + strings.Repeat("a", 300<<10) + `"}`,
	} {
		_, err := auth.DecodeApp([]byte(text))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "indeed", name)
	}
}

func FuzzDecodeApp(f *testing.F) {
	f.Add(mustEncode(f, wholeApp()))
	f.Add([]byte(`{"id":"a","keys":[{"id":"k","algorithm":"HS256","secret":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		app, err := auth.DecodeApp(data)
		if err != nil {
			return
		}
		_ = app.Validate()
		if data, err = auth.EncodeApp(app); err != nil {
			return // larger than what it came from
		}
		back, err := auth.DecodeApp(data)
		require.NoError(t, err)
		require.Equal(t, mustEncode(t, app), mustEncode(t, back))
	})
}

func anonymousApp(id string) auth.App { return auth.App{ID: id, Anonymous: true} }

func requireIn(t *testing.T, d *auth.Directory, apps ...string) {
	t.Helper()
	var in []string
	for _, app := range d.Apps() {
		if _, err := d.Anonymous(app.ID, ""); err == nil {
			in = append(in, app.ID)
		}
	}
	require.Equal(t, apps, in)
}

func TestDirectoryChanges(t *testing.T) {
	var log strings.Builder
	registry := prometheus.NewPedanticRegistry()
	d := mustDirectory(t, auth.Options{
		Apps: []auth.App{anonymousApp("one"), {ID: "off", Anonymous: true, Disabled: true}}, Origins: []string{"https://all.example"},
		MaxCapacity: 100, Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry,
	})
	var gone []string
	d.OnGone(func(apps map[string]bool) { gone = slices.AppendSeq(gone, maps.Keys(apps)) })
	require.True(t, d.AppOriginAllowed("one", "https://all.example"))
	require.False(t, d.Enabled("off"))
	requireIn(t, d, "one")

	d.Manage(map[string][]byte{
		"two":   mustEncode(t, anonymousApp("two")),
		"one":   mustEncode(t, auth.App{ID: "one", Anonymous: true, Audience: "another"}),
		"bad":   []byte(`{"id":"bad","anonymous":true,"origins":["null"]}`),
		"wrong": mustEncode(t, anonymousApp("right")),
		"large": mustEncode(t, auth.App{ID: "large", Anonymous: true, Policy: auth.Policy{MaxCapacity: 101}}),
	})
	requireIn(t, d, "one", "two")
	require.True(t, d.AppOriginAllowed("two", "https://all.example"))
	one, ok := d.App("one")
	require.True(t, ok)
	require.Empty(t, one.Audience, "the configuration goes before")
	require.Len(t, d.Refused(), 4)
	require.True(t, d.Configured("one"))
	require.False(t, d.Configured("two"))
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP signalbox_apps Apps by where they come from: configuration, managed (by the server API), or refused (managed ones that are left out, as the log says why).
# TYPE signalbox_apps gauge
signalbox_apps{source="configuration"} 2
signalbox_apps{source="managed"} 1
signalbox_apps{source="refused"} 4
`), "signalbox_apps"))
	require.Equal(t, 4, strings.Count(log.String(), "left out"))

	d.ManageOne("three", mustEncode(t, anonymousApp("three")))
	requireIn(t, d, "one", "three", "two")
	require.Equal(t, 4, strings.Count(log.String(), "left out"), "what was said is not said again")
	d.ManageOne("two", nil)
	d.ManageOne("never", nil)
	requireIn(t, d, "one", "three")

	require.Error(t, d.Configure([]auth.App{anonymousApp("four"), anonymousApp("-")}))
	require.Error(t, d.Configure([]auth.App{anonymousApp("four"), anonymousApp("four")}))
	requireIn(t, d, "one", "three")
	require.NoError(t, d.Configure([]auth.App{anonymousApp("four")}))
	requireIn(t, d, "four", "one", "three")
	one, _ = d.App("one")
	require.Equal(t, "another", one.Audience, "the managed one takes its place")
	require.Equal(t, []string{"two"}, gone)
	d.ManageOne("three", mustEncode(t, auth.App{ID: "three", Anonymous: true, Disabled: true}))
	require.Equal(t, []string{"two", "three"}, gone)
	d.ManageOne("three", nil)
	require.Len(t, gone, 2, "it was off already")

	// Its first key may be added later.
	d.ManageOne("keyless", mustEncode(t, auth.App{ID: "keyless"}))
	_, ok = d.App("keyless")
	require.True(t, ok)
}

// Copies are their holder's to change.
func TestDirectoryGivesCopies(t *testing.T) {
	apps := []auth.App{wholeApp()}
	d := mustDirectory(t, auth.Options{Apps: apps})
	apps[0].Origins[0], apps[0].Webhooks[0].Events[0] = "x", "x"
	app, ok := d.App("whole")
	require.True(t, ok)
	require.Equal(t, wholeApp(), *app)
	app.Policies[0].Topics[0], app.Hook.Secrets[0], app.Keys[0].ID, app.Webhooks[0].Secrets[0], app.APIKeys[0].Can[0] = "x", "x", "x", "x", "x"
	app.AnonymousGrants[0].Room, app.ICE.Servers[0].URLs[0], app.ICE.Servers[1].Secrets[0] = "x", "x", "x"
	require.Equal(t, []auth.App{wholeApp()}, d.Apps())
	_, ok = d.App("none")
	require.False(t, ok)
}

// Tokens are checked while apps change, and each is checked by a whole set of them.
func TestDirectoryIsSharedByGoroutines(t *testing.T) {
	pair := pairs()[auth.HS256]
	d := mustDirectory(t, auth.Options{Apps: []auth.App{{ID: "x", Keys: []auth.Key{pair.public}}}})
	token, err := auth.Sign(pair.private, auth.Claims{App: "x", User: "u", Expires: noon.Add(time.Hour)})
	require.NoError(t, err)
	var parts sync.WaitGroup
	for range 4 {
		parts.Go(func() {
			for range 200 {
				if _, err := d.Verify(token); err != nil {
					t.Error(err)
				}
				d.OriginAllowed("https://a.example")
			}
		})
	}
	for i := range 50 {
		id := fmt.Sprint("m", i%5)
		d.ManageOne(id, mustEncode(t, auth.App{ID: id, Anonymous: true, Audience: fmt.Sprint(i)}))
	}
	parts.Wait()
}

func TestAppServicesRefused(t *testing.T) {
	hook := func(change func(*auth.Webhook)) auth.App {
		app := wholeApp()
		change(&app.Webhooks[0])
		return app
	}
	key := func(change func(*auth.APIKey)) auth.App {
		app := wholeApp()
		change(&app.APIKeys[0])
		return app
	}
	twice := wholeApp()
	twice.Webhooks, twice.APIKeys = append(twice.Webhooks, twice.Webhooks[0]), append(twice.APIKeys, twice.APIKeys[0])
	many := wholeApp()
	many.Webhooks, many.APIKeys = make([]auth.Webhook, 17), make([]auth.APIKey, 65)
	for _, tt := range []struct {
		app  auth.App
		want string
	}{
		{hook(func(w *auth.Webhook) { w.ID = "" }), "an id is"},
		{hook(func(w *auth.Webhook) { w.URL = "ftp://a.example" }), "https://host/path"},
		{hook(func(w *auth.Webhook) { w.URL = "https://user:word@a.example" }), "without a user"},
		{hook(func(w *auth.Webhook) { w.URL = "/hook" }), "https://host/path"},
		{hook(func(w *auth.Webhook) { w.Secrets = nil }), "0 secrets"},
		{hook(func(w *auth.Webhook) { w.Secrets[0] = "whsec_c2hvcnQ=" }), "24 to 64 bytes"},
		{hook(func(w *auth.Webhook) { w.Secrets[0] = auth.Secret(webhookSecret[6:]) }), "whsec_"},
		{hook(func(w *auth.Webhook) { w.Events[0] = "room.opened" }), "room.opened"},
		{hook(func(w *auth.Webhook) { w.Rooms = "a*b" }), "a room is"},
		{key(func(k *auth.APIKey) { k.ID = "a b" }), "an id is"},
		{key(func(k *auth.APIKey) { k.Hash = strings.ToUpper(k.Hash) }), "lower-case hex"},
		{key(func(k *auth.APIKey) { k.Hash = "s3cret" }), "SHA-256"},
		{key(func(k *auth.APIKey) { k.Can = nil }), "can is empty"},
		{key(func(k *auth.APIKey) { k.Can = []string{"all"} }), `"all"`},
		{twice, "webhook \"w\" is there twice"},
		{twice, "api key \"backend\" is there twice"},
		{many, "webhooks has more than 16"},
		{many, "api_keys has more than 64"},
	} {
		require.ErrorContains(t, tt.app.Validate(), tt.want)
	}
}

func TestAPIKey(t *testing.T) {
	key := auth.APIKey{ID: "k", Hash: auth.HashAPIKey("s3cret"), Can: []string{auth.APIWrite}}
	require.True(t, key.Matches("s3cret"))
	require.False(t, key.Matches("s3cre"))
	require.True(t, key.Allows(auth.APIRead))
	require.True(t, key.Allows(auth.APIWrite))
	require.False(t, key.Allows(auth.APIAdmin))
	require.False(t, key.Allows(""))
}

func TestWebhookWants(t *testing.T) {
	hook := wholeApp().Webhooks[0]
	require.True(t, hook.Wants("room.full", "attic"))
	require.False(t, hook.Wants("room.created", "attic"))
	require.False(t, hook.Wants("room.full", "barn"))
	hook.Events, hook.Rooms = nil, ""
	require.True(t, hook.Wants("room.created", "barn"))
	keys, err := hook.Keys()
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("012345678901234567890123")}, keys)
}
