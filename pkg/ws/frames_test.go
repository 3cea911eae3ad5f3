package ws_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// limited gives the count of connections that were closed for a reason.
func limited(tb testing.TB, registry *prometheus.Registry, limit string) int {
	tb.Helper()
	families, err := registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() != "signalbox_websocket_limits_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			if metric.GetLabel()[0].GetValue() == limit {
				return int(metric.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// deflated is a message of 4 MiB in a compressed frame of some KB.
func deflated(t *testing.T) string {
	var out bytes.Buffer
	writer, err := flate.NewWriter(&out, flate.BestCompression)
	require.NoError(t, err)
	_, err = writer.Write(bytes.Repeat([]byte(" "), 4<<20))
	require.NoError(t, err)
	require.NoError(t, writer.Flush())
	return out.String()
}

// The frames that are not allowed. Without the checks each would be read as something that its sender did not mean, or
// cost memory and time without end.
func TestBadFrames(t *testing.T) {
	for _, tc := range []struct {
		name  string
		send  []byte
		code  wire.CloseCode
		limit string
	}{
		// Row 20: a proxy that does not know WebSocket could be made to cache what a script wrote (RFC 6455, section 10.3).
		{"Unmasked", rawFrame(0x80|opText, false, ping), wire.CloseProtocolError, "protocol"},
		// Row 21.
		{"RSV1", rawFrame(0xC0|opText, true, ping), wire.CloseProtocolError, "protocol"},
		{"RSV2", rawFrame(0xA0|opText, true, ping), wire.CloseProtocolError, "protocol"},
		{"RSV3", rawFrame(0x90|opText, true, ping), wire.CloseProtocolError, "protocol"},
		{"ReservedDataOpcode", frame(0x3, ping), wire.CloseProtocolError, "protocol"},
		{"ReservedControlOpcode", frame(0xB, ping), wire.CloseProtocolError, "protocol"},
		{"FragmentedPing", fragment(opPing, "x"), wire.CloseProtocolError, "protocol"},
		{"LongPing", frame(opPing, strings.Repeat("x", 126)), wire.CloseProtocolError, "protocol"},
		{"LongClose", frame(opClose, "\x03\xe8"+strings.Repeat("x", 124)), wire.CloseProtocolError, "protocol"},
		{"ContinuationFirst", frame(opContinuation, ping), wire.CloseProtocolError, "protocol"},
		{"TextInsideMessage", append(fragment(opText, `{"id":`), frame(opText, ping)...), wire.CloseProtocolError, "protocol"},
		{"Close1005", closeFrame(1005, ""), wire.CloseProtocolError, "protocol"},
		{"Close1006", closeFrame(1006, ""), wire.CloseProtocolError, "protocol"},
		{"Close999", closeFrame(999, ""), wire.CloseProtocolError, "protocol"},
		{"CloseReasonNotUTF8", closeFrame(1000, "\xff"), wire.CloseProtocolError, "protocol"},
		// Row 22: a length that is negative as a signed number.
		{"LengthTopBit", topBit(), wire.CloseTooLarge, "message_bytes"},
		// Row 23: the header alone is enough; nothing is allocated for what it announces.
		{"HugeLength", rawFrame(0x80|opText, true, strings.Repeat("x", 1<<20))[:14], wire.CloseTooLarge, "message_bytes"},
		{"OneByteTooMany", frame(opText, strings.Repeat(" ", 1<<16+1)), wire.CloseTooLarge, "message_bytes"},
		{"FragmentsTooLarge", bytes.Join([][]byte{fragment(opText, strings.Repeat(" ", 1<<15)), frame(opContinuation, strings.Repeat(" ", 1<<15+1))}, nil),
			wire.CloseTooLarge, "message_bytes"},
		// Row 24: each fragment costs a turn of the loop; 10,000 of them carry one small message.
		{"TenThousandFragments", fragments(10_000), wire.ClosePolicy, "fragments"},
		// Row 25: the library alone counts the bytes on the wire, and would inflate all of them.
		{"DeflateBomb", rawFrame(0xC0|opText, true, deflated(t)), wire.CloseProtocolError, "protocol"},
		// Row 26: the library passes them on, to every member of the room.
		{"NotUTF8", frame(opText, "{\"id\":1,\"type\":\"ping\",\"x\":\"\xff\"}"), wire.CloseInvalidUTF8, "utf8"},
		{"Overlong", frame(opText, "\xc0\x80"), wire.CloseInvalidUTF8, "utf8"},
		{"SurrogateHalf", frame(opText, "\xed\xa0\x80"), wire.CloseInvalidUTF8, "utf8"},
		{"CutRune", append(fragment(opText, "\xe2\x82"), frame(opContinuation, "")...), wire.CloseInvalidUTF8, "utf8"},
		// Row 27.
		{"Binary", frame(opBinary, ping), wire.CloseUnsupportedData, "binary"},
		{"EmptyBinary", frame(opBinary, ""), wire.CloseUnsupportedData, "binary"},
		// Row 28: each would be answered.
		{"PingFlood", bytes.Repeat(frame(opPing, "x"), 1000), wire.ClosePolicy, "control"},
		{"PongFlood", bytes.Repeat(frame(opPong, ""), 1000), wire.ClosePolicy, "control"},
		{"PingFloodInsideMessage", append(fragment(opText, `{`), bytes.Repeat(frame(opPing, "x"), 1000)...), wire.ClosePolicy, "control"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refuses := func(s *server, read func(*ws.Conn) *reading) {
				c, conn := s.connect()
				done := make(chan *reading, 1)
				go func() { done <- read(conn) }()
				c.try(tc.send)
				c.requireClosed(tc.code)
				got := <-done
				require.Empty(t, got.requests)
				require.NotNil(t, got.ended)
				code, left := got.ended.Ended()
				require.Equal(t, tc.code, code, got.err)
				require.False(t, left)
				require.Equal(t, 1, limited(t, s.registry, tc.limit))
				require.Equal(t, 1, testutil.CollectAndCount(s.registry, "signalbox_websocket_limits_total"), "no other limit")
			}
			refuses(overTCP(t, ws.Options{}), readAll)
			refuses(overLot(t, time.Minute, ws.Options{}), func(conn *ws.Conn) *reading { return serve(conn).end(t) })
		})
	}
}

// topBit is the head of a frame of 2^63 bytes and some.
func topBit() []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0x80 | opText, 0x80 | 127}, 1<<63|10), 1, 2, 3, 4)
}

// fragments is a valid message, one byte a frame.
func fragments(count int) []byte {
	text := `{"id":1,"type":"ping","x":"` + strings.Repeat("x", count) + `"}`
	b := fragment(opText, text[:1])
	for i := 1; i < len(text); i++ {
		b = append(b, fragment(opContinuation, text[i:i+1])...)
	}
	return append(b, frame(opContinuation, "")...)
}

// What RFC 6455 allows must pass.
func TestGoodFrames(t *testing.T) {
	large := `{"id":1,"type":"publish","room":"r","data":"` + strings.Repeat("x", 1<<16-46) + `"}`
	require.Len(t, large, 1<<16)
	for name, send := range map[string][]byte{
		"Small":          frame(opText, ping),
		"AtTheLimit":     frame(opText, large),
		"Fragments":      fragments(100),
		"LargeFragments": append(append(fragment(opText, large[:20000]), fragment(opContinuation, large[20000:40000])...), frame(opContinuation, large[40000:])...),
		"EmptyFragments": append(append(fragment(opText, ""), fragment(opContinuation, ping)...), frame(opContinuation, "")...),
		"PingInside":     append(append(fragment(opText, ping[:5]), frame(opPing, "x")...), frame(opContinuation, ping[5:])...),
		"CutRune":        append(fragment(opText, "{\"id\":1,\"type\":\"ping\",\"x\":\"\xe2\x82"), frame(opContinuation, "\xac\"}")...),
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, ws.Options{}, func(t *testing.T, s *server) {
				c, conn := s.connect()
				done := inBackground(conn)
				c.write(send)
				c.write(closeFrame(1000, ""))
				c.requireClosed(1000)
				got := <-done
				require.Equal(t, []int64{1}, got.requests, got.err)
			})
			t.Run("ReadAhead", func(t *testing.T) {
				c, conn := overLot(t, time.Minute, ws.Options{}).connect()
				p := serve(conn)
				c.write(send)
				c.write(closeFrame(1000, ""))
				c.requireClosed(1000)
				got := p.end(t)
				require.Equal(t, []int64{1}, got.requests, got.err)
			})
		})
	}
}

// Row 30: one message that is not valid is the client's mistake and no attack: the connection stays.
func TestBadMessageKeepsConnection(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c, conn := s.connect()
	done := inBackground(conn)
	bad := []string{"", "  ", "null", "[]", `"x"`, "NaN", `{"id":1}`}
	for _, text := range bad {
		c.write(frame(opText, text))
	}
	c.write(frame(opText, ping))
	c.write(closeFrame(1000, ""))
	c.requireClosed(1000)
	got := <-done
	require.Len(t, got.refusals, len(bad))
	require.Equal(t, []int64{1}, got.requests)
}

// A message that is begun and never finished would hold its buffer for ever.
func TestMessageDeadline(t *testing.T) {
	for name, next := range map[string][]byte{
		// Row 24, in time: each trickled byte or empty fragment would begin the wait anew.
		"Silence":        nil,
		"EmptyFragments": fragment(opContinuation, ""),
		"Trickle":        fragment(opContinuation, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := overMemory(t, ws.Options{MessageReadTimeout: 3 * time.Second, HeartbeatTimeout: time.Minute, Heartbeat: time.Hour})
				c, conn := s.connect()
				done := inBackground(conn)
				begun := time.Now()
				c.write(fragment(opText, `{"id":1,`))
				for range 100 {
					if next != nil {
						c.try(next)
					}
					time.Sleep(100 * time.Millisecond)
				}
				code, _ := c.readClose()
				require.Equal(t, wire.ClosePolicy, code)
				got := <-done
				require.NotNil(t, got.ended)
				require.Equal(t, 1, limited(t, s.registry, "message_time"))
				require.Less(t, time.Since(begun), 20*time.Second)
			})
		})
	}
	t.Run("EachMessageHasItsOwn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := overMemory(t, ws.Options{MessageReadTimeout: 3 * time.Second, HeartbeatTimeout: time.Minute, Heartbeat: time.Hour})
			c, conn := s.connect()
			require.NoError(t, c.SetDeadline(time.Time{}))
			done := inBackground(conn)
			for range 5 {
				c.write(fragment(opText, ping[:5]))
				time.Sleep(2 * time.Second)
				c.write(frame(opContinuation, ping[5:]))
				time.Sleep(10 * time.Second) // between messages nothing is due
			}
			c.write(closeFrame(1000, ""))
			c.requireClosed(1000)
			require.Len(t, (<-done).requests, 5)
		})
	})
}

// A client may ping and answer pings for as long as it likes, at a sane pace.
func TestControlFramesAtASanePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := overMemory(t, ws.Options{Heartbeat: 10_000 * time.Hour})
		c, conn := s.connect()
		require.NoError(t, c.SetDeadline(time.Time{}))
		_, stop := bindWriter(conn)
		defer stop()
		done := make(chan *reading, 1)
		go func() { done <- readBound(conn) }()
		for range 60 {
			for range 10 {
				c.write(frame(opPing, "payload"))
				op, payload, err := c.next()
				require.NoError(t, err)
				require.Equal(t, byte(opPong), op)
				require.Equal(t, "payload", payload, "a pong carries the ping's payload (RFC 6455, section 5.5.3)")
			}
			time.Sleep(time.Second)
		}
		c.write(closeFrame(1000, ""))
		c.requireClosed(1000)
		_, left := (<-done).ended.Ended()
		require.True(t, left)
	})
}
