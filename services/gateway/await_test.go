package main_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What a gateway logs while it waits for Redis.
const (
	waits  = "Redis cannot be reached: the gateway waits for it"
	denied = "Redis does not take this gateway's user or password: the gateway waits until it does"
)

// waiting is a gateway that was started when it could not reach Redis.
type waiting struct {
	public, operations string
	log                *output
	signal             func(syscall.Signal) error
	exited             chan error
}

func startWaiting(t *testing.T, says, redisURL string) *waiting {
	t.Helper()
	file := configFile(t, "listen: {public: '127.0.0.1:0', operations: '127.0.0.1:0', cluster: '127.0.0.1:0'}\ndemo: {enabled: true}\n"+quickEnd)
	cmd := command(t, []string{"SIGNALBOX_REDIS_URL=" + redisURL}, "--config", file, "--node.name=early")
	w := &waiting{log: new(output), exited: make(chan error, 1)}
	cmd.Stderr = w.log
	require.NoError(t, cmd.Start())
	w.signal = func(s syscall.Signal) error { return cmd.Process.Signal(s) }
	go func() { w.exited <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	w.public, w.operations = w.log.says(t, says)
	return w
}

// end tells the gateway to end, which it does with success.
func (w *waiting) end(t *testing.T) {
	t.Helper()
	require.NoError(t, w.signal(syscall.SIGTERM))
	select {
	case err := <-w.exited:
		require.NoError(t, err, w.log.String())
	case <-time.After(patience):
		require.FailNow(t, "the gateway does not end", w.log.String())
	}
}

// fetch gives the answer to a GET.
func fetch(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

// seat waits until a gateway is ready, at the addresses that it had, and takes a seat in it.
func (w *waiting) seat(t *testing.T) {
	t.Helper()
	public, operations := w.log.ready(t)
	require.Equal(t, []string{w.public, w.operations}, []string{public, operations}, "the addresses stay")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ada, err := client.Dial(ctx, client.Options{URL: "ws://" + public, App: "demo", Name: "Ada"})
	require.NoError(t, err)
	defer ada.Close()
	_, err = ada.Join(ctx, wire.Join{Room: "r"})
	require.NoError(t, err)
	response, text := fetch(t, "http://"+operations+"/readyz")
	require.Equal(t, http.StatusOK, response.StatusCode, text)
}

// A gateway that comes before Redis does not end: Kubernetes would start it again after ever longer pauses, at last five
// minutes, and meanwhile nobody could ask it what it lacks.
func TestRedisComesLater(t *testing.T) {
	redis := redistest.Single(t)
	redis.Kill()
	began := time.Now()
	w := startWaiting(t, waits, redis.URL())

	response, _ := fetch(t, "http://"+w.operations+"/livez")
	require.Equal(t, http.StatusOK, response.StatusCode, "a restart would not bring Redis")
	response, text := fetch(t, "http://"+w.operations+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Contains(t, text, `"name":"redis","ready":false`)
	require.Contains(t, text, redis.Addr(), "it says what it cannot reach")
	for _, path := range []string{"/v1/connect", "/socket.io/?EIO=4&transport=polling"} {
		response, text = fetch(t, "http://"+w.public+path)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.Contains(t, text, `"code":"starting"`)
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		require.NoError(t, err)
		require.True(t, 1 <= seconds && seconds <= 8, "%d s", seconds)
	}
	_, text = fetch(t, "http://"+w.operations+"/metrics")
	require.Contains(t, text, `signalbox_accepts_refused_total{reason="starting"} 2`)
	require.Contains(t, text, `signalbox_readiness_failing_seconds{check="redis"} `)
	require.NotContains(t, text, `signalbox_readiness_failing_seconds{check="redis"} 0`+"\n")

	redis.Restart()
	w.seat(t)
	lines := strings.Count(w.log.String(), waits)
	require.LessOrEqual(t, lines, 1+int(time.Since(began)/(30*time.Second)), "not one for each attempt\n%s", w.log.String())
	w.end(t)
}

// A password may be changed in Redis after the gateways have got the new one. It is told apart from a Redis that is not
// there, as it does not come right by itself.
func TestRedisTakesTheUserLater(t *testing.T) {
	const password = "a-password-that-is-nowhere-else"
	redis := redistest.Single(t)
	w := startWaiting(t, denied, strings.Replace(redis.URL(), "redis://", "redis://signalbox:"+password+"@", 1))
	require.Contains(t, w.log.String(), `"level":"ERROR"`)
	_, text := fetch(t, "http://"+w.operations+"/readyz")
	require.Contains(t, text, "WRONGPASS")
	redis.Must("ACL", "SETUSER", "signalbox", "on", ">"+password, "~*", "&*", "+@all")
	w.seat(t)
	w.end(t)
	require.NotContains(t, w.log.String(), password)
	require.NotContains(t, text, password)
}

func TestEndsWhileItWaitsForRedis(t *testing.T) {
	redis := redistest.Single(t)
	redis.Kill()
	startWaiting(t, waits, redis.URL()).end(t)
}
