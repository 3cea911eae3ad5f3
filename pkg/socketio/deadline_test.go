package socketio_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// front is an http.Server with timeouts of its own in front of a Socket.IO server and of a handler that reads a body,
// answers, waits and answers again.
func front(t *testing.T, opts socketio.Options, server *http.Server) *site {
	t.Helper()
	opts.Engine = &socketio.EngineHandlers{Message: echo}
	sockets, err := socketio.New(opts)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(sockets.Path(), sockets)
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		wait, _ := time.ParseDuration(r.Header.Get("X-Wait"))
		<-time.After(wait) // on fake time
		_, _ = io.WriteString(w, "late")
	})
	server.Handler = mux
	s := behind(t, sockets, server)
	// One connection, so that what a request leaves behind on it is met by the next.
	s.client.Transport.(*http.Transport).MaxConnsPerHost = 1
	return s
}

// The server in front is made for requests that are answered at once: 10 s to read one, 30 s to answer. Taken for a
// GET that waits, the first would end its session, the second would leave it without an answer.
func TestShortTimeoutsInFront(t *testing.T) {
	for name, timeouts := range map[string]*http.Server{
		"read and write":   {ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second},
		"header and write": {ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute},
		"none":             {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := front(t, socketio.Options{PingInterval: time.Minute, PingTimeout: 20 * time.Second}, timeouts)
				c := s.poll("4", "")
				for range 3 {
					started := time.Now()
					require.Equal(t, []string{"2"}, c.get())
					require.Equal(t, time.Minute, time.Since(started))
					c.post("3")
				}
				c.post("4x")
				require.Equal(t, []string{"4x"}, c.get())
			})
		})
	}
}

// The same by real sockets, and by HTTP/2, where a deadline that passes ends its request even if nothing is written.
func TestShortTimeoutsOverTheNetwork(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"TCP":    func(web *httptest.Server) { web.Start() },
		"TLS":    func(web *httptest.Server) { web.StartTLS() },
		"HTTP/2": func(web *httptest.Server) { web.EnableHTTP2 = true; web.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they take their time: the read timeout has to be enough for TLS, too
			sockets, err := socketio.New(socketio.Options{
				Engine: &socketio.EngineHandlers{Message: echo}, PingInterval: 3 * time.Second, PingTimeout: 30 * time.Second,
				ReadTimeout: 2 * time.Second})
			require.NoError(t, err)
			web := httptest.NewUnstartedServer(sockets)
			web.Config.ReadTimeout, web.Config.WriteTimeout = 2*time.Second, 2*time.Second
			start(web)
			defer web.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			defer running.Wait()
			defer cancel()
			running.Go(func() { sockets.Run(ctx) })
			ask := func(query string) string {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/socket.io/?EIO=4&transport=polling"+query, nil)
				require.NoError(t, err)
				response, err := web.Client().Do(r)
				require.NoError(t, err)
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				return string(body)
			}
			_, rest, _ := strings.Cut(ask(""), `"sid":"`)
			sid, _, _ := strings.Cut(rest, `"`)
			require.Equal(t, "2", ask("&sid="+sid))
		})
	}
}

// What a request was given ends with it: the next one on the same connection has the timeouts of the server in front.
func TestDeadlinesEndWithTheirRequest(t *testing.T) {
	poll := func(t *testing.T, s *site) {
		t.Helper()
		c := s.poll("4", "")
		c.post("4x")
		require.Equal(t, []string{"4x"}, c.get())
		require.Equal(t, []string{"2"}, c.get())
		c.post("3")
		require.Equal(t, http.StatusBadRequest, s.must(request{query: "EIO=4&transport=polling&sid=unknown"}).status)
	}
	other := func(t *testing.T, s *site, body io.Reader, wait string) (*http.Response, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+"/other", body)
		require.NoError(t, err)
		r.Header.Set("X-Wait", wait)
		response, err := s.client.Do(r)
		if err == nil {
			response.Body.Close()
		}
		return response, err
	}
	opts := socketio.Options{PingInterval: time.Minute, PingTimeout: 20 * time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second}
	t.Run("the server's timeouts are in force", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := front(t, opts, &http.Server{ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second})
			poll(t, s)
			body, half := io.Pipe()
			go func() { _, _ = half.Write([]byte("x")) }()
			started := time.Now()
			response, err := other(t, s, body, "")
			half.Close()
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
			require.Equal(t, 10*time.Second, time.Since(started))

			poll(t, s)
			_, err = other(t, s, http.NoBody, "31s")
			require.Error(t, err, "the answer comes after the server's WriteTimeout")
		})
	})
	t.Run("no timeouts of ours are", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := front(t, opts, &http.Server{})
			poll(t, s)
			_, err := other(t, s, http.NoBody, "10m")
			require.NoError(t, err)
		})
	})
}

// Behind a server without timeouts, a body that is not read is not waited for longer than one that is.
func TestBodyThatNobodyReads(t *testing.T) {
	for name, head := range map[string]string{
		"a POST to no session": "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4",
		"a handshake":          "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := front(t, socketio.Options{ReadTimeout: 2 * time.Second, WriteTimeout: time.Second}, &http.Server{})
				conn, err := s.connect(t.Context(), "tcp", host)
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, head)
				require.NoError(t, err)
				started := time.Now()
				requireClosed(t, conn)
				require.Less(t, time.Since(started), 20*time.Second)
			})
		})
	}
}

// requireClosed reads to the end of a connection.
func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, bufio.NewReader(conn))
	require.NoError(t, err)
}
