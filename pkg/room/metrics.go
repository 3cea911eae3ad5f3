package room

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

type metrics struct {
	rooms     prometheus.Gauge
	seats     prometheus.Gauge
	joins     *prometheus.CounterVec
	joined    prometheus.Counter // of joins, those that are ok
	delivered prometheus.Counter
	discarded *prometheus.CounterVec
	resumes   *prometheus.CounterVec
	replays   *prometheus.CounterVec
	resyncs   prometheus.Counter
	restored  prometheus.Counter
	fenced    prometheus.Counter
	lost      prometheus.Counter
	ghosts    prometheus.Counter
	dropped   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		rooms: metric.Gauge("signalbox_rooms",
			"Rooms with at least one peer on this node."),
		seats: metric.Gauge("signalbox_seats",
			"Seats that sessions of this node hold or ask for."),
		joins: metric.Counters("signalbox_joins_total",
			"Joins by result: ok (also of who has waited), waiting or the error code.", "result"),
		delivered: metric.Counter("signalbox_events_delivered_total",
			"Room events given to sessions of this node, counted once a receiver."),
		discarded: metric.Counters("signalbox_events_discarded_total",
			"Room events that reached this node without a receiver for them: no_room, no_peer, seen (known from the snapshot), or old (of a life of the room that is over).", "reason"),
	}
	m.joined = m.joins.WithLabelValues("ok")
	m.joins.WithLabelValues("waiting")
	for _, code := range wire.Codes {
		m.joins.WithLabelValues(string(code))
	}
	m.resumes = metric.Counters("signalbox_resumed_seats_total", "Seats that sessions came back for: replayed, resync, waiting (in the queue), gone, or refused (the whole resume).", "result")
	m.replays = metric.Counters("signalbox_room_replays_total", "Rooms that were brought back in line: replayed from the log, or put right because of log (too short), epoch, rewound, seat (missing), emptied or subscription.", "result")
	m.resyncs = metric.Counter("signalbox_resyncs_total", "Peers that had to start over from a snapshot.")
	m.restored = metric.Counter("signalbox_restored_seats_total", "Seats that Redis had lost and this node put back.")
	m.fenced = metric.Counter("signalbox_fenced_seats_total", "Seats of this node that another connection of the same session took over.")
	m.lost = metric.Counter("signalbox_lost_seats_total", "Seats of this node whose connection was lost: they are away until somebody comes back for them, or their grace is over.")
	m.ghosts = metric.Counter("signalbox_ghost_seats_total", "Seats that Redis held for this node and no session of it had: they were given up.")
	m.dropped = metric.Counters("signalbox_history_dropped_total", "Kept messages that went because their topic had too many, or too large ones.", "topic")
	for _, topic := range wire.KeptTopics {
		m.dropped.WithLabelValues(topic)
	}
	for _, result := range []string{wire.ResumeReplayed, wire.ResumeResync, wire.ResumeWaiting, wire.ResumeGone, "refused"} {
		m.resumes.WithLabelValues(result)
	}
	for _, result := range []string{"replayed", "log", "epoch", "rewound", "seat", "emptied", "subscription"} {
		m.replays.WithLabelValues(result)
	}
	for _, reason := range []string{"no_room", "no_peer", "seen", "old"} {
		m.discarded.WithLabelValues(reason)
	}
	reg.MustRegister(m.rooms, m.seats, m.joins, m.delivered, m.discarded, m.resumes, m.replays, m.resyncs, m.restored, m.fenced, m.lost, m.ghosts, m.dropped)
	return m
}
