package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// gateway is a server that does what its test says: it accepts WebSockets, and the test reads and writes them.
type gateway struct {
	tb       testing.TB
	network  *memnet.Network // nil: TCP
	listener net.Listener
	server   *http.Server
	accepted chan *peer
	protocol string

	mu   sync.Mutex
	gate func(http.ResponseWriter, *http.Request) bool // guarded by mu; answers instead of the upgrade; may be nil
}

// peer is one accepted connection, used by the test's own goroutine.
type peer struct {
	tb     testing.TB
	ws     *websocket.Conn
	header http.Header
	host   string
	path   string
	at     time.Time
}

// newGateway serves over TCP.
func newGateway(tb testing.TB) *gateway {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	return serve(tb, &gateway{tb: tb, listener: listener})
}

// newMemGateway serves over a network in memory, for fake time.
func newMemGateway(tb testing.TB) *gateway {
	tb.Helper()
	network := new(memnet.Network)
	listener, err := network.Listen("gateway:80")
	require.NoError(tb, err)
	return serve(tb, &gateway{tb: tb, listener: listener, network: network})
}

func serve(tb testing.TB, g *gateway) *gateway {
	g.accepted = make(chan *peer, 256)
	g.protocol = wire.Subprotocol
	g.server = &http.Server{Handler: g}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.server.Serve(g.listener)
	}()
	tb.Cleanup(func() {
		_ = g.server.Close()
		<-ended
		for len(g.accepted) > 0 {
			_ = (<-g.accepted).ws.Close()
		}
	})
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	if gate != nil && gate(w, r) {
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{g.protocol}, CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client went away
	}
	g.accepted <- &peer{tb: g.tb, ws: ws, header: r.Header, host: r.Host, path: r.URL.RequestURI(), at: time.Now()}
}

// refuse sets what looks at each handshake, and answers it instead of the upgrade if it likes.
func (g *gateway) refuse(gate func(http.ResponseWriter, *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = gate
}

// refuseWith refuses every handshake with a status.
func (g *gateway) refuseWith(status int) {
	g.refuse(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		return true
	})
}

// options gives what a client needs to get here.
func (g *gateway) options() client.Options {
	opts := client.Options{URL: "ws://" + g.listener.Addr().String(), App: "demo", Name: "Ada"}
	if g.network != nil {
		opts.NetDialContext = g.network.DialContext
	}
	return opts
}

// accept waits for the next connection.
func (g *gateway) accept() *peer {
	g.tb.Helper()
	select {
	case p := <-g.accepted:
		g.tb.Cleanup(func() { _ = p.ws.Close() })
		return p
	case <-time.After(patience):
		require.FailNow(g.tb, "nobody connects")
		return nil
	}
}

// greet accepts the next connection and answers its hello.
func (g *gateway) greet() *peer {
	g.tb.Helper()
	p := g.accept()
	p.answer(p.read(), welcome())
	return p
}

// dial connects a client, and gives both ends.
func (g *gateway) dial(opts client.Options) (*client.Client, *peer) {
	g.tb.Helper()
	return g.dialWith(opts, welcome())
}

func (g *gateway) dialWith(opts client.Options, answer *wire.Welcome) (*client.Client, *peer) {
	g.tb.Helper()
	type result struct {
		c   *client.Client
		err error
	}
	dialed := make(chan result, 1)
	go func() {
		c, err := client.Dial(g.tb.Context(), opts)
		dialed <- result{c, err}
	}()
	p := g.accept()
	p.answer(p.read(), answer)
	r := <-dialed
	require.NoError(g.tb, r.err)
	g.tb.Cleanup(func() {
		_ = p.ws.Close()
		r.c.Close()
	})
	return r.c, p
}

func welcome() *wire.Welcome {
	return &wire.Welcome{
		Session: "k3vq", App: "demo", User: "anon-k3vq", Name: "Ada", Node: "gateway-1", Version: wire.Version, Heartbeat: 25000,
		Time: 1790000000000, Limits: wire.SessionLimits{MessageBytes: 65536, Rooms: 16},
	}
}

// resumableWelcome is of a session that can be resumed with a token.
func resumableWelcome(token string) *wire.Welcome {
	w := welcome()
	w.Resume, w.Grace = token, 30000
	return w
}

// resumedWelcome is of a session that goes on: rooms holds what became of each room.
func resumedWelcome(token string, rooms map[string]wire.ResumedRoom) *wire.Welcome {
	w := resumableWelcome(token)
	w.Resumed, w.Rooms = true, rooms
	return w
}

// replayed is what became of rooms whose seats are kept.
func replayed(rooms ...string) map[string]wire.ResumedRoom {
	results := make(map[string]wire.ResumedRoom)
	for _, room := range rooms {
		results[room] = wire.ResumedRoom{Result: wire.ResumeReplayed}
	}
	return results
}

// dialResumable connects a client whose session can be resumed with the token "token-1".
func (g *gateway) dialResumable(opts client.Options) (*client.Client, *peer) {
	g.tb.Helper()
	return g.dialWith(opts, resumableWelcome("token-1"))
}

// resume accepts the next connection, checks which session and try it is of, and answers its hello.
func (g *gateway) resume(token string, attempt int64, answer *wire.Welcome) (*peer, *wire.Hello) {
	g.tb.Helper()
	p := g.accept()
	request := p.read()
	hello, ok := request.Body.(*wire.Hello)
	require.True(g.tb, ok)
	require.Equal(g.tb, token, hello.Resume)
	require.Equal(g.tb, attempt, hello.Attempt)
	p.answer(request, answer)
	return p, hello
}

func (p *peer) read() wire.Request {
	p.tb.Helper()
	request, err := p.tryRead()
	require.NoError(p.tb, err)
	return request
}

func (p *peer) tryRead() (wire.Request, error) {
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
	kind, message, err := p.ws.ReadMessage()
	if err != nil {
		return wire.Request{}, err
	}
	if kind != websocket.TextMessage {
		return wire.Request{}, fmt.Errorf("message of kind %d", kind)
	}
	return wire.DecodeRequest(message, wire.Limits{})
}

// readAs reads a request of one type.
func readAs[B wire.RequestBody](p *peer) (int64, B) {
	p.tb.Helper()
	request := p.read()
	body, ok := request.Body.(B)
	require.True(p.tb, ok, "a %s came", request.Body.Type())
	return request.ID, body
}

func (p *peer) write(message []byte) {
	p.tb.Helper()
	require.NoError(p.tb, p.ws.WriteMessage(websocket.TextMessage, message))
}

func (p *peer) answer(request wire.Request, body wire.ReplyBody) {
	p.tb.Helper()
	p.write(wire.AppendReply(nil, request.ID, body))
}

func (p *peer) refuse(id int64, refusal *wire.Error) {
	p.tb.Helper()
	p.write(wire.AppendError(nil, id, refusal))
}

func (p *peer) event(seq int64, room string, body wire.EventBody) {
	p.tb.Helper()
	p.write(wire.AppendEvent(nil, wire.Event{Room: room, Seq: seq, Body: body}))
}

func (p *peer) message(seq int64, text string) {
	p.tb.Helper()
	data, err := json.Marshal(text)
	require.NoError(p.tb, err)
	p.event(seq, "lobby", &wire.Message{From: "a81x", Data: data})
}

// close ends the connection with a code, and waits until the client is gone.
func (p *peer) close(code wire.CloseCode, reason string) {
	p.tb.Helper()
	require.NoError(p.tb, p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), reason), time.Now().Add(patience)))
	p.readUntilEnd()
	_ = p.ws.Close()
}

// cut ends the connection without a word.
func (p *peer) cut() { _ = p.ws.NetConn().Close() }

// readUntilEnd reads until the client has ended the connection, and gives its close code, 0 without one.
func (p *peer) readUntilEnd() wire.CloseCode {
	for {
		if _, err := p.tryRead(); err != nil {
			if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure {
				return wire.CloseCode(closed.Code)
			}
			return 0
		}
	}
}

// snapshot is of a room with the client alone in it.
func snapshot(room string, seq int64) *wire.Snapshot {
	return &wire.Snapshot{
		Room: room, Self: "k3vq", Epoch: "9f2c", Seq: seq, Version: 1, Capacity: 2, Count: 1, Created: 1790000000000,
		Peers: []wire.Peer{{ID: "k3vq", Order: 1, User: "anon-k3vq"}},
	}
}

// joined lets a client take a seat.
func joined(c *client.Client, p *peer, join wire.Join) {
	p.tb.Helper()
	done := start(func() error {
		_, err := c.Join(p.tb.Context(), join)
		return err
	})
	p.answer(p.read(), snapshot(join.Room, 1))
	require.NoError(p.tb, <-done)
}

// pinged checks that a ping is the next thing that the client sends, and answers it.
func pinged(tb testing.TB, c *client.Client, p *peer) {
	tb.Helper()
	done := start(func() error {
		_, err := c.Ping(tb.Context())
		return err
	})
	id, _ := readAs[*wire.Ping](p)
	p.answer(wire.Request{ID: id}, &wire.Pong{Time: 1})
	require.NoError(tb, next(tb, done))
}

// start calls f on a goroutine of its own.
func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// within gives a context that ends after d.
func within(tb testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(tb.Context(), d)
	tb.Cleanup(cancel)
	return ctx
}

// next receives what must come.
func next[T any](tb testing.TB, from <-chan T) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		require.FailNow(tb, "nothing comes")
		panic("unreachable")
	}
}
