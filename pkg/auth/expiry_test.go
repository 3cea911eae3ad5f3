package auth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func TestTimeIsWrittenAndRead(t *testing.T) {
	at := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2030-01-31T12:00:00Z"`: at, `"2030-01-31T13:00:00+01:00"`: at, `"2030-01-31T12:00:00.9Z"`: at, `""`: {},
	} {
		var read auth.Time
		require.NoError(t, json.Unmarshal([]byte(text), &read), text)
		require.Equal(t, want, read.Time(), text)
		again, err := json.Marshal(auth.TimeOf(want))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(again, &read))
		require.Equal(t, want, read.Time())
	}
	for _, text := range []string{`"tomorrow"`, `"2030-01-31"`, `"1969-12-31T23:59:59Z"`, `7`, `"2030-01-31T12:00:00"`} {
		require.Error(t, json.Unmarshal([]byte(text), new(auth.Time)), text)
	}
	require.Empty(t, auth.Time(0).String())
	require.False(t, auth.Time(0).Over(at))
}

// A key counts up to the instant at which it expires, and not from then on, whatever a token says of itself; another one goes on.
func TestKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := time.Now().Add(time.Hour)
		old, oldPrivate, err := auth.GenerateKey("old", auth.HS256)
		require.NoError(t, err)
		next, nextPrivate, err := auth.GenerateKey("next", auth.ES256)
		require.NoError(t, err)
		old.Expires = auth.TimeOf(ends)
		v, err := auth.New(auth.Options{Apps: []auth.App{{ID: "acme", Keys: []auth.Key{old, next}}}})
		require.NoError(t, err)
		claims := auth.Claims{App: "acme", User: "ada", IssuedAt: time.Now(), Expires: time.Now().Add(3 * time.Hour)}
		byOld, err := auth.Sign(oldPrivate, claims)
		require.NoError(t, err)
		byNext, err := auth.Sign(nextPrivate, claims)
		require.NoError(t, err)

		time.Sleep(time.Until(ends) - time.Millisecond)
		_, err = v.Verify(byOld)
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		_, err = v.Verify(byOld)
		requireRefused(t, auth.ReasonKeyExpired, err)
		_, err = v.Verify(byNext)
		require.NoError(t, err)
	})
}

// The metric tells of what is to come, of all apps that are not switched off.
func TestNextExpiryIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) auth.Time { return auth.TimeOf(time.Now().Add(d)) }
		key := func(id string, expires auth.Time) auth.Key {
			return auth.Key{ID: id, Algorithm: auth.HS256, Secret: "0123456789abcdef0123456789abcdef", Expires: expires}
		}
		access := func(id string, expires auth.Time) auth.APIKey {
			return auth.APIKey{ID: id, Hash: auth.HashAPIKey(id), Can: []string{auth.APIRead}, Expires: expires}
		}
		registry := prometheus.NewRegistry()
		d := mustDirectory(t, auth.Options{Registerer: registry, Now: time.Now, Apps: []auth.App{
			{ID: "acme", Keys: []auth.Key{key("gone", in(-time.Hour)), key("never", 0), key("later", in(3*time.Hour))}},
			{ID: "nova", Keys: []auth.Key{key("soon", in(2*time.Hour))}, APIKeys: []auth.APIKey{access("a", 0)}},
			{ID: "off", Disabled: true, Keys: []auth.Key{key("k", in(time.Hour))}},
		}})
		shows := func(signing, api auth.Time) {
			t.Helper()
			require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(
				"# HELP signalbox_app_key_expiry_timestamp_seconds When the next key of an app expires, as a Unix time, by kind: signing (of tokens) or api (of the server API). Those that have expired are not looked at; 0 if none will.\n"+
					"# TYPE signalbox_app_key_expiry_timestamp_seconds gauge\n"+
					"signalbox_app_key_expiry_timestamp_seconds{kind=\"api\"} "+text(t, api)+"\n"+
					"signalbox_app_key_expiry_timestamp_seconds{kind=\"signing\"} "+text(t, signing)+"\n"),
				"signalbox_app_key_expiry_timestamp_seconds"))
		}
		soon, later := in(2*time.Hour), in(3*time.Hour)
		shows(soon, 0)
		time.Sleep(2 * time.Hour)
		shows(later, 0)
		d.ManageOne("made", mustEncode(t, auth.App{ID: "made", APIKeys: []auth.APIKey{access("a", later)}}))
		shows(later, later)
		time.Sleep(time.Hour)
		shows(0, 0)
	})
}

// text is an instant as metrics have it.
func text(t *testing.T, at auth.Time) string {
	t.Helper()
	encoded, err := json.Marshal(float64(at))
	require.NoError(t, err)
	return string(encoded)
}
