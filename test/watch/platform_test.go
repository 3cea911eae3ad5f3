package watch

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

const (
	operatorKey = "the-key-of-the-operator-of-this-cluster"
	hookSecret  = auth.Secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")
)

// newBackend is that of the apps: it publishes keys, says who people are, and takes webhooks. Its certificate is trusted by this
// process from here on.
func newBackend(tb testing.TB) string {
	tb.Helper()
	paths := http.NewServeMux()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	paths.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"one","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	})
	paths.HandleFunc("/hook", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if strings.Contains(string(text), "stranger") {
			_, _ = io.WriteString(w, `{"allow":false,"reason":"nobody of ours"}`)
			return
		}
		_, _ = io.WriteString(w, `{"allow":true,"user":"u-1","rooms":[{"room":"*","can":["publish"]}]}`)
	})
	paths.Handle("/events", &receiver{refused: make(map[string]bool)})
	paths.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	backend := httptest.NewTLSServer(paths)
	tb.Cleanup(backend.Close)
	file := filepath.Join(tb.TempDir(), "backend.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: backend.Certificate().Raw})
	require.NoError(tb, os.WriteFile(file, text, 0o600))
	tb.Setenv("SSL_CERT_FILE", file)
	return backend.URL
}

// receiver takes webhooks: one post of five only when it comes again.
type receiver struct {
	mu      sync.Mutex
	posts   int
	refused map[string]bool // by the events' ids
}

func (re *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var told webhook.Payload
	if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	re.mu.Lock()
	defer re.mu.Unlock()
	re.posts++
	again := slices.ContainsFunc(told.Events, func(e webhook.Event) bool { return re.refused[e.ID] })
	if again || re.posts%5 != 0 {
		return
	}
	for _, e := range told.Events {
		re.refused[e.ID] = true
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// serveApps gives a gateway two apps with a backend beside the demo, and a server API.
func serveApps(config *app.Config, backend string) {
	everything := []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true, Moderate: true}}}
	config.API.Address, config.API.Keys = "127.0.0.1:0", []app.APIKey{{ID: "operator", Secret: operatorKey, Can: "admin"}}
	config.Webhooks.AllowNetworks = []string{"127.0.0.0/8"}
	config.Apps = []auth.App{
		{
			ID: "acme", Anonymous: true, AnonymousGrants: everything, Policy: auth.Policy{Capacity: 2, Waiting: 10},
			Quotas: auth.Quotas{
				Connections: 8, Rooms: 60, Members: 8, MessagesPerSecond: 60,
				PerSession: auth.RateQuotas{MessagesPerSecond: 10}, PerIP: auth.HolderQuotas{Connections: 50},
			},
			Negotiation: auth.Negotiation{Mode: auth.NegotiationObserve, HidePrivate: auth.On},
			Webhooks: []auth.Webhook{
				{ID: "billing", URL: backend + "/events", Secrets: []auth.Secret{hookSecret}},
				{ID: "former", URL: backend + "/gone", Secrets: []auth.Secret{hookSecret}},
			},
		},
		{
			ID: "umbra", JWKS: auth.JWKS{URL: backend + "/keys"},
			Hook: auth.Hook{URL: backend + "/hook", Secrets: []auth.Secret{hookSecret}, Join: auth.On},
		},
	}
}

// api makes a request to the server API, of one gateway and the other, and gives the status of the answer.
func (c *cluster) api(ctx context.Context, key, method, path, body string, header ...string) (int, error) {
	gateway := c.gateways[c.asked.Add(1)%int64(len(c.gateways))]
	request, err := http.NewRequestWithContext(ctx, method, "http://"+gateway.APIAddr().String()+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := (&http.Client{Timeout: patience}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// manage is an app's backend that has a room made, asks it to be made once more, says something there, and ends it.
func (c *cluster) manage(ctx context.Context) error {
	room := fmt.Sprint("meeting-", c.meetings.Add(1))
	for _, step := range []struct {
		method, path, body string
		want               int
		header             []string
	}{
		{"POST", "/rooms", `{"room":"` + room + `"}`, http.StatusCreated, []string{"Idempotency-Key", room}},
		{"POST", "/rooms", `{"room":"` + room + `"}`, http.StatusCreated, []string{"Idempotency-Key", room}},
		{"GET", "/rooms", "", http.StatusOK, nil},
		{"POST", "/rooms/" + room + "/messages", `{"topic":"notice","data":{"text":"welcome"}}`, http.StatusOK, nil},
		{"GET", "/rooms/" + room + "/members/nobody", "", http.StatusNotFound, nil},
		{"DELETE", "/rooms/" + room, "", http.StatusOK, nil},
	} {
		got, err := c.api(ctx, operatorKey, step.method, "/v1/apps/umbra"+step.path, step.body, step.header...)
		if err == nil && got != step.want {
			err = fmt.Errorf("%s %s: %d", step.method, step.path, got)
		}
		if err != nil {
			return err
		}
	}
	got, err := c.api(ctx, "a-key-that-somebody-has-guessed-wrongly", "GET", "/v1/nodes", "")
	if err == nil && got != http.StatusUnauthorized {
		err = fmt.Errorf("a wrong key: %d", got)
	}
	return err
}

// follow is an operator who sees to it that an app and a room are there, sends a user away, and looks on the room for a while.
func (c *cluster) follow(ctx context.Context) error {
	for _, step := range []struct {
		path, body string
		want       []int
	}{
		{"", `{"id":"initech","anonymous":true}`, []int{http.StatusCreated, http.StatusConflict}},
		{"/umbra/rooms", `{"room":"followed","keep":3600}`, []int{http.StatusCreated, http.StatusConflict}},
		{"/acme/users/nobody/revoke", "", []int{http.StatusNoContent}},
	} {
		got, err := c.api(ctx, operatorKey, "POST", "/v1/apps"+step.path, step.body)
		if err == nil && !slices.Contains(step.want, got) {
			err = fmt.Errorf("POST %s: %d", step.path, got)
		}
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := c.api(ctx, operatorKey, "GET", "/v1/apps/umbra/rooms/followed/events", ""); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("following a room has ended: %w", err)
	}
	return nil
}

// crowd are three people of an app who talk more than it may, of whom the third waits for a seat.
func (c *cluster) crowd(ctx context.Context) error {
	room := fmt.Sprint("crowd-", c.meetings.Add(1))
	var people []*client.Client
	for i := range 3 {
		person, err := client.Dial(ctx, client.Options{URL: c.url(i), App: "acme", Name: "Dan"})
		if err != nil {
			return over(err)
		}
		defer person.Close()
		people = append(people, person)
	}
	for _, person := range people[:2] {
		if _, err := person.Join(ctx, wire.Join{Room: room}); err != nil {
			return over(err)
		}
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := people[2].Join(ctx, wire.Join{Room: room, Wait: true})
		waiting <- err
	}()
	for _, candidate := range []string{"10.0.0.7 50000 typ host", "192.0.2.7 50001 typ srflx raddr 0.0.0.0 rport 0"} {
		data := []byte(`{"candidate":{"candidate":"candidate:1 1 udp 2113937151 ` + candidate + `","sdpMid":"0","sdpMLineIndex":0}}`)
		if _, err := people[0].Signal(ctx, wire.Signal{Room: room, To: people[1].Welcome().Session, Data: data}); over(err) != nil {
			return err
		}
	}
	for range 12 {
		if _, err := people[0].Publish(ctx, wire.Publish{Room: room, Topic: "chat", Data: []byte(`{"text":"listen"}`)}); over(err) != nil {
			return err
		}
	}
	if err := people[0].Report(ctx, wire.Report{Room: room, Peer: people[1].Welcome().Session, Outcome: "connected", Milliseconds: 200, Local: "host", Remote: "host", Protocol: "udp"}); err != nil {
		return err
	}
	people[1].Close()
	return over(<-waiting)
}

// over passes over what was refused for a quota.
func over(err error) error {
	var refused *wire.Error
	if errors.As(err, &refused) && (refused.Code == wire.CodeRateLimited || refused.Code == wire.CodeLimit) {
		return nil
	}
	return err
}

// ask is somebody whom an app's backend lets in, and one whom it does not.
func (c *cluster) ask(ctx context.Context) error {
	known, err := client.Dial(ctx, client.Options{URL: c.url(0), App: "umbra", Name: "Eve"})
	if err != nil {
		return err
	}
	defer known.Close()
	if _, err := known.Join(ctx, wire.Join{Room: "umbra"}); err != nil {
		return err
	}
	if _, err := client.Dial(ctx, client.Options{URL: c.url(1), App: "umbra", Name: "stranger"}); err == nil {
		return errors.New("a stranger was let in")
	}
	return nil
}
