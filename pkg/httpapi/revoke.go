package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (a *API) revokeOperations() {
	register(a, operation{
		id: "revoke-user", method: http.MethodPost, path: "/apps/{app}/users/{user}/revoke", tag: "users", need: Write, status: http.StatusNoContent,
		summary: "Revoke a user", text: "Sessions are closed on all gateways, and tokens that were minted up to now are refused; those that are minted from then on count.",
		codes: []wire.Code{wire.CodeLimit},
	}, func(ctx context.Context, in *struct{ UserPath }) (*struct{}, error) {
		return nil, a.revoke(ctx, store.Revocation{App: in.App, User: in.User})
	})
	register(a, operation{
		id: "revoke-session", method: http.MethodPost, path: "/apps/{app}/sessions/{session}/revoke", tag: "users", need: Write, status: http.StatusNoContent,
		summary: "Revoke a session", text: "It is closed, wherever it is, and cannot be resumed. Its id is that of the peer in each of its rooms.",
		codes: []wire.Code{wire.CodeLimit},
	}, func(ctx context.Context, in *sessionInput) (*struct{}, error) {
		return nil, a.revoke(ctx, store.Revocation{App: in.App, Session: in.Session})
	})
}

type sessionInput struct {
	AppPath
	Session string `path:"session" doc:"The session's public id." minLength:"1" maxLength:"64"`
}

// revoke revokes for as long as any token of the app can be good.
func (a *API) revoke(ctx context.Context, r store.Revocation) error {
	app, ok := a.opts.Apps.App(r.App)
	if !ok {
		return missing()
	}
	keep := time.Duration(app.MaxLifetime)
	if keep == 0 {
		keep = maxTokenLife
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return a.opts.Store.Revoke(ctx, r, keep+revokeLeeway)
}

// revokeLeeway is for clocks that do not agree.
const revokeLeeway = 5 * time.Minute
