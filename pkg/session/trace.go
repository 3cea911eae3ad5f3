package session

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// tracing is what a session has to do with traces. Its methods can be called on nil, and then do little.
type tracing struct {
	connect trace.Span // of a connection up to the answer to its hello
	done    bool       // it has ended
	// joined is set when the client has brought a trace that its requests are to be part of. Otherwise each is the root of a
	// trace of its own, or of none: a session may last for days.
	joined bool
}

// sampled reports whether something is to be traced that belongs to no trace yet.
func (s *Server) sampled() bool { return s.opts.Sample == nil || s.opts.Sample() }

// traceConnect begins the span of a connection. The span context in ctx, if there is one, is the client's own.
func (c *core) traceConnect(ctx context.Context) {
	tracer := c.server.opts.Tracer
	if tracer == nil {
		return
	}
	client := trace.SpanContextFromContext(ctx)
	trusted := client.IsValid() && c.server.opts.TrustParents
	if !trusted && !c.server.sampled() {
		return
	}
	parent := context.Background()
	options := make([]trace.SpanStartOption, 0, 2)
	options = append(options, trace.WithSpanKind(trace.SpanKindServer))
	switch {
	case trusted:
		parent = trace.ContextWithRemoteSpanContext(parent, client)
	case client.IsValid():
		options = append(options, trace.WithLinks(trace.Link{SpanContext: client}))
	}
	_, span := tracer.Start(parent, "connect", options...)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("signalbox.transport", c.client.Transport))
		c.tracing = &tracing{connect: span, joined: trusted}
	}
}

// traceOpened ends the span of a connection whose session is open.
func (c *core) traceOpened() {
	t := c.tracing
	if t == nil || t.done {
		return
	}
	t.connect.SetAttributes(attribute.String("signalbox.session", c.client.ID), attribute.String("signalbox.app", c.identity.App),
		attribute.Bool("signalbox.resumed", c.resumed))
	t.end()
}

func (t *tracing) end() {
	t.done = true
	t.connect.End()
}

// refused ends the span of a connection whose hello was refused.
func (t *tracing) refused(refusal *wire.Error) {
	if t == nil || t.done {
		return
	}
	note(t.connect, resultOf(refusal.Code), refusal)
	t.end()
}

// ended ends the span of a connection that is over before a hello was answered.
func (t *tracing) ended(end cause) {
	if t == nil || t.done {
		return
	}
	t.connect.SetAttributes(attribute.String("error.type", end.word))
	t.end()
}

// context is the connection's place in a trace.
func (t *tracing) context() trace.SpanContext {
	if t == nil {
		return trace.SpanContext{}
	}
	return t.connect.SpanContext()
}

// requestTrace is a request that is part of a trace. Its methods can be called on nil.
type requestTrace struct{ span trace.Span }

// traceRequest begins the span of a request, and has what is asked of the store for it be part of its trace; nil if it is not traced.
func (c *core) traceRequest(timer *requestTimer, request wire.Request) *requestTrace {
	joined := c.tracing != nil && c.tracing.joined
	if !joined && !c.server.sampled() {
		c.member.Trace(nil)
		return nil
	}
	parent := context.Background()
	options := make([]trace.SpanStartOption, 0, 2)
	options = append(options, trace.WithSpanKind(trace.SpanKindServer))
	switch {
	case joined:
		parent = trace.ContextWithSpanContext(parent, c.tracing.context())
	case c.tracing != nil:
		options = append(options, trace.WithLinks(trace.Link{SpanContext: c.tracing.context()}))
	}
	_, span := c.server.opts.Tracer.Start(parent, timer.span, options...)
	if !span.IsRecording() {
		c.member.Trace(nil)
		return nil
	}
	span.SetAttributes(attribute.String("signalbox.transport", c.client.Transport), attribute.String("signalbox.session", c.client.ID),
		attribute.String("signalbox.app", c.identity.App), attribute.String("signalbox.room", request.Room()),
		attribute.Int64("signalbox.request.id", request.ID))
	c.member.Trace(span)
	return &requestTrace{span}
}

func (t *requestTrace) context() trace.SpanContext {
	if t == nil {
		return trace.SpanContext{}
	}
	return t.span.SpanContext()
}

// end ends the span of a request that was answered.
func (t *requestTrace) end(result int, refusal *wire.Error) {
	if t == nil {
		return
	}
	note(t.span, result, refusal)
	t.span.End()
}

// note says in a span how something came out. That a client was refused is no error of the gateway's.
func note(span trace.Span, result int, refusal *wire.Error) {
	span.SetAttributes(attribute.String("signalbox.result", resultNames[result]))
	if refusal != nil {
		span.SetAttributes(attribute.String("error.type", string(refusal.Code)))
	}
	if result == resultFailed {
		span.SetStatus(codes.Error, string(refusal.Code))
	}
}
