package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Whatever Sign mints, Verify reads back as it was meant.
func TestSignRoundTrip(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	rapid.Check(t, func(t *rapid.T) {
		grants := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) auth.Grant {
			return auth.Grant{
				Room: rapid.StringMatching(`[A-Za-z0-9._~-]{1,128}\*?|\*`).Draw(t, "room"),
				Can:  auth.Permissions{Publish: rapid.Bool().Draw(t, "p"), Moderate: rapid.Bool().Draw(t, "m"), SetCapacity: rapid.Bool().Draw(t, "c")},
			}
		}), 0, 8).Draw(t, "grants")
		c := auth.Claims{
			App: plain, User: rapid.StringMatching(`[a-z0-9ü€ @:/\\"<>-]{1,40}`).Draw(t, "user"),
			Name: rapid.StringMatching(`[\pL\pN "\\<>&]{0,20}`).Draw(t, "name"), Grants: grants,
			Expires: noon.Add(time.Duration(rapid.IntRange(0, 86400).Draw(t, "seconds")) * time.Second),
		}
		token, err := auth.Sign(pairs()[auth.HS256].private, c)
		if err != nil {
			t.Fatalf("sign: %v", err)
		}
		id, err := v.Verify(token)
		if err != nil {
			t.Fatalf("verify: %v", err)
		}
		if id.User != c.User || id.Name != c.Name || !id.Expires.Equal(c.Expires) || !slices.Equal(id.Grants, c.Grants) {
			t.Fatalf("minted %+v, read %+v", c, id)
		}
	})
}

// Keys that other tools make come in other wrappings.
func TestSignReadsOtherPEMBlocks(t *testing.T) {
	rsaKey := mustRSA(t, 2048)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	for _, tt := range []struct {
		name, algorithm, private, public string
	}{
		{"PKCS #1", auth.RS256, pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), publicPEM(t, &rsaKey.PublicKey)},
		{"SEC 1", auth.ES256, pemBlock("EC PRIVATE KEY", ecDER), publicPEM(t, &ecKey.PublicKey)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := mustNew(t, auth.Options{Apps: []auth.App{{ID: "x", Keys: []auth.Key{{ID: "k", Algorithm: tt.algorithm, PublicKey: tt.public}}}}})
			token, err := auth.Sign(auth.SigningKey{ID: "k", Algorithm: tt.algorithm, PrivateKey: auth.Secret(tt.private)}, auth.Claims{App: "x", User: "u", Expires: noon.Add(time.Minute)})
			require.NoError(t, err)
			_, err = v.Verify(token)
			require.NoError(t, err)
		})
	}
}

func TestSignRefuses(t *testing.T) {
	all := pairs()
	hs := all[auth.HS256].private
	good := auth.Claims{App: "x", User: "u", Expires: noon}
	claims := func(change func(c *auth.Claims)) auth.Claims {
		c := good
		change(&c)
		return c
	}
	smallRSA := pkcs8(t, mustRSA(t, 1024))
	for _, tt := range []struct {
		name   string
		key    auth.SigningKey
		claims auth.Claims
		want   string
	}{
		{"app", hs, claims(func(c *auth.Claims) { c.App = "A" }), "app"},
		{"user", hs, claims(func(c *auth.Claims) { c.User = "" }), "user"},
		{"name", hs, claims(func(c *auth.Claims) { c.Name = "\n" }), "name"},
		{"expiry", hs, claims(func(c *auth.Claims) { c.Expires = time.Time{} }), "expiry"},
		{"room", hs, claims(func(c *auth.Claims) { c.Grants = []auth.Grant{{Room: "a b"}} }), "room"},
		{"65 grants", hs, claims(func(c *auth.Claims) { c.Grants = slices.Repeat([]auth.Grant{{Room: "a"}}, 65) }), "grants"},
		{"kid", auth.SigningKey{ID: "a b", Algorithm: hs.Algorithm, Secret: hs.Secret}, good, "id"},
		{"algorithm none", auth.SigningKey{Algorithm: "none", PrivateKey: all[auth.ES256].private.PrivateKey}, good, "none"},
		{"no key", auth.SigningKey{Algorithm: auth.ES256}, good, "PEM"},
		{"short secret", auth.SigningKey{Algorithm: auth.HS256, Secret: "short"}, good, "32 bytes"},
		{"HS256 with a private key", auth.SigningKey{Algorithm: auth.HS256, Secret: hs.Secret, PrivateKey: all[auth.ES256].private.PrivateKey}, good, "secret"},
		{"key of another algorithm", auth.SigningKey{Algorithm: auth.RS256, PrivateKey: all[auth.ES256].private.PrivateKey}, good, "not for RS256"},
		{"RSA of 1024 bits", auth.SigningKey{Algorithm: auth.RS256, PrivateKey: smallRSA}, good, "1024"},
		{"a public key", auth.SigningKey{Algorithm: auth.ES256, PrivateKey: auth.Secret(all[auth.ES256].public.PublicKey)}, good, "PUBLIC KEY"},
		{"a broken key", auth.SigningKey{Algorithm: auth.ES256, PrivateKey: auth.Secret(pemBlock("PRIVATE KEY", []byte{1}))}, good, "parse"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := auth.Sign(tt.key, tt.claims)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, token)
		})
	}
}

func TestGenerateKey(t *testing.T) {
	t.Run("never the same twice", func(t *testing.T) {
		one, _, err := auth.GenerateKey("k", auth.HS256)
		require.NoError(t, err)
		two, _, err := auth.GenerateKey("k", auth.HS256)
		require.NoError(t, err)
		require.NotEqual(t, string(one.Secret), string(two.Secret))
	})
	t.Run("the public side has nothing private", func(t *testing.T) {
		for _, algorithm := range []string{auth.RS256, auth.ES256, auth.EdDSA} {
			public := pairs()[algorithm].public
			require.Empty(t, string(public.Secret))
			require.True(t, strings.HasPrefix(public.PublicKey, "-----BEGIN PUBLIC KEY-----"))
		}
	})
	t.Run("unknown algorithm", func(t *testing.T) {
		_, _, err := auth.GenerateKey("k", "HS512")
		require.ErrorContains(t, err, "HS512")
	})
}

func pkcs8(tb testing.TB, key *rsa.PrivateKey) auth.Secret {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	return auth.Secret(pemBlock("PRIVATE KEY", der))
}
