package app_test

import (
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// BenchmarkAccept measures how many new clients a second a machine bears on which a gateway, its Redis and the clients
// are: each connects, says hello, takes a seat and goes. limits.accepts_per_second is chosen by it.
func BenchmarkAccept(b *testing.B) {
	for _, kind := range idleKinds {
		b.Run(kind.name, func(b *testing.B) {
			g := newTarget(b, func(c *app.Config) {
				c.Limits.HeaderTimeout, c.Demo.Capacity, c.SocketIO.CallCapacity = time.Minute, 500, 500
				c.Log.Level = "info"
			})
			var next atomic.Int64
			b.SetParallelism(16)
			before := cpuTime(b)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					room := "r" + strconv.FormatInt(next.Add(1)/4, 10)
					require.NoError(b, g.idle(b, kind.path, kind.steps(room)).Close())
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/accept")
		})
	}
}

// cpuTime is what this process has used so far. Other than the time it is hardly longer on a machine that is busy with
// other things.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
