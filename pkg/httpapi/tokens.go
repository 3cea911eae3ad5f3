package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (a *API) tokenOperations() {
	register(a, operation{
		id: "create-token", method: http.MethodPost, path: "/apps/{app}/tokens", tag: "tokens", need: Write, status: http.StatusCreated, once: true,
		summary: "Mint a token", text: "With a key of the app's that has a secret (HS256): the first one that has not expired, unless one is named. It ends with its key at the latest.",
		codes: []wire.Code{wire.CodeConflict, wire.CodeLimit, CodeInvalid},
	}, a.createToken)
}

// TokenGrant lets a user into rooms.
type TokenGrant struct {
	Room string   `json:"room" minLength:"1" maxLength:"129" pattern:"^[A-Za-z0-9._~-]*[*]?$" doc:"A name, or how names begin and a star for the rest: team-*. The star alone is every room."`
	Can  []string `json:"can,omitempty" enum:"publish,moderate,capacity" maxItems:"3" doc:"publish: speak to others; moderate: lock, mute, kick and more; capacity: choose how many seats a new room has. Absent: publish. Empty: only listen."`
}

func (g *TokenGrant) grant() auth.Grant {
	grant := auth.Grant{Room: g.Room, Can: auth.Permissions{Publish: g.Can == nil}}
	for _, word := range g.Can {
		switch word {
		case "publish":
			grant.Can.Publish = true
		case "moderate":
			grant.Can.Moderate = true
		case "capacity":
			grant.Can.SetCapacity = true
		}
	}
	return grant
}

// maxTokenLife bounds a token in time, unless the app's max_lifetime is less: [auth.DefaultMaxLifetime].
const maxTokenLife = auth.DefaultMaxLifetime

type createTokenInput struct {
	AppPath
	Body struct {
		User      string       `json:"user" minLength:"1" maxLength:"128" doc:"The app's own id of the user."`
		Name      string       `json:"name,omitempty" maxLength:"128" doc:"What others see as the user's name."`
		Rooms     []TokenGrant `json:"rooms" minItems:"1" maxItems:"64" nullable:"false" doc:"Where the user may go, and what the user may do there."`
		ExpiresIn int          `json:"expiresIn,omitempty" minimum:"1" maximum:"86400" default:"600" doc:"For how many seconds it is good. The connection ends with it, unless it is refreshed."`
		Key       string       `json:"key,omitempty" maxLength:"128" doc:"The id of the key to sign with."`
	}
}

type createTokenOutput struct {
	Body struct {
		Token   string    `json:"token" doc:"What the client says hello with."`
		Key     string    `json:"key" doc:"The id of the key that has signed it."`
		Expires time.Time `json:"expires" doc:"When it ends to be good."`
	}
}

func (a *API) createToken(_ context.Context, in *createTokenInput) (*createTokenOutput, error) {
	app, ok := a.opts.Apps.App(in.App)
	if !ok {
		return nil, missing()
	}
	now := time.Now()
	key := signingKey(app, in.Body.Key, now)
	if key == nil {
		return nil, newProblem(wire.CodeConflict, "the app has no such key with a secret: add one, or mint tokens with the private key")
	}
	life := time.Duration(in.Body.ExpiresIn) * time.Second
	most := time.Duration(app.MaxLifetime)
	if most == 0 {
		most = maxTokenLife
	}
	if life > most {
		return nil, newProblem(wire.CodeLimit, "a token of this app is good for at most "+auth.Duration(most).String())
	}
	claims := auth.Claims{
		App: in.App, User: in.Body.User, Name: in.Body.Name, IssuedAt: now, Expires: now.Add(life), Issuer: app.Issuer,
	}
	if ends := key.Expires.Time(); !ends.IsZero() && ends.Before(claims.Expires) {
		claims.Expires = ends // what is signed by a key counts as long as that
	}
	if app.Audience != "" {
		claims.Audience = []string{app.Audience}
	}
	for i := range in.Body.Rooms {
		claims.Grants = append(claims.Grants, in.Body.Rooms[i].grant())
	}
	token, err := auth.Sign(auth.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Secret: key.Secret}, claims)
	if err != nil { // the key is one of the app's, and so the claims are what is not valid
		return nil, newProblem(CodeInvalid, "a user is 1 to 128 printable characters, a name up to 128, and a room as the grants describe it")
	}
	out := new(createTokenOutput)
	out.Body.Token, out.Body.Key, out.Body.Expires = token, key.ID, claims.Expires.UTC().Truncate(time.Second)
	return out, nil
}

// signingKey is the app's key of an id, or its first one, that can sign here now; nil if there is none.
func signingKey(app *auth.App, id string, now time.Time) *auth.Key {
	for i := range app.Keys {
		if key := &app.Keys[i]; key.Algorithm == auth.HS256 && (id == "" || key.ID == id) && !key.Expires.Over(now) {
			return key
		}
	}
	return nil
}
