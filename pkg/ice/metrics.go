package ice

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

type metrics struct {
	relay, thirdParty prometheus.Counter // credentials that were made
	usable, draining  prometheus.Gauge   // relays
	failures          prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, age func() time.Duration) *metrics {
	made := metric.Counters("signalbox_ice_credentials_total",
		"Credentials that were made for clients, by what they are for: relay (one of our own), or third_party (a server that shares a secret with us).", "kind")
	relays := metric.Gauges("signalbox_ice_relays", "Relays that this gateway knows of: usable, or draining, of which no client is told any more.", "state")
	m := &metrics{
		relay: made.WithLabelValues("relay"), thirdParty: made.WithLabelValues("third_party"),
		usable: relays.WithLabelValues("usable"), draining: relays.WithLabelValues("draining"),
		failures: metric.Counter("signalbox_ice_relays_failures_total", "Times that Redis could not be asked which relays there are. Those that were known stay."),
	}
	registerer.MustRegister(made, relays, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signalbox_ice_relays_age_seconds",
		Help: "How long ago Redis last told which relays there are; 0 where ice.relays.enabled is off.",
	}, func() float64 { return age().Seconds() }))
	return m
}
