package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/configdoc"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/config"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

const secret = "a secret of 16 bytes or more"

func TestSchema(t *testing.T) { configdoc.CheckSchema(t, reflect.TypeFor[app.Config]()) }

// A file with a secret a line is good as a variable, too: gateways and relays have it from one Secret.
func TestSecretsInAVariable(t *testing.T) {
	for _, text := range []string{"the first of two secrets,the second of two secrets", "the first of two secrets\nthe second of two secrets\n"} {
		c, err := app.Load(nil, []string{"SIGNALBOX_CREDENTIALS_SECRETS=" + text}, nil)
		require.NoError(t, err)
		require.Equal(t, []auth.Secret{"the first of two secrets", "the second of two secrets"}, c.Credentials.Secrets)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
listen: {udp: ["192.0.2.1:3478", "[2001:db8::1]:3478"]}
relay: {external_ip: [198.51.100.1], region: eu-west, ports_from: 50000, ports_to: 50999}
credentials: {secrets: ["`+secret+`", "another one, of last month"]}
peers: {allow: [10.0.0.0/8, "fd00::1"], deny: [10.1.2.3]}
`), 0o600))
	c, err := app.Load([]string{"--config", file, "--quotas.user_allocations=4"}, []string{"SIGNALBOX_LOG_LEVEL=debug", "SIGNALBOX_REDIS_URL=redis://cache"}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.1:3478", "[2001:db8::1]:3478"}, c.Listen.UDP)
	require.Equal(t, 4, c.Quotas.UserAllocations)
	require.Equal(t, []string{"cache:6379"}, c.Redis.Addresses)
	require.Equal(t, "debug", c.Log.Level)
	require.Empty(t, c.Warnings())
	require.NoError(t, c.Validate())

	for _, flag := range []string{"--help", "--version", "--print-config"} {
		var out bytes.Buffer
		_, err = app.Load([]string{"--config", file, flag}, nil, &out)
		require.ErrorIs(t, err, config.ErrAnswered)
		require.Contains(t, out.String(), "relay")
		require.NotContains(t, out.String(), secret)
	}
}

func TestConfigErrors(t *testing.T) {
	for want, change := range map[string]func(*app.Config){
		"credentials.secrets: there is none":               func(c *app.Config) { c.Credentials.Secrets = nil },
		"secret 2 has fewer than 16 bytes":                 func(c *app.Config) { c.Credentials.Secrets = append(c.Credentials.Secrets, "hunter2-hunter2") },
		"listen: no address for clients":                   func(c *app.Config) { c.Listen.UDP, c.Listen.TCP = nil, nil },
		`listen.tcp: "nowhere" is not host:port`:           func(c *app.Config) { c.Listen.TCP = []string{"nowhere"} },
		`are both ":3478"`:                                 func(c *app.Config) { c.Listen.Operations = ":3478" },
		"tls.cert_file and tls.key_file":                   func(c *app.Config) { c.TLS.CertFile = "cert.pem" },
		`relay.external_ip: "::" is not`:                   func(c *app.Config) { c.Relay.ExternalIP = []string{"::"} },
		"relay.external_ip: has two of one family":         func(c *app.Config) { c.Relay.ExternalIP = []string{"192.0.2.1", "192.0.2.2"} },
		`relay.external_ip: "::ffff:192.0.2.1" is not`:     func(c *app.Config) { c.Relay.ExternalIP = []string{"::ffff:192.0.2.1"} },
		"relay.ports_from: 50000 is more than":             func(c *app.Config) { c.Relay.PortsFrom, c.Relay.PortsTo = 50000, 49999 },
		`relay.realm: "a:b" is not`:                        func(c *app.Config) { c.Relay.Realm = "a:b" },
		`relay.region: "eu west" is not`:                   func(c *app.Config) { c.Relay.Region = "eu west" },
		`relay.urls: "https://turn" is not`:                func(c *app.Config) { c.Relay.URLs = []string{"https://turn"} },
		`relay.urls: "turn://turn" is not`:                 func(c *app.Config) { c.Relay.URLs = []string{"turn://turn"} },
		`peers.allow: "all" is neither`:                    func(c *app.Config) { c.Peers.Allow = []string{"all"} },
		`peers.deny: "10.0.0.0/33" is neither`:             func(c *app.Config) { c.Peers.Deny = []string{"10.0.0.0/33"} },
		"announce.lease: 3s is less than two of":           func(c *app.Config) { c.Announce.Lease = 3e9 },
		"redis.master_name: is needed":                     func(c *app.Config) { c.Announce.Enabled, c.Redis.Mode = true, "sentinel" },
		`quotas.allocations: "0" is out of range`:          func(c *app.Config) { c.Quotas.Allocations = 0 },
		`relay.stun_server: "stun.example" is not host:po`: func(c *app.Config) { c.Relay.STUNServer = "stun.example" },
	} {
		c := app.Default()
		c.Credentials.Secrets = []auth.Secret{secret}
		require.NoError(t, c.Validate())
		change(c)
		err := c.Validate()
		require.ErrorAs(t, err, new(*config.Error))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestWarnings(t *testing.T) {
	c := app.Default()
	require.Empty(t, c.Warnings())
	c.Listen.Pprof = true
	require.Empty(t, c.Warnings())
	c.Listen.Operations = ":9090"
	c.Peers.Allow = []string{"0.0.0.0/0"}
	require.Len(t, c.Warnings(), 2)
}
