package store_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// BenchmarkSend is a script round trip on a real Redis: a directed message of 600 bytes, with sequence, log and
// publish. "waiting" callers wait for each reply before they send again; "ahead" is one caller that keeps
// 256 calls under way, as a gateway's readers together do.
func BenchmarkSend(b *testing.B) {
	server := redistest.Single(b)
	s := benchStore(b, server)
	requests := int64(0)
	event := []byte(fmt.Sprintf(`{"type":"signal","room":"r","from":"a","data":"%0540d"}`, 1))
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("waiting/callers=%d", callers), func(b *testing.B) {
			rooms := benchRooms(b, s, callers)
			benchWaiting(b, callers, func(caller int, done func(int64, error)) {
				s.Send(store.Send{Seat: rooms[caller], To: "b", Type: "signal", Event: event}, done)
			})
		})
	}
	for _, kind := range []struct {
		name     string
		send     store.Send
		numbered bool
	}{
		{"signal", store.Send{To: "b", Type: "signal"}, false},
		{"message", store.Send{Type: "message"}, false},
		{"volatile", store.Send{Type: "message", Volatile: true}, false},
		{"numbered-signal", store.Send{To: "b", Type: "signal"}, true},
		{"numbered-volatile", store.Send{Type: "message", Volatile: true}, true},
	} {
		b.Run("ahead/"+kind.name, func(b *testing.B) {
			rooms := benchRooms(b, s, 64)
			before := redisTime(b, server)
			benchAhead(b, 256, func(i int, done func(int64, error)) {
				m := kind.send
				m.Seat, m.Event = rooms[i%len(rooms)], event
				if kind.numbered {
					requests++ // rising over all runs: the rooms are the same
					m.Request = requests
				}
				s.Send(m, done)
			})
			b.ReportMetric((redisTime(b, server)-before)/float64(b.N), "redis-µs/call")
		})
	}
}

// redisTime is for how long Redis has kept a processor busy, in microseconds: unlike the time that passes, a machine that
// is busy with other things does not change it much.
func redisTime(b *testing.B, server *redistest.Server) float64 {
	b.Helper()
	stats, err := server.Do("INFO", "cpu")
	require.NoError(b, err)
	total := 0.0
	for line := range strings.Lines(stats.(string)) {
		var seconds float64
		for _, format := range []string{"used_cpu_user_main_thread:%f", "used_cpu_sys_main_thread:%f"} {
			if n, _ := fmt.Sscanf(line, format, &seconds); n == 1 {
				total += 1e6 * seconds
			}
		}
	}
	return total
}

// BenchmarkJoinLeave is one join and one leave of a room with one other member.
func BenchmarkJoinLeave(b *testing.B) {
	s := benchStore(b, redistest.Single(b))
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("waiting/callers=%d", callers), func(b *testing.B) {
			rooms := benchRooms(b, s, callers)
			benchWaiting(b, callers, func(caller int, done func(int64, error)) {
				seat := rooms[caller]
				seat.Peer = "c"
				s.Join(joinOf(seat), func(*store.Snapshot, error) {})
				s.Leave(leaveOf(seat), numberOf(done))
			})
		})
	}
	b.Run("ahead", func(b *testing.B) {
		rooms := benchRooms(b, s, 64)
		benchAhead(b, 256, func(i int, done func(int64, error)) {
			seat := rooms[i%len(rooms)]
			seat.Peer = "c"
			s.Join(joinOf(seat), func(*store.Snapshot, error) {})
			s.Leave(leaveOf(seat), numberOf(done))
		})
	})
}

// BenchmarkLanes compares one batch under way per primary with more; a room stays in its lane in any case.
func BenchmarkLanes(b *testing.B) {
	event := []byte(fmt.Sprintf(`{"type":"signal","room":"r","from":"a","data":"%0540d"}`, 1))
	for _, lanes := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(lanes), func(b *testing.B) {
			n := startNode(b, store.Options{Addresses: []string{redistest.Single(b).Addr()}}.WithLanes(lanes), "n1")
			n.discard.Store(true)
			rooms := benchRooms(b, n.store, 256)
			benchWaiting(b, len(rooms), func(caller int, done func(int64, error)) {
				n.store.Send(store.Send{Seat: rooms[caller], To: "b", Type: "signal", Event: event}, done)
			})
		})
	}
}

func benchStore(b *testing.B, server *redistest.Server) *store.Store {
	b.Helper()
	n := startNode(b, store.Options{Addresses: []string{server.Addr()}}, "n1")
	n.discard.Store(true)
	return n.store
}

// benchRooms makes rooms with the peers a and b, both of this node, and returns the seats of a.
func benchRooms(b *testing.B, s *store.Store, count int) []store.Seat {
	b.Helper()
	seats := make([]store.Seat, count)
	for i := range seats {
		seat := store.Seat{Room: store.Room{App: "bench", Name: fmt.Sprintf("%s-%d", "room", i)}, Node: "n1"}
		for _, peer := range []string{"b", "a"} {
			seat.Peer = peer
			_, err := wait(func(done func(*store.Snapshot, error)) { s.Join(joinOf(seat), done) })
			require.NoError(b, err)
		}
		seats[i] = seat
	}
	return seats
}

// benchWaiting has callers wait for each answer.
func benchWaiting(b *testing.B, callers int, call func(caller int, done func(int64, error))) {
	b.ReportAllocs()
	var running sync.WaitGroup
	b.ResetTimer()
	for caller := range callers {
		running.Go(func() {
			answers := make(chan error, 1)
			done := func(_ int64, err error) { answers <- err }
			for range b.N/callers + 1 {
				call(caller, done)
				if err := <-answers; err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// benchAhead keeps a number of calls under way.
func benchAhead(b *testing.B, ahead int, call func(i int, done func(int64, error))) {
	b.ReportAllocs()
	tokens := make(chan struct{}, ahead)
	done := func(_ int64, err error) {
		if err != nil {
			b.Error(err)
		}
		<-tokens
	}
	b.ResetTimer()
	for i := range b.N {
		tokens <- struct{}{}
		call(i, done)
	}
	for range ahead {
		tokens <- struct{}{}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// counter counts events, and tells of each hundredth.
type counter struct {
	events   int
	hundreds chan struct{}
}

// Deliver implements store.Receiver.
func (c *counter) Deliver(store.Event) {
	if c.events++; c.events%100 == 0 {
		c.hundreds <- struct{}{}
	}
}

// BenchmarkInbox is one event of 600 bytes from Redis to the receiver, of a hundred that are published at once.
func BenchmarkInbox(b *testing.B) {
	server := redistest.Single(b)
	c := &counter{hundreds: make(chan struct{}, 1)}
	n := openNodeWith(b, store.Options{Addresses: []string{server.Addr()}}.WithoutCanaries(), "n1", c, func(*store.Inbox) {})
	require.NoError(b, n.inbox.WaitReady(b.Context()))
	channel := "sb:{" + store.PartitionTags(n.store.Partitions())[0] + "}:inbox:n1"
	record := fmt.Sprintf(`1 ABCDEFGHIJKL 123456 acme/lobby signal bob - ada/9 {"type":"signal","data":"%0550d"}`, 1)
	publish := fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(record), record)
	hundred := []byte(strings.Repeat(publish, 100))
	publisher, err := net.Dial("tcp", server.Addr())
	require.NoError(b, err)
	defer publisher.Close()
	go func() { _, _ = io.Copy(io.Discard, publisher) }()
	b.ReportAllocs()
	b.ResetTimer()
	for sent := 0; sent < b.N; sent += 100 {
		_, err := publisher.Write(hundred)
		require.NoError(b, err)
		<-c.hundreds
	}
}
