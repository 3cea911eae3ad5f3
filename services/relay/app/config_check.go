package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/config"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// check holds the values against each other.
func check(c *Config, k *config.Checker) {
	for key, addresses := range map[string][]string{"listen.udp": c.Listen.UDP, "listen.tcp": c.Listen.TCP, "listen.tls": c.Listen.TLS} {
		for _, address := range addresses {
			k.Address(key, address)
		}
	}
	k.Address("listen.operations", c.Listen.Operations)
	for _, address := range append(c.tls(), c.Listen.TCP...) {
		k.Differ("listen.operations", c.Listen.Operations, "listen.tcp or listen.tls", address)
	}
	if len(c.Listen.UDP)+len(c.Listen.TCP)+len(c.tls()) == 0 {
		k.Fail("listen: no address for clients", "listen.udp", "listen.tcp")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		k.Fail("tls.cert_file and tls.key_file: one needs the other", "tls.cert_file", "tls.key_file")
	}
	c.Relay.check(k)
	c.Credentials.check(k)
	for key, list := range map[string][]string{"peers.allow": c.Peers.Allow, "peers.deny": c.Peers.Deny} {
		if _, err := networks(list); err != nil {
			k.Fail(key+": "+err.Error(), key)
		}
	}
	if c.Announce.Enabled {
		c.Redis.Check(k)
	}
	if c.Announce.Lease < 2*c.Announce.Beat {
		k.Fail(fmt.Sprintf("announce.lease: %v is less than two of announce.beat, which is %v", c.Announce.Lease, c.Announce.Beat),
			"announce.lease", "announce.beat")
	}
}

func (c *RelayConfig) check(k *config.Checker) {
	if c.Realm == "" || strings.ContainsAny(c.Realm, "\r\n\"\\:") || len(c.Realm) > 127 {
		k.Fail(fmt.Sprintf("relay.realm: %q is not 1 to 127 characters without quotes, backslashes and colons", c.Realm), "relay.realm")
	}
	if strings.ContainsFunc(c.Region, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`:*"\`, r) }) || len(c.Region) > 64 || c.Region == "-" {
		k.Fail(fmt.Sprintf("relay.region: %q is not at most 64 letters, digits and dashes", c.Region), "relay.region")
	}
	families := make(map[bool]bool)
	for _, text := range c.ExternalIP {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Is4In6() || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
			k.Fail(fmt.Sprintf("relay.external_ip: %q is not the address of a machine", text), "relay.external_ip")
		} else if families[address.Is4()] {
			k.Fail("relay.external_ip: has two of one family", "relay.external_ip")
		}
		families[address.Is4()] = true
	}
	if c.STUNServer != "" {
		k.Address("relay.stun_server", c.STUNServer)
	}
	k.AtMost("relay.ports_from", c.PortsFrom, "relay.ports_to", c.PortsTo)
	for _, url := range c.URLs {
		scheme, rest, _ := strings.Cut(url, ":")
		if known := scheme == "stun" || scheme == "stuns" || scheme == "turn" || scheme == "turns"; !known || rest == "" || strings.HasPrefix(rest, "/") {
			k.Fail(fmt.Sprintf("relay.urls: %q is not like turn:turn.example.com:3478?transport=udp", url), "relay.urls")
		}
	}
}

func (c *CredentialsConfig) check(k *config.Checker) {
	if len(c.Secrets) == 0 && c.File == "" {
		k.Fail("credentials.secrets: there is none, nor a credentials.secrets_file: nobody could be let in", "credentials.secrets", "credentials.secrets_file")
	}
	for i, secret := range c.Secrets {
		if len(secret) < turncred.MinSecret {
			k.Fail(fmt.Sprintf("credentials.secrets: secret %d has fewer than %d bytes", i+1, turncred.MinSecret), "credentials.secrets")
		}
	}
}

// all are the secrets, those of the file included. No error repeats one.
func (c *CredentialsConfig) all() ([]string, error) {
	var secrets []string
	for _, secret := range c.Secrets {
		secrets = append(secrets, string(secret))
	}
	if c.File != "" {
		text, err := os.ReadFile(c.File)
		if err != nil {
			return nil, fmt.Errorf("credentials.secrets_file: %w", err)
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if len(line) < turncred.MinSecret {
				return nil, fmt.Errorf("credentials.secrets_file: line %d has fewer than %d bytes", number, turncred.MinSecret)
			}
			secrets = append(secrets, line)
		}
	}
	if len(secrets) == 0 {
		return nil, errors.New("credentials.secrets_file: holds no secret")
	}
	return secrets, nil
}

// networks reads networks, or addresses in place of them.
func networks(list []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
			prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither a network such as 10.0.0.0/8 nor an address", text)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// tls are the addresses with TLS.
func (c *Config) tls() []string {
	if !c.TLS.Enabled() {
		return nil
	}
	return c.Listen.TLS
}

// Warnings are sentences about what is allowed but rarely meant, for the log.
func (c *Config) Warnings() []string {
	var warnings []string
	host, _, _ := net.SplitHostPort(c.Listen.Operations)
	ip := net.ParseIP(host)
	if c.Listen.Pprof && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		warnings = append(warnings, "listen.pprof is on and listen.operations can be reached from other machines, which then can read this one's memory")
	}
	if allowed, err := networks(c.Peers.Allow); err == nil {
		for _, network := range allowed {
			if network.Bits() == 0 {
				warnings = append(warnings, "peers.allow has a network of all addresses: whoever has credentials can send to whatever this machine reaches")
			}
		}
	}
	return warnings
}
