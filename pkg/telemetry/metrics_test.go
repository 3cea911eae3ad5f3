package telemetry_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

func TestRegistry(t *testing.T) {
	registry := telemetry.NewRegistry(telemetry.Build{Version: "v1.2.3", GoVersion: "go1.26"})

	t.Run("BuildInfo", func(t *testing.T) {
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
			# HELP signalbox_build_info Always 1; the labels say which version, source revision and Go version this process was built from.
			# TYPE signalbox_build_info gauge
			signalbox_build_info{goversion="go1.26",revision="unknown",version="v1.2.3"} 1
		`), "signalbox_build_info"))
	})

	t.Run("RuntimeAndProcess", func(t *testing.T) {
		names := []string{"go_goroutines", "go_sched_latencies_seconds", "go_gc_pauses_seconds"}
		if runtime.GOOS == "linux" {
			names = append(names, "process_open_fds", "process_resident_memory_bytes")
		}
		for _, name := range names {
			count, err := testutil.GatherAndCount(registry, name)
			require.NoError(t, err)
			require.Equal(t, 1, count, name)
		}
	})

	t.Run("Lint", func(t *testing.T) {
		problems, err := testutil.GatherAndLint(registry)
		require.NoError(t, err)
		for _, problem := range problems {
			// The names of the Go runtime's own metrics are not ours to choose.
			if !strings.HasPrefix(problem.Metric, "go_") {
				t.Errorf("%s: %s", problem.Metric, problem.Text)
			}
		}
	})

	t.Run("OneEach", func(t *testing.T) {
		require.NotSame(t, registry, telemetry.NewRegistry(telemetry.Build{}))
	})
}

func TestBuild(t *testing.T) {
	require.Equal(t, runtime.Version(), telemetry.ReadBuild().GoVersion)
	require.Equal(t, "v1.2.3 (revision abc, go1.26)",
		telemetry.Build{Version: "v1.2.3", Revision: "abc", GoVersion: "go1.26"}.String())
	require.Equal(t, "unknown (revision unknown, unknown)", telemetry.Build{}.String())
}
