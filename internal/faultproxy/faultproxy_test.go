package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/faultproxy"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every connection with what it gets.
func echo(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func run(t *testing.T, opts faultproxy.Options) *faultproxy.Proxy {
	p, err := faultproxy.Listen(opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return p
}

func toEcho(t *testing.T) *faultproxy.Proxy {
	addr := echo(t)
	return run(t, faultproxy.Options{Target: func() (string, error) { return addr, nil }})
}

func dial(t *testing.T, p *faultproxy.Proxy) net.Conn {
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// round sends text and gives how long it took to come back.
func round(t *testing.T, conn net.Conn, text string) time.Duration {
	t.Helper()
	began := time.Now()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
	return time.Since(began)
}

// requireSilence reads nothing for a while.
func requireSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
}

// requireRefused dials and is reset, at once or soon.
func requireRefused(t *testing.T, p *faultproxy.Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1))
	}
	require.Error(t, err)
	require.False(t, errors.Is(err, io.EOF), "a reset is no orderly end: %v", err)
}

func TestWhatIsHeldComesLater(t *testing.T) {
	for name, faults := range map[string]faultproxy.Faults{
		"on the way there": {Up: faultproxy.Direction{Hold: true}},
		"on the way back":  {Down: faultproxy.Direction{Hold: true}},
		"on both":          faultproxy.Both(faultproxy.Direction{Hold: true}),
	} {
		t.Run(name, func(t *testing.T) {
			p := toEcho(t)
			conn := dial(t, p)
			round(t, conn, "before")
			p.Set(faults)
			_, err := io.WriteString(conn, "held")
			require.NoError(t, err)
			requireSilence(t, conn)
			p.Set(faultproxy.Faults{})
			got := make([]byte, 4)
			_, err = io.ReadFull(conn, got)
			require.NoError(t, err)
			require.Equal(t, "held", string(got))
		})
	}
}

// A network that is gone does not tell that the other end has closed.
func TestTheEndIsHeldToo(t *testing.T) {
	p := toEcho(t)
	conn := dial(t, p)
	round(t, conn, "before")
	p.Set(faultproxy.Faults{Up: faultproxy.Direction{Hold: true}})
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	requireSilence(t, conn)
	p.Set(faultproxy.Faults{})
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Eventually(t, func() bool { all, _ := p.Connections(); return all == 0 }, patience, time.Millisecond)
}

// A machine that loses its network is not heard of any more.
func TestVanish(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	p := run(t, faultproxy.Options{Target: func() (string, error) { return listener.Addr().String(), nil }})
	client := dial(t, p)
	server, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	p.Set(faultproxy.Faults{Up: faultproxy.Direction{Hold: true}})
	p.Vanish()
	_, err = client.Read(make([]byte, 1))
	require.Error(t, err)
	requireSilence(t, server)
	p.Set(faultproxy.Faults{})
	_, err = server.Read(make([]byte, 1))
	require.Error(t, err, "it is back, and knows nothing of the connection")
}

func TestDelays(t *testing.T) {
	p := toEcho(t)
	conn := dial(t, p)
	p.Set(faultproxy.Both(faultproxy.Direction{Latency: 30 * time.Millisecond, Jitter: 10 * time.Millisecond}))
	require.GreaterOrEqual(t, round(t, conn, "late"), 60*time.Millisecond)
	p.Set(faultproxy.Faults{Up: faultproxy.Direction{Loss: 0.999999}})
	require.GreaterOrEqual(t, round(t, conn, "lost"), 2*time.Second, "sent again and again")
	p.Set(faultproxy.Faults{Down: faultproxy.Direction{BytesPerSecond: 1 << 20}})
	require.GreaterOrEqual(t, round(t, conn, strings.Repeat("slow", 32<<10)), 100*time.Millisecond)
	p.Set(faultproxy.Faults{})
	require.Less(t, round(t, conn, "well"), 5*time.Second)
}

func TestCutAndRefuse(t *testing.T) {
	p := toEcho(t)
	conn := dial(t, p)
	round(t, conn, "before")
	require.Equal(t, 1, p.Cut())
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.False(t, errors.Is(err, io.EOF), "a reset is no orderly end: %v", err)

	p.Refuse(true)
	requireRefused(t, p)
	p.Refuse(false)
	round(t, dial(t, p), "again")
}

func TestMarkedConnectionsHaveFaultsOfTheirOwn(t *testing.T) {
	addr := echo(t)
	p := run(t, faultproxy.Options{
		Target: func() (string, error) { return addr, nil },
		Mark:   func(piece []byte) bool { return bytes.Contains(piece, []byte("SUBSCRIBE")) },
	})
	plain, marked := dial(t, p), dial(t, p)
	round(t, plain, "GET")
	round(t, marked, "SUBSCRIBE")
	all, some := p.Connections()
	require.Equal(t, []int{2, 1}, []int{all, some})

	p.SetMarked(faultproxy.Faults{Down: faultproxy.Direction{Hold: true}})
	round(t, plain, "GET")
	_, err := io.WriteString(marked, "x")
	require.NoError(t, err)
	requireSilence(t, marked)
	p.SetMarked(faultproxy.Faults{})
	require.Equal(t, "x", string(readByte(t, marked)))

	p.StallMarked(faultproxy.Both(faultproxy.Direction{Hold: true}))
	_, err = io.WriteString(marked, "x")
	require.NoError(t, err)
	requireSilence(t, marked)
	later := dial(t, p)
	round(t, later, "SUBSCRIBE")
	round(t, plain, "GET")
}

func readByte(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	got := make([]byte, 1)
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	return got
}

func TestNoTargetRefuses(t *testing.T) {
	p := run(t, faultproxy.Options{Target: func() (string, error) { return "", errors.New("nobody") }})
	requireRefused(t, p)
	_, err := faultproxy.Listen(faultproxy.Options{})
	require.Error(t, err)
}
