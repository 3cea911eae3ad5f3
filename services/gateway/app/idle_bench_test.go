package app_test

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memuse"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

const idleSessions = 2000

// BenchmarkIdleSession measures what a session costs that has said hello, has a seat if it is not said otherwise, and waits:
// the memory of heap and stacks, and goroutines. The clients' ends are in this process, too; as bare sockets they cost what the ends of pairs
// without any session do, which are measured first and taken off.
func BenchmarkIdleSession(b *testing.B) {
	for _, kind := range slices.Concat(idleKinds, parkedKinds) {
		b.Run(kind.name, func(b *testing.B) {
			g := newTarget(b, func(c *app.Config) {
				c.Listen.ParkAfter = kind.parkAfter
				c.Session.Heartbeat, c.SocketIO.PingInterval, c.Limits.HeaderTimeout = 10*time.Minute, 10*time.Minute, time.Minute
				c.Demo.Capacity, c.SocketIO.CallCapacity = 10, 10
			})
			for b.Loop() {
				socket := memuse.Socket(b, idleSessions)
				memory, goroutines := memuse.InUse(), runtime.NumGoroutine()
				clients := make([]net.Conn, idleSessions)
				for i := range clients {
					clients[i] = g.idle(b, kind.path, kind.steps(roomOf(i)))
				}
				if kind.parkAfter > 0 {
					until(b, func() bool { return g.counted(b, "signalbox_sessions_parked") == idleSessions }, "all are parked")
				}
				used, running := memuse.InUse()-memory, runtime.NumGoroutine()-goroutines
				b.ReportMetric(float64(used)/idleSessions-socket, "bytes/session")
				b.ReportMetric(float64(running)/idleSessions, "goroutines/session")
				for _, conn := range clients {
					require.NoError(b, conn.Close())
				}
				until(b, func() bool { return g.counted(b, "signalbox_connections") == 0 }, "all have ended")
			}
		})
	}
}

// idleKinds are the transports of which an idle session is measured: how it is opened and what is said for a seat.
var idleKinds = []idleKind{
	{name: "Native", path: "/v1/connect", steps: nativeSteps(`"app":"demo"`)},
	{name: "Resumable", path: "/v1/connect", steps: nativeSteps(`"app":"demo","resumable":true`)},
	{name: "SocketIO3", path: "/socket.io/?EIO=3&transport=websocket", steps: func(room string) []idleStep {
		return []idleStep{{"", "40"}, {textFrame(`420["join","` + room + `"]`), "430["}}
	}},
	{name: "SocketIO4", path: "/socket.io/?EIO=4&transport=websocket", steps: func(room string) []idleStep {
		return []idleStep{{textFrame(`40{"app":"demo"}`), "40{"}, {textFrame(`420["join","` + room + `"]`), "430["}}
	}},
}

// parkedKinds are those of the native protocol that are parked, and what they are compared with.
var parkedKinds = []idleKind{
	{name: "NativeParked", path: "/v1/connect", steps: nativeSteps(`"app":"demo"`), parkAfter: 100 * time.Millisecond},
	{name: "NoSeat", path: "/v1/connect", steps: helloStep},
	{name: "NoSeatParked", path: "/v1/connect", steps: helloStep, parkAfter: 100 * time.Millisecond},
}

type idleKind struct {
	name, path string
	steps      func(room string) []idleStep
	parkAfter  time.Duration // 0 if it is not to be parked
}

func helloStep(room string) []idleStep { return nativeSteps(`"app":"demo"`)(room)[:1] }

func nativeSteps(hello string) func(room string) []idleStep {
	return func(room string) []idleStep {
		return []idleStep{
			{textFrame(`{"id":1,"type":"hello",` + hello + `}`), `"re":1,`},
			{textFrame(`{"id":2,"type":"join","room":"` + room + `"}`), `"re":2,`},
		}
	}
}

// idleStep is what is sent, and what ends the answer that is waited for.
type idleStep struct{ send, until string }

// roomOf spreads sessions over rooms.
func roomOf(number int) string { return string(rune('a'+number%26)) + string(rune('a'+number/26%26)) }

// idle opens a session with a seat and leaves it alone.
func (g *target) idle(b *testing.B, path string, steps []idleStep) net.Conn {
	b.Helper()
	conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", g.PublicAddr().String())
	require.NoError(b, err)
	reader := bufio.NewReader(conn)
	for _, step := range append([]idleStep{{upgrade(path, "gateway"), "\r\n\r\n"}}, steps...) {
		_, err = io.WriteString(conn, step.send)
		require.NoError(b, err)
		readPast(b, reader, step.until)
	}
	return conn
}

// textFrame frames a short text under a mask of zeros.
func textFrame(text string) string {
	return string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
}

// readPast reads until a text has come.
func readPast(b *testing.B, reader *bufio.Reader, end string) {
	b.Helper()
	last := make([]byte, 0, len(end))
	for string(last) != end {
		c, err := reader.ReadByte()
		require.NoError(b, err)
		if len(last) == len(end) {
			last = append(last[:0], last[1:]...)
		}
		last = append(last, c)
	}
}
