package app_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// stock is a socket.io client that recovers its state, as one of 4.6 and later does on a WebSocket.
type stock struct {
	tb        testing.TB
	namespace string
	query     string

	mu        sync.Mutex
	conn      *websocket.Conn
	reading   chan struct{} // closed when the connection has ended
	id, pid   string
	offset    any
	recovered bool
	heard     [][]any // events without their offsets
}

func newStock(tb testing.TB, namespace string) *stock {
	s := &stock{tb: tb, namespace: namespace, query: "&name=Stock&app=demo"}
	tb.Cleanup(s.cut)
	return s
}

// connect connects to a gateway, and recovers if it can.
func (s *stock) connect(g *gateway) {
	s.tb.Helper()
	dialer := websocket.Dialer{NetDialContext: g.dial}
	conn, response, err := dialer.DialContext(s.tb.Context(),
		"ws://"+g.PublicAddr().String()+"/socket.io/?EIO=4&transport=websocket"+s.query, nil)
	require.NoError(s.tb, err)
	response.Body.Close()
	auth := map[string]any{}
	if s.pid != "" {
		auth["pid"] = s.pid
		if s.offset != nil {
			auth["offset"] = s.offset
		}
	}
	text, err := json.Marshal(auth)
	require.NoError(s.tb, err)
	require.NoError(s.tb, conn.WriteMessage(websocket.TextMessage, append([]byte("40"+prefix(s.namespace)), text...)))
	s.mu.Lock()
	s.conn, s.reading, s.id = conn, make(chan struct{}), ""
	s.mu.Unlock()
	go s.read(conn, s.reading)
	until(s.tb, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.id != ""
	}, "the answer to a CONNECT")
}

func (s *stock) read(conn *websocket.Conn, ended chan struct{}) {
	defer close(ended)
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		text := string(message)
		if text == "2" {
			s.send("3")
		}
		if answer, ok := strings.CutPrefix(text, "40"+prefix(s.namespace)); ok {
			s.connected(answer)
		}
		if array, ok := strings.CutPrefix(text, "42"+prefix(s.namespace)); ok {
			s.event(array)
		}
	}
}

func (s *stock) connected(answer string) {
	var connected struct{ SID, PID string }
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.Unmarshal([]byte(answer), &connected); err != nil {
		s.tb.Errorf("%s: %v", answer, err)
	}
	s.recovered = s.pid != "" && s.pid == connected.PID
	s.id, s.pid = connected.SID, connected.PID
}

func (s *stock) event(array string) {
	var event []any
	if err := json.Unmarshal([]byte(array), &event); err != nil {
		s.tb.Errorf("%s: %v", array, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid != "" {
		last := len(event) - 1
		offset, ok := event[last].(string)
		if !ok {
			s.tb.Errorf("no offset: %s", array)
		}
		s.offset, event = offset, event[:last]
	}
	s.heard = append(s.heard, event)
}

func (s *stock) send(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// emit sends an event.
func (s *stock) emit(array string) { s.send("42" + prefix(s.namespace) + array) }

// cut ends the connection without a word, and waits until the client knows.
func (s *stock) cut() {
	s.mu.Lock()
	conn, reading := s.conn, s.reading
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
		<-reading
	}
}

// events gives what it has heard but for who is away.
func (s *stock) events() [][]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var events [][]any
	for _, event := range s.heard {
		if detail, ok := event[len(event)-1].(map[string]any); ok && (detail["type"] == "away-peer" || detail["type"] == "back-peer") {
			continue
		}
		events = append(events, event)
	}
	return events
}

// hears waits for an event.
func (s *stock) hears(want ...any) {
	s.tb.Helper()
	until(s.tb, func() bool {
		for _, event := range s.events() {
			if reflect.DeepEqual(event, want) {
				return true
			}
		}
		return false
	}, fmt.Sprintf("%q", want))
}

func recovering(c *app.Config) {
	c.SocketIO.Recovery = true
	c.SocketIO.PingInterval, c.SocketIO.PingTimeout = 10*time.Second, patience
}

// What a stock client has missed is sent to it on the other gateway, and who sees it knows that it was away.
func TestSocketIORecovery(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		one, two := w.gateway(t, "one", recovering), w.gateway(t, "two", recovering)
		bob := w.connect(t, two, "bob")
		bob.mustJoin(t, "r")
		ada := newStock(t, "/chat")
		ada.connect(one)
		id := ada.id
		ada.emit(`["join","r"]`)
		ada.hears("joined", "r", id)
		bob.await(t, wire.TypeJoinedPeer)
		for round := range 4 {
			ada.cut()
			require.Equal(t, id, bob.await(t, wire.TypeAwayPeer).Body.(*wire.AwayPeer).Peer)
			require.NoError(t, bob.publish(t.Context(), "r", fmt.Sprint("missed ", round)))
			time.Sleep(20 * time.Second) // each time anew
			ada.connect([]*gateway{two, one}[round%2])
			require.True(t, ada.recovered)
			require.Equal(t, id, ada.id)
			require.Equal(t, id, bob.await(t, wire.TypeBackPeer).Body.(*wire.BackPeer).Peer)
			ada.hears("message", "r", bob.id(), fmt.Sprint("missed ", round))
			ada.emit(fmt.Sprintf(`["message","r","I am back %d"]`, round))
			require.JSONEq(t, fmt.Sprintf(`"I am back %d"`, round), string(bob.await(t, wire.TypeMessage).Body.(*wire.Message).Data))
		}
		var want [][]any
		want = append(want, []any{"joined", "r", id})
		for round := range 4 {
			want = append(want, []any{"message", "r", bob.id(), fmt.Sprint("missed ", round)})
			want = append(want, []any{"message", "r", id, fmt.Sprint("I am back ", round)})
		}
		until(t, func() bool { return len(ada.events()) >= len(want) }, "everything")
		require.Equal(t, want, ada.events())

		ada.cut()
		left := bob.await(t, wire.TypeLeftPeer)
		require.Equal(t, wire.LeftPeer{Peer: id, Reason: wire.ReasonDisconnected}, *left.Body.(*wire.LeftPeer))
		ada.connect(one)
		require.False(t, ada.recovered)
		require.NotEqual(t, id, ada.id)
	})
}

// Who waits for a seat keeps its place, whichever gateway it comes back by, and is seated in its turn; who was seated before anybody knew
// that it was gone has the seat.
func TestSocketIORecoveryInTheQueue(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		single := func(c *app.Config) { c.Demo.Capacity = 1 }
		one, two := w.gateway(t, "one", recovering, single), w.gateway(t, "two", recovering, single)
		bob := w.connect(t, two, "bob")
		bob.mustJoin(t, "r")
		ada, cid := newStock(t, "/chat"), newStock(t, "/chat")
		ada.connect(one)
		ada.emit(`["join","r",{"wait":true}]`)
		ada.hears("control", "r", map[string]any{"type": "waiting", "room": "r", "position": 1.0, "count": 1.0, "reason": "full"})
		cid.connect(two)
		cid.emit(`["join","r",{"wait":true}]`)
		cid.hears("control", "r", map[string]any{"type": "waiting", "room": "r", "position": 2.0, "count": 2.0, "reason": "full"})
		id := ada.id
		for round := range 2 {
			ada.cut()
			time.Sleep(20 * time.Second)
			ada.connect([]*gateway{two, one}[round])
			require.True(t, ada.recovered)
			require.Equal(t, id, ada.id)
		}
		_, err := bob.Leave(t.Context(), "r")
		require.NoError(t, err)
		ada.hears("joined", "r", id)
		require.NotContains(t, fmt.Sprint(cid.events()), "joined")

		cid.mu.Lock()
		waited := cid.offset
		cid.mu.Unlock()
		ada.emit(`["leave","r"]`)
		cid.hears("joined", "r", cid.id)
		cid.cut()
		cid.offset, cid.heard = waited, nil // as when this had not reached it
		cid.connect(one)
		require.True(t, cid.recovered)
		cid.hears("joined", "r", cid.id)
		cid.emit(`["message","r","here"]`)
		cid.hears("message", "r", cid.id, "here")
	})
}

// Where no seat is kept, a client has nothing to come back to, and the others hear of its loss at once.
func TestSocketIORecoveryWithoutGrace(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		g := w.gateway(t, "one", recovering, func(c *app.Config) { c.Rooms.Grace = 0 })
		bob := w.connect(t, g, "bob")
		bob.mustJoin(t, "r")
		ada := newStock(t, "/chat")
		ada.connect(g)
		id := ada.id
		require.Empty(t, ada.pid)
		ada.emit(`["join","r"]`)
		ada.hears("joined", "r", id)
		bob.await(t, wire.TypeJoinedPeer)
		begin := time.Now()
		ada.cut()
		require.Equal(t, id, bob.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Peer)
		require.Less(t, time.Since(begin), time.Second)
		ada.connect(g)
		require.False(t, ada.recovered)
		require.NotEqual(t, id, ada.id)
	})
}

// A client whose connection is cut again and again hears each message once and in order, from the other gateway each time.
func TestSocketIORecoveryUnderCuts(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		gateways := startGateways(t, 2, redis, recovering)
		bob := connect(t, gateways[1], "Bob")
		ada := newStock(t, "/chat")
		ada.connect(gateways[0])
		id := ada.id
		bob.mustJoin(t, "hall")
		ada.emit(`["join","hall"]`)
		ada.hears("joined", "hall", id)
		want := [][]any{{"joined", "hall", id}}
		const cuts, each = 10, 20
		for i := range cuts {
			var talking sync.WaitGroup
			talking.Go(func() {
				for j := range each {
					if err := bob.publish(t.Context(), "hall", fmt.Sprintf("%d/%d", i, j)); err != nil {
						t.Error(err)
					}
				}
			})
			for j := range each {
				want = append(want, []any{"message", "hall", bob.id(), fmt.Sprintf("%d/%d", i, j)})
			}
			ada.cut()
			ada.connect(gateways[(i+1)%2])
			require.True(t, ada.recovered, "cut %d", i)
			require.Equal(t, id, ada.id)
			talking.Wait()
		}
		until(t, func() bool { return len(ada.events()) >= len(want) }, "everything")
		require.Equal(t, want, ada.events())
		for _, event := range bob.seen() {
			require.NotEqual(t, wire.TypeLeftPeer, event.Body.Type())
		}
	})
}

// An orderly end of a gateway is a lost connection like any other.
func TestSocketIORecoveryFromDrain(t *testing.T) {
	gateways := startGateways(t, 2, singleRedis(t), recovering)
	ada, bob := newStock(t, "/"), newStock(t, "/")
	ada.connect(gateways[0])
	bob.connect(gateways[1])
	id := ada.id
	ada.emit(`["join","r"]`)
	ada.hears("joined", "r", id)
	bob.emit(`["join","r"]`)
	ada.hears("otherjoin", "r", bob.id)
	require.NoError(t, gateways[0].end())
	<-ada.reading
	bob.emit(`["message","r","while you move"]`)
	ada.connect(gateways[1])
	require.True(t, ada.recovered)
	require.Equal(t, id, ada.id)
	ada.hears("message", "r", "while you move")
	require.Equal(t, [][]any{{"joined", "r", id}, {"otherjoin", "r", bob.id}, {"message", "r", "while you move"}}, ada.events())
	require.Equal(t, [][]any{{"joined", "r", bob.id}}, bob.events())
	require.Equal(t, 1.0, gateways[1].counted(t, "signalbox_classic_recoveries_total", `result="recovered"`))
}
