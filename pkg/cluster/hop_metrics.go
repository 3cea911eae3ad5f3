package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// What became of a request that was to be passed on.
const (
	resultOK          = "ok"          // the owner's answer was passed on whole, or a tunnel was there and has ended
	resultUnreachable = "unreachable" // no connection to the owner, or it broke before there was an answer
	resultTimeout     = "timeout"     // the owner did not answer in time
	resultRefused     = "refused"     // the owner does not have the cluster's key
	resultAborted     = "aborted"     // the client has gone, or broke the rules of an upgrade
	resultBroken      = "broken"      // the answer broke off
	resultLoop        = "loop"        // it had been passed on once before
	resultEnded       = "ended"       // this node has ended it
)

// Who was refused, and why.
const (
	refusedCaller = "caller" // who called here has shown another key pair, or none
	refusedOwner  = "owner"  // who was called has shown another key pair
	refusedHeader = "header" // a request that was passed on does not say whose it is
	refusedPlain  = "plain"  // a request has come past Listener
)

type hopMetrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	seconds  prometheus.Histogram
	open     prometheus.Gauge
}

func newHopMetrics(reg prometheus.Registerer) *hopMetrics {
	m := &hopMetrics{
		requests: metric.Counters("signalbox_hop_requests_total",
			"Requests for sessions of other nodes, by what became of them.", "result"),
		refused: metric.Counters("signalbox_hop_refused_total",
			"Handshakes and requests between nodes that were refused, by reason.", "reason"),
		seconds: metric.Histogram("signalbox_hop_request_seconds",
			"Time to the head of the owner's answer, of requests that do not wait: POST and upgrades.",
			[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}),
		open: metric.Gauge("signalbox_hop_open",
			"Requests and tunnels to other nodes that are under way."),
	}
	for _, result := range []string{resultOK, resultUnreachable, resultTimeout, resultRefused, resultAborted,
		resultBroken, resultLoop, resultEnded} {
		m.requests.WithLabelValues(result)
	}
	for _, reason := range []string{refusedCaller, refusedOwner, refusedHeader, refusedPlain} {
		m.refused.WithLabelValues(reason)
	}
	reg.MustRegister(m.requests, m.refused, m.seconds, m.open)
	return m
}
