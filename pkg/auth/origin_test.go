package auth_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func TestOriginAllowed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		allowed []string
		origin  string
		want    bool
	}{
		{"same", []string{"https://example.com"}, "https://example.com", true},
		{"second entry", []string{"https://a.example", "https://b.example"}, "https://b.example", true},
		{"upper case asked", []string{"https://example.com"}, "HTTPS://Example.COM", true},
		{"upper case configured", []string{"https://Example.COM"}, "https://example.com", true},
		{"default port asked", []string{"https://example.com"}, "https://example.com:443", true},
		{"default port configured", []string{"https://example.com:443"}, "https://example.com", true},
		{"default port of http", []string{"http://localhost:80"}, "http://localhost", true},
		{"own port", []string{"http://localhost:5173"}, "http://localhost:5173", true},
		{"IPv4", []string{"http://127.0.0.1:8080"}, "http://127.0.0.1:8080", true},
		{"IPv6", []string{"http://[::1]:8080"}, "http://[0:0:0:0:0:0:0:1]:8080", true},
		{"punycode", []string{"https://xn--bcher-kva.example"}, "https://xn--bcher-kva.example", true},
		{"scheme of a web view", []string{"capacitor://localhost"}, "capacitor://localhost", true},
		{"any", []string{"*"}, "https://anything.example:8443", true},
		{"wildcard", []string{"https://*.example.com"}, "https://app.example.com", true},
		{"wildcard and port", []string{"https://*.example.com:8443"}, "https://app.example.com:8443", true},

		{"no list", nil, "https://example.com", false},
		{"missing", []string{"https://example.com"}, "", false},
		{"missing, any", []string{"*"}, "", false},
		{"null", []string{"https://example.com"}, "null", false},
		{"null, any", []string{"*"}, "null", false},
		{"NULL, any", []string{"*"}, "NULL", false},
		{"a star", []string{"*"}, "*", false},
		{"other host", []string{"https://example.com"}, "https://evil.example", false},
		{"other scheme", []string{"https://example.com"}, "http://example.com", false},
		{"other port", []string{"https://example.com"}, "https://example.com:8443", false},
		{"port of the other scheme", []string{"https://example.com"}, "https://example.com:80", false},
		{"suffix trick", []string{"https://example.com"}, "https://example.com.evil.example", false},
		{"prefix trick", []string{"https://example.com"}, "https://evilexample.com", false},
		{"subdomain", []string{"https://example.com"}, "https://a.example.com", false},
		{"user trick", []string{"https://example.com"}, "https://example.com@evil.example", false},
		{"user trick the other way", []string{"https://example.com"}, "https://evil.example@example.com", false},
		{"path", []string{"https://example.com"}, "https://example.com/", false},
		{"query", []string{"https://example.com"}, "https://example.com?x", false},
		{"fragment", []string{"https://example.com"}, "https://example.com#x", false},
		{"backslash", []string{"https://example.com"}, `https://example.com\.evil.example`, false},
		{"escape", []string{"https://example.com"}, "https://example%2ecom", false},
		{"dot at the end", []string{"https://example.com"}, "https://example.com.", false},
		{"space at the end", []string{"https://example.com"}, "https://example.com ", false},
		{"newline", []string{"https://example.com"}, "https://example.com\n", false},
		{"two origins", []string{"https://example.com"}, "https://example.com https://evil.example", false},
		{"empty port", []string{"https://example.com"}, "https://example.com:", false},
		{"port with a zero in front", []string{"https://example.com:8443"}, "https://example.com:08443", false},
		{"port too great", []string{"*"}, "https://example.com:65536", false},
		{"no slashes", []string{"*"}, "https:example.com", false},
		{"no scheme", []string{"*"}, "//example.com", false},
		{"no host", []string{"*"}, "https://", false},
		{"empty label", []string{"*"}, "https://a..b", false},
		{"too long", []string{"*"}, "https://" + strings.Repeat("a.", 300) + "example", false},
		{"a letter whose lower case is ASCII", []string{"https://kiosk.example"}, "https://\u212aiosk.example", false},
		{"IPv6 that does not end", []string{"*"}, "http://[::1", false},
		{"IPv6 with a zone", []string{"*"}, "http://[fe80::1%25eth0]", false},
		{"IPv4 in brackets", []string{"*"}, "http://[127.0.0.1]", false},
		{"wildcard, the domain itself", []string{"https://*.example.com"}, "https://example.com", false},
		{"wildcard, two labels", []string{"https://*.example.com"}, "https://a.b.example.com", false},
		{"wildcard, empty label", []string{"https://*.example.com"}, "https://.example.com", false},
		{"wildcard, other scheme", []string{"https://*.example.com"}, "http://a.example.com", false},
		{"wildcard, other port", []string{"https://*.example.com"}, "https://a.example.com:8443", false},
		{"wildcard, suffix trick", []string{"https://*.example.com"}, "https://a.example.com.evil.example", false},
		{"wildcard, prefix trick", []string{"https://*.example.com"}, "https://evilexample.com", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := mustNew(t, auth.Options{Apps: []auth.App{{ID: "x", Anonymous: true, Origins: tt.allowed}}})
			require.Equal(t, tt.want, v.OriginAllowed(tt.origin))
			require.Equal(t, tt.want, v.AppOriginAllowed("x", tt.origin))
		})
	}
}

// The handshake does not know the app yet, so it takes what any enabled app allows; the hello then decides.
func TestOriginAllowedPerApp(t *testing.T) {
	v := mustNew(t, auth.Options{Apps: []auth.App{
		{ID: "a", Anonymous: true, Origins: []string{"https://a.example"}},
		{ID: "b", Anonymous: true, Origins: []string{"https://*.b.example"}},
		{ID: "none", Anonymous: true},
		{ID: "off", Anonymous: true, Disabled: true, Origins: []string{"*"}},
	}})
	for _, tt := range []struct {
		origin string
		apps   []string
	}{
		{"https://a.example", []string{"a"}},
		{"https://x.b.example", []string{"b"}},
		{"https://c.example", nil},
	} {
		t.Run(tt.origin, func(t *testing.T) {
			require.Equal(t, len(tt.apps) > 0, v.OriginAllowed(tt.origin))
			for _, app := range []string{"a", "b", "none", "off", "nobody"} {
				want := len(tt.apps) == 1 && tt.apps[0] == app
				require.Equal(t, want, v.AppOriginAllowed(app, tt.origin), app)
			}
		})
	}
	list, ok := v.Origins("b")
	require.True(t, ok)
	require.Equal(t, []string{"https://*.b.example"}, list)
	for _, app := range []string{"off", "nobody"} {
		_, ok := v.Origins(app)
		require.False(t, ok, app)
	}
}

// An origin that is allowed must be the same origin for net/url, which reads it another way.
func FuzzOriginAllowed(f *testing.F) {
	for _, seed := range []string{
		"https://example.com", "https://EXAMPLE.com:443", "https://a.example.org", "http://[::1]:80", "null", "https://example.com@evil.example",
		"https://example.com\\@evil.example", "https://example.com#@evil.example", "https://example.com:443:443", "https://\u212aexample.com",
	} {
		f.Add(seed)
	}
	v := mustNew(f, auth.Options{Apps: []auth.App{{ID: "x", Anonymous: true, Origins: []string{"https://example.com", "https://*.example.org"}}}})
	f.Fuzz(func(t *testing.T, text string) {
		if !v.OriginAllowed(text) {
			return
		}
		u, err := url.Parse(text)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Nil(t, u.User)
		require.Empty(t, u.Path+u.RawQuery+u.Fragment)
		require.Contains(t, []string{"", "443"}, u.Port())
		host := strings.ToLower(u.Hostname())
		label, isUnder := strings.CutSuffix(host, ".example.org")
		require.True(t, host == "example.com" || isUnder && label != "" && !strings.Contains(label, "."), host)
	})
}

// Other lists of origins than an app's, such as the deployment's own, are judged by the same rule.
func TestValidateOrigin(t *testing.T) {
	for _, entry := range []string{"*", "https://example.com", "https://*.example.com", "http://localhost:8080"} {
		t.Run("OK "+entry, func(t *testing.T) { require.NoError(t, auth.ValidateOrigin(entry)) })
	}
	for _, entry := range []string{"", "null", "example.com", "https://example.com/", "wss://example.com", "https://*.com"} {
		t.Run("refused "+entry, func(t *testing.T) { require.Error(t, auth.ValidateOrigin(entry)) })
	}
}
