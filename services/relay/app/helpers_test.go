package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// started is a relay that runs.
type started struct {
	*app.Relay
	cancel context.CancelFunc
	done   chan error
}

// start runs a relay on loopback, as the configuration is changed.
func start(t *testing.T, change func(*app.Config)) *started {
	t.Helper()
	c := app.Default()
	c.Listen.UDP, c.Listen.TCP, c.Listen.Operations = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}, "127.0.0.1:0"
	c.Relay.ExternalIP = []string{"127.0.0.1"}
	c.Credentials.Secrets = []auth.Secret{secret}
	c.Peers.Allow = []string{"127.0.0.0/8"}
	c.Shutdown.Drain = patience
	if change != nil {
		change(c)
	}
	r, err := app.Open(t.Context(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(telemetry.ReadBuild())})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{Relay: r, cancel: cancel, done: make(chan error, 1)}
	go func() {
		s.done <- r.Run(ctx)
		close(s.done)
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-s.done)
	})
	return s
}

// get reads a page of the operations port.
func (s *started) get(t testing.TB, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.OperationsAddr().String()+path, nil)
	require.NoError(t, err)
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

// metricOf reads a series of a page of metrics, 0 if it is not there.
func metricOf(page, series string) float64 {
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			number, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return number
		}
	}
	return 0
}

// address takes host:port out of the first of the URLs that begins and ends so.
func address(t testing.TB, urls []string, begin, end string) string {
	t.Helper()
	for _, url := range urls {
		if strings.HasPrefix(url, begin) && strings.HasSuffix(url, end) {
			return strings.TrimSuffix(strings.TrimPrefix(url, begin), end)
		}
	}
	require.Fail(t, "no such URL", "%v", urls)
	return ""
}

// connect makes a stock client that comes over UDP.
func (s *started) connect(t *testing.T, user string) *turn.Client {
	t.Helper()
	made := turncred.New(secret, "acme", user, time.Now().Add(time.Hour))
	return s.connectWith(t, made.Username, made.Password)
}

func (s *started) connectWith(t *testing.T, username, password string) *turn.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	server := address(t, s.URLs(), "turn:", "?transport=udp")
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Conn: conn, Username: username, Password: password, RTO: time.Second, LoggerFactory: quiet,
	})
	require.NoError(t, err)
	require.NoError(t, client.Listen())
	t.Cleanup(func() {
		client.Close()
		_ = conn.Close()
	})
	return client
}

// exchange sends something through an allocation to a peer, and back.
func exchange(t *testing.T, relayed net.PacketConn) {
	t.Helper()
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = peer.Close() }()
	_, err = relayed.WriteTo([]byte("there"), peer.LocalAddr())
	require.NoError(t, err)
	buffer := make([]byte, 100)
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	n, from, err := peer.ReadFrom(buffer)
	require.NoError(t, err)
	require.Equal(t, "there", string(buffer[:n]))
	_, err = peer.WriteTo([]byte("back"), from)
	require.NoError(t, err)
	require.NoError(t, relayed.SetReadDeadline(time.Now().Add(patience)))
	n, _, err = relayed.ReadFrom(buffer)
	require.NoError(t, err)
	require.Equal(t, "back", string(buffer[:n]))
}
