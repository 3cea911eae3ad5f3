package cluster_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

const upgrade = "GET /socket.io/?sid=x HTTP/1.1\r\nHost: signalbox\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// switching upgrades a request, and gives the connection to serve.
func switching(t testing.TB, serve func(conn net.Conn, reader *bufio.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" || r.TransferEncoding != nil {
			http.Error(w, "no upgrade", http.StatusUpgradeRequired)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		serve(conn, buffered.Reader)
	}
}

// mustUpgrade asks for an upgrade, which has to be granted.
func mustUpgrade(t testing.TB, conn net.Conn) *bufio.Reader {
	t.Helper()
	_, err := io.WriteString(conn, upgrade)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	require.Equal(t, "echo", answer.Header.Get("Upgrade"))
	return reader
}

func TestUpgrade(t *testing.T) {
	ended := make(chan error, 1)
	echo := switching(t, func(conn net.Conn, reader *bufio.Reader) {
		_, err := io.Copy(conn, reader)
		ended <- err
	})
	from, owner, plain := mustPair(t, echo)
	secure := httptest.NewTLSServer(mustForward(t, from, owner.id))
	t.Cleanup(secure.Close)
	for i, public := range []*httptest.Server{plain, secure} {
		conn := mustDial(t, public)
		if public == secure {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		reader := mustUpgrade(t, conn)
		require.Equal(t, 1.0, from.count(t, "signalbox_hop_open", ""))
		for _, said := range []string{"hello\n", strings.Repeat("large", 100_000) + "\n"} {
			go func() { _, _ = io.WriteString(conn, said) }()
			heard, err := reader.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, said, heard)
		}
		require.NoError(t, conn.Close())
		require.NoError(t, await(t, ended, "the owner's end of the tunnel"))
		from.settles(t, 0, "signalbox_hop_open", "")
		from.settles(t, float64(i+1), "signalbox_hop_requests_total", "ok")
	}
	require.Equal(t, 2.0, from.count(t, "signalbox_hop_request_seconds", ""))
}

// An upgrade that the owner refuses leaves the connection as it was.
func TestUpgradeRefusedByOwner(t *testing.T) {
	_, _, public := mustPair(t, switching(t, nil))
	conn := mustDial(t, public)
	reader := bufio.NewReader(conn)
	for range 2 {
		_, err := io.WriteString(conn, strings.ReplaceAll(upgrade, "echo", "other"))
		require.NoError(t, err)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusUpgradeRequired, answer.StatusCode)
		require.Equal(t, "no upgrade\n", body(t, answer))
	}
}

// What a client sends behind its upgrade, too early, is in a buffer that nobody looks into afterwards. It must not be
// lost without a word.
func TestBytesBeforeUpgradeIsGranted(t *testing.T) {
	heard := make(chan string, 1)
	from, _, public := mustPair(t, switching(t, func(_ net.Conn, reader *bufio.Reader) {
		text, _ := io.ReadAll(reader)
		heard <- string(text)
	}))
	conn := mustDial(t, public)
	_, err := io.WriteString(conn, upgrade+"early")
	require.NoError(t, err)
	text, _ := io.ReadAll(conn)
	require.Empty(t, text, "the connection is closed without an answer")
	require.Empty(t, await(t, heard, "the owner's end of the tunnel"))
	from.settles(t, 1, "signalbox_hop_requests_total", "aborted")
}

// The owner's last words come through, and a client that does not close its end then loses it.
func TestTunnelEndsWithOwner(t *testing.T) {
	from, _, public := mustPair(t, switching(t, func(conn net.Conn, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, "goodbye")
	}), func(o *cluster.HopOptions) { o.WriteTimeout = 300 * time.Millisecond })
	conn := mustDial(t, public)
	text, err := io.ReadAll(mustUpgrade(t, conn))
	require.NoError(t, err)
	require.Equal(t, "goodbye", string(text))
	from.settles(t, 0, "signalbox_hop_open", "")
}

// A client that closes its end for good while the owner does not notice holds nothing here.
func TestTunnelEndsWithClient(t *testing.T) {
	release := make(chan struct{})
	from, _, public := mustPair(t, switching(t, func(net.Conn, *bufio.Reader) { <-release }),
		func(o *cluster.HopOptions) { o.WriteTimeout = 300 * time.Millisecond })
	t.Cleanup(func() { close(release) })
	conn := mustDial(t, public)
	mustUpgrade(t, conn)
	require.NoError(t, conn.Close())
	from.settles(t, 0, "signalbox_hop_open", "")
}

// A client that takes nothing is given up; the owner sees its writes fail.
func TestTunnelOfClientThatDoesNotRead(t *testing.T) {
	failed := make(chan error, 1)
	from, _, public := mustPair(t, switching(t, func(conn net.Conn, _ *bufio.Reader) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := conn.Write(piece); err != nil {
				failed <- err
				return
			}
		}
	}), func(o *cluster.HopOptions) { o.WriteTimeout = 300 * time.Millisecond })
	conn := mustDial(t, public)
	_, err := io.WriteString(conn, upgrade)
	require.NoError(t, err)
	require.Error(t, await(t, failed, "a write of the owner's to fail"))
	from.settles(t, 0, "signalbox_hop_open", "")
}

// A node that ends leaves nothing behind: neither tunnels nor requests.
func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{}, 2)
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from, owner := mustNode(t, redis), mustNode(t, redis)
	tunnel := switching(t, func(_ net.Conn, reader *bufio.Reader) {
		_, _ = io.Copy(io.Discard, reader)
		gone <- struct{}{}
	})
	owner.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			tunnel(w, r)
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	public := mustPublic(t, from, owner.id)
	conn := mustDial(t, public)
	reader := mustUpgrade(t, conn)
	polled := make(chan int, 1)
	go func() {
		get, err := public.Client().Get(public.URL)
		if err != nil {
			t.Errorf("the poll: %v", err)
			polled <- 0
			return
		}
		_ = get.Body.Close()
		polled <- get.StatusCode
	}()
	await(t, arrived, "the poll")
	require.Equal(t, 2.0, from.count(t, "signalbox_hop_open", ""))

	from.hop.Close()
	require.Zero(t, from.count(t, "signalbox_hop_open", ""), "Close waits")
	await(t, gone, "the end at the owner")
	await(t, gone, "the end at the owner")
	_, err := reader.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, http.StatusTeapot, await(t, polled, "the poll's answer"))

	late, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, late.StatusCode)
	_ = body(t, late)
	require.Equal(t, 2.0, from.count(t, "signalbox_hop_requests_total", "ended"))
}
