// Package address tells what IP addresses are kept for: which are public, and which must not be reached for somebody who only names
// them. It follows the IANA's registries of special-purpose addresses (RFC 6890 and its updates).
package address

import "net/netip"

// Kind is what an address is kept for.
type Kind string

// The kinds. An address is of the first that fits.
const (
	Public      Kind = ""
	Unspecified Kind = "unspecified" // 0.0.0.0/8 and ::
	Loopback    Kind = "loopback"    // 127.0.0.0/8 and ::1
	LinkLocal   Kind = "link_local"  // 169.254.0.0/16, where clouds tell their secrets, and fe80::/10
	Private     Kind = "private"     // RFC 1918, fc00::/7, fec0::/10, and a network's own NAT64
	Shared      Kind = "shared"      // 100.64.0.0/10, of providers
	Multicast   Kind = "multicast"   // 224.0.0.0/4 and ff00::/8
	Broadcast   Kind = "broadcast"   // 255.255.255.255
	Reserved    Kind = "reserved"    // other uses
)

// special are the networks that are not public, the narrower before the wider.
var special = []struct {
	network netip.Prefix
	kind    Kind
}{
	{netip.MustParsePrefix("0.0.0.0/8"), Unspecified},    // RFC 791
	{netip.MustParsePrefix("10.0.0.0/8"), Private},       // RFC 1918
	{netip.MustParsePrefix("100.64.0.0/10"), Shared},     // RFC 6598
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},     // RFC 1122
	{netip.MustParsePrefix("169.254.0.0/16"), LinkLocal}, // RFC 3927
	{netip.MustParsePrefix("172.16.0.0/12"), Private},    // RFC 1918
	{netip.MustParsePrefix("192.0.0.0/24"), Reserved},    // protocol assignments, RFC 6890
	{netip.MustParsePrefix("192.0.2.0/24"), Reserved},    // documentation, RFC 5737
	{netip.MustParsePrefix("192.88.99.0/24"), Reserved},  // 6to4 relays, RFC 7526
	{netip.MustParsePrefix("192.168.0.0/16"), Private},   // RFC 1918
	{netip.MustParsePrefix("198.18.0.0/15"), Reserved},   // benchmarks, RFC 2544
	{netip.MustParsePrefix("198.51.100.0/24"), Reserved}, // documentation, RFC 5737
	{netip.MustParsePrefix("203.0.113.0/24"), Reserved},  // documentation, RFC 5737
	{netip.MustParsePrefix("224.0.0.0/4"), Multicast},    // RFC 5771
	{netip.MustParsePrefix("255.255.255.255/32"), Broadcast},
	{netip.MustParsePrefix("240.0.0.0/4"), Reserved}, // RFC 1112

	{netip.MustParsePrefix("::/128"), Unspecified},
	{netip.MustParsePrefix("::1/128"), Loopback},
	{netip.MustParsePrefix("64:ff9b:1::/48"), Private}, // RFC 8215: what it leads to is the network's own business
	{netip.MustParsePrefix("fe80::/10"), LinkLocal},
	{netip.MustParsePrefix("fec0::/10"), Private},
	{netip.MustParsePrefix("fc00::/7"), Private},
	{netip.MustParsePrefix("ff00::/8"), Multicast},
	{netip.MustParsePrefix("2001:db8::/32"), Reserved}, // documentation, RFC 3849
	{netip.MustParsePrefix("3fff::/20"), Reserved},     // documentation, RFC 9637
}

// The networks of IPv6 that carry an IPv4 address, and others.
var (
	compatible  = netip.MustParsePrefix("::/96")           // RFC 4291, section 2.5.5.1
	nat64       = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	sixToFour   = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")       // RFC 4380
	assignments = netip.MustParsePrefix("2001::/23")       // RFC 2928, but for Teredo
	translated  = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	unicast     = netip.MustParsePrefix("2000::/3")        // all that is global unicast today, RFC 4291
)

// Plain gives an address without its zone, and one of IPv4 that is written in IPv6 (::ffff:10.0.0.1) as what it is. KindOf and Carried want
// addresses like that.
func Plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// KindOf gives what an address is kept for. Of one of IPv6 that carries one of IPv4 it tells nothing of that: see [Carried].
func KindOf(address netip.Addr) Kind {
	for i := range special {
		if special[i].network.Contains(address) {
			return special[i].kind
		}
	}
	if address.Is4() || compatible.Contains(address) || IsNAT64(address) || translated.Contains(address) {
		return Public
	}
	if !unicast.Contains(address) || assignments.Contains(address) && !teredo.Contains(address) {
		return Reserved
	}
	return Public
}

// IsNAT64 reports whether an address is one of IPv4, which it carries, for networks of IPv6 (RFC 6052).
func IsNAT64(address netip.Addr) bool { return nat64.Contains(address) }

// Carried gives the addresses of IPv4 that an address of IPv6 carries, to which somebody on the way may send instead.
func Carried(address netip.Addr) []netip.Addr {
	if address.Is4() {
		return nil
	}
	bytes := address.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(bytes[i : i+4])) }
	switch {
	case compatible.Contains(address), IsNAT64(address), translated.Contains(address):
		return []netip.Addr{at(12)}
	case sixToFour.Contains(address):
		return []netip.Addr{at(2)}
	case teredo.Contains(address):
		client := [4]byte{bytes[12] ^ 0xff, bytes[13] ^ 0xff, bytes[14] ^ 0xff, bytes[15] ^ 0xff}
		return []netip.Addr{at(4), netip.AddrFrom4(client)}
	}
	return nil
}
