package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// quietLogger has what a test provokes not fill its output.
func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// metric is a counter's or gauge's value; label is "" or one label's value.
func metric(tb testing.TB, registry *prometheus.Registry, name, label string) float64 {
	tb.Helper()
	families, err := registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if label == "" || len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	require.Failf(tb, "no such metric", "%s %s", name, label)
	return 0
}

func TestFlushedScriptsHeal(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		registry := prometheus.NewRegistry()
		d.options.Registerer, d.options.Logger = registry, quietLogger()
		n := startNode(t, d.options, "n")
		mustJoin(t, n, lobby, "a", "b")
		d.all(t, "SCRIPT", "FLUSH")
		_, err := n.send(store.Send{Seat: n.seat(lobby, "a"), Type: "message", Event: []byte(`{"type":"message"}`)})
		require.NoError(t, err)
		require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_errors_total", "noscript"))
		mustJoin(t, n, lobby, "c") // all scripts are loaded again, not only the missing one
		require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_errors_total", "noscript"))
	})
}

// cutDialer gives connections that stop in the midst of a pipeline: after that many script calls, what came
// before is on its way to Redis, and between runs before the rest is.
type cutDialer struct {
	mu      sync.Mutex
	after   int
	between func()
}

func (d *cutDialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &cutConn{Conn: conn, dialer: d}, err
}

type cutConn struct {
	net.Conn
	dialer *cutDialer
}

var scriptCall = regexp.MustCompile(`\*\d+\r\n\$7\r\nevalsha\r\n`)

func (c *cutConn) Write(p []byte) (int, error) {
	calls := scriptCall.FindAllIndex(p, -1)
	c.dialer.mu.Lock()
	after, between := c.dialer.after, c.dialer.between
	if between == nil || len(calls) <= after {
		c.dialer.mu.Unlock()
		return c.Conn.Write(p)
	}
	c.dialer.between = nil // once
	c.dialer.mu.Unlock()
	cut := calls[after][0]
	if n, err := c.Conn.Write(p[:cut]); err != nil {
		return n, err
	}
	between()
	n, err := c.Conn.Write(p[cut:])
	return cut + n, err
}

// batchNode is a node whose Run begins with run, so that all calls before it are one batch.
func batchNode(t *testing.T, opts store.Options) (n *node, run func()) {
	t.Helper()
	s, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		require.NoError(t, s.Close())
	})
	return &node{id: "n", store: s}, func() { running.Go(func() { _ = s.Run(ctx) }) }
}

func TestScriptsFlushedInsideAPipeline(t *testing.T) {
	server := redistest.Single(t)
	cut := &cutDialer{}
	opts := store.Options{Addresses: []string{server.Addr()}, Dialer: cut.dial, Logger: quietLogger()}.Patient()
	n, run := batchNode(t, opts)
	var answers []string
	var pending sync.WaitGroup
	add := func(call func(done func(int64, error))) {
		pending.Add(1)
		call(func(seq int64, err error) {
			answers = append(answers, replyLine(err, "%d", seq))
			pending.Done()
		})
	}
	seat := n.seat(lobby, "a")
	add(func(done func(int64, error)) {
		n.store.Join(joinOf(seat), func(_ *store.Snapshot, err error) { done(0, err) })
	})
	for range 6 { // each is a script call of its own
		add(func(done func(int64, error)) {
			n.store.SetState(store.SetState{Seat: seat, Event: []byte(`{"type":"state"}`)}, done)
		})
	}
	add(func(done func(int64, error)) { n.store.Leave(leaveOf(seat), numberOf(done)) })
	cut.after, cut.between = 4, func() { // the join and three changes
		awaitNumber(t, server, 4)
		_, err := server.Do("SCRIPT", "FLUSH")
		require.NoError(t, err)
	}
	run()
	pending.Wait()
	require.Equal(t, []string{"0", "2", "3", "4", "5", "6", "7", "7"}, answers)
	require.Nil(t, cut.between, "the pipeline was not cut")
}

// awaitNumber waits until the one room of the server has reached a sequence number.
func awaitNumber(t *testing.T, server *redistest.Server, number int) {
	t.Helper()
	require.Eventually(t, func() bool {
		keys, err := server.Do("KEYS", "sb:{*}:room:*")
		if err != nil || len(keys.([]any)) != 1 {
			return false
		}
		seq, err := server.Do("HGET", keys.([]any)[0].(string), "seq")
		return err == nil && seq == strconv.Itoa(number)
	}, 10*time.Second, time.Millisecond)
}

// The scripts are missing when a pipeline begins and are there again, by another node, before it ends. Sending
// the first changes of a room again would then put them behind its last one.
func TestOvertakenCallsAreNotSentAgain(t *testing.T) {
	server := redistest.Single(t)
	cut := &cutDialer{}
	plain := store.Options{Addresses: []string{server.Addr()}, Logger: quietLogger()}.Patient()
	opts := plain
	opts.Dialer = cut.dial
	n, run := batchNode(t, opts)
	other := store.Room{App: "acme", Name: "other"}
	guest := startNode(t, plain, "n") // of the same id: it takes the seats
	mustJoin(t, guest, lobby, "a")
	mustJoin(t, guest, other, "a")
	_, err := server.Do("SCRIPT", "FLUSH")
	require.NoError(t, err)
	_, err = server.Do("CONFIG", "RESETSTAT")
	require.NoError(t, err)

	var pending sync.WaitGroup
	answers := map[string]string{}
	for _, call := range []struct {
		name string
		room store.Room
	}{{"first", lobby}, {"elsewhere", other}, {"second", lobby}, {"third", lobby}} {
		pending.Add(1)
		change := store.SetState{Seat: n.seat(call.room, "a"), Event: []byte(`{"type":"state"}`)}
		n.store.SetState(change, func(seq int64, err error) {
			answers[call.name] = replyLine(err, "%d", seq)
			pending.Done()
		})
	}
	cut.after, cut.between = 3, func() {
		require.Eventually(t, func() bool {
			stats, err := server.Do("INFO", "errorstats")
			return err == nil && bytes.Contains([]byte(stats.(string)), []byte("errorstat_NOSCRIPT:count=3"))
		}, 10*time.Second, time.Millisecond)
		loader, err := store.Open(context.Background(), plain) // opening loads the scripts
		require.NoError(t, err)
		require.NoError(t, loader.Close())
	}
	run()
	pending.Wait()
	require.Equal(t, map[string]string{"first": "unavailable", "second": "unavailable", "third": "2", "elsewhere": "2"}, answers)
}

func TestOutage(t *testing.T) {
	server := redistest.Single(t)
	registry := prometheus.NewRegistry()
	opts := store.Options{
		Addresses: []string{server.Addr()}, Registerer: registry, Logger: quietLogger(), RecoveryTime: 10 * time.Millisecond,
	}
	n := openNode(t, opts, "n")
	lost, resubscribed := make(chan int, 1000), make(chan int, 1000)
	await(t, func() bool { return n.inbox.Ready() == nil })
	hooked := n.store.Inbox("hooked", n)
	hooked.OnLost = func(p int) { lost <- p }
	hooked.OnResubscribed = func(p int) { resubscribed <- p }
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = hooked.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	await(t, func() bool { return hooked.Ready() == nil })
	mustJoin(t, n, lobby, "a")
	require.NoError(t, n.store.Ping(t.Context()))
	require.Empty(t, lost, "nothing was there to be lost")
	require.Empty(t, resubscribed, "the first subscription is none that was made again")

	server.Kill()
	_, err := n.join(n.seat(lobby, "b"))
	requireCode(t, wire.CodeUnavailable, err)
	var refusal *wire.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, time.Second, refusal.RetryAfter)
	require.NotContains(t, refusal.Message, server.Addr(), "clients do not learn addresses")
	require.Error(t, n.store.Ping(t.Context()))
	await(t, func() bool { return n.inbox.Ready() != nil })
	short, done := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer done()
	require.ErrorIs(t, n.inbox.WaitReady(short), context.DeadlineExceeded)
	require.Zero(t, metric(t, registry, "signalbox_redis_inbox_ready", ""))
	requireEach(t, n.store.Partitions(), lost)
	require.Empty(t, resubscribed, "there is nothing to subscribe at")

	server.Restart() // empty, without scripts
	await(t, func() bool { return n.inbox.Ready() == nil && hooked.Ready() == nil })
	requireEach(t, n.store.Partitions(), resubscribed)
	require.Empty(t, lost, "it was lost once, however often Redis was tried")
	await(t, func() bool { _, err := n.join(n.seat(lobby, "b")); return err == nil })
	mustJoin(t, n, lobby, "c")
	require.Contains(t, string(n.expect(t, 1)[0].Body), `"c"`, "events flow again")
	require.Positive(t, metric(t, registry, "signalbox_redis_inbox_reconnects_total", "dial")+metric(t, registry, "signalbox_redis_inbox_reconnects_total", "closed"))
	require.Positive(t, metric(t, registry, "signalbox_redis_errors_total", "dial")+metric(t, registry, "signalbox_redis_errors_total", "other"))
}

// requireEach takes one call of a hook for every partition.
func requireEach(t *testing.T, partitions int, calls <-chan int) {
	t.Helper()
	seen := map[int]bool{}
	for range partitions {
		seen[<-calls] = true
	}
	require.Len(t, seen, partitions, "every partition may have missed something")
	require.Empty(t, calls)
}

func await(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond)
}

func TestForeignMessagesInTheInbox(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		registry := prometheus.NewRegistry()
		d.options.Registerer, d.options.Logger = registry, quietLogger()
		n := startNode(t, d.options, "n")
		publish := "PUBLISH"
		if d.options.Mode == store.ModeCluster {
			publish = "SPUBLISH"
		}
		for _, message := range []string{"", "hello", `1 E 1 acme/lobby message * - nothing`} {
			d.do(t, publish, d.prefix(n.store, lobby)+"inbox:n", message)
		}
		n.quiet(t, lobby)
		require.EqualValues(t, 3, metric(t, registry, "signalbox_redis_inbox_malformed_total", ""))
		require.EqualValues(t, 4, metric(t, registry, "signalbox_redis_inbox_events_total", ""), "three, and the probe")
		require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_inbox_ready", ""))
	})
}

// A slot moves to another primary, as when a cluster is resharded: calls and subscriptions must follow.
func TestPartitionMoves(t *testing.T) {
	c := redistest.Cluster(t, 3)
	opts := store.Options{Mode: store.ModeCluster, Addresses: c.Addrs(), Partitions: 6, Logger: quietLogger(), RecoveryTime: 10 * time.Millisecond}
	a, b := startNode(t, opts, "a"), startNode(t, opts, "b")
	slot := int(store.CRC16(store.PartitionTags(6)[a.store.Partition(lobby)])) % slots
	to := c.Nodes()[0]
	if to == c.Owner(slot) {
		to = c.Nodes()[1]
	}
	c.Migrate(slot, to)
	await(t, func() bool { _, err := a.join(a.seat(lobby, "alice")); return err == nil })
	await(t, func() bool { _, err := b.join(b.seat(lobby, "bob")); return err == nil })
	await(t, func() bool { return a.inbox.Ready() == nil && b.inbox.Ready() == nil })
	// The server ends the subscription some time after the move; until then events of the slot may be lost.
	await(t, func() bool {
		_, err := a.send(store.Send{Seat: a.seat(lobby, "alice"), To: "bob", Type: "signal", Event: []byte(`{"type":"signal"}`)})
		require.NoError(t, err)
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.events) > 0
	})
}

func TestQueueIsBounded(t *testing.T) {
	opts := single(t).options
	opts.QueueCalls, opts.Logger = 3, quietLogger()
	n, run := batchNode(t, opts)
	answers := make(chan error, 10)
	for range 5 {
		n.store.Snapshot(store.Look{Room: lobby}, func(_ *store.Snapshot, err error) { answers <- err })
	}
	require.Len(t, answers, 2, "what does not fit is refused before the call returns")
	requireCode(t, wire.CodeUnavailable, <-answers)
	requireCode(t, wire.CodeUnavailable, <-answers)
	run()
	for range 3 {
		require.NoError(t, <-answers)
	}
}

func TestRunEnds(t *testing.T) {
	t.Run("what is queued is still sent", func(t *testing.T) {
		opts := single(t).options
		opts.BatchCalls = 7
		s, err := store.Open(t.Context(), opts)
		require.NoError(t, err)
		var answers []error
		for range 100 {
			s.Snapshot(store.Look{Room: lobby}, func(_ *store.Snapshot, err error) { answers = append(answers, err) })
		}
		ended, end := context.WithCancel(t.Context())
		end()
		require.NoError(t, s.Run(ended))
		require.Len(t, answers, 100)
		require.NoError(t, errors.Join(answers...))
		s.Snapshot(store.Look{Room: lobby}, func(_ *store.Snapshot, err error) { answers = append(answers, err) })
		require.Len(t, answers, 101, "afterwards calls are refused at once")
		requireCode(t, wire.CodeUnavailable, answers[100])
		require.Error(t, s.Run(t.Context()), "a second Run")
		require.NoError(t, s.Close())
	})
	t.Run("Close without Run", func(t *testing.T) {
		s, err := store.Open(t.Context(), single(t).options)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = wait(func(done func(*store.Snapshot, error)) { s.Snapshot(store.Look{Room: lobby}, done) })
		requireCode(t, wire.CodeUnavailable, err)
	})
}

func TestOpenRefuses(t *testing.T) {
	addr := []string{"127.0.0.1:1"}
	for name, opts := range map[string]store.Options{
		"no addresses":              {},
		"two addresses":             {Addresses: []string{"a:1", "b:1"}},
		"unknown mode":              {Addresses: addr, Mode: 9},
		"sentinel without a name":   {Addresses: addr, Mode: store.ModeSentinel},
		"database of a cluster":     {Addresses: addr, Mode: store.ModeCluster, Database: 1},
		"too many partitions":       {Addresses: addr, Partitions: 4097},
		"negative partitions":       {Addresses: addr, Partitions: -1},
		"negative time":             {Addresses: addr, ReadTimeout: -1},
		"negative number":           {Addresses: addr, BatchCalls: -1},
		"resume window of nothing":  {Addresses: addr, ResumeWindow: time.Microsecond},
		"nobody listens":            {Addresses: addr},
		"nobody listens, a cluster": {Addresses: addr, Mode: store.ModeCluster},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), opts)
			require.Error(t, err)
			require.ErrorContains(t, err, "store: ")
		})
	}
	t.Run("an old Redis", func(t *testing.T) {
		_, err := store.Open(t.Context(), store.Options{Addresses: addr, Dialer: oldRedis(t)})
		require.ErrorContains(t, err, "6.2.14")
	})
	t.Run("metrics twice in one registry", func(t *testing.T) {
		opts := single(t).options
		opts.Registerer = prometheus.NewRegistry()
		s, err := store.Open(t.Context(), opts)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = store.Open(t.Context(), opts)
		require.ErrorContains(t, err, "register metrics")
	})
	t.Run("a node id that is none", func(t *testing.T) {
		s, err := store.Open(t.Context(), single(t).options)
		require.NoError(t, err)
		require.Error(t, s.Inbox("two words", &node{}).Run(t.Context()))
		require.NoError(t, s.Close())
	})
}

// oldRedis is a server of version 6 that knows INFO alone.
func oldRedis(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	const info = "# Server\r\nredis_version:6.2.14\r\n"
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		serving.Go(func() {
			defer server.Close()
			buffer := make([]byte, 4096)
			for {
				n, err := server.Read(buffer)
				if err != nil {
					return
				}
				reply := "-ERR unknown command\r\n"
				if bytes.Contains(buffer[:n], []byte("info")) {
					reply = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
				}
				if _, err := io.WriteString(server, reply); err != nil {
					return
				}
			}
		})
		return client, nil
	}
}
