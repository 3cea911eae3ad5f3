package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	relay "github.com/signalbox-rtc/signalbox/services/relay/app"
)

// relaySecret is what the relay shares with the gateways.
const relaySecret = auth.Secret("what-relay-and-gateways-share")

// startRelay runs a relay in this process until the test ends. Its clients may reach each other by way of it.
func startRelay(tb testing.TB, redis string) *relay.Relay {
	tb.Helper()
	config := relay.Default()
	anyPort := []string{"127.0.0.1:0"}
	config.Listen.UDP, config.Listen.TCP, config.Listen.Operations, config.Listen.Sockets = anyPort, anyPort, anyPort[0], 1
	config.Relay.ExternalIP, config.Relay.Region = []string{"127.0.0.1"}, "eu-west"
	config.Credentials.Secrets = []auth.Secret{relaySecret}
	config.Peers.Allow = []string{"127.0.0.0/8"}
	config.Announce.Enabled, config.Redis.Addresses = true, []string{redis}
	config.Shutdown.Drain = 0
	r, err := relay.Open(tb.Context(), relay.Options{Config: config, Logger: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(telemetry.Build{})})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-ended)
	})
	return r
}

// relayed is somebody who sends to itself by way of the relay that its gateway tells of, and to somebody who may not be reached; now and then
// with a password of another secret.
func (c *cluster) relayed(ctx context.Context) error {
	n := c.allocations.Add(1)
	told, err := client.Dial(ctx, client.Options{URL: c.url(0), App: "demo", Name: "Fay"})
	if err != nil {
		return err
	}
	defer told.Close()
	transport := []string{"udp", "udp", "tcp"}[n%3]
	for _, server := range told.Welcome().ICEServers {
		for _, url := range server.URLs {
			address, found := strings.CutSuffix(strings.TrimPrefix(url, "turn:"), "?transport="+transport)
			if !found {
				continue
			}
			password := server.Credential
			if n%10 == 5 {
				password = "made-with-another-secret"
			}
			err := sendThrough(ctx, transport, address, server.Username, password)
			if n%10 == 5 && err != nil {
				return nil
			}
			return err
		}
	}
	return nil // the gateway has not heard of the relay yet
}

func sendThrough(ctx context.Context, transport, address, username, password string) error {
	conn, err := openTo(ctx, transport, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	through, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Conn: conn, Username: username, Password: password, RTO: time.Second, LoggerFactory: quiet,
	})
	if err != nil {
		return err
	}
	defer through.Close()
	if err := through.Listen(); err != nil {
		return err
	}
	allocation, err := through.Allocate()
	if err != nil {
		return fmt.Errorf("an allocation by %s: %w", transport, err)
	}
	defer allocation.Close()
	if err := through.CreatePermission(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 50000}); err == nil {
		return errors.New("a private address was let be a peer")
	}
	buffer := make([]byte, 1500)
	for range 20 {
		if _, err := allocation.WriteTo(make([]byte, 1000), allocation.LocalAddr()); err != nil {
			return err
		}
		if err := allocation.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, _, err := allocation.ReadFrom(buffer); err != nil {
			return err
		}
	}
	return nil
}

// openTo opens what a client talks to the relay over.
func openTo(ctx context.Context, transport, address string) (net.PacketConn, error) {
	if transport == "udp" {
		return new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return turn.NewSTUNConn(conn), nil
}
