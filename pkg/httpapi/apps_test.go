package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestApps(t *testing.T) {
	s := start(t, nil)
	var app httpapi.App
	r := s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"nova","origins":["https://nova.example"],"policy":{"capacity":4,"grace":"1m"}}`).ok(201, &app)
	require.Equal(t, "/v1/apps/nova", r.header.Get("Location"))
	require.True(t, app.Managed)
	require.Equal(t, 4, app.Policy.Capacity)
	tag := r.header.Get("ETag")
	s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"nova"}`).problem(409, wire.CodeConflict)
	s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"acme"}`).problem(409, wire.CodeConflict)
	s.ask(t, acmeKey, "POST", "/v1/apps", `{"id":"mine"}`).problem(403, wire.CodeForbidden)
	p := s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"Nova","origins":["nova"]}`).problem(422, httpapi.CodeInvalid)
	require.Len(t, p.Errors, 2, "all that is wrong")

	r = s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"policy":{"max_capacity":9},"origins":null}`, "If-Match", tag).ok(200, &app)
	require.NotEqual(t, tag, r.header.Get("ETag"))
	var got httpapi.App
	s.ask(t, operatorKey, "GET", "/v1/apps/nova", "").ok(200, &got)
	require.Equal(t, 4, got.Policy.Capacity, "what is not named stays")
	require.Equal(t, 9, got.Policy.MaxCapacity)
	require.Empty(t, got.Origins)
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{}`, "If-Match", tag).problem(412, httpapi.CodePreconditionFailed)
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"id":"other"}`).problem(422, wire.CodeBadRequest)
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"policy":{"capacity":-1}}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, operatorKey, "PATCH", "/v1/apps/acme", `{"disabled":true}`).problem(409, wire.CodeConflict) // the configuration's

	// Rooms of it can be made at once.
	s.ask(t, operatorKey, "POST", "/v1/apps/nova/rooms", `{"room":"a"}`).ok(201, nil)
	s.ask(t, operatorKey, "DELETE", "/v1/apps/nova", "", "If-Match", tag).problem(412, httpapi.CodePreconditionFailed)
	s.ask(t, operatorKey, "DELETE", "/v1/apps/nova", "").ok(204, nil)
	s.ask(t, operatorKey, "GET", "/v1/apps/nova", "").problem(404, httpapi.CodeNotFound)
}

// Secrets are shown once: when they are made. Nothing else that the API answers, Redis' answers or the log has them.
func TestKeys(t *testing.T) {
	s := start(t, nil)
	s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"nova"}`).ok(201, nil)
	var made struct {
		ID, Key string
		Can     []string
	}
	s.ask(t, operatorKey, "POST", "/v1/apps/nova/api-keys", `{"id":"backend","can":"admin"}`).ok(201, &made)
	require.True(t, strings.HasPrefix(made.Key, "sbk.nova."))
	s.ask(t, operatorKey, "POST", "/v1/apps/nova/api-keys", `{"id":"backend","can":"read"}`).problem(409, wire.CodeConflict)

	// The app's own key goes on alone.
	var signing struct{ ID, Algorithm, Secret string }
	s.ask(t, made.Key, "POST", "/v1/apps/nova/keys", `{}`).ok(201, &signing)
	require.Equal(t, "HS256", signing.Algorithm)
	var minted struct{ Token, Key string }
	s.ask(t, made.Key, "POST", "/v1/apps/nova/tokens", `{"user":"ann","name":"Ann","rooms":[{"room":"team-*","can":["publish","moderate"]}],"expiresIn":60}`).ok(201, &minted)
	require.Equal(t, signing.ID, minted.Key)
	identity, err := s.apps.Verify(minted.Token)
	require.NoError(t, err)
	require.Equal(t, "nova", identity.App)
	require.Equal(t, "ann", identity.User)
	can, ok := identity.Room("team-a")
	require.True(t, ok)
	require.Equal(t, auth.Permissions{Publish: true, Moderate: true}, can)
	_, ok = identity.Room("elsewhere")
	require.False(t, ok)
	s.ask(t, made.Key, "POST", "/v1/apps/nova/tokens", `{"user":"ann","key":"other","rooms":[{"room":"*"}]}`).problem(409, wire.CodeConflict)

	for _, path := range []string{"/v1/apps/nova", "/v1/apps/nova/keys", "/v1/apps/nova/api-keys"} {
		text := string(s.ask(t, operatorKey, "GET", path, "").ok(200, nil).body)
		require.NotContains(t, text, signing.Secret, path)
		require.NotContains(t, text, made.Key, path)
	}
	require.NotContains(t, s.log.String(), made.Key)
	require.NotContains(t, s.log.String(), signing.Secret)
	stored, err := s.store.App(t.Context(), "nova")
	require.NoError(t, err)
	require.NotContains(t, string(stored.Data), made.Key, "only its hash is kept")

	public, _, err := auth.GenerateKey("pub", auth.EdDSA)
	require.NoError(t, err)
	s.ask(t, made.Key, "POST", "/v1/apps/nova/keys", `{"id":"pub","algorithm":"EdDSA","public_key":`+quoted(t, public.PublicKey)+`}`).ok(201, nil)
	s.ask(t, made.Key, "POST", "/v1/apps/nova/keys", `{"algorithm":"ES256"}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, made.Key, "DELETE", "/v1/apps/nova/keys/"+signing.ID, "").ok(204, nil)
	s.ask(t, made.Key, "DELETE", "/v1/apps/nova/keys/"+signing.ID, "").problem(404, httpapi.CodeNotFound)
	_, err = s.apps.Verify(minted.Token)
	require.Error(t, err)
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"disabled":true}`).ok(200, nil)
	s.ask(t, made.Key, "GET", "/v1/apps/nova", "").problem(401, wire.CodeUnauthorized) // of an app that is switched off
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"disabled":null}`).ok(200, nil)
	s.ask(t, made.Key, "DELETE", "/v1/apps/nova/api-keys/backend", "").ok(204, nil)
	s.ask(t, made.Key, "GET", "/v1/apps/nova", "").problem(401, wire.CodeUnauthorized)
}

// Revocations are in Redis, for all gateways, as long as a token of the app can be good.
func TestRevoke(t *testing.T) {
	s := start(t, nil)
	s.ask(t, acmeReader, "POST", "/v1/apps/acme/users/ann/revoke", "").problem(403, wire.CodeForbidden)
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/users/ann/revoke", "").ok(204, nil)
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/sessions/p1/revoke", "").ok(204, nil)
	revoked, err := s.store.Revocations(t.Context())
	require.NoError(t, err)
	require.Len(t, revoked, 2)
	for i, r := range revoked {
		require.Equal(t, "acme", r.App)
		require.Greater(t, r.Until-r.At, int64(24*3600*1000))
		revoked[i] = store.Revocation{User: r.User, Session: r.Session}
	}
	require.ElementsMatch(t, []store.Revocation{{User: "ann"}, {Session: "p1"}}, revoked)
}

func TestDeadLetters(t *testing.T) {
	s := start(t, nil)
	var list struct{ DeadLetters []httpapi.DeadLetter }
	s.ask(t, acmeKey, "GET", "/v1/apps/acme/webhooks/dead-letters", "").ok(200, &list)
	require.NotNil(t, list.DeadLetters)
	require.Empty(t, list.DeadLetters)
	var count map[string]int
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/webhooks/dead-letters/replay", `{}`).ok(200, &count)
	require.Equal(t, map[string]int{"count": 0}, count)
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/webhooks/dead-letters/replay", `{"id":"0.1-1"}`).ok(200, nil)
	s.ask(t, acmeKey, "DELETE", "/v1/apps/acme/webhooks/dead-letters?id=0.1-1", "").ok(200, nil)
	s.ask(t, acmeReader, "DELETE", "/v1/apps/acme/webhooks/dead-letters", "").problem(403, wire.CodeForbidden)
}

func TestDrain(t *testing.T) {
	s := start(t, nil)
	require.Eventually(t, func() bool {
		return s.ask(t, operatorKey, "POST", "/v1/nodes/node-of-the-tests/drain", "").status == 202
	}, patience, tick)
	s.ask(t, operatorKey, "POST", "/v1/nodes/another/drain", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, acmeKey, "POST", "/v1/nodes/node-of-the-tests/drain", "").problem(403, wire.CodeForbidden)
	s.ask(t, readerKey, "POST", "/v1/nodes/node-of-the-tests/drain", "").problem(403, wire.CodeForbidden)
}

// Keys are shown with when they end to count, and end to.
func TestKeysExpire(t *testing.T) {
	s := start(t, nil)
	s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"nova"}`).ok(201, nil)
	soon := time.Now().Add(90 * time.Second).UTC().Truncate(time.Second)
	at := func(offset time.Duration) string { return quoted(t, soon.Add(offset).Format(time.RFC3339Nano)) }
	type key struct {
		ID, Key string
		Expires *time.Time
	}
	for _, path := range []string{"keys", "api-keys"} {
		more := map[string]string{"api-keys": `"can":"admin",`}[path]
		var made key
		s.ask(t, operatorKey, "POST", "/v1/apps/nova/"+path, `{"id":"first",`+more+`"expires":`+at(700*time.Millisecond)+`}`).ok(201, &made)
		require.Equal(t, soon, *made.Expires)
		s.ask(t, operatorKey, "POST", "/v1/apps/nova/"+path, `{"id":"second",`+more+`"expires":null}`).ok(201, nil)
		s.ask(t, operatorKey, "POST", "/v1/apps/nova/"+path, `{"id":"third",`+more+`"expires":`+at(-time.Hour)+`}`).problem(422, httpapi.CodeInvalid)
		s.ask(t, operatorKey, "POST", "/v1/apps/nova/"+path, `{"id":"third",`+more+`"expires":"tomorrow"}`).problem(422, wire.CodeBadRequest)
		var list struct{ Keys []key }
		s.ask(t, operatorKey, "GET", "/v1/apps/nova/"+path, "").ok(200, &list)
		require.Len(t, list.Keys, 2)
		require.Equal(t, soon, *list.Keys[0].Expires)
		require.Nil(t, list.Keys[1].Expires)
	}
	mint := func(more string) (minted struct {
		Token, Key string
		Expires    time.Time
	}) {
		t.Helper()
		s.ask(t, operatorKey, "POST", "/v1/apps/nova/tokens", `{"user":"ann","rooms":[{"room":"*"}]`+more+`}`).ok(201, &minted)
		return minted
	}
	short := mint("")
	require.Equal(t, "first", short.Key)
	require.Equal(t, soon, short.Expires, "a token ends with its key")
	require.Greater(t, mint(`,"key":"second"`).Expires, soon)

	// Both first keys have expired.
	var whole, access key
	s.ask(t, operatorKey, "POST", "/v1/apps/nova/api-keys", `{"id":"own","can":"read"}`).ok(201, &access)
	s.ask(t, access.Key, "GET", "/v1/apps/nova", "").ok(200, &whole)
	stored, err := s.store.App(t.Context(), "nova")
	require.NoError(t, err)
	app, err := auth.DecodeApp(stored.Data)
	require.NoError(t, err)
	app.Keys[0].Expires, app.APIKeys[2].Expires = auth.TimeOf(time.Now()), auth.TimeOf(time.Now())
	data, err := auth.EncodeApp(app)
	require.NoError(t, err)
	s.apps.ManageOne("nova", data)
	s.ask(t, access.Key, "GET", "/v1/apps/nova", "").problem(401, wire.CodeUnauthorized)
	_, err = s.apps.Verify(short.Token)
	require.ErrorContains(t, err, string(auth.ReasonKeyExpired))
	require.Equal(t, "second", mint("").Key, "an expired key does not sign")
	s.ask(t, operatorKey, "POST", "/v1/apps/nova/tokens", `{"user":"ann","key":"first","rooms":[{"room":"*"}]}`).problem(409, wire.CodeConflict)
}
