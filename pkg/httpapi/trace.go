package httpapi

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// startSpan begins the span of a request that is traced; nil if it is not.
func (a *API) startSpan(ctx context.Context) (context.Context, trace.Span) {
	if a.opts.Tracer == nil || a.opts.Sample == nil || !a.opts.Sample() {
		return ctx, nil
	}
	return a.opts.Tracer.Start(ctx, "api", trace.WithSpanKind(trace.SpanKindServer))
}

// endSpan says in the span what was asked and how it was answered. That a request was refused is no error of the gateway's.
func endSpan(span trace.Span, c *call, status int) {
	if span == nil {
		return
	}
	span.SetName("api " + c.operation)
	span.SetAttributes(attribute.String("signalbox.operation", c.operation), attribute.Int("http.response.status_code", status))
	if c.app != "" {
		span.SetAttributes(attribute.String("signalbox.app", c.app))
	}
	if c.room != "" {
		span.SetAttributes(attribute.String("signalbox.room", c.room))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}
