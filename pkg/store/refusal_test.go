package store_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/lockedbuf"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// refusals are the ways in which a Redis that lives does not do what it is asked.
var refusals = []struct {
	class  string
	config []string
	// provoke begins it and returns what ends it.
	provoke func(t *testing.T, s *redistest.Server) (end func())
}{
	{"oom", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Config("maxmemory", "1")
		return func() { s.Config("maxmemory", "0") }
	}},
	{"noreplicas", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Config("min-replicas-to-write", "1")
		return func() { s.Config("min-replicas-to-write", "0") }
	}},
	{"readonly", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Must("REPLICAOF", "127.0.0.1", "1")
		return func() { s.Must("REPLICAOF", "NO", "ONE") }
	}},
	{"masterdown", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Config("replica-serve-stale-data", "no")
		s.Must("REPLICAOF", "127.0.0.1", "1")
		return func() { s.Must("REPLICAOF", "NO", "ONE") }
	}},
	{"loading", nil, provokeLoading},
	{"busy", []string{"--busy-reply-threshold", "20"}, func(t *testing.T, s *redistest.Server) func() {
		var running sync.WaitGroup
		running.Go(func() { _, _ = s.Do("EVAL", "while true do end", "0") })
		await(t, func() bool { _, err := s.Do("PING"); return err != nil && strings.HasPrefix(err.Error(), "BUSY") })
		return func() {
			s.Must("SCRIPT", "KILL")
			running.Wait()
		}
	}},
	{"timeout", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Stop()
		return s.Cont
	}},
	{"timeout", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Pause(time.Minute, true)
		return func() { s.Must("CLIENT", "UNPAUSE") }
	}},
	{"auth", nil, func(_ *testing.T, s *redistest.Server) func() {
		s.Must("ACL", "SETUSER", "default", "-evalsha")
		return func() { s.Must("ACL", "SETUSER", "default", "+evalsha") }
	}},
	{"auth", nil, func(t *testing.T, s *redistest.Server) func() {
		s.Must("ACL", "SETUSER", "other", "on", "nopass", "+@all", "~*")
		other := talkTo(t, s, "AUTH other x")
		other.do("ACL SETUSER default off")
		other.do("CLIENT KILL TYPE normal SKIPME yes")
		return func() { other.do("ACL SETUSER default on") }
	}},
	{"maxclients", nil, provokeMaxclients},
}

func TestRedisRefuses(t *testing.T) {
	for _, refusal := range refusals {
		t.Run(refusal.class, func(t *testing.T) {
			server := redistest.Single(t, refusal.config...)
			registry, lines := prometheus.NewRegistry(), new(lockedbuf.Buffer)
			n := startNode(t, store.Options{
				Addresses: []string{server.Addr()}, Registerer: registry, Logger: slog.New(slog.NewTextHandler(lines, nil)),
				// Long enough for a busy machine, and short enough for three calls within the interval of the log.
				ReadTimeout: 700 * time.Millisecond, WriteTimeout: 700 * time.Millisecond, RecoveryTime: time.Millisecond,
			}.WithoutCanaries(), "n")
			mustJoin(t, n, lobby, "a")
			end := refusal.provoke(t, server)
			for range 3 {
				_, err := n.send(store.Send{Seat: n.seat(lobby, "a"), To: "a", Type: "signal", Event: []byte(`{"type":"signal"}`)})
				var answer *wire.Error
				require.ErrorAs(t, err, &answer)
				require.Equal(t, wire.CodeUnavailable, answer.Code)
				require.Equal(t, time.Second, answer.RetryAfter)
			}
			require.GreaterOrEqual(t, metric(t, registry, "signalbox_redis_errors_total", refusal.class), 1.0, lines.String())
			require.Equal(t, 1, strings.Count(lines.String(), "class="+refusal.class+" "), "one line an interval:\n%s", lines)
			end()
			await(t, func() bool { _, err := n.join(n.seat(lobby, "a")); return err == nil })
			await(t, func() bool { return n.inbox.Ready() == nil })
			mustJoin(t, n, lobby, "b")
		})
	}
}

// provokeLoading has the server load what another one holds, slowly.
func provokeLoading(t *testing.T, s *redistest.Server) func() {
	full := redistest.Single(t, "--repl-diskless-sync-delay", "0")
	full.Must("EVAL", "for i = 1, 2000 do redis.call('SET', i, string.rep('x', 2000)) end", "0")
	s.Config("loading-process-events-interval-bytes", "1024")
	s.Config("key-load-delay", "5000")
	replicate(t, s, full)
	await(t, func() bool { return s.Info("loading") == "1" })
	return func() {
		s.Config("key-load-delay", "0")
		await(t, func() bool { _, err := s.Do("REPLICAOF", "NO", "ONE"); return err == nil })
	}
}

// provokeMaxclients has no connection left for the pipelines.
func provokeMaxclients(t *testing.T, s *redistest.Server) func() {
	admin := talkTo(t, s, "PING")
	var fill []*talk
	another := func() bool {
		next, answer := greet(t, s, "PING")
		fill = append(fill, next)
		return answer == "+PONG\r\n"
	}
	admin.do("CONFIG SET maxclients 10")
	await(t, func() bool { return !another() })
	for line := range strings.Lines(admin.do("CLIENT LIST")) {
		// What is neither ours nor the inbox'.
		id, rest, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		if strings.Contains(rest, " cmd=") && !strings.Contains(rest, " cmd=ping ") && strings.Contains(rest, " flags=N ") &&
			!strings.Contains(rest, " cmd=client|list ") {
			admin.do("CLIENT KILL ID " + id)
			await(t, another) // takes its place
		}
	}
	return func() {
		admin.do("CONFIG SET maxclients 10000")
		for _, f := range fill {
			_ = f.conn.Close()
		}
	}
}

// talk is a connection for inline commands.
type talk struct {
	t    *testing.T
	conn net.Conn
}

func talkTo(t *testing.T, s *redistest.Server, greeting string) *talk {
	t.Helper()
	c, _ := greet(t, s, greeting)
	return c
}

func greet(t *testing.T, s *redistest.Server, greeting string) (*talk, string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", s.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	c := &talk{t, conn}
	return c, c.do(greeting)
}

// do sends one command and returns what comes back at once.
func (c *talk) do(command string) string {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = c.conn.Write([]byte(command + "\r\n")) // fails when it is one too many
	buffer := make([]byte, 64<<10)
	n, _ := c.conn.Read(buffer)
	return string(buffer[:n])
}

// Whoever reads too slowly is thrown out by Redis: what was lost with the connection has to be told.
func TestSlowInboxIsThrownOut(t *testing.T) {
	server := redistest.Single(t, "--client-output-buffer-limit", "pubsub 1mb 0 0")
	registry := prometheus.NewRegistry()
	n, h := hookedNode(t, store.Options{Addresses: []string{server.Addr()}, Registerer: registry, Logger: quietLogger()}.WithoutCanaries(), "n")
	blocked, release := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	var once sync.Once
	h.block(func() { once.Do(func() { close(blocked); <-release }) })
	channel := "sb:{" + store.PartitionTags(n.store.Partitions())[0] + "}:inbox:n"
	record := "1 0123456789AB 1 acme/lobby message * - - {\"type\":\"" + strings.Repeat("x", 100<<10) + "\"}"
	server.Must("PUBLISH", channel, record)
	select {
	case <-blocked:
	case <-time.After(10 * time.Second):
		require.Fail(t, "nothing arrives")
	}
	await(t, func() bool { return server.Must("PUBLISH", channel, record) == int64(0) })
	free()
	await(t, func() bool { return slices.Contains(h.drain(), "resubscribed") })
	require.Equal(t, n.store.Partitions(), h.partitions("lost"))
	signals(t, n, h, lobby)
	require.NoError(t, n.inbox.Ready())
}

// A canary must not report a connection for lost because Redis takes nothing new.
func TestCanariesLiveAtMaxmemory(t *testing.T) {
	server := redistest.Single(t)
	registry := prometheus.NewRegistry()
	_, h := hookedNode(t, store.Options{
		Addresses: []string{server.Addr()}, Registerer: registry, Logger: quietLogger(), CanaryPeriod: 10 * time.Millisecond,
	}, "n")
	server.Config("maxmemory", "1")
	count := func() uint64 { n, _ := histogram(t, registry, "signalbox_inbox_canary_seconds"); return n }
	before := count()
	await(t, func() bool { return count() > before+5 })
	require.Zero(t, metric(t, registry, "signalbox_inbox_canaries_lost_total", ""))
	require.Zero(t, metric(t, registry, "signalbox_redis_errors_total", "oom"))
	require.Empty(t, h.drain())
}
