package ws_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// closer is a client that can close its half of the connection.
type closer interface{ CloseWrite() error }

func TestCloseByClient(t *testing.T) {
	for _, tc := range []struct {
		name string
		send []byte
		echo wire.CloseCode
		left bool
	}{
		{"Normal", closeFrame(1000, "bye"), 1000, true},
		{"NoCode", frame(opClose, ""), 1000, true}, // close() of a browser
		{"GoingAway", closeFrame(1001, ""), 1001, false},
		{"Application", closeFrame(4999, "x"), 4999, false},
		{"LongestReason", closeFrame(1000, strings.Repeat("x", 123)), 1000, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overAll(t, ws.Options{}, func(t *testing.T, s *server) {
				c, conn := s.connect()
				done := inBackground(conn)
				c.write(tc.send)
				code, _ := c.readClose()
				require.Equal(t, tc.echo, code, "the echo (RFC 6455, section 5.5.1)")
				c.requireEOF()
				got, left := (<-done).ended.Ended()
				require.Equal(t, tc.echo, got)
				require.Equal(t, tc.left, left)
			})
		})
	}
}

func TestCloseByServer(t *testing.T) {
	overAll(t, ws.Options{}, func(t *testing.T, s *server) {
		c, conn := s.connect()
		done := inBackground(conn)
		conn.Close(wire.CloseMoved, strings.Repeat("x", 200))
		code, reason := c.readClose()
		require.Equal(t, wire.CloseMoved, code)
		require.Len(t, reason, 123, "a control frame has at most 125 bytes")

		conn.Close(wire.CloseExpired, "again") // only the first counts
		c.write(frame(opText, ping))           // was under way
		c.write(closeFrame(int(code), ""))
		c.requireEOF()
		got := <-done
		require.Equal(t, []int64{1}, got.requests)
		ended, left := got.ended.Ended()
		require.Equal(t, wire.CloseMoved, ended)
		require.False(t, left)
		require.Error(t, conn.Write([]*wire.Frame{message(0, 0, 1)}))
	})
}

// A client that does not answer would keep its socket, and its session's goroutine, for ever.
func TestCloseIsNotAnswered(t *testing.T) {
	for name, chatter := range map[string]bool{"Silence": false, "Chatter": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := overMemory(t, ws.Options{})
				c, conn := s.connect()
				done := inBackground(conn)
				begun := time.Now()
				conn.Close(wire.CloseMoved, "")
				for chatter && time.Since(begun) < 6*time.Second {
					c.try(frame(opText, ping)) // must not put the end off
					time.Sleep(100 * time.Millisecond)
				}
				<-done
				if !chatter {
					require.Equal(t, 5*time.Second, time.Since(begun))
				}
				require.Zero(t, limited(t, s.registry, "message_time"))
			})
		})
	}
}

// No frame may follow a close frame (RFC 6455, section 5.5.1): a strict client would fail the connection.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c, conn := s.connect()
	done := inBackground(conn)
	require.NoError(t, conn.Write([]*wire.Frame{message(0, 0, 1)}))
	conn.Close(wire.CloseMoved, "")
	require.Error(t, conn.Write([]*wire.Frame{message(0, 1, 1)}))
	op, payload, err := c.next()
	require.NoError(t, err)
	require.Equal(t, byte(opText), op)
	require.Contains(t, payload, "0/0/")
	c.requireClosed(wire.CloseMoved)
	<-done
}

// Row 29: a client that goes on after its close frame, or that closes one half of its connection, would keep the socket.
func TestClosedClientsAreFreed(t *testing.T) {
	after := func(c *client) error { // what the client still sends is taken by nobody
		for range 1000 {
			c.try(frame(opText, ping))
		}
		return nil
	}
	half := func(c *client) error { return c.Conn.(closer).CloseWrite() }
	for _, tc := range []struct {
		name     string
		begin    []byte
		act      func(*client) error
		echo     bool
		left     bool
		requests []int64
	}{
		{"MoreAfterClose", closeFrame(1000, ""), after, false, true, nil},
		{"HalfCloseAfterClose", closeFrame(1000, ""), half, true, true, nil},
		{"HalfCloseWithoutClose", frame(opText, ping), half, false, false, []int64{1}},
		{"HalfCloseInsideFrame", frame(opText, ping)[:5], half, false, false, nil},
		{"HalfCloseInsideMessage", fragment(opText, `{"id":`), half, false, false, nil},
		{"LostWithoutAWord", nil, func(c *client) error { return c.Close() }, false, false, nil},
		{"Reset", frame(opText, ping), func(c *client) error {
			return errors.Join(c.Conn.(*net.TCPConn).SetLinger(0), c.Close())
		}, false, false, []int64{1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := overTCP(t, ws.Options{})
			c, conn := s.connect()
			done := inBackground(conn)
			begun := time.Now()
			c.write(tc.begin)
			if tc.requests != nil {
				// A reset drops what the server has not read yet.
				require.NoError(t, conn.Write([]*wire.Frame{message(0, 0, 1)}))
			}
			require.NoError(t, tc.act(c))
			if tc.echo {
				code, _ := c.readClose()
				require.Equal(t, wire.CloseCode(1000), code)
				c.requireEOF()
			}
			got := <-done
			require.Less(t, time.Since(begun), 5*time.Second)
			require.Subset(t, tc.requests, got.requests)
			_, left := got.ended.Ended()
			require.Equal(t, tc.left, left, got.err)
			require.Zero(t, limited(t, s.registry, "protocol"), "the network's end is no broken rule")
			require.Error(t, conn.Write([]*wire.Frame{message(0, 0, 1)}))
		})
	}
}

// A client that is told to go while it still sends: the rest of a message of 4 MiB is on its way when the server
// refuses it by its first bytes. Closed at once, the socket would be reset, and the client would see a broken
// connection, and come back to send the same again.
func TestCloseReachesAClientThatStillSends(t *testing.T) {
	for name, serve := range map[string]func(testing.TB, ws.Options) *server{"TCP": overTCP, "TLS": overTLS} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ws.Options{})
			c, conn := s.connect()
			done := inBackground(conn)
			message := frame(opText, strings.Repeat("x", 1<<20))
			for len(message) > 0 {
				n, err := c.Write(message[:min(len(message), 16<<10)])
				require.NoError(t, err, "the socket was reset with %d bytes to go", len(message))
				message = message[n:]
			}
			c.requireClosed(wire.CloseTooLarge)
			<-done
		})
	}
	t.Run("NotForEver", func(t *testing.T) {
		s := overTCP(t, ws.Options{})
		c, conn := s.connect()
		done := inBackground(conn)
		begun := time.Now()
		junk := frame(opBinary, strings.Repeat("x", 1000))
		for {
			if _, err := c.Write(junk); err != nil {
				break
			}
		}
		<-done
		require.Less(t, time.Since(begun), 5*time.Second)
	})
}

// A connection that was lost on the way gives no code, and a session that wants to tell nothing needs none.
func TestEndedOfALostConnection(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c, conn := s.connect()
	require.NoError(t, c.Close())
	got := readAll(conn)
	code, left := got.ended.Ended()
	require.Zero(t, code)
	require.False(t, left)
	require.ErrorContains(t, got.ended, "ws: connection ended")
	require.Error(t, got.ended.Unwrap())
}
