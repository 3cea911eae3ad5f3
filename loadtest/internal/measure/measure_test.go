package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecorder(t *testing.T) {
	r := NewRecorder()
	calls, took := r.Counter("calls"), r.Histogram("setup")
	calls.Add(7)
	took.Record(time.Hour) // of the warm-up
	r.Begin()
	calls.Add(3)
	for i := 1; i <= 1000; i++ {
		took.Record(time.Duration(i) * time.Millisecond)
	}
	r.End()
	calls.Add(5)
	took.Record(time.Hour) // of what came too late

	require.Equal(t, map[string]int64{"calls": 3}, r.Counts())
	require.Equal(t, int64(15), r.Totals()["calls"])
	latency := r.Latencies()["setup"]
	require.Equal(t, int64(1000), latency.Count)
	require.InEpsilon(t, 500, latency.P50, 0.01)
	require.InEpsilon(t, 990, latency.P99, 0.01)
	require.InEpsilon(t, 1000, latency.Max, 0.01)
	require.NotEmpty(t, latency.Curve)
	for i := 1; i < len(latency.Curve); i++ {
		require.GreaterOrEqual(t, latency.Curve[i].Millis, latency.Curve[i-1].Millis)
	}
	require.Same(t, calls, r.Counter("calls"))
	require.Same(t, took, r.Histogram("setup"))
}

func TestLatencyOutOfRangeIsNotDropped(t *testing.T) {
	r := NewRecorder()
	took := r.Histogram("setup")
	r.Begin()
	took.Record(time.Hour)
	took.Record(-time.Second)
	require.Equal(t, int64(2), r.Latencies()["setup"].Count)
}

func TestFailuresAreCountedByTheirCause(t *testing.T) {
	r := NewRecorder()
	r.Fail(nil)
	for i := range 3 {
		r.Fail(fmt.Errorf("client %d: %w", i, io.ErrUnexpectedEOF))
	}
	require.Equal(t, map[string]int64{io.ErrUnexpectedEOF.Error(): 3}, r.Failures())
	require.Equal(t, int64(3), r.Counter(Errors).Total())
}

func TestPIDOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here: a load on servers elsewhere reads their /metrics")
	}
	before, err := PID(os.Getpid()).Read(t.Context())
	require.NoError(t, err)
	require.Greater(t, before.Memory, int64(1<<20))
	deadline := time.Now().Add(30 * time.Second)
	for n := 0; ; n++ { // work until it shows
		if n%1_000_000 != 0 {
			continue
		}
		after, err := PID(os.Getpid()).Read(t.Context())
		require.NoError(t, err)
		if after.CPU > before.CPU {
			return
		}
		require.True(t, time.Now().Before(deadline), "the CPU time does not grow")
	}
}

func TestMetrics(t *testing.T) {
	page := "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.097152e+06\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
	defer server.Close()
	usage, err := Metrics(server.URL).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, Usage{CPU: 1500 * time.Millisecond, Memory: 2 << 20}, usage)
	_, err = parseMetrics(strings.NewReader("up 1\n"))
	require.ErrorContains(t, err, "lacks")
}

// redisSays gives a Redis that answers the commands of each connection with these texts, in order.
func redisSays(t *testing.T, replies ...string) RedisInfo {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			for _, reply := range replies {
				if _, err := in.ReadString('\n'); err == nil {
					_, _ = io.WriteString(conn, reply)
				}
			}
			_ = conn.Close()
		}
	}()
	return RedisInfo(listener.Addr().String())
}

// bulk is a text as Redis answers with it.
func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func TestRedisInfo(t *testing.T) {
	info := "# Memory\r\nused_memory:2048\r\nused_memory_human:2.00K\r\nused_memory_rss:1048576\r\n# CPU\r\nused_cpu_sys:0.25\r\nused_cpu_user:0.5\r\nused_cpu_sys_children:9\r\n" +
		"# Stats\r\ntotal_net_input_bytes:100\r\ntotal_net_output_bytes:300\r\ntotal_reads_processed:40\r\n" +
		"# Commandstats\r\ncmdstat_publish:calls=5,usec=9,usec_per_call=1.80\r\ncmdstat_spublish:calls=7,usec=9\r\ncmdstat_get:calls=99,usec=9\r\n"
	want := Usage{CPU: 750 * time.Millisecond, Memory: 1 << 20, Data: 2048, In: 100, Out: 300, Published: 12, Reads: 40}

	t.Run("Single", func(t *testing.T) {
		usage, err := redisSays(t, bulk(info+"cluster_enabled:0\r\n")).Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, usage)
	})
	t.Run("OfACluster", func(t *testing.T) {
		bus := "cluster_state:ok\r\ncluster_stats_messages_ping_sent:6\r\ncluster_stats_messages_publish_sent:3\r\ncluster_stats_messages_publishshard_sent:1\r\n" +
			"cluster_stats_messages_sent:10\r\ncluster_stats_messages_publish_received:99\r\ncluster_stats_messages_received:99\r\n"
		usage, err := redisSays(t, bulk(info+"# Cluster\r\ncluster_enabled:1\r\n"), bulk(bus)).Read(t.Context())
		require.NoError(t, err)
		want := want
		want.Bus = &Bus{Sent: 10, Copies: 4}
		require.Equal(t, want, usage)
	})
	t.Run("Lacks", func(t *testing.T) {
		_, err := redisSays(t, bulk("redis_version:7\r\n")).Read(t.Context())
		require.ErrorContains(t, err, "lacks")
	})
	t.Run("ClusterThatDoesNotAnswer", func(t *testing.T) {
		_, err := redisSays(t, bulk(info+"cluster_enabled:1\r\n"), "-ERR no\r\n").Read(t.Context())
		require.ErrorContains(t, err, "CLUSTER INFO: ERR no")
	})
}

func TestRedisAsk(t *testing.T) {
	for _, tc := range []struct{ name, reply, want, wrong string }{
		{"Status", "+OK\r\n", "OK", ""},
		{"Number", ":3\r\n", "3", ""},
		{"Text", "$5\r\na\r\nbc\r\n", "a\r\nbc", ""},
		{"Error", "-ERR Slot 1 is already busy\r\n", "", "already busy"},
		{"Nothing", "$-1\r\n", "", "was answered with"},
		{"TooMuch", "$9999999\r\n", "", "was answered with"},
		{"List", "*1\r\n+a\r\n", "", "was answered with"},
		{"CutOff", "$5\r\nab", "", "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := redisSays(t, tc.reply).Ask(t.Context(), "CLUSTER X")
			if tc.wrong != "" {
				require.ErrorContains(t, err, tc.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

// broken is a process that does not answer.
type broken struct{}

func (broken) Read(context.Context) (Usage, error) { return Usage{}, io.EOF }

// dear is a process that may be asked for everything only at the edges of a measurement.
type dear struct{ broken }

func (dear) Glance(context.Context) (Usage, error) { return Usage{Memory: 1 << 20}, nil }

func TestSampler(t *testing.T) {
	r := NewRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var s *Sampler
	seen := 0
	s = NewSampler([]Process{{Name: "gone", Kind: Server, Source: broken{}}, {Name: "dear", Kind: Redis, Source: dear{}}}, r, 20*time.Millisecond, func(Sample) {
		r.Counter("calls").Add(10)
		if seen++; seen == 4 {
			cancel()
		}
	})
	s.Run(ctx)
	samples := s.Samples()
	require.GreaterOrEqual(t, len(samples), 4)
	require.Positive(t, samples[3].Rates["calls"])
	require.Contains(t, samples[3].Memory, "loadtest")
	require.NotContains(t, samples[3].Memory, "gone")
	require.InDelta(t, 1, samples[3].Memory["dear"], 0)
	_, err := s.Weigh(t.Context())
	require.ErrorContains(t, err, "gone")
}
