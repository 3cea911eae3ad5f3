package httpapi_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const viewersPath = "/v1/statistics/events"

// examined counts how often Redis was looked at, and shows one server that does not answer.
type examined struct{ atomic.Int64 }

func (e *examined) look(context.Context) (*store.Examination, error) {
	e.Add(1)
	return &store.Examination{Servers: []store.ServerState{
		{Address: "one:6379", Version: "8.0.0", Role: "master", Latency: 1500 * time.Microsecond},
		{Address: "two:6379", Err: errors.New("WRONGPASS for hush")},
	}}, nil
}

// recorder takes an answer that may be read while it goes on.
type recorder struct {
	*httptest.ResponseRecorder
	text lockedBuffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.text.Write(p) }

func TestViewers(t *testing.T) {
	seen := new(examined)
	s := start(t, func(o *httpapi.Options) { o.ViewersPeriod, o.Examine = 10*time.Millisecond, seen.look })
	s.ask(t, umbraKey, "POST", "/v1/apps/umbra/rooms", `{"room":"a"}`).ok(201, nil)
	l := s.listen(t, readerKey, viewersPath, "")
	var sample event
	require.Eventually(t, func() bool { // until the node has told what it has counted
		sample = l.must("sample")
		nodes := sample.data["nodes"].([]any)
		return len(nodes) == 1 && nodes[0].(map[string]any)["counts"] != nil && len(sample.data["apps"].([]any)) == 2
	}, patience, time.Microsecond)
	node := sample.data["nodes"].([]any)[0].(map[string]any)
	require.Equal(t, "one", node["name"])
	require.Equal(t, map[string]any{"joins.ok": 7.}, node["counts"])
	require.Positive(t, node["at"])
	require.Equal(t, []any{
		map[string]any{"app": "umbra", "sessions": 5., "rooms": 1.}, map[string]any{"app": "bright", "sessions": 2., "rooms": 0.},
	}, sample.data["apps"], "the busiest first")
	require.Empty(t, sample.data["relays"])
	require.Empty(t, sample.data["problems"])
	redis := sample.data["redis"].([]any)
	require.InDelta(t, 1.5, redis[0].(map[string]any)["latency"], 0)
	require.Equal(t, "it does not answer", redis[1].(map[string]any)["problem"], "not in the words of the error, which may name more")
}

// A key of an app, or none, is shown nothing of the cluster.
func TestViewersAreOperators(t *testing.T) {
	seen := new(examined)
	s := start(t, func(o *httpapi.Options) { o.Examine = seen.look })
	s.ask(t, acmeKey, "GET", viewersPath, "").problem(403, wire.CodeForbidden)
	s.ask(t, acmeReader, "GET", viewersPath, "").problem(403, wire.CodeForbidden)
	s.ask(t, "", "GET", viewersPath, "").problem(401, wire.CodeUnauthorized)
	require.Zero(t, seen.Load())
	require.InDelta(t, 0, testutil.ToFloat64(gauge(t, s, "signalbox_api_viewers")), 0)
}

// There are as many viewers as are allowed, the next one is told when to come again, and an end of the API ends them.
func TestViewersAreBounded(t *testing.T) {
	s := start(t, func(o *httpapi.Options) { o.Viewers = 2 })
	one, two := s.listen(t, operatorKey, viewersPath, ""), s.listen(t, readerKey, viewersPath, "")
	one.must("sample")
	two.must("sample")
	r := s.ask(t, operatorKey, "GET", viewersPath, "")
	require.True(t, r.problem(429, wire.CodeRateLimited).Retryable)
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.InDelta(t, 2, testutil.ToFloat64(gauge(t, s, "signalbox_api_viewers")), 0)
	require.NoError(t, testutil.GatherAndCompare(s.registry, strings.NewReader(`
# HELP signalbox_api_refused_total Requests to the server API that were refused unread: key (no valid one), rate (api.requests_per_second), listeners (api.listeners), viewers (api.console.viewers).
# TYPE signalbox_api_refused_total counter
signalbox_api_refused_total{reason="key"} 0
signalbox_api_refused_total{reason="listeners"} 0
signalbox_api_refused_total{reason="rate"} 0
signalbox_api_refused_total{reason="viewers"} 1
`), "signalbox_api_refused_total"))

	two.cancel()
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(gauge(t, s, "signalbox_api_viewers")) == 1
	}, patience, tick)
	s.listen(t, readerKey, viewersPath, "").must("sample")
	s.api.Close()
	for _, ok := one.next(); ok; _, ok = one.next() { //nolint:revive // it is read to its end
	}
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(gauge(t, s, "signalbox_api_viewers")) == 0
	}, patience, tick)
}

// One goroutine looks for all viewers, at what costs more every fifth time; it ends with the last of them, and begins anew with the next.
func TestOneLookServesAllViewers(t *testing.T) {
	memredis.Bubble(t, func(t *testing.T) {
		network, seen := new(memnet.Network), new(examined)
		memredis.Serve(t, network)
		const period = 2 * time.Second
		s := open(t, store.Options{Addresses: []string{memredis.Addr}, Dialer: network.DialContext}, func(o *httpapi.Options) {
			o.ViewersPeriod, o.Examine = period, seen.look
		})
		view := func() (samples func() int, leave func()) {
			ctx, cancel := context.WithCancel(t.Context())
			request := httptest.NewRequestWithContext(ctx, "GET", viewersPath, nil)
			request.Header.Set("Authorization", "Bearer "+operatorKey)
			answer := &recorder{ResponseRecorder: httptest.NewRecorder()}
			var serving sync.WaitGroup
			serving.Go(func() { s.api.ServeHTTP(answer, request) })
			synctest.Wait()
			require.Equal(t, 200, answer.Code)
			return func() int {
					synctest.Wait()
					return strings.Count(answer.text.String(), "event: sample\n")
				}, func() {
					cancel()
					serving.Wait()
				}
		}
		require.Zero(t, seen.Load(), "nobody looks while there is no viewer")
		one, leaveOne := view()
		require.Equal(t, 1, one())
		two, leaveTwo := view()
		require.Equal(t, 1, two(), "the newest, at once")
		time.Sleep(9 * period)
		require.Equal(t, 10, one())
		require.Equal(t, 10, two())
		require.EqualValues(t, 2, seen.Load(), "twice in ten looks, for two viewers")
		leaveOne()
		time.Sleep(period)
		require.Equal(t, 11, two(), "the others go on")
		require.Equal(t, 10, one())
		require.EqualValues(t, 3, seen.Load())
		leaveTwo()
		time.Sleep(20 * period)
		require.Equal(t, 11, two())
		require.EqualValues(t, 3, seen.Load(), "the last one has gone")
		three, leaveThree := view()
		require.Equal(t, 1, three())
		require.EqualValues(t, 4, seen.Load(), "it begins with a whole one")
		leaveThree()
	})
}
