package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (a *API) appKeyOperations() {
	register(a, operation{
		id: "list-keys", method: http.MethodGet, path: "/apps/{app}/keys", tag: "apps", need: Read,
		summary: "List the keys that sign an app's tokens", text: "Without their secrets.",
	}, a.listKeys)
	register(a, operation{
		id: "create-key", method: http.MethodPost, path: "/apps/{app}/keys", tag: "apps", need: Admin, status: http.StatusCreated, once: true,
		summary: "Add a key that signs tokens", text: "HS256 makes a secret, which is shown this once; the others take your public key.",
		codes: []wire.Code{wire.CodeConflict, CodeInvalid},
	}, a.createKey)
	register(a, operation{
		id: "delete-key", method: http.MethodDelete, path: "/apps/{app}/keys/{key}", tag: "apps", need: Admin,
		summary: "Delete a key that signs tokens", text: "What it has signed is refused from then on; connections that there are stay.",
		codes: []wire.Code{wire.CodeConflict, CodeInvalid},
	}, a.deleteKey)
	register(a, operation{
		id: "list-api-keys", method: http.MethodGet, path: "/apps/{app}/api-keys", tag: "apps", need: Read,
		summary: "List an app's keys of this API", text: "Only hashes of them are kept, and not shown.",
	}, a.listAPIKeys)
	register(a, operation{
		id: "create-api-key", method: http.MethodPost, path: "/apps/{app}/api-keys", tag: "apps", need: Admin, status: http.StatusCreated, once: true,
		summary: "Add a key of this API", text: "It is for this app alone, and is shown this once.", codes: []wire.Code{wire.CodeConflict, CodeInvalid},
	}, a.createAPIKey)
	register(a, operation{
		id: "delete-api-key", method: http.MethodDelete, path: "/apps/{app}/api-keys/{key}", tag: "apps", need: Admin,
		summary: "Delete a key of this API", codes: []wire.Code{wire.CodeConflict, CodeInvalid},
	}, a.deleteAPIKey)
}

// SigningKey is a key that signs an app's tokens, without what is secret.
type SigningKey struct {
	ID        string `json:"id" doc:"What the kid header of a token says."`
	Algorithm string `json:"algorithm" doc:"HS256, RS256, ES256 or EdDSA."`
	PublicKey string `json:"public_key,omitempty" doc:"One PEM block, but for HS256."`
	Expiry
}

// Expiry is when a key ends to count.
type Expiry struct {
	Expires *time.Time `json:"expires,omitempty" doc:"When the key ends to count, in whole seconds. Absent: never."`
}

func expiryOf(t auth.Time) Expiry {
	if t == 0 {
		return Expiry{}
	}
	return Expiry{new(t.Time())}
}

// of gives the instant of a key that is about to be made. One that has expired already is most likely a mistake.
func (e *Expiry) of() (auth.Time, error) {
	if e.Expires == nil {
		return 0, nil
	}
	t := auth.TimeOf(*e.Expires)
	if *e.Expires = t.Time(); t <= 0 || t.Over(time.Now()) {
		p := newProblem(CodeInvalid, "the key would have expired already")
		p.Errors = []Fault{{Location: "body.expires", Message: "a time that is to come"}}
		return 0, p
	}
	return t, nil
}

type keysOutput struct {
	Body struct {
		Keys []SigningKey `json:"keys" nullable:"false"`
	}
}

func (a *API) listKeys(_ context.Context, in *struct{ AppPath }) (*keysOutput, error) {
	app, ok := a.opts.Apps.App(in.App)
	if !ok {
		return nil, missing()
	}
	out := new(keysOutput)
	out.Body.Keys = make([]SigningKey, len(app.Keys))
	for i := range app.Keys {
		key := &app.Keys[i]
		out.Body.Keys[i] = SigningKey{ID: key.ID, Algorithm: key.Algorithm, PublicKey: key.PublicKey, Expiry: expiryOf(key.Expires)}
	}
	return out, nil
}

type createKeyInput struct {
	AppPath
	Body struct {
		ID        string `json:"id,omitempty" maxLength:"128" pattern:"^[!-~]*$" doc:"What the kid header of tokens says. Absent: one is made."`
		Algorithm string `json:"algorithm,omitempty" enum:"HS256,RS256,ES256,EdDSA" default:"HS256"`
		PublicKey string `json:"public_key,omitempty" maxLength:"8192" doc:"One PEM block, for all but HS256."`
		Expiry
	}
}

type createKeyOutput struct {
	Body struct {
		SigningKey
		Secret string `json:"secret,omitempty" doc:"Of HS256: keep it, it is not shown again."`
	}
}

func (a *API) createKey(ctx context.Context, in *createKeyInput) (*createKeyOutput, error) {
	expires, err := in.Body.of()
	if err != nil {
		return nil, err
	}
	key := auth.Key{ID: newID(in.Body.ID), Algorithm: in.Body.Algorithm, PublicKey: in.Body.PublicKey, Expires: expires}
	out := new(createKeyOutput)
	if key.Algorithm == auth.HS256 {
		out.Body.Secret = randomText()
		key.Secret = auth.Secret(out.Body.Secret)
	}
	_, err = a.changeApp(ctx, in.App, "", func(app auth.App) (auth.App, error) {
		if slices.ContainsFunc(app.Keys, func(k auth.Key) bool { return k.ID == key.ID }) {
			return app, newProblem(wire.CodeConflict, "there is a key of this id")
		}
		app.Keys = append(app.Keys, key)
		return app, nil
	})
	if err != nil {
		return nil, err
	}
	out.Body.SigningKey = SigningKey{ID: key.ID, Algorithm: key.Algorithm, PublicKey: key.PublicKey, Expiry: in.Body.Expiry}
	return out, nil
}

// newID is an id, or a new one where none is given.
func newID(id string) string {
	const length = 12
	if id != "" {
		return id
	}
	return strings.ToLower(rand.Text()[:length])
}

// KeyPath is in the input of operations on one key.
type KeyPath struct {
	AppPath
	Key string `path:"key" doc:"The key's id." minLength:"1" maxLength:"128"`
}

func (a *API) deleteKey(ctx context.Context, in *struct{ KeyPath }) (*struct{}, error) {
	_, err := a.changeApp(ctx, in.App, "", func(app auth.App) (auth.App, error) {
		kept := slices.DeleteFunc(app.Keys, func(k auth.Key) bool { return k.ID == in.Key })
		if len(kept) == len(app.Keys) {
			return app, missing()
		}
		app.Keys = kept
		return app, nil
	})
	return nil, err
}

// AccessKey is a key of this API, without itself.
type AccessKey struct {
	ID  string   `json:"id" doc:"Its name, in the audit log too."`
	Can []string `json:"can" nullable:"false" doc:"read, write or admin."`
	Expiry
}

type apiKeysOutput struct {
	Body struct {
		Keys []AccessKey `json:"keys" nullable:"false"`
	}
}

func (a *API) listAPIKeys(_ context.Context, in *struct{ AppPath }) (*apiKeysOutput, error) {
	app, ok := a.opts.Apps.App(in.App)
	if !ok {
		return nil, missing()
	}
	out := new(apiKeysOutput)
	out.Body.Keys = make([]AccessKey, len(app.APIKeys))
	for i, key := range app.APIKeys {
		out.Body.Keys[i] = AccessKey{ID: key.ID, Can: key.Can, Expiry: expiryOf(key.Expires)}
	}
	return out, nil
}

type createAPIKeyInput struct {
	AppPath
	Body struct {
		ID  string `json:"id,omitempty" maxLength:"128" pattern:"^[!-~]*$" doc:"Its name. Absent: one is made."`
		Can string `json:"can" enum:"read,write,admin" doc:"What its bearer may do; each includes those before it."`
		Expiry
	}
}

type createAPIKeyOutput struct {
	Body struct {
		AccessKey
		Key string `json:"key" doc:"The key itself: keep it, it is not shown again."`
	}
}

func (a *API) createAPIKey(ctx context.Context, in *createAPIKeyInput) (*createAPIKeyOutput, error) {
	expires, err := in.Body.of()
	if err != nil {
		return nil, err
	}
	out := new(createAPIKeyOutput)
	out.Body.AccessKey = AccessKey{ID: newID(in.Body.ID), Can: []string{in.Body.Can}, Expiry: in.Body.Expiry}
	out.Body.Key = keyPrefix + in.App + "." + randomText()
	key := auth.APIKey{ID: out.Body.ID, Hash: auth.HashAPIKey(out.Body.Key), Can: out.Body.Can, Expires: expires}
	_, err = a.changeApp(ctx, in.App, "", func(app auth.App) (auth.App, error) {
		if slices.ContainsFunc(app.APIKeys, func(k auth.APIKey) bool { return k.ID == key.ID }) {
			return app, newProblem(wire.CodeConflict, "there is a key of this id")
		}
		app.APIKeys = append(app.APIKeys, key)
		return app, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (a *API) deleteAPIKey(ctx context.Context, in *struct{ KeyPath }) (*struct{}, error) {
	_, err := a.changeApp(ctx, in.App, "", func(app auth.App) (auth.App, error) {
		kept := slices.DeleteFunc(app.APIKeys, func(k auth.APIKey) bool { return k.ID == in.Key })
		if len(kept) == len(app.APIKeys) {
			return app, missing()
		}
		app.APIKeys = kept
		return app, nil
	})
	return nil, err
}
