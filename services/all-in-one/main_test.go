package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	opts, err := parse([]string{"--ports", "1, 2,3", "--host", "127.0.0.1", "--redis", "redis://r:1"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, &options{redis: "redis://r:1", host: "127.0.0.1", ports: []string{"1", "2", "3"}, logLevel: "warn"}, opts)

	for args, want := range map[string]string{
		"--ports 80,x":    `"x" is not a port`,
		"--ports 65536":   `"65536" is not a port`,
		"--ports ":        `"" is not a port`,
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
				ended <- run(ctx, &options{redis: url, host: "127.0.0.1", ports: []string{"0", "0"}, logLevel: "error"}, out)
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
			http.DefaultClient.CloseIdleConnections()
			meet(t, pages)

			end()
			require.NoError(t, <-ended)
			for _, page := range pages {
				_, err := http.Get(page)
				require.Error(t, err, "its port is still open")
			}
		})
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
