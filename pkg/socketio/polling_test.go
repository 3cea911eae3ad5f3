package socketio_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

func eachVersion(t *testing.T, test func(t *testing.T, eio string)) {
	for _, eio := range []string{"3", "4"} {
		t.Run("EIO="+eio, func(t *testing.T) { test(t, eio) })
	}
}

func TestPollingMessages(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		s := serve(t, socketio.Options{})
		c := s.poll(eio, "")
		c.post("4hello")
		require.Equal(t, []string{"4hello"}, c.get())
		c.post("4test1", "4test2", "4😀中é")
		require.Equal(t, []string{"4test1", "4test2", "4😀中é"}, c.get())
		c.post("4hello", "bin:\x01\x02\x03\xff")
		require.Equal(t, []string{"4hello", "bin:\x01\x02\x03\xff"}, c.get())
	})
}

// How bytes go to a client of version 3 is what it said at the handshake.
func TestPollingBytesOfVersion3(t *testing.T) {
	s := serve(t, socketio.Options{})
	for _, tc := range []struct{ name, extra, contentType, body string }{
		{"bytes", "", "application/octet-stream", "\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04"},
		{"b64", "&b64=1", "text/plain; charset=UTF-8", "6:4hello10:b4AQIDBA=="},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.poll("3", tc.extra)
			c.extra = ""
			require.Equal(t, "ok", c.postBody("6:4hello10:b4AQIDBA==").body)
			answer := c.getStatus()
			require.Equal(t, tc.body, answer.body)
			require.Equal(t, tc.contentType, answer.header.Get("Content-Type"))
		})
	}
	t.Run("from the client", func(t *testing.T) {
		c := s.poll("3", "&b64=1")
		c.header = http.Header{"Content-Type": {"application/octet-stream"}}
		require.Equal(t, "ok", c.postBody("\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04").body)
		require.Equal(t, []string{"4hello", "bin:\x01\x02\x03\x04"}, c.get())
	})
}

// A GET waits until there is something to tell, and then takes all of it.
func TestGetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, socketio.Options{})
		c := s.poll("4", "")
		waiting := c.start()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, waiting)
		c.post("4a")
		require.Equal(t, "4a", (<-waiting).body)
		c.post("4b", "4c")
		c.post("4d")
		require.Equal(t, []string{"4b", "4c", "4d"}, c.get())
	})
}

func TestPostAnswer(t *testing.T) {
	c := serve(t, socketio.Options{}).poll("4", "")
	answer := c.postBody("4x")
	require.Equal(t, reply{status: 200, body: "ok", header: answer.header}, answer)
	require.Equal(t, "text/html", answer.header.Get("Content-Type"))
}

// The second GET of a session is an error, and the end of it: the first one is told.
func TestOverlappingGets(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			c := serve(t, socketio.Options{Engine: j.handlers()}).poll(eio, "")
			first := c.start()
			synctest.Wait()
			second := c.getStatus()
			require.Equal(t, http.StatusBadRequest, second.status)
			answer := <-first
			require.Equal(t, http.StatusOK, answer.status)
			require.Equal(t, []string{"1"}, c.split(answer))
			c.requireGone()
			j.wait(t, "open", "close transport error")
		})
	})
}

func TestOverlappingPosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := serve(t, socketio.Options{Engine: j.handlers()}).poll("4", "")
		body, half := io.Pipe()
		first := make(chan int, 1)
		go func() {
			r, err := http.NewRequest(http.MethodPost, "http://"+host+"/socket.io/?"+c.query(), body)
			if err != nil {
				panic(err)
			}
			response, err := c.client.Do(r)
			if err != nil {
				first <- 0
				return
			}
			response.Body.Close()
			first <- response.StatusCode
		}()
		_, err := half.Write([]byte("4a"))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, http.StatusBadRequest, c.tryPost("4b").status)
		half.Close()
		<-first
		c.requireGone()
		j.wait(t, "open", "close transport error")
	})
}

// A client that gives its GET up is gone.
func TestAbortedGet(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			c := serve(t, socketio.Options{Engine: j.handlers()}).poll(eio, "")
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := c.do(ctx, request{query: c.query()})
				done <- err
			}()
			synctest.Wait()
			cancel()
			require.Error(t, <-done)
			synctest.Wait()
			require.Equal(t, []string{"open", "close transport error"}, j.all())
			c.requireGone()
		})
	})
}

// A client that closes its session gets its GET back with a noop.
func TestClientCloses(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			c := serve(t, socketio.Options{Engine: j.handlers()}).poll(eio, "")
			waiting := c.start()
			synctest.Wait()
			c.post("1", "4after all")
			require.Equal(t, []string{"6"}, c.split(<-waiting))
			synctest.Wait()
			require.Equal(t, []string{"open", "close transport close"}, j.all())
			c.requireGone()
		})
	})
}

// The GET that crosses the closing POST still gets its noop; one that comes later gets an error.
func TestCloseCrossesGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		s := serve(t, socketio.Options{Engine: j.handlers()})
		c := s.poll("4", "")
		c.post("1")
		j.wait(t, "open", "close transport close")
		require.Equal(t, []string{"6"}, c.get())
		c.requireGone()

		c = s.poll("4", "")
		c.post("1")
		time.Sleep(time.Second)
		c.requireGone()
	})
}

// What was sent before the server closes a session still reaches the client, and then the close packet.
func TestServerCloses(t *testing.T) {
	closing := &socketio.EngineHandlers{Message: func(s *socketio.Session, data []byte, _ bool) {
		s.Send(data)
		s.Close()
		s.Send([]byte("too late"))
	}}
	t.Run("a GET waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, socketio.Options{Engine: closing}).poll("4", "")
			waiting := c.start()
			synctest.Wait()
			c.post("4bye")
			require.Equal(t, "4bye", (<-waiting).body)
			require.Equal(t, []string{"1"}, c.get()) // on its own, so that it does not overtake a DISCONNECT
			c.requireGone()
		})
	})
	t.Run("a GET comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, socketio.Options{Engine: closing}).poll("3", "")
			c.post("4bye")
			time.Sleep(4 * time.Second)
			c.post("4nobody listens") // no reason to frighten it
			require.Equal(t, []string{"4bye"}, c.get())
			require.Equal(t, []string{"1"}, c.get())
			c.requireGone()
		})
	})
	t.Run("no GET comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, socketio.Options{Engine: closing}).poll("4", "")
			c.post("4bye")
			time.Sleep(5*time.Second + time.Millisecond)
			c.requireGone()
		})
	})
	t.Run("by WebSocket", func(t *testing.T) {
		ws, _ := serve(t, socketio.Options{Engine: closing}).open("4", "")
		ws.send("4bye")
		ws.expect("4bye")
		require.Equal(t, 1000, ws.readClose())
	})
}

func TestInvalidPost(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		for name, body := range map[string]string{"no packet": "abc", "an unknown type": "2:7x", "an open packet": "0", "empty": ""} {
			t.Run(name, func(t *testing.T) {
				j := newJournal()
				c := serve(t, socketio.Options{Engine: j.handlers()}).poll(eio, "")
				waiting := c.start()
				answer := c.postBody(body)
				require.Equal(t, http.StatusBadRequest, answer.status)
				j.wait(t, "open", "close parse error")
				if first := <-waiting; first.status == http.StatusOK { // else it has come after the POST
					require.Equal(t, []string{"1"}, c.split(first))
				}
				c.requireGone()
			})
		}
	})
	t.Run("binary in version 4", func(t *testing.T) {
		c := serve(t, socketio.Options{}).poll("4", "")
		c.header = http.Header{"Content-Type": {"application/octet-stream"}}
		require.Equal(t, http.StatusBadRequest, c.postBody("4x").status)
		c.requireGone()
	})
	t.Run("a ping in version 4", func(t *testing.T) {
		c := serve(t, socketio.Options{}).poll("4", "")
		c.tryPost("2")
		c.requireGone()
	})
	t.Run("a pong in version 3", func(t *testing.T) {
		c := serve(t, socketio.Options{}).poll("3", "")
		c.tryPost("3")
		c.requireGone()
	})
}

func TestBodyLimits(t *testing.T) {
	t.Run("as large as allowed", func(t *testing.T) {
		c := serve(t, socketio.Options{}).poll("4", "")
		large := "4" + strings.Repeat("x", 999_999)
		c.post(large)
		require.Equal(t, []string{large}, c.get())
	})
	t.Run("too large", func(t *testing.T) {
		c := serve(t, socketio.Options{MaxPayload: 1000}).poll("4", "")
		require.Equal(t, http.StatusRequestEntityTooLarge, c.tryPost("4"+strings.Repeat("x", 1000)).status)
		c.requireGone()
	})
	t.Run("too large in chunks", func(t *testing.T) {
		c := serve(t, socketio.Options{MaxPayload: 1000}).poll("4", "")
		body := io.MultiReader(strings.NewReader("4"), strings.NewReader(strings.Repeat("x", 1000))) // of unknown length
		r, err := http.NewRequest(http.MethodPost, "http://"+host+"/socket.io/?"+c.query(), body)
		require.NoError(t, err)
		response, err := c.client.Do(r)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		c.requireGone()
	})
	t.Run("too slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			c := serve(t, socketio.Options{Engine: j.handlers(), ReadTimeout: time.Second}).poll("4", "")
			body, half := io.Pipe()
			r, err := http.NewRequest(http.MethodPost, "http://"+host+"/socket.io/?"+c.query(), body)
			require.NoError(t, err)
			started := time.Now()
			go func() { _, _ = half.Write([]byte("4a")) }()
			response, err := c.client.Do(r)
			require.NoError(t, err)
			response.Body.Close()
			half.Close()
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
			require.Equal(t, time.Second, time.Since(started))
			j.wait(t, "open", "close transport error")
		})
	})
	t.Run("the deadline of a body does not end what comes after", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, socketio.Options{ReadTimeout: time.Second, PingInterval: time.Minute, WriteTimeout: time.Second})
			c := s.poll("4", "")
			c.post("4a")
			require.Equal(t, []string{"4a"}, c.get())
			time.Sleep(2 * time.Second)
			waiting := c.start()
			time.Sleep(3 * time.Second)
			c.post("4b")
			require.Equal(t, "4b", (<-waiting).body)
		})
	})
}

// More than may wait for a client is the end of its session.
func TestSlowClient(t *testing.T) {
	for name, opts := range map[string]socketio.Options{"packets": {QueuePackets: 10}, "bytes": {QueueBytes: 1000}} {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			opts.Engine = j.handlers()
			opts.Engine.Message = func(s *socketio.Session, _ []byte, _ bool) {
				for range 100 {
					s.Send([]byte(strings.Repeat("x", 50)))
				}
			}
			c := serve(t, opts).poll("4", "")
			c.post("4go")
			j.wait(t, "open", "close slow client")
			c.requireGone()
		})
	}
}

// A fault of a handler ends one session and nobody else's.
func TestPanic(t *testing.T) {
	j := newJournal()
	handlers := j.handlers()
	handlers.Message = func(s *socketio.Session, data []byte, binary bool) {
		if string(data) == "panic" {
			panic("for the test")
		}
		echo(s, data, binary)
	}
	s := serve(t, socketio.Options{Engine: handlers})
	ws, _ := s.open("4", "")
	c := s.poll("4", "")
	c.post("4panic")
	c.requireGone()
	require.Contains(t, j.all(), "close internal error")
	ws.send("4still here")
	ws.expect("4still here")
	ws.send("4panic")
	require.Equal(t, 1011, ws.readClose())
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		s := serve(t, socketio.Options{Engine: j.handlers()})
		ws, _ := s.open("4", "")
		waits, idle := s.poll("4", ""), s.poll("3", "")
		probing := s.poll("4", "")
		probe := s.dial("4", "&sid="+probing.sid)
		probe.send("2probe")
		probe.expect("3probe")
		first := waits.start()
		synctest.Wait()
		stopped := make(chan struct{})
		codes := make(chan int, 2)
		go func() { codes <- ws.readClose() }()
		go func() { codes <- probe.readClose() }()
		go func() { s.end(); close(stopped) }()
		require.Equal(t, "1", (<-first).body)
		require.ElementsMatch(t, []int{1001, 1006}, []int{<-codes, <-codes})
		<-stopped
		require.NotEmpty(t, idle.sid)
		require.Len(t, j.all(), 8)
		for _, line := range j.all()[4:] {
			require.Equal(t, "close server shutting down", line)
		}
	})
}

// An idle polling session costs no goroutine: a client between two requests is a map entry and a timer.
func TestIdlePollingSessionsHaveNoGoroutine(t *testing.T) {
	s, _ := serveRecorder(t, socketio.Options{})
	s.poll("4", "")
	before := runtime.NumGoroutine()
	for range 100 {
		s.poll("4", "")
		s.poll("3", "")
	}
	require.Less(t, runtime.NumGoroutine(), before+20)
}
