package wiredoc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-rtc/signalbox/internal/wiredoc"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// document is docs/asyncapi.yaml as a program reads it.
type document struct {
	t    *testing.T
	root map[string]any
	c    *jsonschema.Compiler
}

// loadDocument reads the document. When it is strict, a field that it does not name is against it.
func loadDocument(t *testing.T, strict bool) *document {
	t.Helper()
	text, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	var parsed any
	require.NoError(t, yaml.Unmarshal(text, &parsed))
	encoded, err := json.Marshal(parsed)
	require.NoError(t, err)
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	require.NoError(t, err)
	if strict {
		closeObjects(root)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) { // Go's regexp has no \u
		return regexp.Compile(regexp.MustCompile(`\\u([0-9A-F]{4})`).ReplaceAllString(pattern, `\x{$1}`))
	})
	require.NoError(t, c.AddResource("asyncapi.json", root))
	return &document{t, root.(map[string]any), c}
}

// closeObjects forbids every object with properties to have others.
func closeObjects(value any) {
	switch v := value.(type) {
	case map[string]any:
		if _, has := v["properties"]; has && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, within := range v {
			closeObjects(within)
		}
	case []any:
		for _, within := range v {
			closeObjects(within)
		}
	}
}

func (d *document) schema(message string) *jsonschema.Schema {
	d.t.Helper()
	schema, err := d.c.Compile("asyncapi.json#/components/messages/" + message + "/payload")
	require.NoError(d.t, err)
	return schema
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err, "%s", text)
	return value
}

// eachSample calls do for every golden file, with the name of its message in the document.
func eachSample(t *testing.T, do func(t *testing.T, message string, sample wiredoc.Sample)) {
	p := read(t)
	count := 0
	each := func(message string, samples []wiredoc.Sample) {
		for _, sample := range samples {
			count++
			t.Run(sample.Name, func(t *testing.T) { do(t, message, sample) })
		}
	}
	for _, m := range p.Requests {
		each("request-"+m.Type, m.Samples)
		each("reply-"+m.Type, m.ReplySamples)
	}
	for _, m := range p.Events {
		each("event-"+m.Type, m.Samples)
	}
	each("error", p.RefusalSamples)
	files, err := filepath.Glob(filepath.Join(wireFolder, "testdata", "*.json"))
	require.NoError(t, err)
	require.Equal(t, len(files), count, "golden files that belong to no message")
}

func TestGoldenFilesAreAsTheDocumentSays(t *testing.T) {
	d := loadDocument(t, true)
	eachSample(t, func(t *testing.T, message string, sample wiredoc.Sample) {
		require.NoError(t, d.schema(message).Validate(parse(t, sample.Text)))
	})
}

// A field that the document names and no golden file has could be one that nobody sends.
func TestEveryFieldOfTheDocumentIsInAGoldenFile(t *testing.T) {
	p := read(t)
	seen := make(map[string]bool) // "message.field" and "Object.field"
	eachSample(t, func(t *testing.T, message string, sample wiredoc.Sample) {
		noteFields(seen, message, parse(t, sample.Text).(map[string]any))
	})
	for name, o := range p.Objects {
		for _, f := range o.Fields {
			require.True(t, seen["."+f.Key], "%s of %s is in no golden file", f.Key, name)
		}
	}
	for kind, messages := range map[string][]wiredoc.Message{"request": p.Requests, "event": p.Events} {
		for _, m := range messages {
			for _, f := range m.Body.Fields {
				if f.Of == "" && m.Body.Name != "Seated" && m.Body.Name != "Resync" { // snapshots: those of join are sampled
					require.True(t, seen[kind+"-"+m.Type+"."+f.Key], "%s of %s %s is in no golden file", f.Key, kind, m.Type)
				}
			}
		}
	}
}

func noteFields(seen map[string]bool, message string, object map[string]any) {
	for key, value := range object {
		seen[message+"."+key], seen["."+key] = true, true
		switch v := value.(type) {
		case map[string]any:
			noteFields(seen, message, v)
		case []any:
			for _, element := range v {
				if inner, ok := element.(map[string]any); ok {
					noteFields(seen, message, inner)
				}
			}
		}
	}
}

// The codec and the document give the same verdict on requests that are changed in one place: a field gone, or another value in it.
// Where a rule is about more than one field, the page has it in words, and the document lets the request pass.
func TestCodecAndDocumentAgree(t *testing.T) {
	d := loadDocument(t, false)
	rules := make(map[string]bool)
	for _, m := range read(t).Requests {
		for _, rule := range m.Body.Rules {
			rules[strings.ReplaceAll(rule, "`", "")] = true
		}
	}
	verdicts := 0
	eachSample(t, func(t *testing.T, message string, sample wiredoc.Sample) {
		if !strings.HasPrefix(message, "request-") {
			return
		}
		schema := d.schema(message)
		whole := parse(t, sample.Text).(map[string]any)
		for _, changed := range variants(whole) {
			if typ, has := changed.(map[string]any)["type"]; has && typ != whole["type"] {
				continue // another message
			}
			text, err := json.Marshal(changed)
			require.NoError(t, err)
			verdicts++
			_, refusal := wire.DecodeRequest(text, wire.Limits{})
			against := schema.Validate(parse(t, text))
			if refusal == nil {
				require.NoError(t, against, "the codec takes %s", text)
			} else if against == nil {
				var coded *wire.Error
				require.True(t, errors.As(refusal, &coded))
				require.True(t, rules[coded.Message], "the document lets pass what the codec refuses: %s: %v", text, refusal)
			}
		}
	})
	require.Greater(t, verdicts, 1000)
}

// variants are copies of a JSON value that differ from it in one place, at any depth.
func variants(value any) (all []any) {
	plain := []any{
		nil, true, json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("1.5"), json.Number("9007199254740992"),
		"", "a", "a b", "ü", []any{}, []any{"a"}, map[string]any{}, map[string]any{"a": true}, map[string]any{"a b": true},
	}
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			others := slices.Clone(plain)
			without := maps.Clone(v)
			delete(without, key)
			all = append(all, without)
			if key != "data" { // the application's
				others = append(others, variants(v[key])...)
			}
			for _, other := range others {
				changed := maps.Clone(v)
				changed[key] = other
				all = append(all, changed)
			}
		}
	case []any:
		for i := range v {
			for _, other := range append(variants(v[i]), plain...) {
				changed := slices.Clone(v)
				changed[i] = other
				all = append(all, changed)
			}
		}
	}
	return all
}

func TestDocumentRefusesWhatItShould(t *testing.T) {
	d := loadDocument(t, true)
	for _, tc := range []struct{ message, text, why string }{
		{"request-join", `{"id":1,"type":"join"}`, "room"},
		{"request-join", `{"id":1,"type":"leave","room":"r"}`, "type"},
		{"request-join", `{"id":0,"type":"join","room":"r"}`, "minimum"},
		{"request-join", `{"id":1,"type":"join","room":"a b"}`, "pattern"},
		{"request-join", `{"id":1,"type":"join","room":"r","spare":1}`, "spare"},
		{"request-room", `{"id":1,"type":"room","room":"r","version":1,"spotlight":{"interval":999,"order":["a"]}}`, "oneOf"},
		{"reply-join", `{"re":1,"ok":{"room":"r"}}`, "missing"},
		{"event-left-peer", `{"type":"left-peer","room":"r","peer":"p","reason":"left"}`, "seq"},
		{"error", `{"re":1,"error":{"code":"new","message":"","retryable":false}}`, "code"},
	} {
		t.Run(tc.message+" "+tc.text, func(t *testing.T) {
			err := d.schema(tc.message).Validate(parse(t, []byte(tc.text)))
			require.Error(t, err)
			require.Regexp(t, regexp.MustCompile("(?s)"+tc.why), err.Error())
		})
	}
}

// Every reference of the document leads to something that it has.
func TestReferencesOfTheDocument(t *testing.T) {
	d := loadDocument(t, false)
	count := 0
	var follow func(value any)
	follow = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			if target, ok := v["$ref"].(string); ok {
				count++
				at := any(d.root)
				for _, part := range strings.Split(strings.TrimPrefix(target, "#/"), "/") {
					at = at.(map[string]any)[part]
				}
				require.NotNil(t, at, target)
			}
			for _, within := range v {
				follow(within)
			}
		case []any:
			for _, within := range v {
				follow(within)
			}
		}
	}
	follow(d.root)
	require.Greater(t, count, 100)
}
