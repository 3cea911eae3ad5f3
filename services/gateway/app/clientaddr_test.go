package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientAddressBehindProxies(t *testing.T) {
	t.Parallel()
	trusted, err := newProxies([]string{"10.0.0.0/8", "fc00::/7", "127.0.0.1/32"})
	require.NoError(t, err)
	for _, tc := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "203.0.113.7:4000", nil, "203.0.113.7:4000"},
		{"a client that makes one up", "203.0.113.7:4000", []string{"198.51.100.1"}, "203.0.113.7:4000"},
		{"one proxy", "10.1.2.3:80", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"one proxy, which adds the port", "10.1.2.3:80", []string{"203.0.113.7:4711"}, "203.0.113.7:0"},
		{"two proxies", "10.1.2.3:80", []string{"203.0.113.7, 10.9.9.9"}, "203.0.113.7:0"},
		{"two headers", "10.1.2.3:80", []string{"203.0.113.7", "10.9.9.9"}, "203.0.113.7:0"},
		{"what the client has made up stands before", "10.1.2.3:80", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7:0"},
		{"garbage from the client", "10.1.2.3:80", []string{"<script>, 203.0.113.7, 10.9.9.9"}, "203.0.113.7:0"},
		{"garbage alone", "10.1.2.3:80", []string{"unknown"}, "10.1.2.3:80"},
		{"a client in our own network", "10.1.2.3:80", []string{"10.7.7.7"}, "10.7.7.7:0"},
		{"IPv6", "[fd00::1]:80", []string{"2001:db8::5"}, "[2001:db8::5]:0"},
		{"IPv6 with port", "[fd00::1]:80", []string{"[2001:db8::5]:99"}, "[2001:db8::5]:0"},
		{"IPv4 as IPv6", "[::ffff:127.0.0.1]:80", []string{"::ffff:203.0.113.7"}, "203.0.113.7:0"},
		{"a socket without address", "@", []string{"203.0.113.7"}, "@"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tc.remote
			for _, value := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", value)
			}
			var got string
			trusted.resolve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).
				ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, tc.want, got)
		})
	}
	_, err = newProxies([]string{"10.0.0.0"})
	require.Error(t, err)
}
