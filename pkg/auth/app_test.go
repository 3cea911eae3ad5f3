package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Each row is a configuration that must not start, and words of the error that tell the operator what to mend.
func TestNewRefuses(t *testing.T) {
	all := pairs()
	hs := all[auth.HS256].public
	rs := all[auth.RS256].public
	es := all[auth.ES256].public
	ed := all[auth.EdDSA].public
	secret := string(hs.Secret)
	app := func(change func(a *auth.App)) []auth.App {
		a := auth.App{ID: "x", Keys: []auth.Key{hs}}
		change(&a)
		return []auth.App{a}
	}
	key := func(k auth.Key) []auth.App { return app(func(a *auth.App) { a.Keys = []auth.Key{k} }) }
	withSecret := func(s string) []auth.App {
		return key(auth.Key{ID: "k", Algorithm: auth.HS256, Secret: auth.Secret(s)})
	}
	withPublic := func(algorithm, public string) []auth.App {
		return key(auth.Key{ID: "k", Algorithm: algorithm, PublicKey: public})
	}
	withID := func(id string) []auth.App { return app(func(a *auth.App) { a.ID = id }) }
	withKeyID := func(id string) []auth.App {
		return key(auth.Key{ID: id, Algorithm: hs.Algorithm, Secret: hs.Secret})
	}
	origins := func(list ...string) []auth.App { return app(func(a *auth.App) { a.Origins = list }) }

	smallRSA := mustRSA(t, 1024)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)

	for _, tt := range []struct {
		name string
		opts auth.Options
		want string
	}{
		{"app id empty", auth.Options{Apps: withID("")}, "an id is"},
		{"app id in upper case", auth.Options{Apps: withID("Acme")}, "an id is"},
		{"app id with a colon", auth.Options{Apps: withID("a:b")}, "an id is"},
		{"app id with a slash", auth.Options{Apps: withID("a/b")}, "an id is"},
		{"app id starts with a dash", auth.Options{Apps: withID("-a")}, "an id is"},
		{"app id of 64 characters", auth.Options{Apps: withID(strings.Repeat("a", 64))}, "an id is"},
		{"app twice", auth.Options{Apps: append(withID("a"), withID("a")...)}, `app "a" is there twice`},
		{"key twice", auth.Options{Apps: app(func(a *auth.App) { a.Keys = []auth.Key{hs, hs} })}, `key "HS256" is there twice`},
		{"no key and not anonymous", auth.Options{Apps: app(func(a *auth.App) { a.Keys = nil })}, "nobody could connect"},
		{"key id empty", auth.Options{Apps: withKeyID("")}, "an id is"},
		{"key id with a space", auth.Options{Apps: withKeyID("a b")}, "an id is"},
		{"key id with a newline", auth.Options{Apps: withKeyID("a\n")}, "an id is"},
		{"key id of 129 characters", auth.Options{Apps: withKeyID(strings.Repeat("k", 129))}, "an id is"},
		{"algorithm empty", auth.Options{Apps: key(auth.Key{ID: "k", Secret: hs.Secret})}, `algorithm "" is not one of`},
		{"algorithm none", auth.Options{Apps: key(auth.Key{ID: "k", Algorithm: "none"})}, `algorithm "none" is not one of`},
		{"algorithm in lower case", auth.Options{Apps: key(auth.Key{ID: "k", Algorithm: "hs256", Secret: hs.Secret})}, `algorithm "hs256" is not one of`},
		{"secret empty", auth.Options{Apps: withSecret("")}, "shorter than 32 bytes"},
		{"secret of 31 bytes", auth.Options{Apps: withSecret(secret[:31])}, "shorter than 32 bytes"},
		{"secret of one letter", auth.Options{Apps: withSecret(strings.Repeat("x", 64))}, "different bytes"},
		{"secret with a newline at the end", auth.Options{Apps: withSecret(secret + "\n")}, "white space"},
		{"secret that is a public key", auth.Options{Apps: withSecret(rs.PublicKey[:len(rs.PublicKey)-1])}, "PEM block"},
		{"HS256 with a public key", auth.Options{Apps: key(auth.Key{ID: "k", Algorithm: auth.HS256, Secret: hs.Secret, PublicKey: rs.PublicKey})}, "not a public_key"},
		{"RS256 with a secret", auth.Options{Apps: key(auth.Key{ID: "k", Algorithm: auth.RS256, Secret: hs.Secret, PublicKey: rs.PublicKey})}, "not a secret"},
		{"public key empty", auth.Options{Apps: withPublic(auth.RS256, "")}, "no PEM block"},
		{"public key is not PEM", auth.Options{Apps: withPublic(auth.EdDSA, "AAAAC3NzaC1lZDI1NTE5AAAAI")}, "no PEM block"},
		{"public key twice", auth.Options{Apps: withPublic(auth.RS256, rs.PublicKey+rs.PublicKey)}, "after its PEM block"},
		{"public key is a private one", auth.Options{Apps: withPublic(auth.ES256, string(all[auth.ES256].private.PrivateKey))}, "private key"},
		{"public key is a certificate", auth.Options{Apps: withPublic(auth.ES256, pemBlock("CERTIFICATE", []byte{1}))}, "CERTIFICATE"},
		{"public key is broken", auth.Options{Apps: withPublic(auth.ES256, pemBlock("PUBLIC KEY", []byte{1, 2, 3}))}, "public_key:"},
		{"RSA of 1024 bits", auth.Options{Apps: withPublic(auth.RS256, publicPEM(t, &smallRSA.PublicKey))}, "1024 bits"},
		{"ECDSA on P-384", auth.Options{Apps: withPublic(auth.ES256, publicPEM(t, &p384.PublicKey))}, "P-384"},
		{"RSA key for ES256", auth.Options{Apps: withPublic(auth.ES256, rs.PublicKey)}, "RSA key is not for ES256"},
		{"ECDSA key for EdDSA", auth.Options{Apps: withPublic(auth.EdDSA, es.PublicKey)}, "ECDSA key is not for EdDSA"},
		{"Ed25519 key for RS256", auth.Options{Apps: withPublic(auth.RS256, ed.PublicKey)}, "Ed25519 key is not for RS256"},
		{"anonymous pattern", auth.Options{Apps: app(func(a *auth.App) { a.AnonymousGrants = []auth.Grant{{Room: "a*b"}} })}, `anonymous_grants: "a*b"`},
		{"anonymous pattern empty", auth.Options{Apps: app(func(a *auth.App) { a.AnonymousGrants = []auth.Grant{{}} })}, `anonymous_grants: ""`},
		{"65 anonymous grants", auth.Options{Apps: app(func(a *auth.App) { a.AnonymousGrants = make([]auth.Grant, 65) })}, "more than 64"},
		{"capacity negative", auth.Options{Apps: app(func(a *auth.App) { a.Policy.Capacity = -1 })}, "negative"},
		{"capacity over its maximum", auth.Options{Apps: app(func(a *auth.App) { a.Policy = auth.Policy{Capacity: 3, MaxCapacity: 2} })}, "greater than max_capacity"},
		{"app's lifetime negative", auth.Options{Apps: app(func(a *auth.App) { a.MaxLifetime = -1 })}, "max_lifetime"},
		{"lifetime negative", auth.Options{MaxLifetime: -1}, "lifetime"},
		{"leeway negative", auth.Options{Leeway: -1}, "leeway"},
		{"token limit negative", auth.Options{MaxTokenBytes: -1}, "length of a token"},
		{"origin empty", auth.Options{Apps: origins("")}, `origin ""`},
		{"origin null", auth.Options{Apps: origins("null")}, "never allowed"},
		{"origin without a scheme", auth.Options{Apps: origins("example.com")}, "scheme://host"},
		{"origin with a path", auth.Options{Apps: origins("https://example.com/")}, "without a path"},
		{"origin with a user", auth.Options{Apps: origins("https://a@example.com")}, "scheme://host"},
		{"origin of the socket", auth.Options{Apps: origins("wss://example.com")}, "not the socket's"},
		{"origin not in punycode", auth.Options{Apps: origins("https://bücher.example")}, "punycode"},
		{"origin with port 0", auth.Options{Apps: origins("https://example.com:0")}, "scheme://host"},
		{"wildcard inside a label", auth.Options{Apps: origins("https://a*.example.com")}, "scheme://host"},
		{"wildcard in the middle", auth.Options{Apps: origins("https://a.*.example.com")}, "scheme://host"},
		{"wildcard twice", auth.Options{Apps: origins("https://*.*.example.com")}, "scheme://host"},
		{"wildcard for a top-level domain", auth.Options{Apps: origins("https://*.com")}, "two labels"},
		{"wildcard alone", auth.Options{Apps: origins("https://*")}, "scheme://host"},
		{"wildcard for an IPv4 address", auth.Options{Apps: origins("https://*.0.0.1")}, "two labels"},
		{"wildcard for an IPv6 address", auth.Options{Apps: origins("https://*.[::ffff:1.2.3.4]")}, "two labels"},
		{"wildcard for the scheme", auth.Options{Apps: origins("*://example.com")}, "scheme://host"},
		{"wildcard for the port", auth.Options{Apps: origins("https://example.com:*")}, "scheme://host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := auth.New(tt.opts)
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, v)
			require.NotContains(t, err.Error(), secret[:20], "the error shows a secret")
			require.NotContains(t, err.Error(), "BEGIN", "the error shows a key")
		})
	}
}

// An operator wants to see all that is wrong at once.
func TestNewNamesEveryFault(t *testing.T) {
	_, err := auth.New(auth.Options{Leeway: -1, Apps: []auth.App{
		{ID: "one", Origins: []string{"null", "x"}},
		{ID: "two", Keys: []auth.Key{{ID: "k", Algorithm: "none"}, {ID: "k", Algorithm: "HS256"}}},
	}})
	for _, want := range []string{"leeway", `app "one": there is no key`, `origin "null"`, `origin "x"`, `app "two": key "k": algorithm`, `key "k" is there twice`} {
		require.ErrorContains(t, err, want)
	}
}

func TestNewAccepts(t *testing.T) {
	rsaKey := mustRSA(t, 2048)
	for _, tt := range []struct {
		name string
		app  auth.App
	}{
		{"id of 63 characters", auth.App{ID: strings.Repeat("a", 63), Anonymous: true}},
		{"id that is a digit", auth.App{ID: "1", Anonymous: true}},
		{"RSA key in PKCS #1", auth.App{ID: "x", Keys: []auth.Key{{ID: "k", Algorithm: auth.RS256, PublicKey: pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))}}}},
		{"public key with white space around", auth.App{ID: "x", Keys: []auth.Key{{ID: "k", Algorithm: auth.RS256, PublicKey: "\n" + publicPEM(t, &rsaKey.PublicKey) + "\n \n"}}}},
		{"key id that is a URL", auth.App{ID: "x", Keys: []auth.Key{{ID: "https://id.example/keys#1", Algorithm: auth.HS256, Secret: pairs()[auth.HS256].public.Secret}}}},
		{"capacity without a maximum", auth.App{ID: "x", Anonymous: true, Policy: auth.Policy{Capacity: 500}}},
	} {
		t.Run(tt.name, func(t *testing.T) { mustNew(t, auth.Options{Apps: []auth.App{tt.app}}) })
	}
	t.Run("no app at all", func(t *testing.T) {
		_, err := mustNew(t, auth.Options{}).Verify("a.b.c")
		requireRefused(t, auth.ReasonMalformed, err)
	})
}

// What the caller does with its options afterwards must not reach the verifier.
func TestNewCopies(t *testing.T) {
	apps := []auth.App{{ID: "x", Anonymous: true, Origins: []string{"https://a.example"}, AnonymousGrants: []auth.Grant{{Room: "a"}}}}
	v := mustNew(t, auth.Options{Apps: apps})
	apps[0].AnonymousGrants[0].Room = "*"
	apps[0].Origins[0] = "https://evil.example"
	id, err := v.Anonymous("x", "")
	require.NoError(t, err)
	require.Equal(t, "a", id.Grants[0].Room)
	id.Grants[0].Room = "*"
	id, err = v.Anonymous("x", "")
	require.NoError(t, err)
	require.Equal(t, "a", id.Grants[0].Room)
	list, ok := v.Origins("x")
	require.True(t, ok)
	require.Equal(t, []string{"https://a.example"}, list)
	require.False(t, v.OriginAllowed("https://evil.example"))
}

// The names in a configuration file are a promise to operators.
func TestAppFromConfiguration(t *testing.T) {
	const file = `
apps:
  - id: acme
    keys:
      - id: k1
        algorithm: HS256
        secret: from the configuration file, long enough
      - id: k2
        algorithm: ES256
        public_key: |
          -----BEGIN PUBLIC KEY-----
          -----END PUBLIC KEY-----
    origins: ["https://acme.example", "https://*.acme.example"]
    anonymous: true
    disabled: true
    anonymous_grants:
      - room: open-*
        can: {publish: true, moderate: true, set_capacity: true}
      - room: stage
    policy: {capacity: 4, max_capacity: 30}
    policies:
      - {rooms: stage-*, create: api, keep: 90m, topics: [chat, cue]}
      - {rooms: "*", moderated: "on"}
    audience: signalbox
    issuer: https://acme.example
    max_lifetime: 90m
`
	parsed, err := yaml.Parser().Unmarshal([]byte(file))
	require.NoError(t, err)
	k := koanf.New(".")
	require.NoError(t, k.Load(confmap.Provider(parsed, "."), nil))
	var config struct {
		Apps []auth.App `koanf:"apps"`
	}
	require.NoError(t, k.Unmarshal("", &config))
	require.Equal(t, []auth.App{{
		ID: "acme",
		Keys: []auth.Key{
			{ID: "k1", Algorithm: auth.HS256, Secret: "from the configuration file, long enough"},
			{ID: "k2", Algorithm: auth.ES256, PublicKey: "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"},
		},
		Origins:   []string{"https://acme.example", "https://*.acme.example"},
		Anonymous: true, Disabled: true,
		AnonymousGrants: []auth.Grant{{Room: "open-*", Can: auth.Permissions{Publish: true, Moderate: true, SetCapacity: true}}, {Room: "stage"}},
		Policy:          auth.Policy{Capacity: 4, MaxCapacity: 30},
		Policies: []auth.RoomPolicy{
			{Rooms: "stage-*", Policy: auth.Policy{Create: auth.CreateAPI, Keep: auth.Duration(90 * time.Minute), Topics: []string{"chat", "cue"}}},
			{Rooms: "*", Policy: auth.Policy{Moderated: auth.On}},
		},
		Audience: "signalbox", Issuer: "https://acme.example", MaxLifetime: auth.Duration(90 * time.Minute),
	}}, config.Apps)
}

func mustRSA(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(tb, err)
	return key
}

func publicPEM(tb testing.TB, key crypto.PublicKey) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(tb, err)
	return pemBlock("PUBLIC KEY", der)
}

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
