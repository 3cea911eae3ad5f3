package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
)

// description is what the tests read of the served description.
type description struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]json.RawMessage
	}
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   json.RawMessage
	}
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema json.RawMessage }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
}

func (s *server) description(t *testing.T) *description {
	t.Helper()
	var d description
	s.ask(t, "", "GET", "/v1/openapi.json", "").ok(200, &d)
	require.NotEmpty(t, d.Paths)
	return &d
}

var pathParameter = regexp.MustCompile(`\{[a-z]+\}`)

// A key of one app that tries everything there is on another app gets, from each operation, the very answer that an app gets
// that does not exist: the same status, the same bytes, the same headers.
func TestIsolation(t *testing.T) {
	s := start(t, nil)
	s.join(t, "umbra", "lobby", "peer", "ann")
	s.ask(t, umbraKey, "POST", "/v1/apps/umbra/rooms", `{"room":"secret","properties":{"x":"hush"}}`).ok(201, nil)
	bodies := map[string]string{
		"create-room": `{"room":"lobby"}`, "update-room": `{"locked":true,"version":1}`, "post-to-room": `{"data":1}`, "post-to-user": `{"data":1}`,
		"post-to-app": `{"data":1}`, "create-token": `{"user":"ann","rooms":[{"room":"*"}]}`, "mute-member": `{"kind":"audio"}`, "unmute-member": `{"kind":"audio"}`,
		"update-app": `{"disabled":true}`, "create-key": `{}`, "create-api-key": `{"can":"admin"}`, "replay-dead-letters": `{}`,
		"mute-all": `{"kind":"audio"}`, "unmute-all": `{"kind":"audio"}`, "move-member": `{"room":"secret"}`,
	}
	names := map[string]string{"{topic}": "chat", "{seq}": "1", "{room}": "lobby", "{peer}": "peer", "{user}": "ann", "{session}": "peer", "{key}": "k1", "{node}": "node-of-the-tests"}
	tried := 0
	for path, operations := range s.description(t).Paths {
		for method, op := range operations {
			if !strings.Contains(path, "{app}") {
				continue
			}
			tried++
			ask := func(key, app string) *reply {
				at := pathParameter.ReplaceAllStringFunc(path, func(name string) string {
					if name == "{app}" {
						return app
					}
					require.Contains(t, names, name)
					return names[name]
				})
				return s.ask(t, key, strings.ToUpper(method), at, bodies[op.OperationID], "If-Match", "*")
			}
			foreign, none := ask(acmeKey, "umbra"), ask(acmeKey, "nobody")
			none.problem(404, httpapi.CodeNotFound)
			require.Equal(t, none.status, foreign.status, op.OperationID)
			require.Equal(t, string(none.body), string(foreign.body), op.OperationID)
			require.Equal(t, withoutDate(none.header), withoutDate(foreign.header), op.OperationID)
			reader := ask(acmeReader, "umbra")
			require.Equal(t, string(none.body), string(reader.body), "%s: not even what it would need is told", op.OperationID)
		}
	}
	require.Greater(t, tried, 20)

	// Nothing of it has happened, and no list has the other app.
	var room httpapi.Room
	s.ask(t, umbraKey, "GET", "/v1/apps/umbra/rooms/lobby", "").ok(200, &room)
	require.Equal(t, 1, room.Members)
	require.Equal(t, int64(1), room.Seq)
	for _, path := range []string{"/v1/apps", rooms, "/v1/apps/acme/statistics", "/v1/apps/acme/users/ann/rooms"} {
		text := string(s.ask(t, acmeKey, "GET", path, "").ok(200, nil).body)
		for _, word := range []string{"umbra", "lobby", "secret", "hush"} {
			require.NotContains(t, text, word, path)
		}
	}
	var apps struct{ Apps []httpapi.AppSummary }
	s.ask(t, acmeKey, "GET", "/v1/apps", "").ok(200, &apps)
	require.True(t, slices.IndexFunc(apps.Apps, func(a httpapi.AppSummary) bool { return a.ID == "acme" }) == 0 && len(apps.Apps) == 1)
	families, err := s.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "signalbox_api_") {
			require.NotContains(t, family.String(), "umbra", "no label has an app")
		}
	}
}

func withoutDate(header http.Header) http.Header {
	copied := header.Clone()
	copied.Del("Date")
	return copied
}
