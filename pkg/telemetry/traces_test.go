package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/lockedbuf"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

func newTraces(t *testing.T, endpoint string, out *lockedbuf.Buffer) (*telemetry.Traces, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	traces, err := telemetry.NewTraces(t.Context(), telemetry.TracesOptions{
		Endpoint: endpoint, OneIn: 1, Queue: 16, Timeout: time.Minute, Service: "test", Instance: "i",
		Logger: telemetry.NewLogger(out, nil, telemetry.FormatJSON), Registerer: registry,
	})
	require.NoError(t, err)
	return traces, registry
}

// end makes and ends some spans.
func end(t *testing.T, traces *telemetry.Traces, count int) {
	tracer := traces.Tracer()
	for range count {
		_, span := tracer.Start(t.Context(), "span")
		span.End()
	}
}

// Nobody waits for a receiver that does not answer, and what waits for it is bounded.
func TestTracesOfAStuckReceiver(t *testing.T) {
	asked, release := make(chan struct{}, 100), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	defer receiver.Close()
	out := new(lockedbuf.Buffer)
	traces, registry := newTraces(t, receiver.URL, out)
	end(t, traces, 16)
	<-asked
	end(t, traces, 84) // whoever waited here would wait for ever
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP signalbox_trace_spans_dropped_total Spans that were dropped, because too many waited for the OTLP receiver or it did not take them.
		# TYPE signalbox_trace_spans_dropped_total counter
		signalbox_trace_spans_dropped_total 84
	`), "signalbox_trace_spans_dropped_total"))
	now, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, traces.Close(now), "the end does not wait either")
	close(release)
}

// What a receiver does not take is counted and told, once.
func TestTracesOfARefusingReceiver(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer receiver.Close()
	out := new(lockedbuf.Buffer)
	traces, registry := newTraces(t, receiver.URL, out)
	end(t, traces, 3)
	require.NoError(t, traces.Close(t.Context()))
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP signalbox_trace_exports_total Batches of spans sent to the OTLP receiver, repetitions not counted, by result: ok or error.
		# TYPE signalbox_trace_exports_total counter
		signalbox_trace_exports_total{result="error"} 1
		signalbox_trace_exports_total{result="ok"} 0
		# HELP signalbox_trace_spans_dropped_total Spans that were dropped, because too many waited for the OTLP receiver or it did not take them.
		# TYPE signalbox_trace_spans_dropped_total counter
		signalbox_trace_spans_dropped_total 3
	`)))
	require.Equal(t, 1, strings.Count(out.String(), "spans were not taken"), out.String())
	require.Contains(t, out.String(), `"spans":3`)
}

func TestTracesRefuseOptions(t *testing.T) {
	for name, change := range map[string]func(*telemetry.TracesOptions){
		"no endpoint":    func(o *telemetry.TracesOptions) { o.Endpoint = "" },
		"no scheme":      func(o *telemetry.TracesOptions) { o.Endpoint = "collector:4318" },
		"other scheme":   func(o *telemetry.TracesOptions) { o.Endpoint = "grpc://collector:4317" },
		"no host":        func(o *telemetry.TracesOptions) { o.Endpoint = "http:///v1/traces" },
		"one in nothing": func(o *telemetry.TracesOptions) { o.OneIn = 0 },
		"negative queue": func(o *telemetry.TracesOptions) { o.Queue = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			opts := telemetry.TracesOptions{
				Endpoint: "http://127.0.0.1:1", OneIn: 1, Service: "test", Registerer: prometheus.NewRegistry(),
				Logger: telemetry.NewLogger(new(lockedbuf.Buffer), nil, telemetry.FormatJSON),
			}
			change(&opts)
			_, err := telemetry.NewTraces(t.Context(), opts)
			require.Error(t, err)
		})
	}
}
