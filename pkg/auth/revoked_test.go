package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Row 18: who was thrown out would come back with the token, or the resume token, that is still good by itself.
func TestRevocation(t *testing.T) {
	now := noon
	pair := pairs()[auth.HS256]
	d := mustDirectory(t, auth.Options{
		Apps: []auth.App{{ID: "x", Keys: []auth.Key{pair.public}, Anonymous: true}, {ID: "y", Keys: []auth.Key{pair.public}}},
		Now:  func() time.Time { return now },
	})
	tokens := mustTokens(t, d, clusterKey)
	token := func(app, user string, issued time.Time) string {
		signed, err := auth.Sign(pair.private, auth.Claims{App: app, User: user, IssuedAt: issued, Expires: noon.Add(time.Hour)})
		require.NoError(t, err)
		return signed
	}
	before := token("x", "ada", noon.Add(-time.Minute))
	id, err := d.Verify(before)
	require.NoError(t, err)
	resume := func(session string) string {
		sealed, err := tokens.Seal(auth.Resumable{Session: session, Identity: id})
		require.NoError(t, err)
		return sealed
	}
	first, second := resume("first"), resume("second")

	d.Revoke(auth.Revocation{App: "x", Session: "first", At: noon, Until: noon.Add(time.Hour)})
	_, err = tokens.Open(first)
	requireRefused(t, auth.ReasonRevoked, err)
	_, err = tokens.Open(second)
	require.NoError(t, err)
	_, err = d.Verify(before)
	require.NoError(t, err, "the user was not revoked")
	require.True(t, d.Revoked(id, "first"))
	require.False(t, d.Revoked(id, "second"))

	d.Revoke(auth.Revocation{App: "x", User: "ada", At: noon.Add(500 * time.Millisecond), Until: noon.Add(time.Hour)})
	d.Revoke(auth.Revocation{App: "x", User: "ada", At: noon.Add(-time.Hour), Until: noon.Add(time.Minute)}) // came late
	for name, tt := range map[string]struct {
		token   string
		refused bool
	}{
		"Before": {before, true}, "OfTheSameSecond": {token("x", "ada", noon), true}, "Unknown": {token("x", "ada", time.Time{}), true},
		"After": {token("x", "ada", noon.Add(time.Second)), false}, "OtherUser": {token("x", "bob", noon), false},
		"OtherApp": {token("y", "ada", noon), false},
	} {
		_, err := d.Verify(tt.token)
		if tt.refused {
			requireRefused(t, auth.ReasonRevoked, err)
			continue
		}
		require.NoError(t, err, name)
	}
	_, err = tokens.Open(second)
	requireRefused(t, auth.ReasonRevoked, err)

	// What a new token has begun can be resumed.
	id, err = d.Verify(token("x", "ada", noon.Add(time.Second)))
	require.NoError(t, err)
	_, err = tokens.Open(resume("third"))
	require.NoError(t, err)

	require.Len(t, d.Revocations(), 2)
	now = noon.Add(2 * time.Hour)
	require.Empty(t, d.Revocations())
	d.Revoke(auth.Revocation{App: "x", User: "eve", At: now, Until: now.Add(time.Hour)})
	require.Len(t, d.Revocations(), 1)
	lifetime, ok := d.Lifetime("x")
	require.True(t, ok)
	require.Equal(t, 24*time.Hour+time.Minute, lifetime)
	_, ok = d.Lifetime("none")
	require.False(t, ok)
}
