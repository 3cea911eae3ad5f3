package room

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	rooms     prometheus.Gauge
	seats     prometheus.Gauge
	joins     *prometheus.CounterVec
	delivered prometheus.Counter
	discarded *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		rooms: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signalbox_rooms", Help: "Rooms with at least one peer on this node."}),
		seats: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signalbox_seats", Help: "Seats that sessions of this node hold or ask for."}),
		joins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_joins_total", Help: "Joins by result: ok or the error code."}, []string{"result"}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signalbox_events_delivered_total", Help: "Room events given to sessions of this node, counted once a receiver."}),
		discarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signalbox_events_discarded_total", Help: "Room events that reached this node without a receiver for them: no_room, no_peer, or seen (known from the snapshot)."}, []string{"reason"}),
	}
	for _, reason := range []string{"no_room", "no_peer", "seen"} {
		m.discarded.WithLabelValues(reason)
	}
	reg.MustRegister(m.rooms, m.seats, m.joins, m.delivered, m.discarded)
	return m
}
