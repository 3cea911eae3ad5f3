package httpapi_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// iceServers is the answer to ice-servers.
type iceServers struct {
	ICEServers []httpapi.ICEServer `json:"iceServers"`
	TTL        int                 `json:"ttl"`
	Expires    *time.Time          `json:"expires"`
}

func TestICEServers(t *testing.T) {
	const turnSecret, path = "nova and its TURN server know it", "/v1/apps/nova/ice-servers"
	s := start(t, nil)
	var all iceServers
	s.ask(t, acmeKey, "GET", "/v1/apps/acme/ice-servers", "").ok(200, &all)
	require.Equal(t, iceServers{ICEServers: []httpapi.ICEServer{{URLs: []string{"stun:stun.example.com:3478"}}}}, all)

	for _, wrong := range []string{
		`{"servers":[{"urls":["turn:a.example"]}]}`, `{"servers":[{"urls":["http://a.example"]}]}`, `{"servers":[{"urls":["turn:a.example"],"secret":"short"}]}`,
		`{"ttl":"1s"}`, `{"inherit":"no"}`,
	} {
		s.ask(t, operatorKey, "POST", "/v1/apps", `{"id":"nova","ice":`+wrong+`}`).problem(422, httpapi.CodeInvalid)
	}
	made := s.ask(t, operatorKey, "POST", "/v1/apps",
		`{"id":"nova","ice":{"servers":[{"urls":["turn:nova.example"],"secret":"`+turnSecret+`"}],"ttl":"20m"}}`).ok(201, nil)
	shown := s.ask(t, operatorKey, "GET", "/v1/apps/nova", "").ok(200, nil)
	for _, text := range []string{string(made.body), string(shown.body)} {
		require.NotContains(t, text, turnSecret)
		require.Contains(t, text, `"secret":"(hidden)"`)
	}
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"ice":{"servers":[{"urls":["turn:nova.example"],"secret":"(hidden)"}]}}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, operatorKey, "PATCH", "/v1/apps/nova", `{"ice":{"inherit":"off"},"policy":{"relay_only":"on"}}`).ok(200, nil)

	asked := time.Now()
	for _, user := range []string{"ann", ""} {
		query := ""
		if user != "" {
			query = "?user=" + user
		}
		var got iceServers
		s.ask(t, operatorKey, "GET", path+query, "").ok(200, &got)
		require.Len(t, got.ICEServers, 1, "what is not named stays, and none is ours")
		server := got.ICEServers[0]
		require.Equal(t, turncred.Password(turnSecret, server.Username), server.Credential)
		name, err := turncred.Parse(server.Username)
		require.NoError(t, err)
		require.Equal(t, turncred.Name{Expires: name.Expires, App: "nova", User: turncred.Pseudonym(turnSecret, "nova", user)}, name)
		require.True(t, got.Expires.Equal(name.Expires))
		require.WithinDuration(t, asked.Add(20*time.Minute), *got.Expires, time.Minute)
		require.Equal(t, 1200, got.TTL)
	}
	s.ask(t, readerKey, "GET", path, "").problem(403, "forbidden")
	s.ask(t, acmeKey, "GET", path, "").problem(404, httpapi.CodeNotFound)
	s.ask(t, operatorKey, "GET", "/v1/apps/nowhere/ice-servers", "").problem(404, httpapi.CodeNotFound)
}
