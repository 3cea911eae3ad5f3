package session

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/negotiation"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

type metrics struct {
	connections *prometheus.GaugeVec
	sessions    prometheus.Gauge
	closed      *prometheus.CounterVec
	durations   prometheus.Histogram
	requests    *requestMetrics
	refused     *prometheus.CounterVec
	sent        []prometheus.Counter // by [wire.Frame.KindNumber]
	frameBytes  prometheus.Counter
	batches     prometheus.Histogram
	dropped     *prometheus.CounterVec
	hellos      *prometheus.CounterVec
	refreshes   *prometheus.CounterVec
	throttled   prometheus.Counter
	inFlight    prometheus.Counter
	reports     *prometheus.CounterVec
	reportTime  prometheus.Histogram
	negotiated  [negotiation.Kinds][negotiation.Results]prometheus.Counter
	callFaults  *prometheus.CounterVec
	panics      prometheus.Counter
	ice         map[string]prometheus.Counter // by why clients are told
	iceWaiting  prometheus.Gauge
	apps        *appsMetrics
}

// newMetrics makes the metrics of a server. What calls came to has the region, as a label that is the same in all of a gateway's series: it
// makes no more of them.
func newMetrics(reg prometheus.Registerer, region string, transports, apps []string) *metrics {
	regional := prometheus.WrapRegistererWith(prometheus.Labels{"region": region}, reg)
	m := &metrics{
		connections: metric.Gauges("signalbox_connections", "Open connections by transport, those before their hello included.", "transport"),
		sessions:    metric.Gauge("signalbox_sessions", "Sessions that have said hello and have not ended."),
		closed: metric.Counters("signalbox_connections_closed_total",
			"Connections that ended, by the close code's word and who began: client, server or network.", "reason", "initiator"),
		durations: metric.Histogram("signalbox_connection_duration_seconds", "How long connections lasted.",
			[]float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600}),
		refused: metric.Counters("signalbox_requests_refused_total", "Requests that were answered with an error, by its code.", "code"),
		frameBytes: metric.Counter("signalbox_sent_bytes_total",
			"Bytes of messages written to clients, with their WebSocket headers, without TLS and TCP."),
		batches: metric.Histogram("signalbox_write_batch_messages", "Messages in one vectored write: all that waited for the connection, so how deep its queue was.",
			[]float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}),
		dropped: metric.Counters("signalbox_messages_dropped_total",
			"Messages that were not written: queue_full (the session is closed with it), write (a write failed, which ends it, too) or ended (the session was over).", "reason"),
		hellos: metric.Counters("signalbox_hellos_total", "Hellos by result: ok, or why they, or the resume in them, were refused.", "result"),
		refreshes: metric.Counters("signalbox_session_refreshes_total",
			"Tokens that clients brought to go on with, by result: ok, or why they were refused.", "result"),
		throttled: metric.Counter("signalbox_requests_throttled_total",
			"Requests that were delayed because their session was over its rate."),
		inFlight: metric.Counter("signalbox_requests_in_flight_limited_total",
			"Times a session's reading waited because too many of its requests waited for Redis."),
		reports:    metric.Counters("signalbox_ice_reports_total", "ICE outcomes that clients reported, by the gateway's region.", "outcome", "local", "remote", "protocol"),
		reportTime: metric.Histogram("signalbox_ice_connect_seconds", "Time to the first connection, as reported by clients.", connectTimes),
		negotiated: newNegotiated(reg),
		iceWaiting: metric.Gauge("signalbox_ice_changes_waiting",
			"Clients, about, that wait to be told that their ICE servers have changed: so many a second are as ice.changes_per_second says."),
		callFaults: metric.Counters("signalbox_call_failures_total",
			"Connections to peers that failed, by the gateway's region and the reason that clients reported: ice, dtls, negotiation, or other for what else they say.", "reason"),
		panics: metric.Counter("signalbox_panics_total", "Faults of ours that ended one session."),
	}
	received := metric.Counters("signalbox_messages_received_total", "Requests read from clients by type; invalid for those that could not be read.", "type")
	answered := metric.Histograms("signalbox_request_duration_seconds",
		"Time from reading a request to its answer, of requests that Redis is asked about, by result: ok, refused (the client's doing) or failed (ours).",
		metric.Latency, "type", "result")
	m.requests = newRequestMetrics(received, answered)
	m.apps = newAppsMetrics(reg, regional, apps)
	told := metric.Counters("signalbox_ice_told_total",
		"Times that clients were told ICE servers, by why: hello (resumes included), expiring (their credentials were about to), refresh (of the session), changed (the servers were others) or asked.", "reason")
	m.ice = make(map[string]prometheus.Counter)
	for _, why := range []string{toldHello, toldExpiring, toldRefresh, toldChanged, toldAsked} {
		m.ice[why] = told.WithLabelValues(why)
	}
	sent := metric.Counters("signalbox_messages_sent_total",
		"Frames written to clients by type: the event's, or reply, error, ping, pong.", "type")
	for _, kind := range wire.FrameKinds {
		m.sent = append(m.sent, sent.WithLabelValues(string(kind)))
	}
	// Series that exist before their first event: a rate over one that appears with it would miss it.
	for _, transport := range transports {
		m.connections.WithLabelValues(transport)
	}
	for _, reason := range []string{"queue_full", "ended"} {
		m.dropped.WithLabelValues(reason)
	}
	for _, word := range wire.CloseCodes {
		m.closed.WithLabelValues(word, "server")
	}
	for _, result := range []string{"ok", "missing", "ambiguous", "origin", "quota", "resume_failed", "no_answer"} {
		m.hellos.WithLabelValues(result)
	}
	for _, reason := range auth.Reasons {
		m.hellos.WithLabelValues(string(reason))
		m.refreshes.WithLabelValues(string(reason))
	}
	for _, result := range []string{refreshOK, refreshAnonymous, refreshOther} {
		m.refreshes.WithLabelValues(result)
	}
	for _, reason := range callFaults {
		m.callFaults.WithLabelValues(reason)
	}
	m.callFaults.WithLabelValues(callFaultOther)
	m.closed.WithLabelValues("normal", "client")
	m.closed.WithLabelValues("lost", "network")
	reg.MustRegister(m.connections, m.sessions, m.closed, m.durations, received, answered, m.refused, sent, m.frameBytes, m.batches,
		m.dropped, m.hellos, m.refreshes, m.throttled, m.inFlight, m.reportTime, m.panics, told, m.iceWaiting)
	regional.MustRegister(m.reports, m.callFaults)
	return m
}

// The results of requests.
const (
	resultOK = iota
	resultRefused
	resultFailed
	results
)

var resultNames = [results]string{"ok", "refused", "failed"}

// resultOf tells whose doing it is that a request was answered with an error.
func resultOf(code wire.Code) int {
	switch code {
	case wire.CodeUnavailable, wire.CodeInternal, wire.CodeOutcomeUnknown:
		return resultFailed
	}
	return resultRefused
}

// requestTimer takes how long requests of one type took, by result.
type requestTimer struct {
	kind      wire.Type
	span      string // the name of their spans
	durations [results]prometheus.Observer
}

func (t *requestTimer) observe(result int, took time.Duration, span trace.SpanContext) {
	metric.Observe(t.durations[result], took.Seconds(), span)
}

// connectTimes are bounds for how long a connection between browsers takes, in seconds.
var connectTimes = []float64{.05, .1, .25, .5, 1, 2, 4, 8, 15, 30}

// What becomes of a connection to a peer.
const (
	callConnected    = "connected"
	callReconnected  = "reconnected"
	callFailed       = "failed"
	callDisconnected = "disconnected"
)

var callOutcomes = []string{callConnected, callReconnected, callFailed, callDisconnected}

// The reasons of failures that have a label of their own, and what the others are. What clients say must not make series.
var callFaults = []string{"ice", "dtls", "negotiation"}

const callFaultOther = "other"

// mostRestarts is how many ICE restarts one report is believed to tell of.
const mostRestarts = 100

// reported counts what a client of an app says of a call.
func (m *metrics) reported(of *appMetrics, report *wire.Report) {
	m.reports.WithLabelValues(report.Outcome, report.Local, report.Remote, report.Protocol).Inc()
	outcome := report.Outcome
	switch {
	case outcome == callFailed:
		reason := report.Reason
		if !slices.Contains(callFaults, reason) {
			reason = callFaultOther
		}
		m.callFaults.WithLabelValues(reason).Inc()
	case outcome == callConnected && report.Again:
		outcome = callReconnected
	case outcome == callConnected && report.Milliseconds > 0:
		seconds := float64(report.Milliseconds) / 1000
		m.reportTime.Observe(seconds)
		of.connects.Observe(seconds)
	}
	of.calls[outcome].Inc()
	of.restarts.Add(float64(min(report.Restarts, mostRestarts)))
}

// OtherApps is the label of the apps that have none of their own.
const OtherApps = "other"

// appsMetrics are the figures by app.
type appsMetrics struct {
	named map[string]*appMetrics
	other *appMetrics
}

type appMetrics struct {
	sessions prometheus.Gauge
	joins    [results]prometheus.Counter
	calls    map[string]prometheus.Counter // by outcome
	connects prometheus.Observer
	restarts prometheus.Counter
}

func newAppsMetrics(reg, regional prometheus.Registerer, apps []string) *appsMetrics {
	sessions := metric.Gauges("signalbox_app_sessions",
		"Sessions by app. Apps past metrics.apps, in the order of the configuration, are other.", "app")
	joins := metric.Counters("signalbox_app_joins_total",
		"Joins by app and result: ok, refused (the client's doing) or failed (ours). Apps as in signalbox_app_sessions.", "app", "result")
	calls := metric.Counters("signalbox_call_outcomes_total",
		"What became of connections to peers, as clients report it, by app and the gateway's region: connected, reconnected (it had been before), failed or disconnected. Apps as in signalbox_app_sessions.",
		"app", "outcome")
	connects := metric.Histograms("signalbox_call_connect_seconds",
		"Time to the first connection to a peer, as clients report it, by app and the gateway's region. Apps as in signalbox_app_sessions.", connectTimes, "app")
	restarts := metric.Counters("signalbox_call_restarts_total",
		"ICE restarts of connections to peers, as clients report them, by app and the gateway's region. Apps as in signalbox_app_sessions.", "app")
	reg.MustRegister(sessions, joins)
	regional.MustRegister(calls, connects, restarts)
	of := func(app string) *appMetrics {
		m := &appMetrics{
			sessions: sessions.WithLabelValues(app), connects: connects.WithLabelValues(app), restarts: restarts.WithLabelValues(app),
			calls: make(map[string]prometheus.Counter, len(callOutcomes)),
		}
		for _, outcome := range callOutcomes {
			m.calls[outcome] = calls.WithLabelValues(app, outcome)
		}
		for i, result := range resultNames {
			m.joins[i] = joins.WithLabelValues(app, result)
		}
		return m
	}
	m := &appsMetrics{named: make(map[string]*appMetrics, len(apps)), other: of(OtherApps)}
	for _, app := range apps {
		m.named[app] = of(app)
	}
	return m
}

func (m *appsMetrics) of(app string) *appMetrics {
	if named := m.named[app]; named != nil {
		return named
	}
	return m.other
}

// requestMetrics spare the lookup by label on every request.
type requestMetrics struct {
	byType  map[wire.Type]prometheus.Counter
	invalid prometheus.Counter
	timers  map[wire.Type]*requestTimer // of those that the store is asked about
}

func newRequestMetrics(received *prometheus.CounterVec, answered *prometheus.HistogramVec) *requestMetrics {
	m := &requestMetrics{
		byType: make(map[wire.Type]prometheus.Counter), invalid: received.WithLabelValues("invalid"), timers: make(map[wire.Type]*requestTimer),
	}
	for _, t := range wire.RequestTypes {
		m.byType[t] = received.WithLabelValues(string(t))
	}
	for _, t := range []wire.Type{
		wire.TypeJoin, wire.TypeLeave, wire.TypeSignal, wire.TypePublish, wire.TypeState, wire.TypePeers, wire.TypeRoom, wire.TypeControl,
		wire.TypeHistory, wire.TypeUndo, wire.TypeClear,
	} {
		m.timers[t] = &requestTimer{kind: t, span: "request " + string(t)}
		for i, result := range resultNames {
			m.timers[t].durations[i] = answered.WithLabelValues(string(t), result)
		}
	}
	return m
}
