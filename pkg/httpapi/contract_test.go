package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// contract holds requests and answers against the served description, with a validator that is not the server's. OpenAPI 3.1
// schemas are JSON Schema 2020-12.
type contract struct {
	document map[string]any
	compiler *jsonschema.Compiler
	calls    []described
	compiled map[string]*jsonschema.Schema
}

// described is one operation of the description.
type described struct {
	method, path string
	operation    map[string]any
	pointer      string // to the operation
}

func newContract(tb testing.TB, s *server) *contract {
	tb.Helper()
	text := s.ask(tb, "", "GET", "/v1/openapi.json", "").ok(200, nil).body
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(tb, err)
	c := &contract{document: parsed.(map[string]any), compiler: jsonschema.NewCompiler(), compiled: make(map[string]*jsonschema.Schema)}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	require.NoError(tb, c.compiler.AddResource("openapi.json", parsed))
	paths := c.document["paths"].(map[string]any)
	ids := make(map[string]bool)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			op := item[method].(map[string]any)
			id := op["operationId"].(string)
			require.False(tb, ids[id], "operation %s is there twice", id)
			ids[id] = true
			c.calls = append(c.calls, described{
				strings.ToUpper(method), path, op, "#/paths/" + escapePointer(path) + "/" + method,
			})
		}
	}
	return c
}

// escapePointer is RFC 6901, in a fragment.
func escapePointer(text string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(text))
}

// schema compiles what a pointer leads to.
func (c *contract) schema(tb rapid.TB, pointer string) *jsonschema.Schema {
	if s := c.compiled[pointer]; s != nil {
		return s
	}
	s, err := c.compiler.Compile("openapi.json" + pointer)
	if err != nil {
		tb.Fatalf("%s: %v", pointer, err)
	}
	c.compiled[pointer] = s
	return s
}

// resolve follows a reference.
func (c *contract) resolve(schema map[string]any) map[string]any {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	at := any(c.document)
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return at.(map[string]any)
}

// bodySchema is the schema of an operation's body, nil if it takes none.
func (d *described) bodySchema() map[string]any {
	body, ok := d.operation["requestBody"].(map[string]any)
	if !ok {
		return nil
	}
	return body["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
}

// accepts tells whether the description allows a body. A null in place of what may be absent counts as absent, and no body is allowed where none
// is required (OpenAPI 3.1, section 4.8.13: not unless it says so).
func (c *contract) accepts(tb rapid.TB, d *described, body string) bool {
	if body == "" {
		return d.operation["requestBody"].(map[string]any)["required"] != true
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return false
	}
	schema := c.schema(tb, d.pointer+"/requestBody/content/application~1json/schema")
	return schema.Validate(parsed) == nil || schema.Validate(withoutNull(parsed)) == nil
}

func withoutNull(value any) any {
	switch value := value.(type) {
	case map[string]any:
		object := make(map[string]any)
		for key, member := range value {
			if member != nil {
				object[key] = withoutNull(member)
			}
		}
		return object
	case []any:
		list := make([]any, len(value))
		for i := range value {
			list[i] = withoutNull(value[i])
		}
		return list
	}
	return value
}

// answered requires that an answer is one that the description has for the operation.
func (c *contract) answered(tb rapid.TB, d *described, r *reply, what string) {
	fail := func(format string, args ...any) {
		tb.Fatalf("%s: %s\nstatus %d, %s", what, fmt.Sprintf(format, args...), r.status, r.body)
	}
	if r.status >= 500 {
		fail("a fault")
	}
	status := strconv.Itoa(r.status)
	response, ok := d.operation["responses"].(map[string]any)[status].(map[string]any)
	if !ok {
		fail("the description has no such status")
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if len(r.body) > 0 {
			fail("the description has no body")
		}
		return
	}
	kind := r.header.Get("Content-Type")
	if _, ok := content[kind]; !ok {
		fail("the description has no %s", kind)
	}
	if r.status >= 400 && kind != "application/problem+json" {
		fail("a refusal that is no problem")
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.body))
	if err != nil {
		fail("%v", err)
	}
	if err := c.schema(tb, d.pointer+"/responses/"+status+"/content/"+escapePointer(kind)+"/schema").Validate(parsed); err != nil {
		fail("%v", err)
	}
}

// draw makes a value that the schema allows.
func (c *contract) draw(t *rapid.T, schema map[string]any, name string) any {
	schema = c.resolve(schema)
	if enum, ok := schema["enum"].([]any); ok {
		return rapid.SampledFrom(enum).Draw(t, name)
	}
	bound := func(key string, otherwise int) int {
		number, ok := schema[key].(json.Number)
		if !ok {
			return otherwise
		}
		value, err := number.Int64()
		if err != nil {
			t.Fatalf("%s is %s", key, number)
		}
		return int(value)
	}
	kind, _ := schema["type"].(string)
	if list, ok := schema["type"].([]any); ok {
		kind = list[0].(string)
	}
	switch kind {
	case "object":
		object := make(map[string]any)
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(required, any(key)) || rapid.Bool().Draw(t, "with "+key) {
				object[key] = c.draw(t, properties[key].(map[string]any), key)
			}
		}
		if more, ok := schema["additionalProperties"].(map[string]any); ok {
			for _, key := range rapid.SliceOfN(rapid.StringMatching(`[A-Za-z0-9._~-]{1,8}`), 0, 3).Draw(t, "names") {
				object[key] = c.draw(t, more, key)
			}
		}
		return object
	case "array":
		items := make([]any, rapid.IntRange(bound("minItems", 0), min(bound("maxItems", 3), 3)).Draw(t, name+" items"))
		for i := range items {
			items[i] = c.draw(t, schema["items"].(map[string]any), name)
		}
		return items
	case "string":
		if schema["format"] == "date-time" {
			return time.Unix(int64(rapid.IntRange(0, 4e9).Draw(t, name)), 0).UTC().Format(time.RFC3339)
		}
		if pattern, ok := schema["pattern"].(string); ok {
			return rapid.StringMatching(pattern).Filter(func(s string) bool {
				return len(s) >= bound("minLength", 0) && len(s) <= bound("maxLength", 1<<20)
			}).Draw(t, name)
		}
		return rapid.StringMatching(`[a-z0-9-]{1,12}`).Filter(func(s string) bool { return len(s) <= bound("maxLength", 1<<20) }).Draw(t, name)
	case "integer", "number":
		return rapid.IntRange(bound("minimum", 0), min(bound("maximum", 1000), 1000)).Draw(t, name)
	case "boolean":
		return rapid.Bool().Draw(t, name)
	}
	return rapid.SampledFrom([]any{nil, true, 7, "text", []any{1, "x"}, map[string]any{"a": 1}}).Draw(t, name)
}

// spoil makes of a value one that most likely is not allowed.
func spoil(t *rapid.T, value any) any {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 || rapid.IntRange(0, 9).Draw(t, "whole") == 0 {
		return rapid.SampledFrom([]any{nil, []any{}, "text", 1.5, true, map[string]any{}}).Draw(t, "instead")
	}
	copied := maps.Clone(object)
	key := rapid.SampledFrom(slices.Sorted(maps.Keys(copied))).Draw(t, "which")
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		delete(copied, key)
	case 1:
		copied["unknown"] = 1
	case 2:
		copied[key] = spoil(t, copied[key])
	case 3:
		copied[key] = rapid.SampledFrom([]any{
			nil, -1, 0, 1e15, 1.5, json.RawMessage("1e400"), "", strings.Repeat("x", 300), "\x00", "\u202e", "a b", "../..", []any{nil}, map[string]any{"": nil},
		}).Draw(t, "value")
	}
	return copied
}

// parameter draws a value for a parameter: a name of something that is there, a good one, or a bad one.
func parameter(t *rapid.T, c *contract, schema map[string]any, name string, good bool) string {
	there := map[string][]string{"app": {"acme", "acme", "acme", "nova"}, "room": {"a", "b"}, "peer": {"p1", "p2"}, "user": {"ann"}, "key": {"k1"}, "node": {"node-of-the-tests"}}[name]
	how := rapid.IntRange(0, 5).Draw(t, name+" how")
	switch {
	case len(there) > 0 && (how > 1 || good && how > 0):
		return rapid.SampledFrom(there).Draw(t, name)
	case good || how == 1:
		return fmt.Sprint(c.draw(t, schema, name))
	}
	return rapid.SampledFrom([]string{
		"", " ", "%00", "..", "a/b", "{tag}", "a:b", "\r\n", "\u202e", "-1", "99999999999999999999", strings.Repeat("x", 500), "*", "\xff",
	}).Draw(t, name)
}

// request draws a request to an operation.
func (c *contract) request(t *rapid.T, s *server, d *described, good bool) (request *http.Request, body string) {
	path, query, header := d.path, url.Values{}, http.Header{}
	parameters, _ := d.operation["parameters"].([]any)
	for _, p := range parameters {
		p := p.(map[string]any)
		name, in := p["name"].(string), p["in"].(string)
		schema := p["schema"].(map[string]any)
		switch in {
		case "path":
			value := parameter(t, c, schema, name, good)
			path = strings.Replace(path, "{"+name+"}", url.PathEscape(value), 1)
		case "query":
			if name != "cursor" && rapid.Bool().Draw(t, "with "+name) {
				query.Set(name, parameter(t, c, schema, name, good))
			}
		case "header":
			switch {
			case name == "If-Match" && good:
				header.Set(name, "*")
			case !good && rapid.Bool().Draw(t, "with "+name):
				header.Set(name, rapid.StringMatching(`[ -~]{0,40}`).Draw(t, name))
			}
		}
	}
	if schema := d.bodySchema(); schema != nil {
		value := c.draw(t, schema, "body")
		if !good && rapid.IntRange(0, 4).Draw(t, "spoilt") > 0 {
			value = spoil(t, value)
		}
		text, err := json.Marshal(value)
		if err != nil { // 1e400 is no number of Go's
			text = []byte(`{"capacity":1e400}`)
		}
		body = string(text)
		if !good && rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
			body = body[:rapid.IntRange(0, len(body)).Draw(t, "at")]
		}
	}
	target, err := url.Parse(s.URL + path)
	if err != nil {
		t.Skip("no URL")
	}
	target.RawQuery = query.Encode()
	request = &http.Request{Method: d.method, URL: target, Header: header, Body: http.NoBody}
	if body != "" {
		request.Body, request.ContentLength = readCloser{strings.NewReader(body)}, int64(len(body))
		header.Set("Content-Type", "application/json")
	}
	header.Set("Authorization", "Bearer "+acmeKey)
	if rapid.Bool().Draw(t, "as the operator") {
		header.Set("Authorization", "Bearer "+operatorKey)
	}
	return request, body
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// Requests that the description allows are not told to be invalid, those that it does not allow are refused, and every answer is
// one that the description has.
func TestContract(t *testing.T) {
	s := start(t, nil)
	c := newContract(t, s)
	calls := slices.DeleteFunc(slices.Clone(c.calls), func(d described) bool { return strings.HasSuffix(d.path, "/events") })
	seen := make(map[string]bool)
	const requests = 4 // of one check, of which there are 100
	rapid.Check(t, func(rt *rapid.T) {
		for range requests {
			d := calls[rapid.IntRange(0, len(calls)-1).Draw(rt, "operation")]
			good := rapid.Bool().Draw(rt, "good")
			s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"nova"}`) // that can be changed
			for _, room := range []string{"a", "b"} {                  // so that there is something to act on
				s.ask(t, acmeKey, "DELETE", rooms+"/"+room, "")
				s.join(t, "acme", room, "p1", "ann")
				s.join(t, "acme", room, "p2", "ben")
			}
			request, body := c.request(rt, s, &d, good)
			r := do(t, s.Client(), request.WithContext(t.Context()))
			what := fmt.Sprintf("%s %s %s", request.Method, request.URL, body)
			c.answered(rt, &d, r, what)
			seen[fmt.Sprint(d.operation["operationId"], " ", r.status)] = true
			var p struct{ Code wire.Code }
			_ = json.Unmarshal(r.body, &p)
			if good && p.Code == wire.CodeBadRequest {
				rt.Fatalf("%s: allowed by the description, and refused: %s", what, r.body)
			}
			if r.status < 400 && d.bodySchema() != nil && !c.accepts(rt, &d, body) {
				rt.Fatalf("%s: not allowed by the description, and taken", what)
			}
		}
	})
	carriedOut := 0
	for _, d := range calls {
		id := d.operation["operationId"].(string)
		if slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(s string) bool { return strings.HasPrefix(s, id+" 2") }) {
			carriedOut++
		}
	}
	require.Greater(t, carriedOut, len(calls)/2, "hardly anything was carried out, so hardly anything was seen: %v", seen)
	require.Empty(t, s.log.lines(t, "a request to the server API failed"))
}

// Whatever is sent to whichever operation, it is answered, and a refusal is a problem.
func FuzzRequests(f *testing.F) {
	s := start(f, nil)
	c := newContract(f, s)
	calls := slices.DeleteFunc(slices.Clone(c.calls), func(d described) bool { return strings.HasSuffix(d.path, "/events") })
	for i := range calls {
		f.Add(i, "a", "limit=1&cursor=x", "If-Match", `"x.1.1"`, []byte(`{"room":"a","kind":"audio","data":1,"user":"u","version":1}`))
		f.Add(i, "%00/..;{}", "%zz&&limit=&limit=2", "Idempotency-Key", "\x7f", []byte("{\"a\":\"\xff\"}"))
		f.Add(i, strings.Repeat("x", 200), "limit=-1", "Content-Type", "text/plain; charset=\"", []byte("[[[["))
	}
	f.Fuzz(func(t *testing.T, index int, name, query, header, value string, body []byte) {
		d := calls[uint(index)%uint(len(calls))]
		path := pathParameter.ReplaceAllStringFunc(d.path, func(p string) string {
			if p == "{app}" && len(name)%2 == 0 {
				return "acme"
			}
			return url.PathEscape(name)
		})
		target, err := url.Parse(s.URL + path)
		if err != nil {
			t.Skip("no URL")
		}
		target.RawQuery = query
		request := &http.Request{
			Method: d.method, URL: target, Header: http.Header{"Authorization": {"Bearer " + operatorKey}, "Content-Type": {"application/json"}},
			Body: readCloser{strings.NewReader(string(body))}, ContentLength: int64(len(body)),
		}
		if len(body) == 0 {
			request.Body = http.NoBody
		}
		request.Header[http.CanonicalHeaderKey(header)] = []string{value}
		response, err := s.Client().Transport.RoundTrip(request.WithContext(t.Context()))
		if err != nil {
			t.Skip("not HTTP: ", err)
		}
		defer func() { _ = response.Body.Close() }()
		var text bytes.Buffer
		_, err = text.ReadFrom(response.Body)
		require.NoError(t, err)
		r := &reply{tb: t, status: response.StatusCode, header: response.Header, body: text.Bytes()}
		if r.status == http.StatusBadRequest && !strings.HasPrefix(r.header.Get("Content-Type"), "application/") {
			return // net/http itself: not even a request of HTTP
		}
		require.Less(t, r.status, 500, string(r.body))
		if r.status >= 400 {
			requireProblem(t, r)
		}
	})
}
