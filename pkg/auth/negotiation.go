package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Negotiation is what an app lets pass of the session descriptions and ICE candidates that its clients send each other.
type Negotiation struct {
	// Mode is off (they are not looked at), observe (what would be changed or refused is counted) or enforce; "" is off.
	Mode NegotiationMode `koanf:"mode" yaml:"mode,omitempty" json:"mode,omitzero"`
	// DescriptionBytes is the greatest size of a description's SDP, 262144 at most; 0 is 65536.
	DescriptionBytes int `koanf:"description_bytes" yaml:"description_bytes,omitempty" json:"description_bytes,omitzero"`
	// Sections is how many media sections a description may have, 1000 at most; 0 is 64.
	Sections int `koanf:"sections" yaml:"sections,omitempty" json:"sections,omitzero"`
	// Candidates is how many candidates a description may have, 1000 at most; 0 is 128.
	Candidates int `koanf:"candidates" yaml:"candidates,omitempty" json:"candidates,omitzero"`
	// CandidatesPerMinute is how many candidates a session may send by themselves in a minute, 100000 at most; 0 is 600.
	CandidatesPerMinute int `koanf:"candidates_per_minute" yaml:"candidates_per_minute,omitempty" json:"candidates_per_minute,omitzero"`
	// Types are the types of candidates that pass: host, srflx, prflx and relay; empty: all. relay alone forces calls through relays.
	Types []string `koanf:"types" yaml:"types,omitempty" json:"types,omitzero"`
	// HidePrivate is whether addresses of private, link-local and loopback networks are kept from others: on or off; "" is off.
	HidePrivate Switch `koanf:"hide_private" yaml:"hide_private,omitempty" json:"hide_private,omitzero"`
	// Deny are networks whose addresses do not pass, 256 at most: "192.0.2.0/24", "2001:db8::/32".
	Deny []string `koanf:"deny" yaml:"deny,omitempty" json:"deny,omitzero"`
	// Allow are the networks whose addresses pass, if they are not denied, 256 at most; empty: all.
	Allow []string `koanf:"allow" yaml:"allow,omitempty" json:"allow,omitzero"`
}

// NegotiationMode is what becomes of what does not pass.
type NegotiationMode string

// The modes.
const (
	NegotiationOff     NegotiationMode = "off"
	NegotiationObserve NegotiationMode = "observe"
	NegotiationEnforce NegotiationMode = "enforce"
)

// CandidateTypes are the types of ICE candidates (RFC 8839, section 5.1).
var CandidateTypes = []string{"host", "srflx", "prflx", "relay"}

// maxNetworks bounds lists of networks.
const maxNetworks = 256

// On reports whether descriptions and candidates are looked at.
func (n *Negotiation) On() bool { return n.Mode == NegotiationObserve || n.Mode == NegotiationEnforce }

// Networks gives the networks of a list. The error names what is none.
func Networks(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if err != nil || network != network.Masked() {
			return nil, fmt.Errorf("%q is not a network as 192.0.2.0/24 or 2001:db8::/32", text)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func (n *Negotiation) validate() error {
	var errs []error
	fail := func(format string, arguments ...any) {
		errs = append(errs, fmt.Errorf("negotiation."+format, arguments...))
	}
	for _, err := range []error{
		oneOf("mode", n.Mode, NegotiationOff, NegotiationObserve, NegotiationEnforce), oneOf("hide_private", n.HidePrivate, On, Off),
	} {
		if err != nil {
			fail("%w", err)
		}
	}
	for _, bound := range []struct {
		name        string
		value, most int
	}{
		{"description_bytes", n.DescriptionBytes, 256 << 10}, {"sections", n.Sections, 1000}, {"candidates", n.Candidates, 1000},
		{"candidates_per_minute", n.CandidatesPerMinute, 100_000},
	} {
		if bound.value < 0 || bound.value > bound.most {
			fail("%s is %d, not 0 to %d", bound.name, bound.value, bound.most)
		}
	}
	for _, kind := range n.Types {
		if !slices.Contains(CandidateTypes, kind) {
			fail("types: %q is not host, srflx, prflx or relay", kind)
		}
	}
	for _, list := range []struct {
		name     string
		networks []string
	}{{"deny", n.Deny}, {"allow", n.Allow}} {
		if len(list.networks) > maxNetworks {
			fail("%s has more than %d entries", list.name, maxNetworks)
		}
		if _, err := Networks(list.networks); err != nil {
			fail("%s: %w", list.name, err)
		}
	}
	return errors.Join(errs...)
}

// clone gives a copy that shares nothing.
func (n *Negotiation) clone() Negotiation {
	copied := *n
	copied.Types, copied.Deny, copied.Allow = slices.Clone(n.Types), slices.Clone(n.Deny), slices.Clone(n.Allow)
	return copied
}

// Negotiation gives what an app lets pass of descriptions and candidates, false for an app that there is not. It is the same pointer until
// the app may have changed, and only to be read.
func (d *Directory) Negotiation(app string) (*Negotiation, bool) {
	a, ok := d.current.Load().apps[app]
	if !ok {
		return nil, false
	}
	return &a.source.Negotiation, true
}
