package turncred_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// The password was computed with openssl: printf %s NAME | openssl dgst -sha1 -hmac SECRET -binary | base64.
func TestPassword(t *testing.T) {
	require.Equal(t, "jy8hTxmOO7UtEKXqSkSlvakPVYA=", turncred.Password("north", "1433895918:ninefingers"))
}

func TestNew(t *testing.T) {
	const secret = "a secret for this test"
	expires := time.Date(2030, 1, 2, 3, 4, 5, 600, time.UTC)
	made := turncred.New(secret, "acme", "ann@acme.example", expires)
	require.True(t, made.Expires.Equal(expires.Truncate(time.Second)))
	require.Equal(t, turncred.Password(secret, made.Username), made.Password)
	require.NotContains(t, made.Username, "ann", "user names travel in the clear")
	require.LessOrEqual(t, len(made.Username), turncred.MaxUsername)

	name, err := turncred.Parse(made.Username)
	require.NoError(t, err)
	require.True(t, name.Expires.Equal(made.Expires))
	require.Equal(t, "acme", name.App)
	require.Equal(t, turncred.Pseudonym(secret, "acme", "ann@acme.example"), name.User)
	require.Equal(t, made.Username, name.String())

	later := turncred.New(secret, "acme", "ann@acme.example", expires.Add(time.Hour))
	other, err := turncred.Parse(later.Username)
	require.NoError(t, err)
	require.Equal(t, name.User, other.User, "quotas go by it")
	for _, tc := range []turncred.Credentials{
		turncred.New(secret, "acme", "ben", expires), turncred.New(secret, "umbra", "ann@acme.example", expires),
		turncred.New("another secret, of theirs", "acme", "ann@acme.example", expires),
	} {
		other, err := turncred.Parse(tc.Username)
		require.NoError(t, err)
		require.NotEqual(t, name.User, other.User)
	}
}

func TestParse(t *testing.T) {
	at := time.Unix(1735689600, 0)
	for _, tc := range []struct {
		username string
		want     turncred.Name
	}{
		{"1735689600:acme/AbC", turncred.Name{Expires: at, App: "acme", User: "AbC"}},
		{"1735689600:ann", turncred.Name{Expires: at, User: "ann"}},
		{"1735689600:", turncred.Name{Expires: at}},
		{"1735689600", turncred.Name{Expires: at}},
		{"ann:1735689600", turncred.Name{Expires: at, User: "ann"}},
		{"1735689600:a:b", turncred.Name{Expires: at, User: "a:b"}},
		{"1735689600:Acme/x", turncred.Name{Expires: at, User: "Acme/x"}},
		{"1735689600:acme/", turncred.Name{Expires: at, User: "acme/"}},
		{"1:2", turncred.Name{Expires: time.Unix(1, 0), User: "2"}},
	} {
		got, err := turncred.Parse(tc.username)
		require.NoError(t, err, tc.username)
		require.Equal(t, tc.want, got, tc.username)
	}
	for _, username := range []string{
		"", ":", "ann", "ann:ben", "-1:ann", "+1:ann", "1e9:ann", " 1735689600:ann", "1735689600 :ann", "0x10:ann", "1735689600000000:ann",
		"99999999999999999999:ann", "１２３:ann", "1735689600:" + strings.Repeat("a", 600),
	} {
		_, err := turncred.Parse(username)
		require.ErrorIs(t, err, turncred.ErrName, username)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"1735689600:acme/AbC", "ann:1735689600", "1735689600", ":", "1:/", "0:a/b/c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, username string) {
		name, err := turncred.Parse(username)
		if err != nil {
			require.ErrorIs(t, err, turncred.ErrName)
			return
		}
		again, err := turncred.Parse(name.String())
		require.NoError(t, err)
		require.Equal(t, name, again)
	})
}
