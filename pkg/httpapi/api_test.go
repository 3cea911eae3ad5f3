package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const rooms = "/v1/apps/acme/rooms"

// Everything that is wrong with a request before an operation sees it is a problem by RFC 9457, whoever finds it.
func TestProblems(t *testing.T) {
	s := start(t, func(o *httpapi.Options) { o.BodyBytes = 1024 })
	for _, tc := range []struct {
		name                    string
		key, method, path, body string
		headers                 []string
		status                  int
		code                    wire.Code
	}{
		{"no such path", operatorKey, "GET", "/v1/nothing", "", nil, 404, httpapi.CodeNotFound},
		{"not below v1", operatorKey, "GET", "/", "", nil, 404, httpapi.CodeNotFound},
		{"a path that the library would redirect", operatorKey, "GET", "/v1//apps", "", nil, 404, httpapi.CodeNotFound},
		{"a way up", operatorKey, "GET", "/v1/apps/../nodes", "", nil, 404, httpapi.CodeNotFound},
		{"a slash too many", operatorKey, "GET", "/v1/apps/", "", nil, 404, httpapi.CodeNotFound},
		{"another method", operatorKey, "PUT", rooms, "", nil, 405, httpapi.CodeMethodNotAllowed},
		{"no method of HTTP", operatorKey, "BREW", rooms, "", nil, 405, httpapi.CodeMethodNotAllowed},
		{"no key", "", "GET", rooms, "", nil, 401, wire.CodeUnauthorized},
		{"a wrong key", "sbk.acme.wrong", "GET", rooms, "", nil, 401, wire.CodeUnauthorized},
		{"a key of no app", "sbk.nobody.wrong", "GET", rooms, "", nil, 401, wire.CodeUnauthorized},
		{"a key's hash", auth.HashAPIKey(operatorKey), "GET", rooms, "", nil, 401, wire.CodeUnauthorized},
		{"a long key", strings.Repeat("k", 4000), "GET", rooms, "", nil, 401, wire.CodeUnauthorized},
		{"another scheme", "", "GET", rooms, "", []string{"Authorization", "Basic " + operatorKey}, 401, wire.CodeUnauthorized},
		{"a key that may look alone", readerKey, "POST", rooms, `{"room":"a"}`, nil, 403, wire.CodeForbidden},
		{"an app's key that may look alone", acmeReader, "DELETE", rooms + "/a", "", nil, 403, wire.CodeForbidden},
		{"an app's key where the operator's is needed", acmeKey, "GET", "/v1/nodes", "", nil, 403, wire.CodeForbidden},
		{"a page of another site", operatorKey, "POST", rooms, `{"room":"a"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, wire.CodeForbidden},
		{"a form", operatorKey, "POST", rooms, "room=a", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, httpapi.CodeUnsupportedMediaType},
		{"a patch of another kind", operatorKey, "PATCH", rooms + "/a", "{}", []string{"Content-Type", "application/merge-patch+json"}, 415, httpapi.CodeUnsupportedMediaType},
		{"a large body", operatorKey, "POST", rooms, `{"room":"` + strings.Repeat("a", 1024) + `"}`, nil, 413, wire.CodeTooLarge},
		{"no body", operatorKey, "POST", rooms, "", nil, 400, wire.CodeBadRequest},
		{"a body where none is taken", operatorKey, "GET", rooms, "{}", nil, 400, wire.CodeBadRequest},
		{"no JSON", operatorKey, "POST", rooms, `{"room":`, nil, 400, wire.CodeBadRequest},
		{"two values", operatorKey, "POST", rooms, `{"room":"a"}{}`, nil, 400, wire.CodeBadRequest},
		{"a name twice", operatorKey, "POST", rooms, `{"room":"a","room":"b"}`, nil, 400, wire.CodeBadRequest},
		{"no UTF-8", operatorKey, "POST", rooms, "{\"room\":\"\xff\"}", nil, 400, wire.CodeBadRequest},
		{"half a character", operatorKey, "POST", rooms, `{"room":"a","properties":{"x":"\ud800"}}`, nil, 400, wire.CodeBadRequest},
		{"a number that is none", operatorKey, "POST", rooms, `{"room":"a","capacity":1e999}`, nil, 400, wire.CodeBadRequest},
		{"deep", operatorKey, "POST", rooms, `{"room":"a","properties":{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, nil, 400, wire.CodeBadRequest},
		{"an unknown field", operatorKey, "POST", rooms, `{"room":"a","colour":1}`, nil, 422, wire.CodeBadRequest},
		{"a field in other letters", operatorKey, "POST", rooms, `{"room":"a","Capacity":1}`, nil, 422, wire.CodeBadRequest},
		{"of another type", operatorKey, "POST", rooms, `{"room":7}`, nil, 422, wire.CodeBadRequest},
		{"null", operatorKey, "POST", rooms, `null`, nil, 422, wire.CodeBadRequest},
		{"a list", operatorKey, "POST", rooms, `[]`, nil, 422, wire.CodeBadRequest},
		{"a fraction of a seat", operatorKey, "POST", rooms, `{"room":"a","capacity":1.5}`, nil, 422, wire.CodeBadRequest},
		{"a name that no room has", operatorKey, "POST", rooms, `{"room":"a/b"}`, nil, 422, wire.CodeBadRequest},
		{"a property's name that is none", operatorKey, "POST", rooms, `{"room":"a","properties":{"a b":1}}`, nil, 400, wire.CodeBadRequest},
		{"too many seats", operatorKey, "POST", rooms, `{"room":"a","capacity":21}`, nil, 422, wire.CodeLimit},
		{"an unknown question", operatorKey, "GET", rooms + "?colour=1", "", nil, 422, wire.CodeBadRequest},
		{"a limit that is none", operatorKey, "GET", rooms + "?limit=many", "", nil, 422, wire.CodeBadRequest},
		{"a cursor of another list", operatorKey, "GET", rooms + "?cursor=x", "", nil, 400, wire.CodeBadRequest},
		{"no such app", operatorKey, "GET", "/v1/apps/nobody/rooms", "", nil, 404, httpapi.CodeNotFound},
		{"no such room", operatorKey, "GET", rooms + "/nowhere", "", nil, 404, httpapi.CodeNotFound},
		{"a room of an escaped name", operatorKey, "GET", rooms + "/a%2Fb", "", nil, 422, wire.CodeBadRequest},
		{"a long Idempotency-Key", operatorKey, "POST", rooms, `{"room":"a"}`, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, wire.CodeBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := s.ask(t, tc.key, tc.method, tc.path, tc.body, tc.headers...)
			p := r.problem(tc.status, tc.code)
			require.NotContains(t, string(r.body), "0123456789", "no key is repeated")
			if tc.status == http.StatusMethodNotAllowed {
				require.Equal(t, "GET, HEAD, POST", r.header.Get("Allow"))
			}
			if tc.status == http.StatusUnauthorized {
				require.Equal(t, "Bearer", r.header.Get("WWW-Authenticate"))
			}
			require.Equal(t, p.Code == "internal", p.Status >= 500)
		})
	}
	require.Empty(t, s.log.lines(t, "a request to the server API failed"))
}

// A key has a rate, and others have theirs.
func TestRate(t *testing.T) {
	s := start(t, func(o *httpapi.Options) { o.RequestsPerSecond, o.RequestsBurst = 1, 2 })
	s.ask(t, acmeKey, "GET", rooms, "").ok(200, nil)
	s.ask(t, acmeKey, "GET", rooms, "").ok(200, nil)
	r := s.ask(t, acmeKey, "GET", rooms, "")
	p := r.problem(429, wire.CodeRateLimited)
	require.True(t, p.Retryable)
	require.Positive(t, p.RetryAfter)
	require.LessOrEqual(t, time.Duration(p.RetryAfter)*time.Millisecond, time.Second)
	require.Equal(t, "1", r.header.Get("Retry-After"))
	s.ask(t, acmeReader, "GET", rooms, "").ok(200, nil)
	require.NoError(t, testutil.GatherAndCompare(s.registry, strings.NewReader(`
# HELP signalbox_api_refused_total Requests to the server API that were refused unread: key (no valid one), rate (api.requests_per_second), listeners (api.listeners), viewers (api.console.viewers).
# TYPE signalbox_api_refused_total counter
signalbox_api_refused_total{reason="key"} 0
signalbox_api_refused_total{reason="listeners"} 0
signalbox_api_refused_total{reason="rate"} 1
signalbox_api_refused_total{reason="viewers"} 0
`), "signalbox_api_refused_total"))
}

// Each change that somebody with a key asks for is a line in the log, also one that is refused; questions are none, and
// nothing of what was sent is in it but names.
func TestAudit(t *testing.T) {
	s := start(t, nil)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"a","properties":{"x":"hush"}}`, "Idempotency-Key", "first").ok(201, nil)
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, nil)
	s.ask(t, acmeReader, "DELETE", rooms+"/a", "").problem(403, wire.CodeForbidden)
	s.ask(t, umbraKey, "DELETE", rooms+"/a", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, "", "DELETE", rooms+"/a", "").problem(401, wire.CodeUnauthorized)
	s.ask(t, operatorKey, "DELETE", rooms+"/a", "").ok(200, nil)
	lines := s.log.lines(t, "audit")
	require.Len(t, lines, 4)
	want := []map[string]any{
		{"actor": "acme/main", "operation": "create-room", "status": 201., "app": "acme", "idempotency_key": "first"},
		{"actor": "acme/reader", "operation": "close-room", "status": 403., "app": "acme", "room": "a"},
		{"actor": "umbra/main", "operation": "close-room", "status": 404., "app": "acme", "room": "a"},
		{"actor": "operator:root", "operation": "close-room", "status": 200., "app": "acme", "room": "a"},
	}
	for i, line := range lines {
		for _, name := range []string{"time", "level", "msg", "remote"} {
			require.NotEmpty(t, line[name])
			delete(line, name)
		}
		require.Equal(t, want[i], line)
	}
	require.NotContains(t, s.log.String(), "hush")
}

// The description and the page need no key, and the page nothing from elsewhere.
func TestDescription(t *testing.T) {
	s := start(t, nil)
	var document struct {
		OpenAPI string
		Paths   map[string]any
	}
	s.ask(t, "", "GET", "/v1/openapi.json", "").ok(200, &document)
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.Contains(t, document.Paths, "/v1/apps/{app}/rooms/{room}")
	require.Contains(t, string(s.ask(t, "", "GET", "/v1/openapi.yaml", "").ok(200, nil).body), "openapi: 3.1.0")
	page := s.ask(t, "", "GET", "/v1/docs", "").ok(200, nil)
	require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	for _, elsewhere := range []string{"http://", "https://", "<script", "src="} {
		require.NotContains(t, string(page.body), elsewhere)
	}
	for code := range map[wire.Code]bool{wire.CodeRoomFull: true, httpapi.CodeNotFound: true} {
		require.Contains(t, string(page.body), `id="problem-`+string(code)+`"`)
	}
	require.Contains(t, string(page.body), `id="create-room"`)
	require.Contains(t, string(page.body), `id="schema-Room"`)
}
