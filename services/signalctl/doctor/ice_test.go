package doctor_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/signalctl/doctor"
)

const turnSecret = "of a TURN server and the gateways"

// relayServer is a TURN server over UDP, TCP and TLS that takes credentials of the secret, and of the user "u".
func relayServer(t *testing.T, change func(*turn.ServerConfig)) (urls []string, trust *tls.Config) {
	t.Helper()
	page := httptest.NewTLSServer(nil) // for its certificate
	defer page.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	secure, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: page.TLS.Certificates, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	from := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	config := turn.ServerConfig{
		Realm: "tests", LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: udp, RelayAddressGenerator: from}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: tcp, RelayAddressGenerator: from}, {Listener: secure, RelayAddressGenerator: from}},
		AuthHandler: func(ra *turn.RequestAttributes) (string, []byte, bool) {
			password := "c"
			if ra.Username != "u" {
				name, err := turncred.Parse(ra.Username)
				if err != nil || time.Now().After(name.Expires) {
					return "", nil, false
				}
				password = turncred.Password(turnSecret, ra.Username)
			}
			return ra.Username, turn.GenerateAuthKey(ra.Username, ra.Realm, password), true
		},
	}
	if change != nil {
		change(&config)
	}
	server, err := turn.NewServer(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	trust = page.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	return []string{"turn:" + udp.LocalAddr().String(), "turn:" + tcp.Addr().String() + "?transport=tcp", "turns:" + secure.Addr().String()}, trust
}

// With credentials, an address is taken as clients take one, and what keeps them from it is said.
func TestTakesAllocations(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	open(t, redis, "gateway-1", nil)
	urls, trust := relayServer(t, nil)
	full, _ := relayServer(t, func(c *turn.ServerConfig) { c.QuotaHandler = func(string, string, net.Addr) bool { return false } })
	for _, tc := range []struct {
		name          string
		server        gateway.ICEServer
		status        doctor.Status
		says, advises string
	}{
		{"well", gateway.ICEServer{URLs: urls, Secret: turnSecret}, doctor.OK, "relays from 127.0.0.1:", ""},
		{"a fixed user", gateway.ICEServer{URLs: urls, Username: "u", Credential: "c"}, doctor.OK, "relays from 127.0.0.1:", ""},
		{"another secret", gateway.ICEServer{URLs: urls, Secret: "which the server does not know"}, doctor.Fail, "401", "static-auth-secret"},
		{"another password", gateway.ICEServer{URLs: urls, Username: "u", Credential: "d"}, doctor.Fail, "does not know username and credential", "account"},
		{"a further secret", gateway.ICEServer{URLs: urls, Secret: turnSecret, Secrets: []auth.Secret{"which the server does not know"}}, doctor.Warn,
			"does not take secret 2 of ice_servers[0]", "Give it to the server"},
		{"a quota", gateway.ICEServer{URLs: full[:1], Secret: turnSecret}, doctor.Fail, "486", "user-quota"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := configOf(redis)
			config.ICEServers = []gateway.ICEServer{tc.server}
			found := run(t, doctor.Options{Config: config, TLS: trust, Timeout: patience})
			for _, url := range tc.server.URLs {
				f := found["ice "+url]
				require.Equal(t, tc.status, f.Status, "%+v", f)
				require.Contains(t, f.Figure+f.Problem, tc.says)
				require.Contains(t, f.Remedy, tc.advises)
				require.NotContains(t, fmt.Sprint(f), "which the server")
			}
		})
	}
}

// The servers of apps, and the relays that tell of themselves, are looked at as well.
func TestLooksAtAppsServersAndRelays(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	open(t, redis, "gateway-1", nil)
	urls, trust := relayServer(t, nil)
	config := configOf(redis)
	config.ICE.Relays.Enabled, config.ICE.Relays.Secrets = true, []auth.Secret{turnSecret}
	config.Apps = []auth.App{{ID: "acme", Anonymous: true, ICE: auth.ICE{Servers: []auth.ICEServerSettings{{URLs: urls[:1], Secret: turnSecret}}}}}
	opts := doctor.Options{Config: config, TLS: trust, Timeout: patience}
	found := run(t, opts)
	require.Equal(t, doctor.OK, found["ice "+urls[0]+" of acme"].Status, "%+v", found)
	require.Equal(t, doctor.Fail, found["ice relays"].Status)

	s, err := store.Open(t.Context(), store.Options{Addresses: []string{redis.Addr()}, Partitions: 4, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.AnnounceRelay(t.Context(), store.Relay{ID: "relay-1", URLs: urls[1:]}, time.Hour))
	found = run(t, opts)
	require.NotContains(t, found, "ice relays")
	for _, url := range urls[1:] {
		require.Equal(t, doctor.OK, found["ice "+url+" of relay relay-1"].Status, "%+v", found)
		require.Contains(t, found["ice "+url+" of relay relay-1"].Figure, "relays from 127.0.0.1:")
	}
}
