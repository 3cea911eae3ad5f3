package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/lockedbuf"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The keys of the tests.
const (
	operatorKey = "operator-key-of-the-tests-0123456789"
	readerKey   = "reader-key-of-the-tests-0123456789"
	acmeKey     = "sbk.acme.key-of-acme-0123456789"
	acmeReader  = "sbk.acme.reader-of-acme-0123456789"
	umbraKey    = "sbk.umbra.key-of-umbra-0123456789"
	appSecret   = "a-secret-of-an-app-for-tests-0123456789"
)

// server is an API on a Redis of its own.
type server struct {
	*httptest.Server
	api      *httpapi.API
	rooms    *room.Service
	store    *store.Store
	apps     *auth.Directory
	redis    *redistest.Server
	registry *prometheus.Registry
	log      *lockedBuffer
}

// start makes a server with two apps and their keys. change may be nil.
func start(tb testing.TB, change func(*httpapi.Options)) *server {
	tb.Helper()
	redis := redistest.Single(tb)
	s := open(tb, store.Options{Addresses: []string{redis.Addr()}}, change)
	s.redis, s.Server = redis, httptest.NewServer(s.api)
	tb.Cleanup(func() {
		s.api.Close()
		s.Server.Close()
	})
	return s
}

// open makes the API of a server, which nothing listens for.
func open(tb testing.TB, redis store.Options, change func(*httpapi.Options)) *server {
	tb.Helper()
	s := &server{registry: prometheus.NewRegistry(), log: new(lockedBuffer)}
	logger := slog.New(slog.NewJSONHandler(s.log, nil))
	var err error
	s.apps, err = auth.NewDirectory(auth.Options{Apps: []auth.App{testApp("acme", acmeKey, acmeReader), testApp("umbra", umbraKey, "")}})
	require.NoError(tb, err)
	redis.Partitions, redis.Logger = 4, logger
	s.store, err = store.Open(tb.Context(), redis)
	require.NoError(tb, err)
	s.rooms, err = room.New(room.Options{Store: s.store, Node: "node-of-the-tests", Logger: logger})
	require.NoError(tb, err)
	roster, err := cluster.New(cluster.Options{
		Store: s.store, Self: cluster.Node{ID: "node-of-the-tests", Name: "one", Version: "v1", Started: 1},
		Apps: func() map[string]int { return map[string]int{"bright": 2, "umbra": 5} }, Counts: func() map[string]float64 { return map[string]float64{"joins.ok": 7} },
	})
	require.NoError(tb, err)
	opts := httpapi.Options{
		Keys: []httpapi.Key{
			{ID: "root", Hash: auth.HashAPIKey(operatorKey), Can: httpapi.Admin},
			{ID: "watcher", Hash: auth.HashAPIKey(readerKey), Can: httpapi.Read},
		},
		Refresh: s.refresh, Apps: s.apps, Rooms: s.rooms.Operator(), Store: s.store, Cluster: roster,
		AnswerKey: []byte("the-key-of-the-cluster"), Version: "v0.0.0-test", Logger: logger, Registerer: s.registry,
		RequestsPerSecond: 100000, RequestsBurst: 100000,
	}
	opts.ICE, err = ice.New(ice.Options{Apps: s.apps, Servers: []auth.ICEServerSettings{{URLs: []string{"stun:stun.example.com:3478"}}}})
	require.NoError(tb, err)
	if change != nil {
		change(&opts)
	}
	s.api, err = httpapi.New(opts)
	require.NoError(tb, err)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.store.Run(ctx) })
	running.Go(func() { _ = roster.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		running.Wait()
		_ = s.store.Close()
	})
	return s
}

// refresh is what a gateway does.
func (s *server) refresh(ctx context.Context, id string) error {
	app, err := s.store.App(ctx, id)
	if errors.Is(err, store.ErrNoApp) {
		s.apps.ManageOne(id, nil)
		return nil
	}
	if err == nil {
		s.apps.ManageOne(id, app.Data)
	}
	return err
}

func testApp(id, key, reader string) auth.App {
	app := auth.App{
		ID: id, Keys: []auth.Key{{ID: "k1", Algorithm: auth.HS256, Secret: appSecret}}, Policy: auth.Policy{Capacity: 3, MaxCapacity: 20},
		Policies: []auth.RoomPolicy{{Rooms: "silent", Policy: auth.Policy{History: -1}}},
		APIKeys:  []auth.APIKey{{ID: "main", Hash: auth.HashAPIKey(key), Can: []string{auth.APIAdmin}}},
	}
	if reader != "" {
		app.APIKeys = append(app.APIKeys, auth.APIKey{ID: "reader", Hash: auth.HashAPIKey(reader), Can: []string{auth.APIRead}})
	}
	return app
}

// reply is an answer, read to its end.
type reply struct {
	tb     testing.TB
	status int
	header http.Header
	body   []byte
}

// ask makes a request with a key; a body that is not empty is sent as JSON. headers are pairs of name and value.
func (s *server) ask(tb testing.TB, key, method, path, body string, headers ...string) *reply {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(tb, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return do(tb, s.Client(), request)
}

func do(tb testing.TB, client *http.Client, request *http.Request) *reply {
	tb.Helper()
	response, err := client.Transport.RoundTrip(request) // no redirect is followed
	require.NoError(tb, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	return &reply{tb: tb, status: response.StatusCode, header: response.Header, body: text}
}

// ok requires a status and reads the body into what is given, which may be nil.
func (r *reply) ok(status int, into any) *reply {
	r.tb.Helper()
	require.Equal(r.tb, status, r.status, string(r.body))
	if into != nil {
		require.NoError(r.tb, json.Unmarshal(r.body, into), string(r.body))
	}
	return r
}

// problem requires an answer by RFC 9457 with a code.
func (r *reply) problem(status int, code wire.Code) httpapi.Problem {
	r.tb.Helper()
	p := requireProblem(r.tb, r)
	require.Equal(r.tb, string(code), p.Code, string(r.body))
	require.Equal(r.tb, status, r.status, string(r.body))
	return p
}

// requireProblem requires what is common to all problems.
func requireProblem(tb testing.TB, r *reply) httpapi.Problem {
	tb.Helper()
	require.Equal(tb, "application/problem+json", r.header.Get("Content-Type"), "%d %s", r.status, r.body)
	require.Equal(tb, "no-store", r.header.Get("Cache-Control"))
	var p httpapi.Problem
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.DisallowUnknownFields()
	require.NoError(tb, decoder.Decode(&p), string(r.body))
	require.Equal(tb, r.status, p.Status)
	require.NotEmpty(tb, p.Title)
	require.NotEmpty(tb, p.Detail)
	require.Equal(tb, "/v1/docs#problem-"+p.Code, p.Type)
	return p
}

// join gives somebody a seat, whose node is none.
func (s *server) join(tb testing.TB, app, name, peer, user string) {
	tb.Helper()
	head, tail := wire.SplitJoined(name, &wire.Peer{ID: peer, User: user})
	done := make(chan error, 1)
	s.store.Join(store.Join{
		Seat:    store.Seat{Room: store.Room{App: app, Name: name}, Peer: peer, Node: "node-of-the-tests"},
		Profile: []byte(`{"user":"` + user + `"}`), Capacity: 3, EventHead: head, EventTail: tail, Back: wire.AppendEventBody(nil, name, &wire.BackPeer{Peer: peer}),
	}, func(_ *store.Snapshot, err error) { done <- err })
	require.NoError(tb, <-done)
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct{ lockedbuf.Buffer }

// lines are those with a message.
func (l *lockedBuffer) lines(tb testing.TB, message string) []map[string]any {
	tb.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var entry map[string]any
		require.NoError(tb, json.Unmarshal([]byte(line), &entry))
		if entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found
}

// gauge finds a gauge of the API's.
func gauge(tb testing.TB, s *server, name string) prometheus.Collector {
	tb.Helper()
	families, err := s.registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() == name {
			value := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
			value.Set(family.GetMetric()[0].GetGauge().GetValue())
			return value
		}
	}
	tb.Fatalf("no metric %s", name)
	return nil
}

// patience is how long tests wait for what must happen, and tick how often they look.
const (
	patience = time.Minute
	tick     = 10 * time.Millisecond
)

func quoted(tb testing.TB, text string) string {
	tb.Helper()
	b, err := json.Marshal(text)
	require.NoError(tb, err)
	return string(b)
}
