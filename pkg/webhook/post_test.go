package webhook_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
)

var loopback = &webhook.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// TestPostsOverTheNetwork is about what goes over sockets: the rest is tested on fake time.
func TestPostsOverTheNetwork(t *testing.T) {
	redis := redistest.Single(t)
	s := openStore(t, store.Options{Addresses: []string{redis.Addr()}})
	key := []byte("0123456789abcdef0123456789abcdef")
	oracle, err := standardwebhooks.NewWebhook("whsec_" + base64.StdEncoding.EncodeToString(key))
	require.NoError(t, err)
	for _, tc := range []struct {
		name   string
		alter  func(*webhook.Options)
		url    func(plain, secure string) string
		letter bool // among the dead letters
	}{
		{"https", func(o *webhook.Options) { o.Guard = loopback }, func(_, secure string) string { return secure }, false},
		{"http is refused", func(o *webhook.Options) { o.Guard = loopback }, func(plain, _ string) string { return plain }, true},
		{"http where it is allowed", func(o *webhook.Options) { o.Guard, o.AllowHTTP = loopback, true },
			func(plain, _ string) string { return plain }, false},
		{"a private address is refused", func(*webhook.Options) {}, func(_, secure string) string { return secure }, true},
		{"a name of one, too", func(o *webhook.Options) { o.AllowHTTP = true },
			func(plain, _ string) string { return strings.Replace(plain, "127.0.0.1", "localhost", 1) }, true},
		{"no redirect is followed", func(o *webhook.Options) { o.Guard = loopback },
			func(_, secure string) string { return secure + "/elsewhere" }, true},
		{"an endless answer", func(o *webhook.Options) { o.Guard = loopback },
			func(_, secure string) string { return secure + "/endless" }, false},
		{"another scheme", func(o *webhook.Options) { o.Guard, o.AllowHTTP = loopback, true },
			func(string, string) string { return "file:///etc/passwd" }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got atomic.Int32
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/elsewhere":
					http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
					return
				case "/endless":
					_, _ = io.Copy(w, io.LimitReader(zeros{}, 1<<30)) // which the client does not wait for
				}
				body, err := io.ReadAll(r.Body)
				if err == nil && oracle.Verify(body, r.Header) == nil && r.Header.Get("Content-Type") == "application/json" {
					got.Add(1)
				}
			})
			plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
			t.Cleanup(plain.Close)
			t.Cleanup(secure.Close)
			opts := webhook.Options{
				Store: s, Self: "node", Endpoints: endpoints(webhook.Endpoint{ID: "e", URL: tc.url(plain.URL, secure.URL), Keys: [][]byte{key}}),
				TLS: secure.Client().Transport.(*http.Transport).TLSClientConfig, Poll: 10 * time.Millisecond, MinRetry: time.Millisecond,
				MaxRetry: 2 * time.Millisecond, MaxAge: 200 * time.Millisecond, Timeout: 2 * time.Second,
			}
			tc.alter(&opts)
			startEngine(t, opts)
			room := store.Room{App: "acme", Name: "lobby"}
			join(t, s, room, "alice")
			leave(t, s, room, "alice")
			require.Eventually(t, func() bool { return drained(t, s) }, 20*time.Second, 10*time.Millisecond)
			letters, _, err := s.DeadLetters(t.Context(), "acme", "", 100)
			require.NoError(t, err)
			if tc.letter {
				require.Len(t, letters, 4)
				require.Zero(t, got.Load())
			} else {
				require.Empty(t, letters)
			}
			if tc.name != "an endless answer" && !tc.letter {
				require.NotZero(t, got.Load())
			}
			_, err = s.Discard(t.Context(), "acme", "")
			require.NoError(t, err)
		})
	}
}

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
