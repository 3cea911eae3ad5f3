package driver

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// serve runs a WebSocket server that another library speaks, and gives its address.
func serve(t *testing.T, handle func(*websocket.Conn)) Endpoint {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{Subprotocols: []string{"signalbox.v1"}}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		handle(conn)
	}))
	t.Cleanup(server.Close)
	return Endpoint{Addr: strings.TrimPrefix(server.URL, "http://")}
}

func echo(conn *websocket.Conn) {
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func mustOpen(t *testing.T, to Endpoint) *socket {
	t.Helper()
	s, err := open(t.Context(), to, "/v1/connect", "signalbox.v1")
	require.NoError(t, err)
	t.Cleanup(s.cut)
	require.NoError(t, s.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	return s
}

// Sizes around each change of the header's form, and of the buffer.
func TestSocketSpeaksWithAnotherLibrary(t *testing.T) {
	s := mustOpen(t, serve(t, echo))
	for _, size := range []int{0, 1, 7, 8, 125, 126, 1000, 1024, 4096, 65535, 65536, 200_000, 3} {
		message := bytes.Repeat([]byte("abcdefghij"), size/10+1)[:size]
		require.NoError(t, s.send(opText, message))
		got, err := s.next()
		require.NoError(t, err)
		require.True(t, bytes.Equal(message, got), "%d bytes", size)
	}
}

func TestSocketReadsManyMessagesOfOneBurst(t *testing.T) {
	const many = 500
	s := mustOpen(t, serve(t, func(conn *websocket.Conn) {
		for i := range many {
			if conn.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte{byte('a' + i%26)}, i)) != nil {
				return
			}
		}
		echo(conn)
	}))
	for i := range many {
		got, err := s.next()
		require.NoError(t, err)
		require.Equal(t, strings.Repeat(string(rune('a'+i%26)), i), string(got))
	}
}

func TestSocketControlFrames(t *testing.T) {
	ponged := make(chan string, 1)
	s := mustOpen(t, serve(t, func(conn *websocket.Conn) {
		conn.SetPongHandler(func(text string) error { ponged <- text; return nil })
		if conn.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(time.Second)) != nil {
			return
		}
		echo(conn)
	}))
	require.NoError(t, s.send(opText, []byte("first")))
	got, err := s.next() // behind the ping
	require.NoError(t, err)
	require.Equal(t, "first", string(got))
	select {
	case text := <-ponged:
		require.Equal(t, "hello", text)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the ping was not answered")
	}
}

func TestSocketTellsTheCloseCode(t *testing.T) {
	s := mustOpen(t, serve(t, func(conn *websocket.Conn) {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4101, "too slow"), time.Now().Add(time.Second))
	}))
	_, err := s.next()
	require.ErrorContains(t, err, "4101 too slow")
}

// Fragments come one frame each; the library above would not send them.
func TestSocketPutsFragmentsTogether(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = near.Close() }()
	s := &socket{conn: near, in: buffer{conn: near}}
	go func() {
		_, _ = far.Write([]byte{0x01, 2, 'a', 'b', 0x00, 1, 'c', 0x80, 1, 'd', 0x81, 1, 'e'})
	}()
	for _, want := range []string{"abcd", "e"} {
		got, err := s.next()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// Every byte counts, the handshake's too.
func TestTrafficIsCounted(t *testing.T) {
	to, traffic := serve(t, echo), new(Traffic)
	to.Traffic = traffic
	s := mustOpen(t, to)
	sent, received := traffic.Sent.Load(), traffic.Received.Load()
	require.Greater(t, sent, int64(100))
	require.Greater(t, received, int64(100))
	require.NoError(t, s.send(opText, []byte("hello")))
	_, err := s.next()
	require.NoError(t, err)
	require.Equal(t, int64(2+4+5), traffic.Sent.Load()-sent, "header, mask, payload")
	require.Equal(t, int64(2+5), traffic.Received.Load()-received)
	s.cut()
}

func TestHandshakeRefusals(t *testing.T) {
	answer := func(status int, header map[string]string) Endpoint {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		return Endpoint{Addr: strings.TrimPrefix(server.URL, "http://")}
	}
	t.Run("Busy", func(t *testing.T) {
		_, err := open(t.Context(), answer(http.StatusServiceUnavailable, map[string]string{"Retry-After": "7"}), "/", "")
		var busy *BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, 7*time.Second, busy.RetryAfter)
	})
	t.Run("Forbidden", func(t *testing.T) {
		_, err := open(t.Context(), answer(http.StatusForbidden, nil), "/", "")
		require.ErrorContains(t, err, "403")
	})
	t.Run("KeyNotAnswered", func(t *testing.T) {
		_, err := open(t.Context(), answer(http.StatusSwitchingProtocols, nil), "/", "")
		require.Error(t, err)
	})
}
