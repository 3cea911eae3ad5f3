package auth_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Fuzz workers are processes of their own, and a token of one must mean the same in the other, so the fuzz tests
// derive their keys from a word.
func fuzzSecret() []byte {
	digest := sha256.Sum256([]byte("fuzz"))
	return []byte(base64.RawURLEncoding.EncodeToString(digest[:]))
}

func fuzzPrivateKey() ed25519.PrivateKey {
	digest := sha256.Sum256([]byte("fuzz Ed25519"))
	return ed25519.NewKeyFromSeed(digest[:])
}

func fuzzVerifier(f *testing.F) *auth.Verifier {
	f.Helper()
	return mustNew(f, auth.Options{Apps: []auth.App{{ID: acme, Keys: []auth.Key{
		{ID: "h", Algorithm: auth.HS256, Secret: auth.Secret(fuzzSecret())},
		{ID: "e", Algorithm: auth.EdDSA, PublicKey: publicPEM(f, fuzzPrivateKey().Public())},
	}}}})
}

// FuzzVerify throws whole tokens at Verify. It must not panic, and what it accepts must carry a signature that the
// standard library alone finds good with one of the two keys: nothing is accepted without a key.
func FuzzVerify(f *testing.F) {
	payload := goodPayload().with(members{"aud": nil, "iss": nil}).json()
	for _, header := range []string{
		`{"alg":"HS256","kid":"h"}`, `{"alg":"HS256","kid":"e"}`, `{"alg":"HS256"}`, `{"alg":"none","kid":"h"}`, `{"alg":"HS256","kid":"h","crit":["x"]}`,
	} {
		f.Add(fuzzHMAC(header, payload))
	}
	text := segment(`{"alg":"EdDSA","kid":"e"}`) + "." + segment(payload)
	f.Add(text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(fuzzPrivateKey(), []byte(text))))
	f.Add(text + ".")
	f.Add("..")
	v := fuzzVerifier(f)
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(token)
		if err != nil {
			requireRefusedSomehow(t, id, err)
			return
		}
		parts := strings.Split(token, ".")
		require.Len(t, parts, 3)
		signed := []byte(parts[0] + "." + parts[1])
		sig, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
		require.NoError(t, err)
		mac := hmac.New(sha256.New, fuzzSecret())
		mac.Write(signed)
		byHMAC := hmac.Equal(mac.Sum(nil), sig)
		byEdDSA := ed25519.Verify(fuzzPrivateKey().Public().(ed25519.PublicKey), signed, sig)
		require.True(t, byHMAC || byEdDSA, "accepted without a key")
	})
}

// FuzzVerifySigned signs any header and payload with the right key, as a careless or hostile tenant could. It must
// not panic, and what it accepts must be an identity that the rest of the system can rely on.
func FuzzVerifySigned(f *testing.F) {
	base := goodPayload().with(members{"aud": nil, "iss": nil})
	for _, payload := range []string{
		base.json(), base.with(members{"exp": 1e300}).json(), base.with(members{"sub": ""}).json(), base.with(members{"rooms": []any{}}).json(),
		`{"app":"acme","app":"acme"}`, `{"app":"acme","sub":"u","exp":1772370000.5}`, `{"app":"acme","sub":"\ud800","exp":1772370000}`, `[[[[`, `null`,
	} {
		f.Add(`{"alg":"HS256","kid":"h"}`, payload)
	}
	f.Add(`{"alg":"HS256","kid":"h","alg":"none"}`, base.json())
	v := fuzzVerifier(f)
	f.Fuzz(func(t *testing.T, header, payload string) {
		id, err := v.Verify(fuzzHMAC(header, payload))
		if err != nil {
			requireRefusedSomehow(t, id, err)
			return
		}
		require.True(t, json.Valid([]byte(header)))
		require.True(t, json.Valid([]byte(payload)))
		var claims jwt.MapClaims
		require.NoError(t, json.Unmarshal([]byte(payload), &claims))
		require.Equal(t, acme, claims["app"])
		require.Equal(t, claims["sub"], id.User)
		require.Equal(t, acme, id.App)
		require.False(t, id.Anonymous)
		require.True(t, utf8.ValidString(id.User))
		require.NotEmpty(t, id.User)
		require.LessOrEqual(t, utf8.RuneCountInString(id.User), 128)
		require.Equal(t, -1, strings.IndexFunc(id.User, func(r rune) bool { return !unicode.IsPrint(r) }))
		require.LessOrEqual(t, len(id.Name), 128)
		require.Equal(t, -1, strings.IndexFunc(id.Name, unicode.IsControl))
		require.True(t, id.Expires.After(noon.Add(-auth.DefaultLeeway)))
		require.LessOrEqual(t, len(id.Grants), auth.MaxGrants)
		for _, grant := range id.Grants {
			require.Regexp(t, `^([A-Za-z0-9._~-]{1,128}\*?|\*)$`, grant.Room)
		}
	})
}

// FuzzIdentityRoom compares the matcher with the rule as a regular expression.
func FuzzIdentityRoom(f *testing.F) {
	for _, seed := range [][2]string{{"team-*", "team-1"}, {"*", "x"}, {"a", "a"}, {"a*", ""}, {"a.c", "abc"}, {"a", "a\n"}, {"a*", "a*"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, room string) {
		// Only patterns that a verifier lets through count; New is the judge of that.
		_, err := auth.New(auth.Options{Apps: []auth.App{{ID: "x", Anonymous: true, AnonymousGrants: []auth.Grant{{Room: pattern}}}}})
		valid := pattern == "*" || roomName.MatchString(strings.TrimSuffix(pattern, "*"))
		require.Equal(t, valid, err == nil)
		if !valid {
			return
		}
		grants := []auth.Grant{{Room: pattern, Can: auth.Permissions{Publish: true}}}
		id := &auth.Identity{Grants: grants}
		can, found := id.Room(room)
		wantCan, wantFound := modelRoom(grants, room)
		require.Equal(t, wantFound, found)
		require.Equal(t, wantCan, can)
	})
}

func fuzzHMAC(header, payload string) string {
	text := segment(header) + "." + segment(payload)
	mac := hmac.New(sha256.New, fuzzSecret())
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func requireRefusedSomehow(t *testing.T, id *auth.Identity, err error) {
	t.Helper()
	require.Nil(t, id)
	var refused *auth.Error
	require.ErrorAs(t, err, &refused)
	require.Contains(t, auth.Reasons, refused.Reason)
}
