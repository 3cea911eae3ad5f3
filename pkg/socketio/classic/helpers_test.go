package classic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The clients' generations, by the Engine.IO version that they ask for: 2.x and 4.x.
const (
	v2 = "3"
	v4 = "4"
)

var generations = []string{v2, v4}

// profiles are what tests serve if nothing else is said.
var profiles = map[string]classic.Profile{"/": {Kind: classic.Call}, "/chat": {Kind: classic.Chat}}

// site is a Socket.IO server with classic events, on a network in memory.
type site struct {
	tb       testing.TB
	network  memnet.Network
	registry *prometheus.Registry
	opened   chan *fakeSession // by the default Open
}

const host = "gateway.test:80"

// serve starts a server, which ends with the test. Without an Open sessions are doubles.
func serve(tb testing.TB, opts classic.Options) *site {
	tb.Helper()
	s := &site{tb: tb, registry: prometheus.NewRegistry(), opened: make(chan *fakeSession, 256)}
	opts.Registerer = s.registry
	if opts.Profiles == nil {
		opts.Profiles = profiles
	}
	if opts.Open == nil {
		opts.Open = func(socket *socketio.Socket, hello *wire.Hello, peer *classic.Peer) (classic.Session, error) {
			session := &fakeSession{
				hello: hello, peer: peer, id: socket.ID(), requests: make(chan wire.Request, 64), ends: make(chan bool, 8)}
			s.opened <- session
			return session, nil
		}
	}
	events, err := classic.New(opts)
	require.NoError(tb, err)
	server, err := socketio.New(socketio.Options{
		Namespaces: events.Namespaces(), PingInterval: time.Hour, PingTimeout: time.Hour, CloseTimeout: time.Minute,
		Packet: socketio.Limits{Attachments: 20, Depth: 100},
	})
	require.NoError(tb, err)
	listener, err := s.network.Listen(host)
	require.NoError(tb, err)
	front := &http.Server{Handler: server}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	running.Go(func() { _ = front.Serve(listener) })
	tb.Cleanup(func() {
		cancel()
		_ = front.Close()
		running.Wait()
	})
	return s
}

// client is a stock client's share of the protocol, on a WebSocket.
type client struct {
	tb         testing.TB
	conn       *websocket.Conn
	generation string
	namespace  string
	id         string // what it has as socket.id
	acks       int
}

// dial opens a session, and enters no namespace but the one that a server lets 2.x clients into.
func (s *site) dial(generation, namespace, query string, header http.Header) *client {
	s.tb.Helper()
	dialer := &websocket.Dialer{NetDialContext: s.network.DialContext}
	conn, response, err := dialer.DialContext(s.tb.Context(), "ws://"+host+"/socket.io/?transport=websocket&EIO="+generation+query, header)
	require.NoError(s.tb, err)
	response.Body.Close()
	s.tb.Cleanup(func() { conn.Close() })
	c := &client{tb: s.tb, conn: conn, generation: generation, namespace: namespace}
	var hello struct {
		SID string `json:"sid"`
	}
	require.NoError(s.tb, json.Unmarshal([]byte(c.read()[1:]), &hello))
	if generation == v2 {
		if c.id = hello.SID; namespace != "/" {
			c.id = namespace + "#" + hello.SID
		}
	}
	return c
}

// connect opens a session and enters a namespace.
func (s *site) connect(generation, namespace string) *client {
	s.tb.Helper()
	c := s.dial(generation, namespace, "", nil)
	if generation == v2 {
		c.expect("40")
		if namespace != "/" {
			c.send("40" + namespace)
			c.expect("40" + namespace + ",")
		}
		return c
	}
	c.send("40" + c.prefix())
	welcome, ok := strings.CutPrefix(c.read(), "40"+c.prefix())
	require.True(s.tb, ok)
	var connected struct {
		SID string `json:"sid"`
	}
	require.NoError(s.tb, json.Unmarshal([]byte(welcome), &connected))
	c.id = connected.SID
	return c
}

// enter is connect, with the double of the session.
func (s *site) enter(generation, namespace string) (*client, *fakeSession) {
	s.tb.Helper()
	c := s.connect(generation, namespace)
	for {
		if session := <-s.opened; session.id == c.id {
			return c, session
		}
	}
}

func (c *client) prefix() string {
	if c.namespace == "/" {
		return ""
	}
	return c.namespace + ","
}

// read gives the next message; bytes are led by "bin:".
func (c *client) read() string {
	c.tb.Helper()
	require.NoError(c.tb, c.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	kind, data, err := c.conn.ReadMessage()
	require.NoError(c.tb, err)
	if kind != websocket.BinaryMessage {
		return string(data)
	}
	if c.generation == v2 {
		require.Equal(c.tb, byte(4), data[0])
		data = data[1:]
	}
	return "bin:" + string(data)
}

// expect reads messages as they are.
func (c *client) expect(messages ...string) {
	c.tb.Helper()
	for _, want := range messages {
		require.Equal(c.tb, want, c.read())
	}
}

// hears reads what the server says: an event as the JSON array that it is, the answer to the last emit as "ack" and the
// object. "ID" stands for the client's id. Attachments follow as "bin:".
func (c *client) hears(said ...string) {
	c.tb.Helper()
	for _, want := range said {
		want = strings.NewReplacer(`"ID"`, quote(c.id), `"user-ID"`, quote("user-"+c.id)).Replace(want)
		switch object, isAck := strings.CutPrefix(want, "ack "); {
		case isAck:
			want = "43" + c.prefix() + strconv.Itoa(c.acks-1) + "[" + object + "]"
		case strings.HasPrefix(want, "bin:"):
		case strings.HasPrefix(want, "["):
			want = "42" + c.prefix() + want
		default: // with a number of attachments in front
			n, array, _ := strings.Cut(want, "-")
			want = "45" + n + "-" + c.prefix() + array
		}
		require.Equal(c.tb, want, c.read())
	}
}

// send sends messages; bytes are led by "bin:".
func (c *client) send(messages ...string) {
	c.tb.Helper()
	for _, m := range messages {
		kind := websocket.TextMessage
		if data, ok := strings.CutPrefix(m, "bin:"); ok {
			if kind, m = websocket.BinaryMessage, data; c.generation == v2 {
				m = "\x04" + m
			}
		}
		require.NoError(c.tb, c.conn.WriteMessage(kind, []byte(m)))
	}
}

// emits sends an event, given as the JSON array that it is.
func (c *client) emits(array string, attachments ...string) { c.emit("", array, attachments) }

// asks sends an event with a callback.
func (c *client) asks(array string, attachments ...string) {
	c.emit(strconv.Itoa(c.acks), array, attachments)
	c.acks++
}

func (c *client) emit(id, array string, attachments []string) {
	c.tb.Helper()
	if len(attachments) == 0 {
		c.send("42" + c.prefix() + id + array)
		return
	}
	c.send("45" + strconv.Itoa(len(attachments)) + "-" + c.prefix() + id + array)
	for _, attachment := range attachments {
		c.send("bin:" + attachment)
	}
}

// silent requires that nothing was said that is not read yet.
func (c *client) silent() {
	c.tb.Helper()
	if c.generation == v2 {
		c.send("2")
		c.expect("3")
		return
	}
	c.asks(`["no such event"]`)
	require.Contains(c.tb, c.read(), "43"+c.prefix()+strconv.Itoa(c.acks-1)+"[")
}

// fakeSession is a session that says what a test wants it to.
type fakeSession struct {
	hello    *wire.Hello
	peer     *classic.Peer
	id       string
	requests chan wire.Request
	ends     chan bool

	mu      sync.Mutex
	handle  func(wire.Request) // nil: the test answers
	invalid []*wire.Error
	end     sync.Once
}

var _ classic.Session = (*fakeSession)(nil)

func (f *fakeSession) Handle(request wire.Request) {
	f.mu.Lock()
	handle := f.handle
	f.mu.Unlock()
	if handle != nil {
		handle(request)
	}
	f.requests <- request
}

func (f *fakeSession) Invalid(id int64, refusal *wire.Error) {
	f.mu.Lock()
	f.invalid = append(f.invalid, refusal)
	f.mu.Unlock()
	f.peer.Refuse(id, refusal)
}

func (f *fakeSession) End(left bool) { f.end.Do(func() { f.ends <- left }) }

// answers has requests answered while they are handled.
func (f *fakeSession) answers(handle func(wire.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle = handle
}

// faults gives the codes of what was not valid so far.
func (f *fakeSession) faults() (codes []wire.Code) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, refusal := range f.invalid {
		codes = append(codes, refusal.Code)
	}
	return codes
}

// wants waits for the next request, and compares it as native JSON without its id.
func (f *fakeSession) wants(tb testing.TB, body string) wire.Request {
	tb.Helper()
	select {
	case request := <-f.requests:
		text := wire.AppendRequest(nil, request)
		_, rest, _ := bytes.Cut(text, []byte(","))
		require.Equal(tb, body, "{"+string(rest))
		return request
	case <-time.After(20 * time.Second):
		require.FailNow(tb, "no request", body)
		return wire.Request{}
	}
}

// snapshotOf makes a snapshot of a room with these peers in order.
func snapshotOf(name string, seq int64, capacity int, ids ...string) *wire.Snapshot {
	snapshot := &wire.Snapshot{Room: name, Epoch: "e1", Seq: seq, Version: 1, Capacity: capacity, Count: len(ids)}
	for i, id := range ids {
		snapshot.Peers = append(snapshot.Peers, wire.Peer{ID: id, Order: int64(i + 1), User: "user-" + id})
	}
	return snapshot
}

// joins takes the client into a room of the cluster, with others that are there before it.
func (c *client) joins(f *fakeSession, name, native string, capacity int, others ...string) {
	c.tb.Helper()
	c.emits(`["join",` + quote(name) + `]`)
	request := f.wants(c.tb, `{"type":"join","room":"`+native+`"}`)
	f.peer.Reply(request.ID, snapshotOf(native, 10, capacity, append(others, c.id)...))
	c.hears(`["joined",` + quote(name) + `,"ID"]`)
}

func quote(s string) string { return string(wire.AppendString(nil, s)) }

// event makes a frame as a room does.
func event(seq int64, room string, body wire.EventBody) *wire.Frame {
	return wire.EventFrame(seq, wire.AppendEventBody(nil, room, body))
}
