// Package metric makes Prometheus metrics in the one way in which all of ours are made.
package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// Counters makes a counter for each value of its labels.
func Counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Gauge makes a gauge.
func Gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// Gauges makes a gauge for each value of its labels.
func Gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// Histogram makes a histogram in both forms: native for a Prometheus that asks for that, and with the classic buckets, upper
// bounds in the unit that the name ends in, for all others.
func Histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(both(name, help, buckets))
}

// Histograms makes a histogram for each value of its labels.
func Histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(both(name, help, buckets), labels)
}

func both(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: nativeReset,
	}
}
