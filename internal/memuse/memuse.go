// Package memuse measures what connections cost this process in memory, for benchmarks of idle sessions.
package memuse

import (
	"io"
	"net"
	"runtime"
	"testing"
)

// InUse is the memory of heap and stacks in bytes, after what is not needed was given back.
func InUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one only sets what is pooled aside
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

// Socket is the memory in bytes of one end of a TCP connection with nobody at it, as the average over pairs of them.
func Socket(tb testing.TB, pairs int) float64 {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	before := InUse()
	ends := make([]io.Closer, 0, 2*pairs)
	for range pairs {
		near, err := new(net.Dialer).DialContext(tb.Context(), "tcp", listener.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		far, err := listener.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		ends = append(ends, near, far)
	}
	used := InUse() - before
	for _, end := range append(ends, listener) {
		if err := end.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return float64(used) / float64(2*pairs)
}
