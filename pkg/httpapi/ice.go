package httpapi

import (
	"context"
	"net/http"
	"time"
)

func (a *API) iceOperations() {
	register(a, operation{
		id: "ice-servers", method: http.MethodGet, path: "/apps/{app}/ice-servers", tag: "tokens", need: Write,
		summary: "Get the STUN and TURN servers", text: "As the app's clients are told about them, with credentials that are made now.",
	}, a.iceServers)
}

// ICEServer is a STUN or TURN server, as RTCIceServer of the WebRTC specification.
type ICEServer struct {
	URLs       []string `json:"urls" nullable:"false"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

type iceServersInput struct {
	AppPath
	User string `query:"user" maxLength:"128" doc:"Whom the credentials are for: the app's own id of the user. Absent: nobody in particular."`
}

type iceServersOutput struct {
	Body struct {
		ICEServers []ICEServer `json:"iceServers" nullable:"false"`
		TTL        int         `json:"ttl,omitempty" minimum:"1" doc:"For how many seconds the credentials are good. Absent: they are always the same."`
		Expires    *time.Time  `json:"expires,omitempty" doc:"When the first of the credentials ends to be good. Absent: none does."`
	}
}

func (a *API) iceServers(_ context.Context, in *iceServersInput) (*iceServersOutput, error) {
	if _, ok := a.opts.Apps.ICE(in.App); !ok {
		return nil, missing()
	}
	grant := a.opts.ICE.Issue(in.App, in.User)
	out := new(iceServersOutput)
	out.Body.ICEServers = make([]ICEServer, len(grant.Servers))
	for i, server := range grant.Servers {
		out.Body.ICEServers[i] = ICEServer{URLs: server.URLs, Username: server.Username, Credential: server.Credential}
	}
	if !grant.Expires.IsZero() {
		expires := grant.Expires.UTC()
		out.Body.TTL, out.Body.Expires = int(grant.TTL/time.Second), &expires
	}
	return out, nil
}
