package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/address"
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

// Allows reports whether an address may be connected to. One of IPv6 that carries one of IPv4 may not, but for that of NAT64, where the other
// one counts: it is what is reached.
func (g *Guard) Allows(at netip.Addr) bool {
	plain := address.Plain(at)
	if contains(g.Allowed, plain) {
		return true
	}
	carried := address.Carried(plain)
	switch {
	case at.Unmap().Zone() != "":
		return false
	case address.IsNAT64(plain):
		plain = carried[0]
	case len(carried) > 0:
		return false
	}
	return address.KindOf(plain) == address.Public
}

func contains(list []netip.Prefix, at netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(at) {
			return true
		}
	}
	return false
}

// DialContext connects, as that of a [net.Dialer] does.
func (g *Guard) DialContext(ctx context.Context, network, at string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: time.Minute, ControlContext: g.control}
	return dialer.DialContext(ctx, network, at)
}

// dialTimeout bounds the connecting to all addresses of a name.
const dialTimeout = 5 * time.Second

// control is called with each address before it is connected to.
func (g *Guard) control(_ context.Context, _, at string, _ syscall.RawConn) error {
	reached, err := netip.ParseAddrPort(at)
	if err != nil || !g.Allows(reached.Addr()) {
		return fmt.Errorf("%w: %s", ErrRefused, at)
	}
	return nil
}
