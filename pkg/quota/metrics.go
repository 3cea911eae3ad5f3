package quota

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// scope is whose quota it is.
type scope int

const (
	ofApp scope = iota
	ofUser
	ofIP
	ofSession
	scopes
)

var scopeNames = [scopes]string{"app", "user", "ip", "session"}

const joins = kinds // a further name of what is refused, behind those of the kinds

var refusedNames = [kinds + 1]string{"connections", "members", "rooms", "messages", "bytes", "joins"}

type metrics struct {
	refused          [kinds + 1][scopes]prometheus.Counter // nil where there is no such quota
	usage            *prometheus.GaugeVec
	failures         prometheus.Counter
	apps             prometheus.Gauge
	holders          prometheus.Gauge
	untrackedApps    prometheus.Counter
	untrackedHolders prometheus.Counter
	told             prometheus.Gauge
	untrackedTold    prometheus.Counter

	// immutable
	labels map[string]bool
	other  string
}

func newMetrics(opts *Options, age func() time.Duration) *metrics {
	refused := metric.Counters("signalbox_quota_refused_total",
		"What was refused for a quota, by what there would have been too much of and whose quota it is: app, user, ip or session.", "quota", "scope")
	untracked := metric.Counters("signalbox_quota_untracked_total",
		"What this gateway could not keep count of: holders (users and addresses past quotas.holders, which are not held to theirs) and apps (past quotas.apps, which get an even share; counted in each exchange), and told (users and addresses past quotas.holders_told, which this gateway holds to their quotas by itself).", "kind")
	m := &metrics{
		usage: metric.Gauges("signalbox_quota_usage_ratio",
			"Use of an app's quotas in the whole cluster, as this gateway knows it; of messages and bytes, what was asked for. Apps as in signalbox_app_sessions; other is the greatest of them.", "app", "quota"),
		failures: metric.Counter("signalbox_quota_exchange_failures_total", "Times that this gateway could not exchange with the others what is used."),
		apps:     metric.Gauge("signalbox_quota_apps", "Apps with quotas of the whole cluster whose use this gateway tells the others."),
		holders:  metric.Gauge("signalbox_quota_holders", "Users and addresses that this gateway keeps count of."),

		told: metric.Gauge("signalbox_quota_holders_told", "Users and addresses with much on this gateway, or some on others, of which the gateways tell each other."),

		untrackedApps: untracked.WithLabelValues("apps"), untrackedHolders: untracked.WithLabelValues("holders"), untrackedTold: untracked.WithLabelValues("told"),
		labels: make(map[string]bool, len(opts.Labels)), other: opts.Other,
	}
	for _, label := range opts.Labels {
		m.labels[label] = true
	}
	for _, name := range kindNames {
		m.usage.WithLabelValues(m.other, name)
	}
	for s := range scopes {
		for what := range joins + 1 {
			switch {
			case (what == members || what == rooms) && s != ofApp, what == connections && s == ofSession, what == joins && s == ofApp:
			default:
				m.refused[what][s] = refused.WithLabelValues(refusedNames[what], scopeNames[s])
			}
		}
	}
	opts.Registerer.MustRegister(refused, untracked, m.usage, m.failures, m.apps, m.holders, m.told, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signalbox_quota_exchange_age_seconds",
		Help: "How long ago this gateway last exchanged with the others what is used. While it grows every gateway keeps its share.",
	}, func() float64 { return age().Seconds() }))
	return m
}

// ratios shows what is used of the quotas of the apps. The keeper's mu is held.
func (m *metrics) ratios(apps map[string]*App) {
	var others [kinds]float64
	for id, a := range apps {
		l := a.limits.Load()
		used := a.cluster()
		for k := range kinds {
			limit := l.of(k)
			switch {
			case limit == 0:
			case m.labels[id]:
				m.usage.WithLabelValues(id, kindNames[k]).Set(used[k] / limit)
			default:
				others[k] = max(others[k], used[k]/limit)
			}
		}
	}
	for k := range kinds {
		m.usage.WithLabelValues(m.other, kindNames[k]).Set(others[k])
	}
}

// forget takes an app's figures away.
func (m *metrics) forget(a *App) {
	if m.labels[a.id] {
		for _, name := range kindNames {
			m.usage.DeleteLabelValues(a.id, name)
		}
	}
}
