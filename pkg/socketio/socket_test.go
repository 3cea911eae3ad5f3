package socketio_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// recorder serves namespaces and notes what it is told.
type recorder struct {
	*journal
	mu      sync.Mutex
	sockets map[string]*socketio.Socket
	answers map[string]func(socketio.Ack)
}

func newRecorder() *recorder {
	return &recorder{journal: newJournal(), sockets: map[string]*socketio.Socket{}, answers: map[string]func(socketio.Ack){}}
}

func (r *recorder) namespace() socketio.Namespace {
	return socketio.Namespace{
		Connect: func(s *socketio.Socket) error {
			r.add(fmt.Sprintf("connect %s auth=%s token=%s", s.Namespace(), s.Auth(), s.Query().Get("token")))
			s.Data = "mine"
			r.mu.Lock()
			r.sockets[s.Namespace()] = s
			r.mu.Unlock()
			return nil
		},
		Event: func(s *socketio.Socket, e socketio.Event, answer func(socketio.Ack)) {
			line := fmt.Sprintf("event %s %s", s.Namespace(), e.Name)
			for _, arg := range e.Args {
				line += " " + string(arg)
			}
			for _, attachment := range e.Attachments {
				line += fmt.Sprintf(" %x", attachment)
			}
			if answer != nil {
				r.mu.Lock()
				r.answers[e.Name] = answer
				r.mu.Unlock()
				line += " ack"
			}
			r.add(line)
			if e.Name == "echo" {
				s.Emit(e)
			}
		},
		Disconnect: func(s *socketio.Socket, reason socketio.Reason) {
			r.add(fmt.Sprintf("disconnect %s %s %s", s.Namespace(), reason, s.Data))
		},
	}
}

func (r *recorder) socket(namespace string) *socketio.Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sockets[namespace]
}

func (r *recorder) answer(name string) func(socketio.Ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers[name]
}

func serveRecorder(t *testing.T, opts socketio.Options) (*site, *recorder) {
	r := newRecorder()
	opts.Namespaces = map[string]socketio.Namespace{"/": r.namespace(), "/chat": r.namespace()}
	return serve(t, opts), r
}

// in enters a namespace in protocol 5 and gives the socket's id.
func (c *wsClient) in(connect string) (id string) {
	c.t.Helper()
	c.send(connect)
	prefix, _, _ := strings.Cut(connect, "{")
	got := c.read()
	require.Regexp(c.t, `^`+prefix+`\{"sid":"[A-Za-z0-9_-]{20}"\}$`, got)
	var body struct{ SID string }
	require.NoError(c.t, json.Unmarshal([]byte(got[len(prefix):]), &body))
	return body.SID
}

func TestConnectOfProtocol5(t *testing.T) {
	s, r := serveRecorder(t, socketio.Options{})
	ws, hello := s.open("4", "")
	root := ws.in(`40{"token":"123"}`)
	require.NotEqual(t, hello.SID, root, "the session's id is a credential")
	require.Equal(t, root, r.socket("/").ID())
	chat := ws.in(`40/chat,`)
	require.NotEqual(t, root, chat)
	require.Equal(t, "/chat", r.socket("/chat").Namespace())
	ws.send(`40/random`)
	ws.expect(`44/random,{"message":"Invalid namespace"}`)
	require.Equal(t, []string{`connect / auth={"token":"123"} token=`, `connect /chat auth= token=`}, r.all())
	session := r.socket("/").Session()
	require.Equal(t, hello.SID, session.ID())
	require.Equal(t, socketio.Version4, session.Version())
	require.Equal(t, socketio.TransportWebSocket, session.Transport())
	require.Equal(t, host, session.Handshake().Host)
}

// A client of protocol 4 is in the root unasked, with the handshake already, and has its session's id everywhere.
func TestConnectOfProtocol4(t *testing.T) {
	s, r := serveRecorder(t, socketio.Options{})
	c := s.poll("3", "&b64=1&token=outer")
	require.Equal(t, []string{"40"}, c.first)
	require.Equal(t, c.sid, r.socket("/").ID())
	require.Equal(t, "outer", r.socket("/").Session().Handshake().Query.Get("token"))
	c.post("40/chat?token=in%2Cner,")
	require.Equal(t, []string{"40/chat,"}, c.get())
	require.Equal(t, "/chat#"+c.sid, r.socket("/chat").ID())
	c.post("40/random?x=1")
	require.Equal(t, []string{`44/random,"Invalid namespace"`}, c.get())
	c.post("40/chat", `42/elsewhere,["x"]`) // both mean nothing, as they always did
	c.post(`42["echo"]`)
	require.Equal(t, []string{`42["echo"]`}, c.get())
	require.Equal(t, []string{"connect / auth= token=", "connect /chat auth= token=in,ner", "event / echo"}, r.all())

	ws, hello := s.open("3", "")
	ws.expect("40")
	require.Equal(t, hello.SID, r.socket("/").ID())
}

// Where the root is not served, a client of protocol 4 is in no namespace until it asks.
func TestProtocol4WithoutRoot(t *testing.T) {
	r := newRecorder()
	c := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/chat": r.namespace()}}).poll("3", "")
	require.Empty(t, c.first)
	c.post("40/chat,")
	require.Equal(t, []string{"40/chat,"}, c.get())
}

func TestConnectRefused(t *testing.T) {
	s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{
		"/": {Connect: func(s *socketio.Socket) error {
			s.Emit(socketio.Event{Name: "never seen"})
			return &socketio.Refusal{Message: `not "you"`, Data: []byte(`{"code":7}`)}
		}},
		"/broken": {Connect: func(*socketio.Socket) error { return errors.New("the database is down") }},
		"/out":    {Connect: func(s *socketio.Socket) error { s.Disconnect(false); return nil }},
	}})
	t.Run("protocol 5", func(t *testing.T) {
		ws, _ := s.open("4", "")
		ws.send("40", "40/broken,", "40/out,", "40")
		ws.expect(`44{"message":"not \"you\"","data":{"code":7}}`, `44/broken,{"message":"Forbidden"}`,
			`44/out,{"message":"Forbidden"}`, `44{"message":"not \"you\"","data":{"code":7}}`)
	})
	t.Run("protocol 4", func(t *testing.T) {
		require.Equal(t, []string{`44"not \"you\""`}, s.poll("3", "").first)
	})
}

// What is sent to a socket while it connects comes behind the answer.
func TestEmitWhileConnecting(t *testing.T) {
	s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/": {Connect: func(s *socketio.Socket) error {
		s.Emit(socketio.Event{Name: "a"})
		s.Emit(socketio.Event{Name: "b"})
		return nil
	}}}})
	ws, _ := s.open("4", "")
	ws.in("40")
	ws.expect(`42["a"]`, `42["b"]`)
	require.Equal(t, []string{"40", `42["a"]`, `42["b"]`}, s.poll("3", "").first)
}

func TestEvents(t *testing.T) {
	s, r := serveRecorder(t, socketio.Options{})
	ws, _ := s.open("4", "")
	ws.in("40")
	ws.in("40/chat,")
	for _, event := range []string{
		`42["echo"]`, `42["echo",1,"2",{"3":[true]}]`, `42["echo",18446744073709551616,0.10,"\ud800<>&😀"]`, `42/chat,["echo",null]`,
	} {
		ws.send(event)
		ws.expect(event)
	}
	ws.send(`42["unknown"]`, `450-["echo"]`)
	ws.expect(`42["echo"]`)
	require.Contains(t, r.all(), `event / echo 1 "2" {"3":[true]}`)
}

func TestBinaryEvents(t *testing.T) {
	const header = `452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	t.Run("version 4", func(t *testing.T) {
		s, r := serveRecorder(t, socketio.Options{})
		ws, _ := s.open("4", "")
		ws.in("40")
		ws.send(header, "bin:\x01\x02", "bin:\x03")
		ws.expect(header, "bin:\x01\x02", "bin:\x03")
		require.Contains(t, r.all(), `event / echo {"_placeholder":true,"num":0} {"_placeholder":true,"num":1} 0102 03`)
	})
	t.Run("version 3", func(t *testing.T) {
		s, _ := serveRecorder(t, socketio.Options{})
		ws, _ := s.open("3", "")
		ws.expect("40")
		ws.send(header, "bin:\x04\x01\x02", "b4Aw==")
		ws.expect(header, "bin:\x04\x01\x02", "bin:\x04\x03")
	})
	t.Run("polling, in two requests", func(t *testing.T) {
		s, _ := serveRecorder(t, socketio.Options{})
		c := s.poll("3", "")
		c.post(header, "bin:\x01\x02")
		c.post("bin:\x03")
		require.Equal(t, []string{header, "bin:\x01\x02", "bin:\x03"}, c.get())
	})
	t.Run("across an upgrade", func(t *testing.T) {
		s, _ := serveRecorder(t, socketio.Options{})
		c := s.poll("3", "")
		c.post(header, "bin:\x01\x02")
		ws := c.upgrade()
		ws.send("bin:\x04\x03")
		ws.expect(header, "bin:\x04\x01\x02", "bin:\x04\x03")
	})
}

func TestAcksOfTheServer(t *testing.T) {
	s, r := serveRecorder(t, socketio.Options{})
	ws, _ := s.open("4", "")
	ws.in("40/chat,")
	ws.send(`42/chat,456["a",1]`, `451-/chat,0["b",{"_placeholder":true,"num":0}]`, "bin:\x01", `42/chat,["c"]`)
	r.wait(t, "connect /chat auth= token=", "event /chat a 1 ack", `event /chat b {"_placeholder":true,"num":0} 01 ack`, "event /chat c")
	r.answer("a")(socketio.Ack{Args: args(`1`, `"2"`)})
	r.answer("a")(socketio.Ack{Args: args(`"again"`)})
	ws.expect(`43/chat,456[1,"2"]`)
	r.answer("b")(socketio.Ack{Args: args(`{"_placeholder":true,"num":0}`), Attachments: [][]byte{{9}}})
	ws.expect(`461-/chat,0[{"_placeholder":true,"num":0}]`, "bin:\x09")
	ws.send(`42/chat,7["a"]`, `42/chat,["echo"]`)
	ws.expect(`42/chat,["echo"]`)
	r.answer("a")(socketio.Ack{})
	ws.expect(`43/chat,7[]`)
	ws.send("41/chat,")
	require.Eventually(t, func() bool { return len(r.all()) == 7 }, 5*time.Second, time.Millisecond)
	r.answer("b")(socketio.Ack{}) // into the void
}

// ask emits with an acknowledgement and gives what came of it.
func ask(s *socketio.Socket, timeout time.Duration, e socketio.Event) <-chan string {
	answers := make(chan string, 2)
	s.EmitWithAck(e, timeout, func(a socketio.Ack, err error) {
		answers <- fmt.Sprintf("%s %x %v", a.Args, a.Attachments, err)
	})
	return answers
}

func TestAcksOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := serveRecorder(t, socketio.Options{PendingAcks: 2, PingInterval: time.Hour})
		ws, _ := s.open("4", "")
		ws.in("40")
		socket := r.socket("/")
		first := ask(socket, time.Second, socketio.Event{Name: "q", Args: args(`1`)})
		second := ask(socket, 0, socketio.Event{Name: "q", Args: args(`{"_placeholder":true,"num":0}`), Attachments: [][]byte{{1, 2}}})
		require.Contains(t, <-ask(socket, 0, socketio.Event{Name: "q"}), socketio.ErrTooManyAcks.Error())
		ws.expect(`420["q",1]`, `451-1["q",{"_placeholder":true,"num":0}]`, "bin:\x01\x02")
		ws.send(`461-1[{"_placeholder":true,"num":0}]`, "bin:\x07", `431["again"]`, `4399["unasked"]`)
		require.Equal(t, `[{"_placeholder":true,"num":0}] [07] <nil>`, <-second)

		started := time.Now()
		require.Contains(t, <-first, socketio.ErrAckTimeout.Error())
		require.Equal(t, time.Second, time.Since(started))
		ws.send(`430["too late"]`)

		third := ask(socket, time.Minute, socketio.Event{Name: "q"})
		ws.expect(`422["q"]`)
		ws.send("41")
		require.Contains(t, <-third, socketio.ErrDisconnected.Error())
		require.Contains(t, <-ask(socket, 0, socketio.Event{Name: "q"}), socketio.ErrDisconnected.Error())
		require.Empty(t, first)
		require.Empty(t, second)
	})
}

// A handler may do anything to its own socket without waiting for itself.
func TestHandlersMayCallBack(t *testing.T) {
	j := newJournal()
	s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/": {
		Event: func(s *socketio.Socket, e socketio.Event, answer func(socketio.Ack)) {
			s.EmitWithAck(socketio.Event{Name: "q"}, time.Minute, func(_ socketio.Ack, err error) {
				j.add(fmt.Sprint("ack ", err))
				s.Emit(socketio.Event{Name: "into the void"})
				s.EmitWithAck(socketio.Event{Name: "q"}, 0, func(_ socketio.Ack, err error) { j.add(fmt.Sprint("ack ", err)) })
			})
			answer(socketio.Ack{})
			s.Disconnect(true)
			j.add("event")
		},
		Disconnect: func(s *socketio.Socket, reason socketio.Reason) {
			s.Disconnect(true)
			j.add("disconnect " + string(reason))
		},
	}}})
	ws, _ := s.open("4", "")
	ws.in("40")
	ws.send(`420["x"]`)
	ws.expect(`420["q"]`, `430[]`, "41")
	require.Equal(t, 1000, ws.readClose())
	gone := fmt.Sprint("ack ", socketio.ErrDisconnected)
	j.wait(t, "event", gone, "disconnect server namespace disconnect", gone)
}

func TestDisconnects(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		s, r := serveRecorder(t, socketio.Options{})
		ws, _ := s.open("4", "")
		ws.in("40")
		ws.in("40/chat,")
		ws.send("41/chat", `42["echo"]`)
		ws.expect(`42["echo"]`) // the rest goes on
		r.socket("/chat").Emit(socketio.Event{Name: "into the void"})
		ws.in("40/chat,")
		ws.send("41", "41/chat,", `42["ignored"]`)
		require.Eventually(t, func() bool { return len(r.all()) == 7 }, 5*time.Second, time.Millisecond)
		require.Equal(t, []string{"disconnect / client namespace disconnect mine", "disconnect /chat client namespace disconnect mine"}, r.all()[5:])
		ws.in("40")
	})
	t.Run("by the server", func(t *testing.T) {
		s, r := serveRecorder(t, socketio.Options{})
		ws, _ := s.open("4", "")
		ws.in("40")
		ws.in("40/chat,")
		r.socket("/chat").Disconnect(false)
		r.socket("/chat").Disconnect(false)
		ws.expect("41/chat,")
		ws.send(`42/chat,["crossing"]`, `42["echo"]`)
		ws.expect(`42["echo"]`)
		r.socket("/").Disconnect(true)
		ws.expect("41")
		require.Equal(t, 1000, ws.readClose())
		require.Eventually(t, func() bool { return len(r.all()) == 5 }, 5*time.Second, time.Millisecond)
		require.Equal(t, []string{"disconnect /chat server namespace disconnect mine", "event / echo", "disconnect / server namespace disconnect mine"}, r.all()[2:])
	})
	t.Run("with the session", func(t *testing.T) {
		s, r := serveRecorder(t, socketio.Options{})
		ws, _ := s.open("4", "")
		ws.in("40")
		ws.in("40/chat,")
		ws.send("1")
		ws.readClose()
		require.Eventually(t, func() bool { return len(r.all()) == 4 }, 5*time.Second, time.Millisecond)
		require.ElementsMatch(t, []string{"disconnect / transport close mine", "disconnect /chat transport close mine"}, r.all()[2:])
	})
	t.Run("a panic of one handler does not spare the others", func(t *testing.T) {
		r := newRecorder()
		s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{
			"/": r.namespace(), "/chat": r.namespace(), "/bad": {Disconnect: func(*socketio.Socket, socketio.Reason) { panic("for the test") }},
		}})
		ws, _ := s.open("4", "")
		ws.in("40")
		ws.in("40/bad,")
		ws.in("40/chat,")
		ws.conn.Close()
		require.Eventually(t, func() bool { return len(r.all()) == 4 }, 5*time.Second, time.Millisecond)
	})
}

// A client of protocol 5 that asks for no namespace is closed in time; one that has asked is not.
func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := serveRecorder(t, socketio.Options{ConnectTimeout: time.Second, PingInterval: time.Hour})
		ws, _ := s.open("4", "")
		refused, _ := s.open("4", "")
		refused.send("40/random,")
		fine, _ := s.open("4", "")
		fine.in("40")
		old, _ := s.open("3", "")
		started := time.Now()
		ws.readClose()
		refused.read()
		refused.readClose()
		require.Equal(t, time.Second, time.Since(started))
		time.Sleep(time.Minute)
		fine.send(`42["echo"]`)
		fine.expect(`42["echo"]`)
		old.expect("40")
		old.send(`42["echo"]`)
		old.expect(`42["echo"]`)
	})
}

// One message is built once and sent to sockets of both versions.
func TestBroadcast(t *testing.T) {
	var mu sync.Mutex
	var sockets []*socketio.Socket
	s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/": {Connect: func(s *socketio.Socket) error {
		mu.Lock()
		defer mu.Unlock()
		sockets = append(sockets, s)
		return nil
	}}}})
	four, _ := s.open("4", "")
	four.in("40")
	three, _ := s.open("3", "")
	three.expect("40")
	polling := s.poll("3", "&b64=1")
	m := socketio.NewMessage("/", socketio.Event{Name: "x", Args: args(`{"_placeholder":true,"num":0}`), Attachments: [][]byte{{1, 2, 3}}})
	mu.Lock()
	for _, socket := range sockets {
		socket.Send(m)
	}
	mu.Unlock()
	const header = `451-["x",{"_placeholder":true,"num":0}]`
	four.expect(header, "bin:\x01\x02\x03")
	three.expect(header, "bin:\x04\x01\x02\x03")
	require.Equal(t, []string{header, "bin:\x01\x02\x03"}, polling.get())
}
