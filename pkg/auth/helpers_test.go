package auth_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// noon is the clock of the tests.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// pair is a key with its private side.
type pair struct {
	public  auth.Key
	private auth.SigningKey
}

// pairs holds one generated pair an algorithm, made once: RSA takes its time. The kid is the algorithm's name.
var pairs = sync.OnceValue(func() map[string]pair {
	made := map[string]pair{}
	for _, algorithm := range auth.Algorithms {
		public, private, err := auth.GenerateKey(algorithm, algorithm)
		if err != nil {
			panic(err)
		}
		made[algorithm] = pair{public, private}
	}
	return made
})

func mustNew(tb testing.TB, opts auth.Options) *auth.Verifier {
	tb.Helper()
	if opts.Now == nil {
		opts.Now = atNoon
	}
	v, err := auth.New(opts)
	require.NoError(tb, err)
	return v
}

func mustDirectory(tb testing.TB, opts auth.Options) *auth.Directory {
	tb.Helper()
	if opts.Now == nil {
		opts.Now = atNoon
	}
	d, err := auth.NewDirectory(opts)
	require.NoError(tb, err)
	return d
}

// members is a JSON object under construction.
type members map[string]any

// with gives a copy with some members replaced; a nil value takes one out.
func (m members) with(changes members) members {
	out := maps.Clone(m)
	for name, value := range changes {
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	return out
}

func (m members) json() string {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// rawToken signs any header and payload, also such as Sign refuses, with the method that the key is for.
func rawToken(tb testing.TB, key auth.SigningKey, header, payload string) string {
	tb.Helper()
	text := segment(header) + "." + segment(payload)
	return text + "." + signature(tb, key, text)
}

func signature(tb testing.TB, key auth.SigningKey, text string) string {
	tb.Helper()
	sig, err := jwt.GetSigningMethod(key.Algorithm).Sign(text, material(tb, key))
	require.NoError(tb, err)
	return base64.RawURLEncoding.EncodeToString(sig)
}

func material(tb testing.TB, key auth.SigningKey) any {
	tb.Helper()
	if key.Algorithm == auth.HS256 {
		return []byte(key.Secret)
	}
	block, _ := pem.Decode([]byte(key.PrivateKey))
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(tb, err)
	return private
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
