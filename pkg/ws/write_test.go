package ws_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// Frames of many senders share vectored writes, and pongs and a close frame come in between: no byte of one may get into
// another, and each sender's frames keep their order.
func TestFramesOfConcurrentSenders(t *testing.T) {
	const senders, each = 8, 250
	overAll(t, ws.Options{PingsPerSecond: 10_000}, func(t *testing.T, s *server) {
		c, conn := s.connect()
		w, stop := bindWriter(conn)
		done := make(chan *reading, 1)
		go func() { done <- readBound(conn) }()

		var sending sync.WaitGroup
		for sender := range senders {
			sending.Go(func() {
				for number := range each {
					w.send(message(sender, number, (sender*each+number)%3000))
				}
			})
		}
		sending.Go(func() {
			for number := range each {
				c.write(frame(opPing, fmt.Sprint(number)))
			}
		})

		var last [senders]int
		pongs := 0
		for range senders*each + each {
			op, payload, err := c.next()
			require.NoError(t, err)
			if op == opPong {
				require.Equal(t, fmt.Sprint(pongs), payload)
				pongs++
				continue
			}
			require.Equal(t, byte(opText), op)
			_, event, err := wire.DecodeServer([]byte(payload))
			require.NoError(t, err, payload)
			sender, number, filling := parts(t, event.Body.(*wire.Message).Data)
			require.Equal(t, last[sender], number, "in the order of sending")
			last[sender]++
			require.Equal(t, strings.Repeat("x", (sender*each+number)%3000), filling)
		}
		sending.Wait()
		require.Equal(t, each, pongs)
		conn.Close(wire.CloseMoved, "")
		c.requireClosed(wire.CloseMoved)
		<-done
		stop()
	})
}

// parts takes apart what message has put together.
func parts(t *testing.T, data []byte) (sender, number int, filling string) {
	t.Helper()
	fields := strings.Split(strings.Trim(string(data), `"`), "/")
	require.Len(t, fields, 3)
	sender, err := strconv.Atoi(fields[0])
	require.NoError(t, err)
	number, err = strconv.Atoi(fields[1])
	require.NoError(t, err)
	return sender, number, fields[2]
}

// One batch of more frames than the kernel takes in one call (1024), and of more bytes than the socket holds.
func TestWriteOfAHugeBatch(t *testing.T) {
	overAll(t, ws.Options{}, func(t *testing.T, s *server) {
		c, conn := s.connect()
		done := inBackground(conn)
		batch := make([]*wire.Frame, 3000)
		for i := range batch {
			batch[i] = message(0, i, 2000)
		}
		written := make(chan error, 1)
		go func() { written <- conn.Write(batch) }()
		for i := range batch {
			_, payload, err := c.next()
			require.NoError(t, err)
			require.Equal(t, string(batch[i].Text()), payload)
		}
		require.NoError(t, <-written)
		c.write(closeFrame(1000, ""))
		c.requireClosed(1000)
		<-done
	})
}

// Row 44: a client that never reads would hold its writer, and with it all that is queued, until TCP gives up.
func TestWriteToAClientThatNeverReads(t *testing.T) {
	for name, serve := range map[string]func(testing.TB, ws.Options) *server{"TCP": overTCP, "TLS": overTLS, "Memory": overMemory} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ws.Options{WriteTimeout: 100 * time.Millisecond})
			c, conn := s.connect()
			done := inBackground(conn)
			batch := []*wire.Frame{message(0, 0, 60_000), message(0, 1, 60_000), message(0, 2, 60_000)}
			var err error
			for err == nil {
				err = conn.Write(batch)
			}
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Error(t, conn.Write(batch), "nothing can follow a part of a frame")
			begun := time.Now()
			conn.Close(wire.CloseSlowReceiver, "")
			got := <-done
			// crypto/tls itself tries for 5 s to say goodbye.
			most := map[string]time.Duration{"TLS": 10 * time.Second}
			require.Less(t, time.Since(begun), cmp.Or(most[name], 5*time.Second), "no answer is waited for")
			code, left := got.ended.Ended()
			require.Zero(t, code, "a close frame would be read as a part of the frame that was cut off")
			require.False(t, left)

			// When the client reads at last: whole frames, then the end in the middle of one.
			for {
				op, _, err := c.next()
				if err != nil {
					require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the socket was not closed")
					break
				}
				require.Equal(t, byte(opText), op)
			}
		})
	}
}

func TestWriteToALostConnection(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c, conn := s.connect()
	require.NoError(t, c.Close())
	readAll(conn)
	require.Error(t, conn.Write([]*wire.Frame{message(0, 0, 1)}))
}
