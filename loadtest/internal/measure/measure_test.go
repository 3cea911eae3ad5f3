package measure

import (
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

func TestRedisInfo(t *testing.T) {
	info := "# Memory\r\nused_memory:2048\r\nused_memory_human:2.00K\r\nused_memory_rss:1048576\r\n# CPU\r\nused_cpu_sys:0.25\r\nused_cpu_user:0.5\r\nused_cpu_sys_children:9\r\n" +
		"# Stats\r\ntotal_net_input_bytes:100\r\ntotal_net_output_bytes:300\r\n" +
		"# Commandstats\r\ncmdstat_publish:calls=5,usec=9,usec_per_call=1.80\r\ncmdstat_spublish:calls=7,usec=9\r\ncmdstat_get:calls=99,usec=9\r\n"
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(info), info)
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	usage, err := RedisInfo(listener.Addr().String()).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, Usage{CPU: 750 * time.Millisecond, Memory: 1 << 20, Data: 2048, In: 100, Out: 300, Published: 12}, usage)
	_, err = parseInfo(strings.NewReader("redis_version:7\r\n"))
	require.ErrorContains(t, err, "lacks")
}

// broken is a process that does not answer.
type broken struct{}

func (broken) Read(context.Context) (Usage, error) { return Usage{}, io.EOF }

func TestSampler(t *testing.T) {
	r := NewRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var s *Sampler
	seen := 0
	s = NewSampler([]Process{{Name: "gone", Kind: Server, Source: broken{}}}, r, 20*time.Millisecond, func(Sample) {
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
	_, err := s.Weigh(t.Context())
	require.ErrorContains(t, err, "gone")
}
