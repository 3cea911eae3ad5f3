package main

import (
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	opts, err := parse([]string{"--ports", "1, 2,3", "--host", "127.0.0.1", "--redis", "redis://r:1", "--origins", "http://a.example, *"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, &options{
		redis: "redis://r:1", host: "127.0.0.1", ports: []string{"1", "2", "3"}, origins: []string{"http://a.example", "*"}, logLevel: "warn",
	}, opts)

	for args, want := range map[string]string{
		"--ports 80,x":    `"x" is not a port`,
		"--ports 65536":   `"65536" is not a port`,
		"--ports ":        `"" is not a port`,
		"--origins x/y":   `--origins: "x/y": an origin is`,
		"--prots 1":       "flag provided but not defined: -prots",
		"--host h what's": `"what's" is not a flag`,
	} {
		_, err := parse(strings.Split(args, " "), io.Discard)
		require.ErrorContains(t, err, want, args)
	}

	var help strings.Builder
	_, err = parse([]string{"--help"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, help.String(), "-redis URL")
}

// Two people on the two gateways that it names are in one room; at its end nothing of it is left.
func TestRun(t *testing.T) {
	for name, redis := range map[string]func(*testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"real":     func(t *testing.T) string { return redistest.Single(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			url := redis(t)
			out := &output{greeted: make(chan struct{})}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			ended := make(chan error, 1)
			go func() {
				ended <- run(ctx, &options{redis: url, host: "127.0.0.1", ports: []string{"0", "0"}, origins: []string{"http://localhost:5173"}, logLevel: "error"}, out)
			}()
			select {
			case <-out.greeted:
			case err := <-ended:
				t.Fatal("it ended before it was ready:", err)
			case <-time.After(30 * time.Second):
				t.Fatal("it did not say what to open")
			}
			text := out.String()
			require.Equal(t, url == "", strings.Contains(text, "it keeps nothing"), text)
			pages := regexp.MustCompile(`http://[0-9.:]+/call\.html`).FindAllString(text, -1)
			require.Len(t, pages, 2, text)
			for _, page := range pages {
				reply, err := http.Get(page)
				require.NoError(t, err)
				require.NoError(t, reply.Body.Close())
				require.Equal(t, http.StatusOK, reply.StatusCode)
			}
			requireOrigins(t, pages[0])
			http.DefaultClient.CloseIdleConnections()
			meet(t, pages)
			relayThrough(t, pages[1])

			end()
			require.NoError(t, <-ended)
			for _, page := range pages {
				_, err := http.Get(page)
				require.Error(t, err, "its port is still open")
			}
		})
	}
}

// requireOrigins looks at which pages may connect: those of a development server, and not those of another site.
func requireOrigins(t *testing.T, page string) {
	t.Helper()
	for origin, want := range map[string]int{"http://localhost:5173": http.StatusOK, "http://localhost:5174": http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(page, "call.html")+"socket.io/?EIO=4&transport=polling", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Origin", origin)
		reply, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, want, reply.StatusCode, origin)
	}
}

// meet has two clients meet through two gateways.
func meet(t *testing.T, pages []string) {
	t.Helper()
	came := make(chan wire.Event, 16)
	var names []string
	for i, page := range pages {
		address := "ws" + strings.TrimSuffix(strings.TrimPrefix(page, "http"), "/call.html") + "/v1/connect"
		opts := client.Options{URL: address, App: "demo", Name: "Ada"}
		if i == 0 {
			opts.OnEvent = func(event wire.Event) { came <- event }
		}
		c, err := client.Dial(t.Context(), opts)
		require.NoError(t, err)
		defer c.Close()
		snapshot, err := c.Join(t.Context(), wire.Join{Room: "hello", Capacity: 2})
		require.NoError(t, err)
		require.Len(t, snapshot.Peers, i+1)
		names = append(names, c.Welcome().Node)
	}
	require.Equal(t, []string{"gateway-1", "gateway-2"}, names)
	select {
	case event := <-came:
		require.IsType(t, new(wire.JoinedPeer), event.Body)
	case <-time.After(10 * time.Second):
		t.Fatal("the first one was not told that the second came")
	}
}

// relayThrough has a client that a gateway has told of the relay send itself something by way of that.
func relayThrough(t *testing.T, page string) {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{
		URL: "ws" + strings.TrimSuffix(strings.TrimPrefix(page, "http"), "/call.html") + "/v1/connect", App: "demo", Name: "Ada",
	})
	require.NoError(t, err)
	defer c.Close()
	servers := c.Welcome().ICEServers
	require.Len(t, servers, 1)
	var address string
	for _, url := range servers[0].URLs {
		if host, ok := strings.CutPrefix(url, "turn:"); ok && strings.HasSuffix(host, "?transport=udp") {
			address = strings.TrimSuffix(host, "?transport=udp")
		}
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	through, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Conn: conn, Username: servers[0].Username, Password: servers[0].Credential,
		RTO: time.Second, LoggerFactory: quiet,
	})
	require.NoError(t, err)
	defer through.Close()
	require.NoError(t, through.Listen())
	relayed, err := through.Allocate()
	require.NoError(t, err)
	defer func() { require.NoError(t, relayed.Close()) }()
	_, err = relayed.WriteTo([]byte("to myself"), relayed.LocalAddr())
	require.NoError(t, err)
	require.NoError(t, relayed.SetReadDeadline(time.Now().Add(10*time.Second)))
	buffer := make([]byte, 100)
	n, _, err := relayed.ReadFrom(buffer)
	require.NoError(t, err)
	require.Equal(t, "to myself", string(buffer[:n]))
}

func TestNoRelay(t *testing.T) {
	for _, opts := range []*options{{host: "localhost", noRelay: true}, {host: "a.name.of.the.network"}, {host: "0.0.0.0"}} {
		r, err := openRelay(t.Context(), opts)
		require.NoError(t, err)
		require.Empty(t, r.servers())
		require.NoError(t, r.run(t.Context()))
		r.Close()
	}
	opened, err := openRelay(t.Context(), &options{host: "localhost", logLevel: "error"})
	require.NoError(t, err)
	require.Len(t, opened.servers(), 1)
	opened.Close()
}

// A port that is taken is said, and the gateway that was open already is closed.
func TestRunFails(t *testing.T) {
	err := run(t.Context(), &options{host: "127.0.0.1", ports: []string{"0", "70000"}, logLevel: "error"}, io.Discard)
	require.ErrorContains(t, err, "listen.public")
	err = run(t.Context(), &options{host: "127.0.0.1", ports: []string{"0"}, redis: "redis://127.0.0.1:1", logLevel: "error"}, io.Discard)
	require.ErrorContains(t, err, "redis")
}

// output is written by run and read by the test.
type output struct {
	greeted chan struct{}

	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer close(o.greeted) // there is one greeting
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
