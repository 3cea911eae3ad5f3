package client_test

import (
	"runtime"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// echo answers requests as fast as it can.
func echo(p *peer) {
	reply := make([]byte, 0, 64)
	for {
		_, message, err := p.ws.ReadMessage()
		if err != nil {
			return
		}
		request, err := wire.DecodeRequest(message, wire.Limits{})
		if err != nil {
			return
		}
		reply = wire.AppendReply(reply[:0], request.ID, &wire.Done{Seq: request.ID})
		if p.ws.WriteMessage(websocket.TextMessage, reply) != nil {
			return
		}
	}
}

// One request and its reply over the loopback, with a gateway of the test's in the same process.
func BenchmarkPublish(b *testing.B) {
	g := newGateway(b)
	c, p := g.dial(g.options())
	go echo(p)
	publish := wire.Publish{Room: "lobby", Data: []byte(`{"text":"hello"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Publish(b.Context(), publish); err != nil {
			b.Fatal(err)
		}
	}
}

// Events one after the other, from the socket to OnEvent.
func BenchmarkEvents(b *testing.B) {
	g := newGateway(b)
	opts := g.options()
	received := make(chan struct{}, 1)
	count, want := 0, 0
	opts.OnEvent = func(wire.Event) {
		if count++; count == want {
			received <- struct{}{}
		}
	}
	_, p := g.dial(opts)
	frame := wire.EventFrame(42, wire.AppendEventBody(nil, "lobby", &wire.Message{From: "a81x", Data: []byte(`{"text":"hello"}`)})).WebSocket()
	var batch []byte
	const events = 100
	for range events {
		batch = append(batch, frame...)
	}
	b.ReportAllocs()
	for want = events; b.Loop(); want += events {
		_, err := p.ws.NetConn().Write(batch)
		require.NoError(b, err)
		<-received
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

// What a resting connection costs: the client, and the test's gateway, which is about the other half.
func BenchmarkIdleClient(b *testing.B) {
	g := newGateway(b)
	idle := func(n int) (heap, stack uint64) {
		clients := make([]*client.Client, n)
		peers := make([]*peer, n)
		for i := range clients {
			clients[i], peers[i] = g.dial(g.options())
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		for i := range clients {
			_ = peers[i].ws.Close()
			clients[i].Close()
		}
		return m.HeapAlloc, m.StackInuse
	}
	for b.Loop() {
		const n = 500
		heap0, stack0 := idle(1)
		heap, stack := idle(n)
		b.ReportMetric(float64(int64(heap-heap0)+int64(stack-stack0))/n, "bytes/pair")
	}
}
