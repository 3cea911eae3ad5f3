package socketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// site is a server on a network in memory, so that it runs on fake time as well as on real time.
type site struct {
	t       *testing.T
	connect func(ctx context.Context, network, address string) (net.Conn, error)
	server  *socketio.Server
	client  *http.Client
	end     func() // ends Run and waits for it
}

const host = "gateway.test:80"

// serve starts a server, which ends with the test.
func serve(t *testing.T, opts socketio.Options) *site {
	t.Helper()
	if opts.Engine == nil && opts.Namespaces == nil {
		opts.Engine = &socketio.EngineHandlers{Message: echo}
	}
	server, err := socketio.New(opts)
	require.NoError(t, err)
	return behind(t, server, &http.Server{Handler: server})
}

// behind starts a server behind an http.Server that calls it.
func behind(t *testing.T, server *socketio.Server, front *http.Server) *site {
	t.Helper()
	network := new(memnet.Network)
	listener, err := network.Listen(host)
	require.NoError(t, err)
	return listenOn(t, server, front, listener, network.DialContext)
}

// overTCP starts a server on a real network.
func overTCP(t *testing.T, opts socketio.Options) *site {
	t.Helper()
	server, err := socketio.New(opts)
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}
	return listenOn(t, server, &http.Server{Handler: server}, listener, connect)
}

func listenOn(t *testing.T, server *socketio.Server, front *http.Server, listener net.Listener,
	connect func(ctx context.Context, network, address string) (net.Conn, error),
) *site {
	t.Helper()
	s := &site{t: t, connect: connect, server: server}
	ctx, cancel := context.WithCancel(context.Background())
	var running, serving sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	serving.Go(func() { _ = front.Serve(listener) })
	transport := &http.Transport{DialContext: connect, MaxIdleConnsPerHost: 100, DisableCompression: true}
	s.client = &http.Client{Transport: transport}
	s.end = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(func() {
		s.end()
		transport.CloseIdleConnections()
		_ = front.Close()
		serving.Wait()
	})
	return s
}

func echo(s *socketio.Session, data []byte, binary bool) {
	if binary {
		s.SendBinary(data)
	} else {
		s.Send(data)
	}
}

// request is one HTTP request of a client.
type request struct {
	method, query, body string
	header              http.Header
}

// reply is its answer.
type reply struct {
	status int
	body   string
	header http.Header
}

func (s *site) do(ctx context.Context, q request) (reply, error) {
	method := q.method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+host+"/socket.io/?"+q.query, strings.NewReader(q.body))
	if err != nil {
		return reply{}, err
	}
	if q.header != nil {
		r.Header = q.header
	}
	response, err := s.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{status: response.StatusCode, body: string(body), header: response.Header}, err
}

func (s *site) must(q request) reply {
	s.t.Helper()
	answer, err := s.do(s.t.Context(), q)
	require.NoError(s.t, err)
	return answer
}

// pollClient is a client that polls.
type pollClient struct {
	*site
	sid, eio string
	extra    string // put behind every query
	header   http.Header
	hello    handshake
	first    []string // packets that came with the handshake
}

// handshake is what a server says of a new session.
type handshake struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

// poll opens a session by polling.
func (s *site) poll(eio, extra string) *pollClient {
	s.t.Helper()
	c := &pollClient{site: s, eio: eio, extra: extra}
	answer := s.must(request{query: "EIO=" + eio + "&transport=polling" + extra})
	require.Equal(s.t, http.StatusOK, answer.status, answer.body)
	packets := c.split(answer)
	require.Equal(s.t, byte('0'), packets[0][0])
	require.NoError(s.t, json.Unmarshal([]byte(packets[0][1:]), &c.hello))
	c.sid, c.first = c.hello.SID, packets[1:]
	return c
}

func (c *pollClient) query() string {
	return "EIO=" + c.eio + "&transport=polling&sid=" + url.QueryEscape(c.sid) + c.extra
}

func (c *pollClient) version() socketio.Version { return socketio.Version(c.eio[0] - '0') }

// split gives an answer's packets as a WebSocket would carry them; bytes are led by "bin:".
func (c *pollClient) split(answer reply) (packets []string) {
	c.t.Helper()
	binary := strings.HasPrefix(answer.header.Get("Content-Type"), "application/octet-stream")
	for packet, err := range socketio.DecodePayload(c.version(), binary, []byte(answer.body)) {
		require.NoError(c.t, err, "%q", answer.body)
		if packet.Binary {
			packets = append(packets, "bin:"+string(packet.Data))
		} else {
			packets = append(packets, string('0'+rune(packet.Type))+string(packet.Data))
		}
	}
	return packets
}

// get fetches what waits.
func (c *pollClient) get() []string {
	c.t.Helper()
	answer := c.must(request{query: c.query(), header: c.header})
	require.Equal(c.t, http.StatusOK, answer.status, answer.body)
	return c.split(answer)
}

// getStatus is for a GET that may fail.
func (c *pollClient) getStatus() reply {
	c.t.Helper()
	return c.must(request{query: c.query(), header: c.header})
}

// start sends a GET and gives what will be its answer.
func (c *pollClient) start() <-chan reply {
	answers := make(chan reply, 1)
	go func() {
		answer, err := c.do(c.t.Context(), request{query: c.query(), header: c.header})
		if err != nil {
			answer.body = err.Error()
		}
		answers <- answer
	}()
	return answers
}

// post sends packets.
func (c *pollClient) post(packets ...string) {
	c.t.Helper()
	answer := c.tryPost(packets...)
	require.Equal(c.t, http.StatusOK, answer.status, answer.body)
	require.Equal(c.t, "ok", answer.body)
}

func (c *pollClient) tryPost(packets ...string) reply {
	c.t.Helper()
	var list []socketio.EnginePacket
	for _, p := range packets {
		if data, ok := strings.CutPrefix(p, "bin:"); ok {
			list = append(list, socketio.EnginePacket{Type: socketio.EngineMessage, Binary: true, Data: []byte(data)})
		} else {
			list = append(list, socketio.EnginePacket{Type: socketio.EngineType(p[0] - '0'), Data: []byte(p[1:])})
		}
	}
	body, _ := socketio.AppendPayload(nil, c.version(), true, list)
	return c.postBody(string(body))
}

func (c *pollClient) postBody(body string) reply {
	c.t.Helper()
	return c.must(request{method: http.MethodPost, query: c.query(), body: body, header: c.header})
}

// requireGone checks that the session is unknown.
func (c *pollClient) requireGone() {
	c.t.Helper()
	answer := c.getStatus()
	require.Equal(c.t, http.StatusBadRequest, answer.status)
	require.JSONEq(c.t, `{"code":1,"message":"Session ID unknown"}`, answer.body)
}

// wsClient is a client on a WebSocket.
type wsClient struct {
	t    *testing.T
	conn *websocket.Conn
	eio  string
}

// dial opens a WebSocket, with the id of a session or without.
func (s *site) dial(eio, extra string) *wsClient {
	s.t.Helper()
	c, response, err := s.tryDial(eio, extra, nil)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusSwitchingProtocols, response.StatusCode)
	return c
}

func (s *site) tryDial(eio, extra string, header http.Header) (*wsClient, *http.Response, error) {
	dialer := &websocket.Dialer{NetDialContext: s.connect}
	conn, response, err := dialer.DialContext(s.t.Context(), "ws://"+host+"/socket.io/?EIO="+eio+"&transport=websocket"+extra, header)
	if err != nil {
		return nil, response, err
	}
	c := &wsClient{t: s.t, conn: conn, eio: eio}
	s.t.Cleanup(func() { conn.Close() })
	return c, response, nil
}

// open opens a session by WebSocket.
func (s *site) open(eio, extra string) (*wsClient, handshake) {
	s.t.Helper()
	c := s.dial(eio, extra)
	first := c.read()
	require.Equal(s.t, byte('0'), first[0])
	var hello handshake
	require.NoError(s.t, json.Unmarshal([]byte(first[1:]), &hello))
	return c, hello
}

// upgrade takes a polling session to a WebSocket.
func (c *pollClient) upgrade() *wsClient {
	c.t.Helper()
	ws := c.dial(c.eio, "&sid="+c.sid)
	ws.send("2probe")
	require.Equal(c.t, "3probe", ws.read())
	ws.send("5")
	return ws
}

// read gives the next message; bytes are led by "bin:".
func (c *wsClient) read() string {
	c.t.Helper()
	kind, data, err := c.conn.ReadMessage()
	require.NoError(c.t, err)
	if kind == websocket.BinaryMessage {
		return "bin:" + string(data)
	}
	return string(data)
}

// expect reads messages, and answers pings that come between them: who has to do much takes longer than the time from one to the next.
func (c *wsClient) expect(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		got := c.read()
		for got == "2" && want != "2" {
			c.send("3")
			got = c.read()
		}
		require.Equal(c.t, want, got)
	}
}

func (c *wsClient) send(messages ...string) {
	c.t.Helper()
	for _, m := range messages {
		kind := websocket.TextMessage
		if data, ok := strings.CutPrefix(m, "bin:"); ok {
			kind, m = websocket.BinaryMessage, data
		}
		require.NoError(c.t, c.conn.WriteMessage(kind, []byte(m)))
	}
}

// readClose reads to the end and gives the close code, 1006 for none.
func (c *wsClient) readClose() int {
	c.t.Helper()
	for {
		_, _, err := c.conn.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !bytes.Contains([]byte(err.Error()), []byte("close ")) {
			return websocket.CloseAbnormalClosure
		}
		require.ErrorAs(c.t, err, &closed)
		return closed.Code
	}
}

// journal notes what handlers are told.
type journal struct {
	mu    sync.Mutex
	lines []string
	added chan struct{}
}

func newJournal() *journal { return &journal{added: make(chan struct{}, 1)} }

func (j *journal) add(line string) {
	j.mu.Lock()
	j.lines = append(j.lines, line)
	j.mu.Unlock()
	select {
	case j.added <- struct{}{}:
	default:
	}
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.lines...)
}

// wait waits until the journal has these lines.
func (j *journal) wait(t *testing.T, lines ...string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		if got := j.all(); len(got) >= len(lines) {
			require.Equal(t, lines, got)
			return
		}
		select {
		case <-j.added:
		case <-deadline:
			require.Equal(t, lines, j.all())
		}
	}
}

// handlers writes everything down, and echoes.
func (j *journal) handlers() *socketio.EngineHandlers {
	return &socketio.EngineHandlers{
		Open: func(s *socketio.Session) { j.add("open") },
		Message: func(s *socketio.Session, data []byte, binary bool) {
			j.add("message " + string(data))
			echo(s, data, binary)
		},
		Close: func(_ *socketio.Session, reason socketio.Reason) { j.add("close " + string(reason)) },
	}
}

// freeze makes a client's connection silent in both directions.
func freeze(t *testing.T, c *wsClient) {
	t.Helper()
	conn, ok := c.conn.NetConn().(*memnet.Conn)
	require.True(t, ok)
	conn.Freeze()
}
