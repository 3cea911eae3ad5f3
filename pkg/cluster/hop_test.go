package cluster_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

const (
	patience = 30 * time.Second // on a busy machine
	tick     = 5 * time.Millisecond
)

var clusterKey = []byte("the key of a cluster under test")

// node is a gateway as far as hops go: a place on the roster, an internal server, and the way to others.
type node struct {
	id       string
	cluster  *cluster.Cluster
	hop      *cluster.Hop
	registry *prometheus.Registry
	addr     string // of the internal server
	tcp      net.Listener
	server   *http.Server
}

// options changes those of a node under test.
type options func(*cluster.HopOptions)

// mustNode puts a node on the roster. Its internal listener is there; serve makes it answer.
func mustNode(t testing.TB, redis store.Options, change ...options) *node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	st, err := store.Open(t.Context(), redis)
	require.NoError(t, err)
	n := &node{id: rand.Text()[:12], addr: ln.Addr().String(), tcp: ln, registry: prometheus.NewRegistry()}
	n.cluster, err = cluster.New(cluster.Options{
		Store: st, Self: cluster.Node{ID: n.id, Name: "node", Address: n.addr}, Beat: 100 * time.Millisecond, Lease: 10 * time.Second,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.cluster.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, st.Close())
	})
	n.hop = mustHop(t, n, change...)
	return n
}

// mustHop makes the hop of a node.
func mustHop(t testing.TB, n *node, change ...options) *cluster.Hop {
	t.Helper()
	opts := cluster.HopOptions{
		Key: clusterKey, Cluster: n.cluster, Registerer: n.registry,
		Unreachable: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "nobody there", http.StatusTeapot)
		}),
	}
	for _, change := range change {
		change(&opts)
	}
	hop, err := cluster.NewHop(opts)
	require.NoError(t, err)
	t.Cleanup(hop.Close)
	return hop
}

// serve has the node answer what other nodes pass on.
func (n *node) serve(t testing.TB, handler http.HandlerFunc) {
	t.Helper()
	n.run(t, n.hop.Server(handler))
}

func (n *node) run(t testing.TB, server *http.Server) {
	t.Helper()
	n.server = server
	done := make(chan error, 1)
	go func() { done <- server.Serve(n.hop.Listener(n.tcp)) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the internal server has ended: %v", err)
		}
	})
}

// mustForward gives the way to another node as soon as it is known.
func mustForward(t testing.TB, n *node, owner string) (forward http.Handler) {
	t.Helper()
	require.Eventually(t, func() bool {
		forward = n.hop.Forward(t.Context(), owner)
		return forward != nil
	}, patience, tick)
	return forward
}

// mustPublic serves the clients of a node, passing all that they ask for on to an owner.
func mustPublic(t testing.TB, n *node, owner string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(mustForward(t, n, owner))
	t.Cleanup(server.Close)
	return server
}

// mustPair makes a node that passes on to another one, which answers by handler.
func mustPair(t testing.TB, handler http.HandlerFunc, change ...options) (from, owner *node, public *httptest.Server) {
	t.Helper()
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from, owner = mustNode(t, redis, change...), mustNode(t, redis)
	owner.serve(t, handler)
	return from, owner, mustPublic(t, from, owner.id)
}

// count gives the sum of a counter or a gauge over those of its series that have the label's value.
func (n *node) count(t testing.TB, name, value string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	require.NoError(t, err)
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if value != "" && metric.GetLabel()[0].GetValue() != value {
				continue
			}
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// settles waits for a count: the client may have its answer before the request is counted.
func (n *node) settles(t testing.TB, want float64, name, value string) {
	t.Helper()
	require.Eventually(t, func() bool { return n.count(t, name, value) == want }, patience, tick)
}

func body(t testing.TB, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

func TestHopPassesRequestsAndAnswersOn(t *testing.T) {
	from, _, public := mustPair(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the body: %v", err)
		}
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.Header().Set("X-Host", r.Host)
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(r.Method + " " + r.RequestURI + " " + string(text)))
	})
	const path = "/socket.io/?EIO=4&transport=polling&sid=abc&t=%20x"
	client := public.Client()

	get, err := client.Get(public.URL + path)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, get.StatusCode)
	require.Equal(t, "text/plain; charset=UTF-8", get.Header.Get("Content-Type"))
	require.Equal(t, strings.TrimPrefix(public.URL, "http://"), get.Header.Get("X-Host"))
	require.Equal(t, "GET "+path+" ", body(t, get))

	large := strings.Repeat("message", 100_000)
	post, err := client.Post(public.URL+path, "text/plain", strings.NewReader(large))
	require.NoError(t, err)
	require.Equal(t, "POST "+path+" "+large, body(t, post))

	from.settles(t, 2, "signalbox_hop_requests_total", "ok")
	require.Equal(t, 2.0, from.count(t, "signalbox_hop_requests_total", ""))
	require.Equal(t, 1.0, from.count(t, "signalbox_hop_request_seconds", ""), "a GET may wait, so it tells nothing")
	from.settles(t, 0, "signalbox_hop_open", "")
}
