package httpapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestOwnKey(t *testing.T) {
	for name, pages := range map[string]bool{"pages look": false, "pages change": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *httpapi.Options) { o.Pages = pages })
			for _, tc := range []struct {
				key, id, can string
				apps         []any
				writes       bool
			}{
				{operatorKey, "operator:root", "admin", []any{}, true},
				{readerKey, "operator:watcher", "read", []any{}, false},
				{acmeKey, "acme/main", "admin", []any{"acme"}, true},
				{acmeReader, "acme/reader", "read", []any{"acme"}, false},
			} {
				var own map[string]any
				s.ask(t, tc.key, "GET", "/v1/key", "").ok(200, &own)
				delete(own, "$schema")
				require.Equal(t, map[string]any{
					"id": tc.id, "can": tc.can, "all": len(tc.apps) == 0, "apps": tc.apps, "version": "v0.0.0-test", "pages": pages && tc.writes,
				}, own)
			}
			r := s.ask(t, "sbk.acme.wrong", "GET", "/v1/key", "")
			r.problem(401, wire.CodeUnauthorized)
			s.ask(t, "", "GET", "/v1/key", "").problem(401, wire.CodeUnauthorized)
		})
	}
}

// The gateway's own pages change nothing unless they are allowed to, whatever their key may do: browsers say where a request comes from, those
// that a page has come to without TLS by Origin alone. Backends say nothing, and are not concerned.
func TestPagesMayOnlyLook(t *testing.T) {
	s := start(t, nil)
	changing := start(t, func(o *httpapi.Options) { o.Pages = true })
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "same-origin"},
		{"Sec-Fetch-Site", "same-origin", "Origin", s.URL},
		{"Origin", s.URL},
	} {
		p := s.ask(t, operatorKey, "POST", rooms, `{"room":"a"}`, headers...).problem(403, wire.CodeForbidden)
		require.Contains(t, p.Detail, "api.console.writes")
		s.ask(t, operatorKey, "DELETE", rooms+"/a", "", headers...).problem(403, wire.CodeForbidden)
		s.ask(t, operatorKey, "GET", rooms, "", headers...).ok(200, nil)
	}
	s.ask(t, operatorKey, "GET", rooms+"/a", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, operatorKey, "POST", rooms, `{"room":"a"}`).ok(201, nil)
	require.Len(t, s.log.lines(t, "audit"), 7, "what is refused, too")

	changing.ask(t, operatorKey, "POST", rooms, `{"room":"a"}`, "Sec-Fetch-Site", "same-origin").ok(201, nil)
	changing.ask(t, operatorKey, "DELETE", rooms+"/a", "", "Origin", changing.URL).ok(200, nil)
	for _, elsewhere := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://elsewhere.example"}} {
		changing.ask(t, operatorKey, "POST", rooms, `{"room":"a"}`, elsewhere...).problem(403, wire.CodeForbidden)
	}
}
