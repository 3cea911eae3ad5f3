package auth

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// hookCalls is what the hooks of all apps have in common: the client, and the figures.
type hookCalls struct {
	client   *http.Client
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newHookCalls(opts *Options) *hookCalls {
	h := &hookCalls{
		client: newClient(opts, maxHookCalls),
		calls: metric.Counters("signalbox_auth_hook_total",
			"Questions to apps' backends by what about, and result: allowed, denied, failed (no answer, or a wrong one), paused (not asked, as the last ones failed) or busy (not asked, as too many were open).", "about", "result"),
		duration: metric.Histograms("signalbox_auth_hook_duration_seconds",
			"Time to the answer of an app's backend, by what it was asked about.", metric.Latency, "about"),
	}
	for _, about := range []string{hookConnect, hookJoin} {
		for _, result := range []string{"allowed", "denied", "failed", "paused", "busy"} {
			h.calls.WithLabelValues(about, result)
		}
		h.duration.WithLabelValues(about)
	}
	opts.Registerer.MustRegister(h.calls, h.duration)
	return h
}

func (h *hookCalls) count(about, result string) { h.calls.WithLabelValues(about, result).Inc() }

func (h *hookCalls) took(about, result string, begun time.Time) {
	h.count(about, result)
	h.duration.WithLabelValues(about).Observe(time.Since(begun).Seconds())
}
