package client_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// recorder keeps the events of a client.
type recorder struct {
	mu     sync.Mutex
	events []wire.Event
}

func (r *recorder) add(event wire.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) all() []wire.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// brief gives the events as words: type, seq, and the data of messages.
func (r *recorder) brief() (brief []string) {
	for _, event := range r.all() {
		text := fmt.Sprintf("%s %d", event.Body.Type(), event.Seq)
		if message, ok := event.Body.(*wire.Message); ok {
			text += " " + string(message.Data)
		}
		brief = append(brief, text)
	}
	return brief
}

func TestEventsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		var got recorder
		opts.OnEvent = got.add
		_, p := g.dial(opts)
		want := []wire.Event{
			{Room: "lobby", Seq: 1, Body: &wire.JoinedPeer{Peer: wire.Peer{ID: "a81x", Order: 1, User: "ada"}}},
			{Room: "lobby", Seq: 2, Body: &wire.Signaled{From: "a81x", Data: []byte(`{"candidate":null}`)}},
			{Room: "lobby", Seq: 3, Body: &wire.Message{From: "a81x", Data: []byte(`"hi"`), Volatile: true}},
			{Room: "team-1", Seq: 1, Body: &wire.StateChanged{Peer: "a81x", State: wire.Object{"mic": []byte("true")}}},
			{Room: "lobby", Seq: 4, Body: &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonLeft}},
			{Body: &wire.ICE{Servers: []wire.ICEServer{{URLs: []string{"stun:stun.example.org"}}}}},
			{Body: &wire.GoAway{RetryAfter: 1000, Deadline: 2000}},
		}
		for _, event := range want {
			p.write(wire.AppendEvent(nil, event))
		}
		synctest.Wait()
		require.Equal(t, want, got.all())
	})
}

// The buffer of a message is used again for the next one: what the application keeps must not change under it.
func TestEventsAreKeptSafely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		var got recorder
		opts.OnEvent = got.add
		_, p := g.dial(opts)
		var want []string
		for i := range 100 {
			p.message(int64(i+1), fmt.Sprint("text ", i))
			want = append(want, fmt.Sprintf(`message %d "text %d"`, i+1, i))
		}
		synctest.Wait()
		require.Equal(t, want, got.brief())
	})
}

func TestUnknownEventsArePassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		var got recorder
		opts.OnEvent = got.add
		_, p := g.dial(opts)
		p.write([]byte(`{"seq":1,"type":"poll","room":"lobby","data":{}}`))
		p.message(2, "after")
		synctest.Wait()
		require.Equal(t, []string{`message 2 "after"`}, got.brief())
	})
}

// A message that is not understood may hide anything: going on would be a silent gap.
func TestBrokenMessageEndsTheConnection(t *testing.T) {
	for name, send := range map[string]func(*peer){
		"NotJSON":       func(p *peer) { p.write([]byte(`{"type":`)) },
		"WrongField":    func(p *peer) { p.write([]byte(`{"type":"message","room":"lobby","seq":"1","from":"p","data":1}`)) },
		"Binary":        func(p *peer) { require.NoError(t, p.ws.WriteMessage(websocket.BinaryMessage, []byte("{}"))) },
		"ProtocolError": func(p *peer) { _, err := p.ws.NetConn().Write([]byte{0xf1, 0}); require.NoError(t, err) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts := g.options()
				opts.OnEvent = func(event wire.Event) { t.Errorf("event: %v", event) }
				c, p := g.dial(opts)
				send(p)
				<-c.Done()
				var lost *client.LostError
				require.ErrorAs(t, c.Err(), &lost)
				require.True(t, client.Retryable(lost))
			})
		})
	}
}

// A callback may send: the goroutine that reads does not wait for the reply.
func TestCallbackMaySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		var c *client.Client
		ready := make(chan struct{})
		replied := make(chan error, 1)
		opts.OnEvent = func(event wire.Event) {
			<-ready
			c.Go(&wire.Signal{Room: event.Room, To: "a81x", Data: []byte(`{}`)}, func(_ *wire.Reply, err error) { replied <- err })
		}
		var p *peer
		c, p = g.dial(opts)
		close(ready)
		p.message(1, "hello")
		request := p.read()
		require.IsType(t, &wire.Signal{}, request.Body)
		p.answer(request, &wire.Done{Seq: 2})
		require.NoError(t, <-replied)
	})
}
