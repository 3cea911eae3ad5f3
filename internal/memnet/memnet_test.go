package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// The contract of net.Conn, as golang.org/x/net checks it for every kind of connection.
func TestConnContract(t *testing.T) {
	t.Run("Pipe", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			a, b := memnet.Pipe()
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
	t.Run("Network", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			client, server := connect(t, new(memnet.Network))
			return client, server, func() { client.Close(); server.Close() }, nil
		})
	})
	t.Run("Network with latency", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			network := new(memnet.Network)
			network.SetLatency(10 * time.Microsecond)
			client, server := connect(t, network)
			return client, server, func() { client.Close(); server.Close() }, nil
		})
	})
}

func TestPipeliningPeersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t)
		block := bytes.Repeat([]byte("x"), 1<<20)
		// Neither end reads before it has written: net.Pipe would hang here.
		for _, end := range []net.Conn{a, b} {
			n, err := end.Write(block)
			require.NoError(t, err)
			require.Equal(t, len(block), n)
		}
		for _, end := range []net.Conn{a, b} {
			got := make([]byte, len(block))
			_, err := io.ReadFull(end, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(block, got))
		}
	})
}

func TestFullBufferHoldsTheWriterBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t)
		sent := make(chan int)
		go func() {
			n, err := a.Write(make([]byte, 1<<20+1))
			if err != nil {
				n = -1
			}
			sent <- n
		}()
		synctest.Wait()
		select {
		case <-sent:
			t.Fatal("a write of more than the buffer must wait for the reader")
		default:
		}
		_, err := b.Read(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, 1<<20+1, <-sent)
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 3 << 20 // several buffers, so that every write is held back midway
		a, b := pipe(t)
		var writers sync.WaitGroup
		for _, letter := range []byte("AB") {
			writers.Go(func() {
				_, err := a.Write(bytes.Repeat([]byte{letter}, size))
				assert.NoError(t, err)
			})
		}
		got := make([]byte, 2*size)
		_, err := io.ReadFull(b, got)
		require.NoError(t, err)
		writers.Wait()
		for _, half := range [][]byte{got[:size], got[size:]} {
			require.Equal(t, size, bytes.Count(half, half[:1]), "a write's bytes must come in one run")
		}
	})
}

func TestDeadlinesFollowFakeTime(t *testing.T) {
	full := func(t *testing.T, c net.Conn) {
		_, err := c.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	for _, tc := range []struct {
		name    string
		set     func(c net.Conn, at time.Time) error
		prepare func(t *testing.T, c net.Conn)
		block   func(c net.Conn) (int, error)
	}{
		{"read", net.Conn.SetReadDeadline, nil, func(c net.Conn) (int, error) { return c.Read(make([]byte, 1)) }},
		{"write", net.Conn.SetWriteDeadline, full, func(c net.Conn) (int, error) { return c.Write([]byte("x")) }},
		{"both, seen by read", net.Conn.SetDeadline, nil, func(c net.Conn) (int, error) { return c.Read(make([]byte, 1)) }},
		{"both, seen by write", net.Conn.SetDeadline, full, func(c net.Conn) (int, error) { return c.Write([]byte("x")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := pipe(t)
				if tc.prepare != nil {
					tc.prepare(t, a)
				}
				begin := time.Now()
				require.NoError(t, tc.set(a, begin.Add(time.Hour)))
				_, err := tc.block(a)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				require.True(t, timeout.Timeout())
				require.Equal(t, time.Hour, time.Since(begin))

				// Moved while a call waits, the new deadline counts.
				require.NoError(t, tc.set(a, time.Now().Add(time.Minute)))
				begin = time.Now()
				go func() { _ = tc.set(a, begin.Add(2*time.Minute)) }()
				_, err = tc.block(a)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.Equal(t, 2*time.Minute, time.Since(begin))
			})
		})
	}
}

func TestClose(t *testing.T) {
	t.Run("the peer reads what was sent, then EOF", func(t *testing.T) {
		a, b := pipe(t)
		write(t, a, "last words")
		require.NoError(t, a.Close())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "last words", string(got))
	})
	t.Run("the peer's write fails with EPIPE", func(t *testing.T) {
		a, b := pipe(t)
		require.NoError(t, a.Close())
		_, err := b.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
	t.Run("the own calls fail with net.ErrClosed", func(t *testing.T) {
		a, _ := pipe(t)
		require.NoError(t, a.Close())
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
		require.ErrorIs(t, a.Close(), net.ErrClosed)
	})
	t.Run("wakes every waiting call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe(t)
			write(t, a, string(make([]byte, 1<<20)))
			errs := make(chan error, 4)
			go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
			for range 2 { // the second waits for the first
				go func() { _, err := a.Write([]byte("x")); errs <- err }()
			}
			synctest.Wait()
			require.Empty(t, errs)
			require.NoError(t, b.Close())
			var got []error
			for range 3 {
				got = append(got, <-errs)
			}
			require.Contains(t, got, io.EOF)
			epipe := 0
			for _, err := range got {
				if errors.Is(err, syscall.EPIPE) {
					epipe++
				}
			}
			require.Equal(t, 2, epipe)
		})
	})
}

func TestSeverResetsBothEnds(t *testing.T) {
	for _, by := range []string{"client", "server"} {
		t.Run("by the "+by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pipe(t)
				write(t, a, "under way")
				errs := make(chan error)
				go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
				synctest.Wait()
				map[string]*memnet.Conn{"client": a, "server": b}[by].Sever()
				require.ErrorIs(t, <-errs, syscall.ECONNRESET)
				for _, end := range []net.Conn{a, b} {
					_, err := end.Read(make([]byte, 16))
					require.ErrorIs(t, err, syscall.ECONNRESET, "bytes under way are lost")
					_, err = end.Write([]byte("x"))
					require.ErrorIs(t, err, syscall.ECONNRESET)
				}
			})
		})
	}
}

// A frozen connection is the one that no error tells of: see the silent subscription of a Redis
// client whose server's packets are dropped.
func TestFreezeIsSilentAndThawDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t)
		write(t, a, "before ")
		b.Freeze()
		write(t, a, "and while frozen")
		require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := b.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		require.NoError(t, b.SetReadDeadline(time.Time{}))
		require.NoError(t, a.Close())
		got := make(chan string)
		go func() {
			text, _ := io.ReadAll(b)
			got <- string(text)
		}()
		synctest.Wait()
		a.Thaw()
		require.Equal(t, "before and while frozen", <-got)
	})
	t.Run("a close is not seen either", func(t *testing.T) {
		a, b := pipe(t)
		a.Freeze()
		require.NoError(t, b.Close())
		write(t, a, "x")
		a.Thaw()
		_, err := a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
}

func TestLatency(t *testing.T) {
	const oneWay = 30 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		network.SetLatency(oneWay)
		begin := time.Now()
		client, server := connect(t, &network)
		require.Equal(t, 2*oneWay, time.Since(begin), "dialing takes a round trip")

		begin = time.Now()
		write(t, client, "a")
		time.Sleep(oneWay / 2) // of fake time, to space the two writes
		write(t, client, "b")
		buf := make([]byte, 16)
		n, err := server.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "a", string(buf[:n]))
		require.Equal(t, oneWay, time.Since(begin))
		require.NoError(t, client.Close())
		rest, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, "b", string(rest))
		require.Equal(t, 2*oneWay, time.Since(begin), "the close takes its time too")
	})
	t.Run("a dial gives up with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var network memnet.Network
			network.SetLatency(time.Hour)
			listen(t, &network, "a:1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			_, err := network.DialContext(ctx, "tcp", "a:1")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(begin))
		})
	})
}

func TestListen(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		_, err := new(memnet.Network).DialContext(t.Context(), "tcp", "a:1")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
	t.Run("an address is taken until its listener closes", func(t *testing.T) {
		var network memnet.Network
		first := listen(t, &network, "a:1")
		_, err := network.Listen("a:1")
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NoError(t, first.Close())
		listen(t, &network, "a:1")
	})
	t.Run("port 0 picks a free one", func(t *testing.T) {
		var network memnet.Network
		taken := listen(t, &network, "a:1024").Addr().String()
		a, b := listen(t, &network, "a:0").Addr().String(), listen(t, &network, "a:0").Addr().String()
		require.NotEqual(t, a, b)
		require.NotContains(t, []string{a, b}, taken)
		for _, addr := range []string{a, b} {
			_, err := network.DialContext(t.Context(), "tcp", addr)
			require.NoError(t, err)
		}
	})
	t.Run("an address without a port", func(t *testing.T) {
		_, err := new(memnet.Network).Listen("a")
		require.Error(t, err)
	})
	t.Run("Close wakes Accept and resets what was not accepted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var network memnet.Network
			l := listen(t, &network, "a:1")
			client, err := network.DialContext(t.Context(), "tcp", "a:1")
			require.NoError(t, err)
			_, err = l.Accept()
			require.NoError(t, err)
			unaccepted, err := network.DialContext(t.Context(), "tcp", "a:1")
			require.NoError(t, err)

			require.NoError(t, l.Close())
			_, err = l.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, l.Close(), net.ErrClosed)
			_, err = unaccepted.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			_, err = client.Write([]byte("x"))
			require.NoError(t, err, "an accepted connection outlives its listener")
		})
	})
	t.Run("a waiting Accept ends with Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := listen(t, new(memnet.Network), "a:1")
			errs := make(chan error)
			go func() { _, err := l.Accept(); errs <- err }()
			synctest.Wait()
			require.NoError(t, l.Close())
			require.ErrorIs(t, <-errs, net.ErrClosed)
		})
	})
	t.Run("a dial with an ended context", func(t *testing.T) {
		var network memnet.Network
		listen(t, &network, "a:1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := network.DialContext(ctx, "tcp", "a:1")
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestAddressesMatchAndAreDistinct(t *testing.T) {
	var network memnet.Network
	l := listen(t, &network, "gateway-1:8080")
	seen := map[string]bool{}
	for range 70_000 {
		client, err := network.DialContext(t.Context(), "tcp", "gateway-1:8080")
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, "gateway-1:8080", client.RemoteAddr().String())
		require.Equal(t, client.LocalAddr(), server.RemoteAddr())
		require.Equal(t, client.RemoteAddr(), server.LocalAddr())
		local := client.LocalAddr().String()
		_, err = netip.ParseAddrPort(local)
		require.NoError(t, err)
		require.False(t, seen[local], "%s came twice", local)
		seen[local] = true
	}
}

// net/http's server sets a deadline in the past to end its background read, and hijackers rely on
// it: the whole of it must work in a bubble.
func TestHTTPInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		l := listen(t, &network, "server:80")
		server := &http.Server{
			IdleTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/plain" {
					time.Sleep(time.Second) // of fake time: a slow handler
					_, _ = io.WriteString(w, "plain")
					return
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhijacked")
			}),
		}
		served := make(chan error)
		go func() { served <- server.Serve(l) }()
		transport := &http.Transport{DialContext: network.DialContext}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		begin := time.Now()
		for _, want := range []string{"plain", "hijacked"} {
			resp, err := client.Get("http://server:80/" + want)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, want, string(body))
		}
		require.Equal(t, time.Second, time.Since(begin))
		transport.CloseIdleConnections()
		require.NoError(t, server.Shutdown(t.Context()))
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

func pipe(t *testing.T) (*memnet.Conn, *memnet.Conn) {
	t.Helper()
	return connect(t, new(memnet.Network))
}

func connect(t *testing.T, network *memnet.Network) (client, server *memnet.Conn) {
	t.Helper()
	l := listen(t, network, "server:1")
	dialed, err := network.DialContext(t.Context(), "tcp", "server:1")
	require.NoError(t, err)
	accepted, err := l.Accept()
	require.NoError(t, err)
	return dialed.(*memnet.Conn), accepted.(*memnet.Conn)
}

func listen(t *testing.T, network *memnet.Network, addr string) net.Listener {
	t.Helper()
	l, err := network.Listen(addr)
	require.NoError(t, err)
	return l
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	n, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}
