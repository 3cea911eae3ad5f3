package socketio

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

type metrics struct {
	sessions *prometheus.GaugeVec
	opened   *prometheus.CounterVec
	closed   map[Reason]prometheus.Counter
	refused  *prometheus.CounterVec
	upgrades *prometheus.CounterVec
	invalid  *prometheus.CounterVec
	received prometheus.Counter
	sent     prometheus.Counter
	dropped  prometheus.Counter
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	closed := metric.Counters("signalbox_socketio_sessions_closed_total", "Engine.IO sessions that ended, by reason.", "reason")
	m := &metrics{
		sessions: metric.Gauges("signalbox_socketio_sessions",
			"Open Engine.IO sessions by the transport that they are on.", "transport"),
		opened: metric.Counters("signalbox_socketio_sessions_opened_total",
			"Engine.IO sessions that were opened, by protocol version and by the transport that they began on.", "version", "transport"),
		closed:  make(map[Reason]prometheus.Counter, len(reasons)),
		refused: metric.Counters("signalbox_socketio_requests_refused_total", "Requests that were answered with an error, by its code.", "code"),
		upgrades: metric.Counters("signalbox_socketio_upgrades_total",
			"Changes from polling to WebSocket: done, failed (the WebSocket was dropped) or refused (there was one already).", "result"),
		invalid:  metric.Counters("signalbox_socketio_invalid_total", "Input that was not valid, by the rule that it broke.", "rule"),
		received: metric.Counter("signalbox_socketio_packets_received_total", "Engine.IO packets read from clients."),
		sent:     metric.Counter("signalbox_socketio_packets_sent_total", "Engine.IO packets handed to a transport."),
		dropped:  metric.Counter("signalbox_socketio_packets_dropped_total", "Engine.IO packets that were not sent, as their session had ended or was ended by them."),
		panics:   metric.Counter("signalbox_socketio_panics_total", "Faults of ours that ended one session."),
	}
	for _, transport := range []string{TransportPolling, TransportWebSocket} {
		m.sessions.WithLabelValues(transport)
	}
	for _, reason := range reasons {
		m.closed[reason] = closed.WithLabelValues(string(reason))
	}
	reg.MustRegister(m.sessions, m.opened, closed, m.refused, m.upgrades, m.invalid, m.received, m.sent, m.dropped, m.panics)
	return m
}

func (v Version) label() string { return strconv.Itoa(int(v)) }
