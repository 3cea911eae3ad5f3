package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// TracesOptions configures [Traces].
type TracesOptions struct {
	// Endpoint is the URL of an OTLP receiver over HTTP, https://opentelemetry.io/docs/specs/otlp/#otlphttp. Without a path it is
	// /v1/traces. Required.
	Endpoint string
	// Headers go with each request, by name.
	Headers map[string]string
	// OneIn is of how many traces that begin here one is sampled. Traces that begin elsewhere are sampled as was decided there.
	// Required.
	OneIn int
	// Queue is how many spans may wait for the receiver (2048); further ones are dropped, and nobody waits.
	Queue int
	// Timeout bounds each request to the receiver (10 s), which is repeated for six of these.
	Timeout time.Duration
	// Service names the program, and Instance this process.
	Service, Instance string
	// Attributes say more of the process, by name.
	Attributes map[string]string
	Build      Build
	// Logger gets what goes wrong, at most once a minute. Required.
	Logger *slog.Logger
	// Registerer takes the metrics. Required.
	Registerer prometheus.Registerer
}

// Traces takes the spans of a process to an OTLP receiver. The receiver's troubles are never the process' own: spans wait in a
// bounded queue and are dropped when it is full.
type Traces struct {
	provider *sdk.TracerProvider
	oneIn    int64
	queue    int64
	log      *slog.Logger

	waiting atomic.Int64 // spans that have ended and were not exported

	exports struct{ ok, failed prometheus.Counter }
	dropped prometheus.Counter
}

const (
	defaultSpanQueue     = 2048
	defaultExportTimeout = 10 * time.Second
	exportRetries        = 6 // so many timeouts
	traceLogInterval     = time.Minute
	otlpTracesPath       = "/v1/traces"
)

// NewTraces starts to export. Nothing is asked of the receiver here: whether it is there shows in the metrics and in the log.
func NewTraces(ctx context.Context, opts TracesOptions) (*Traces, error) {
	endpoint, err := OTLPEndpoint(opts.Endpoint)
	if err != nil {
		return nil, err
	}
	if opts.OneIn < 1 || opts.Queue < 0 || opts.Timeout < 0 {
		return nil, errors.New("telemetry: a limit of tracing is out of its range")
	}
	if opts.Queue == 0 {
		opts.Queue = defaultSpanQueue
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultExportTimeout
	}
	t := &Traces{oneIn: int64(opts.OneIn), queue: int64(opts.Queue), log: Every(opts.Logger, traceLogInterval)}
	exports := metric.Counters("signalbox_trace_exports_total", "Batches of spans sent to the OTLP receiver, repetitions not counted, by result: ok or error.", "result")
	t.exports.ok, t.exports.failed = exports.WithLabelValues("ok"), exports.WithLabelValues("error")
	t.dropped = metric.Counter("signalbox_trace_spans_dropped_total", "Spans that were dropped, because too many waited for the OTLP receiver or it did not take them.")
	opts.Registerer.MustRegister(exports, t.dropped)

	// What the library finds wrong by itself would go to standard error in a format of its own. It has one handler for the process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.log.Warn("tracing", "error", err) }))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(opts.attributes()...), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: what spans say of this process: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithHeaders(opts.Headers), otlptracehttp.WithTimeout(opts.Timeout),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: opts.Timeout, MaxElapsedTime: exportRetries * opts.Timeout,
		}))
	if err != nil {
		return nil, fmt.Errorf("telemetry: the exporter of spans: %w", err)
	}
	batches := sdk.NewBatchSpanProcessor(&countingExporter{SpanExporter: exporter, traces: t},
		sdk.WithMaxQueueSize(opts.Queue), sdk.WithMaxExportBatchSize(min(opts.Queue, sdk.DefaultMaxExportBatchSize)),
		sdk.WithExportTimeout(exportRetries*opts.Timeout))
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSpanProcessor(&boundedProcessor{SpanProcessor: batches, traces: t}),
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())))
	return t, nil
}

// OTLPEndpoint checks the URL of an OTLP receiver over HTTP, and gives it with its path.
func OTLPEndpoint(text string) (string, error) {
	endpoint, err := url.Parse(text)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return "", errors.New("telemetry: the OTLP receiver's address is not like http://host:4318")
	}
	if strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = otlpTracesPath
	}
	return endpoint.String(), nil
}

// attributes are the resource's, by OpenTelemetry's conventions for services.
func (o *TracesOptions) attributes() []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("service.name", o.Service), attribute.String("service.instance.id", o.Instance),
		attribute.String("service.version", orUnknown(o.Build.Version)),
	}
	for name, value := range o.Attributes {
		attributes = append(attributes, attribute.String(name, value))
	}
	return attributes
}

// Sample decides by chance whether a trace is to begin here: what is not traced is spared the making of a span that nobody sees,
// which is most of what tracing one of many requests costs.
func (t *Traces) Sample() bool { return t.oneIn == 1 || rand.Int64N(t.oneIn) == 0 }

// Tracer makes spans. All that have no parent are sampled: see [Traces.Sample].
func (t *Traces) Tracer() trace.Tracer {
	return t.provider.Tracer("github.com/signalbox-rtc/signalbox")
}

// Close exports what waits, until ctx ends.
func (t *Traces) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: spans are lost: %w", err)
	}
	return nil
}

// boundedProcessor drops spans, and counts them, before the queue behind it would without a word.
type boundedProcessor struct {
	sdk.SpanProcessor
	traces *Traces
}

func (p *boundedProcessor) OnEnd(span sdk.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if p.traces.waiting.Add(1) > p.traces.queue {
		p.traces.waiting.Add(-1)
		p.traces.dropped.Inc()
		return
	}
	p.SpanProcessor.OnEnd(span)
}

// countingExporter counts what becomes of spans.
type countingExporter struct {
	sdk.SpanExporter
	traces *Traces
}

func (e *countingExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.traces.waiting.Add(-int64(len(spans)))
	if err == nil {
		e.traces.exports.ok.Inc()
		return nil
	}
	e.traces.exports.failed.Inc()
	e.traces.dropped.Add(float64(len(spans)))
	e.traces.log.Warn("spans were not taken by the OTLP receiver", "spans", len(spans), "error", err)
	return nil // told here
}
