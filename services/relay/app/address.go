package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
)

// external finds the addresses that peers send to.
func (c *RelayConfig) external(ctx context.Context) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, text := range c.ExternalIP {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("app: relay.external_ip: %w", err)
		}
		found = append(found, address)
	}
	if len(found) > 0 {
		return found, nil
	}
	var errs []error
	for _, network := range []string{"udp4", "udp6"} {
		address, err := discover(ctx, network, c.STUNServer)
		if err != nil {
			errs = append(errs, err) // one family is enough
			continue
		}
		found = append(found, address)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("app: relay.external_ip is not set, and was not found out: %w", errors.Join(errs...))
	}
	return found, nil
}

// discover asks a STUN server, or the routes where there is none to ask.
func discover(ctx context.Context, network, server string) (netip.Addr, error) {
	if server != "" {
		return relay.Reflexive(ctx, network, server)
	}
	address, err := relay.Routed(network)
	if err == nil && network == "udp6" && (!address.IsGlobalUnicast() || address.IsPrivate()) {
		return netip.Addr{}, fmt.Errorf("app: %v is no global address", address)
	}
	return address, err
}

// URLs are how clients reach the relay.
func (r *Relay) URLs() []string {
	if len(r.config.Relay.URLs) > 0 {
		return r.config.Relay.URLs
	}
	var urls []string
	add := func(form, transport string, six bool, external netip.Addr) {
		for _, listening := range r.server.Addrs(transport) {
			// A socket of all addresses has both families; one of its own address is reached where that is.
			if at := listening.Addr().Unmap(); !at.IsUnspecified() && at.Is6() != six {
				continue
			}
			urls = append(urls, fmt.Sprintf(form, net.JoinHostPort(external.String(), strconv.Itoa(int(listening.Port())))))
		}
	}
	for _, external := range r.external {
		six := external.Is6()
		add("stun:%s", "udp", six, external)
		add("turn:%s?transport=udp", "udp", six, external)
		add("turn:%s?transport=tcp", "tcp", six, external)
	}
	return slices.Compact(urls)
}
