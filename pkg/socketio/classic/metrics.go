package classic

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// eventUnknown stands for all events that are none of ours.
	eventUnknown = "unknown"
	// resultOK is the result of what was granted; that of all else is the error's code.
	resultOK = "ok"
)

// The results of attempts to recover.
const (
	resultRecovered = "recovered"
	resultAnew      = "anew"
)

type metrics struct {
	events     map[string]map[string]prometheus.Counter // by event, then by result
	recoveries map[string]prometheus.Counter            // by result
}

func newMetrics(reg prometheus.Registerer) *metrics {
	events := metric.Counters("signalbox_classic_events_total",
		"Events of socket.io clients that were answered, by event and by result: ok or an error code.", "event", "result")
	recoveries := metric.Counters("signalbox_classic_recoveries_total",
		"Socket.io clients that came back with a pid, by result: recovered, or anew if their session could not go on.", "result")
	reg.MustRegister(events, recoveries)
	m := &metrics{events: make(map[string]map[string]prometheus.Counter), recoveries: make(map[string]prometheus.Counter)}
	for _, result := range []string{resultRecovered, resultAnew} {
		m.recoveries[result] = recoveries.WithLabelValues(result)
	}
	for _, event := range []string{eventJoin, eventLeave, eventMessage, eventRoomInfo, eventControl, eventICEServers, eventUnknown} {
		results := map[string]prometheus.Counter{resultOK: events.WithLabelValues(event, resultOK)}
		for _, code := range wire.Codes {
			results[string(code)] = events.WithLabelValues(event, string(code))
		}
		m.events[event] = results
	}
	return m
}

// count notes an event that was answered.
func (m *metrics) count(event, result string) {
	if counter := m.events[event][result]; counter != nil {
		counter.Inc()
	}
}
