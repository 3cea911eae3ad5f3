// Package peers decides whom a TURN server may send to for its clients. Without it a server is a way into its own network for everybody
// who has credentials.
package peers

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/signalbox-rtc/signalbox/pkg/address"
)

// Reason is why a peer is denied: one of a small fixed set, for metrics.
type Reason string

// The reasons: what [address.KindOf] says that an address is kept for, and these. An address is told by the first that fits.
const (
	Allowed     = Reason(address.Public)
	Invalid     = Reason("invalid") // no address
	Listed      = Reason("listed")  // in the list of what is denied
	Own         = Reason("own")     // the relay itself, but for the ports that it relays from
	Unspecified = Reason(address.Unspecified)
	Loopback    = Reason(address.Loopback)
	LinkLocal   = Reason(address.LinkLocal)
	Private     = Reason(address.Private)
	Shared      = Reason(address.Shared)
	Multicast   = Reason(address.Multicast)
	Broadcast   = Reason(address.Broadcast)
	Reserved    = Reason(address.Reserved)
	Port        = Reason("port") // below what a NAT or a browser uses
)

// Reasons are all of them, but for Allowed.
var Reasons = []Reason{
	Invalid, Listed, Own, Unspecified, Loopback, LinkLocal, Private, Shared, Multicast, Broadcast, Reserved, Port,
}

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
	for i := range addresses {
		list[i] = address.Plain(addresses[i])
	}
	return list
}

// plain gives networks of IPv4 that are written in IPv6 as IPv4: addresses are compared as that.
func plain(networks []netip.Prefix) []netip.Prefix {
	list := make([]netip.Prefix, len(networks))
	for i, network := range networks {
		if first := network.Addr(); first.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(first.Unmap(), network.Bits()-96)
		}
		list[i] = network.Masked()
	}
	return list
}

// Address decides about a peer whose port is not known yet, when a client asks for a permission.
func (p *Policy) Address(peer netip.Addr) Reason {
	reason, _ := p.decide(address.Plain(peer))
	return reason
}

// Peer decides about a peer when something is to be sent to it.
func (p *Policy) Peer(peer netip.AddrPort) Reason {
	at, port := address.Plain(peer.Addr()), peer.Port()
	reason, allowed := p.decide(at)
	if reason != Allowed {
		return reason
	}
	own := slices.Contains(p.options.Own, at)
	if p.listens(at, port, own || slices.Contains(p.options.Local, at)) {
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
func (p *Policy) listens(at netip.Addr, port uint16, own bool) bool {
	for _, socket := range p.options.Listening {
		if socket.Port() != port {
			continue
		}
		listens := address.Plain(socket.Addr())
		if listens == at || (!listens.IsValid() || listens.IsUnspecified()) && (own || at.IsLoopback()) {
			return true
		}
	}
	return false
}

// decide gives why an address is denied, and whether it was allowed by name.
func (p *Policy) decide(at netip.Addr) (reason Reason, byName bool) {
	if !at.IsValid() {
		return Invalid, false
	}
	hidden := address.Carried(at)
	if within(p.options.Deny, at) || slices.ContainsFunc(hidden, func(a netip.Addr) bool { return within(p.options.Deny, a) }) {
		return Listed, false
	}
	if within(p.options.Allow, at) {
		return Allowed, true
	}
	if slices.Contains(p.options.Own, at) {
		return Allowed, false // by its port
	}
	if kind := address.KindOf(at); kind != address.Public {
		return Reason(kind), false
	}
	if slices.Contains(p.options.Local, at) {
		return Own, false
	}
	for _, at := range hidden {
		if within(p.options.Allow, at) {
			continue
		}
		if kind := address.KindOf(at); kind != address.Public {
			return Reason(kind), false
		}
		if slices.Contains(p.options.Own, at) || slices.Contains(p.options.Local, at) {
			return Own, false // nobody's allocation is told in this form
		}
	}
	return Allowed, false
}

func within(networks []netip.Prefix, at netip.Addr) bool {
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(at) })
}
