package httpapi_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const referenceFile = "../../docs/api-reference.md"

var update = flag.Bool("update", false, "write docs/api-reference.md anew")

const referenceHead = `# Server API reference

<!-- Generated from the OpenAPI document of pkg/httpapi: go test ./pkg/httpapi -run TestReference -update -->

Every operation of the [server API](api.md), with what it takes and answers. It is the same as ` + "`/v1/docs`" + ` of any gateway, which has the
OpenAPI 3.1 document for programs, too: ` + "`/v1/openapi.json`" + ` and ` + "`/v1/openapi.yaml`" + `.

Each operation needs a [key](api.md#keys). Bodies and answers are JSON. A field that is not *required* may be left out.
`

// openapi is what the reference reads of the document.
type openapi struct {
	Tags []struct{ Name, Description string }
	// By path, then by method.
	Paths      map[string]map[string]apiOperation
	Components struct{ Schemas map[string]*apiSchema }
}

type apiOperation struct {
	Summary, Description string
	Tags                 []string
	Parameters           []struct {
		Name, In, Description string
		Required              bool
		Schema                *apiSchema
	}
	RequestBody *struct{ Content map[string]apiContent }
	Responses   map[string]struct {
		Description string
		Content     map[string]apiContent
	}
}

type apiContent struct{ Schema *apiSchema }

type apiSchema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Description          string
	Format               string
	Enum                 []any
	Items                *apiSchema
	Properties           map[string]*apiSchema
	Required             []string
	AdditionalProperties any
	Minimum, Maximum     *float64
	MinLength, MaxLength *int
	MaxItems             *int
	Default              any
}

func TestReference(t *testing.T) {
	var document openapi
	s := start(t, nil)
	s.ask(t, "", "GET", "/v1/openapi.json", "").ok(200, &document)
	got := referenceOf(t, &document)
	if *update {
		require.NoError(t, os.WriteFile(referenceFile, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(referenceFile)
	require.NoError(t, err)
	require.True(t, string(want) == got, "docs/api-reference.md is out of date: make reference-docs") // both are long
}

// reference is the page that is written, with the objects that it has named.
type reference struct {
	strings.Builder
	document *openapi
	objects  map[string]bool
	comments map[string]string // of settings, by type and name
}

func referenceOf(t *testing.T, document *openapi) string {
	t.Helper()
	r := &reference{document: document, objects: make(map[string]bool), comments: settingComments(t)}
	r.WriteString(referenceHead)
	common := r.commonProblems()
	r.WriteString("\nAny of them may be answered with a [problem](api.md#problems) of these:\n\n| status | codes |\n|---|---|\n")
	for _, status := range slices.Sorted(maps.Keys(common)) {
		fmt.Fprintf(r, "| %s | %s |\n", status, strings.Join(common[status], ", "))
	}
	operations := 0
	for _, tag := range document.Tags {
		fmt.Fprintf(r, "\n## %s\n\n%s\n", tag.Name, tag.Description)
		for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
			for _, method := range []string{"get", "post", "put", "patch", "delete"} {
				if o, ok := document.Paths[path][method]; ok && o.Tags[0] == tag.Name {
					operations++
					r.operation(strings.ToUpper(method), path, &o, common)
				}
			}
		}
	}
	require.Greater(t, operations, 40)
	r.allObjects()
	return r.String()
}

var codeInProblem = regexp.MustCompile("`[a-z_]+`")

// commonProblems are those that all operations have, by status.
func (r *reference) commonProblems() map[string][]string {
	count, all := make(map[string]int), 0
	for _, methods := range r.document.Paths {
		for _, o := range methods {
			all++
			for status, response := range o.Responses {
				for _, code := range codeInProblem.FindAllString(response.Description, -1) {
					count[status+" "+code]++
				}
			}
		}
	}
	common := make(map[string][]string)
	for _, key := range slices.Sorted(maps.Keys(count)) {
		if status, code, _ := strings.Cut(key, " "); count[key] == all {
			common[status] = append(common[status], code)
		}
	}
	return common
}

func (r *reference) operation(method, path string, o *apiOperation, common map[string][]string) {
	fmt.Fprintf(r, "\n### %s\n\n`%s %s`\n", o.Summary, method, path)
	if o.Description != "" {
		fmt.Fprintf(r, "\n%s\n", o.Description)
	}
	if len(o.Parameters) > 0 {
		r.WriteString("\n| parameter | in | type | meaning |\n|---|---|---|---|\n")
		for _, p := range o.Parameters {
			required := ""
			if p.Required && p.In != "path" {
				required = ", required"
			}
			fmt.Fprintf(r, "| `%s` | %s%s | %s | %s |\n", p.Name, p.In, required, r.typ(p.Schema), cell(p.Description))
		}
	}
	if o.RequestBody != nil {
		for _, content := range o.RequestBody.Content {
			r.WriteString("\nBody: ")
			r.inlined(content.Schema)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		response := o.Responses[status]
		if codes := codeInProblem.FindAllString(response.Description, -1); strings.HasPrefix(response.Description, "A problem") {
			codes = slices.DeleteFunc(codes, func(code string) bool { return slices.Contains(common[status], code) })
			if len(codes) > 0 {
				fmt.Fprintf(r, "\n%s: %s.\n", status, strings.Join(codes, ", "))
			}
			continue
		}
		fmt.Fprintf(r, "\n**%s**", status)
		if len(response.Content) == 0 {
			r.WriteString(": nothing.\n")
		}
		for kind, content := range response.Content {
			if kind != "application/json" {
				fmt.Fprintf(r, ": `%s`. %s.\n", kind, response.Description)
				continue
			}
			r.WriteString(": ")
			r.inlined(content.Schema)
		}
	}
}

// inlined writes the fields of a body that belongs to one operation, and a link to one that does not.
func (r *reference) inlined(s *apiSchema) {
	name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
	if len(s.Properties) > 0 {
		r.WriteString("an object.\n\n")
		r.fields("App", s)
		return
	}
	if !strings.HasSuffix(name, "Body") {
		fmt.Fprintf(r, "%s.\n", r.typ(s))
		return
	}
	r.WriteString("an object.\n\n")
	r.fields(name, r.document.Components.Schemas[name])
}

func (r *reference) fields(object string, s *apiSchema) {
	r.WriteString("| field | type | required | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property, required := s.Properties[name], ""
		if slices.Contains(s.Required, name) {
			required = "yes"
		}
		meaning := property.Description
		if meaning == "" {
			meaning = r.comments[object+"."+name]
		}
		fmt.Fprintf(r, "| `%s` | %s | %s | %s |\n", name, r.typ(property), required, cell(meaning))
	}
}

// typ says in words what a value is.
func (r *reference) typ(s *apiSchema) string {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		r.objects[name] = true
		return "[" + name + "](#" + strings.ToLower(name) + "-object)"
	}
	if len(s.Enum) > 0 {
		var words []string
		for _, word := range s.Enum {
			words = append(words, fmt.Sprintf("`%v`", word))
		}
		return strings.Join(words, ", ")
	}
	kind, _ := s.Type.(string)
	if kinds, ok := s.Type.([]any); ok {
		var words []string
		for _, k := range kinds {
			words = append(words, fmt.Sprint(k))
		}
		kind = strings.Join(words, " or ")
	}
	switch {
	case s.Items != nil:
		return "list of " + r.typ(s.Items)
	case kind == "integer" || kind == "number":
		return kind + bounds(s.Minimum, s.Maximum)
	case kind == "string" && s.MaxLength != nil:
		return fmt.Sprintf("string, up to %d", *s.MaxLength)
	case kind == "string" && s.Format != "":
		return s.Format
	case kind == "":
		return "any JSON"
	}
	return kind
}

func bounds(least, most *float64) string {
	switch {
	case least != nil && most != nil:
		return fmt.Sprintf(", %.0f to %.0f", *least, *most)
	case least != nil:
		return fmt.Sprintf(", from %.0f", *least)
	case most != nil:
		return fmt.Sprintf(", up to %.0f", *most)
	}
	return ""
}

var (
	goSubject = regexp.MustCompile(`^[A-Z][A-Za-z]* (?:is|are) `)
	goLink    = regexp.MustCompile(`\[([A-Za-z.]+)\]`)
)

// settingComments gives what the comments of pkg/auth say of the settings of apps, by their names in JSON.
func settingComments(t *testing.T) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	files, err := filepath.Glob("../auth/*.go")
	require.NoError(t, err)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					if field.Tag == nil {
						continue
					}
					name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("json"), ",")
					text := goLink.ReplaceAllString(strings.Join(strings.Fields(field.Doc.Text()), " "), "$1")
					text = goSubject.ReplaceAllString(text, "")
					comments[spec.Name.Name+"."+name] = strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):]
				}
			}
			return false
		})
	}
	return comments
}

// allObjects writes the objects that were named, and those that these name.
func (r *reference) allObjects() {
	r.WriteString("\n## Objects\n\nWhat is not explained here is a setting of an app, as the [configuration](configuration.md#apps) has it.\n")
	written := make(map[string]bool)
	texts := make(map[string]string)
	for len(written) < len(r.objects) {
		for name := range maps.Clone(r.objects) {
			if written[name] {
				continue
			}
			written[name] = true
			inner := &reference{document: r.document, objects: r.objects, comments: r.comments}
			s := r.document.Components.Schemas[name]
			fmt.Fprintf(inner, "\n### %s object\n\n", name)
			if s.Description != "" {
				fmt.Fprintf(inner, "%s\n\n", s.Description)
			}
			inner.fields(name, s)
			texts[name] = inner.String()
		}
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		r.WriteString(texts[name])
	}
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ", "h0m0s", "h").Replace(s) }
