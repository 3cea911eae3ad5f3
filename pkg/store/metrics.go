package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
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

	relay        prometheus.Histogram
	lag          prometheus.Histogram
	canary       prometheus.Histogram
	canariesLost prometheus.Counter

	announcements, bulletinReloads prometheus.Counter
}

// newMetrics makes the metrics and registers them, if there is a registerer.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: metric.Histograms("signalbox_redis_script_duration_seconds",
			"Time from a call of the store to its answer, waiting included.",
			metric.Latency, "script", "result"),
		errors: metric.Counters("signalbox_redis_errors_total",
			"Commands that Redis did not carry out, or did not answer, by cause.", "class"),
		batch: metric.Histogram("signalbox_redis_pipeline_calls",
			"Calls in one pipeline.",
			prometheus.ExponentialBuckets(1, 2, 10)),
		group: metric.Histogram("signalbox_redis_script_calls",
			"Calls that one script call of a pipeline carries: more than one are messages of one room.",
			prometheus.ExponentialBuckets(1, 2, 7)),
		waiting: metric.Gauge("signalbox_redis_pipeline_waiting",
			"Calls that wait for a pipeline."),
		ready: metric.Gauge("signalbox_redis_inbox_ready",
			"1 while every partition's inbox is subscribed, otherwise 0."),
		events: metric.Counter("signalbox_redis_inbox_events_total",
			"Events received from the inbox."),
		reconnects: metric.Counters("signalbox_redis_inbox_reconnects_total",
			"Inbox subscriptions that ended and had to be made again, by cause.", "reason"),
		malformed: metric.Counter("signalbox_redis_inbox_malformed_total",
			"Messages in the inbox that are not records, and were dropped."),
		relay: metric.Histogram("signalbox_relay_latency_seconds",
			"Time of a message from its sender's gateway, where it asks Redis, to the writing on its receiver's connection, once a receiver and by Redis' clock, so that it holds between gateways. Of a sample of the messages: metrics.latency_samples.",
			metric.Latency),
		lag: metric.Histogram("signalbox_inbox_lag_seconds",
			"Time of a message from its sender's gateway, where it asks Redis, to this gateway's inbox, by Redis' clock. Of the same sample.",
			metric.Latency),
		canary: metric.Histogram("signalbox_inbox_canary_seconds",
			"Time until a message of the gateway to itself has come back through Redis: what every event needs.",
			metric.Latency),
		canariesLost: metric.Counter("signalbox_inbox_canaries_lost_total",
			"Messages of the gateway to itself that Redis has published and that did not come back in time."),
		announcements: metric.Counter("signalbox_redis_bulletin_announcements_total",
			"Announcements to all gateways that this one has heard: an app was changed, a user revoked."),
		bulletinReloads: metric.Counter("signalbox_redis_bulletin_reloads_total",
			"Times that all of what announcements tell of was read anew: at the start, and when some may have been missed."),
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
		m.relay, m.lag, m.canary, m.canariesLost, m.announcements, m.bulletinReloads,
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

func (t *scriptTimer) observe(result int, d time.Duration, traced *callTrace) {
	metric.Observe(t[result], d.Seconds(), traced.context())
}
