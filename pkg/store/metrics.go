package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The results of the script duration metric.
const (
	resultOK = iota
	resultRefused
	resultUnavailable
	results
)

var resultNames = [results]string{"ok", "refused", "unavailable"}

// metrics are the package's figures. Labels have small fixed sets of values: never a room, peer or node.
type metrics struct {
	duration   *prometheus.HistogramVec
	errors     *prometheus.CounterVec
	batch      prometheus.Histogram
	group      prometheus.Histogram
	waiting    prometheus.Gauge
	ready      prometheus.Gauge
	events     prometheus.Counter
	reconnects *prometheus.CounterVec
	malformed  prometheus.Counter

	canary       prometheus.Histogram
	canariesLost prometheus.Counter
}

// newMetrics makes the metrics and registers them, if there is a registerer.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	const namespace, subsystem = "signalbox", "redis"
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "script_duration_seconds",
			Help:    "Time from a call of the store to its answer, waiting included.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 3},
		}, []string{"script", "result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "errors_total",
			Help: "Commands that Redis did not carry out, or did not answer, by cause.",
		}, []string{"class"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "pipeline_calls",
			Help:    "Calls in one pipeline.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		group: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "script_calls",
			Help:    "Calls that one script call of a pipeline carries: more than one are messages of one room.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 7),
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "pipeline_waiting",
			Help: "Calls that wait for a pipeline.",
		}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_ready",
			Help: "1 while every partition's inbox is subscribed, otherwise 0.",
		}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_events_total",
			Help: "Events received from the inbox.",
		}),
		reconnects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_reconnects_total",
			Help: "Inbox subscriptions that ended and had to be made again, by cause.",
		}, []string{"reason"}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_malformed_total",
			Help: "Messages in the inbox that are not records, and were dropped.",
		}),
		canary: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "inbox", Name: "canary_seconds",
			Help:    "Time until a message of the gateway to itself has come back through Redis: what every event needs.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 3},
		}),
		canariesLost: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: "inbox", Name: "canaries_lost_total",
			Help: "Messages of the gateway to itself that Redis has published and that did not come back in time.",
		}),
	}
	for _, c := range classes {
		m.errors.WithLabelValues(string(c))
	}
	for _, reason := range reconnectReasons {
		m.reconnects.WithLabelValues(reason)
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.duration, m.errors, m.batch, m.group, m.waiting, m.ready, m.events, m.reconnects, m.malformed,
		m.canary, m.canariesLost,
	} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// scriptTimer holds one script's histograms, looked up once and not on every call.
type scriptTimer [results]prometheus.Observer

func (m *metrics) scriptTimer(script string) scriptTimer {
	var timer scriptTimer
	for i, result := range resultNames {
		timer[i] = m.duration.WithLabelValues(script, result)
	}
	return timer
}

func (t *scriptTimer) observe(result int, d time.Duration) { t[result].Observe(d.Seconds()) }
