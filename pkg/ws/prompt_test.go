package ws_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// overfill writes batches to a client that does not read until something is left over, and gives all frames.
func overfill(tb testing.TB, conn *ws.Conn, perBatch int) (sent []*wire.Frame) {
	tb.Helper()
	require.True(tb, conn.Prompt())
	for whole := true; whole; {
		var batch []*wire.Frame
		for range perBatch {
			batch = append(batch, message(0, len(sent)+len(batch), 50_000))
		}
		var err error
		whole, err = conn.WriteNow(batch)
		require.NoError(tb, err)
		sent = append(sent, batch...)
	}
	return sent
}

// What the socket does not take is left over, and follows with its order kept.
func TestWriteNow(t *testing.T) {
	for name, perBatch := range map[string]int{"One": 1, "Many": 5} {
		t.Run(name, func(t *testing.T) {
			s := overTCP(t, ws.Options{WriteTimeout: 5 * time.Second})
			c, conn := s.connect()
			done := inBackground(conn)
			for round := range 3 { // the second finds what the first has set
				sent := overfill(t, conn, perBatch)
				written := make(chan error, 1)
				go func() { written <- conn.Write(nil) }()
				for _, frame := range sent {
					_, payload, err := c.next()
					require.NoError(t, err)
					require.Equal(t, string(frame.Text()), payload, "round %d", round)
				}
				require.NoError(t, <-written)
			}
			c.write(closeFrame(1000, ""))
			c.requireClosed(1000)
			<-done
			_, err := conn.WriteNow([]*wire.Frame{message(0, 0, 10)})
			require.Error(t, err, "it is over")
		})
	}
}

// A deadline that has passed since is that of an earlier write.
func TestWriteNowAfterADeadline(t *testing.T) {
	s := overTCP(t, ws.Options{WriteTimeout: 500 * time.Millisecond})
	c, conn := s.connect()
	done := inBackground(conn)
	require.NoError(t, conn.Write([]*wire.Frame{message(0, 0, 10)}))
	begun := time.Now()
	frame := message(0, 1, 10)
	until(t, func() bool {
		whole, err := conn.WriteNow([]*wire.Frame{frame})
		require.NoError(t, err)
		require.True(t, whole)
		return time.Since(begun) > time.Second
	}, "the deadline has passed")
	c.write(closeFrame(1000, ""))
	c.requireClosed(1000)
	<-done
}

// A close frame would be read as a part of the frame that is half written.
func TestCloseAwaitsWhatIsLeftOver(t *testing.T) {
	s := overTCP(t, ws.Options{})
	c, conn := s.connect()
	done := inBackground(conn)
	sent := overfill(t, conn, 3)
	closed := make(chan struct{})
	go func() {
		conn.Close(wire.CloseMoved, "")
		close(closed)
	}()
	select {
	case <-closed:
		require.Fail(t, "the close frame did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	written := make(chan error, 1)
	go func() { written <- conn.Write(nil) }()
	for _, frame := range sent {
		_, payload, err := c.next()
		require.NoError(t, err)
		require.Equal(t, string(frame.Text()), payload)
	}
	require.NoError(t, <-written)
	code, _ := c.readClose()
	require.Equal(t, wire.CloseMoved, code)
	<-closed
	c.write(closeFrame(int(wire.CloseMoved), ""))
	<-done
}

// Row 44, for what is left over: its writer would be held by a client that never reads.
func TestLeftOverForAClientThatNeverReads(t *testing.T) {
	s := overTCP(t, ws.Options{WriteTimeout: 100 * time.Millisecond})
	_, conn := s.connect()
	done := inBackground(conn)
	overfill(t, conn, 1)
	require.ErrorIs(t, conn.Write(nil), os.ErrDeadlineExceeded)
	_, err := conn.WriteNow([]*wire.Frame{message(0, 0, 10)})
	require.Error(t, err, "nothing can follow a part of a frame")
	conn.Close(wire.CloseSlowReceiver, "")
	code, _ := (<-done).ended.Ended()
	require.Zero(t, code)
}

// What has a state above the socket, or none of the system's below, has to be waited for.
func TestSomeConnectionsAreNotPrompt(t *testing.T) {
	for _, s := range []*server{overTLS(t, ws.Options{}), overMemory(t, ws.Options{})} {
		c, conn := s.connect()
		require.False(t, conn.Prompt())
		done := inBackground(conn)
		require.NoError(t, c.Close())
		<-done
	}
}
