package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// metricsFile is the page that is made from a gateway's registry.
var metricsFile = filepath.Join("..", "..", "docs", "metrics.md")

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

const metricsHead = `<!-- Generated from a gateway's registry: go generate ./services/gateway -->

# Metrics of the gateway

` + "`/metrics`" + ` is on the operations address (` + "`listen.operations`" + `), in the text format of Prometheus, OpenMetrics or, for a
Prometheus that asks for it, protobuf. Beside what is listed here there are the figures of the Go runtime (` + "`go_…`" + `, with the
scheduler and the garbage collector), of the process (` + "`process_…`" + `) and of the scrapes themselves (` + "`promhttp_…`" + `).

- Seconds and bytes are the units; counters end in ` + "`_total`" + ` and begin at 0 with the process.
- A histogram has classic buckets (` + "`_bucket`" + ` with ` + "`le`" + `) and native ones; a Prometheus takes the latter with
  ` + "`scrape_native_histograms: true`" + `, and a query then names it without a suffix.
- Labels have small closed sets of values. None is a room, peer, user or address: what a gateway shows does not grow with its
  use. Of apps the first ones of the configuration have a label (` + "`metrics.apps`" + `), the others together are ` + "`other`" + `. It stays
  below 2,500 series of its own with the 20 of the default.
- Where a request is traced, its histograms have the trace's id as an exemplar, in OpenMetrics and protobuf: a Prometheus
  keeps them with ` + "`--enable-feature=exemplar-storage`" + `. See [traces](operations.md#traces).
- All figures are of one gateway. Sums over gateways are right for all but ` + "`signalbox_cluster_nodes`" + ` and
  ` + "`signalbox_quota_usage_ratio`" + `, which each knows of all.
`

// metricSections order the page. The first section with a beginning that fits has a metric.
var metricSections = []struct {
	title      string
	beginnings []string
}{
	{"Clients: connections and sessions", []string{"accepts_", "handshakes_", "heartbeat_", "connection", "hellos_", "session", "websocket_"}},
	{"By app", []string{"app_", "apps", "auth_", "jwks_", "quota_"}},
	{"Requests and events", []string{"relay_", "messages_", "request", "events_", "sent_bytes", "write_batch"}},
	{"Rooms and seats", []string{"room", "seats", "joins_", "resumed_", "resyncs_", "restored_", "fenced_", "ghost_", "expired_", "lost_", "history_", "lobby_"}},
	{"Redis", []string{"redis_", "inbox_"}},
	{"Between gateways", []string{"cluster_", "reap", "hop_"}},
	{"Webhooks", []string{"webhook_"}},
	{"socket.io clients", []string{"socketio_", "classic_"}},
	{"ICE servers, and relays of our own", []string{"ice_credentials", "ice_relay", "ice_told", "ice_changes"}},
	{"What calls came to", []string{"ice_", "call_", "negotiation_"}},
	{"The server API", []string{"api_"}},
	{"The gateway itself", []string{"build_", "certificate_", "config_", "drain_", "log_", "memory_", "panics_", "readiness_", "trace_"}},
}

// described is a metric as its collector describes it.
type described struct {
	name, kind, labels, help string
}

var descPattern = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*)", unit: "[^"]*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// describe lists the metrics of a registry that are ours. The kind of one that has no series yet is known for counters alone.
func describe(t *testing.T, registry *prometheus.Registry) []described {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	kinds := make(map[string]string)
	for _, family := range families {
		kinds[family.GetName()] = strings.ToLower(family.GetType().String())
	}
	descs := make(chan *prometheus.Desc, 1000)
	registry.Describe(descs)
	close(descs)
	var all []described
	seen := make(map[string]bool)
	for desc := range descs {
		parts := descPattern.FindStringSubmatch(desc.String())
		require.NotNil(t, parts, desc)
		name := parts[1]
		if !strings.HasPrefix(name, "signalbox_") || seen[name] {
			continue
		}
		seen[name] = true
		kind := kinds[name]
		if kind == "" && strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		require.NotEmpty(t, kind, "%s has no series: make one for each value of its labels at start", name)
		var labels []string
		for _, label := range strings.Split(parts[3]+","+parts[4], ",") {
			label, _, _ = strings.Cut(label, "=")
			if label != "" {
				labels = append(labels, "`"+label+"`")
			}
		}
		all = append(all, described{name, kind, strings.Join(labels, ", "), parts[2]})
	}
	slices.SortFunc(all, func(a, b described) int { return cmp.Compare(a.name, b.name) })
	return all
}

// writeCertificate leaves a server's certificate and key in a folder.
func writeCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	folder := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	return write("tls.crt", "CERTIFICATE", server.Certificate().Raw), write("tls.key", "PRIVATE KEY", private)
}

// The page of metrics says what a gateway with all its parts shows, and no metric is without a place on it.
func TestMetricsPage(t *testing.T) {
	certificate, key := writeCertificate(t)
	config, err := app.Load([]string{
		"--listen.public=127.0.0.1:0", "--listen.operations=127.0.0.1:0", "--listen.cluster=127.0.0.1:0", "--demo.enabled",
		"--tracing.endpoint=http://127.0.0.1:1",
		"--tls.cert_file=" + certificate, "--tls.key_file=" + key, "--redis.url=redis://" + redistest.Single(t).Addr(),
	}, nil, io.Discard)
	require.NoError(t, err)
	config.API.Keys = []app.APIKey{{ID: "k", Secret: "a-key-of-the-server-api-for-tests", Can: "admin"}}
	config.API.Address, config.API.TLS.CertFile, config.API.TLS.KeyFile = "127.0.0.1:0", certificate, key
	registry := newRegistry(telemetry.NewBuffer(io.Discard, 1), newReturner())
	gateway, err := app.Open(t.Context(), app.Options{Config: config, Logger: slog.New(slog.DiscardHandler), Registry: registry})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()

	var page strings.Builder
	page.WriteString(metricsHead)
	rest := describe(t, registry)
	require.NotEmpty(t, rest)
	for _, section := range metricSections {
		fmt.Fprintf(&page, "\n## %s\n\n| metric | type | labels | what |\n|---|---|---|---|\n", section.title)
		rest = slices.DeleteFunc(rest, func(m described) bool {
			fits := slices.ContainsFunc(section.beginnings, func(beginning string) bool {
				return strings.HasPrefix(m.name, "signalbox_"+beginning)
			})
			if fits {
				fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.help)
			}
			return fits
		})
	}
	require.Empty(t, rest, "metrics without a section")
	if *update {
		require.NoError(t, os.WriteFile(metricsFile, []byte(page.String()), 0o644))
	}
	want, err := os.ReadFile(metricsFile)
	require.NoError(t, err)
	require.Equal(t, string(want), page.String(), "docs/metrics.md is not what the gateway shows: go generate ./services/gateway")
}
