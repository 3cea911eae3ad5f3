package socketio_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// offer is about what a browser offers for a call.
func offer() string {
	return `{"type":"offer","sdp":"` + strings.Repeat(`a=rtpmap:111 opus/48000/2\r\n`, 90) + `"}`
}

func event() []byte { return []byte(`2/chat,12["message","lobby",` + offer() + `]`) }

const binaryEvent = `52-7["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`

// The hot path's budget: an event in costs its name, its namespace and the list of its arguments.
func TestAllocationBudget(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	in := event()
	packet, err := socketio.DecodePacket(in, socketio.Limits{})
	require.NoError(t, err)
	out := socketio.Event{Name: packet.Name, Args: packet.Args}
	payload := []byte(strings.Repeat("4hello\x1e", 99) + "4hello")
	dst := make([]byte, 0, 10_000)
	withBytes := []byte(binaryEvent)
	for _, tc := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"decode an event: namespace, name, arguments", 3, func() { _, _ = socketio.DecodePacket(in, socketio.Limits{}) }},
		{"decode an event with attachments: name, arguments", 2, func() { _, _ = socketio.DecodePacket(withBytes, socketio.Limits{}) }},
		{"encode an event into a lent slice", 0, func() { socketio.AppendPacket(dst, packet) }},
		{"a message for all: bytes and message", 2, func() { socketio.NewMessage("/chat", out) }},
		{"decode a payload of 100", 0, func() {
			for range socketio.DecodePayload(4, false, payload) {
				continue
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.LessOrEqual(t, testing.AllocsPerRun(100, tc.run), tc.budget)
		})
	}
}

func BenchmarkDecodePacket(b *testing.B) {
	for _, bench := range []struct{ name, wire string }{
		{"Message250B", `2["message","lobby","` + strings.Repeat("hello ", 38) + `"]`},
		{"Offer2.5KB", string(event())},
		{"Binary", binaryEvent},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.wire)))
			wire := []byte(bench.wire)
			for b.Loop() {
				if _, err := socketio.DecodePacket(wire, socketio.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPacket(b *testing.B) {
	for _, bench := range []struct{ name, wire string }{{"Offer2.5KB", string(event())}, {"Binary", binaryEvent}} {
		b.Run(bench.name, func(b *testing.B) {
			packet, err := socketio.DecodePacket([]byte(bench.wire), socketio.Limits{})
			require.NoError(b, err)
			dst := make([]byte, 0, 2*len(bench.wire))
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.wire)))
			for b.Loop() {
				socketio.AppendPacket(dst, packet)
			}
		})
	}
}

// What an event to many costs once, however many get it.
func BenchmarkNewMessage(b *testing.B) {
	for _, bench := range []struct {
		name  string
		event socketio.Event
	}{
		{"Offer2.5KB", socketio.Event{Name: "message", Args: args(`"lobby"`, offer())}},
		{"Binary", socketio.Event{Name: "message", Args: args(`"lobby"`, `{"_placeholder":true,"num":0}`), Attachments: [][]byte{make([]byte, 1000)}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				socketio.NewMessage("/chat", bench.event)
			}
		})
	}
}

func BenchmarkDecodePayload(b *testing.B) {
	var packets []socketio.EnginePacket
	for range 20 {
		packets = append(packets, message(`2["message","lobby","`+strings.Repeat("héllo 😀 ", 20)+`"]`))
	}
	large := socketio.EnginePacket{Type: socketio.EngineMessage, Binary: true, Data: make([]byte, 1000)}
	binary := slices.Concat(packets, []socketio.EnginePacket{large})
	for _, bench := range []struct {
		name    string
		version socketio.Version
		asText  bool
		packets []socketio.EnginePacket
	}{
		{"Version4", 4, false, packets}, {"Version4Base64", 4, false, binary},
		{"Version3Text", 3, false, packets}, {"Version3Base64", 3, true, binary}, {"Version3Binary", 3, false, binary},
	} {
		body, form := socketio.AppendPayload(nil, bench.version, bench.asText, bench.packets)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				for _, err := range socketio.DecodePayload(bench.version, form, body) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run(bench.name+"/Append", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			dst := make([]byte, 0, 2*len(body))
			for b.Loop() {
				socketio.AppendPayload(dst, bench.version, bench.asText, bench.packets)
			}
		})
	}
}

// BenchmarkEcho is an event's way through a server and back, over a WebSocket on TCP. The client's end allocates nothing.
func BenchmarkEcho(b *testing.B) {
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server, err := socketio.New(socketio.Options{PingInterval: 10 * time.Minute, Namespaces: map[string]socketio.Namespace{"/": {
		Event: func(s *socketio.Socket, e socketio.Event, answer func(socketio.Ack)) {
			s.Emit(e)
			answer(socketio.Ack{})
		},
	}}})
	require.NoError(b, err)
	web := &http.Server{Handler: server, ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	running.Go(func() { _ = web.Serve(listener) })

	conn := dialIdle(b, listener.Addr().String())
	conn.say(get("websocket")+upgradeHeader, `"maxPayload"`)
	conn.say(maskedFrame("40"), `"}`)
	const text = `421["message","lobby",{"candidate":"a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host"}]`
	frame := []byte(maskedFrame(text))
	answer := make([]byte, len(text)-1+2+len("431[]")+2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, conn.Close())
	cancel()
	require.NoError(b, web.Close())
	running.Wait()
}
