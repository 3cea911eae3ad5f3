package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// counted are the metrics that a gateway tells the others of while somebody looks at the cluster: by the name that they have there, with the
// label whose values are told apart, "" for none.
var counted = []struct{ as, metric, label string }{
	{"received", "signalbox_messages_received_total", ""},
	{"sent", "signalbox_messages_sent_total", ""},
	{"sent_bytes", "signalbox_sent_bytes_total", ""},
	{"dropped", "signalbox_messages_dropped_total", "reason"},
	{"joins", "signalbox_joins_total", "result"},
	{"hellos", "signalbox_hellos_total", "result"},
	{"closed", "signalbox_connections_closed_total", "initiator"},
	{"refused", "signalbox_requests_refused_total", ""},
	{"quota_refused", "signalbox_quota_refused_total", ""},
	{"rooms", "signalbox_rooms", ""},
	{"seats", "signalbox_seats", ""},
	{"resumed", "signalbox_resumed_seats_total", "result"},
	{"replays", "signalbox_room_replays_total", "result"},
	{"lost_seats", "signalbox_lost_seats_total", ""},
	{"reaped_seats", "signalbox_reaped_seats_total", ""},
	{"panics", "signalbox_panics_total", ""},
	{"redis_errors", "signalbox_redis_errors_total", "class"},
	{"inbox_reconnects", "signalbox_redis_inbox_reconnects_total", ""},
	{"canaries_lost", "signalbox_inbox_canaries_lost_total", ""},
	{"deliveries", "signalbox_webhook_deliveries_total", "result"},
	{"dead_letters", "signalbox_webhook_dead_letters_total", "reason"},
	{"pending", "signalbox_webhook_pending", ""},
	{"calls", "signalbox_call_outcomes_total", "outcome"},
	{"call_failures", "signalbox_call_failures_total", "reason"},
	{"call_restarts", "signalbox_call_restarts_total", ""},
	{"api_requests", "signalbox_api_requests_total", ""},
	{"api_refused", "signalbox_api_refused_total", ""},
	{"cpu_seconds", "process_cpu_seconds_total", ""},
	{"memory_bytes", "process_resident_memory_bytes", ""},
}

// counts sums metrics up, by name, or by "name.value" where the values of a label are told apart. A value that is not there yet is not told.
func counts(from prometheus.Gatherer) map[string]float64 {
	families, _ := from.Gather() // what can be gathered is told
	sums := make(map[string]float64)
	for _, family := range families {
		for _, c := range counted {
			if c.metric != family.GetName() {
				continue
			}
			for _, m := range family.GetMetric() {
				name := c.as
				for _, label := range m.GetLabel() {
					if label.GetName() == c.label {
						name = c.as + "." + label.GetValue()
					}
				}
				sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is nil
			}
		}
	}
	return sums
}
