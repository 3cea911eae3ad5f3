package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefused is the reason of a connection that the [Guard] did not make.
var ErrRefused = errors.New("webhook: the address is not a public one")

// Guard makes connections to public addresses alone: an app names the URLs, and must not reach what the gateway reaches behind its
// walls (server-side request forgery). What is looked at is the address that is about to be connected to, after the name was resolved:
// a name that leads elsewhere the next time gains nothing. The zero value allows nothing but public addresses.
type Guard struct {
	// Allowed are networks that may be connected to although they are not public.
	Allowed []netip.Prefix
}

// refused are the networks of IPv4 that are not public, after the IANA's special-purpose registry (RFC 6890 and its updates).
var refused = prefixes(
	"0.0.0.0/8",       // this network, RFC 791
	"10.0.0.0/8",      // private, RFC 1918
	"100.64.0.0/10",   // shared by carriers, RFC 6598
	"127.0.0.0/8",     // loopback, RFC 1122
	"169.254.0.0/16",  // link-local, RFC 3927; metadata services
	"172.16.0.0/12",   // private, RFC 1918
	"192.0.0.0/24",    // protocol assignments, RFC 6890
	"192.0.2.0/24",    // documentation, RFC 5737
	"192.88.99.0/24",  // 6to4 relays, RFC 7526
	"192.168.0.0/16",  // private, RFC 1918
	"198.18.0.0/15",   // benchmarks, RFC 2544
	"198.51.100.0/24", // documentation, RFC 5737
	"203.0.113.0/24",  // documentation, RFC 5737
	"224.0.0.0/4",     // multicast, RFC 5771
	"240.0.0.0/4",     // reserved, RFC 1112, and broadcast
)

// Of IPv6 only global unicast is public, RFC 4291, without these.
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	refused6      = prefixes(
		"2001::/23",     // protocol assignments, RFC 2928: Teredo and others, which carry other addresses
		"2001:db8::/32", // documentation, RFC 3849
		"2002::/16",     // 6to4, RFC 3056: carries an address of IPv4
		"3fff::/20",     // documentation, RFC 9637
	)
	// nat64 carries the address of IPv4 that is reached, RFC 6052: this one counts.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// Allows reports whether an address may be connected to.
func (g *Guard) Allows(address netip.Addr) bool {
	address = address.Unmap() // ::ffff:10.0.0.1 is 10.0.0.1
	if contains(g.Allowed, address.WithZone("")) {
		return true
	}
	if nat64.Contains(address) {
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if address.Is4() {
		return !contains(refused, address)
	}
	return address.Zone() == "" && globalUnicast.Contains(address) && !contains(refused6, address)
}

func contains(list []netip.Prefix, address netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// DialContext connects, as that of a [net.Dialer] does.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: time.Minute, ControlContext: g.control}
	return dialer.DialContext(ctx, network, address)
}

// dialTimeout bounds the connecting to all addresses of a name.
const dialTimeout = 5 * time.Second

// control is called with each address before it is connected to.
func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !g.Allows(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrRefused, address)
	}
	return nil
}
