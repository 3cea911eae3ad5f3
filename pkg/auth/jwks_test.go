package auth_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// publisher is where an app publishes its keys, and a directory that fetches them. Its clock stands until it is moved.
type publisher struct {
	*auth.Directory
	server   *httptest.Server
	registry *prometheus.Registry
	asked    atomic.Int64
	now      atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc]
}

func newPublisher(t *testing.T, change ...func(*auth.App)) *publisher {
	t.Helper()
	p := &publisher{registry: prometheus.NewPedanticRegistry()}
	p.now.Store(noon.UnixNano())
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.server.Close)
	p.publish(t)
	app := auth.App{ID: "x", JWKS: auth.JWKS{URL: p.server.URL}}
	for _, c := range change {
		c(&app)
	}
	p.Directory = mustDirectory(t, auth.Options{
		Apps: []auth.App{app}, Now: func() time.Time { return time.Unix(0, p.now.Load()).UTC() }, Loopback: true, Registerer: p.registry,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	require.Eventually(t, func() bool { return p.refreshes(t, "error") == 1 }, 10*time.Second, time.Millisecond, "they are fetched before anybody asks")
	return p
}

func (p *publisher) says(handler http.HandlerFunc) { p.answer.Store(&handler) }

// publish has keys published, each under its algorithm's name.
func (p *publisher) publish(t *testing.T, algorithms ...string) {
	t.Helper()
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for _, algorithm := range algorithms {
		set.Keys = append(set.Keys, published(t, algorithm))
	}
	p.publishSet(t, set)
}

func (p *publisher) publishSet(t *testing.T, set jwkset.JWKSMarshal) {
	t.Helper()
	text, err := json.Marshal(set)
	require.NoError(t, err)
	p.says(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

// published is a key as it is published.
func published(tb testing.TB, algorithm string) jwkset.JWKMarshal {
	tb.Helper()
	block, _ := pem.Decode([]byte(pairs()[algorithm].public.PublicKey))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(tb, err)
	return publishedKey(tb, algorithm, key)
}

func publishedKey(tb testing.TB, kid string, key crypto.PublicKey) jwkset.JWKMarshal {
	tb.Helper()
	jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
	require.NoError(tb, err)
	return jwk.Marshal()
}

func (p *publisher) pass(d time.Duration) { p.now.Add(int64(d)) }

// token is one by a key, under its id.
func (p *publisher) token(t *testing.T, algorithm string) string {
	t.Helper()
	token, err := auth.Sign(pairs()[algorithm].private, auth.Claims{App: "x", User: "u", Expires: time.Unix(0, p.now.Load()).Add(time.Hour)})
	require.NoError(t, err)
	return token
}

func (p *publisher) refused(t *testing.T, algorithm string) {
	t.Helper()
	_, err := p.Verify(p.token(t, algorithm))
	requireRefused(t, auth.ReasonUnknownKey, err)
}

func (p *publisher) accepted(t *testing.T, algorithm string) {
	t.Helper()
	_, err := p.Verify(p.token(t, algorithm))
	require.NoError(t, err)
}

func (p *publisher) refreshes(t *testing.T, result string) float64 {
	t.Helper()
	families, err := p.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "signalbox_jwks_refresh_total" {
			for _, m := range family.GetMetric() {
				if m.GetLabel()[0].GetValue() == result {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return -1
}

// The keys of an app are changed while its users come: nobody with a good token is refused but for who is quicker than the pause.
func TestPublishedKeysRotate(t *testing.T) {
	p := newPublisher(t)
	p.publish(t, auth.ES256)
	p.pass(31 * time.Second)
	p.accepted(t, auth.ES256)

	p.publish(t, auth.ES256, auth.RS256, auth.EdDSA)
	p.pass(31 * time.Second)
	asked := p.asked.Load()
	p.accepted(t, auth.RS256)
	p.accepted(t, auth.EdDSA)
	p.accepted(t, auth.ES256)
	require.Equal(t, asked+1, p.asked.Load())

	p.publish(t, auth.EdDSA)
	p.accepted(t, auth.ES256)
	p.pass(31 * time.Second)
	p.refused(t, auth.HS256) // unknown, so that they are fetched
	p.refused(t, auth.ES256)
	p.accepted(t, auth.EdDSA)
	require.NoError(t, p.Configure([]auth.App{{ID: "x", JWKS: auth.JWKS{URL: p.server.URL}, Policy: auth.Policy{Capacity: 3}}}))
	p.accepted(t, auth.EdDSA) // the keys are known still
	problems, err := testutil.GatherAndLint(p.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// Row 14: each of a thousand unknown ids would have the endpoint asked.
func TestUnknownKeysAskOnce(t *testing.T) {
	p := newPublisher(t)
	p.publish(t, auth.ES256)
	p.pass(31 * time.Second)
	p.accepted(t, auth.ES256)
	p.pass(31 * time.Second)
	asked := p.asked.Load()
	var flood sync.WaitGroup
	for i := range 20 {
		flood.Go(func() {
			for j := range 50 {
				token := rawToken(t, pairs()[auth.HS256].private, fmt.Sprintf(`{"alg":"HS256","kid":"unknown-%d-%d"}`, i, j),
					fmt.Sprintf(`{"app":"x","sub":"u","exp":%d}`, time.Unix(0, p.now.Load()).Add(time.Hour).Unix()))
				if _, err := p.Verify(token); err == nil {
					t.Error("accepted")
				}
			}
		})
	}
	flood.Wait()
	require.LessOrEqual(t, p.asked.Load(), asked+1)
	p.accepted(t, auth.ES256)
}

// What the endpoint does wrong leaves the keys that were good in place, until they are too old.
func TestPublishedKeysOutliveTheirEndpoint(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	defer elsewhere.Close()
	for name, wrong := range map[string]http.HandlerFunc{
		"Error":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"Nothing":  func(http.ResponseWriter, *http.Request) {},
		"NoKeys":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"Redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"Huge": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`))
		},
		"ManyKeys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{}` + strings.Repeat(`,{}`, 64) + `]}`))
		},
		"Cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t, func(a *auth.App) { a.JWKS.MaxAge = auth.Duration(time.Hour) })
			p.publish(t, auth.ES256)
			p.pass(31 * time.Second)
			p.accepted(t, auth.ES256)
			p.says(wrong)
			for range 3 {
				p.pass(15 * time.Minute)
				p.refused(t, auth.RS256)
				p.accepted(t, auth.ES256)
			}
			require.Eventually(t, func() bool { return p.refreshes(t, "error") >= 3 }, 10*time.Second, time.Millisecond)
			p.pass(16 * time.Minute)
			p.refused(t, auth.ES256)
			p.publish(t, auth.ES256)
			p.pass(31 * time.Second)
			p.accepted(t, auth.ES256)
		})
	}
}

// An endpoint that hangs holds up nobody whose key is known, and who waits for it does not wait for long.
func TestHangingEndpointHoldsNobodyUp(t *testing.T) {
	p := newPublisher(t, func(a *auth.App) { a.Keys = []auth.Key{pairs()[auth.HS256].public} })
	release := make(chan struct{})
	defer close(release)
	p.publish(t, auth.ES256)
	p.pass(31 * time.Second)
	p.accepted(t, auth.ES256)
	p.says(func(http.ResponseWriter, *http.Request) { <-release })
	p.pass(31 * time.Second)
	begun := time.Now()
	waited := make(chan time.Duration)
	go func() {
		_, _ = p.Verify(p.token(t, auth.RS256))
		waited <- time.Since(begun)
	}()
	asked := p.asked.Load()
	for range 100 {
		p.accepted(t, auth.ES256)
		p.accepted(t, auth.HS256)
	}
	require.Less(t, time.Since(begun), 2*time.Second)
	require.Less(t, <-waited, 5*time.Second)
	require.LessOrEqual(t, p.asked.Load(), asked+1)
}

// Row 11: what is published decides by its type how a token is checked, and never as a secret.
func TestPublishedKeysAreOfOneAlgorithm(t *testing.T) {
	p := newPublisher(t)
	rsaKey, ecKey, edKey := published(t, auth.RS256), published(t, auth.ES256), published(t, auth.EdDSA)
	otherAlgorithm, forEncryption, private, ofDouble := rsaKey, ecKey, edKey, rsaKey
	otherAlgorithm.KID, otherAlgorithm.ALG = "rs512", "RS512"
	forEncryption.KID, forEncryption.USE = "enc", "enc"
	private.KID, private.D = "private", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	ofDouble.KID = auth.ES256
	small := mustRSA(t, 1024)
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{
		rsaKey, ecKey, edKey, otherAlgorithm, forEncryption, private, ofDouble,
		publishedKey(t, "small", &small.PublicKey),
		{KTY: jwkset.KtyOct, KID: "oct", K: "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
		{KTY: "XYZ", KID: "strange"},
	}}
	remote := edKey
	remote.KID, remote.X5U = "x5u", p.server.URL // is not asked for it
	set.Keys = append(set.Keys, remote)
	p.publishSet(t, set)
	p.pass(31 * time.Second)
	p.accepted(t, auth.RS256)
	p.accepted(t, auth.ES256)
	p.accepted(t, auth.EdDSA)
	asked := p.asked.Load()
	payload := fmt.Sprintf(`{"app":"x","sub":"u","exp":%d}`, noon.Add(time.Hour).Unix())
	for _, kid := range []string{"rs512", "enc", "private", "small", "oct", "strange"} {
		_, err := p.Verify(rawToken(t, pairs()[auth.HS256].private, `{"alg":"HS256","kid":"`+kid+`"}`, payload))
		requireRefused(t, auth.ReasonUnknownKey, err)
	}
	for _, kid := range []string{auth.RS256, auth.ES256, auth.EdDSA} {
		forged := auth.SigningKey{Algorithm: auth.HS256, Secret: auth.Secret(pairs()[kid].public.PublicKey)}
		_, err := p.Verify(rawToken(t, forged, `{"alg":"HS256","kid":"`+kid+`"}`, payload))
		requireRefused(t, auth.ReasonAlgorithm, err)
	}
	_, err := p.Verify(rawToken(t, pairs()[auth.RS256].private, `{"alg":"RS256"}`, payload))
	requireRefused(t, auth.ReasonUnknownKey, err)
	require.Equal(t, asked, p.asked.Load())
}

func TestJWKSRefused(t *testing.T) {
	for _, tt := range []struct {
		jwks auth.JWKS
		want string
	}{
		{auth.JWKS{URL: "http://keys.example/jwks"}, "a url is https"},
		{auth.JWKS{URL: "http://127.0.0.1/jwks"}, "a url is https"},
		{auth.JWKS{URL: "file:///etc/passwd"}, "https://host/path"},
		{auth.JWKS{URL: "https://user:word@keys.example"}, "without a user"},
		{auth.JWKS{Interval: auth.Duration(time.Hour)}, "url is missing"},
		{auth.JWKS{URL: "https://keys.example", Interval: auth.Duration(time.Second)}, "an interval of 1s is not 1m to 24h"},
		{auth.JWKS{URL: "https://keys.example", MaxAge: auth.Duration(time.Minute)}, "a max_age of 1m is not"},
		{auth.JWKS{URL: "https://keys.example", MaxAge: auth.Duration(200 * time.Hour)}, "a max_age of 200h is not"},
	} {
		app := auth.App{ID: "x", JWKS: tt.jwks}
		require.ErrorContains(t, app.Validate(), tt.want)
	}
	app := auth.App{ID: "x", JWKS: auth.JWKS{URL: "https://keys.example/jwks.json", Interval: auth.Duration(24 * time.Hour)}}
	require.NoError(t, app.Validate())
}

// A stranger may own the endpoint.
func FuzzPublishedKeys(f *testing.F) {
	for _, algorithm := range []string{auth.RS256, auth.ES256, auth.EdDSA} {
		text, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{published(f, algorithm)}})
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","kid":"a","k":"AAAA"},{"kty":"EC","crv":"P-256","kid":"b","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) { auth.ParsePublished(t, text) })
}
