package store

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// stampMark stands in a record between a message's type and its stamp.
const stampMark = ';'

// maxDeliverySpans is how many receivers of one message have a span on each node: a trace is to be read by people.
const maxDeliverySpans = 16

// Trail is the way of one message whose way is measured, as the receiving node sees it.
type Trail struct {
	// Immutable.
	store     *Store
	kind      string
	room      Room
	partition int
	sent      time.Time         // by Redis' clock; zero if not known
	arrived   time.Time         // by this machine's
	publish   trace.SpanContext // of the sender's node; not valid if the message is not traced

	receivers atomic.Int32
}

// arrived notes the arrival of a message with a stamp.
func (s *Store) arrived(event *Event, stamp string) (*Trail, error) {
	sent, publish, err := parseStamp(stamp)
	if err != nil {
		return nil, err
	}
	t := &Trail{store: s, kind: event.Type, room: event.Room, sent: sent, arrived: time.Now(), publish: publish}
	t.partition = s.Partition(event.Room)
	t.observe(s.metrics.lag, t.arrived)
	return t, nil
}

// Written notes that the message was written to a session's connection.
func (t *Trail) Written(session string) {
	now := time.Now()
	t.observe(t.store.metrics.relay, now)
	if !t.publish.IsSampled() || t.store.opts.Tracer == nil || t.receivers.Add(1) > maxDeliverySpans {
		return
	}
	ctx := trace.ContextWithRemoteSpanContext(spanless, t.publish)
	_, span := t.store.opts.Tracer.Start(ctx, "deliver "+t.kind, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(t.arrived),
		trace.WithAttributes(attribute.String("signalbox.app", t.room.App), attribute.String("signalbox.room", t.room.Name),
			attribute.String("signalbox.session", session), attribute.Int("signalbox.partition", t.partition)))
	span.End(trace.WithTimestamp(now))
}

func (t *Trail) observe(histogram prometheus.Observer, now time.Time) {
	redis, known := t.store.clock.at(now)
	if !known || t.sent.IsZero() {
		return
	}
	// Clocks are known to some microseconds only: what has come before it was sent took no time.
	metric.Observe(histogram, max(redis.Sub(t.sent), 0).Seconds(), t.publish)
}

// stamped gives a message's type, with a stamp if its way is to be measured. A traced call gets its place in the trace when it
// is sent: see [call.sent].
func (s *Store) stamped(kind string, traced *callTrace) string {
	now := time.Now()
	if traced == nil && !s.sampler.take(now) {
		return kind
	}
	redis, known := s.clock.at(now)
	switch {
	case known:
		return kind + string(stampMark) + strconv.FormatInt(redis.UnixMicro(), 10)
	case traced != nil:
		return kind + string(stampMark) + "0"
	}
	return kind
}

// parseStamp reads what stands behind the mark.
func parseStamp(stamp string) (sent time.Time, publish trace.SpanContext, err error) {
	digits, parent, traced := strings.Cut(stamp, string(stampMark))
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return sent, publish, errRecord
	}
	if n > 0 {
		sent = time.UnixMicro(int64(n))
	}
	if traced {
		carrier := propagation.MapCarrier{traceparent: parent}
		publish = trace.SpanContextFromContext(propagation.TraceContext{}.Extract(spanless, carrier))
		if !publish.IsValid() {
			return sent, publish, errRecord
		}
	}
	return sent, publish, nil
}

// spanless is the context that those of spans are made of: calls of the store outlive whoever makes them.
var spanless = context.Background()

// traceparent is the name of the field of a place in a trace, https://www.w3.org/TR/trace-context/#traceparent-header.
const traceparent = "traceparent"

// callTrace is a call that is part of a trace. Its methods can be called on nil, and then do nothing.
type callTrace struct {
	tracer  trace.Tracer
	script  trace.Span
	publish trace.Span // of a message that was sent
}

// traceCall begins the span of a call; nil if it is not part of a trace. The names are those of OpenTelemetry's conventions for
// database calls, https://opentelemetry.io/docs/specs/semconv/db/redis/.
func (s *Store) traceCall(script *script, seat Seat, partition int) *callTrace {
	if seat.Span == nil || s.opts.Tracer == nil {
		return nil
	}
	ctx := trace.ContextWithSpan(spanless, seat.Span)
	_, span := s.opts.Tracer.Start(ctx, "EVALSHA "+script.name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", "EVALSHA"),
		attribute.String("db.stored_procedure.name", script.name), attribute.Int("signalbox.partition", partition)))
	return &callTrace{tracer: s.opts.Tracer, script: span}
}

// sent notes that a call is about to be sent, in a pipeline of so many calls. From there on a message is published.
func (c *call) sent(pipeline int) {
	if c.trace == nil || c.err != nil {
		return
	}
	c.trace.script.AddEvent("sent", trace.WithAttributes(attribute.Int("signalbox.pipeline.calls", pipeline)))
	if !c.message() || c.trace.publish != nil {
		return
	}
	kind, _, _ := strings.Cut(c.strings[messageType], string(stampMark))
	ctx := trace.ContextWithSpan(spanless, c.trace.script)
	ctx, c.trace.publish = c.trace.tracer.Start(ctx, "publish "+kind, trace.WithSpanKind(trace.SpanKindProducer))
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if parent := carrier[traceparent]; parent != "" {
		c.strings[messageType] += string(stampMark) + parent
		c.size += len(parent) + 1
	}
}

// messageType is the place of a message's type among its strings.
const messageType = 2

// context is the call's place in its trace.
func (t *callTrace) context() trace.SpanContext {
	if t == nil {
		return trace.SpanContext{}
	}
	return t.script.SpanContext()
}

// end ends the spans of a call.
func (t *callTrace) end(result int) {
	if t == nil {
		return
	}
	if t.publish != nil {
		t.publish.End()
	}
	t.script.SetAttributes(attribute.String("signalbox.result", resultNames[result]))
	if result == resultUnavailable {
		t.script.SetStatus(codes.Error, resultNames[result])
	}
	t.script.End()
}

// sampler picks about so many of what comes each second: all while they are not more, and of more each with the same chance,
// as far as the second before tells.
type sampler struct {
	most   int64 // a second; 0 for none
	second atomic.Int64
	count  atomic.Int64 // of what came in it
	oneIn  atomic.Int64 // of the second before, as many as had to be left out
}

func (s *sampler) take(now time.Time) bool {
	if s.most == 0 {
		return false
	}
	if this, second := now.Unix(), s.second.Load(); this != second && s.second.CompareAndSwap(second, this) {
		before := s.count.Swap(0)
		if this != second+1 {
			before = 0
		}
		s.oneIn.Store(before / s.most)
	}
	// A second that brings more than the one before is thinned out as it goes.
	oneIn := max(s.oneIn.Load(), s.count.Add(1)/s.most)
	return oneIn <= 1 || rand.Int64N(oneIn) == 0
}
