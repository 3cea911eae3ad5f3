package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSparePercent(t *testing.T) {
	require.Equal(t, 400, sparePercent(0))
	require.Equal(t, 400, sparePercent(4<<20))
	require.Equal(t, 200, sparePercent(8<<20))
	require.Equal(t, 100, sparePercent(16<<20))
	require.Equal(t, 100, sparePercent(1<<40))
}

// The percentage follows what is in use.
func TestSpareCollections(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	percent := func() int { // read without setting it, which would undo what is set beside it
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return int(sample[0].Value.Uint64())
	}
	t.Setenv("GOGC", "100")
	spareCollections()
	require.Equal(t, 100, percent(), "GOGC goes before")

	t.Setenv("GOGC", "")
	spareCollections()
	little := percent()
	require.Greater(t, little, 100)
	large := make([][]byte, 64)
	for i := range large {
		large[i] = make([]byte, 1<<20)
	}
	require.Eventually(t, func() bool { return percent() == 100 }, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(large)
	require.Eventually(t, func() bool { return percent() > 100 }, 10*time.Second, time.Millisecond)
}
