package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// App is a tenant: its settings, as the configuration writes them too, without what is secret.
type App struct {
	auth.App
	Managed bool  `json:"managed" doc:"Whether this API can change it; others are the configuration's."`
	Version int64 `json:"version" minimum:"0" doc:"Rises with each change; 0 for the configuration's."`
}

// hiddenSecret is what a secret shows of itself, and what is none.
const hiddenSecret = "(hidden)"

func (a *API) appOperations() {
	register(a, operation{
		id: "list-apps", method: http.MethodGet, path: "/apps", tag: "apps", need: Read,
		summary: "List apps", text: "Those that the key is for, by id.",
	}, a.listApps)
	register(a, operation{
		id: "create-app", method: http.MethodPost, path: "/apps", tag: "apps", need: Admin, operator: true, status: http.StatusCreated,
		summary: "Make an app", text: "It is there on all gateways within moments. Its keys are made by themselves.",
		codes: []wire.Code{wire.CodeConflict, CodeInvalid},
	}, a.createApp)
	register(a, operation{
		id: "get-app", method: http.MethodGet, path: "/apps/{app}", tag: "apps", need: Read, summary: "Get an app",
	}, a.getApp)
	register(a, operation{
		id: "update-app", method: http.MethodPatch, path: "/apps/{app}", tag: "apps", need: Admin, operator: true,
		summary: "Change an app", text: "The body is merged into the settings after RFC 7396: what is not named stays, null removes, and a list takes the place of the one before. " +
			"With If-Match for one version alone.",
		codes: []wire.Code{wire.CodeConflict, CodePreconditionFailed, CodeInvalid},
	}, a.updateApp)
	register(a, operation{
		id: "delete-app", method: http.MethodDelete, path: "/apps/{app}", tag: "apps", need: Admin, operator: true,
		summary: "Delete an app", text: "Its sessions are closed. With If-Match one version alone.",
		codes: []wire.Code{wire.CodeConflict, CodePreconditionFailed},
	}, a.deleteApp)
}

type listAppsInput struct {
	Cursor string `query:"cursor" maxLength:"63" doc:"Where to go on: the next of the answer before. Absent: the beginning."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

// AppSummary is an app in a list.
type AppSummary struct {
	ID       string `json:"id"`
	Managed  bool   `json:"managed" doc:"Whether this API can change it; others are the configuration's."`
	Disabled bool   `json:"disabled" doc:"Whether all its users are refused."`
}

type listAppsOutput struct {
	Body struct {
		Apps []AppSummary `json:"apps" nullable:"false"`
		Next string       `json:"next,omitempty" doc:"The cursor that goes on; absent at the end."`
	}
}

func (a *API) listApps(ctx context.Context, in *listAppsInput) (*listAppsOutput, error) {
	who := callOf(ctx).principal
	out := new(listAppsOutput)
	out.Body.Apps = []AppSummary{}
	apps := a.opts.Apps.Apps()
	for i := range apps {
		app := &apps[i]
		if app.ID <= in.Cursor || !who.sees(app.ID) {
			continue
		}
		if len(out.Body.Apps) == in.Limit {
			out.Body.Next = out.Body.Apps[in.Limit-1].ID
			break
		}
		out.Body.Apps = append(out.Body.Apps, AppSummary{ID: app.ID, Managed: !a.opts.Apps.Configured(app.ID), Disabled: app.Disabled})
	}
	return out, nil
}

type appOutput struct {
	ETag string `header:"ETag" doc:"The app's version, for If-Match."`
	Body App
}

func newAppOutput(app auth.App, managed bool, version int64) *appOutput {
	return &appOutput{ETag: appTag(version), Body: App{App: app, Managed: managed, Version: version}}
}

func appTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (a *API) getApp(ctx context.Context, in *struct{ AppPath }) (*appOutput, error) {
	if a.opts.Apps.Configured(in.App) {
		app, ok := a.opts.Apps.App(in.App)
		if !ok {
			return nil, missing()
		}
		return newAppOutput(*app, false, 0), nil
	}
	app, version, err := a.stored(ctx, in.App)
	if err != nil {
		return nil, err
	}
	return newAppOutput(app, true, version), nil
}

// stored reads a managed app.
func (a *API) stored(ctx context.Context, id string) (auth.App, int64, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if a.opts.Apps.Configured(id) {
		return auth.App{}, 0, newProblem(wire.CodeConflict, "the app is the configuration's, and is changed there")
	}
	stored, err := a.opts.Store.App(ctx, id)
	if err != nil {
		return auth.App{}, 0, err
	}
	app, err := auth.DecodeApp(stored.Data)
	return app, stored.Version, err
}

// put stores an app of a version, and has this gateway know it before the answer is given. The others follow within moments.
func (a *API) put(ctx context.Context, app auth.App, version int64) (int64, error) {
	if err := validApp(&app); err != nil {
		return 0, err
	}
	data, err := auth.EncodeApp(app)
	if err != nil {
		return 0, newProblem(wire.CodeTooLarge, "the app's settings are too large")
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if version, err = a.opts.Store.PutApp(ctx, app.ID, data, version); err != nil {
		return 0, err
	}
	return version, a.opts.Refresh(ctx, app.ID)
}

// validApp tells all that is wrong with an app's settings.
func validApp(app *auth.App) error {
	err := app.Validate()
	if err == nil {
		return nil
	}
	p := newProblem(CodeInvalid, "the app's settings are not valid")
	for line := range strings.Lines(err.Error()) {
		if len(p.Errors) < maxFaults {
			p.Errors = append(p.Errors, Fault{Location: "body", Message: bounded(strings.TrimPrefix(strings.TrimSpace(line), "auth: "))})
		}
	}
	return p
}

// settings are what an app is made or changed with: those of [auth.App] but its keys, which have operations of their own. The text is
// kept, as null is not nothing.
type settings struct{ text json.RawMessage }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *settings) UnmarshalJSON(text []byte) error {
	s.text = bytes.Clone(text)
	return nil
}

// schemaOfSettings describes the settings; required are those that have to be there.
func schemaOfSettings(registry huma.Registry, required ...string) *huma.Schema {
	whole := huma.SchemaFromType(registry, reflect.TypeFor[auth.App]())
	s := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: required, Properties: make(map[string]*huma.Schema)}
	for name, property := range whole.Properties {
		if name != "keys" && name != "api_keys" && (name != "id" || len(required) > 0) {
			s.Properties[name] = property
		}
	}
	s.PrecomputeMessages()
	return s
}

// NewApp is what an app is made with.
type NewApp struct{ settings }

// Schema implements [huma.SchemaProvider].
func (NewApp) Schema(registry huma.Registry) *huma.Schema { return schemaOfSettings(registry, "id") }

// AppChange is what an app is changed with.
type AppChange struct{ settings }

// Schema implements [huma.SchemaProvider].
func (AppChange) Schema(registry huma.Registry) *huma.Schema { return schemaOfSettings(registry) }

// over merges the settings into those of an app, after RFC 7396.
func (s *settings) over(app auth.App) (auth.App, error) {
	if bytes.Contains(s.text, []byte(`"`+hiddenSecret+`"`)) {
		return app, newProblem(CodeInvalid, "(hidden) stands for a secret that is not shown, and is none: leave it out, or send the secret")
	}
	data, err := auth.EncodeApp(app)
	if err != nil {
		return app, err
	}
	merged, err := mergePatch(data, s.text)
	if err == nil {
		var decoded auth.App
		if decoded, err = auth.DecodeApp(merged); err == nil {
			return decoded, nil
		}
	}
	p := newProblem(CodeInvalid, "the app's settings are not valid")
	p.Errors = []Fault{{Location: "body", Message: bounded(strings.TrimPrefix(err.Error(), "auth: decode an app: "))}}
	return app, p
}

// mergePatch merges a change into a document (RFC 7396, section 2). Both are JSON.
func mergePatch(document, change json.RawMessage) (json.RawMessage, error) {
	var with map[string]json.RawMessage
	if json.Unmarshal(change, &with) != nil || with == nil {
		return change, nil
	}
	var into map[string]json.RawMessage
	if json.Unmarshal(document, &into) != nil || into == nil {
		into = make(map[string]json.RawMessage)
	}
	for name, value := range with {
		if string(value) == "null" {
			delete(into, name)
			continue
		}
		merged, err := mergePatch(into[name], value)
		if err != nil {
			return nil, err
		}
		into[name] = merged
	}
	return json.Marshal(into)
}

type createAppInput struct{ Body NewApp }

type createAppOutput struct {
	Location string `header:"Location" doc:"The app's path."`
	ETag     string `header:"ETag" doc:"The app's version, for If-Match."`
	Body     App
}

func (a *API) createApp(ctx context.Context, in *createAppInput) (*createAppOutput, error) {
	app, err := in.Body.over(auth.App{})
	if err != nil {
		return nil, err
	}
	if _, there := a.opts.Apps.App(app.ID); there {
		return nil, newProblem(wire.CodeConflict, "the app exists")
	}
	version, err := a.put(ctx, app, 0)
	if err != nil {
		return nil, err
	}
	return &createAppOutput{
		Location: prefix + "/apps/" + app.ID, ETag: appTag(version), Body: App{App: app, Managed: true, Version: version},
	}, nil
}

type updateAppInput struct {
	AppPath
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"ETag of the version that the change is made for. Absent: any."`
	Body    AppChange
}

func (a *API) updateApp(ctx context.Context, in *updateAppInput) (*appOutput, error) {
	return a.changeApp(ctx, in.App, in.IfMatch, in.Body.over)
}

// changeApp changes a managed app. If somebody else does at the same time, and no version is named, it is tried again.
func (a *API) changeApp(ctx context.Context, id, ifMatch string, change func(auth.App) (auth.App, error)) (*appOutput, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		app, version, err := a.stored(ctx, id)
		if err != nil {
			return nil, err
		}
		if !matches(ifMatch, version) {
			p := newProblem(CodePreconditionFailed, "the app has changed since the version that If-Match names")
			p.Version = version
			return nil, p
		}
		if app, err = change(app); err != nil {
			return nil, err
		}
		if app.ID != id {
			return nil, newProblem(CodeInvalid, "the id of an app does not change")
		}
		version, err = a.put(ctx, app, version)
		if err == nil {
			return newAppOutput(app, true, version), nil
		}
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != wire.CodeConflict || attempt == attempts {
			return nil, err
		}
	}
}

// matches tells whether If-Match, which may be empty, allows a version.
func matches(ifMatch string, version int64) bool {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return true
	}
	for part := range strings.SplitSeq(ifMatch, ",") {
		if strings.TrimPrefix(strings.TrimSpace(part), "W/") == appTag(version) {
			return true
		}
	}
	return false
}

type deleteAppInput struct {
	AppPath
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"ETag of the version to delete. Absent: any."`
}

func (a *API) deleteApp(ctx context.Context, in *deleteAppInput) (*struct{}, error) {
	_, version, err := a.stored(ctx, in.App)
	if err != nil {
		return nil, err
	}
	if !matches(in.IfMatch, version) {
		return nil, newProblem(CodePreconditionFailed, "the app has changed since the version that If-Match names")
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if in.IfMatch == "" {
		version = store.AnyVersion
	}
	if err := a.opts.Store.DeleteApp(ctx, in.App, version); err != nil {
		return nil, err
	}
	return nil, a.opts.Refresh(ctx, in.App)
}
