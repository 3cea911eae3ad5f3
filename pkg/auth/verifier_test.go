package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// The apps of most tests.
const (
	acme   = "acme"   // a key of each algorithm; audience and issuer
	plain  = "plain"  // one HS256 key; nothing else
	other  = "other"  // a tenant with keys of its own under the same ids as acme's
	closed = "closed" // switched off
	demo   = "demo"   // anonymous, no key
)

// otherPair signs for the app other: its kid is one of acme's.
var otherPair = sync.OnceValue(func() pair {
	public, private, err := auth.GenerateKey(auth.HS256, auth.HS256)
	if err != nil {
		panic(err)
	}
	return pair{public, private}
})

func testApps() []auth.App {
	all := pairs()
	var keys []auth.Key
	for _, algorithm := range auth.Algorithms {
		keys = append(keys, all[algorithm].public)
	}
	return []auth.App{
		{
			ID: acme, Keys: keys, Audience: "signalbox", Issuer: "https://acme.example",
			Policy: auth.Policy{Capacity: 4, MaxCapacity: 30}, MaxLifetime: auth.Duration(2 * time.Hour),
		},
		{ID: plain, Keys: []auth.Key{all[auth.HS256].public}},
		{ID: other, Keys: []auth.Key{otherPair().public}},
		{ID: closed, Keys: []auth.Key{all[auth.HS256].public}, Anonymous: true, Disabled: true},
		{ID: demo, Anonymous: true, Policy: auth.Policy{Capacity: 2}, MaxLifetime: auth.Duration(time.Hour)},
	}
}

// goodHeader and goodPayload are accepted as they are; each refused row changes one thing.
func goodHeader() members { return members{"alg": "HS256", "typ": "JWT", "kid": "HS256"} }

func goodPayload() members {
	return members{
		"app": acme, "sub": "u-1", "name": "Ada", "iss": "https://acme.example", "aud": "signalbox",
		"iat": noon.Add(-time.Minute).Unix(), "nbf": noon.Add(-time.Minute).Unix(), "exp": noon.Add(time.Hour).Unix(),
		"rooms": []any{members{"room": "team-*", "can": []string{"publish", "moderate", "capacity"}}, members{"room": "lobby"}},
	}
}

func TestVerifyAcceptsEachAlgorithm(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	for _, algorithm := range auth.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			token, err := auth.Sign(pairs()[algorithm].private, auth.Claims{
				App: acme, User: "u-1", Name: "Ada 👩‍🚀",
				Grants:   []auth.Grant{{Room: "team-*", Can: auth.Permissions{Publish: true, SetCapacity: true}}, {Room: "lobby"}},
				IssuedAt: noon, NotBefore: noon, Expires: noon.Add(time.Hour),
				Audience: []string{"elsewhere", "signalbox"}, Issuer: "https://acme.example",
			})
			require.NoError(t, err)
			id, err := v.Verify(token)
			require.NoError(t, err)
			require.Equal(t, &auth.Identity{
				App: acme, User: "u-1", Name: "Ada 👩‍🚀",
				Grants:  []auth.Grant{{Room: "team-*", Can: auth.Permissions{Publish: true, SetCapacity: true}}, {Room: "lobby"}},
				Expires: noon.Add(time.Hour), Issued: noon,
				Policy: auth.Policy{Capacity: 4, MaxCapacity: 30},
			}, id)
		})
	}
}

// Each row is a token that is unusual and yet right.
func TestVerifyAccepts(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	bare := members{"app": plain, "sub": "u-1", "exp": noon.Add(time.Hour).Unix()}
	bareIdentity := auth.Identity{App: plain, User: "u-1", Expires: noon.Add(time.Hour)}
	for _, tt := range []struct {
		name    string
		header  members
		payload members
		check   func(t *testing.T, id *auth.Identity)
	}{
		{"the base of the refused rows", goodHeader(), goodPayload(), func(t *testing.T, id *auth.Identity) {
			require.Equal(t, []auth.Grant{
				{Room: "team-*", Can: auth.Permissions{Publish: true, Moderate: true, SetCapacity: true}},
				{Room: "lobby", Can: auth.Permissions{Publish: true}},
			}, id.Grants)
		}},
		{"only what is required, no kid, app with one key", members{"alg": "HS256"}, bare, func(t *testing.T, id *auth.Identity) {
			require.Equal(t, bareIdentity, *id)
		}},
		{"aud and iss that the app does not look at", members{"alg": "HS256"}, bare.with(members{"aud": 7, "iss": false}), nil},
		{"unknown claims", members{"alg": "HS256"}, bare.with(members{"custom": members{"a": []int{1, 2}}}), nil},
		{"claim names of another case are other claims", members{"alg": "HS256"}, bare.with(members{"APP": "acme", "Sub": 1}), func(t *testing.T, id *auth.Identity) {
			require.Equal(t, bareIdentity, *id)
		}},
		{"expired, within the leeway", members{"alg": "HS256"}, bare.with(members{"exp": noon.Add(-29 * time.Second).Unix()}), func(t *testing.T, id *auth.Identity) {
			require.Equal(t, noon.Add(-29*time.Second), id.Expires, "the leeway must not lengthen the identity")
		}},
		{"nbf and iat in the future, within the leeway", members{"alg": "HS256"}, bare.with(members{"nbf": noon.Add(30 * time.Second).Unix(), "iat": noon.Add(30 * time.Second).Unix()}), nil},
		{"exactly the greatest lifetime", goodHeader(), goodPayload().with(members{"iat": noon.Unix(), "exp": noon.Add(2 * time.Hour).Unix()}), nil},
		{"the greatest lifetime without iat, by a clock that is ahead", members{"alg": "HS256"}, bare.with(members{"exp": noon.Add(24*time.Hour + 30*time.Second).Unix()}), nil},
		{"exp with a fraction", members{"alg": "HS256"}, bare.with(members{"exp": float64(noon.Unix()) + 1.5}), func(t *testing.T, id *auth.Identity) {
			require.Equal(t, noon.Add(1500*time.Millisecond), id.Expires)
		}},
		{"128 characters of sub, not bytes", members{"alg": "HS256"}, bare.with(members{"sub": strings.Repeat("ü", 128)}), nil},
		{"name of 128 bytes", members{"alg": "HS256"}, bare.with(members{"name": strings.Repeat("x", 128)}), nil},
		{"empty can: join and listen", members{"alg": "HS256"}, bare.with(members{"rooms": []any{members{"room": "r", "can": []string{}}}}), func(t *testing.T, id *auth.Identity) {
			can, ok := id.Room("r")
			require.True(t, ok)
			require.Zero(t, can)
		}},
		{"64 grants", members{"alg": "HS256"}, bare.with(members{"rooms": slices.Repeat([]any{members{"room": "r"}}, 64)}), nil},
		{"jku, x5u, jwk and x5c headers are not looked at", goodHeader().with(members{
			"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert", "jwk": members{"kty": "oct", "k": "AAAA"}, "x5c": []string{"AAAA"},
		}), goodPayload(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(rawToken(t, pairs()[auth.HS256].private, tt.header.json(), tt.payload.json()))
			require.NoError(t, err)
			if tt.check != nil {
				tt.check(t, id)
			}
		})
	}
}

// Each row is a token that must be refused, for this reason and no other.
func TestVerifyRefuses(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	all := pairs()
	good := rawToken(t, all[auth.HS256].private, goodHeader().json(), goodPayload().json())
	goodParts := strings.Split(good, ".")

	hs := func(header, payload string) string { return rawToken(t, all[auth.HS256].private, header, payload) }
	withHeader := func(changes members) string { return hs(goodHeader().with(changes).json(), goodPayload().json()) }
	with := func(changes members) string { return hs(goodHeader().json(), goodPayload().with(changes).json()) }
	rooms := func(entries ...any) string { return with(members{"rooms": entries}) }
	// asHMAC signs with a public key as if it were an HMAC secret.
	asHMAC := func(alg, kid string) string {
		text := segment(members{"alg": alg, "kid": kid}.json()) + "." + segment(goodPayload().json())
		mac := hmac.New(sha256.New, []byte(all[kid].public.PublicKey))
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	// attacker is a key that nobody configured.
	_, attacker, err := auth.GenerateKey(auth.ES256, auth.ES256)
	require.NoError(t, err)
	attackerPublic := material(t, attacker).(*ecdsa.PrivateKey).PublicKey
	attackerX, attackerY := pointOf(t, &attackerPublic)
	duplicate := strings.TrimSuffix(goodPayload().json(), "}")

	for _, tt := range []struct {
		name   string
		token  string
		reason auth.Reason
	}{
		// Form.
		{"empty", "", auth.ReasonMalformed},
		{"a word", "token", auth.ReasonMalformed},
		{"two parts", goodParts[0] + "." + goodParts[1], auth.ReasonMalformed},
		{"four parts", good + ".AAAA", auth.ReasonMalformed},
		{"four parts, the last empty", good + ".", auth.ReasonMalformed},
		{"only dots", "..", auth.ReasonMalformed},
		{"empty header", "." + goodParts[1] + "." + goodParts[2], auth.ReasonMalformed},
		{"empty payload", goodParts[0] + ".." + goodParts[2], auth.ReasonMalformed},
		{"JSON serialisation", `{"payload":"` + goodParts[1] + `"}`, auth.ReasonMalformed},
		{"encrypted token of five parts", "a.b.c.d.e", auth.ReasonMalformed},
		{"newline at the end", good + "\n", auth.ReasonMalformed},
		{"newline inside, which encoding/base64 skips", goodParts[0] + "." + goodParts[1][:4] + "\r\n" + goodParts[1][4:] + "." + goodParts[2], auth.ReasonMalformed},
		{"space in front", " " + good, auth.ReasonMalformed},
		{"Bearer in front", "Bearer " + good, auth.ReasonMalformed},
		{"NUL at the end", good + "\x00", auth.ReasonMalformed},
		{"padded signature", good + "=", auth.ReasonMalformed},
		{"padded payload", goodParts[0] + "." + goodParts[1] + "==." + goodParts[2], auth.ReasonMalformed},
		{"standard base64 alphabet", goodParts[0] + "." + goodParts[1] + "." + strings.Repeat("+/", 21) + "A", auth.ReasonMalformed},
		{"unused bits set in the signature", goodParts[0] + "." + goodParts[1] + "." + setUnusedBit(goodParts[2]), auth.ReasonMalformed},
		{"base64 of an impossible length", goodParts[0] + "." + goodParts[1] + "." + goodParts[2] + "AA", auth.ReasonMalformed},
		{"header is not JSON", hs("alg", goodPayload().json()), auth.ReasonMalformed},
		{"header is an array", hs(`["HS256"]`, goodPayload().json()), auth.ReasonMalformed},
		{"header is null", hs("null", goodPayload().json()), auth.ReasonMalformed},
		{"payload is not JSON", hs(goodHeader().json(), "app=acme"), auth.ReasonMalformed},
		{"payload is an array", hs(goodHeader().json(), "[]"), auth.ReasonMalformed},
		{"payload is null", hs(goodHeader().json(), "null"), auth.ReasonMalformed},
		{"payload is a nested token", hs(goodHeader().json(), good), auth.ReasonMalformed},
		{"payload is cut", hs(goodHeader().json(), duplicate), auth.ReasonMalformed},
		{"payload with trailing comma", hs(goodHeader().json(), duplicate+",}"), auth.ReasonMalformed},
		{"payload with trailing data", hs(goodHeader().json(), goodPayload().json()+"{}"), auth.ReasonMalformed},
		{"payload with a closing brace too many", hs(goodHeader().json(), goodPayload().json()+"}"), auth.ReasonMalformed},
		{"payload with a byte order mark", hs(goodHeader().json(), "\ufeff"+goodPayload().json()), auth.ReasonMalformed},
		{"payload is not UTF-8", hs(goodHeader().json(), duplicate+`,"x":"`+"\xff"+`"}`), auth.ReasonMalformed},
		{"payload nested 2,500 deep", mustNotBeLong(hs(goodHeader().json(), duplicate+`,"x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+"}")), auth.ReasonMalformed},
		{"duplicate sub", hs(goodHeader().json(), duplicate+`,"sub":"admin"}`), auth.ReasonMalformed},
		{"duplicate app", hs(goodHeader().json(), duplicate+`,"app":"other"}`), auth.ReasonMalformed},
		{"duplicate exp, spelt with an escape", hs(goodHeader().json(), duplicate+`,"\u0065xp":99999999999}`), auth.ReasonMalformed},
		{"duplicate room in a grant", hs(goodHeader().json(), goodPayload().with(members{"rooms": json.RawMessage(`[{"room":"a","room":"*"}]`)}).json()), auth.ReasonMalformed},
		{"duplicate alg", hs(`{"alg":"none","alg":"HS256","kid":"HS256"}`, goodPayload().json()), auth.ReasonMalformed},
		{"crit header", withHeader(members{"crit": []string{"exp"}}), auth.ReasonMalformed},
		{"crit header that is empty", withHeader(members{"crit": []string{}}), auth.ReasonMalformed},
		{"unencoded payload option", withHeader(members{"crit": []string{"b64"}, "b64": false}), auth.ReasonMalformed},
		{"kid is a number", withHeader(members{"kid": 1}), auth.ReasonMalformed},
		{"kid is null", hs(`{"alg":"HS256","kid":null}`, goodPayload().json()), auth.ReasonMalformed},
		{"one byte over the limit", good + strings.Repeat("A", auth.DefaultMaxTokenBytes+1-len(good)), auth.ReasonTooLarge},
		{"1 MiB", strings.Repeat("A", 1<<20), auth.ReasonTooLarge},
		{"kid of 10 KB", withHeader(members{"kid": strings.Repeat("k", 10<<10)}), auth.ReasonTooLarge},

		// Algorithm.
		{"alg none, no signature", segment(`{"alg":"none"}`) + "." + goodParts[1] + ".", auth.ReasonAlgorithm},
		{"alg none, kid of a key", segment(`{"alg":"none","kid":"HS256"}`) + "." + goodParts[1] + ".", auth.ReasonAlgorithm},
		{"alg none, good signature", withHeader(members{"alg": "none"}), auth.ReasonAlgorithm},
		{"alg NONE", segment(`{"alg":"NONE","kid":"HS256"}`) + "." + goodParts[1] + ".", auth.ReasonAlgorithm},
		{"alg nOnE", segment(`{"alg":"nOnE","kid":"HS256"}`) + "." + goodParts[1] + ".", auth.ReasonAlgorithm},
		{"alg empty", withHeader(members{"alg": ""}), auth.ReasonAlgorithm},
		{"alg absent", withHeader(members{"alg": nil}), auth.ReasonAlgorithm},
		{"alg is a list", withHeader(members{"alg": []string{"HS256"}}), auth.ReasonAlgorithm},
		{"Alg of another case only", withHeader(members{"alg": nil, "Alg": "HS256"}), auth.ReasonAlgorithm},
		{"alg hs256 in lower case", withHeader(members{"alg": "hs256"}), auth.ReasonAlgorithm},
		{"alg with a space", withHeader(members{"alg": "HS256 "}), auth.ReasonAlgorithm},
		{"alg HS512, which we do not offer", withHeader(members{"alg": "HS512"}), auth.ReasonAlgorithm},
		{"alg PS256, which we do not offer", withHeader(members{"alg": "PS256"}), auth.ReasonAlgorithm},
		{"RS256 key used as HS256 secret", asHMAC("HS256", auth.RS256), auth.ReasonAlgorithm},
		{"ES256 key used as HS256 secret", asHMAC("HS256", auth.ES256), auth.ReasonAlgorithm},
		{"EdDSA key used as HS256 secret", asHMAC("HS256", auth.EdDSA), auth.ReasonAlgorithm},
		{"HS256 key, token says RS256", withHeader(members{"alg": "RS256"}), auth.ReasonAlgorithm},
		{"ES256 key, token says EdDSA", rawToken(t, all[auth.ES256].private, `{"alg":"EdDSA","kid":"ES256"}`, goodPayload().json()), auth.ReasonAlgorithm},

		// App and key.
		{"app absent", with(members{"app": nil}), auth.ReasonClaims},
		{"app is a number", with(members{"app": 1}), auth.ReasonClaims},
		{"app empty", with(members{"app": ""}), auth.ReasonUnknownApp},
		{"app unknown", with(members{"app": "nobody"}), auth.ReasonUnknownApp},
		{"app in another case", with(members{"app": "ACME"}), auth.ReasonUnknownApp},
		{"app with another's prefix", with(members{"app": "acme/../other"}), auth.ReasonUnknownApp},
		{"app switched off", with(members{"app": closed}), auth.ReasonAppDisabled},
		{"app without keys", with(members{"app": demo}), auth.ReasonUnknownKey},
		{"another tenant's app, same kid, own key", with(members{"app": other}), auth.ReasonSignature},
		{"kid absent, app with four keys", withHeader(members{"kid": nil}), auth.ReasonUnknownKey},
		{"kid unknown", withHeader(members{"kid": "k9"}), auth.ReasonUnknownKey},
		{"kid empty", withHeader(members{"kid": ""}), auth.ReasonUnknownKey},
		{"kid is a path", withHeader(members{"kid": "../../etc/passwd"}), auth.ReasonUnknownKey},
		{"kid is a query", withHeader(members{"kid": "HS256' OR '1'='1"}), auth.ReasonUnknownKey},
		{"kid of 4 KB", withHeader(members{"kid": strings.Repeat("k", 4<<10)}), auth.ReasonUnknownKey},
		{"kid wrong, app with one key", hs(`{"alg":"HS256","kid":"k9"}`, goodPayload().with(members{"app": plain}).json()), auth.ReasonUnknownKey},

		// Signature.
		{"no signature", goodParts[0] + "." + goodParts[1] + ".", auth.ReasonSignature},
		{"signature cut", good[:len(good)-3], auth.ReasonSignature},
		{"payload changed", goodParts[0] + "." + segment(goodPayload().with(members{"sub": "admin"}).json()) + "." + goodParts[2], auth.ReasonSignature},
		{"header changed", segment(goodHeader().with(members{"typ": "jwt"}).json()) + "." + goodParts[1] + "." + goodParts[2], auth.ReasonSignature},
		{"signed by a stranger's key", rawToken(t, attacker, `{"alg":"ES256","kid":"ES256"}`, goodPayload().json()), auth.ReasonSignature},
		{"jwk header with a stranger's key", rawToken(t, attacker, members{
			"alg": "ES256", "kid": "ES256", "jwk": members{"kty": "EC", "crv": "P-256", "x": attackerX, "y": attackerY},
		}.json(), goodPayload().json()), auth.ReasonSignature},
		{"jku header of a stranger", rawToken(t, attacker, `{"alg":"ES256","kid":"ES256","jku":"https://evil.example/keys"}`, goodPayload().json()), auth.ReasonSignature},
		{"x5u header of a stranger", rawToken(t, attacker, `{"alg":"ES256","kid":"ES256","x5u":"https://evil.example/cert"}`, goodPayload().json()), auth.ReasonSignature},
		{"ES256 signature of zeros", zeroES256(t, goodPayload().json()), auth.ReasonSignature},
		{"ES256 signature in DER", derES256(t, all[auth.ES256].private, goodPayload().json()), auth.ReasonSignature},

		// Times.
		{"exp absent", with(members{"exp": nil}), auth.ReasonNoExpiry},
		{"expired an hour ago", with(members{"exp": noon.Add(-time.Hour).Unix()}), auth.ReasonExpired},
		{"expired just beyond the leeway", with(members{"exp": noon.Add(-30 * time.Second).Unix()}), auth.ReasonExpired},
		{"exp 0", with(members{"exp": 0}), auth.ReasonExpired},
		{"nbf in the future", with(members{"nbf": noon.Add(31 * time.Second).Unix()}), auth.ReasonNotYetValid},
		{"iat in the future", with(members{"iat": noon.Add(31 * time.Second).Unix()}), auth.ReasonNotYetValid},
		{"iat far in the future", with(members{"iat": noon.AddDate(10, 0, 0).Unix(), "exp": noon.AddDate(10, 0, 1).Unix()}), auth.ReasonNotYetValid},
		{"lifetime of ten years", with(members{"exp": noon.AddDate(10, 0, 0).Unix()}), auth.ReasonLifetime},
		{"lifetime one second too long", with(members{"iat": noon.Unix(), "exp": noon.Add(2*time.Hour + time.Second).Unix()}), auth.ReasonLifetime},
		{"lifetime too long without iat", with(members{"iat": nil, "exp": noon.Add(2*time.Hour + 31*time.Second).Unix()}), auth.ReasonLifetime},
		{"iat long ago, exp soon", with(members{"iat": 1}), auth.ReasonLifetime},
		{"default lifetime too long", hs(`{"alg":"HS256"}`, members{"app": plain, "sub": "u", "iat": noon.Unix(), "exp": noon.Add(24*time.Hour + time.Second).Unix()}.json()), auth.ReasonLifetime},
		{"exp is a string", with(members{"exp": "1"}), auth.ReasonClaims},
		{"exp is null", hs(goodHeader().json(), goodPayload().with(members{"exp": json.RawMessage("null")}).json()), auth.ReasonClaims},
		{"exp is true", with(members{"exp": true}), auth.ReasonClaims},
		{"exp is negative", with(members{"exp": -1}), auth.ReasonClaims},
		{"exp beyond 64 bits", with(members{"exp": json.RawMessage("18446744073709551617")}), auth.ReasonClaims},
		{"exp beyond a float", with(members{"exp": json.RawMessage("1e999")}), auth.ReasonClaims},
		{"exp in milliseconds", with(members{"exp": noon.Add(time.Hour).UnixMilli()}), auth.ReasonClaims},
		{"nbf is a string", with(members{"nbf": "1"}), auth.ReasonClaims},
		{"iat is a string", with(members{"iat": "1"}), auth.ReasonClaims},
		{"iat is negative", with(members{"iat": -1}), auth.ReasonClaims},

		// Audience and issuer.
		{"aud of another", with(members{"aud": "elsewhere"}), auth.ReasonAudience},
		{"aud list without ours", with(members{"aud": []string{"a", "b"}}), auth.ReasonAudience},
		{"aud absent", with(members{"aud": nil}), auth.ReasonAudience},
		{"aud empty", with(members{"aud": ""}), auth.ReasonAudience},
		{"aud empty list", with(members{"aud": []string{}}), auth.ReasonAudience},
		{"aud with a number", with(members{"aud": []any{"signalbox", 1}}), auth.ReasonAudience},
		{"aud in another case", with(members{"aud": "Signalbox"}), auth.ReasonAudience},
		{"iss of another", with(members{"iss": "https://evil.example"}), auth.ReasonIssuer},
		{"iss with a slash more", with(members{"iss": "https://acme.example/"}), auth.ReasonIssuer},
		{"iss absent", with(members{"iss": nil}), auth.ReasonIssuer},
		{"iss empty", with(members{"iss": ""}), auth.ReasonIssuer},
		{"iss is a list", with(members{"iss": []string{"https://acme.example"}}), auth.ReasonIssuer},

		// Who.
		{"sub absent", with(members{"sub": nil}), auth.ReasonClaims},
		{"sub empty", with(members{"sub": ""}), auth.ReasonClaims},
		{"sub is a number", with(members{"sub": 7}), auth.ReasonClaims},
		{"sub of 129 characters", with(members{"sub": strings.Repeat("x", 129)}), auth.ReasonClaims},
		{"sub with a newline", with(members{"sub": "a\nb"}), auth.ReasonClaims},
		{"sub with NUL", with(members{"sub": "a\x00"}), auth.ReasonClaims},
		{"sub with DEL", with(members{"sub": "a\x7f"}), auth.ReasonClaims},
		{"sub with right-to-left override", with(members{"sub": "a\u202eb"}), auth.ReasonClaims},
		{"sub with a zero-width space", with(members{"sub": "a\u200bb"}), auth.ReasonClaims},
		{"sub with a lone surrogate", with(members{"sub": json.RawMessage(`"a\ud800"`)}), auth.ReasonClaims},
		{"name is a number", with(members{"name": 7}), auth.ReasonClaims},
		{"name of 129 bytes", with(members{"name": "x" + strings.Repeat("ü", 64)}), auth.ReasonClaims},
		{"name with a newline", with(members{"name": "a\nb"}), auth.ReasonClaims},
		{"name with a C1 control", with(members{"name": "a\u0085b"}), auth.ReasonClaims},
		{"name with a line separator", with(members{"name": "a\u2028b"}), auth.ReasonClaims},
		{"name with right-to-left override", with(members{"name": "a\u202eb"}), auth.ReasonClaims},
		{"name with a lone surrogate", with(members{"name": json.RawMessage(`"\udfff"`)}), auth.ReasonClaims},

		// Rooms.
		{"rooms is a string", with(members{"rooms": "*"}), auth.ReasonClaims},
		{"rooms is null", with(members{"rooms": json.RawMessage("null")}), auth.ReasonClaims},
		{"rooms is an object", with(members{"rooms": members{"room": "*"}}), auth.ReasonClaims},
		{"grant is a string", rooms("*"), auth.ReasonClaims},
		{"grant without a room", rooms(members{"can": []string{"publish"}}), auth.ReasonClaims},
		{"grant for a number", rooms(members{"room": 1}), auth.ReasonClaims},
		{"room empty", rooms(members{"room": ""}), auth.ReasonClaims},
		{"room of 129 characters", rooms(members{"room": strings.Repeat("r", 129)}), auth.ReasonClaims},
		{"room with a slash", rooms(members{"room": "../x"}), auth.ReasonClaims},
		{"room with a colon", rooms(members{"room": "a:b"}), auth.ReasonClaims},
		{"room with a hash tag", rooms(members{"room": "{tag}"}), auth.ReasonClaims},
		{"room with an accent", rooms(members{"room": "café"}), auth.ReasonClaims},
		{"star in front", rooms(members{"room": "*-x"}), auth.ReasonClaims},
		{"star in the middle", rooms(members{"room": "a*b"}), auth.ReasonClaims},
		{"two stars", rooms(members{"room": "a**"}), auth.ReasonClaims},
		{"two stars alone", rooms(members{"room": "**"}), auth.ReasonClaims},
		{"unknown word in can", rooms(members{"room": "r", "can": []string{"publish", "admin"}}), auth.ReasonClaims},
		{"word of another case in can", rooms(members{"room": "r", "can": []string{"Publish"}}), auth.ReasonClaims},
		{"number in can", rooms(members{"room": "r", "can": []any{1}}), auth.ReasonClaims},
		{"list in can", rooms(members{"room": "r", "can": []any{[]string{"publish"}}}), auth.ReasonClaims},
		{"can is a string", rooms(members{"room": "r", "can": "publish"}), auth.ReasonClaims},
		{"can is null", rooms(members{"room": "r", "can": json.RawMessage("null")}), auth.ReasonClaims},
		{"misspelt can, which must not become the default", rooms(members{"room": "r", "Can": []string{}}), auth.ReasonClaims},
		{"65 grants", with(members{"rooms": slices.Repeat([]any{members{"room": "r"}}, 65)}), auth.ReasonClaims},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(tt.token)
			requireRefused(t, tt.reason, err)
			require.Nil(t, id)
			for part := range strings.SplitSeq(tt.token, ".") {
				if len(part) > 8 {
					require.NotContains(t, err.Error(), part, "the message shows a part of the token")
				}
			}
		})
	}
	t.Run("the base is accepted", func(t *testing.T) {
		_, err := v.Verify(good)
		require.NoError(t, err)
	})
}

func TestVerifyTokenLimit(t *testing.T) {
	token := rawToken(t, pairs()[auth.HS256].private, goodHeader().json(), goodPayload().json())
	_, err := mustNew(t, auth.Options{Apps: testApps(), MaxTokenBytes: len(token)}).Verify(token)
	require.NoError(t, err)
	_, err = mustNew(t, auth.Options{Apps: testApps(), MaxTokenBytes: len(token) - 1}).Verify(token)
	requireRefused(t, auth.ReasonTooLarge, err)
}

// The same token lives through its whole life by the clock alone.
func TestVerifyFollowsTheClock(t *testing.T) {
	now := noon
	v := mustNew(t, auth.Options{Apps: testApps(), Now: func() time.Time { return now }, Leeway: 5 * time.Second})
	token, err := auth.Sign(pairs()[auth.HS256].private, auth.Claims{
		App: plain, User: "u", IssuedAt: noon, NotBefore: noon.Add(time.Minute), Expires: noon.Add(time.Hour),
	})
	require.NoError(t, err)
	for _, tt := range []struct {
		at     time.Duration
		reason auth.Reason
	}{
		{-6 * time.Second, auth.ReasonNotYetValid},
		{54 * time.Second, auth.ReasonNotYetValid},
		{55 * time.Second, ""},
		{time.Hour + 4*time.Second, ""},
		{time.Hour + 5*time.Second, auth.ReasonExpired},
	} {
		t.Run(tt.at.String(), func(t *testing.T) {
			now = noon.Add(tt.at)
			_, err := v.Verify(token)
			if tt.reason == "" {
				require.NoError(t, err)
				return
			}
			requireRefused(t, tt.reason, err)
		})
	}
}

// A change of keys has no gap: the old and the new key are good side by side, and each only under its own id.
func TestVerifyDuringKeyChange(t *testing.T) {
	oldKey, oldSigner, err := auth.GenerateKey("2026-a", auth.HS256)
	require.NoError(t, err)
	newKey, newSigner, err := auth.GenerateKey("2026-b", auth.EdDSA)
	require.NoError(t, err)
	c := auth.Claims{App: "x", User: "u", Expires: noon.Add(time.Hour)}
	oldToken, err := auth.Sign(oldSigner, c)
	require.NoError(t, err)
	newToken, err := auth.Sign(newSigner, c)
	require.NoError(t, err)

	both := mustNew(t, auth.Options{Apps: []auth.App{{ID: "x", Keys: []auth.Key{oldKey, newKey}}}})
	for _, token := range []string{oldToken, newToken} {
		_, err := both.Verify(token)
		require.NoError(t, err)
	}
	after := mustNew(t, auth.Options{Apps: []auth.App{{ID: "x", Keys: []auth.Key{newKey}}}})
	_, err = after.Verify(oldToken)
	requireRefused(t, auth.ReasonUnknownKey, err)
	_, err = after.Verify(newToken)
	require.NoError(t, err)
}

func TestVerifyConcurrently(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	good := rawToken(t, pairs()[auth.HS256].private, goodHeader().json(), goodPayload().json())
	want, err := v.Verify(good)
	require.NoError(t, err)
	var group sync.WaitGroup
	failures := make(chan string, 8)
	for range cap(failures) {
		group.Go(func() {
			for range 50 {
				if id, err := v.Verify(good); err != nil || id.User != want.User || len(id.Grants) != len(want.Grants) {
					failures <- fmt.Sprint("a good token was refused: ", err)
					return
				}
				if _, err := v.Verify(good + "AAAA"); err == nil {
					failures <- "a bad token was accepted"
					return
				}
			}
		})
	}
	group.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
}

// What is wrong inside stays in the cause, for our log, and comes not out in the message.
func TestErrorUnwraps(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	_, err := v.Verify(rawToken(t, pairs()[auth.HS256].private, goodHeader().json(), goodPayload().with(members{"exp": 1}).json()))
	require.ErrorIs(t, err, jwt.ErrTokenExpired)
	require.EqualError(t, err, "expired: the token has expired")
}

func TestAnonymous(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: testApps()})
	t.Run("OK", func(t *testing.T) {
		one, err := v.Anonymous(demo, "Grace")
		require.NoError(t, err)
		require.True(t, one.Anonymous)
		require.Equal(t, demo, one.App)
		require.Equal(t, "Grace", one.Name)
		require.Equal(t, noon.Add(time.Hour), one.Expires)
		require.Equal(t, auth.Policy{Capacity: 2}, one.Policy)
		require.Equal(t, []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}}, one.Grants)
		two, err := v.Anonymous(demo, "")
		require.NoError(t, err)
		require.NotEqual(t, one.User, two.User)
		require.Regexp(t, `^anon-[A-Z2-7]{26,}$`, two.User)
	})
	t.Run("own grants", func(t *testing.T) {
		v := mustNew(t, auth.Options{Apps: []auth.App{{ID: "x", Anonymous: true, AnonymousGrants: []auth.Grant{{Room: "open-*"}}}}})
		id, err := v.Anonymous("x", "")
		require.NoError(t, err)
		can, ok := id.Room("open-1")
		require.True(t, ok)
		require.Zero(t, can)
		_, ok = id.Room("board")
		require.False(t, ok)
		require.Equal(t, noon.Add(24*time.Hour), id.Expires)
	})
	for _, tt := range []struct {
		name, app, user string
		reason          auth.Reason
	}{
		{"app unknown", "nobody", "", auth.ReasonUnknownApp},
		{"app empty", "", "", auth.ReasonUnknownApp},
		{"app switched off", closed, "", auth.ReasonAppDisabled},
		{"app takes tokens only", acme, "", auth.ReasonAnonymous},
		{"name too long", demo, strings.Repeat("x", 129), auth.ReasonClaims},
		{"name with a control character", demo, "a\x1b[2J", auth.ReasonClaims},
		{"name is not UTF-8", demo, "a\xff", auth.ReasonClaims},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Anonymous(tt.app, tt.user)
			requireRefused(t, tt.reason, err)
			require.Nil(t, id)
		})
	}
}

func requireRefused(t *testing.T, reason auth.Reason, err error) {
	t.Helper()
	var refused *auth.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason, refused.Error())
	require.Contains(t, auth.Reasons, refused.Reason)
	require.NotEmpty(t, refused.Message)
}

// setUnusedBit gives another spelling of the same bytes: 32 bytes leave two bits of the last character unused.
func setUnusedBit(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last|1])
}

// mustNotBeLong makes sure that a row is refused for its content and not for its length.
func mustNotBeLong(token string) string {
	if len(token) > auth.DefaultMaxTokenBytes {
		panic("the token is over the limit")
	}
	return token
}

func pointOf(t *testing.T, key *ecdsa.PublicKey) (x, y string) {
	t.Helper()
	require.Equal(t, elliptic.P256(), key.Curve)
	point, err := key.Bytes() // 4, x, y
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	return encode(point[1:33]), encode(point[33:])
}

func zeroES256(t *testing.T, payload string) string {
	t.Helper()
	// r = s = 0 passed for every message in some implementations of ECDSA (CVE-2022-21449).
	return segment(`{"alg":"ES256","kid":"ES256"}`) + "." + segment(payload) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
}

func derES256(t *testing.T, key auth.SigningKey, payload string) string {
	t.Helper()
	text := segment(`{"alg":"ES256","kid":"ES256"}`) + "." + segment(payload)
	digest := sha256.Sum256([]byte(text))
	der, err := ecdsa.SignASN1(rand.Reader, material(t, key).(*ecdsa.PrivateKey), digest[:])
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(der)
}
