package ws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// soon is a silence after which tests have connections parked.
const soon = 20 * time.Millisecond

// parker reads a connection as a session does: it parks where it can, and goes on when it is resumed.
type parker struct {
	conn    *ws.Conn
	got     reading
	readers atomic.Int32 // that are at it: never two
	doubled atomic.Bool
	resumes atomic.Int64
	done    chan struct{}
}

// serve binds a connection to a writer and reads it to its end.
func serve(conn *ws.Conn) *parker {
	p := &parker{conn: conn, done: make(chan struct{})}
	_, stop := bindWriter(conn)
	go p.read()
	go func() {
		<-p.done
		stop()
	}()
	return p
}

func (p *parker) resume() {
	p.resumes.Add(1)
	p.read()
}

func (p *parker) read() {
	for {
		if p.conn.Park(p.resume) {
			return
		}
		if p.readers.Add(1) != 1 {
			p.doubled.Store(true)
		}
		request, err := p.conn.Read()
		p.readers.Add(-1)
		var refusal *wire.Error
		switch {
		case err == nil:
			p.got.requests = append(p.got.requests, request.ID)
		case errors.As(err, &refusal):
			p.got.refusals = append(p.got.refusals, refusal.Code)
		default:
			p.got.err = err
			errors.As(err, &p.got.ended)
			close(p.done)
			return
		}
	}
}

// end waits for the end, and gives what was read.
func (p *parker) end(tb testing.TB) *reading {
	tb.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.Fail(tb, "the connection has not ended")
	}
	require.False(tb, p.doubled.Load(), "two goroutines have read at once")
	return &p.got
}

// value is a metric of the lot.
func (s *server) value(name string) float64 { return value(s.tb, s.lot, name) }

func value(tb testing.TB, registry *prometheus.Registry, name string) float64 {
	families, err := registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	require.Fail(tb, "no metric "+name)
	return 0
}

func (s *server) parked() int  { return int(s.value("signalbox_sessions_parked")) }
func (s *server) wakeups() int { return int(s.value("signalbox_session_wakeups_total")) }

// until waits for a condition.
func until(tb testing.TB, condition func() bool, what string) {
	tb.Helper()
	require.Eventually(tb, condition, patience, time.Millisecond, what)
}

func (s *server) untilParked(count int) {
	s.tb.Helper()
	until(s.tb, func() bool { return s.parked() == count }, fmt.Sprintf("%d are parked", count))
}

func request(id int) []byte { return frame(opText, fmt.Sprintf(`{"id":%d,"type":"ping"}`, id)) }

func TestParkedConnectionWakesForAMessage(t *testing.T) {
	s := overLot(t, soon, ws.Options{})
	c, conn := s.connect()
	p := serve(conn)
	for id := 1; id <= 5; id++ {
		s.untilParked(1)
		c.write(request(id))
		until(t, func() bool { return s.wakeups() == id }, "it is woken")
	}
	s.untilParked(1)
	c.write(closeFrame(1000, ""))
	c.requireClosed(1000)
	got := p.end(t)
	require.Equal(t, []int64{1, 2, 3, 4, 5}, got.requests)
	_, left := got.ended.Ended()
	require.True(t, left)
	require.EqualValues(t, 6, p.resumes.Load())
	require.Zero(t, s.parked())
}

// What comes in several pieces, or several at once, is one message and many all the same.
func TestParkedConnectionReadsWhatComes(t *testing.T) {
	s := overLot(t, soon, ws.Options{})
	c, conn := s.connect()
	p := serve(conn)
	s.untilParked(1)
	for _, b := range request(1) {
		c.write([]byte{b})
	}
	var burst []byte
	for id := 2; id <= 500; id++ {
		burst = append(burst, request(id)...)
	}
	c.write(burst)
	s.untilParked(1)
	padded := make([]byte, 20_000)
	for i := range padded {
		padded[i] = ' '
	}
	c.write(frame(opText, `{"id":501,"type":"ping"}`+string(padded)))
	c.write(fragment(opText, `{"id":502,`))
	c.write(frame(opPing, "between"))
	c.write(frame(opContinuation, `"type":"ping"}`))
	c.write(closeFrame(1000, ""))
	c.requireClosed(1000)
	got := p.end(t)
	require.Len(t, got.requests, 502)
	for i, id := range got.requests {
		require.EqualValues(t, i+1, id)
	}
}

// A pong may come right behind a message, and lie across any of the buffers' ends.
func TestPongBehindAMessageLeavesTheConnectionToBeParked(t *testing.T) {
	s := overLot(t, time.Nanosecond, ws.Options{PingsPerSecond: 1 << 20})
	c, conn := s.connect()
	p := serve(conn)
	const from, to = 200, 300
	for size := from; size < to; size++ {
		s.untilParked(1)
		before := s.wakeups()
		text := fmt.Sprintf(`{"id":%d,"type":"ping"}`, size)
		c.write(append(frame(opText, text+strings.Repeat(" ", size-len(text))), frame(opPong, "0123456789")...))
		until(t, func() bool { return s.wakeups() > before }, "it is read")
	}
	s.untilParked(1)
	require.NoError(t, c.Close())
	require.Len(t, p.end(t).requests, to-from)
}

// A client that is silent but for its pings and pongs stays parked: they are taken without a reader, and count as a sign of
// life all the same.
func TestParkedConnectionAnswersHeartbeats(t *testing.T) {
	s := overLot(t, soon, ws.Options{Heartbeat: time.Second, HeartbeatTimeout: 900 * time.Millisecond})
	c, conn := s.connect()
	p := serve(conn)
	s.untilParked(1)
	for range 4 {
		c.nextPing()
		c.write(frame(opPong, ""))
	}
	for _, payload := range []string{"", "are you there?"} {
		c.write(frame(opPing, payload))
		for {
			op, answer, err := c.next()
			require.NoError(t, err)
			if op == opPong {
				require.Equal(t, payload, answer)
				break
			}
			c.write(frame(opPong, "")) // it was a ping
		}
	}
	c.nextPing() // so that all before has been read
	require.Equal(t, 1, s.parked())
	require.Zero(t, s.wakeups())
	require.NoError(t, c.Close())
	p.end(t)
	require.Empty(t, p.got.requests)
	require.EqualValues(t, 1, p.resumes.Load())
}

// What comes behind a pong, or is a part of one, is for the reader, wherever it is cut.
func TestParkedConnectionIsWokenByWhatComesWithAPong(t *testing.T) {
	s := overLot(t, soon, ws.Options{PingsPerSecond: 1 << 20})
	c, conn := s.connect()
	p := serve(conn)
	both := append(frame(opPong, "0123456789"), request(1)...)
	for cut := 1; cut < len(both); cut++ {
		s.untilParked(1)
		before := s.wakeups()
		c.write(append(slices.Clip(frame(opPong, "first")), both[:cut]...))
		if cut != len(frame(opPong, "0123456789")) { // which is no reason to wake
			until(t, func() bool { return s.wakeups() > before }, "it is woken")
		}
		c.write(both[cut:])
		until(t, func() bool { return s.wakeups() > before }, "it is woken")
		c.write(frame(opText, `{"id":0}`)) // one that has waited for the end of a pong parks after a message
	}
	c.write(closeFrame(1000, ""))
	c.requireClosed(1000)
	got := p.end(t)
	require.Len(t, got.requests, len(both)-1)
	require.Len(t, got.refusals, len(both)-1)
}

func TestParkedConnectionEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts ws.Options
		end  func(c *client, conn *ws.Conn)
		code wire.CloseCode
		left bool
	}{
		{name: "ClosedByClient", end: func(c *client, _ *ws.Conn) {
			c.write(closeFrame(1000, ""))
			c.requireClosed(1000)
		}, code: 1000, left: true},
		{name: "ShutDown", end: func(c *client, _ *ws.Conn) { require.NoError(c.tb, c.Conn.(*net.TCPConn).CloseWrite()) }},
		{name: "Reset", end: func(c *client, _ *ws.Conn) {
			require.NoError(c.tb, c.Conn.(*net.TCPConn).SetLinger(0))
			require.NoError(c.tb, c.Close())
		}},
		{name: "ClosedByServer", end: func(c *client, conn *ws.Conn) {
			conn.Close(wire.CloseMoved, "moving")
			require.Equal(c.tb, "moving", c.requireClosed(wire.CloseMoved))
		}, code: wire.CloseMoved},
		{name: "Silent", opts: ws.Options{Heartbeat: time.Second, HeartbeatTimeout: time.Second},
			end: func(c *client, _ *ws.Conn) {
				code, _ := c.readClose()
				require.Equal(c.tb, wire.CloseHeartbeat, code)
			}, code: wire.CloseHeartbeat},
		{name: "Flood", opts: ws.Options{PingsPerSecond: 3}, end: func(c *client, _ *ws.Conn) {
			c.write(bytes.Repeat(frame(opPing, ""), 4)) // at once: a busy machine may take a second between two
			c.requireClosed(wire.ClosePolicy)
		}, code: wire.ClosePolicy},
		{name: "BrokenFrame", end: func(c *client, _ *ws.Conn) {
			c.write(rawFrame(0x80|opPing, false, "not masked"))
			c.requireClosed(wire.CloseProtocolError)
		}, code: wire.CloseProtocolError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := overLot(t, soon, tc.opts)
			c, conn := s.connect()
			p := serve(conn)
			s.untilParked(1)
			tc.end(c, conn)
			got := p.end(t)
			code, left := got.ended.Ended()
			require.Equal(t, tc.code, code, got.err)
			require.Equal(t, tc.left, left)
			require.Zero(t, s.parked())
			require.Positive(t, s.wakeups())
		})
	}
}

// A client that does not answer has a time for it, which somebody has to keep.
func TestClosingWakesAParkedConnection(t *testing.T) {
	s := overLot(t, soon, ws.Options{})
	c, conn := s.connect()
	p := serve(conn)
	s.untilParked(1)
	conn.Close(wire.CloseMoved, "")
	require.Zero(t, s.parked())
	require.NoError(t, c.Close())
	p.end(t)
}

// A connection on its way out has to be read: for the client's answer, or the end of the time for it.
func TestClosingConnectionIsNotParked(t *testing.T) {
	s := overLot(t, time.Nanosecond, ws.Options{})
	c, conn := s.connect()
	conn.Bind(func(*wire.Frame) {})
	conn.Close(wire.CloseMoved, "")
	require.False(t, conn.Park(func() { t.Error("resumed") }))
	require.Zero(t, s.parked())
	require.NoError(t, c.Close())
	_, err := conn.Read()
	require.Error(t, err)
}

// Where there is no way to know that a socket has something, reading is what waits.
func TestSomeConnectionsAreNotParked(t *testing.T) {
	for name, over := range map[string]func(testing.TB, ws.Options) *server{"TLS": overTLS, "Memory": overMemory} {
		t.Run(name, func(t *testing.T) {
			lot, err := ws.NewLot(ws.LotOptions{After: time.Nanosecond})
			require.NoError(t, err)
			requireNotParked(t, over(t, ws.Options{Lot: lot}))
		})
	}
	t.Run("Off", func(t *testing.T) { requireNotParked(t, overLot(t, 0, ws.Options{})) })
	t.Run("NoLot", func(t *testing.T) { requireNotParked(t, overTCP(t, ws.Options{})) })
	t.Run("LotHasEnded", func(t *testing.T) {
		s := overLot(t, time.Nanosecond, ws.Options{})
		s.endLot()
		requireNotParked(t, s)
	})
}

func requireNotParked(t *testing.T, s *server) {
	c, conn := s.connect()
	conn.Bind(func(*wire.Frame) {})
	require.False(t, conn.Park(func() { t.Error("resumed") }))
	c.write(request(1))
	got, err := conn.Read()
	require.NoError(t, err)
	require.EqualValues(t, 1, got.ID)
	require.False(t, conn.Park(func() { t.Error("resumed") }))
	require.NoError(t, c.Close())
	_, err = conn.Read()
	require.Error(t, err)
}

// A lot that waited for the kernel with nobody parked would hold fake time up, and with it every test of a whole gateway.
func TestLotWithNobodyLetsFakeTimePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lot, err := ws.NewLot(ws.LotOptions{After: time.Second})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, lot.Run(ctx))
	})
}

// Nobody is left in a lot that has ended.
func TestEndOfTheLotWakesAll(t *testing.T) {
	s := overLot(t, soon, ws.Options{})
	c, conn := s.connect()
	p := serve(conn)
	s.untilParked(1)
	s.endLot()
	require.Zero(t, s.parked())
	c.write(request(1))
	c.write(closeFrame(1000, ""))
	c.requireClosed(1000)
	require.Equal(t, []int64{1}, p.end(t).requests)
}

func TestParkedConnectionsCostNoGoroutine(t *testing.T) {
	const connections = 1000
	s := overLot(t, soon, ws.Options{})
	before := runtime.NumGoroutine()
	var clients []*client
	var all []chan struct{}
	for range connections {
		c, conn := s.connect()
		done := make(chan struct{})
		conn.Bind(func(*wire.Frame) {})
		go readEach(conn, done, func() {})
		clients, all = append(clients, c), append(all, done)
	}
	s.untilParked(connections)
	until(t, func() bool { return runtime.NumGoroutine()-before < 20 }, "their goroutines are gone")
	for _, c := range clients {
		require.NoError(t, c.Close())
	}
	for _, done := range all {
		<-done
	}
	require.Zero(t, s.parked())
}

// readEach reads a connection to its end, and has something done about each message.
func readEach(conn *ws.Conn, done chan struct{}, do func()) {
	for {
		if conn.Park(func() { readEach(conn, done, do) }) {
			return
		}
		if _, err := conn.Read(); err != nil {
			close(done)
			return
		}
		do()
	}
}

// A socket's number is given to the next one as soon as it is closed: a lot that went by it would wake whoever has it
// now, or nobody.
func TestParkedConnectionsDoNotMixUp(t *testing.T) {
	const rounds, together = 100, 8
	s := overLot(t, time.Nanosecond, ws.Options{})
	for range rounds {
		var clients [together]*client
		var parkers [together]*parker
		for i := range clients {
			var conn *ws.Conn
			clients[i], conn = s.connect()
			parkers[i] = serve(conn)
		}
		s.untilParked(together)
		for i := range clients {
			if i%2 == 0 {
				clients[i].write(request(i + 1))
			}
			require.NoError(t, clients[i].Close())
		}
		for i, p := range parkers {
			if got := p.end(t); i%2 == 0 {
				require.Equal(t, []int64{int64(i + 1)}, got.requests)
			} else {
				require.Empty(t, got.requests)
			}
		}
		require.Zero(t, s.parked())
	}
}

// Clients that send whenever they like, about as often as they are parked, and a server that closes some of them at any
// moment: nothing is lost, and everything is in order.
func TestParkingUnderTraffic(t *testing.T) {
	const clients, messages = 32, 300
	const after = 500 * time.Microsecond
	s := overLot(t, after, ws.Options{PingsPerSecond: 1 << 20})
	var running sync.WaitGroup
	for number := range clients {
		c, conn := s.connect()
		p := serve(conn)
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(number), 1))
			timer := time.NewTimer(0)
			defer timer.Stop()
			for id := 1; id <= messages; id++ {
				<-timer.C
				timer.Reset(time.Duration(random.Int64N(int64(3 * after))))
				if id%7 == 0 {
					c.try(frame(opPong, "x"))
				}
				c.try(request(id))
			}
			if number%2 == 0 {
				conn.Close(wire.CloseMoved, "")
				c.try(closeFrame(int(wire.CloseMoved), ""))
			} else {
				c.try(closeFrame(1000, ""))
			}
			<-p.done
		})
		t.Cleanup(func() {
			got := p.end(t)
			if number%2 != 0 {
				require.Len(t, got.requests, messages)
			}
			for i, id := range got.requests {
				require.EqualValues(t, i+1, id)
			}
		})
	}
	running.Wait()
	require.Zero(t, s.parked())
	require.Greater(t, s.wakeups(), clients*messages/10, "most were parked between messages")
}
