// Package peers decides whom a TURN server may send to for its clients. Without it a server is a way into its own network for everybody
// who has credentials.
package peers

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Reason is why a peer is denied: one of a small fixed set, for metrics.
type Reason string

// The reasons. An address is told by the first that fits.
const (
	Allowed     Reason = ""
	Invalid     Reason = "invalid"     // no address
	Listed      Reason = "listed"      // in the list of what is denied
	Own         Reason = "own"         // the relay itself, but for the ports that it relays from
	Unspecified Reason = "unspecified" // 0.0.0.0/8 and ::
	Loopback    Reason = "loopback"    // 127.0.0.0/8 and ::1
	LinkLocal   Reason = "link_local"  // 169.254.0.0/16, where clouds tell their secrets, and fe80::/10
	Private     Reason = "private"     // RFC 1918, fc00::/7, fec0::/10, and a network's own NAT64
	Shared      Reason = "shared"      // 100.64.0.0/10, of providers
	Multicast   Reason = "multicast"   // 224.0.0.0/4 and ff00::/8
	Broadcast   Reason = "broadcast"   // 255.255.255.255
	Reserved    Reason = "reserved"    // what IANA's registries of special addresses keep for other uses
	Port        Reason = "port"        // below what a NAT or a browser uses
)

// Reasons are all of them, but for Allowed.
var Reasons = []Reason{
	Invalid, Listed, Own, Unspecified, Loopback, LinkLocal, Private, Shared, Multicast, Broadcast, Reserved, Port,
}

// special are the networks that no peer is in, the narrower before the wider.
var special = []struct {
	network netip.Prefix
	reason  Reason
}{
	{netip.MustParsePrefix("0.0.0.0/8"), Unspecified},
	{netip.MustParsePrefix("10.0.0.0/8"), Private},
	{netip.MustParsePrefix("100.64.0.0/10"), Shared},
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), LinkLocal},
	{netip.MustParsePrefix("172.16.0.0/12"), Private},
	{netip.MustParsePrefix("192.0.0.0/24"), Reserved},
	{netip.MustParsePrefix("192.0.2.0/24"), Reserved},
	{netip.MustParsePrefix("192.88.99.0/24"), Reserved},
	{netip.MustParsePrefix("192.168.0.0/16"), Private},
	{netip.MustParsePrefix("198.18.0.0/15"), Reserved},
	{netip.MustParsePrefix("198.51.100.0/24"), Reserved},
	{netip.MustParsePrefix("203.0.113.0/24"), Reserved},
	{netip.MustParsePrefix("224.0.0.0/4"), Multicast},
	{netip.MustParsePrefix("255.255.255.255/32"), Broadcast},
	{netip.MustParsePrefix("240.0.0.0/4"), Reserved},

	{netip.MustParsePrefix("::/128"), Unspecified},
	{netip.MustParsePrefix("::1/128"), Loopback},
	{netip.MustParsePrefix("64:ff9b:1::/48"), Private}, // RFC 8215: what it leads to is the network's own business
	{netip.MustParsePrefix("fe80::/10"), LinkLocal},
	{netip.MustParsePrefix("fec0::/10"), Private},
	{netip.MustParsePrefix("fc00::/7"), Private},
	{netip.MustParsePrefix("ff00::/8"), Multicast},
	{netip.MustParsePrefix("2001:db8::/32"), Reserved},
	{netip.MustParsePrefix("3fff::/20"), Reserved},
}

// The networks of IPv6 that carry an IPv4 address.
var (
	compatible  = netip.MustParsePrefix("::/96")           // RFC 4291, section 2.5.5.1
	nat64       = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	sixToFour   = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")       // RFC 4380
	assignments = netip.MustParsePrefix("2001::/23")       // RFC 2928, but for Teredo
	translated  = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	unicast     = netip.MustParsePrefix("2000::/3")        // all that is global unicast today
)

// Options are what a Policy is made of.
type Options struct {
	// Allow are networks whose addresses are peers although they are special. Deny goes before it.
	Allow []netip.Prefix
	// Deny are networks whose addresses are no peers.
	Deny []netip.Prefix
	// Own are the addresses that the relay is known by. A peer there is another client's allocation: only the ports from MinRelayPort to
	// MaxRelayPort are peers.
	Own                        []netip.Addr
	MinRelayPort, MaxRelayPort uint16
	// Local are other addresses of the machine. Nobody is a peer there.
	Local []netip.Addr
	// Listening are the relay's own sockets: never peers, whatever Allow says. One without an address is the port on all of Own and Local, and
	// on the loopback interface.
	Listening []netip.AddrPort
	// MinPort is the least port of a peer that Allow does not name.
	MinPort uint16
}

func (o Options) validate() error {
	if o.MinRelayPort > o.MaxRelayPort {
		return fmt.Errorf("peers: relay ports from %d to %d", o.MinRelayPort, o.MaxRelayPort)
	}
	for _, network := range slices.Concat(o.Allow, o.Deny) {
		if !network.IsValid() {
			return errors.New("peers: a network that is none")
		}
	}
	return nil
}

// Policy decides. It is immutable, and may be used by any goroutine.
type Policy struct {
	options Options
}

// New makes a policy.
func New(options Options) (*Policy, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	options.Allow, options.Deny = plain(options.Allow), plain(options.Deny)
	options.Own, options.Local = bare(options.Own), bare(options.Local)
	options.Listening = slices.Clone(options.Listening)
	return &Policy{options: options}, nil
}

func bare(addresses []netip.Addr) []netip.Addr {
	list := make([]netip.Addr, len(addresses))
	for i, address := range addresses {
		list[i] = address.Unmap().WithZone("")
	}
	return list
}

// plain gives networks of IPv4 that are written in IPv6 as IPv4: addresses are compared as that.
func plain(networks []netip.Prefix) []netip.Prefix {
	list := make([]netip.Prefix, len(networks))
	for i, network := range networks {
		if address := network.Addr(); address.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(address.Unmap(), network.Bits()-96)
		}
		list[i] = network.Masked()
	}
	return list
}

// Address decides about a peer whose port is not known yet, when a client asks for a permission.
func (p *Policy) Address(address netip.Addr) Reason {
	address = address.Unmap().WithZone("")
	reason, _ := p.decide(address)
	return reason
}

// Peer decides about a peer when something is to be sent to it.
func (p *Policy) Peer(peer netip.AddrPort) Reason {
	address, port := peer.Addr().Unmap().WithZone(""), peer.Port()
	reason, allowed := p.decide(address)
	if reason != Allowed {
		return reason
	}
	own := slices.Contains(p.options.Own, address)
	if p.listens(address, port, own || slices.Contains(p.options.Local, address)) {
		return Own
	}
	switch {
	case allowed:
		return Allowed
	case own && (port < p.options.MinRelayPort || port > p.options.MaxRelayPort):
		return Own
	case port < p.options.MinPort || port == 0:
		return Port
	}
	return Allowed
}

// listens reports whether the relay has a socket of its own there.
func (p *Policy) listens(address netip.Addr, port uint16, own bool) bool {
	for _, socket := range p.options.Listening {
		if socket.Port() != port {
			continue
		}
		at := socket.Addr().Unmap().WithZone("")
		if at == address || (!at.IsValid() || at.IsUnspecified()) && (own || address.IsLoopback()) {
			return true
		}
	}
	return false
}

// decide gives why an address is denied, and whether it was allowed by name.
func (p *Policy) decide(address netip.Addr) (reason Reason, byName bool) {
	if !address.IsValid() {
		return Invalid, false
	}
	hidden := carried(address)
	if within(p.options.Deny, address) || slices.ContainsFunc(hidden, func(a netip.Addr) bool { return within(p.options.Deny, a) }) {
		return Listed, false
	}
	if within(p.options.Allow, address) {
		return Allowed, true
	}
	if slices.Contains(p.options.Own, address) {
		return Allowed, false // by its port
	}
	if reason := specialty(address); reason != Allowed {
		return reason, false
	}
	if slices.Contains(p.options.Local, address) {
		return Own, false
	}
	for _, address := range hidden {
		if within(p.options.Allow, address) {
			continue
		}
		if reason := specialty(address); reason != Allowed {
			return reason, false
		}
		if slices.Contains(p.options.Own, address) || slices.Contains(p.options.Local, address) {
			return Own, false // nobody's allocation is told in this form
		}
	}
	return Allowed, false
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

// specialty gives what an address is kept for.
func specialty(address netip.Addr) Reason {
	for i := range special {
		if special[i].network.Contains(address) {
			return special[i].reason
		}
	}
	if address.Is4() || compatible.Contains(address) || nat64.Contains(address) || translated.Contains(address) {
		return Allowed
	}
	if !unicast.Contains(address) || assignments.Contains(address) && !teredo.Contains(address) {
		return Reserved
	}
	return Allowed
}

// carried gives the addresses of IPv4 that an address of IPv6 carries, to which somebody on the way may send instead.
func carried(address netip.Addr) []netip.Addr {
	if address.Is4() {
		return nil
	}
	bytes := address.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(bytes[i : i+4])) }
	switch {
	case compatible.Contains(address), nat64.Contains(address), translated.Contains(address):
		return []netip.Addr{at(12)}
	case sixToFour.Contains(address):
		return []netip.Addr{at(2)}
	case teredo.Contains(address):
		client := [4]byte{bytes[12] ^ 0xff, bytes[13] ^ 0xff, bytes[14] ^ 0xff, bytes[15] ^ 0xff}
		return []netip.Addr{at(4), netip.AddrFrom4(client)}
	}
	return nil
}
