package webhook

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// The reasons for which an event is put among the dead letters.
const (
	reasonExpired = "expired" // it was not taken in time
	reasonGone    = "gone"    // the endpoint wants nothing any more
	reasonRemoved = "removed" // there is no such endpoint any more
)

var reasons = []string{reasonExpired, reasonGone, reasonRemoved}

type metrics struct {
	deliveries *prometheus.CounterVec
	duration   prometheus.Histogram
	pending    prometheus.Gauge
	oldest     prometheus.Gauge
	letters    *prometheus.CounterVec
	trimmed    prometheus.Gauge
	partitions prometheus.Gauge
	disabled   prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		deliveries: metric.Counters("signalbox_webhook_deliveries_total",
			"Events that were posted to an endpoint, each time, by kind and by what became of the post.", "event", "result"),
		duration: metric.Histogram("signalbox_webhook_delivery_duration_seconds", "Time of a post to an endpoint, of one or more events.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}),
		pending: metric.Gauge("signalbox_webhook_pending",
			"Events that wait for their endpoint, in the partitions that this gateway delivers for."),
		oldest: metric.Gauge("signalbox_webhook_oldest_pending_seconds",
			"How long the oldest of these has waited; 0 when none does."),
		letters: metric.Counters("signalbox_webhook_dead_letters_total",
			"Events that were put among the dead letters.", "reason"),
		trimmed: metric.Gauge("signalbox_webhook_trimmed_events",
			"Events that were dropped undelivered, as too many waited: of the whole cluster, since its Redis was empty."),
		partitions: metric.Gauge("signalbox_webhook_partitions",
			"Partitions that this gateway delivers for at the moment."),
		disabled: metric.Gauge("signalbox_webhook_endpoints_disabled",
			"Endpoints that have answered 410 and are told nothing until their configuration changes: of the whole cluster."),
	}
	for _, kind := range store.HookKinds {
		for _, result := range results {
			m.deliveries.WithLabelValues(kind, result)
		}
	}
	for _, reason := range reasons {
		m.letters.WithLabelValues(reason)
	}
	if registerer != nil {
		registerer.MustRegister(m.deliveries, m.duration, m.pending, m.oldest, m.letters, m.trimmed, m.partitions, m.disabled)
	}
	return m
}

// kindLabel folds kinds that are not known: the label has a fixed set of values.
func kindLabel(kind string) string {
	for _, known := range store.HookKinds {
		if kind == known {
			return known
		}
	}
	return "other"
}
