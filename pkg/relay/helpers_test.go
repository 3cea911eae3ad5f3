package relay_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The secrets of the relays in these tests: the one that is given out with, and the one before it.
const (
	secret    = "the secret of these tests"
	oldSecret = "the secret of last month"
)

// discard is a log for nobody.
var discard = slog.New(slog.DiscardHandler)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// node is a relay that runs.
type node struct {
	*relay.Server
	registry *prometheus.Registry
	end      func() // ends it, and waits for that
}

// startRelay runs a relay on loopback addresses, that may relay between these, as the options are changed.
func startRelay(t testing.TB, change func(*relay.Options)) *node {
	t.Helper()
	n := &node{registry: prometheus.NewRegistry()}
	options := relay.Options{
		UDP: []string{"127.0.0.1:0"}, TCP: []string{"127.0.0.1:0"}, TLS: []string{"127.0.0.1:0"}, TLSConfig: serverTLS(t), Sockets: 2,
		Secrets: []string{secret, oldSecret}, External: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Allow:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Logger: discard, Registerer: n.registry,
	}
	if change != nil {
		change(&options)
	}
	var err error
	n.Server, err = relay.Open(t.Context(), options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	ended := false
	n.end = func() {
		cancel()
		if !ended {
			ended = true
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(n.end)
	return n
}

// withIPv6 has a relay serve both families; the test is over where the machine has no IPv6.
func withIPv6(t *testing.T) func(*relay.Options) {
	t.Helper()
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6:", err)
	}
	require.NoError(t, probe.Close())
	return func(o *relay.Options) {
		o.UDP, o.TCP, o.TLS = append(o.UDP, "[::1]:0"), append(o.TCP, "[::1]:0"), append(o.TLS, "[::1]:0")
		o.External = append(o.External, netip.IPv6Loopback())
	}
}

// serverTLS is a certificate of nobody. Clients in these tests do not look at it.
func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// at is the relay's address for a transport, of a family.
func (n *node) at(t testing.TB, transport string, six bool) netip.AddrPort {
	t.Helper()
	for _, address := range n.Addrs(transport) {
		if address.Addr().Is6() == six {
			return address
		}
	}
	require.Fail(t, "no address", transport)
	return netip.AddrPort{}
}

// dial opens what a client talks to the relay over.
func (n *node) dial(t testing.TB, transport string, six bool) net.PacketConn {
	t.Helper()
	address := n.at(t, transport, six)
	if transport == "udp" {
		conn, err := net.ListenPacket("udp", netip.AddrPortFrom(address.Addr(), 0).String())
		require.NoError(t, err)
		return conn
	}
	conn, err := net.DialTimeout("tcp", address.String(), patience)
	require.NoError(t, err)
	if transport == "tls" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see serverTLS
	}
	return turn.NewSTUNConn(conn)
}

// client is a stock TURN client.
type client struct {
	*turn.Client
	conn net.PacketConn
}

// options of a client.
type dialing struct {
	transport          string
	six                bool // comes over IPv6
	username, password string
	realm              string
	family             turn.RequestedAddressFamily
}

// credentials are good ones of an app's user.
func credentials(user string) dialing {
	made := turncred.New(secret, "acme", user, time.Now().Add(time.Hour))
	return dialing{transport: "udp", username: made.Username, password: made.Password}
}

// connect makes a client; it has no allocation yet.
func (n *node) connect(t testing.TB, d dialing) *client {
	t.Helper()
	c := &client{conn: n.dial(t, d.transport, d.six)}
	address := n.at(t, d.transport, d.six).String()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	var err error
	c.Client, err = turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Conn: c.conn, Username: d.username, Password: d.password, Realm: d.realm,
		RTO: time.Second, LoggerFactory: quiet, RequestedAddressFamily: d.family,
	})
	require.NoError(t, err)
	require.NoError(t, c.Listen())
	t.Cleanup(c.stop)
	return c
}

func (c *client) stop() {
	c.Close()
	_ = c.conn.Close()
}

// mustAllocate gives a client's relayed address.
func (n *node) mustAllocate(t testing.TB, d dialing) (*client, net.PacketConn) {
	t.Helper()
	c := n.connect(t, d)
	relayed, err := c.Allocate()
	require.NoError(t, err)
	t.Cleanup(func() { _ = relayed.Close() })
	return c, relayed
}

// peer is a socket that clients reach through the relay.
func peer(t testing.TB, address string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// mustRead reads one packet, and says from whom.
func mustRead(t testing.TB, conn net.PacketConn) (string, net.Addr) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 2000)
	n, from, err := conn.ReadFrom(buffer)
	require.NoError(t, err)
	return string(buffer[:n]), from
}

func mustWrite(t testing.TB, conn net.PacketConn, text string, to net.Addr) {
	t.Helper()
	_, err := conn.WriteTo([]byte(text), to)
	require.NoError(t, err)
}

// value is that of a metric, of the series that has all of the labels, given as name=value.
func (n *node) value(t testing.TB, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, series := range family.GetMetric() {
			if matches(series, labels) {
				return series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	require.Fail(t, "no such series", "%s %v", name, labels)
	return 0
}

func matches(series *dto.Metric, labels map[string]string) bool {
	for _, label := range series.GetLabel() {
		if want, ok := labels[label.GetName()]; ok && want != label.GetValue() {
			return false
		}
	}
	return true
}

// reaches waits until a metric has a value.
func (n *node) reaches(t testing.TB, want float64, name string, labels map[string]string) {
	t.Helper()
	require.Eventually(t, func() bool { return n.value(t, name, labels) == want }, patience, time.Millisecond,
		"%s %v is %s", name, labels, strconv.FormatFloat(n.value(t, name, labels), 'g', -1, 64))
}
