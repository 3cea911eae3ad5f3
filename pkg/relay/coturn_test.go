package relay_test

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// The other implementation that is in use everywhere: its client at our relay, and a client at it with our credentials.

// mustFind finds a program of Debian's package coturn.
func mustFind(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "%s is missing: apt-get install coturn (make deps does)", name)
	return path
}

// coturn's client makes allocations in pairs, which send to each other through the relay, and counts what arrives.
func TestCoturnsClient(t *testing.T) {
	program := mustFind(t, "turnutils_uclient")
	n := startRelay(t, nil)
	for name, flags := range map[string][]string{"udp": nil, "tcp": {"-t"}, "tls": {"-t", "-S"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for seconds
			address := n.at(t, name, false)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			const clients, messages = 2, 10
			command := exec.CommandContext(ctx, program, append(flags, "-c", "-y", "-m", strconv.Itoa(clients), "-n", strconv.Itoa(messages), "-l", "200",
				"-u", "ann", "-W", secret, "-p", strconv.Itoa(int(address.Port())), address.Addr().String())...)
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%s", output)
			total := regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`).FindAllSubmatch(output, -1)
			require.NotEmpty(t, total, "%s", output)
			last := total[len(total)-1]
			require.Equal(t, strconv.Itoa(clients*messages), string(last[1]), "%s", output)
			require.Equal(t, string(last[1]), string(last[2]), "%s", output)
			require.Positive(t, n.value(t, "signalbox_relay_allocations_total", map[string]string{"transport": name}))
		})
	}
}

// What gateways give out is good at a coturn that has the same secret.
func TestCredentialsAtCoturn(t *testing.T) {
	program := mustFind(t, "turnserver")
	dir := t.TempDir()
	free := peer(t, "127.0.0.1:0")
	address := free.LocalAddr().String()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	require.NoError(t, free.Close())
	command := exec.Command(program, "-n", "--listening-ip=127.0.0.1", "--listening-port="+port, "--relay-ip=127.0.0.1", "--use-auth-secret",
		"--static-auth-secret="+secret, "--realm=signalbox", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli",
		"--log-file=stdout", "--simple-log", "--pidfile="+filepath.Join(dir, "pid"), "--userdb="+filepath.Join(dir, "db"), "--min-port=40000", "--max-port=48000")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	process, err := childproc.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := relay.Reflexive(ctx, "udp4", address)
		return err == nil
	}, patience, 10*time.Millisecond)

	conn := peer(t, "127.0.0.1:0")
	made := turncred.New(secret, "acme", "ann", time.Now().Add(time.Hour))
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	for password, good := range map[string]bool{made.Password: true, strings.ToLower(made.Password): false} {
		client, err := turn.NewClient(&turn.ClientConfig{
			STUNServerAddr: address, TURNServerAddr: address, Conn: conn, Username: made.Username, Password: password, RTO: time.Second, LoggerFactory: quiet,
		})
		require.NoError(t, err)
		require.NoError(t, client.Listen())
		relayed, err := client.Allocate()
		if !good {
			require.Error(t, err)
			client.Close()
			conn = peer(t, "127.0.0.1:0")
			continue
		}
		require.NoError(t, err)
		other := peer(t, "127.0.0.1:0")
		mustWrite(t, relayed, "by way of coturn", other.LocalAddr())
		got, from := mustRead(t, other)
		require.Equal(t, "by way of coturn", got)
		mustWrite(t, other, "and back", from)
		got, _ = mustRead(t, relayed)
		require.Equal(t, "and back", got)
		require.NoError(t, relayed.Close())
		client.Close()
		conn = peer(t, "127.0.0.1:0")
	}
}
