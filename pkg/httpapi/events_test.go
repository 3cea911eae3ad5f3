package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// stream is a listener.
type stream struct {
	tb     testing.TB
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// event is one of a stream.
type event struct {
	id, kind string
	data     map[string]any
}

func (s *server) listen(tb testing.TB, key, path, last string) *stream {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	require.NoError(tb, err)
	request.Header.Set("Authorization", "Bearer "+key)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := s.Client().Do(request)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(tb, http.StatusOK, response.StatusCode)
	require.Equal(tb, "text/event-stream", response.Header.Get("Content-Type"))
	return &stream{tb: tb, lines: bufio.NewScanner(response.Body), cancel: cancel}
}

// next gives the next event, false at the end.
func (l *stream) next() (event, bool) {
	l.tb.Helper()
	var e event
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			require.NoError(l.tb, json.Unmarshal([]byte(value), &e.data), value)
		case "":
			if e.kind != "" {
				return e, true
			}
		}
	}
	return e, false
}

func (l *stream) must(kind string) event {
	l.tb.Helper()
	e, ok := l.next()
	require.True(l.tb, ok, "the stream has ended")
	require.Equal(l.tb, kind, e.kind)
	return e
}

func fast(o *httpapi.Options) { o.EventsPeriod = 10 * time.Millisecond }

func TestEvents(t *testing.T) {
	s := start(t, fast)
	s.join(t, "acme", "a", "p1", "ann")
	var room httpapi.Room
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &room)
	l := s.listen(t, acmeReader, rooms+"/a/events", "")
	first := l.must("snapshot")
	require.Equal(t, fmt.Sprintf("%s.%d", room.Epoch, room.Seq), first.id)
	require.Equal(t, "a", first.data["room"])
	require.InDelta(t, 1, testutil.ToFloat64(gauge(t, s, "signalbox_api_listeners")), 0)

	s.join(t, "acme", "a", "p2", "ben")
	joined := l.must("joined-peer")
	require.InDelta(t, room.Seq+1, joined.data["seq"], 0)

	// What is for one peer alone is not for listeners; numbers go on behind it.
	done := make(chan error, 1)
	s.store.Send(store.Send{
		Seat: store.Seat{Room: store.Room{App: "acme", Name: "a"}, Peer: "p1", Node: "node-of-the-tests"}, To: "p2", Type: "signal",
		Event: wire.AppendEventBody(nil, "a", &wire.Signaled{From: "p1", Data: []byte(`{"description":{}}`)}),
	}, func(_ int64, err error) { done <- err })
	require.NoError(t, <-done)
	s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"data":{"n":1}}`).ok(200, nil)
	message := l.must("message")
	require.InDelta(t, room.Seq+3, message.data["seq"], 0)
	require.Equal(t, map[string]any{"n": 1.}, message.data["data"])
	l.cancel()

	// Another stream goes on where that one was.
	again := s.listen(t, acmeKey, rooms+"/a/events", joined.id)
	require.Equal(t, message, again.must("message"))
	unknown := s.listen(t, acmeKey, rooms+"/a/events", "elsewhere.7")
	unknown.must("snapshot")

	s.ask(t, acmeKey, "DELETE", rooms+"/a", "").ok(200, nil)
	for _, l := range []*stream{again, unknown} {
		for e, ok := l.next(); ok; e, ok = l.next() {
			message = e
		}
		require.Equal(t, "closed", message.kind, "the last one before the end")
	}
	s.ask(t, acmeKey, "GET", rooms+"/a/events", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, umbraKey, "GET", rooms+"/a/events", "").problem(404, httpapi.CodeNotFound)
}

// There are as many listeners as are allowed, and an end of the API ends them.
func TestEventsAreBounded(t *testing.T) {
	s := start(t, func(o *httpapi.Options) { fast(o); o.Listeners = 1 })
	s.join(t, "acme", "a", "p1", "ann")
	l := s.listen(t, acmeKey, rooms+"/a/events", "")
	l.must("snapshot")
	r := s.ask(t, acmeKey, "GET", rooms+"/a/events", "")
	r.problem(429, wire.CodeRateLimited)
	require.NotEmpty(t, r.header.Get("Retry-After"))
	s.api.Close()
	_, ok := l.next()
	require.False(t, ok)
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(gauge(t, s, "signalbox_api_listeners")) == 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, s.apps.Configure([]auth.App{testApp("umbra", umbraKey, "")}))
	s.ask(t, acmeKey, "GET", rooms+"/a/events", "").problem(401, wire.CodeUnauthorized)
}

// A brief stream says what happens, and nothing of what peers and apps have written, however they call it.
func TestBriefEvents(t *testing.T) {
	s := start(t, fast)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"a","properties":{"name":"hush-1","x":{"user":"hush-2"}}}`).ok(201, nil)
	whole, brief := s.listen(t, acmeReader, rooms+"/a/events", ""), s.listen(t, acmeReader, rooms+"/a/events?brief=true", "")
	require.Contains(t, whole.must("snapshot").data, "properties")
	snapshot := brief.must("snapshot")
	require.Equal(t, "a", snapshot.data["room"])
	require.NotContains(t, snapshot.data, "properties")

	s.join(t, "acme", "a", "p1", "ann")
	s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"topic":"chat","data":{"name":"hush-3","by":["hush-4"]}}`).ok(200, nil)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"version":1,"locked":true,"properties":{"reason":"hush-5"}}`).ok(200, nil)
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/kick", `{"reason":"hush-6"}`).ok(200, nil)
	for _, kind := range []string{"joined-peer", "message", "room", "left-peer"} {
		all, part := whole.must(kind), brief.must(kind)
		require.Equal(t, all.id, part.id)
		require.Equal(t, all.data["seq"], part.data["seq"])
		require.NotContains(t, fmt.Sprint(part.data), "hush")
		for name, value := range part.data {
			if name != "peer" {
				require.Equal(t, all.data[name], value, name)
			}
		}
		switch kind {
		case "joined-peer":
			require.Equal(t, map[string]any{"id": "p1", "user": "ann"}, part.data["peer"])
		case "message":
			require.Equal(t, "chat", part.data["topic"])
			require.Contains(t, fmt.Sprint(all.data), "hush-3")
		case "room":
			require.Equal(t, true, part.data["locked"])
			require.Contains(t, fmt.Sprint(all.data), "hush-5")
		case "left-peer":
			require.Equal(t, "kicked", part.data["reason"])
			require.Contains(t, fmt.Sprint(all.data), "hush-6")
		}
	}
}
