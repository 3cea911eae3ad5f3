package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// asked is an app with a backend, which says what its test says.
type asked struct {
	*auth.Directory
	server   *httptest.Server
	registry *prometheus.Registry
	count    atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc]
}

func newAsked(t *testing.T, change ...func(*auth.App)) *asked {
	t.Helper()
	a := &asked{registry: prometheus.NewPedanticRegistry()}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.count.Add(1)
		(*a.answer.Load())(w, r)
	}))
	t.Cleanup(a.server.Close)
	app := auth.App{
		ID: "x", Policy: auth.Policy{MaxCapacity: 10},
		Hook: auth.Hook{URL: a.server.URL + "/auth", Secrets: []auth.Secret{webhookSecret}, Timeout: auth.Duration(5 * time.Second), Join: auth.On},
	}
	for _, c := range change {
		c(&app)
	}
	a.Directory = mustDirectory(t, auth.Options{Apps: []auth.App{app, {ID: "plain", Anonymous: true}}, Loopback: true, Registerer: a.registry})
	return a
}

func (a *asked) says(text string) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	a.answer.Store(&handler)
}

func (a *asked) handles(handler http.HandlerFunc) { a.answer.Store(&handler) }

func (a *asked) connect(t *testing.T) (*auth.Identity, error) {
	return a.Authorise(t.Context(), auth.Connect{App: "x", Token: "cookie", Name: "Ada"})
}

func TestBackendSaysWhoAClientIs(t *testing.T) {
	a := newAsked(t)
	a.says(`{"allow":true,"user":"u-1","rooms":[{"room":"team-*","can":["publish","moderate"]}],"lifetime":"10m","capacity":4}`)
	id, err := a.connect(t)
	require.NoError(t, err)
	require.Equal(t, &auth.Identity{
		App: "x", User: "u-1", Name: "Ada", Grants: []auth.Grant{{Room: "team-*", Can: auth.Permissions{Publish: true, Moderate: true}}},
		Issued: noon, Expires: noon.Add(10 * time.Minute), Policy: auth.Policy{Capacity: 4, MaxCapacity: 10},
	}, id)
	require.NoError(t, a.AuthoriseJoin(t.Context(), id, "s", "team-1"))
	a.says(`{"allow":true,"user":"u-1","name":"Countess"}`)
	id, err = a.connect(t)
	require.NoError(t, err)
	require.Equal(t, "Countess", id.Name)
	require.Equal(t, noon.Add(24*time.Hour), id.Expires)
	require.Empty(t, id.Grants, "who is given no room may enter none")

	a.says(`{"allow":false,"reason":"pay first"}`)
	_, err = a.connect(t)
	requireRefused(t, auth.ReasonDenied, err)
	require.ErrorContains(t, err, "pay first")
	requireRefused(t, auth.ReasonDenied, a.AuthoriseJoin(t.Context(), id, "s", "team-1"))
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		a.handles(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err = a.connect(t)
		requireRefused(t, auth.ReasonDenied, err)
	}

	a.says(`{"allow":true,"user":"u-1"}`)
	a.Revoke(auth.Revocation{App: "x", User: "u-1", At: noon, Until: noon.Add(time.Hour)})
	_, err = a.connect(t)
	requireRefused(t, auth.ReasonRevoked, err)
	require.True(t, a.Hooked("x"))
	require.True(t, a.JoinsAsked("x"))
	require.False(t, a.Hooked("plain"))
	require.False(t, a.JoinsAsked("none"))
	_, err = a.Authorise(t.Context(), auth.Connect{App: "plain"})
	requireRefused(t, auth.ReasonAnonymous, err)
	_, err = a.Authorise(t.Context(), auth.Connect{App: "none"})
	requireRefused(t, auth.ReasonUnknownApp, err)
	_, err = a.Authorise(t.Context(), auth.Connect{App: "x", Token: strings.Repeat("x", 9000)})
	requireRefused(t, auth.ReasonTooLarge, err)
	problems, err := testutil.GatherAndLint(a.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// What is asked is signed, so that nobody else can ask, as Standard Webhooks says.
func TestQuestionsAreSigned(t *testing.T) {
	second := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another secret of 32 bytes......"))
	a := newAsked(t, func(app *auth.App) { app.Hook.Secrets = append(app.Hook.Secrets, auth.Secret(second)) })
	a.handles(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var want []string
		for _, key := range []string{"012345678901234567890123", "another secret of 32 bytes......"} {
			mac := hmac.New(sha256.New, []byte(key))
			fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
			want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
		var question struct {
			Type, Timestamp string
			Data            map[string]string
		}
		signed := r.Method == http.MethodPost && r.URL.Path == "/auth" && r.Header.Get("Content-Type") == "application/json" &&
			r.Header.Get("Webhook-Timestamp") == fmt.Sprint(noon.Unix()) && r.Header.Get("Webhook-Signature") == strings.Join(want, " ")
		if json.Unmarshal(body, &question) == nil && signed && question.Type == "auth.connect" && question.Data["token"] == "cookie" {
			_, _ = io.WriteString(w, `{"allow":true,"user":"u"}`)
		}
	})
	_, err := a.connect(t)
	require.NoError(t, err)
}

// Each is an answer that lets nobody in, though it does not say no.
func TestBackendWithoutAnAnswer(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow":true,"user":"u"}`)
	}))
	defer elsewhere.Close()
	for name, text := range map[string]string{
		"Nothing": "", "NotJSON": "ok", "Null": "null", "NoWord": `{"user":"u"}`, "Word": `{"allow":"true","user":"u"}`, "NoUser": `{"allow":true}`,
		"Twice": `{"allow":false,"allow":true,"user":"u"}`, "Misspelt": `{"allow":true,"user":"u","grants":[]}`,
		"Rooms": `{"allow":true,"user":"u","rooms":[{"room":"a*b"}]}`, "Can": `{"allow":true,"user":"u","rooms":[{"room":"a","can":["all"]}]}`,
		"Name": `{"allow":true,"user":"u","name":"a\nb"}`, "Lifetime": `{"allow":true,"user":"u","lifetime":"25h"}`,
		"Capacity": `{"allow":true,"user":"u","capacity":11}`, "Huge": `{"allow":true,"user":"u","name":"` + strings.Repeat("x", 100<<10) + `"}`,
	} {
		a := newAsked(t)
		a.says(text)
		_, err := a.connect(t)
		require.ErrorIs(t, err, auth.ErrNoAnswer, name)
		require.NotErrorIs(t, err, new(auth.Error), name)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"Error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"Redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"Hangs": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // the server looks for the end of the connection behind it
			<-r.Context().Done()
		},
	} {
		a := newAsked(t, func(app *auth.App) { app.Hook.Timeout = auth.Duration(100 * time.Millisecond) })
		a.handles(handler)
		begun := time.Now()
		_, err := a.connect(t)
		require.ErrorIs(t, err, auth.ErrNoAnswer, name)
		require.Less(t, time.Since(begun), 4*time.Second)
	}
}

// A backend that fails is left alone for a while; meanwhile joins are as the app says.
func TestFailingBackendIsLeftAlone(t *testing.T) {
	for _, failing := range []auth.Failing{"", auth.FailOpen} {
		a := newAsked(t, func(app *auth.App) { app.Hook.Failing = failing })
		a.handles(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		for range 20 {
			_, err := a.connect(t)
			require.ErrorIs(t, err, auth.ErrNoAnswer)
		}
		require.EqualValues(t, 5, a.count.Load())
		err := a.AuthoriseJoin(t.Context(), &auth.Identity{App: "x", User: "u"}, "s", "r")
		if failing == auth.FailOpen {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, auth.ErrNoAnswer)
		}
		require.EqualValues(t, 5, a.count.Load())
	}
}

func TestHookRefused(t *testing.T) {
	whole := auth.Hook{URL: "https://a.example", Secrets: []auth.Secret{webhookSecret}}
	with := func(change func(*auth.Hook)) auth.Hook {
		hook := whole
		change(&hook)
		return hook
	}
	for _, tt := range []struct {
		hook auth.Hook
		want string
	}{
		{with(func(h *auth.Hook) { h.URL = "" }), "url is missing"},
		{with(func(h *auth.Hook) { h.URL = "http://a.example" }), "a url is https"},
		{with(func(h *auth.Hook) { h.Secrets = nil }), "0 secrets"},
		{with(func(h *auth.Hook) { h.Secrets = []auth.Secret{"whsec_x"} }), "24 to 64 bytes"},
		{with(func(h *auth.Hook) { h.Timeout = auth.Duration(time.Minute) }), "a timeout of 1m is not 100ms to 10s"},
		{with(func(h *auth.Hook) { h.Join = "yes" }), `join is "yes"`},
		{with(func(h *auth.Hook) { h.Failing = "maybe" }), `failing is "maybe", not closed or open`},
	} {
		app := auth.App{ID: "x", Hook: tt.hook}
		require.ErrorContains(t, app.Validate(), tt.want)
	}
	app := auth.App{ID: "x", Hook: whole}
	require.NoError(t, app.Validate())
}
