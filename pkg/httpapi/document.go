package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The paths that need no key: they tell what is in the source anyway.
const (
	prefix   = "/v1"
	docsPath = prefix + "/docs"
	jsonPath = prefix + "/openapi.json"
	yamlPath = prefix + "/openapi.yaml"
)

// The names of the security schemes.
const (
	bearerScheme      = "bearer"
	certificateScheme = "certificate"
)

// strictNames has the library take {"Capacity": 1} for what it is: an unknown name. Otherwise it would hold one of two names that
// differ in case against the bounds, and take the value of the other. It is a setting of the whole process.
var strictNames = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

// newDocument begins the description, and the router that follows it.
func (a *API) newDocument() huma.API {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalStrictly}
	return humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Signalbox server API", Version: a.opts.Version,
				Description: "Apps, rooms, members, messages, tokens and nodes of a Signalbox cluster, for backends and operators.",
				License:     nil,
			},
			Servers: []*huma.Server{{URL: "/", Description: "The gateway that serves this document"}},
			Tags:    tags,
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearerScheme:      {Type: "http", Scheme: "bearer", Description: "A key of the operator's or of an app's."},
					certificateScheme: {Type: "mutualTLS", Description: "A client certificate that the operator has named a key for."},
				},
			},
			Security: []map[string][]string{{bearerScheme: {}}, {certificateScheme: {}}},
		},
		Formats:                      map[string]huma.Format{jsonType: format, "json": format},
		DefaultFormat:                jsonType,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{transformModel},
	})
}

// transformModel has the library's own errors be problems.
func transformModel(_ huma.Context, _ string, v any) (any, error) {
	if model, ok := v.(*huma.ErrorModel); ok {
		return problemOfModel(model), nil
	}
	return v, nil
}

// register adds an operation to the API and to its description.
func register[I, O any](a *API, op operation, handle func(context.Context, *I) (*O, error)) {
	problem := a.api.OpenAPI().Components.Schemas.Schema(problemReflected, true, "Problem")
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: prefix + op.path, Summary: op.summary, Description: op.text,
		Tags: []string{op.tag}, DefaultStatus: op.status, MaxBodyBytes: int64(a.opts.BodyBytes) + 1, // guard has held it to its size
		Responses:   make(map[string]*huma.Response),
		Middlewares: huma.Middlewares{a.guard(&op)},
	}
	for status, codes := range op.problems() {
		described.Responses[statusText(status)] = &huma.Response{
			Description: problemDescription(codes),
			Content:     map[string]*huma.MediaType{problemType: {Schema: problem}},
		}
	}
	if op.stream {
		described.Responses[statusText(http.StatusOK)] = &huma.Response{
			Description: "A stream that lasts until the room ends", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
		}
	}
	if op.unchanged {
		described.Responses[statusText(http.StatusNotModified)] = &huma.Response{Description: "It is as If-None-Match says"}
	}
	if op.method == http.MethodPost {
		described.Parameters = append(described.Parameters, &huma.Param{
			Name: idempotencyHeader, In: "header", Schema: &huma.Schema{Type: "string", MinLength: new(1), MaxLength: new(maxIdempotencyKey)},
			Description: "Names the request, so that it takes effect once however often it is sent within " + a.opts.AnswerTTL.String() + ".",
		})
	}
	a.metrics.know(op.id)
	huma.Register(a.api, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err == nil {
			return out, nil
		}
		if same, ok := errors.AsType[*notModified](err); ok {
			return nil, same
		}
		p := problemOf(err)
		if p.Code == string(wire.CodeInternal) {
			a.fault(callOf(ctx), err)
		}
		return nil, p
	})
}

// problems are the codes that an operation may be answered with, by status.
func (o *operation) problems() map[int][]wire.Code {
	codes := slices.Concat([]wire.Code{
		wire.CodeBadRequest, wire.CodeUnauthorized, wire.CodeForbidden, wire.CodeTooLarge, wire.CodeRateLimited, wire.CodeUnavailable,
		wire.CodeInternal, CodeTimeout,
	}, o.codes)
	if o.hasBody() {
		codes = append(codes, CodeUnsupportedMediaType)
	}
	if strings.Contains(o.path, "{") {
		codes = append(codes, CodeNotFound)
	}
	if o.method == http.MethodPost {
		codes = append(codes, CodeIdempotencyMismatch, CodeInProgress, wire.CodeOutcomeUnknown)
	}
	byStatus := map[int][]wire.Code{http.StatusUnprocessableEntity: {wire.CodeBadRequest}} // by the library, of what the description forbids
	for _, code := range codes {
		status := kinds[code].status
		if !slices.Contains(byStatus[status], code) {
			byStatus[status] = append(byStatus[status], code)
		}
	}
	if o.quota {
		byStatus[http.StatusTooManyRequests] = append(byStatus[http.StatusTooManyRequests], wire.CodeLimit)
	}
	return byStatus
}

func problemDescription(codes []wire.Code) string {
	words := make([]string, len(codes))
	for i, code := range codes {
		words[i] = "`" + string(code) + "`"
	}
	return "A problem: " + strings.Join(words, ", ")
}

// describe ends the description, once all operations are there, and serves it. Its forms are made when they are first asked for,
// as they are some hundred kilobytes.
func (a *API) describe() {
	document := a.api.OpenAPI()
	delete(document.Components.Schemas.Map(), "ErrorModel") // of the library, and never sent: see transformModel
	a.serve(jsonPath, "application/openapi+json", func() ([]byte, error) { return json.Marshal(document) })
	a.serve(yamlPath, "application/openapi+yaml", document.YAML)
	a.serve(docsPath, "text/html; charset=utf-8", a.page)
}

// serve answers with what does not change.
func (a *API) serve(path, contentType string, build func() ([]byte, error)) {
	build = sync.OnceValues(build)
	a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		c.writer.ours, c.operation = true, documentOperation
		body, err := build()
		if err != nil {
			a.fault(c, fmt.Errorf("the description: %w", err))
			return
		}
		header := w.Header()
		header.Set("Content-Type", contentType)
		header.Set("Content-Length", strconv.Itoa(len(body)))
		// The page has its style within itself, and nothing else.
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		_, _ = w.Write(body) // who went away needs no answer
	})
}

// unmarshalStrictly reads JSON that says one thing: UTF-8, one value, no name twice in an object, no deeper than need be.
func unmarshalStrictly(data []byte, v any) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		// The library's words would repeat values, which may be secrets.
		if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s is not of the right type", mistyped.Field)
		}
		return errNotJSON
	}
	return nil
}
