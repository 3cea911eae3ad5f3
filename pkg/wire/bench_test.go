package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The hot path's budget of allocations a message: a signal and a publish in, an event out, its reply.
func TestAllocationBudget(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	sdp := offer()
	signal := wire.AppendRequest(nil, wire.Request{ID: 7, Body: &wire.Signal{Room: "lobby", To: "a81x", Data: sdp}})
	publish := wire.AppendRequest(nil, wire.Request{ID: 7, Body: &wire.Publish{Room: "lobby", Topic: "chat", Data: quarterKilobyte()}})
	signaled, message, done := &wire.Signaled{From: "a81x", Data: sdp}, &wire.Message{From: "a81x", Data: quarterKilobyte()}, &wire.Done{Seq: 7}
	body := wire.AppendEventBody(nil, "lobby", signaled)
	scratch := make([]byte, 0, 8192)
	frame, key := wire.EventFrame(1<<40, body), new(int)
	frame.Derived(key, func() any { return done })
	welcome := &wire.Welcome{
		Session: "k3v9x0q2m4k3v9x0q2m4", App: "demo", User: "anon-" + strings.Repeat("u", 26), Name: "Ada", Node: "gateway-1", Version: 1,
		Resume: strings.Repeat("r", 400), Grace: 30_000, Heartbeat: 25_000, Time: 1 << 41,
		ICEServers: []wire.ICEServer{{URLs: []string{"turn:turn.example.com:3478?transport=udp"}, Username: "user", Credential: "secret"}},
		Limits: wire.SessionLimits{
			MessageBytes: 1 << 16, RequestsPerSecond: 50, RequestsBurst: 100, Rooms: 16, StateBytes: 4096, InFlight: 64},
	}
	for _, test := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"decode signal: body, room, to", 3, func() { _, _ = wire.DecodeRequest(signal, wire.Limits{}) }},
		{"decode publish: body, room, topic", 3, func() { _, _ = wire.DecodeRequest(publish, wire.Limits{}) }},
		{"event body: bytes, encoder", 2, func() { wire.AppendEventBody(nil, "lobby", signaled) }},
		{"event body into a lent slice: encoder", 1, func() { wire.AppendEventBody(scratch, "lobby", message) }},
		{"event frame: bytes, frame", 2, func() { wire.EventFrame(1<<40, body) }},
		{"reply frame: bytes, frame, encoder", 3, func() { wire.ReplyFrame(7, done) }},
		{"welcome frame: bytes, frame, encoder", 3, func() { wire.ReplyFrame(1, welcome) }},
		{"derived already", 0, func() { frame.Derived(key, func() any { return signaled }) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.LessOrEqual(t, testing.AllocsPerRun(200, test.run), test.budget)
		})
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	for _, bench := range []struct {
		name string
		body wire.RequestBody
	}{
		{"Signal2.5KB", &wire.Signal{Room: "lobby", To: "k3v9x0q2m4", Data: offer()}},
		{"Publish250B", &wire.Publish{Room: "lobby", Topic: "chat", Data: quarterKilobyte()}},
		{"Join", &wire.Join{Room: "lobby", State: object("camera", "false", "mic", "true")}},
	} {
		message := wire.AppendRequest(nil, wire.Request{ID: 42, Body: bench.body})
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if _, err := wire.DecodeRequest(message, wire.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendEventBody(b *testing.B) {
	for _, bench := range []struct {
		name string
		body wire.EventBody
	}{
		{"Signal2.5KB", &wire.Signaled{From: "k3v9x0q2m4", Data: offer()}},
		{"Message250B", &wire.Message{From: "k3v9x0q2m4", Topic: "chat", Data: quarterKilobyte()}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				wire.AppendEventBody(nil, "lobby", bench.body)
			}
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	signal := wire.AppendEventBody(nil, "lobby", &wire.Signaled{From: "k3v9x0q2m4", Data: offer()})
	message := wire.AppendEventBody(nil, "lobby", &wire.Message{From: "k3v9x0q2m4", Data: quarterKilobyte()})
	done, snapshot := &wire.Done{Seq: 42}, crowd(100)
	for _, bench := range []struct {
		name string
		make func() *wire.Frame
	}{
		{"EventSignal2.5KB", func() *wire.Frame { return wire.EventFrame(42, signal) }},
		{"EventMessage250B", func() *wire.Frame { return wire.EventFrame(42, message) }},
		{"ReplyDone", func() *wire.Frame { return wire.ReplyFrame(42, done) }},
		{"ReplySnapshot100Peers", func() *wire.Frame { return wire.ReplyFrame(42, snapshot) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.make()
			}
		})
	}
}

func BenchmarkDecodeServer(b *testing.B) {
	event := func(body wire.EventBody) []byte {
		return wire.AppendEvent(nil, wire.Event{Room: "lobby", Seq: 42, Body: body})
	}
	for _, bench := range []struct {
		name    string
		message []byte
		body    wire.ReplyBody // of a reply
	}{
		{"Signal2.5KB", event(&wire.Signaled{From: "k3v9x0q2m4", Data: offer()}), nil},
		{"Message250B", event(&wire.Message{From: "k3v9x0q2m4", Data: quarterKilobyte()}), nil},
		{"Done", wire.AppendReply(nil, 42, &wire.Done{Seq: 42}), new(wire.Done)},
		{"Snapshot100Peers", wire.AppendReply(nil, 42, crowd(100)), new(wire.Snapshot)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.message)))
			for b.Loop() {
				reply, _, err := wire.DecodeServer(bench.message)
				if err == nil && reply != nil {
					if s, ok := bench.body.(*wire.Snapshot); ok {
						*s = wire.Snapshot{}
					}
					err = reply.Decode(bench.body)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func quarterKilobyte() json.RawMessage {
	return json.RawMessage(`{"text":"` + strings.Repeat("hello ", 39) + `"}`)
}
