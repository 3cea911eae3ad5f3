package socketio_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memuse"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

const idleSessions = 2000

// browserHeader is about what a page's request brings beside the transport's own.
const browserHeader = "Host: gateway.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n" +
	"Origin: http://gateway.example\r\nCookie: theme=dark; visit=0123456789abcdef0123456789abcdef\r\n"

const upgradeHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// BenchmarkIdleSession measures what a session costs that is in a namespace and waits: the memory of heap and stacks,
// and goroutines. The clients' ends are in this process, too; as bare sockets they cost what the ends of pairs without
// any session do, which are measured first and taken off.
func BenchmarkIdleSession(b *testing.B) {
	for _, bench := range []struct {
		name    string
		sockets float64
		open    func(b *testing.B, address string) net.Conn // the connection that stays, if any
	}{
		{"WebSocket", 1, openIdleWebSocket},
		{"Upgraded", 1, openIdleUpgraded},
		{"Polling", 1, openIdlePolling},
		{"BetweenPolls", 0, openBetweenPolls},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				measureIdle(b, bench.sockets, bench.open)
			}
		})
	}
}

func measureIdle(b *testing.B, sockets float64, open func(*testing.B, string) net.Conn) {
	socket := memuse.Socket(b, idleSessions)
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server, err := socketio.New(socketio.Options{
		PingInterval: 10 * time.Minute, ConnectTimeout: 10 * time.Minute,
		Namespaces: map[string]socketio.Namespace{"/": {
			Event: func(_ *socketio.Socket, _ socketio.Event, answer func(socketio.Ack)) { answer(socketio.Ack{}) },
		}},
	})
	require.NoError(b, err)
	web := &http.Server{Handler: server, ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	running.Go(func() { _ = web.Serve(listener) })
	address := listener.Addr().String()
	if conn := open(b, address); conn != nil { // what is made once is no session's cost
		require.NoError(b, conn.Close())
	}

	memory, goroutines := memuse.InUse(), runtime.NumGoroutine()
	conns := make([]net.Conn, 0, idleSessions)
	for range idleSessions {
		if conn := open(b, address); conn != nil {
			conns = append(conns, conn)
		}
	}
	used, grown := memuse.InUse()-memory, runtime.NumGoroutine()-goroutines
	b.ReportMetric(float64(used)/idleSessions-sockets*socket, "bytes/session")
	b.ReportMetric(float64(grown)/idleSessions, "goroutines/session")

	for _, conn := range conns {
		require.NoError(b, conn.Close())
	}
	cancel()
	require.NoError(b, web.Close())
	running.Wait()
}

// idleConn is a client's end, with a reader only as long as it is needed.
type idleConn struct {
	b *testing.B
	net.Conn
	reader *bufio.Reader
}

func dialIdle(b *testing.B, address string) *idleConn {
	b.Helper()
	conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", address)
	require.NoError(b, err)
	return &idleConn{b, conn, bufio.NewReader(conn)}
}

// say sends, and reads past a text.
func (c *idleConn) say(text, until string) {
	c.b.Helper()
	_, err := io.WriteString(c.Conn, text)
	require.NoError(c.b, err)
	last := make([]byte, 0, len(until))
	for until != "" && string(last) != until {
		char, err := c.reader.ReadByte()
		require.NoError(c.b, err)
		if len(last) == len(until) {
			last = append(last[:0], last[1:]...)
		}
		last = append(last, char)
	}
}

func get(query string) string {
	return "GET /socket.io/?EIO=4&t=Pabc123&transport=" + query + " HTTP/1.1\r\n" + browserHeader
}

// handshake opens a polling session and enters the root namespace, and gives the id.
func (c *idleConn) handshake() string {
	c.b.Helper()
	c.say(get("polling")+"\r\n", `"sid":"`)
	sid, err := c.reader.ReadString('"')
	require.NoError(c.b, err)
	sid = strings.TrimSuffix(sid, `"`)
	c.say(fmt.Sprintf("POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n40", sid, browserHeader), "\r\n\r\nok")
	c.say(get("polling&sid="+sid)+"\r\n", `40{"sid":"`)
	return sid
}

func openIdleWebSocket(b *testing.B, address string) net.Conn {
	c := dialIdle(b, address)
	c.say(get("websocket")+upgradeHeader, `"maxPayload"`)
	c.say(maskedFrame("40"), `40{"sid":"`)
	return c.Conn
}

func openIdleUpgraded(b *testing.B, address string) net.Conn {
	polling, c := dialIdle(b, address), dialIdle(b, address)
	sid := polling.handshake()
	c.say(get("websocket&sid="+sid)+upgradeHeader, "\r\n\r\n")
	c.say(maskedFrame("2probe"), "3probe")
	c.say(maskedFrame("5")+maskedFrame(`421["x"]`), "431[]")
	require.NoError(b, polling.Conn.Close())
	return c.Conn
}

func openIdlePolling(b *testing.B, address string) net.Conn {
	c := dialIdle(b, address)
	sid := c.handshake()
	c.say(get("polling&sid="+sid)+"\r\n", "")
	return c.Conn
}

func openBetweenPolls(b *testing.B, address string) net.Conn {
	c := dialIdle(b, address)
	c.handshake()
	require.NoError(b, c.Conn.Close())
	return nil
}

// maskedFrame frames a short text under a mask of zeros.
func maskedFrame(text string) string {
	return string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
}
