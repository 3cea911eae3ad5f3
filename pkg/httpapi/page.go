package httpapi

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

//go:embed page.html
var pageText string

// tags are the groups of operations, in the order of the page.
var tags = []*huma.Tag{
	{Name: "apps", Description: "The tenants of the cluster, and their keys."},
	{Name: "tokens", Description: "What users connect with."},
	{Name: "rooms", Description: "Meetings, and what happens in them."},
	{Name: "members", Description: "Who is in a room."},
	{Name: "messages", Description: "What the server says to those who are connected."},
	{Name: "users", Description: "A user, across rooms and sessions."},
	{Name: "webhooks", Description: "Deliveries that were given up."},
	{Name: "cluster", Description: "Gateways, and figures."},
}

// page is the description as a page for people: whole in itself, for who has no way to the internet.
type page struct {
	Title, Description, Version string
	JSON, YAML                  string
	Groups                      []pageGroup
	Schemas                     []pageSchema
	Problems                    []pageProblem
}

type pageGroup struct {
	Name, Text string
	Operations []pageOperation
}

type pageOperation struct {
	ID, Method, Path, Summary, Text string
	Parameters, Body                []pageField
	Answers                         []pageAnswer
}

type pageField struct {
	Name, In, Kind, Text string
	Link                 string // the schema that Kind names
	Required             bool
}

type pageAnswer struct {
	Status, Text, Kind, Link string
}

type pageSchema struct {
	Name, Text string
	Fields     []pageField
}

type pageProblem struct {
	Code, Title string
	Status      int
	Retryable   bool
}

// page makes the page.
func (a *API) page() ([]byte, error) {
	text, err := template.New("page").Funcs(template.FuncMap{"prose": prose}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	document := a.api.OpenAPI()
	p := page{
		Title: document.Info.Title, Description: document.Info.Description, Version: document.Info.Version, JSON: jsonPath, YAML: yamlPath,
		Groups: pageGroups(document), Problems: pageProblems(),
	}
	schemas := document.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Schemas = append(p.Schemas, pageSchema{Name: name, Text: schemas[name].Description, Fields: pageFields(schemas[name], "")})
	}
	var b bytes.Buffer
	if err := text.Execute(&b, &p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func pageGroups(document *huma.OpenAPI) []pageGroup {
	byTag := make(map[string][]pageOperation)
	for path, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				byTag[op.Tags[0]] = append(byTag[op.Tags[0]], newPageOperation(document, path, op))
			}
		}
	}
	var groups []pageGroup
	for _, tag := range document.Tags {
		operations := byTag[tag.Name]
		if len(operations) == 0 {
			continue
		}
		slices.SortFunc(operations, func(a, b pageOperation) int {
			return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
		})
		groups = append(groups, pageGroup{Name: tag.Name, Text: tag.Description, Operations: operations})
	}
	return groups
}

func newPageOperation(document *huma.OpenAPI, path string, op *huma.Operation) pageOperation {
	p := pageOperation{ID: op.OperationID, Method: op.Method, Path: path, Summary: op.Summary, Text: op.Description}
	for _, parameter := range op.Parameters {
		kind, link := kindOf(parameter.Schema)
		p.Parameters = append(p.Parameters, pageField{
			Name: parameter.Name, In: parameter.In, Kind: kind, Link: link, Text: parameter.Description, Required: parameter.Required,
		})
	}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			schema := media.Schema
			if schema.Ref != "" {
				schema = document.Components.Schemas.SchemaFromRef(schema.Ref)
			}
			p.Body = pageFields(schema, "body")
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		answer := pageAnswer{Status: status, Text: response.Description}
		for _, media := range response.Content {
			answer.Kind, answer.Link = kindOf(media.Schema)
		}
		p.Answers = append(p.Answers, answer)
	}
	return p
}

func pageFields(schema *huma.Schema, in string) []pageField {
	var fields []pageField
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name]
		kind, link := kindOf(property)
		fields = append(fields, pageField{
			Name: name, In: in, Kind: kind, Link: link, Text: property.Description, Required: slices.Contains(schema.Required, name),
		})
	}
	return fields
}

// kindOf says in some words what a value may be, and which schema it is of.
func kindOf(schema *huma.Schema) (kind, link string) {
	switch {
	case schema == nil:
		return "", ""
	case schema.Ref != "":
		name := schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]
		return name, name
	case schema.Type == huma.TypeArray && schema.Items != nil:
		kind, link = kindOf(schema.Items)
		return "list of " + kind, link
	case len(schema.Enum) > 0:
		words := make([]string, len(schema.Enum))
		for i, value := range schema.Enum {
			words[i] = fmt.Sprint(value)
		}
		return strings.Join(words, " | "), ""
	}
	kind = schema.Type
	if kind == "" {
		kind = "any JSON"
	}
	if schema.Format != "" {
		kind += " (" + schema.Format + ")"
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case schema.Minimum != nil && schema.Maximum != nil:
		kind += ", " + number(*schema.Minimum) + " to " + number(*schema.Maximum)
	case schema.Minimum != nil:
		kind += ", at least " + number(*schema.Minimum)
	}
	if schema.MaxLength != nil {
		kind += ", at most " + strconv.Itoa(*schema.MaxLength) + " characters"
	}
	return kind, ""
}

func pageProblems() []pageProblem {
	var problems []pageProblem
	for _, code := range slices.SortedFunc(maps.Keys(kinds), func(a, b wire.Code) int {
		return cmp.Or(cmp.Compare(kinds[a].status, kinds[b].status), cmp.Compare(a, b))
	}) {
		k := kinds[code]
		problems = append(problems, pageProblem{Code: string(code), Title: k.title, Status: k.status, Retryable: k.retryable})
	}
	return problems
}

// prose gives a text as HTML, with what is between backticks as code.
func prose(text string) template.HTML {
	var b strings.Builder
	for i, piece := range strings.Split(text, "`") {
		piece = template.HTMLEscapeString(piece)
		if i%2 == 1 {
			piece = "<code>" + piece + "</code>"
		}
		b.WriteString(piece)
	}
	return template.HTML(b.String()) //nolint:gosec // every piece is escaped
}
