package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refused   *prometheus.CounterVec
	answers   *prometheus.CounterVec
	faults    prometheus.Counter
	listeners prometheus.Gauge
	viewers   prometheus.Gauge
}

// The reasons for which a request is refused before anything else of it is looked at.
const (
	refusedKey       = "key"
	refusedRate      = "rate"
	refusedListeners = "listeners"
	refusedViewers   = "viewers"
)

// What became of a request with an Idempotency-Key.
const (
	answerNew      = "new"
	answerRepeated = "repeated"
	answerMismatch = "mismatch"
	answerBusy     = "in_progress"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: metric.Counters("signalbox_api_requests_total",
			"Requests to the server API by operation and HTTP status; operation is none where there is no such path.", "operation", "code"),
		durations: metric.Histograms("signalbox_api_request_duration_seconds",
			"Time from the head of a request to the server API to the end of its answer, by operation. Streams of events are not counted.",
			latency, "operation"),
		refused: metric.Counters("signalbox_api_refused_total",
			"Requests to the server API that were refused unread: key (no valid one), rate (api.requests_per_second), listeners (api.listeners), viewers (api.console.viewers).", "reason"),
		answers: metric.Counters("signalbox_api_idempotent_requests_total",
			"Requests with an Idempotency-Key: new, repeated (answered as then), mismatch (the key was used for another one), in_progress.", "result"),
		faults:    metric.Counter("signalbox_api_faults_total", "Faults of ours that ended one request to the server API."),
		listeners: metric.Gauge("signalbox_api_listeners", "Streams of events that are open."),
		viewers:   metric.Gauge("signalbox_api_viewers", "Streams of the whole cluster that are open: pages of the console, for the most part."),
	}
	for _, reason := range []string{refusedKey, refusedRate, refusedListeners, refusedViewers} {
		m.refused.WithLabelValues(reason)
	}
	for _, result := range []string{answerNew, answerRepeated, answerMismatch, answerBusy} {
		m.answers.WithLabelValues(result)
	}
	reg.MustRegister(m.requests, m.durations, m.refused, m.answers, m.faults, m.listeners, m.viewers)
	return m
}

// latency are fewer classic buckets than others have, as there are many operations, and those who ask are programs.
var latency = []float64{.005, .025, .1, .5, 2}

// know makes the series of an operation, so that a rate does not miss its first request.
func (m *metrics) know(operation string) {
	if operation != eventsOperation && operation != viewersOperation {
		m.durations.WithLabelValues(operation)
	}
}

func (m *metrics) observe(operation string, status int, took time.Duration, span trace.Span) {
	m.requests.WithLabelValues(operation, statusText(status)).Inc()
	if operation == noOperation || operation == documentOperation || operation == eventsOperation || operation == viewersOperation {
		return
	}
	var context trace.SpanContext
	if span != nil {
		context = span.SpanContext()
	}
	metric.Observe(m.durations.WithLabelValues(operation), took.Seconds(), context)
}

// documentOperation stands for the description and its page.
const documentOperation = "document"

// The operations that last as long as their callers like.
const (
	eventsOperation  = "room-events"
	viewersOperation = "cluster-events"
)
