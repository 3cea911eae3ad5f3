package cluster_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// requireUnreachable asks once, by GET and by POST, and expects the answer for sessions that cannot be reached.
func requireUnreachable(t *testing.T, from *node, public *httptest.Server, result string) {
	t.Helper()
	before := from.count(t, "signalbox_hop_requests_total", result)
	get, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, get.StatusCode)
	require.Equal(t, "nobody there\n", body(t, get))
	post, err := public.Client().Post(public.URL, "text/plain", strings.NewReader("data"))
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, post.StatusCode)
	require.Equal(t, "nobody there\n", body(t, post))
	require.Equal(t, before+2, from.count(t, "signalbox_hop_requests_total", result))
}

// A node that died is on the roster until its lease ends.
func TestOwnerThatDied(t *testing.T) {
	from, owner, public := mustPair(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive") })
	get, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	require.Equal(t, "alive", body(t, get))
	require.NoError(t, owner.server.Close())
	requireUnreachable(t, from, public, "unreachable")
	requireUnreachable(t, from, public, "unreachable")
}

// An owner that is there and says nothing costs a request no more than the time for that.
func TestOwnerThatHangs(t *testing.T) {
	gone := make(chan struct{}, 2)
	from, _, public := mustPair(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- struct{}{}
	}, func(o *cluster.HopOptions) { o.Timeout = 200 * time.Millisecond })
	requireUnreachable(t, from, public, "timeout")
	await(t, gone, "the end of a request that was given up")
	await(t, gone, "the end of a request that was given up")
}

// A process that is stopped takes connections in its kernel and does nothing with them.
func TestOwnerThatDoesNotShakeHands(t *testing.T) {
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from := mustNode(t, redis, func(o *cluster.HopOptions) { o.DialTimeout = 200 * time.Millisecond })
	requireUnreachable(t, from, mustPublic(t, from, mustNode(t, redis).id), "unreachable")
}

// A stopped process that had taken the connection before: a large body fills the kernel's buffers.
func TestOwnerThatDoesNotRead(t *testing.T) {
	release := make(chan struct{})
	from, _, public := mustPair(t, func(http.ResponseWriter, *http.Request) { <-release },
		func(o *cluster.HopOptions) { o.WriteTimeout = 300 * time.Millisecond })
	t.Cleanup(func() { close(release) })
	post, err := public.Client().Post(public.URL, "text/plain", strings.NewReader(strings.Repeat("x", 64<<20)))
	if err == nil { // the client may have been writing still
		require.Equal(t, http.StatusTeapot, post.StatusCode)
		_ = post.Body.Close()
	}
	from.settles(t, 1, "signalbox_hop_requests_total", "timeout")
}

func TestForwardGivesNothingForWhatIsNoOtherNode(t *testing.T) {
	server := redistest.Single(t)
	redis := store.Options{Addresses: []string{server.Addr()}}
	from := mustNode(t, redis)
	require.Nil(t, from.hop.Forward(t.Context(), from.id), "itself")
	require.Nil(t, from.hop.Forward(t.Context(), "AAAAAAAAAAAA"), "nobody")

	// One that does not beat, and so has not asked Redis anything yet.
	st, err := store.Open(t.Context(), redis)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	quiet := &node{registry: prometheus.NewRegistry()}
	quiet.cluster, err = cluster.New(cluster.Options{Store: st, Self: cluster.Node{ID: "BBBBBBBBBBBB"}})
	require.NoError(t, err)
	quiet.hop = mustHop(t, quiet)
	server.Stop() // a question takes as long as its timeout now, 2 s
	defer server.Cont()
	began := time.Now()
	for _, garbage := range []string{"", "A", "AAAAAAAAAAA", "AAAAAAAAAAAAA", "aaaaaaaaaaaa", "AAAAAAAAAAA0", "AAAAAAAAAAA1",
		"AAAAAAAAAAA8", "AAAAAAAAAAA=", "AAAAAAAAAA\x00A", "ÄÄÄÄÄÄ", "__proto__AAA", "BBBBBBBBBBBB"} {
		require.Nil(t, quiet.hop.Forward(t.Context(), garbage), garbage)
		require.Less(t, time.Since(began), time.Second, "%q costs a question to Redis", garbage)
	}
	server.Cont()
	mustForward(t, quiet, from.id)
	server.Stop()
	require.Never(t, func() bool { return quiet.hop.Forward(t.Context(), from.id) == nil }, time.Second, 50*time.Millisecond,
		"a node that is known costs none either")
}

// While Redis does not answer, those that ask for unknown nodes wait at the same time, not one after the other.
func TestFindWhileRedisHangs(t *testing.T) {
	const timeout, many = 300 * time.Millisecond, 50
	server := redistest.Single(t)
	st, err := store.Open(t.Context(), store.Options{Addresses: []string{server.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	c, err := cluster.New(cluster.Options{Store: st, Self: cluster.Node{ID: "a"}, Timeout: timeout})
	require.NoError(t, err)
	server.Stop()
	defer server.Cont()
	began := time.Now()
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() {
			if _, ok := c.Find(t.Context(), "b"); ok {
				t.Error("found a node that is not there")
			}
		})
	}
	asking.Wait()
	require.Less(t, time.Since(began), many*timeout/4)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := c.Find(ctx, "b")
	require.False(t, ok)
}

// slowConn has what is read come late once slow is set.
type slowConn struct {
	net.Conn
	slow  *atomic.Bool
	delay time.Duration
}

func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.slow.Load() {
		<-time.After(c.delay)
	}
	return n, err
}

// A Redis so slow that its answer is old when it comes has those that wait ask again: not all of them, one after the
// other.
func TestFindWhileRedisIsSlow(t *testing.T) {
	const delay, timeout, many = 600 * time.Millisecond, time.Second, 20
	server := redistest.Single(t)
	var slow atomic.Bool
	var dialer net.Dialer
	st, err := store.Open(t.Context(), store.Options{
		Addresses: []string{server.Addr()},
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			return &slowConn{Conn: conn, slow: &slow, delay: delay}, err
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	c, err := cluster.New(cluster.Options{Store: st, Self: cluster.Node{ID: "a"}, Timeout: timeout})
	require.NoError(t, err)
	slow.Store(true)
	began := time.Now()
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() { c.Find(t.Context(), "b") })
	}
	asking.Wait()
	require.Less(t, time.Since(began), many*delay/2)
}

// While Redis is away, those that ask for nodes that do not exist must not fill the log.
func TestFindWhileRedisIsAway(t *testing.T) {
	server := redistest.Single(t)
	st, err := store.Open(t.Context(), store.Options{Addresses: []string{server.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	var log strings.Builder
	c, err := cluster.New(cluster.Options{
		Store: st, Self: cluster.Node{ID: "a"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	server.Kill()
	const asked = 1000
	for range asked {
		_, ok := c.Find(t.Context(), "b")
		require.False(t, ok)
	}
	lines := strings.Count(log.String(), "\n")
	require.Positive(t, lines)
	require.Less(t, lines, asked/10)
}

func TestHopOptions(t *testing.T) {
	c, err := cluster.New(cluster.Options{Store: new(store.Store), Self: cluster.Node{ID: "AAAAAAAAAAAA"}})
	require.NoError(t, err)
	other, err := cluster.New(cluster.Options{Store: new(store.Store), Self: cluster.Node{ID: "a"}})
	require.NoError(t, err)
	for want, opts := range map[string]cluster.HopOptions{
		"needs the roster":                    {Key: clusterKey},
		"is no id that hops can go by":        {Key: clusterKey, Cluster: other},
		"a cluster key of 15 bytes":           {Key: clusterKey[:15], Cluster: c},
		"a duration of hops is negative: -1s": {Key: clusterKey, Cluster: c, Timeout: -time.Second},
	} {
		_, err := cluster.NewHop(opts)
		require.ErrorContains(t, err, want)
	}
	hop, err := cluster.NewHop(cluster.HopOptions{Key: clusterKey[:16], Cluster: c})
	require.NoError(t, err)
	hop.Close()
	hop.Close()
}
