// Package metric makes Prometheus metrics in the one way in which all of ours are made.
package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Native histograms have a bucket for each tenth of a value, up to so many of them: beyond that they become coarser, or are
// begun anew, at most once an hour. See https://prometheus.io/docs/specs/native_histograms/.
const (
	nativeFactor  = 1.1
	nativeBuckets = 160
	nativeReset   = time.Hour
)

// Latency are the classic buckets, in seconds, for what takes a millisecond on a good day and seconds on a bad one.
var Latency = []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 3}

// Counter makes a counter; its name ends in _total.
func Counter(name, help string) prometheus.Counter {
	if off {
		return newNothing(name, help)
	}
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// Counters makes a counter for each value of its labels.
func Counters(name, help string, labels ...string) *prometheus.CounterVec {
	if off {
		return &prometheus.CounterVec{MetricVec: nothings(name, help, labels)}
	}
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Gauge makes a gauge.
func Gauge(name, help string) prometheus.Gauge {
	if off {
		return newNothing(name, help)
	}
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// Gauges makes a gauge for each value of its labels.
func Gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	if off {
		return &prometheus.GaugeVec{MetricVec: nothings(name, help, labels)}
	}
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// Histogram makes a histogram in both forms: native for a Prometheus that asks for that, and with the classic buckets, upper
// bounds in the unit that the name ends in, for all others.
func Histogram(name, help string, buckets []float64) prometheus.Histogram {
	if off {
		return newNothing(name, help)
	}
	return prometheus.NewHistogram(both(name, help, buckets))
}

// Histograms makes a histogram for each value of its labels.
func Histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	if off {
		return &prometheus.HistogramVec{MetricVec: nothings(name, help, labels)}
	}
	return prometheus.NewHistogramVec(both(name, help, buckets), labels)
}

// Observe takes a value and, where it is part of a sampled trace, notes the trace beside it, for those who want to see one of the
// slow ones: as an exemplar, see https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars.
func Observe(observer prometheus.Observer, value float64, span trace.SpanContext) {
	if with, ok := observer.(prometheus.ExemplarObserver); ok && span.IsSampled() {
		with.ObserveWithExemplar(value, prometheus.Labels{"trace_id": span.TraceID().String()})
		return
	}
	observer.Observe(value)
}

func both(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: nativeReset,
	}
}
