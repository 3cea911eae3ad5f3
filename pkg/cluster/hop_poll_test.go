package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// mustServe serves a handler by HTTP/1 or HTTP/2, with the time limits of a server for web pages.
func mustServe(t testing.TB, limit time.Duration, http2 bool, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// A poll waits longer than a page may take; the server's time limits would end it.
func TestLateAnswerOfLongPoll(t *testing.T) {
	const limit = 200 * time.Millisecond
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from, owner := mustNode(t, redis), mustNode(t, redis)
	owner.serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(3 * limit):
			_, _ = io.WriteString(w, "late")
		case <-r.Context().Done():
			t.Error("the owner was told that the client has gone")
		}
	})
	for _, http2 := range []bool{false, true} {
		public := mustServe(t, limit, http2, mustForward(t, from, owner.id))
		for range 2 { // the second on the same connections
			get, err := public.Client().Get(public.URL)
			require.NoError(t, err)
			require.Equal(t, http2, get.ProtoMajor == 2)
			require.Equal(t, "late", body(t, get))
			post, err := public.Client().Post(public.URL, "text/plain", strings.NewReader("data"))
			require.NoError(t, err)
			require.Equal(t, "late", body(t, post))
		}
	}
	from.settles(t, 8, "signalbox_hop_requests_total", "ok")
}

// A client that takes its answer too slowly is given up; the owner sees its writes fail.
func TestAnswerToClientThatDoesNotRead(t *testing.T) {
	failed := make(chan error, 1)
	from, _, public := mustPair(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := w.Write(piece); err != nil {
				failed <- err
				return
			}
		}
	}, func(o *cluster.HopOptions) { o.WriteTimeout = 300 * time.Millisecond })
	conn := mustDial(t, public)
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: signalbox\r\n\r\n")
	require.NoError(t, err)
	require.Error(t, await(t, failed, "a write of the owner's to fail"))
	from.settles(t, 0, "signalbox_hop_open", "")
	require.Zero(t, from.count(t, "signalbox_hop_requests_total", "ok"))
}

// Many polls wait at once, each on a connection of its own, and each gets its own answer.
func TestManyLongPolls(t *testing.T) {
	const polls = 100
	release := make(chan struct{})
	from, _, public := mustPair(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		_, _ = io.WriteString(w, r.URL.RawQuery)
	}, func(o *cluster.HopOptions) { o.DialTimeout = patience }) // so many handshakes at once take a slow machine a while
	public.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = polls
	var clients sync.WaitGroup
	for i := range polls {
		clients.Go(func() {
			query := fmt.Sprintf("sid=%d", i)
			get, err := public.Client().Get(public.URL + "/?" + query)
			if err != nil {
				t.Errorf("poll %d: %v", i, err)
				return
			}
			if got := body(t, get); got != query {
				t.Errorf("poll %d was answered with %q", i, got)
			}
		})
	}
	from.settles(t, polls, "signalbox_hop_open", "")
	close(release)
	clients.Wait()
	from.settles(t, polls, "signalbox_hop_requests_total", "ok")
	from.settles(t, 0, "signalbox_hop_open", "")
}

// A poll that is given up ends its session; the owner has to hear of it.
func TestAbortReachesOwner(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	from, _, public := mustPair(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	for i, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			ctx, abort := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, method, public.URL, strings.NewReader(strings.Repeat("x", i)))
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				response, err := public.Client().Do(r)
				if err == nil {
					_ = response.Body.Close()
				}
				done <- err
			}()
			await(t, arrived, "the request")
			abort()
			require.ErrorIs(t, <-done, context.Canceled)
			await(t, gone, "the end of the request")
			from.settles(t, float64(i+1), "signalbox_hop_requests_total", "aborted")
		})
	}
}

func await[T any](t testing.TB, c <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		require.FailNow(t, "timeout", "waiting for %s", what)
	}
	return value
}

// Half a body that looks whole would be handled, and its packets be lost or garbled.
func TestBodyCutShortIsNotWhole(t *testing.T) {
	read := make(chan error, 1)
	from, _, public := mustPair(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		read <- err
	}, func(o *cluster.HopOptions) { o.ReadTimeout = 300 * time.Millisecond })
	const head = "POST / HTTP/1.1\r\nHost: signalbox\r\n"
	for _, tc := range []struct {
		name, request string
		stay          bool
	}{
		{"known length", head + "Content-Length: 10\r\n\r\nhello", false},
		{"known length, stays", head + "Content-Length: 10\r\n\r\nhello", true},
		{"chunked", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
		{"chunked, stays", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true},
		{"inside a chunk", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := from.count(t, "signalbox_hop_requests_total", "")
			conn := mustDial(t, public)
			_, err := io.WriteString(conn, tc.request)
			require.NoError(t, err)
			if !tc.stay {
				require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			}
			require.Error(t, await(t, read, "the owner's end of the body"))
			from.settles(t, before+1, "signalbox_hop_requests_total", "")
			// The owner's answer comes back, or the hop's own, or nothing: whichever sees the end first.
			answer, _ := io.ReadAll(conn)
			require.NotContains(t, string(answer), "200 OK")
		})
	}
}

func mustDial(t testing.TB, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// The other way round: half an answer that looks whole would lose the rest of its packets.
func TestAnswerCutShortIsNotWhole(t *testing.T) {
	from, _, public := mustPair(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	get, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	text, err := io.ReadAll(get.Body)
	require.Error(t, err)
	require.Equal(t, "half", string(text), "what has come is passed on at once")
	from.settles(t, 1, "signalbox_hop_requests_total", "broken")
}

// What has come of an answer is passed on at once, whether its length is known or not.
func TestAnswerIsStreamed(t *testing.T) {
	release := make(chan struct{})
	_, _, public := mustPair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "8")
		}
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "rest")
	})
	for _, path := range []string{"/known", "/unknown"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, public.URL+path, nil)
		require.NoError(t, err)
		get, err := public.Client().Do(r)
		require.NoError(t, err)
		half := make([]byte, 4)
		_, err = io.ReadFull(get.Body, half)
		require.NoError(t, err)
		require.Equal(t, "half", string(half))
		release <- struct{}{}
		require.Equal(t, "rest", body(t, get))
		cancel()
	}
}

// An owner whose connection ends before it has answered may have handled the request. Of a POST, packets would come
// twice; of a GET, those in the lost answer would be missing from the second.
func TestNoRequestIsSentTwice(t *testing.T) {
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	for _, tc := range []struct {
		name, method, body, key string
	}{
		{"GET", http.MethodGet, "", ""},
		{"POST", http.MethodPost, "data", ""},
		{"empty POST", http.MethodPost, "", ""},
		{"empty POST that says it can be repeated", http.MethodPost, "", "1"},
		{"POST that says it can be repeated", http.MethodPost, "data", "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from, owner := mustNode(t, redis), mustNode(t, redis)
			requests := serveByHand(t, owner, func(r *http.Request) bool { return r.Header.Get("X-Drop") == "" })
			public := mustPublic(t, from, owner.id)
			get, err := public.Client().Get(public.URL)
			require.NoError(t, err)
			require.Equal(t, "ok", body(t, get))
			require.Equal(t, 1, await(t, requests, "the first request"))

			r, err := http.NewRequestWithContext(t.Context(), tc.method, public.URL, strings.NewReader(tc.body))
			require.NoError(t, err)
			r.Header.Set("X-Drop", "1")
			if tc.key != "" {
				r.Header.Set("Idempotency-Key", tc.key)
			}
			response, err := public.Client().Do(r)
			require.NoError(t, err)
			require.Equal(t, http.StatusTeapot, response.StatusCode)
			_ = body(t, response)
			require.Equal(t, 1, await(t, requests, "the request"), "on the connection of the first one, where net/http repeats")
			require.Empty(t, requests, "the request came twice")
			require.Equal(t, 1.0, from.count(t, "signalbox_hop_requests_total", "unreachable"))
		})
	}
}

// serveByHand takes what other nodes pass on, answers it with "ok" or closes the connection, and tells for each request
// the number of the connection that it came on.
func serveByHand(t testing.TB, n *node, answer func(*http.Request) bool) <-chan int {
	t.Helper()
	ln := n.hop.Listener(n.tcp)
	requests := make(chan int, 16)
	var serving sync.WaitGroup
	var conns []net.Conn
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			number := len(conns)
			serving.Go(func() {
				defer conn.Close()
				for reader := bufio.NewReader(conn); ; {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					requests <- number
					if !answer(r) {
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		n.hop.Close()
		serving.Wait()
	})
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return requests
}

// An owner that refuses a body need not read it.
func TestEarlyAnswer(t *testing.T) {
	_, _, public := mustPair(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	for _, size := range []int{100, 100_000, 1 << 20, 8 << 20} {
		post, err := public.Client().Post(public.URL, "text/plain", strings.NewReader(strings.Repeat("x", size)))
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestEntityTooLarge, post.StatusCode, size)
		_ = body(t, post)
	}
}

// What an owner sees of a request without a body has none either.
func TestRequestWithoutBody(t *testing.T) {
	_, _, public := mustPair(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, r.Method, " ", r.ContentLength, " ", r.TransferEncoding, " ", len(text), " ", err)
	})
	get, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	require.Equal(t, "GET 0 [] 0 <nil>", body(t, get))
	post, err := public.Client().Post(public.URL, "text/plain", nil)
	require.NoError(t, err)
	require.Equal(t, "POST -1 [chunked] 0 <nil>", body(t, post))
}
