package store_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// pieces is a connection that brings one piece with each read, and then its end.
type pieces struct {
	net.Conn
	pieces []string
}

func (p *pieces) SetReadDeadline(time.Time) error { return nil }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.pieces[0])
	if p.pieces[0] = p.pieces[0][n:]; p.pieces[0] == "" {
		p.pieces = p.pieces[1:]
	}
	return n, nil
}

// readAll gives all that comes in pieces, and what it ends with.
func readAll(longest int, parts ...string) (told []string, err error) {
	pushes := store.NewPushes(&pieces{pieces: parts}, longest)
	for {
		push, err := pushes.Next()
		if err != nil {
			return told, err
		}
		told = append(told, push)
	}
}

// pushed is a push of texts.
func pushed(texts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(texts))
	for _, text := range texts {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(text), text)
	}
	return b.String()
}

const (
	subscribedPush = "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"
	ampleLength    = 1 << 20
)

func TestPushesInPieces(t *testing.T) {
	stream := "+PONG\r\n" + subscribedPush + "*3\r\n$10\r\nssubscribe\r\n$2\r\nch\r\n:12\r\n" +
		pushed("message", "ch", "one") + pushed("pong", "") + pushed("smessage", "ch", "") + pushed("message", "ch", "a\r\n$b\n\r") +
		pushed("pong", "x") + "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n" + "*3\r\n$12\r\nsunsubscribe\r\n$2\r\nch\r\n:0\r\n"
	want := []string{
		"pong  ", "subscribed ch 1", "subscribed ch 12", "message ch one", "pong  ", "message ch ", "message ch a\r\n$b\n\r", "pong x ",
		"ended -1 0", "ended ch 0",
	}
	for split := range len(stream) {
		told, err := readAll(ampleLength, stream[:split], stream[split:])
		require.ErrorIs(t, err, io.EOF, "%d", split)
		require.Equal(t, want, told, "%d", split)
		told, err = readAll(ampleLength, stream[:split])
		require.ErrorIs(t, err, io.EOF, "%d", split)
		require.Equal(t, fmt.Sprint(want[:len(told)]), fmt.Sprint(told), "%d", split)
	}
	told, err := readAll(ampleLength, strings.Split(stream, "")...)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, want, told)
}

// Whatever lies across the end of the buffer is whole, and a large buffer is not kept for ever.
func TestLongPushes(t *testing.T) {
	for _, length := range []int{store.PushBuffer - 40, store.PushBuffer - 20, store.PushBuffer, 2 * store.PushBuffer, 10*store.PushBuffer + 1} {
		var stream strings.Builder
		var want []string
		for i := range 200 {
			short, long := fmt.Sprint("short ", i), strings.Repeat(string(rune('a'+i%26)), length)
			stream.WriteString(pushed("message", "ch", short))
			want = append(want, "message ch "+short)
			if i%50 == 0 {
				stream.WriteString(pushed("message", "ch", long))
				want = append(want, "message ch "+long)
			}
		}
		told, err := readAll(ampleLength, stream.String())
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, want, told, "%d", length)
	}

	parts := []string{pushed("message", "ch", strings.Repeat("l", 3*store.PushBuffer))}
	for range 40 {
		parts = append(parts, pushed("pong", ""))
	}
	pushes := store.NewPushes(&pieces{pieces: parts}, ampleLength)
	_, err := pushes.Next()
	require.NoError(t, err)
	require.Equal(t, 4*store.PushBuffer, pushes.Buffer())
	var sizes []int
	for range 40 {
		told, err := pushes.Next()
		require.NoError(t, err)
		require.Equal(t, "pong  ", told)
		sizes = append(sizes, pushes.Buffer())
	}
	require.Equal(t, 4*store.PushBuffer, sizes[0], "another long one may follow")
	require.Equal(t, store.PushBuffer, sizes[39])
}

// badReplies are what cannot follow a subscription, and errors, with what they say.
var badReplies = map[string]struct {
	reply string
	says  store.ReplyError
}{
	"nothing":            {"\r\n", ""},
	"no carriage return": {"*3\n$7\nmessage\n", ""},
	"text":               {"hello\r\n", ""},
	"text alone":         {"$2\r\nOK\r\n", ""},
	"number":             {":1\r\n", ""},
	"OK":                 {"+OK\r\n", ""},
	"RESP3":              {">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nx\r\n", ""},
	"no list":            {"*-1\r\n", ""},
	"empty list":         {"*0\r\n", ""},
	"one item":           {pushed("pong"), ""},
	"four items":         {pushed("pmessage", "c*", "ch", "x"), ""},
	"many items":         {"*99999999999999999999\r\n", ""},
	"items of a letter":  {"*x\r\n", ""},
	"unknown kind":       {pushed("invalidate", "ch", "x"), ""},
	"message of two":     {pushed("message", "ch"), ""},
	"pong of three":      {pushed("pong", "", ""), ""},
	"kind is a number":   {"*2\r\n:1\r\n$0\r\n\r\n", ""},
	"nested":             {"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n*1\r\n$1\r\nx\r\n", ""},
	"negative length":    {"*2\r\n$-2\r\n", ""},
	"length of letters":  {"*2\r\n$4x\r\npong\r\n", ""},
	"no length":          {"*2\r\n$\r\npong\r\n", ""},
	"text too long":      {"*2\r\n$4\r\npongs\r\n$0\r\n\r\n", ""},
	"text too short":     {"*2\r\n$5\r\npong\r\n$0\r\n\r\n", ""},
	"longer than may be": {"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$999999999\r\n", ""},
	"endless line":       {"*" + strings.Repeat("1", 1<<15), ""},
	"an error":           {"-ERR what is this\r\n", "ERR what is this"},
	"no permission":      {"-NOPERM no permissions to access one of the channels\r\n", "NOPERM no permissions to access one of the channels"},
}

func TestBadPushes(t *testing.T) {
	for name, tc := range badReplies {
		t.Run(name, func(t *testing.T) {
			for split := range min(len(tc.reply), 100) {
				told, err := readAll(ampleLength, subscribedPush+tc.reply[:split], tc.reply[split:])
				require.Equal(t, []string{"subscribed ch 1"}, told)
				if tc.says != "" {
					require.Equal(t, tc.says, err)
				} else {
					require.IsType(t, store.PushError(""), err)
				}
			}
		})
	}
	_, err := readAll(100, pushed("message", "ch", strings.Repeat("x", 50)), pushed("message", "ch", strings.Repeat("x", 101)))
	require.ErrorContains(t, err, "too long")
}

// FuzzPushes: no input panics or is read otherwise in pieces, and what is not understood is one of the two errors.
func FuzzPushes(f *testing.F) {
	f.Add([]byte(subscribedPush+pushed("message", "ch", "x")+pushed("pong", "")), 20)
	f.Add([]byte("+PONG\r\n*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"), 9)
	for _, bad := range badReplies {
		f.Add([]byte(bad.reply), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, split int) {
		whole, err := readAll(ampleLength, string(stream))
		split = min(max(split, 0), len(stream))
		parts, again := readAll(ampleLength, string(stream[:split]), string(stream[split:]))
		require.Equal(t, whole, parts)
		require.Equal(t, err, again)
		if !errors.Is(err, io.EOF) {
			_, isReply := errors.AsType[store.ReplyError](err)
			_, isStrange := errors.AsType[store.PushError](err)
			require.True(t, isReply || isStrange, "%v", err)
		}
	})
}

// strangeRedis has the first subscription answered with something else.
type strangeRedis struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	reply string
	once  sync.Once
}

type strangeConn struct {
	net.Conn
	redis *strangeRedis
	says  string // owned by the reader, who is the one that subscribes
}

func (s *strangeRedis) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := s.dial(ctx, network, addr)
	return &strangeConn{Conn: conn, redis: s}, err
}

func (c *strangeConn) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "subscribe\r\n") {
		c.redis.once.Do(func() { c.says = c.redis.reply })
	}
	return c.Conn.Write(p)
}

func (c *strangeConn) Read(p []byte) (int, error) {
	if c.says != "" {
		n := copy(p, c.says)
		c.says = c.says[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func TestStrangeReplies(t *testing.T) {
	for name, tc := range map[string]struct{ reply, reason string }{
		"another server":     {"-MOVED 1 127.0.0.1:1\r\n", "moved"},
		"an end":             {"*3\r\n$11\r\nunsubscribe\r\n$2\r\nch\r\n:0\r\n", "moved"},
		"an error":           {"-ERR what is this\r\n", "reply"},
		"not understood":     {"hello\r\n", "reply"},
		"unknown kind":       {pushed("invalidate", "ch", "x"), "reply"},
		"longer than may be": {badReplies["longer than may be"].reply, "reply"},
		"in the midst":       {"*3\r\n$7\r\nmess", "reply"}, // and then what Redis says
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, bubble *bubble) {
				registry := prometheus.NewRegistry()
				strange := &strangeRedis{dial: bubble.options.Dialer, reply: tc.reply}
				bubble.options.Registerer, bubble.options.Dialer = registry, strange.dialContext
				a := startNode(t, bubble.options, "a")
				require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_inbox_reconnects_total", tc.reason))
				mustJoin(t, a, lobby, "alice")
				mustJoin(t, a, lobby, "bob")
				require.Equal(t, "joined-peer", a.expect(t, 1)[0].Type)
			})
		})
	}
}

// What belongs to a connection of somebody else is not read.
func TestTap(t *testing.T) {
	one, other := new(net.TCPConn), new(net.TCPConn)
	conn, err := store.Tap(one)
	require.NoError(t, err)
	require.Same(t, one, conn)
	_, err = store.Tap()
	require.Error(t, err)
	_, err = store.Tap(one, other)
	require.Error(t, err)
}

func TestInboxOverTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil) // has a certificate, and who trusts it
	defer certified.Close()
	server, err := miniredis.RunTLS(&tls.Config{Certificates: certified.TLS.Certificates})
	require.NoError(t, err)
	defer server.Close()
	trust := certified.Client().Transport.(*http.Transport).TLSClientConfig
	n := startNode(t, store.Options{Addresses: []string{server.Addr()}, TLS: trust.Clone(), Logger: quietLogger()}, "n")
	mustJoin(t, n, lobby, "alice")
	for range 20 {
		_, err := n.send(store.Send{Seat: n.seat(lobby, "alice"), To: "alice", Type: "signal", Event: []byte(`{"type":"signal"}`)})
		require.NoError(t, err)
	}
	n.expect(t, 20)
}
