package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/signalctl/app"
)

// Whoever calls it wrongly is told so with 2, before anybody is asked.
func TestUsage(t *testing.T) {
	env := []string{"SIGNALCTL_URL=http://127.0.0.1:1", "SIGNALCTL_KEY=" + operatorKey, "SIGNALCTL_APP=example"}
	for _, tc := range []struct{ args, says string }{
		{"nothing", `unknown command "nothing"`},
		{"rooms", "needs a command"},
		{"rooms nothing", `no command "nothing" of signalctl rooms`},
		{"rooms list --nothing", "unknown flag"},
		{"rooms get", "accepts 1 arg"},
		{"rooms list --limit -1", "--limit"},
		{"rooms update lobby", "nothing is to change"},
		{"rooms create lobby --property nothing", "name=value"},
		{"rooms get ..", "is no name"},
		{"apps update example", "nothing is to change"},
		{"apps keys create --algorithm ES256", "--public-key-file"},
		{"token", `"user" not set`},
		{"token --user ada --room lobby:fly", `not "fly"`},
		{"token --user ada --expires 1ms", "--expires"},
		{"send {}", "room user whole-app"},
		{"send {} --room lobby --user ada", "none of the others can be"},
		{"send {} --user ada --peer p", "--peer goes with --room"},
		{"send {nothing --room lobby", "not JSON"},
		{"kick lobby", "--all"},
		{"peers mute lobby p --all", "--all"},
		{"webhooks replay", "--all"},
		{"webhooks discard one --all", "--all"},
		{"watch lobby --count -1", "--count"},
		{"nodes --timeout 0s", "--timeout"},
		{"nodes --url ftp://host", "--url"},
		{"nodes --url http://user:password@host", "SIGNALCTL_KEY"},
		{"nodes --key one --key-file two", "none of the others can be"},
		{"doctor --partitions 5000", "cluster.partitions"},
		{"doctor --config /nothing", "/nothing"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := run(t, env, "", strings.Fields(tc.args)...)
			r.fails(app.ExitUsage, tc.says)
			require.NotContains(t, r.err, "password@")
		})
	}
	run(t, nil, "", "nodes").fails(app.ExitUsage, "a key is needed")
	run(t, []string{"SIGNALCTL_KEY=k"}, "", "rooms", "list").fails(app.ExitUsage, "which app?")
	run(t, []string{"SIGNALCTL_KEY=a\nb", "SIGNALCTL_APP=a"}, "", "rooms", "list").fails(app.ExitUsage, "one line")
	require.Contains(t, run(t, nil, "").ok(), "Available Commands")
}

// What the API answers other than with what was asked for is told, and with --json as it came.
func TestProblems(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.EscapedPath(), "/proxy/v1/apps/example/rooms/") {
		case "busy":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"title":"Too many requests","status":429,"code":"rate_limited","detail":"slow down\u001b[31m","retryable":true,"retryAfter":1500,` +
				`"errors":[{"location":"body.capacity","message":"expected number"}]}`))
		case "page":
			_, _ = w.Write([]byte(`<html>a page</html>`))
		case "elsewhere":
			http.Redirect(w, r, "/other", http.StatusFound)
		case "a%2Fb":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"room":"a/b"}`))
		case "hangs":
			<-r.Context().Done()
		default:
			t.Errorf("unexpected request for %s", r.URL)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(answer))
	defer server.Close()
	env := []string{"SIGNALCTL_URL=" + server.URL + "/proxy/", "SIGNALCTL_KEY=" + operatorKey, "SIGNALCTL_APP=example"}
	get := func(args ...string) *result { return run(t, env, "", append([]string{"rooms", "get"}, args...)...) }

	r := get("busy")
	r.fails(app.ExitFailed, "Too many requests (rate_limited, 429): slow down", "body.capacity: expected number", "it may succeed in 1.5s")
	require.NotContains(t, r.err, "\x1b", "nobody else steers the terminal")
	r = get("busy", "--json")
	r.fails(app.ExitFailed)
	var p struct{ RetryAfter int }
	require.NoError(t, json.Unmarshal([]byte(r.err), &p), r.err)
	require.Equal(t, 1500, p.RetryAfter)
	get("page").fails(app.ExitFailed, "not the server API")
	get("elsewhere").fails(app.ExitFailed, "not the server API")
	require.Contains(t, get("a/b").ok(), "a/b")
	get("hangs", "--timeout", "50ms").fails(app.ExitFailed, "did not answer within 50ms (--timeout)")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	run(t, env, "", "nodes", "--url", "http://"+listener.Addr().String()).fails(app.ExitFailed, "cannot be reached", "api.keys")
}

// A token that is minted here opens the same doors as one that the API mints.
func TestToken(t *testing.T) {
	t.Parallel()
	c := start(t, "gateway-1")
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(appSecret+"\n"), 0o600))
	for name, args := range map[string][]string{
		"here":           {"--secret-file", secret, "--kid", "2026-11"},
		"by the API":     {},
		"of a named key": {"--kid", "2026-11"},
	} {
		t.Run(name, func(t *testing.T) {
			var minted struct {
				Token   string
				Key     string
				Expires time.Time
			}
			c.run(t, append([]string{"token", "--json", "--user", "ada", "--name", "Ada", "--expires", "5m", "--room", "lobby:", "--room", "hall"}, args...)...).json(&minted)
			require.Equal(t, "2026-11", minted.Key)
			require.InDelta(t, float64(5*time.Minute), float64(time.Until(minted.Expires)), float64(patience))
			ada, err := client.Dial(t.Context(), client.Options{URL: c.url(0), Token: minted.Token, Origin: c.url(0)})
			require.NoError(t, err)
			defer ada.Close()
			require.Equal(t, "ada", ada.Welcome().User)
			_, err = ada.Join(t.Context(), wire.Join{Room: "lobby"})
			require.NoError(t, err)
			_, err = ada.Publish(t.Context(), wire.Publish{Room: "lobby", Data: json.RawMessage(`1`)})
			require.Equal(t, wire.CodeForbidden, codeOf(err), "only to listen")
			_, err = ada.Join(t.Context(), wire.Join{Room: "hall"})
			require.NoError(t, err)
			_, err = ada.Publish(t.Context(), wire.Publish{Room: "hall", Data: json.RawMessage(`1`)})
			require.NoError(t, err)
			_, err = ada.Join(t.Context(), wire.Join{Room: "other"})
			require.Equal(t, wire.CodeForbidden, codeOf(err))
		})
	}
	every := strings.TrimSpace(c.run(t, "token", "--user", "ben").ok())
	ben, err := client.Dial(t.Context(), client.Options{URL: c.url(0), Token: every, Origin: c.url(0)})
	require.NoError(t, err)
	defer ben.Close()
	_, err = ben.Join(t.Context(), wire.Join{Room: "any"})
	require.NoError(t, err, "without --room, every room")

	t.Run("a private key", func(t *testing.T) {
		public, private, err := auth.GenerateKey("pair", auth.ES256)
		require.NoError(t, err)
		env := c.env("SIGNALCTL_APP=made")[1:]
		env[1] = "SIGNALCTL_APP=made"
		env = append([]string{"SIGNALCTL_URL=" + c.api()}, env...)
		run(t, env, "", "apps", "create", "made").ok()
		run(t, env, public.PublicKey, "apps", "keys", "create", "--id", "pair", "--algorithm", "ES256", "--public-key-file", "-").ok()
		signed := strings.TrimSpace(run(t, env, string(private.PrivateKey), "token", "--user", "cem", "--private-key-file", "-", "--algorithm", "ES256", "--kid", "pair").ok())
		cem, err := client.Dial(t.Context(), client.Options{URL: c.url(0), Token: signed, Origin: c.url(0)})
		require.NoError(t, err)
		cem.Close()
		r := run(t, env, "no key", "token", "--user", "cem", "--private-key-file", "-")
		r.fails(app.ExitFailed, "not one PEM block")
		require.NotContains(t, r.err, "no key")
	})
}

func codeOf(err error) wire.Code {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Code
	}
	return ""
}

// What is done to rooms and members reaches those who are in them.
func TestRoomsAndMembers(t *testing.T) {
	t.Parallel()
	c := start(t, "gateway-1")
	events := make(chan wire.Event, 64)
	ada := c.join(t, 0, "ada", "lobby", func(e wire.Event) { events <- e })
	peer := ada.Welcome().Session

	c.run(t, "send", `{"n":1}`, "--room", "lobby", "--topic", "news").ok()
	require.JSONEq(t, `{"n":1}`, string(next[*wire.Message](t, events).Data))
	run(t, c.env(), "line\n", "send", "-", "--text", "--room", "lobby", "--peer", peer).ok()
	require.Equal(t, `"line"`, string(next[*wire.Message](t, events).Data))
	c.run(t, "send", "2", "--user", "ada").ok()
	require.Equal(t, "2", string(next[*wire.Message](t, events).Data))
	c.run(t, "send", "3", "--user", "ada", "--everybody").ok()
	require.Equal(t, "3", string(next[*wire.Message](t, events).Data))
	require.Equal(t, "sent 1 message\n", c.run(t, "send", "4", "--whole-app").ok())
	require.Equal(t, "4", string(next[*wire.Message](t, events).Data))

	c.run(t, "peers", "mute", "lobby", peer, "--kind", "video").ok()
	require.Equal(t, "mute", next[*wire.Controlling](t, events).Action)
	c.run(t, "peers", "unmute", "lobby", "--all", "--kind", "video").ok()
	require.Equal(t, "unmute", next[*wire.Controlling](t, events).Action)
	c.run(t, "peers", "move", "lobby", peer, "hall").ok()
	require.Equal(t, "move", next[*wire.Controlling](t, events).Action)

	var listed struct{ Members []struct{ Peer, User string } }
	c.run(t, "peers", "list", "lobby", "--json").json(&listed)
	require.Len(t, listed.Members, 1)
	require.Equal(t, peer, listed.Members[0].Peer)
	c.run(t, "kick", "lobby", "nobody").fails(app.ExitFailed, "(peer_gone, 404)")
	c.run(t, "kick", "lobby", peer, "--reason", "no spam").ok()
	require.Equal(t, &wire.Closed{Reason: wire.ReasonKicked, Text: "no spam"}, next[*wire.Closed](t, events))
	c.run(t, "rooms", "get", "lobby").fails(app.ExitFailed, "(not_found, 404)")

	c.run(t, "rooms", "create", "hall", "--capacity", "2", "--property", `plan={"a":1}`, "--property", "topic=hello there").ok()
	c.run(t, "rooms", "create", "hall").fails(app.ExitFailed, "(conflict, 409)")
	c.run(t, "rooms", "update", "hall", "--locked", "--property", "plan=null").ok()
	c.run(t, "rooms", "update", "hall", "--locked=false", "--if-version", "1").fails(app.ExitFailed, "the present version is 2")
	var hall struct {
		Capacity   int
		Locked     bool
		Properties map[string]any
	}
	c.run(t, "rooms", "get", "hall", "--json").json(&hall)
	require.Equal(t, 2, hall.Capacity)
	require.True(t, hall.Locked)
	require.Equal(t, map[string]any{"topic": "hello there"}, hall.Properties)
	_, err := ada.Join(t.Context(), wire.Join{Room: "hall"})
	require.Equal(t, wire.CodeRoomLocked, codeOf(err))
	c.run(t, "rooms", "update", "hall", "--locked=false").ok()
	_, err = ada.Join(t.Context(), wire.Join{Room: "hall"})
	require.NoError(t, err)
	require.Regexp(t, `(?s)^ROOM .*\nhall  .*$`, c.run(t, "rooms", "list", "--prefix", "ha").ok())
	require.NotContains(t, c.run(t, "rooms", "list", "--prefix", "hals").ok(), "hall")
	require.Equal(t, "room hall is closed, with 1 member in it\n", c.run(t, "rooms", "close", "hall", "--reason", "The class is over").ok())
	require.Equal(t, &wire.Closed{Reason: wire.ReasonClosed, Text: "The class is over"}, next[*wire.Closed](t, events))
}

// next gives the next event of a type.
func next[T wire.EventBody](tb testing.TB, events <-chan wire.Event) T {
	tb.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-events:
			if body, ok := e.Body.(T); ok {
				return body
			}
		case <-timer.C:
			var none T
			tb.Fatalf("no %T came", none)
			return none
		}
	}
}

// Lists are read to their end, page by page, and no further than was asked for.
func TestListsInPages(t *testing.T) {
	asked := 0
	var prefixes []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if prefix, there := r.URL.Query()["prefix"]; there {
			prefixes = append(prefixes, prefix...)
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("cursor") == "" {
			_, _ = w.Write([]byte(`{"rooms":[{"room":"b"},{"room":"a"}],"next":"more"}`))
			return
		}
		_, _ = w.Write([]byte(`{"rooms":[{"room":"c\u001b[2J"}]}`))
	}))
	defer server.Close()
	env := []string{"SIGNALCTL_URL=" + server.URL, "SIGNALCTL_KEY=sbk.example.0123456789"} // which names the app
	require.Regexp(t, `(?s)^ROOM .*\na  .*\nb  .*\nc\x{FFFD}\[2J .*$`, run(t, env, "", "rooms", "list").ok())
	require.Equal(t, 2, asked)
	var listed struct{ Rooms []json.RawMessage }
	run(t, env, "", "rooms", "list", "--limit", "2", "--json").json(&listed)
	require.Len(t, listed.Rooms, 2)
	require.Equal(t, 3, asked)
	run(t, env, "", "rooms", "list", "--prefix", "lob").ok()
	require.Equal(t, []string{"lob", "lob"}, prefixes, "of each page")
}

// What the shell completes comes from the cluster; when that is away, nothing does, and nothing is said.
func TestCompletion(t *testing.T) {
	t.Parallel()
	c := start(t, "gateway-1")
	ada := c.join(t, 0, "ada", "lobby", nil)
	c.run(t, "rooms", "create", "hall").ok()
	for line, want := range map[string]string{
		"rooms get |":                 "hall\nlobby\n",
		"rooms get |lo":               "lobby\n",
		"watch |h":                    "hall\n",
		"kick lobby |":                ada.Welcome().Session + "\n",
		"peers move lobby p |":        "hall\nlobby\n",
		"send {} --room |":            "hall\nlobby\n",
		"rooms list --app |":          "demo\nexample\n",
		"apps get |d":                 "demo\n",
		"drain |":                     "gateway-1\n",
		"rooms get lobby |":           "",
		"rooms get --app nothing |":   "",
		"rooms get --url http://[ |x": "",
	} {
		before, toComplete, _ := strings.Cut(line, "|")
		r := c.run(t, append(append([]string{"__complete"}, strings.Fields(before)...), toComplete)...)
		require.Equal(t, want+":4\n", r.ok(), line)
	}
	require.Contains(t, run(t, nil, "", "completion", "bash").ok(), "bash completion")
}

// A watch that is cut off goes on behind the last event that it has shown.
func TestWatchGoesOn(t *testing.T) {
	asked := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-ID")
		asked <- last
		w.Header().Set("Content-Type", "text/event-stream")
		switch last {
		case "":
			_, _ = w.Write([]byte("id: e.1\nevent: snapshot\ndata: {\"room\":\"lobby\",\"members\":1,\"capacity\":3,\"version\":4}\n\n: beat\n\n" +
				"id: e.2\nevent: message\ndata: {\"type\":\"message\",\ndata: \"data\":1}\n\nid: e.3\nevent: half")) // of which no rest comes
		case "e.2":
			_, _ = w.Write([]byte("id: e.3\r\nevent: state\r\ndata: {\"type\":\"state\",\"peer\":\"p\",\"seq\":3}\r\n\r\n"))
			_, _ = w.Write([]byte("id: e.4\nevent: closed\ndata: {\"type\":\"closed\",\"room\":\"lobby\"}\n\n"))
		}
	}))
	defer server.Close()
	env := []string{"SIGNALCTL_URL=" + server.URL, "SIGNALCTL_KEY=" + operatorKey, "SIGNALCTL_APP=example"}
	r := run(t, env, "", "watch", "lobby")
	require.Equal(t, "    1  snapshot  lobby, 1/3 seats taken, version 4\n    2  message  data=1\n    3  state  peer=\"p\"\n    4  closed\n", r.ok())
	require.Contains(t, r.err, "asked for again")
	require.Equal(t, "", <-asked)
	require.Equal(t, "e.2", <-asked)

	r = run(t, env, "", "watch", "lobby", "--json", "--after", "e.2", "--count", "1")
	require.JSONEq(t, `{"id":"e.3","event":"state","data":{"type":"state","peer":"p","seq":3}}`, r.ok())
	require.Equal(t, 1, strings.Count(r.out, "\n"), "one line an event")
}

// A watch of a room shows what happens while it watches, and ends with the room, or when it is interrupted.
func TestWatch(t *testing.T) {
	t.Parallel()
	c := start(t, "gateway-1")
	c.run(t, "watch", "nothing").fails(app.ExitFailed, "(not_found, 404)")
	c.join(t, 0, "ada", "lobby", nil)

	lines := newLines()
	done := make(chan int, 1)
	go func() {
		done <- app.Main(t.Context(), app.Process{Args: []string{"watch", "lobby"}, Env: c.env(), Out: lines, Err: lines})
	}()
	require.Contains(t, lines.next(t), "snapshot  lobby, 1/3 seats taken")
	c.join(t, 0, "ben", "lobby", nil)
	require.Regexp(t, `joined-peer .*"ben"`, lines.next(t))
	c.run(t, "rooms", "close", "lobby").ok()
	for !strings.Contains(lines.next(t), "  closed") {
	}
	require.Equal(t, app.ExitOK, <-done)

	c.run(t, "rooms", "create", "hall").ok()
	ctx, interrupt := context.WithCancel(t.Context())
	lines = newLines()
	go func() {
		done <- app.Main(ctx, app.Process{Args: []string{"watch", "hall", "--json"}, Env: c.env(), Out: lines, Err: lines})
	}()
	require.Contains(t, lines.next(t), `"event":"snapshot"`)
	interrupt()
	require.Equal(t, app.ExitOK, <-done)
	require.Empty(t, lines.lines, "nothing is said about it")
}

// lines takes what is written apart.
type lines struct {
	rest  string
	lines chan string
}

func newLines() *lines { return &lines{lines: make(chan string, 256)} }

func (l *lines) Write(p []byte) (int, error) {
	l.rest += string(p)
	for {
		line, rest, whole := strings.Cut(l.rest, "\n")
		if !whole {
			return len(p), nil
		}
		l.rest = rest
		l.lines <- line
	}
}

func (l *lines) next(tb testing.TB) string {
	tb.Helper()
	select {
	case line := <-l.lines:
		return line
	case <-time.After(patience):
		tb.Fatal("nothing more was written")
		return ""
	}
}
