package app_test

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
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// mustOperations returns an operations handler; what the options lack is filled in.
func mustOperations(tb testing.TB, options app.OperationsOptions) http.Handler {
	tb.Helper()
	if options.Registry == nil {
		options.Registry = telemetry.NewRegistry(telemetry.Build{})
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	handler, err := app.NewOperations(options)
	require.NoError(tb, err)
	return handler
}

func request(tb testing.TB, handler http.Handler, method, path string) *http.Response {
	tb.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(tb.Context(), method, path, nil))
	return recorder.Result()
}

func body(tb testing.TB, response *http.Response) string {
	tb.Helper()
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	return string(text)
}

func green(context.Context) error { return nil }

func TestOperationsPaths(t *testing.T) {
	down := app.Check{Name: "redis", Ready: func(context.Context) error { return errors.New("no route") }}
	closed := mustOperations(t, app.OperationsOptions{Checks: []app.Check{down}})
	open := mustOperations(t, app.OperationsOptions{Pprof: true})

	tests := []struct {
		name, method, path string
		handler            http.Handler
		status             int
		contentType, body  string
	}{
		{"Index", "GET", "/", closed, 200, "text/plain; charset=utf-8", "/livez\n/readyz\n/metrics\n"},
		{"IndexWithPprof", "GET", "/", open, 200, "text/plain; charset=utf-8", "/debug/pprof/\n"},
		{"LivezThoughNotReady", "GET", "/livez", closed, 200, "text/plain; charset=utf-8", "ok\n"},
		{"LivezHead", "HEAD", "/livez", closed, 200, "text/plain; charset=utf-8", ""},
		{"Metrics", "GET", "/metrics", closed, 200, "text/plain", "signalbox_build_info{"},
		{"Unknown", "GET", "/admin", closed, 404, "application/json", `"error":"not_found"`},
		{"BelowLivez", "GET", "/livez/x", closed, 404, "application/json", `"error":"not_found"`},
		{"PprofClosed", "GET", "/debug/pprof/", closed, 404, "application/json", `"error":"not_found"`},
		{"PprofOpen", "GET", "/debug/pprof/", open, 200, "text/html", "goroutine"},
		{"PprofHeap", "GET", "/debug/pprof/heap?debug=1", open, 200, "text/plain", "heap profile"},
		// The command line may hold a password given as a flag.
		{"PprofCmdline", "GET", "/debug/pprof/cmdline", open, 404, "application/json", `"error":"not_found"`},
		{"PostLivez", "POST", "/livez", closed, 405, "application/json", `"error":"method_not_allowed"`},
		{"DeleteMetrics", "DELETE", "/metrics", closed, 405, "application/json", `"error":"method_not_allowed"`},
		{"PostIndex", "POST", "/", closed, 405, "application/json", `"error":"method_not_allowed"`},
		{"PostPprof", "POST", "/debug/pprof/profile", open, 405, "application/json", `"error":"method_not_allowed"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := request(t, test.handler, test.method, test.path)
			require.Equal(t, test.status, response.StatusCode)
			require.True(t, strings.HasPrefix(response.Header.Get("Content-Type"), test.contentType), response.Header)
			require.Contains(t, body(t, response), test.body)
			if test.status == http.StatusMethodNotAllowed {
				require.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
			}
		})
	}
}

func TestOperationsReadiness(t *testing.T) {
	type state struct {
		Name  string
		Ready bool
		Error string
	}
	type readiness struct {
		Ready  bool
		Checks []state
	}

	tests := []struct {
		name   string
		checks []app.Check
		status int
		want   readiness
	}{
		{"NoChecks", nil, 200, readiness{true, []state{}}},
		{
			"AllGreen",
			[]app.Check{{"redis", green}, {"inboxes", green}},
			200, readiness{true, []state{{"redis", true, ""}, {"inboxes", true, ""}}},
		},
		{
			"OneRed",
			[]app.Check{{"redis", green}, {"inboxes", func(context.Context) error { return errors.New("3 of 64 missing") }}},
			503, readiness{false, []state{{"redis", true, ""}, {"inboxes", false, "3 of 64 missing"}}},
		},
		{
			// Without the recovery one broken check would end the process and every session on it.
			"Panic",
			[]app.Check{{"redis", func(context.Context) error { panic("broken") }}, {"inboxes", green}},
			503, readiness{false, []state{{"redis", false, "the check panicked: broken"}, {"inboxes", true, ""}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := request(t, mustOperations(t, app.OperationsOptions{Checks: test.checks}), "GET", "/readyz")
			require.Equal(t, test.status, response.StatusCode)
			require.Equal(t, "application/json", response.Header.Get("Content-Type"))
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			var got readiness
			require.NoError(t, json.Unmarshal([]byte(body(t, response)), &got))
			require.Equal(t, test.want, got)
		})
	}

	t.Run("ChecksRunTogetherAndAreBounded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hangs := func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
			handler := mustOperations(t, app.OperationsOptions{
				Checks:       []app.Check{{"one", hangs}, {"two", hangs}, {"three", green}},
				CheckTimeout: time.Second,
			})
			start := time.Now()
			response := request(t, handler, "GET", "/readyz")
			require.Equal(t, time.Second, time.Since(start))
			require.Equal(t, 503, response.StatusCode)
			var got readiness
			require.NoError(t, json.Unmarshal([]byte(body(t, response)), &got))
			require.Equal(t, []state{
				{"one", false, "context deadline exceeded"},
				{"two", false, "context deadline exceeded"},
				{"three", true, ""},
			}, got.Checks)
		})
	})
}

func TestOperationsMetrics(t *testing.T) {
	t.Run("BadCollectorIsLoggedAndTheRestServed", func(t *testing.T) {
		registry := telemetry.NewRegistry(telemetry.Build{})
		desc := prometheus.NewDesc("signalbox_broken", "Always fails.", nil, nil)
		registry.MustRegister(brokenCollector{desc})
		var log bytes.Buffer

		response := request(t, mustOperations(t, app.OperationsOptions{
			Registry: registry,
			Logger:   telemetry.NewLogger(&log, nil, telemetry.FormatJSON),
		}), "GET", "/metrics")
		require.Equal(t, 200, response.StatusCode)
		require.Contains(t, body(t, response), "signalbox_build_info")
		require.Contains(t, log.String(), `"level":"ERROR"`)
		require.Contains(t, log.String(), "this collector is broken")
	})

	t.Run("Lint", func(t *testing.T) {
		registry := prometheus.NewRegistry()
		mustOperations(t, app.OperationsOptions{Registry: registry})
		problems, err := testutil.GatherAndLint(registry)
		require.NoError(t, err)
		require.Empty(t, problems)
	})
}

type brokenCollector struct{ desc *prometheus.Desc }

func (c brokenCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }
func (c brokenCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(c.desc, errors.New("this collector is broken"))
}

func TestOperationsOptions(t *testing.T) {
	registry, logger := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	tests := []struct {
		name    string
		options app.OperationsOptions
		want    string
	}{
		{"NoRegistry", app.OperationsOptions{Logger: logger}, "need a registry"},
		{"NoLogger", app.OperationsOptions{Registry: registry}, "a logger"},
		{"NamelessCheck", app.OperationsOptions{Registry: registry, Logger: logger, Checks: []app.Check{{"", green}}}, "needs a name"},
		{"EmptyCheck", app.OperationsOptions{Registry: registry, Logger: logger, Checks: []app.Check{{"a", nil}}}, "and a function"},
		{"TwoOfOneName", app.OperationsOptions{Registry: registry, Logger: logger, Checks: []app.Check{{"a", green}, {"a", green}}}, `named "a"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := app.NewOperations(test.options)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestOperationsServerIsBounded(t *testing.T) {
	var log bytes.Buffer
	server := app.NewOperationsServer(http.NotFoundHandler(), telemetry.NewLogger(&log, nil, telemetry.FormatJSON))
	require.Positive(t, server.ReadHeaderTimeout)
	require.Positive(t, server.ReadTimeout)
	require.Positive(t, server.WriteTimeout)
	require.Positive(t, server.IdleTimeout)
	require.Positive(t, server.MaxHeaderBytes)

	server.ErrorLog.Print("a bad handshake")
	require.Contains(t, log.String(), `"level":"WARN","msg":"a bad handshake"`)
}
