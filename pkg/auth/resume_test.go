package auth_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// clusterKey is the shortest that is taken.
var clusterKey = []byte("0123456789abcdef")

func mustTokens(tb testing.TB, v *auth.Directory, key []byte) *auth.ResumeTokens {
	tb.Helper()
	tokens, err := auth.NewResumeTokens(v, key)
	require.NoError(tb, err)
	return tokens
}

// ada is a session of an app with keys.
func ada() auth.Resumable {
	return auth.Resumable{Session: "k3v", Generation: 7, Identity: &auth.Identity{
		App: acme, User: "u-1", Name: "Ada <Lovelace>", Expires: noon.Add(time.Hour),
		Grants: []auth.Grant{
			{Room: "team-*", Can: auth.Permissions{Publish: true, Moderate: true}}, {Room: "lobby"},
			{Room: "hall", Can: auth.Permissions{SetCapacity: true}},
		},
		Policy: auth.Policy{Capacity: 4, MaxCapacity: 30},
	}}
}

func mustSeal(tb testing.TB, tokens *auth.ResumeTokens, session auth.Resumable) string {
	tb.Helper()
	token, err := tokens.Seal(session)
	require.NoError(tb, err)
	return token
}

func TestResumeToken(t *testing.T) {
	v := mustDirectory(t, auth.Options{Apps: testApps()})
	tokens := mustTokens(t, v, clusterKey)
	session := ada()
	token := mustSeal(t, tokens, session)
	require.NotEqual(t, token, mustSeal(t, tokens, session), "each has a nonce of its own")
	require.NotContains(t, token, "u-1")
	require.Less(t, len(token), 400)

	opened, err := mustTokens(t, v, clusterKey).Open(token) // another gateway
	require.NoError(t, err)
	require.Equal(t, &session, opened)

	anonymous, err := v.Anonymous(demo, "Bob")
	require.NoError(t, err)
	opened, err = tokens.Open(mustSeal(t, tokens, auth.Resumable{Session: "s", Identity: anonymous}))
	require.NoError(t, err)
	require.Equal(t, anonymous, opened.Identity, "who is nobody stays the same nobody")
}

// What a token says of the app's policy would stay for as long as the client comes back.
func TestResumeTokenHasThePresentPolicy(t *testing.T) {
	apps := testApps()
	tokens := mustTokens(t, mustDirectory(t, auth.Options{Apps: apps}), clusterKey)
	token := mustSeal(t, tokens, ada())
	apps[0].Policy = auth.Policy{Capacity: 2, MaxCapacity: 3, Grace: auth.Duration(time.Minute)}
	opened, err := mustTokens(t, mustDirectory(t, auth.Options{Apps: apps}), clusterKey).Open(token)
	require.NoError(t, err)
	require.Equal(t, apps[0].Policy, opened.Identity.Policy)
}

func TestResumeTokenIsRefused(t *testing.T) {
	apps := testApps()
	tokens := mustTokens(t, mustDirectory(t, auth.Options{Apps: apps}), clusterKey)
	token := mustSeal(t, tokens, ada())
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	flipped := bytes.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	of := func(app string) string {
		session := ada()
		session.Identity.App = app
		return mustSeal(t, tokens, session)
	}
	later := mustTokens(t, mustDirectory(t, auth.Options{Apps: apps, Now: func() time.Time { return noon.Add(time.Hour) }}), clusterKey)
	for name, tc := range map[string]struct {
		tokens *auth.ResumeTokens // nil for those that made it
		token  string
		reason auth.Reason
	}{
		"Empty":          {nil, "", auth.ReasonSignature},
		"NotBase64":      {nil, "!" + token[1:], auth.ReasonMalformed},
		"Padded":         {nil, token + "=", auth.ReasonMalformed},
		"StandardBase64": {nil, base64.StdEncoding.EncodeToString(append(raw, 0xff, 0xff, 0xff)), auth.ReasonMalformed},
		"Truncated":      {nil, base64.RawURLEncoding.EncodeToString(raw[:len(raw)-1]), auth.ReasonSignature},
		"NonceAlone":     {nil, base64.RawURLEncoding.EncodeToString(raw[:12]), auth.ReasonSignature},
		"Longer":         {nil, base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw), 0)), auth.ReasonSignature},
		"Forged":         {nil, base64.RawURLEncoding.EncodeToString(flipped), auth.ReasonSignature},
		"JWT":            {nil, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", auth.ReasonMalformed},
		"TooLong":        {nil, strings.Repeat("A", 20001), auth.ReasonTooLarge},
		"OtherCluster":   {mustTokens(t, mustDirectory(t, auth.Options{Apps: apps}), []byte("another cluster's key")), token, auth.ReasonSignature},
		"Expired":        {later, token, auth.ReasonExpired},
		"AppGone":        {nil, of("gone"), auth.ReasonUnknownApp},
		"AppOff":         {nil, of(closed), auth.ReasonAppDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			opener := tc.tokens
			if opener == nil {
				opener = tokens
			}
			session, err := opener.Open(tc.token)
			require.Nil(t, session)
			var refused *auth.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tc.reason, refused.Reason)
			require.NotContains(t, err.Error(), "u-1")
		})
	}
}

// A token that a gateway gives is one that it takes, however much it has to say.
func TestResumeTokenOfTheMostGrants(t *testing.T) {
	tokens := mustTokens(t, mustDirectory(t, auth.Options{Apps: testApps(), MaxTokenBytes: 1024}), clusterKey)
	session := ada()
	session.Session = strings.Repeat("s", 64)
	session.Identity.User, session.Identity.Name = strings.Repeat("<", 128), strings.Repeat("<", 128)
	session.Identity.Grants = nil
	for range auth.MaxGrants {
		session.Identity.Grants = append(session.Identity.Grants, auth.Grant{
			Room: strings.Repeat("r", auth.MaxRoomName) + "*", Can: auth.Permissions{Publish: true, Moderate: true, SetCapacity: true}})
	}
	opened, err := tokens.Open(mustSeal(t, tokens, session))
	require.NoError(t, err)
	require.Equal(t, &session, opened)
}

func TestNewResumeTokensRefuses(t *testing.T) {
	v := mustDirectory(t, auth.Options{Apps: testApps()})
	for name, make := range map[string]func() (*auth.ResumeTokens, error){
		"NoVerifier": func() (*auth.ResumeTokens, error) { return auth.NewResumeTokens(nil, clusterKey) },
		"ShortKey":   func() (*auth.ResumeTokens, error) { return auth.NewResumeTokens(v, clusterKey[1:]) },
	} {
		_, err := make()
		require.Error(t, err, name)
	}
}

// FuzzOpenResumeToken throws tokens at Open, and what could be in one: an attacker's, and what is cut out of good ones. It
// must not panic, and takes no token that Seal did not give.
func FuzzOpenResumeToken(f *testing.F) {
	tokens := mustTokens(f, mustDirectory(f, auth.Options{Apps: testApps()}), clusterKey)
	good := mustSeal(f, tokens, ada())
	raw, err := base64.RawURLEncoding.DecodeString(good)
	require.NoError(f, err)
	for _, token := range []string{good, good[:len(good)-2], "", "A", "AAAA", strings.Repeat("A", 64), good + "\n", "=" + good} {
		f.Add(token, 0, byte(0))
	}
	f.Add(good, len(raw)-1, byte(1))
	f.Add(good, 3, byte(128))
	f.Fuzz(func(t *testing.T, token string, at int, flip byte) {
		session, err := tokens.Open(token)
		if err == nil {
			require.Equal(t, ada(), *session, "made by nobody: all that were sealed, also in other processes, are hers")
		} else {
			require.Nil(t, session)
			require.ErrorAs(t, err, new(*auth.Error))
		}
		if at >= 0 && at < len(raw) && flip != 0 {
			forged := bytes.Clone(raw)
			forged[at] ^= flip
			_, err = tokens.Open(base64.RawURLEncoding.EncodeToString(forged))
			require.Error(t, err)
		}
	})
}
