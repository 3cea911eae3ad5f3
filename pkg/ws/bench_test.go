package ws_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// publish is a message of the usual size.
const publish = `{"id":1,"type":"publish","room":"lobby","topic":"chat","data":{"text":"hello to everybody in the room"}}`

// readerPair gives a function that sends one message and reads it at the other end, which is waited for as a session
// does.
func readerPair(tb testing.TB, s *server) (read func()) {
	tb.Helper()
	c, conn := s.connect()
	conn.Bind(func(*wire.Frame) {})
	tb.Cleanup(func() {
		require.NoError(tb, c.Close())
		readBound(conn)
	})
	message := frame(opText, publish)
	return func() {
		if _, err := c.Write(message); err != nil {
			tb.Fatal(err)
		}
		if conn.Park(nil) {
			tb.Fatal("parked")
		}
		if _, err := conn.Read(); err != nil {
			tb.Fatal(err)
		}
	}
}

// writerPair gives a function that writes a batch over TCP and takes it at the other end.
func writerPair(tb testing.TB, frames int) (write func(), size int) {
	tb.Helper()
	s := overTCP(tb, ws.Options{})
	c, conn := s.connect()
	conn.Bind(func(*wire.Frame) {})
	tb.Cleanup(func() {
		require.NoError(tb, c.Close())
		readBound(conn)
	})
	batch := make([]*wire.Frame, frames)
	for i := range batch {
		batch[i] = message(0, i, 100)
		size += batch[i].Size()
	}
	into := make([]byte, size)
	return func() {
		if err := conn.Write(batch); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(c.reader, into); err != nil {
			tb.Fatal(err)
		}
	}, size
}

// The budgets: a message is read into a pooled buffer, so that what it costs is its decoding (three), and gorilla's
// reader (one) where it was not read ahead. A batch costs nothing but what the kernel is told, whatever its size.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for _, tc := range []struct {
		name   string
		server *server
		budget float64
	}{{"usual", overTCP(t, ws.Options{}), 4}, {"parkable", overLot(t, time.Minute, ws.Options{}), 3}} {
		read := readerPair(t, tc.server)
		read()
		require.LessOrEqual(t, testing.AllocsPerRun(2000, read), tc.budget, "reading a message, %s connection", tc.name)
	}
	for _, frames := range []int{1, 16} {
		write, _ := writerPair(t, frames)
		write()
		require.LessOrEqual(t, testing.AllocsPerRun(2000, write), 0.0, "writing a batch of %d", frames)
	}
}

// BenchmarkRead is a message that has come, over a connection that may be parked and over one that may not.
func BenchmarkRead(b *testing.B) {
	for _, kind := range []struct {
		name  string
		serve func() *server
	}{
		{"Plain", func() *server { return overTCP(b, ws.Options{}) }},
		{"Parking", func() *server { return overLot(b, time.Minute, ws.Options{}) }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			read := readerPair(b, kind.serve())
			b.SetBytes(int64(len(publish)))
			b.ReportAllocs()
			for b.Loop() {
				read()
			}
		})
	}
}

// BenchmarkEcho is a message that is waited for and answered, as most are.
func BenchmarkEcho(b *testing.B) {
	for _, kind := range []struct {
		name  string
		serve func() *server
	}{
		{"Plain", func() *server { return overTCP(b, ws.Options{}) }},
		{"Parking", func() *server { return overLot(b, time.Minute, ws.Options{}) }},
		{"Parked", func() *server { return overLot(b, time.Nanosecond, ws.Options{}) }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			s := kind.serve()
			c, conn := s.connect()
			conn.Bind(func(*wire.Frame) {})
			answer := []*wire.Frame{message(0, 0, 100)}
			done := make(chan struct{})
			go readEach(conn, done, func() { require.NoError(b, conn.Write(answer)) })
			asked, into := frame(opText, publish), make([]byte, answer[0].Size())
			for b.Loop() {
				_, err := c.Write(asked)
				require.NoError(b, err)
				_, err = io.ReadFull(c.reader, into)
				require.NoError(b, err)
			}
			require.NoError(b, c.Close())
			<-done
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, frames := range []int{1, 16} {
		b.Run(fmt.Sprintf("frames=%d", frames), func(b *testing.B) {
			write, size := writerPair(b, frames)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				write()
			}
		})
	}
}
