package httpapi

import (
	"context"
	"net/http"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// App is a tenant, without its secrets.
type App struct {
	App       string `json:"app" doc:"Its id."`
	Managed   bool   `json:"managed" doc:"Whether this API can change it; others are the configuration's."`
	Disabled  bool   `json:"disabled" doc:"Whether all its users are refused."`
	Anonymous bool   `json:"anonymous" doc:"Whether users come in without a token."`
}

func (a *API) appOf(app *auth.App) App {
	return App{App: app.ID, Managed: !a.opts.Apps.Configured(app.ID), Disabled: app.Disabled, Anonymous: app.Anonymous}
}

func (a *API) appOperations() {
	register(a, operation{
		id: "list-apps", method: http.MethodGet, path: "/apps", tag: "apps", need: Read,
		summary: "List apps", text: "Those that the key is for, by id.",
	}, a.listApps)
	register(a, operation{
		id: "get-app", method: http.MethodGet, path: "/apps/{app}", tag: "apps", need: Read, summary: "Get an app",
	}, a.getApp)
}

type listAppsInput struct {
	Cursor string `query:"cursor" maxLength:"63" doc:"Where to go on: the next of the answer before. Absent: the beginning."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type listAppsOutput struct {
	Body struct {
		Apps []App  `json:"apps" nullable:"false"`
		Next string `json:"next,omitempty" doc:"The cursor that goes on; absent at the end."`
	}
}

func (a *API) listApps(ctx context.Context, in *listAppsInput) (*listAppsOutput, error) {
	who := callOf(ctx).principal
	out := new(listAppsOutput)
	out.Body.Apps = []App{}
	apps := a.opts.Apps.Apps()
	for i := range apps {
		if apps[i].ID <= in.Cursor || !who.sees(apps[i].ID) {
			continue
		}
		if len(out.Body.Apps) == in.Limit {
			out.Body.Next = out.Body.Apps[in.Limit-1].App
			break
		}
		out.Body.Apps = append(out.Body.Apps, a.appOf(&apps[i]))
	}
	return out, nil
}

type appOutput struct{ Body App }

func (a *API) getApp(_ context.Context, in *struct{ AppPath }) (*appOutput, error) {
	app, ok := a.opts.Apps.App(in.App)
	if !ok {
		return nil, missing()
	}
	return &appOutput{a.appOf(app)}, nil
}
