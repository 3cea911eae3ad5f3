package ws_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/pkg/ws"
)

// patience is how long a test on a real network waits for what should come at once.
const patience = 20 * time.Second

// Operation codes (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// server takes WebSockets; each is handed out by accept, and closed with the test.
type server struct {
	tb       testing.TB
	registry *prometheus.Registry
	upgrader *ws.Upgrader
	accepted chan *ws.Conn
	dial     func() net.Conn

	// of overLot
	lot    *prometheus.Registry
	endLot func()
}

func newServer(tb testing.TB, opts ws.Options) *server {
	tb.Helper()
	s := &server{tb: tb, registry: prometheus.NewRegistry(), accepted: make(chan *ws.Conn, 64)}
	opts.Registerer = s.registry
	if opts.CheckOrigin == nil {
		opts.CheckOrigin = func(*http.Request) bool { return true }
	}
	var err error
	s.upgrader, err = ws.New(opts)
	require.NoError(tb, err)
	return s
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := s.upgrader.Upgrade(w, r)
	if err == nil {
		s.accepted <- conn
	}
}

// overTCP serves on the loopback interface.
func overTCP(tb testing.TB, opts ws.Options) *server {
	tb.Helper()
	s := newServer(tb, opts)
	httpServer := httptest.NewServer(s)
	tb.Cleanup(httpServer.Close)
	s.dial = func() net.Conn {
		conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", httpServer.Listener.Addr().String())
		require.NoError(tb, err)
		return conn
	}
	return s
}

// overLot serves on the loopback interface, and parks connections after a silence.
func overLot(tb testing.TB, after time.Duration, opts ws.Options) *server {
	tb.Helper()
	registry := prometheus.NewRegistry()
	lot, err := ws.NewLot(ws.LotOptions{After: after, Registerer: registry})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(tb, lot.Run(ctx)) })
	opts.Lot = lot
	s := overTCP(tb, opts)
	s.lot, s.endLot = registry, func() {
		cancel()
		running.Wait()
	}
	tb.Cleanup(s.endLot)
	return s
}

// overTLS serves on the loopback interface with a certificate.
func overTLS(tb testing.TB, opts ws.Options) *server {
	tb.Helper()
	s := newServer(tb, opts)
	httpServer := httptest.NewUnstartedServer(s)
	httpServer.EnableHTTP2 = false
	httpServer.StartTLS()
	tb.Cleanup(httpServer.Close)
	s.dial = func() net.Conn {
		conn, err := tlsDialer(httpServer).DialContext(tb.Context(), "tcp", httpServer.Listener.Addr().String())
		require.NoError(tb, err)
		return conn
	}
	return s
}

// overMemory serves on a network that follows fake time.
func overMemory(tb testing.TB, opts ws.Options) *server {
	tb.Helper()
	s := newServer(tb, opts)
	var network memnet.Network
	listener, err := network.Listen("gateway:80")
	require.NoError(tb, err)
	httpServer := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = httpServer.Serve(listener) })
	tb.Cleanup(func() {
		_ = httpServer.Close()
		serving.Wait()
	})
	s.dial = func() net.Conn {
		conn, err := network.DialContext(tb.Context(), "mem", "gateway:80")
		require.NoError(tb, err)
		return conn
	}
	return s
}

// overAll runs a test over each kind of network.
func overAll(t *testing.T, opts ws.Options, test func(t *testing.T, s *server)) {
	t.Run("TCP", func(t *testing.T) { test(t, overTCP(t, opts)) })
	t.Run("Lot", func(t *testing.T) { test(t, overLot(t, time.Minute, opts)) })
	t.Run("TLS", func(t *testing.T) { test(t, overTLS(t, opts)) })
	t.Run("Memory", func(t *testing.T) { test(t, overMemory(t, opts)) })
}

const handshake = "GET /v1/connect HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// client is a WebSocket client that writes and reads frames by hand.
type client struct {
	tb testing.TB
	net.Conn
	reader *bufio.Reader
}

// connect does the handshake and gives both ends.
func (s *server) connect() (*client, *ws.Conn) {
	s.tb.Helper()
	c := s.open()
	response := c.handshake(handshake + "Sec-WebSocket-Protocol: signalbox.v1\r\n\r\n")
	require.Equal(s.tb, http.StatusSwitchingProtocols, response.StatusCode)
	require.Equal(s.tb, "signalbox.v1", response.Header.Get("Sec-WebSocket-Protocol"))
	return c, <-s.accepted
}

// open connects without a handshake.
func (s *server) open() *client {
	s.tb.Helper()
	conn := s.dial()
	require.NoError(s.tb, conn.SetDeadline(time.Now().Add(patience)))
	s.tb.Cleanup(func() { _ = conn.Close() })
	return &client{tb: s.tb, Conn: conn, reader: bufio.NewReader(conn)}
}

// handshake sends a request and gives the answer.
func (c *client) handshake(request string) *http.Response {
	c.tb.Helper()
	c.write([]byte(request))
	response, err := http.ReadResponse(c.reader, nil)
	require.NoError(c.tb, err)
	return response
}

func (c *client) write(b []byte) {
	c.tb.Helper()
	_, err := c.Write(b)
	require.NoError(c.tb, err)
}

// try writes what the server may not want to read any more.
func (c *client) try(b []byte) { _, _ = c.Write(b) }

// frame builds a client's frame, masked and final.
func frame(op byte, payload string) []byte { return rawFrame(0x80|op, true, payload) }

// fragment builds a frame that is not the last of its message.
func fragment(op byte, payload string) []byte { return rawFrame(op, true, payload) }

func rawFrame(first byte, masked bool, payload string) []byte {
	b := []byte{first}
	var mask byte
	if masked {
		mask = 0x80
	}
	switch size := len(payload); {
	case size < 126:
		b = append(b, mask|byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(size))
	}
	if !masked {
		return append(b, payload...)
	}
	key := [4]byte{0xA1, 0x5B, 0x07, 0xFE}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

func closeFrame(code int, reason string) []byte {
	return frame(opClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// next reads one frame of the server, which must be whole, final and not masked.
func (c *client) next() (op byte, payload string, err error) {
	c.tb.Helper()
	var head [2]byte
	if _, err = io.ReadFull(c.reader, head[:]); err != nil {
		return 0, "", err
	}
	require.Equal(c.tb, byte(0x80), head[0]&0xF0, "final, no extension")
	size := uint64(head[1])
	require.Less(c.tb, size, uint64(0x80), "a server's frames are not masked")
	switch size {
	case 126:
		var long [2]byte
		_, err = io.ReadFull(c.reader, long[:])
		size = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, err = io.ReadFull(c.reader, long[:])
		size = binary.BigEndian.Uint64(long[:])
	}
	if err != nil {
		return 0, "", unexpected(err)
	}
	require.Less(c.tb, size, uint64(1<<24))
	body := make([]byte, size)
	if _, err = io.ReadFull(c.reader, body); err != nil {
		return 0, "", unexpected(err)
	}
	return head[0] & 0x0F, string(body), nil
}

// unexpected turns the end in the middle of a frame into an error of its own.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// requireClosed reads to the server's close frame, checks its code, and that the socket is closed after it.
func (c *client) requireClosed(code wire.CloseCode) (reason string) {
	c.tb.Helper()
	got, reason := c.readClose()
	require.Equal(c.tb, code, got, reason)
	c.try(closeFrame(int(got), "")) // a client that keeps the protocol answers
	c.requireEOF()
	return reason
}

// readClose reads to the close frame.
func (c *client) readClose() (code wire.CloseCode, reason string) {
	c.tb.Helper()
	for {
		op, payload, err := c.next()
		require.NoError(c.tb, err, "the socket ended without a close frame")
		if op != opClose {
			continue
		}
		require.GreaterOrEqual(c.tb, len(payload), 2)
		return wire.CloseCode(binary.BigEndian.Uint16([]byte(payload))), payload[2:]
	}
}

// requireEOF reads to the end of the connection, in which no frame may follow.
func (c *client) requireEOF() {
	c.tb.Helper()
	rest, err := io.ReadAll(c.reader)
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		require.Fail(c.tb, "the socket was not closed")
	}
	require.Empty(c.tb, rest, "after the close frame")
	_ = c.Close()
}

// reading is what a server's reader got.
type reading struct {
	requests []int64
	refusals []wire.Code
	ended    *ws.Ended
	err      error
}

// readAll binds a connection to nothing and reads it to its end.
func readAll(conn *ws.Conn) *reading {
	conn.Bind(func(*wire.Frame) {})
	return readBound(conn)
}

func readBound(conn *ws.Conn) *reading {
	var r reading
	for {
		request, err := conn.Read()
		var refusal *wire.Error
		switch {
		case err == nil:
			r.requests = append(r.requests, request.ID)
		case errors.As(err, &refusal):
			r.refusals = append(r.refusals, refusal.Code)
		default:
			r.err = err
			errors.As(err, &r.ended)
			return &r
		}
	}
}

// inBackground reads a connection to its end beside the test.
func inBackground(conn *ws.Conn) <-chan *reading {
	done := make(chan *reading, 1)
	go func() { done <- readAll(conn) }()
	return done
}

// writer is the only writer of a connection, as a session's queue is.
type writer struct {
	conn    *ws.Conn
	mu      sync.Mutex
	waiting []*wire.Frame
	changed chan struct{}
	running sync.WaitGroup
}

// bindWriter has a connection written by a writer until stop is called.
func bindWriter(conn *ws.Conn) (w *writer, stop func()) {
	w = &writer{conn: conn, changed: make(chan struct{}, 1)}
	conn.Bind(w.send)
	quit := make(chan struct{})
	w.running.Go(func() {
		for {
			select {
			case <-w.changed:
				w.mu.Lock()
				frames := w.waiting
				w.waiting = nil
				w.mu.Unlock()
				if len(frames) > 0 {
					_ = conn.Write(frames)
				}
			case <-quit:
				return
			}
		}
	})
	return w, func() {
		close(quit)
		w.running.Wait()
	}
}

func (w *writer) send(frame *wire.Frame) {
	w.mu.Lock()
	w.waiting = append(w.waiting, frame)
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// message builds a frame of the server with a text that tells who sent it and as which.
func message(sender, number, size int) *wire.Frame {
	data := fmt.Sprintf(`"%d/%d/%s"`, sender, number, strings.Repeat("x", size))
	return wire.EventFrame(int64(number+1), wire.AppendEventBody(nil, "r", &wire.Message{From: "p", Data: []byte(data)}))
}

const ping = `{"id":1,"type":"ping"}`

func tlsDialer(s *httptest.Server) *tls.Dialer {
	config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com" // a name in the certificate of httptest
	return &tls.Dialer{Config: config}
}
