package socketio_test

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// A socket that comes back has the id that it had, and what it has missed behind the answer that says so.
func TestRecover(t *testing.T) {
	sockets := make(chan *socketio.Socket, 1)
	s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/": {Connect: func(s *socketio.Socket) error {
		if string(s.Auth()) == `{"pid":"secret","offset":"1"}` {
			s.Recover(`its "id"`)
			s.Emit(socketio.Event{Name: "missed"})
		}
		s.Recoverable("secret")
		sockets <- s
		return nil
	}}}})
	ws, _ := s.open("4", "")
	ws.send("40")
	require.Equal(t, `40{"sid":"`+(<-sockets).ID()+`","pid":"secret"}`, ws.read())
	ws, _ = s.open("4", "")
	ws.send(`40{"pid":"secret","offset":"1"}`)
	ws.expect(`40{"sid":"its \"id\"","pid":"secret"}`, `42["missed"]`)
	require.Equal(t, `its "id"`, (<-sockets).ID())
	ws, hello := s.open("3", "")
	ws.expect("40") // which has no place for it
	require.Equal(t, hello.SID, (<-sockets).ID())
}

// What a client can be sent at once leaves as much again for what comes meanwhile.
func TestFits(t *testing.T) {
	fit := make(chan []bool, 1)
	s := serve(t, socketio.Options{QueuePackets: 100, QueueBytes: 10_000, Namespaces: map[string]socketio.Namespace{"/": {
		Connect: func(s *socketio.Socket) error {
			fit <- []bool{s.Fits(0, 0), s.Fits(50, 5000), s.Fits(51, 0), s.Fits(0, 5001)}
			return nil
		},
	}}})
	ws, _ := s.open("4", "")
	ws.send("40")
	require.Equal(t, []bool{true, true, false, false}, <-fit)
}

// A browser whose page is left closes with 1001, and a stock client without a code.
func TestPageClosed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reason socketio.Reason
		close  func(*wsClient)
	}{
		{"Page", socketio.ReasonPageClosed, func(c *wsClient) {
			c.closes(websocket.FormatCloseMessage(websocket.CloseGoingAway, ""))
		}},
		{"Client", socketio.ReasonTransportClose, func(c *wsClient) { c.closes(nil) }},
		{"Program", socketio.ReasonTransportClose, func(c *wsClient) {
			c.closes(websocket.FormatCloseMessage(websocket.CloseNormalClosure, "done"))
		}},
		{"Packet", socketio.ReasonTransportClose, func(c *wsClient) { c.send("1") }},
		{"Network", socketio.ReasonTransportError, func(c *wsClient) { _ = c.conn.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, r := serveRecorder(t, socketio.Options{})
			ws, _ := s.open("4", "")
			ws.send("40")
			ws.read()
			tc.close(ws)
			r.wait(t, "connect / auth= token=", "disconnect / "+string(tc.reason)+" mine")
		})
	}
}

func (c *wsClient) closes(payload []byte) {
	c.t.Helper()
	require.NoError(c.t, c.conn.WriteControl(websocket.CloseMessage, payload, time.Now().Add(time.Second)))
}
