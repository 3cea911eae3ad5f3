package session_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// BenchmarkFanOut is one event of a room to 1,000 sessions of this node: from the store's inbox over the table of
// peers and the sessions' queues to connections that throw it away.
func BenchmarkFanOut(b *testing.B) {
	const sessions = 1000
	g := onRedis(b, session.Options{QueueMessages: 1 << 20, QueueBytes: 1 << 30})
	clients := make([]*client, sessions)
	hello := fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.token(func(c *auth.Claims) {
		c.Grants = []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true, SetCapacity: true}}}
	}))
	var snapshot wire.Snapshot
	for i := range clients {
		clients[i] = g.connect()
		clients[i].ok(hello, new(wire.Welcome))
		join := `{"id":2,"type":"join","room":"team-1"}`
		if i == 0 {
			join = `{"id":2,"type":"join","room":"team-1","capacity":1000}`
		}
		clients[i].ok(join, &snapshot)
	}
	require.Equal(b, sessions, snapshot.Count)

	var written atomic.Int64
	done := make(chan struct{}, 1)
	for i, c := range clients {
		c.until(b, func() bool { return len(c.written) == 2+sessions-1-i }) // everybody who came after
		c.set(func() {
			c.discard = func(frames int) {
				if written.Add(int64(frames))%sessions == 0 {
					done <- struct{}{}
				}
			}
		})
	}

	event := store.Event{
		Room: store.Room{App: "acme", Name: "team-1"}, Epoch: snapshot.Epoch, Seq: snapshot.Seq, Type: string(wire.TypeMessage),
		Body: wire.AppendEventBody(nil, "team-1", &wire.Message{From: "p", Topic: "chat", Data: []byte(`{"text":"hello to everybody in the room"}`)}),
	}
	b.ReportAllocs()
	for b.Loop() {
		event.Seq++
		g.rooms.Deliver(event)
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/receiver")
}
