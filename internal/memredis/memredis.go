// Package memredis serves an embedded Redis over a network in memory, for tests of whole clusters on fake time.
package memredis

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
)

// Addr is where [Serve] listens.
const Addr = "redis:6379"

// Bubble runs a test on fake time. go-redis keeps the timers of callers that wait for a connection in a sync.Pool of
// the process, and a timer of one bubble must not be used in another: two collections empty it.
func Bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	runtime.GC()
	runtime.GC()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(linger) })
		test(t)
	})
}

// linger is how long a bubble lives on after all that the test began is closed: go-redis dials in goroutines that closing
// a client does not wait for, and fake time has to pass for them to end.
const linger = time.Minute

// Serve starts an empty Redis at [Addr] of a network, whose keys expire by the clock, and ends it with the test. Nothing
// of it touches the machine's network.
func Serve(tb testing.TB, network *memnet.Network) *miniredis.Miniredis {
	tb.Helper()
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	starter, err := server.Dial() // brings the server up without a socket
	if err != nil {
		tb.Fatalf("memredis: %v", err)
	}
	_ = starter.Close()
	listener, err := network.Listen(Addr)
	if err != nil {
		tb.Fatalf("memredis: %v", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed with the test
			}
			server.Server().ServeConn(conn)
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
		server.Close()
	})
	return server
}
