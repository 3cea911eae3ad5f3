package httpapi

import (
	"context"
	"net/http"
)

func (a *API) ownKeyOperations() {
	register(a, operation{
		id: "get-own-key", method: http.MethodGet, path: "/key", tag: "cluster", need: Read,
		summary: "Get what the key may do", text: "The one that asks.",
	}, a.getOwnKey)
}

type ownKeyOutput struct {
	Body struct {
		ID      string   `json:"id" doc:"The key's id, as in the audit log."`
		Can     string   `json:"can" enum:"read,write,admin" doc:"What it may do."`
		All     bool     `json:"all" doc:"Whether it is for all apps, and what belongs to none."`
		Apps    []string `json:"apps" nullable:"false" doc:"The apps that it is for; empty if it is for all."`
		Version string   `json:"version" doc:"The version of the gateway that answers."`
		Pages   bool     `json:"pages" doc:"Whether the gateway's own pages may change things with it (api.console.writes)."`
	}
}

func (a *API) getOwnKey(ctx context.Context, _ *struct{}) (*ownKeyOutput, error) {
	who := callOf(ctx).principal
	out := new(ownKeyOutput)
	out.Body.ID, out.Body.Can, out.Body.All, out.Body.Version = who.id, who.can.String(), who.all, a.opts.Version
	out.Body.Apps = append([]string{}, who.apps...)
	out.Body.Pages = a.opts.Pages && who.can >= Write
	return out, nil
}
