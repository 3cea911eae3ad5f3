package app

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// documentationFile is the reference that is made from the struct.
var documentationFile = filepath.Join("..", "..", "..", "docs", "configuration.md")

const documentationHead = `<!-- Generated from services/gateway/app/config.go: go generate ./services/gateway/app -->

# Configuration of the gateway

Every key has one name. It can be set in four places; the last one that has it wins:

1. its default;
2. a YAML file, named by ` + "`--config FILE`" + ` or ` + "`SIGNALBOX_CONFIG`" + `, or several with commas between, in their order: so secrets can
   have a file of their own;
3. the environment: ` + "`redis.dial_timeout`" + ` is ` + "`SIGNALBOX_REDIS_DIAL_TIMEOUT`" + `;
4. flags: ` + "`--redis.dial_timeout=1s`" + ` or ` + "`--redis.dial_timeout 1s`" + `; for what is true or false the flag alone is enough.

- A duration is a number with its unit: ` + "`500ms`, `1.5s`, `2m`" + `. Sizes are whole numbers of bytes.
- In a variable or flag, a list is separated by commas. Lists of sections (` + "`apps`, `ice_servers`, `api.keys`" + `) go into the file alone.
- An empty variable, and a key of the file with nothing behind it, count as not set.
- Unknown keys, variables that start with ` + "`SIGNALBOX_`" + ` and flags are errors that name the nearest known one; so are
  values of the wrong type or out of range. All errors are told at once, with file and line. The variables that
  Kubernetes makes for Services (` + "`SIGNALBOX_SERVICE_HOST`" + ` and the like) are passed over.
- Give secrets by file or variable: other users of a machine can read the flags of its processes. Secrets are never
  printed or logged.
- ` + "`--print-config`" + ` prints the configuration in effect, with the source of each value, and ends. ` + "`--help`" + ` lists all keys.

## An example

` + "```yaml" + `
listen:
  operations: ":9090"
redis:
  mode: sentinel
  addresses: [sentinel-0:26379, sentinel-1:26379, sentinel-2:26379]
  master_name: signalbox
  # the password comes from SIGNALBOX_REDIS_PASSWORD
apps:
  - id: acme
    keys:
      - id: "2030-01"
        algorithm: HS256
        secret: write-32-or-more-random-bytes-here
    origins: ["https://app.acme.example"]
    policy:
      capacity: 12
      max_capacity: 100
ice_servers:
  - urls: ["stun:stun.acme.example:3478"]
` + "```" + `
`

func TestConfigurationDocs(t *testing.T) {
	got := documentation(t)
	if *update {
		require.NoError(t, os.WriteFile(documentationFile, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(documentationFile)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "docs/configuration.md is out of date: go generate ./services/gateway/app")
}

func TestConfigurationDocsExample(t *testing.T) {
	_, example, _ := strings.Cut(documentationHead, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	path := filepath.Join(t.TempDir(), "example.yaml")
	require.NoError(t, os.WriteFile(path, []byte(example), 0o600))
	c, err := Load([]string{"--config", path}, nil, nil)
	require.NoError(t, err)
	require.Empty(t, c.Warnings())
	require.Equal(t, "acme", c.Apps[0].ID)
}

// documentation makes the reference.
func documentation(t *testing.T) string {
	s := schemaOf(reflect.TypeFor[Config]())
	comments := fieldComments(t, filepath.Join("..", "..", "..", "pkg", "auth"))
	var b strings.Builder
	b.WriteString(documentationHead)
	for _, sec := range s.sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", sec.key, sec.doc)
		writeTable(&b, s, func(f *field) bool {
			return strings.TrimSuffix(f.key, "."+lastPart(f.key)) == sec.key && !f.isStructs()
		})
	}
	for i := range s.fields {
		if f := &s.fields[i]; f.isStructs() {
			fmt.Fprintf(&b, "\n## %s\n\n%s In the file alone; a list", f.key, f.doc)
			if f.max != "" {
				fmt.Fprintf(&b, " of at most %s", f.max)
			}
			b.WriteString(" of:\n\n| key | type | meaning |\n|---|---|---|\n")
			writeEntries(t, &b, f.key+"[].", f.typ.Elem(), comments)
		}
	}
	return b.String()
}

func writeTable(b *strings.Builder, s *schema, in func(*field) bool) {
	b.WriteString("| key and variable | type | default | allowed | meaning |\n|---|---|---|---|---|\n")
	for i := range s.fields {
		if f := &s.fields[i]; in(f) {
			fmt.Fprintf(b, "| `%s` `%s` | %s | %s | %s | %s |\n", f.key, f.env(), f.kind(), quoted(f.def), f.allowed(), cell(f.doc))
		}
	}
}

// writeEntries writes the keys of a struct in a list. Those of other packages have their explanation in
// the comment of the struct's field.
func writeEntries(t *testing.T, b *strings.Builder, outer string, typ reflect.Type, comments map[string]string) {
	s := schemaOf(typ)
	for i := range s.fields {
		f := &s.fields[i]
		doc := f.doc
		if doc == "" {
			doc = comments[fieldName(typ, f.index)]
			doc = goSubject.ReplaceAllString(doc, "")
			doc = strings.ToUpper(doc[:min(1, len(doc))]) + doc[min(1, len(doc)):]
		}
		require.NotEmpty(t, doc, "nothing explains %s%s", outer, f.key)
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", outer, f.key, f.kind(), cell(doc))
		if f.isStructs() {
			writeEntries(t, b, outer+f.key+"[].", f.typ.Elem(), comments)
		}
	}
}

// fieldName is the struct and the name of the field at an index path, as in "Policy.Capacity".
func fieldName(typ reflect.Type, index []int) string {
	for _, i := range index[:len(index)-1] {
		typ = typ.Field(i).Type
	}
	return typ.Name() + "." + typ.Field(index[len(index)-1]).Name
}

// goSubject is how a Go comment starts, with the field's name, which means nothing in a file.
var goSubject = regexp.MustCompile(`^[A-Z][A-Za-z]* (is|are) `)

// docLink is a link in a Go comment.
var docLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// fieldComments returns the comments of all struct fields of a package, by "Struct.Field", each as one
// line.
func fieldComments(t *testing.T, dir string) map[string]string {
	comments := make(map[string]string)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".go" || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if structType, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range structType.Fields.List {
					for _, name := range f.Names {
						comments[spec.Name.Name+"."+name.Name] = docLink.ReplaceAllString(strings.Join(strings.Fields(f.Doc.Text()), " "), "$1")
					}
				}
			}
			return false
		})
	}
	return comments
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// cell is text in a table, where a bar would end it and stars would mean emphasis.
func cell(text string) string { return strings.NewReplacer("|", `\|`, "*", `\*`).Replace(text) }

// TestSchema holds the tags of the struct against what the loader and the documentation expect of them.
func TestSchema(t *testing.T) {
	s := schemaOf(reflect.TypeFor[Config]())
	keyForm := regexp.MustCompile(`^[a-z][a-z_]*(\.[a-z][a-z_]*)*$`)
	variables := make(map[string]string)

	for _, sec := range s.sections {
		require.NotEmpty(t, sec.doc, sec.key)
	}
	for i := range s.fields {
		f := &s.fields[i]
		t.Run(f.key, func(t *testing.T) {
			require.Regexp(t, keyForm, f.key)
			require.Regexp(t, `^[A-Z"].*\.$`, f.doc, "the explanation is a sentence")
			require.NotContains(t, f.doc, "\n")

			// Two keys of one variable could not be told apart, nor one from what Kubernetes sets.
			require.Empty(t, variables[f.env()])
			variables[f.env()] = f.key
			require.NotRegexp(t, serviceVariable, f.env())
			require.NotEqual(t, configVariable, f.env())

			if f.isStructs() {
				return
			}
			def, err := f.parse(f.def)
			if f.def != "" {
				require.NoError(t, err)
				require.NoError(t, f.check(def), "the default must be allowed")
			}
			if scalar := f.typ; scalar == boolType || scalar == intType || scalar == durationType {
				require.NotEmpty(t, f.def, "a scalar says its default")
			}
			if f.typ == intType || f.typ == durationType {
				require.NotEmpty(t, f.min, "a number is bounded")
				require.NotEmpty(t, f.max, "a number is bounded")
			}
			if f.typ == durationType {
				require.Equal(t, f.def, formatScalar(def), "a default is written as it is printed")
			}
		})
	}

	t.Run("EveryFieldIsAKey", func(t *testing.T) {
		var walk func(typ reflect.Type)
		walk = func(typ reflect.Type) {
			for i := range typ.NumField() {
				f := typ.Field(i)
				if !f.IsExported() {
					continue
				}
				require.NotEmpty(t, f.Tag.Get("koanf"), "%s.%s", typ.Name(), f.Name) // squash included
				switch {
				case f.Type.Kind() == reflect.Struct:
					walk(f.Type)
				case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
					walk(f.Type.Elem())
				}
			}
		}
		walk(reflect.TypeFor[Config]())
	})
}

func TestNearest(t *testing.T) {
	known := []string{"redis", "redis.mode", "redis.dial_timeout", "session.write_timeout", "rooms.capacity"}
	for wrong, want := range map[string]string{
		"redis.dail_timeout": "redis.dial_timeout",
		"redsi":              "redis",
		"room.capacity":      "rooms.capacity",
		"write_timeout":      "session.write_timeout",
		"limits.mode":        "redis.mode",
		"something else":     "",
		"":                   "",
	} {
		require.Equal(t, want, nearest(wrong, known), wrong)
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0},
	} {
		require.Equal(t, test.want, editDistance(test.a, test.b))
		require.Equal(t, test.want, editDistance(test.b, test.a))
	}
}

func TestFormatDuration(t *testing.T) {
	for text, want := range map[string]string{"120s": "2m", "60m": "1h", "90m": "1h30m", "0s": "0s", "1.5s": "1.5s", "300ms": "300ms", "10s": "10s", "600s": "10m", "20h": "20h"} {
		value, err := parseScalar(durationType, text)
		require.NoError(t, err)
		require.Equal(t, want, formatScalar(value))
	}
}
