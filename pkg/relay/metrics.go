package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/relay/peers"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// What a client was held back by, as metrics name it.
const (
	limitPermissions = "permissions"
	limitChannels    = "channels"
	limitConnections = "connections"
	limitPacketBytes = "packet_bytes"
	limitIdle        = "idle"
	limitWrite       = "write"
)

// metrics are what a relay counts. No label's value is a user, an app or an address.
type metrics struct {
	allocations     *prometheus.GaugeVec   // transport
	allocated       *prometheus.CounterVec // transport
	refused         *prometheus.CounterVec // reason
	allocationLimit prometheus.Gauge
	authFailures    *prometheus.CounterVec // reason
	packets         *prometheus.CounterVec // direction, transport
	bytes           *prometheus.CounterVec // direction, transport
	dropped         *prometheus.CounterVec // reason
	denied          *prometheus.CounterVec // reason
	limits          *prometheus.CounterVec // limit
	malformed       *prometheus.CounterVec // transport
	unanswered      *prometheus.CounterVec // reason
	connections     *prometheus.GaugeVec   // transport
	draining        prometheus.Gauge
	errors          prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		allocations: metric.Gauges("signalbox_relay_allocations",
			"Allocations that there are, by how their client came.", "transport"),
		allocated: metric.Counters("signalbox_relay_allocations_total",
			"Allocations that were made, by how their client came.", "transport"),
		refused: metric.Counters("signalbox_relay_allocations_refused_total",
			"Allocations that were not made, by why: user or app (a quota, answered with 486); total, draining, ports (no free one was found), family (no external address of it) or transport (TCP to peers, or more even ports than a few), answered with 508.", "reason"),
		allocationLimit: metric.Gauge("signalbox_relay_allocation_limit",
			"Allocations that this relay makes at most."),
		authFailures: metric.Counters("signalbox_relay_auth_failures_total",
			"Requests whose credentials were not taken, by why: malformed (the user name), expired, too_far (credentials.max_ahead) or forged (none of the secrets makes the password).", "reason"),
		packets: metric.Counters("signalbox_relay_packets_total",
			"Packets that were relayed, by direction and by how the client came.", "direction", "transport"),
		bytes: metric.Counters("signalbox_relay_bytes_total",
			"Bytes that were relayed, without the headers, by direction and by how the client came.", "direction", "transport"),
		dropped: metric.Counters("signalbox_relay_packets_dropped_total",
			"Packets that were not relayed, by why: user, app or total (bandwidth), no_permission (of a peer that the client has not let in) or too_long.", "reason"),
		denied: metric.Counters("signalbox_relay_peers_denied_total",
			"Peers that clients may not reach, by why, once for each request and for each packet.", "reason"),
		limits: metric.Counters("signalbox_relay_limits_total",
			"How often a client was held back by a limit: permissions, channels, connections, packet_bytes, idle (a connection without an allocation, or a message that does not end) or write (a client that does not read).", "limit"),
		malformed: metric.Counters("signalbox_relay_malformed_total",
			"What came in and is neither a STUN message nor data of a channel, by transport.", "transport"),
		unanswered: metric.Counters("signalbox_relay_unanswered_total",
			"Requests over UDP without good credentials that were not answered, as there were too many, by of whom: source (limits.source_answers) or total (limits.answers).", "reason"),
		connections: metric.Gauges("signalbox_relay_connections",
			"Connections of clients, by transport.", "transport"),
		draining: metric.Gauge("signalbox_relay_draining",
			"1 while no new allocations are made, as the relay is about to end."),
		errors: metric.Counter("signalbox_relay_errors_total",
			"Errors of sockets, and warnings of the library: see the log."),
	}
	transports := []string{transportUDP, transportTCP, transportTLS}
	for _, transport := range transports {
		m.allocations.WithLabelValues(transport)
		m.allocated.WithLabelValues(transport)
		m.malformed.WithLabelValues(transport)
		for _, direction := range []string{directionToPeer, directionToClient} {
			m.traffic(direction, transport)
		}
	}
	for _, transport := range transports[1:] {
		m.connections.WithLabelValues(transport)
	}
	for _, values := range []struct {
		of   *prometheus.CounterVec
		list []string
	}{
		{m.refused, []string{scopeUser, scopeApp, scopeTotal, refusedDraining, refusedPorts, refusedFamily, refusedTransport}},
		{m.authFailures, []string{failedMalformed, failedExpired, failedTooFar, failedForged}},
		{m.dropped, []string{scopeUser, scopeApp, scopeTotal, droppedNoPermission, droppedTooLong}},
		{m.unanswered, []string{scopeSource, scopeTotal}},
		{m.limits, []string{limitPermissions, limitChannels, limitConnections, limitPacketBytes, limitIdle, limitWrite}},
	} {
		for _, value := range values.list {
			values.of.WithLabelValues(value)
		}
	}
	for _, reason := range peers.Reasons {
		m.denied.WithLabelValues(string(reason))
	}
	registerer.MustRegister(m.allocations, m.allocated, m.refused, m.allocationLimit, m.authFailures, m.packets, m.bytes, m.dropped, m.denied,
		m.limits, m.malformed, m.unanswered, m.connections, m.draining, m.errors)
	return m
}

// traffic gives the counters of what is relayed in one direction over one transport.
func (m *metrics) traffic(direction, transport string) traffic {
	return traffic{packets: m.packets.WithLabelValues(direction, transport), bytes: m.bytes.WithLabelValues(direction, transport)}
}
