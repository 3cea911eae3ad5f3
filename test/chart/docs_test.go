package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
	relay "github.com/signalbox-rtc/signalbox/services/relay/app"
)

// entry is one value of values.yaml.
type entry struct {
	section string // set where one begins
	key     string
	kind    string
	value   string // as it is written
	doc     string
	leaf    bool
}

// entries reads values.yaml with its comments: what stands above a key explains it, and "@section" begins a section. Maps
// that the schema knows by their keys are read further; of those the keys stand in values of their own.
func entries(tb testing.TB) []entry {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	require.NoError(tb, err)
	var document yaml3.Node
	require.NoError(tb, yaml3.Unmarshal(text, &document))
	var all []entry
	var read func(node *yaml3.Node, prefix string)
	read = func(node *yaml3.Node, prefix string) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			e := entry{key: prefix + key.Value}
			e.section, e.doc = comment(key.HeadComment)
			// What is written on one line is one value.
			e.leaf = value.Kind != yaml3.MappingNode || value.Style&yaml3.FlowStyle != 0 || len(value.Content) == 0 ||
				e.doc != "" && !explained(value)
			e.kind, e.value = shown(tb, value)
			all = append(all, e)
			if !e.leaf {
				read(value, e.key+".")
			}
		}
	}
	read(document.Content[0], "")
	all[0].section, _ = comment(document.HeadComment) // what stands above the first key by a line
	return all
}

// explained reports whether a map's keys have comments of their own.
func explained(node *yaml3.Node) bool {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].HeadComment != "" || node.Content[i+1].Kind == yaml3.MappingNode && explained(node.Content[i+1]) {
			return true
		}
	}
	return false
}

// comment takes a section's name and an explanation out of a comment.
func comment(text string) (section, doc string) {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		if name, ok := strings.CutPrefix(line, "@section "); ok {
			section = name
		} else if line != "" {
			words = append(words, line)
		}
	}
	return section, strings.Join(words, " ")
}

// shown gives a value's type and its text, short.
func shown(tb testing.TB, node *yaml3.Node) (kind, text string) {
	tb.Helper()
	var value any
	require.NoError(tb, node.Decode(&value))
	switch value.(type) {
	case nil:
		return "number", ""
	case bool:
		kind = "true or false"
	case int:
		kind = "number"
	case string:
		kind = "text"
	case []any:
		kind = "list"
	default:
		kind = "map"
	}
	raw, err := json.Marshal(value)
	require.NoError(tb, err)
	text = strings.Trim(string(raw), `"`)
	if text == "" || text == "[]" || text == "{}" {
		return kind, ""
	}
	if len(text) > 90 {
		return kind, "see values.yaml"
	}
	return kind, "`" + text + "`"
}

func TestEveryValueIsExplained(t *testing.T) {
	for _, e := range entries(t) {
		if e.leaf {
			require.NotEmpty(t, e.doc, "no comment in values.yaml explains %s", e.key)
		}
	}
}

const (
	valuesBegin = "<!-- values: made of values.yaml by make chart-docs -->\n"
	valuesEnd   = "<!-- end of values -->\n"
)

func TestReadme(t *testing.T) {
	path := filepath.Join(chartDir, "README.md")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), valuesBegin)
	require.True(t, ok, "the README has no mark for its values")
	_, tail, ok := strings.Cut(rest, valuesEnd)
	require.True(t, ok, "the README has no mark after its values")

	var b strings.Builder
	for _, e := range entries(t) {
		if e.section != "" {
			fmt.Fprintf(&b, "\n### %s\n\n| value | type | default | meaning |\n|---|---|---|---|\n", e.section)
		}
		if e.leaf {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.key, e.kind, e.value, strings.ReplaceAll(e.doc, "|", `\|`))
		}
	}
	made(t, path, head+valuesBegin+b.String()+"\n"+valuesEnd+tail)
}

// made holds a file against what it is made of, or writes it.
func made(tb testing.TB, path, want string) {
	tb.Helper()
	if *update {
		require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(tb, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	got, err := os.ReadFile(path)
	require.NoError(tb, err)
	require.Equal(tb, want, string(got), "%s is out of date: make chart-docs manifests", path)
}

// ownedKeys of the gateway's configuration come from other values than config.
var ownedKeys = map[string]bool{
	"api.address": true, "api.tls.cert_file": true, "api.tls.key_file": true, "api.tls.client_ca_file": true,
	"node.name": true, "listen.public": true, "listen.operations": true, "listen.cluster": true, "tls.cert_file": true, "tls.key_file": true,
	"redis.mode": true, "redis.addresses": true, "redis.username": true, "redis.database": true, "redis.master_name": true,
	"redis.sentinel_username": true, "redis.tls.enabled": true, "redis.tls.ca_file": true, "redis.tls.cert_file": true,
	"redis.tls.key_file": true, "redis.tls.server_name": true,
	"shutdown.timeout": true, "shutdown.delay": true, "shutdown.window": true, "shutdown.grace": true,
}

// ownedRelayKeys are those of the relay's.
var ownedRelayKeys = map[string]bool{
	"listen.udp": true, "listen.tcp": true, "listen.tls": true, "listen.operations": true, "tls.cert_file": true, "tls.key_file": true,
	"relay.region": true, "relay.external_ip": true, "relay.stun_server": true, "relay.ports_from": true, "relay.ports_to": true, "relay.urls": true,
	"credentials.secrets_file": true, "announce.enabled": true, "shutdown.drain": true,
	"redis.mode": true, "redis.addresses": true, "redis.username": true, "redis.database": true, "redis.master_name": true,
	"redis.sentinel_username": true, "redis.tls.enabled": true, "redis.tls.ca_file": true, "redis.tls.cert_file": true,
	"redis.tls.key_file": true, "redis.tls.server_name": true,
}

// configSchema makes the schema of a section of a program's configuration: of what may stand in a ConfigMap. Secrets are
// left out, and so refused, as are the keys that other values set.
func configSchema(t reflect.Type, prefix string, owned map[string]bool) map[string]any {
	properties := make(map[string]any)
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("koanf")
		key := prefix + name
		if name == "" || owned[key] || f.Type == reflect.TypeFor[auth.Secret]() || f.Type == reflect.TypeFor[[]auth.Secret]() {
			continue
		}
		if name == ",squash" {
			maps.Copy(properties, configSchema(f.Type, prefix, owned)["properties"].(map[string]any))
			continue
		}
		s := typeSchema(f.Type, key, f.Tag, owned)
		if s == nil {
			continue
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		properties[name] = s
	}
	if len(properties) == 0 {
		return nil
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func typeSchema(t reflect.Type, key string, tag reflect.StructTag, owned map[string]bool) map[string]any {
	if t == reflect.TypeFor[time.Duration]() || t == reflect.TypeFor[auth.Duration]() {
		return map[string]any{"type": "string", "pattern": `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	}
	s := make(map[string]any)
	limit := func(name, low, high string) {
		for bound, text := range map[string]string{"min" + name: tag.Get(low), "max" + name: tag.Get(high)} {
			if n, err := strconv.Atoi(text); err == nil {
				s[bound] = n
			}
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		return configSchema(t, key+".", owned)
	case reflect.Slice:
		s["type"] = "array"
		limit("Items", "min", "max")
		s["items"] = typeSchema(t.Elem(), key+"[]", "", owned)
	case reflect.Bool:
		s["type"] = "boolean"
	case reflect.Int:
		s["type"] = "integer"
		limit("imum", "min", "max")
	default:
		s["type"] = "string"
		if words := tag.Get("oneof"); words != "" {
			s["enum"] = strings.Fields(words)
		}
	}
	return s
}

func TestSchema(t *testing.T) {
	text, err := os.ReadFile("schema.yaml")
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, yaml.UnmarshalStrict(text, &schema))
	schema["$comment"] = "Made of test/chart/schema.yaml, values.yaml and the configurations of gateway and relay by make chart-docs."
	properties := schema["properties"].(map[string]any)
	properties["config"] = configSchema(reflect.TypeFor[app.Config](), "", ownedKeys)
	properties["relay"].(map[string]any)["properties"].(map[string]any)["config"] = configSchema(reflect.TypeFor[relay.Config](), "", ownedRelayKeys)

	described := make(map[string]bool)
	for _, e := range entries(t) {
		described[e.key] = true
		describe(t, properties, strings.Split(e.key, "."), e)
	}
	for _, key := range schemaKeys(properties, "") {
		require.True(t, described[key], "values.yaml has no %s, which the schema knows", key)
	}
	raw, err := json.MarshalIndent(schema, "", "  ")
	require.NoError(t, err)
	made(t, filepath.Join(chartDir, "values.schema.json"), string(raw)+"\n")
}

// describe puts a value's comment into the schema. A reference with a description needs allOf: beside $ref others are
// passed over in draft 7.
func describe(tb testing.TB, properties map[string]any, path []string, e entry) {
	tb.Helper()
	s, ok := properties[path[0]].(map[string]any)
	require.True(tb, ok, "the schema does not know %s", e.key)
	if len(path) > 1 {
		inner, ok := s["properties"].(map[string]any)
		if !ok {
			return // inside of a definition, which others share
		}
		describe(tb, inner, path[1:], e)
		return
	}
	if e.doc == "" {
		return
	}
	if ref, ok := s["$ref"]; ok {
		delete(s, "$ref")
		s["allOf"] = []any{map[string]any{"$ref": ref}}
	}
	s["description"] = e.doc
}

// schemaKeys are the keys of the schema, down to where values.yaml has examples at most.
func schemaKeys(properties map[string]any, prefix string) (keys []string) {
	for name, s := range properties {
		key := prefix + name
		if key == "global" {
			continue
		}
		keys = append(keys, key)
		inner, ok := s.(map[string]any)["properties"].(map[string]any)
		if ok && !strings.HasSuffix("."+key, ".config") && !freeMaps[key] {
			keys = append(keys, schemaKeys(inner, key+".")...)
		}
	}
	return keys
}

// freeMaps may be given less than the schema knows, and values.yaml shows them as one value.
var freeMaps = map[string]bool{
	"affinity": true, "updateStrategy": true, "httpRoute.timeouts": true, "keda.fallback": true, "relay.affinity": true, "relay.updateStrategy": true,
}

// The quick start shows what whoever installs the chart as it says is told.
func TestQuickStartShowsTheNotes(t *testing.T) {
	const begin, end = "<!-- notes: written by make chart-docs -->\n```text\n", "```\n"
	notes := strings.TrimSpace(mustRender(t, release{values: variants(t)["single-redis"]})["NOTES.txt"]) + "\n"
	path := filepath.Join(root, "docs", "quick-start.md")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(raw), begin)
	require.True(t, found, "no place for the notes")
	shown, after, found := strings.Cut(rest, end)
	require.True(t, found)
	require.Contains(t, before, "install calls helm/signalbox --namespace signaling \\\n    -f helm/signalbox/ci/single-redis-values.yaml --dry-run=client")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+notes+end+after), 0o644)) //nolint:gosec // a page for everybody
		return
	}
	require.Equal(t, notes, shown, "run make chart-docs")
}
