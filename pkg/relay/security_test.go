package relay_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/lockedbuf"
	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// The table of docs/relay.md names the tests of this file.

// Whoever has credentials asks for what only the relay's own machine or network should reach: services on it, in its network, the metadata of
// its cloud. Each form of each address is refused at a permission and at a channel, and what is sent without one goes nowhere.
func TestSecurityPeers(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		peers  []string
	}{
		"Loopback":    {"loopback", []string{"127.0.0.1:8080", "127.1.2.3:22", "[::1]:6379"}},
		"Unspecified": {"unspecified", []string{"0.0.0.0:8080", "0.1.2.3:8080", "[::]:6379"}}, // 0.0.0.0 is this machine to many systems
		"Private":     {"private", []string{"10.0.0.1:443", "172.16.0.1:443", "192.168.0.1:443", "[fd00::1]:443"}},
		"LinkLocal":   {"link_local", []string{"169.254.1.1:5000", "[fe80::1]:5000"}},
		"Metadata":    {"link_local", []string{"169.254.169.254:8080", "[::ffff:169.254.169.254]:8080"}},
		"Shared":      {"shared", []string{"100.64.0.1:5000", "100.100.100.200:8080"}},
		"Multicast":   {"multicast", []string{"224.0.0.251:5353", "239.255.255.250:1900", "[ff02::1]:5353"}},
		"Broadcast":   {"broadcast", []string{"255.255.255.255:5000"}},
		"Mapped":      {"loopback", []string{"[::ffff:127.0.0.1]:8080", "[::127.0.0.1]:8080", "[::ffff:0:127.0.0.1]:8080"}},
		"NAT64":       {"private", []string{"[64:ff9b::10.0.0.1]:443", "[64:ff9b:1::1]:443"}},
		"SixToFour":   {"loopback", []string{"[2002:7f00:1::1]:8080"}},
		"Teredo":      {"loopback", []string{"[2001:0:808:808::80ff:fffe]:8080"}},
	} {
		t.Run(name, func(t *testing.T) {
			v6 := withIPv6(t)
			n := startRelay(t, func(o *relay.Options) {
				v6(o)
				o.Allow, o.MinPeerPort = nil, 1024
				o.External = []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")}
			})
			denied := func() float64 {
				return n.value(t, "signalbox_relay_peers_denied_total", map[string]string{"reason": test.reason})
			}
			allocations := make(map[bool]*raw)
			for i, text := range test.peers {
				to := netip.MustParseAddrPort(text)
				six := to.Addr().Is6() && !to.Addr().Is4In6()
				if allocations[six] == nil {
					d := credentials("mallory")
					d.six = six
					allocations[six] = n.raw(t, d)
					allocations[six].mustAllocate()
				}
				r := allocations[six]
				require.Equal(t, stun.CodeForbidden, codeOf(r.ask(stun.MethodCreatePermission, toward(to))), text)
				require.Equal(t, stun.CodeForbidden, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x4000), toward(to))), text)
				require.InDelta(t, 2*(i+1), denied(), 0, text)
				r.indicate(to, "hello?")
				r.alive()
			}
			require.Zero(t, n.value(t, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": "to_peer"}))
		})
	}
}

// A permission is for an address. One for the relay's own address, where other clients' allocations are, must not lead to what else listens
// there: the relay's own sockets, or any other service.
func TestSecurityOwnSockets(t *testing.T) {
	service := peer(t, "127.0.0.1:0") // of the operator
	n := startRelay(t, func(o *relay.Options) {
		o.Private = []netip.AddrPort{service.LocalAddr().(*net.UDPAddr).AddrPort()}
	})
	r := n.raw(t, credentials("mallory"))
	r.mustAllocate()
	mine := service.LocalAddr().(*net.UDPAddr).AddrPort()
	require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(mine))), "loopback is allowed in this test")
	r.indicate(mine, "hello?")
	r.indicate(n.at(t, "udp", false), "hello?")
	r.alive()
	require.InDelta(t, 2, n.value(t, "signalbox_relay_peers_denied_total", map[string]string{"reason": "own"}), 0)

	// Where loopback is not allowed but happens to be the relay's own address, the ports that are relayed from are the only ones.
	n = startRelay(t, func(o *relay.Options) { o.Allow, o.MinPort, o.MaxPort = nil, 40000, 42000 })
	r = n.raw(t, credentials("mallory"))
	r.mustAllocate()
	require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(netip.MustParseAddrPort("127.0.0.1:22")))))
	r.indicate(netip.MustParseAddrPort("127.0.0.1:22"), "hello?")
	r.indicate(netip.MustParseAddrPort("127.0.0.1:43000"), "hello?")
	r.alive()
	require.InDelta(t, 2, n.value(t, "signalbox_relay_peers_denied_total", map[string]string{"reason": "own"}), 0)
}

// A relay would be a source of queries to DNS, NTP and the like that somebody else's address stands on. No browser or NAT uses such ports.
func TestSecurityLowPorts(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.MinPeerPort = 1024 })
	r := n.raw(t, credentials("mallory"))
	r.mustAllocate()
	to := netip.MustParseAddrPort("8.8.8.8:53")
	require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(to))))
	r.indicate(to, "a query")
	r.alive()
	require.InDelta(t, 1, n.value(t, "signalbox_relay_peers_denied_total", map[string]string{"reason": "port"}), 0)
	require.Zero(t, n.value(t, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": "to_peer"}))
}

func TestSecurityDenyList(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Deny = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")} })
	r := n.raw(t, credentials("mallory"))
	r.mustAllocate()
	require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(netip.MustParseAddrPort("127.0.0.3:5000")))))
	require.Equal(t, stun.CodeForbidden, codeOf(r.ask(stun.MethodCreatePermission, toward(netip.MustParseAddrPort("127.0.0.2:5000")))))
	require.InDelta(t, 1, n.value(t, "signalbox_relay_peers_denied_total", map[string]string{"reason": "listed"}), 0)
}

func TestSecurityCredentials(t *testing.T) {
	in := func(d time.Duration) turncred.Credentials {
		return turncred.New(secret, "acme", "ann", time.Now().Add(d))
	}
	with := func(username, password string) dialing { return dialing{username: username, password: password} }
	good := in(time.Hour)
	later := in(2 * time.Hour)
	for name, test := range map[string]struct {
		d      dialing
		reason string
	}{
		"Expired":       {with(in(-time.Second).Username, in(-time.Second).Password), "expired"},
		"LongExpired":   {with("0:ann", turncred.Password(secret, "0:ann")), "expired"},
		"TooFar":        {with(in(25*time.Hour).Username, in(25*time.Hour).Password), "too_far"},
		"Milliseconds":  {with(fmt.Sprint(time.Now().UnixMilli(), ":ann"), "x"), "malformed"},
		"WrongSecret":   {with(good.Username, turncred.Password("another secret of somebody", good.Username)), "forged"},
		"LaterExpiry":   {with(later.Username, good.Password), "forged"}, // the expiry is part of what is signed
		"OtherUser":     {with(strings.Replace(good.Username, "acme/", "acme/x", 1), good.Password), "forged"},
		"NoPassword":    {with(good.Username, ""), "forged"},
		"NoUser":        {with("", ""), "malformed"},
		"NoExpiry":      {with("ann", "x"), "malformed"},
		"LongName":      {with(good.Username+strings.Repeat("a", 500), "x"), "malformed"},
		"ForeignRealm":  {dialing{username: good.Username, password: good.Password, realm: "elsewhere"}, "forged"},
		"SecretAsLogin": {with(good.Username, secret), "forged"},
	} {
		t.Run(name, func(t *testing.T) {
			n := startRelay(t, nil)
			r := n.raw(t, test.d)
			for i, method := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
				if test.d.username == good.Username+strings.Repeat("a", 500) {
					// Longer than the attribute may be (RFC 8489, section 14.3): no library sends it.
					r.nonce, r.realm = stun.NewNonce("x"), stun.NewRealm("signalbox")
					message := r.build(method, nil)
					message.Add(stun.AttrUsername, []byte(test.d.username))
					r.send(message.Raw)
					r.alive()
					continue
				}
				require.Equal(t, stun.CodeUnauthorized, codeOf(r.ask(method, requestedTransport(17))))
				require.InDelta(t, i+1, n.value(t, "signalbox_relay_auth_failures_total", map[string]string{"reason": test.reason}), 0)
			}
			require.Zero(t, n.Allocations())
		})
	}
}

// What is not signed does nothing, and a nonce that the relay has not given is refused.
func TestSecurityUnsigned(t *testing.T) {
	n := startRelay(t, nil)
	r := n.raw(t, credentials("mallory"))
	require.Equal(t, stun.CodeUnauthorized, codeOf(r.exchange(r.build(stun.MethodAllocate, []stun.Setter{requestedTransport(17)}))))
	r.nonce, r.realm = stun.NewNonce("0000000000000000000000000"), stun.NewRealm("signalbox")
	require.Equal(t, stun.CodeStaleNonce, codeOf(r.ask(stun.MethodAllocate, requestedTransport(17))))
	require.Zero(t, n.Allocations())

	// A signature is of the whole message: one that was changed on the way is refused.
	r.nonce = nil
	r.mustAllocate()
	signed := r.signed(stun.MethodCreatePermission, toward(netip.MustParseAddrPort("127.0.0.1:5000")))
	signed.Raw[len(signed.Raw)-30] ^= 1
	require.Equal(t, stun.CodeUnauthorized, codeOf(r.exchange(signed)))
}

// An allocation is its user's: others who send from the same address, as behind one NAT or after a port was given on, cannot use it.
func TestSecurityStolenAllocation(t *testing.T) {
	n := startRelay(t, nil)
	r := n.raw(t, credentials("ann"))
	r.mustAllocate()
	mallory := credentials("mallory")
	r.d.username, r.d.password = mallory.username, mallory.password
	r.send(r.signed(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}}).Raw)
	r.send(r.signed(stun.MethodCreatePermission, toward(netip.MustParseAddrPort("127.0.0.1:5000"))).Raw)
	require.Equal(t, stun.CodeAllocMismatch, codeOf(r.ask(stun.MethodAllocate, requestedTransport(17))))
	r.alive()
	require.Equal(t, 1, n.Allocations())
	r.indicate(netip.MustParseAddrPort("127.0.0.1:5000"), "without a permission")
	r.alive()
	require.Zero(t, n.value(t, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": "to_peer"}))
}

// Allocations are sockets, ports and memory. A user, an app and all together have a quota of them, and none is made before it is asked for.
func TestSecurityAllocations(t *testing.T) {
	refused := func(t *testing.T, n *node, reason string) float64 {
		return n.value(t, "signalbox_relay_allocations_refused_total", map[string]string{"reason": reason})
	}
	for name, test := range map[string]struct {
		quotas relay.Quotas
		reason string
		code   stun.ErrorCode
		users  []string // of those that get one, and the last one who does not
	}{
		"User":  {relay.Quotas{UserAllocations: 2}, "user", stun.CodeAllocQuotaReached, []string{"ann", "ben", "ann", "ben", "ann"}},
		"App":   {relay.Quotas{AppAllocations: 3}, "app", stun.CodeAllocQuotaReached, []string{"ann", "ben", "ann", "cleo"}},
		"Total": {relay.Quotas{Allocations: 2}, "total", stun.CodeInsufficientCapacity, []string{"ann", "ben", "cleo"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := startRelay(t, func(o *relay.Options) { o.Quotas = test.quotas })
			var first *raw
			for i, user := range test.users {
				r := n.raw(t, credentials(user))
				if i < len(test.users)-1 {
					r.mustAllocate()
					if first == nil {
						first = r
					}
					continue
				}
				require.Equal(t, test.code, codeOf(r.ask(stun.MethodAllocate, requestedTransport(17))))
				require.InDelta(t, 1, refused(t, n, test.reason), 0)
				require.Zero(t, codeOf(first.ask(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}})))
				n.reaches(t, float64(i-1), "signalbox_relay_allocations", map[string]string{"transport": "udp"})
				r.mustAllocate() // in place of the one that was given back
			}
		})
	}
	t.Run("Ports", func(t *testing.T) {
		taken := peer(t, "127.0.0.1:0")
		port := uint16(taken.LocalAddr().(*net.UDPAddr).Port)
		n := startRelay(t, func(o *relay.Options) { o.MinPort, o.MaxPort = port, port })
		r := n.raw(t, credentials("ann"))
		require.Equal(t, stun.CodeInsufficientCapacity, codeOf(r.ask(stun.MethodAllocate, requestedTransport(17))))
		require.InDelta(t, 1, refused(t, n, "ports"), 0)
		require.Zero(t, n.Allocations())
	})
	t.Run("EvenPort", func(t *testing.T) { // sockets would be opened for each, quota or none, and the port be remembered
		n := startRelay(t, func(o *relay.Options) { o.Quotas.UserAllocations = 1 })
		even := stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}
		first := n.raw(t, credentials("ann"))
		require.Zero(t, codeOf(first.ask(stun.MethodAllocate, requestedTransport(17), even)))
		for code := stun.ErrorCode(0); code != stun.CodeInsufficientCapacity; {
			code = codeOf(n.raw(t, credentials("ann")).ask(stun.MethodAllocate, requestedTransport(17), even))
			require.NotZero(t, code)
		}
		require.InDelta(t, 1, refused(t, n, "transport"), 0)
		require.Equal(t, 1, n.Allocations())
	})
	t.Run("TCP", func(t *testing.T) { // RFC 6062: connections into whatever network the relay is in
		n := startRelay(t, nil)
		r := n.raw(t, credentials("ann"))
		require.Equal(t, stun.CodeInsufficientCapacity, codeOf(r.ask(stun.MethodAllocate, requestedTransport(6))))
		require.InDelta(t, 1, refused(t, n, "transport"), 0)
		r.mustAllocate()
		r.send(r.signed(stun.MethodConnect, toward(netip.MustParseAddrPort("127.0.0.1:5000"))).Raw)
		require.NotZero(t, codeOf(r.ask(stun.MethodConnect, toward(netip.MustParseAddrPort("127.0.0.1:5001")))))
		require.InDelta(t, 3, refused(t, n, "transport"), 0)
	})
	t.Run("Family", func(t *testing.T) {
		n := startRelay(t, nil)
		r := n.raw(t, credentials("ann"))
		six := stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{2, 0, 0, 0}}
		require.Equal(t, stun.CodeInsufficientCapacity, codeOf(r.ask(stun.MethodAllocate, requestedTransport(17), six)))
		require.InDelta(t, 1, refused(t, n, "family"), 0)
	})
	t.Run("Unauthenticated", func(t *testing.T) {
		n := startRelay(t, nil)
		for range 200 {
			r := n.raw(t, dialing{})
			r.send(r.build(stun.MethodAllocate, []stun.Setter{requestedTransport(17)}).Raw)
			_ = r.conn.Close()
		}
		n.raw(t, dialing{}).alive()
		require.Zero(t, n.Allocations())
	})
}

// Requests can be sent with somebody else's address. What that somebody gets is short.
func TestSecurityAmplification(t *testing.T) {
	n := startRelay(t, nil)
	r := n.raw(t, dialing{})
	for _, method := range []stun.Method{stun.MethodBinding, stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		answer := r.exchange(r.build(method, nil))
		require.LessOrEqual(t, len(answer.Raw), 128, method)
	}
	// Who has good credentials, and is not counted, gets no more than it has sent.
	r = n.raw(t, credentials("mallory"))
	r.mustAllocate()
	for _, method := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		request := r.signed(method, requestedTransport(17))
		require.Less(t, len(r.exchange(request).Raw), len(request.Raw), method)
	}
	again := n.raw(t, credentials("mallory"))
	require.Equal(t, stun.CodeUnauthorized, codeOf(again.exchange(again.build(stun.MethodAllocate, nil))))
	again.nonce, again.realm = r.nonce, r.realm
	request := again.signed(stun.MethodAllocate, requestedTransport(17))
	for range 2 { // the second time it is answered as the first time
		require.Less(t, len(again.exchange(request).Raw), len(request.Raw))
	}
}

// Permissions and channels are memory, and channels are looked through one by one for each packet.
func TestSecurityPermissions(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Limits.Permissions, o.Limits.Channels = 3, 2 })
	r := n.raw(t, credentials("mallory"))
	r.mustAllocate()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), 5000)
	}
	permit := func(i int) stun.ErrorCode { return codeOf(r.ask(stun.MethodCreatePermission, toward(at(i)))) }
	bind := func(number uint16, port uint16) stun.ErrorCode {
		return codeOf(r.ask(stun.MethodChannelBind, channelNumber(number), toward(netip.AddrPortFrom(at(0).Addr(), port))))
	}
	for i := range 3 {
		require.Zero(t, permit(i))
	}
	require.Equal(t, stun.CodeForbidden, permit(3))
	require.Zero(t, permit(2), "what there is may be refreshed")
	require.InDelta(t, 1, n.value(t, "signalbox_relay_limits_total", map[string]string{"limit": "permissions"}), 0)

	require.Zero(t, bind(0x4000, 5000))
	require.Zero(t, bind(0x4001, 5001))
	require.Equal(t, stun.CodeInsufficientCapacity, bind(0x4002, 5002))
	require.Zero(t, bind(0x4001, 5001), "what there is may be refreshed")
	require.Equal(t, stun.CodeInsufficientCapacity, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x4001), toward(at(3)))), "it would be one more permission")
	require.InDelta(t, 1, n.value(t, "signalbox_relay_limits_total", map[string]string{"limit": "channels"}), 0)
}

// Bandwidth is money. What a user or an app sends or gets above its rate is dropped, and counted; nobody else's is.
func TestSecurityBandwidth(t *testing.T) {
	for name, test := range map[string]struct {
		quotas relay.Quotas
		scope  string
	}{
		"User":  {relay.Quotas{UserBytesPerSecond: 1000}, "user"},
		"App":   {relay.Quotas{AppBytesPerSecond: 1000}, "app"},
		"Total": {relay.Quotas{BytesPerSecond: 1000}, "total"},
	} {
		t.Run(name, func(t *testing.T) {
			n := startRelay(t, func(o *relay.Options) { o.Quotas = test.quotas })
			r := n.raw(t, credentials("ann"))
			relayed := r.mustAllocate()
			other := peer(t, "127.0.0.1:0")
			to := other.LocalAddr().(*net.UDPAddr).AddrPort()
			require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(to))))
			const size = 1000
			for range 100 { // more than the 64 KiB that may come at once
				r.indicate(to, strings.Repeat("x", size))
			}
			r.alive()
			dropped := func() float64 {
				return n.value(t, "signalbox_relay_packets_dropped_total", map[string]string{"reason": test.scope})
			}
			sent := func() float64 {
				return n.value(t, "signalbox_relay_bytes_total", map[string]string{"transport": "udp", "direction": "to_peer"})
			}
			require.GreaterOrEqual(t, dropped(), 1.)
			require.LessOrEqual(t, sent(), float64(64<<10+20*size))
			before := dropped()
			mustWrite(t, other, strings.Repeat("y", size*60), net.UDPAddrFromAddrPort(relayed)) // the other way counts as well
			for range 3 {
				mustWrite(t, other, strings.Repeat("y", 1500), net.UDPAddrFromAddrPort(relayed))
			}
			require.Eventually(t, func() bool { return dropped() > before }, patience, time.Millisecond)
		})
	}
}

// Whoever learns a relayed address can send to it. That must cost its user nothing.
func TestSecurityStrangers(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Quotas.UserBytesPerSecond = 1000 })
	r := n.raw(t, credentials("ann"))
	relayed := r.mustAllocate()
	stranger := peer(t, "127.0.0.2:0") // permissions are by address, and what it has sent may be read after there is one
	for range 100 {
		mustWrite(t, stranger, strings.Repeat("x", 1000), net.UDPAddrFromAddrPort(relayed))
	}
	require.Eventually(t, func() bool {
		return n.value(t, "signalbox_relay_packets_dropped_total", map[string]string{"reason": "no_permission"}) > 0
	}, patience, time.Millisecond)
	other := peer(t, "127.0.0.1:0")
	to := other.LocalAddr().(*net.UDPAddr).AddrPort()
	require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(to))))
	r.indicate(to, "through")
	got, _ := mustRead(t, other)
	require.Equal(t, "through", got)
	require.Zero(t, n.value(t, "signalbox_relay_packets_dropped_total", map[string]string{"reason": "user"}))
}

// Connections without credentials cost memory and file descriptors: there are so many, and they do not stay.
func TestSecurityConnections(t *testing.T) {
	limited := func(t *testing.T, n *node, limit string) func() bool {
		return func() bool { return n.value(t, "signalbox_relay_limits_total", map[string]string{"limit": limit}) > 0 }
	}
	dial := func(t *testing.T, n *node, transport string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", n.at(t, transport, false).String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ends := func(t *testing.T, conn net.Conn) {
		t.Helper()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err := io.Copy(io.Discard, conn)
		require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "it stays")
	}
	short := func(o *relay.Options) { o.Limits.IdleTimeout = 50 * time.Millisecond }

	t.Run("TooMany", func(t *testing.T) {
		n := startRelay(t, func(o *relay.Options) { o.Limits.Connections = 2 })
		first := dial(t, n, "tcp")
		dial(t, n, "tls")
		n.reaches(t, 1, "signalbox_relay_connections", map[string]string{"transport": "tls"})
		n.reaches(t, 1, "signalbox_relay_connections", map[string]string{"transport": "tcp"})
		ends(t, dial(t, n, "tcp"))
		require.True(t, limited(t, n, "connections")())
		require.NoError(t, first.Close())
		n.reaches(t, 0, "signalbox_relay_connections", map[string]string{"transport": "tcp"})
		dial(t, n, "tcp")
		n.reaches(t, 1, "signalbox_relay_connections", map[string]string{"transport": "tcp"})
	})
	t.Run("Silent", func(t *testing.T) {
		n := startRelay(t, short)
		ends(t, dial(t, n, "tcp"))
		ends(t, dial(t, n, "tls")) // before its handshake
		require.Eventually(t, limited(t, n, "idle"), patience, time.Millisecond)
		n.reaches(t, 0, "signalbox_relay_connections", map[string]string{"transport": "tls"})
	})
	t.Run("HalfAMessage", func(t *testing.T) { // byte by byte: the library would call itself once for each
		n := startRelay(t, short)
		conn := dial(t, n, "tcp")
		_, err := conn.Write([]byte{0, 1, 0, 100, 0x21, 0x12})
		require.NoError(t, err)
		ends(t, conn)
		require.Eventually(t, limited(t, n, "idle"), patience, time.Millisecond)
	})
	t.Run("DoesNotRead", func(t *testing.T) { // what waits for it would wait for ever
		n := startRelay(t, func(o *relay.Options) { o.Limits.WriteTimeout = 50 * time.Millisecond })
		conn := dial(t, n, "tcp")
		require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
		r := &raw{t: t, conn: conn, d: credentials("mallory")}
		relayed := r.mustAllocate()
		other := peer(t, "127.0.0.1:0")
		require.Zero(t, codeOf(r.ask(stun.MethodCreatePermission, toward(other.LocalAddr().(*net.UDPAddr).AddrPort()))))
		require.Eventually(t, func() bool {
			for range 500 {
				mustWrite(t, other, strings.Repeat("x", 1400), net.UDPAddrFromAddrPort(relayed))
			}
			return limited(t, n, "write")()
		}, patience, time.Millisecond)
		n.reaches(t, 0, "signalbox_relay_allocations", map[string]string{"transport": "tcp"})
	})
	t.Run("NotTLS", func(t *testing.T) {
		n := startRelay(t, nil)
		conn := dial(t, n, "tls")
		_, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		require.NoError(t, err)
		ends(t, conn)
		n.reaches(t, 0, "signalbox_relay_connections", map[string]string{"transport": "tls"})
	})
	t.Run("NotSTUN", func(t *testing.T) {
		n := startRelay(t, nil)
		conn := dial(t, n, "tcp")
		_, err := conn.Write([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
		require.NoError(t, err)
		ends(t, conn)
		n.reaches(t, 1, "signalbox_relay_malformed_total", map[string]string{"transport": "tcp"})
	})
	t.Run("TooLong", func(t *testing.T) {
		n := startRelay(t, nil)
		conn := dial(t, n, "tcp")
		_, err := conn.Write(binary.BigEndian.AppendUint32(nil, 0x4000_ffff)) // data of a channel, 65535 bytes
		require.NoError(t, err)
		ends(t, conn)
		require.Eventually(t, limited(t, n, "packet_bytes"), patience, time.Millisecond)
	})
	t.Run("OldTLS", func(t *testing.T) {
		n := startRelay(t, nil)
		_, err := tls.Dial("tcp", n.at(t, "tls", false).String(), &tls.Config{MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}) //nolint:gosec // it is refused
		require.Error(t, err)
	})
}

// What is no message of STUN or of a channel is dropped before anything reads it, and what is one with damaged parts is refused or dropped.
func TestSecurityMalformed(t *testing.T) {
	n := startRelay(t, nil)
	r := n.raw(t, credentials("ann"))
	r.mustAllocate()
	binding := r.build(stun.MethodBinding, nil).Raw
	wrongLength, wrongCookie := bytes.Clone(binding), bytes.Clone(binding)
	wrongLength[3] = 200
	wrongCookie[4] = 0
	dropped := [][]byte{
		{0}, {0, 1}, []byte("GET / HTTP/1.0\r\n\r\n"), wrongLength, wrongCookie, binding[:19], {0x40, 0, 0, 9, 1}, {0x80, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff},
	}
	for _, datagram := range dropped {
		r.send(datagram)
	}
	r.alive()
	require.InDelta(t, len(dropped), n.value(t, "signalbox_relay_malformed_total", map[string]string{"transport": "udp"}), 0)

	attribute := func(kind stun.AttrType, length int, value []byte) []byte {
		message := r.build(stun.MethodAllocate, nil).Raw
		message = binary.BigEndian.AppendUint16(message, uint16(kind))
		message = binary.BigEndian.AppendUint16(message, uint16(length))
		message = append(message, value...)
		binary.BigEndian.PutUint16(message[2:], uint16(len(message)-20))
		return message
	}
	for _, message := range [][]byte{
		attribute(stun.AttrUsername, 65535, make([]byte, 8)),
		attribute(stun.AttrMessageIntegrity, 20, make([]byte, 4)),
		attribute(stun.AttrMessageIntegrity, 4, make([]byte, 4)),
		attribute(stun.AttrMessageIntegrity, 0, nil),
		attribute(stun.AttrUsername, 1400, make([]byte, 1400)),
		attribute(stun.AttrXORPeerAddress, 0, nil),
		attribute(stun.AttrNonce, 1200, make([]byte, 1200)),
		attribute(0x7fff, 0, nil),
		bytes.Repeat([]byte{0x40, 0}, 800), // 1600 bytes: no more is read
		{0x40, 0, 0, 0}, {0x7f, 0xff, 0, 1, 0},
	} {
		r.send(message)
	}
	r.alive()
	long := make([]byte, 5000)
	copy(long, binding)
	r.send(long)
	r.alive()
	require.InDelta(t, 1, n.value(t, "signalbox_relay_limits_total", map[string]string{"limit": "packet_bytes"}), 0)
	for _, peerAddress := range [][]byte{nil, {0}, {0, 1, 2, 3}, {0, 2, 2, 3}, {0, 9, 2, 3, 4, 5, 6, 7}, make([]byte, 100)} {
		bad := stun.RawAttribute{Type: stun.AttrXORPeerAddress, Value: peerAddress}
		require.NotZero(t, codeOf(r.ask(stun.MethodCreatePermission, bad)), "%x", peerAddress)
		require.NotZero(t, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x4000), bad)))
	}
	require.NotZero(t, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x3fff), toward(netip.MustParseAddrPort("127.0.0.1:5000")))))
	require.NotZero(t, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x8000), toward(netip.MustParseAddrPort("127.0.0.1:5000")))))
	require.Equal(t, 1, n.Allocations())
}

// The log names nobody: neither clients nor their peers, and no user name or password.
func TestSecurityLog(t *testing.T) {
	log := new(lockedbuf.Buffer)
	n := startRelay(t, func(o *relay.Options) {
		o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Allow = nil
	})
	d := credentials("ann")
	r := n.raw(t, d)
	r.mustAllocate()
	r.ask(stun.MethodCreatePermission, toward(netip.MustParseAddrPort("10.1.2.3:5000")))
	r.ask(stun.MethodChannelBind, channelNumber(0x4000), toward(netip.MustParseAddrPort("127.0.0.1:50000")))
	r.ask(stun.MethodChannelBind, channelNumber(0x4001), toward(netip.MustParseAddrPort("127.0.0.1:50000"))) // the library warns of it
	require.Contains(t, log.String(), "the TURN library warns")
	for _, word := range []string{"127.0.0.1", "10.1.2.3", d.username, d.password, secret, "acme"} {
		require.NotContains(t, log.String(), word)
	}
}

// FuzzPackets sends what it likes to a relay that somebody has an allocation at, from that client's socket and from a peer's. The relay
// answers others afterwards.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x40, 0, 0, 1, 7}, true)
	for _, kind := range []stun.MessageType{
		stun.BindingRequest, stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		stun.NewType(stun.MethodSend, stun.ClassIndication), stun.NewType(stun.MethodChannelBind, stun.ClassRequest), stun.NewType(stun.MethodConnectionBind, stun.ClassRequest),
	} {
		message, err := stun.Build(stun.TransactionID, kind, stun.NewUsername("2000000000:ann"), stun.NewRealm("signalbox"), stun.NewNonce("x"),
			toward(netip.MustParseAddrPort("127.0.0.1:5000")), channelNumber(0x4000), stun.MessageIntegrity("key"), stun.Fingerprint)
		require.NoError(f, err)
		f.Add(message.Raw, true)
	}
	n := startRelay(f, func(o *relay.Options) { o.Limits.Answers, o.Limits.SourceAnswers = 1e9, 1e9 }) // each time somebody asks whether it is alive
	r := n.raw(f, credentials("ann"))
	relayed := r.mustAllocate()
	other := peer(f, "127.0.0.1:0")
	require.Zero(f, codeOf(r.ask(stun.MethodCreatePermission, toward(other.LocalAddr().(*net.UDPAddr).AddrPort()))))
	f.Fuzz(func(t *testing.T, datagram []byte, fromClient bool) {
		if len(datagram) > 1500 {
			return
		}
		if fromClient {
			_, err := r.conn.Write(datagram)
			require.NoError(t, err)
		} else {
			_, err := other.WriteTo(datagram, net.UDPAddrFromAddrPort(relayed))
			require.NoError(t, err)
		}
		probe := *r
		probe.t = t
		probe.alive()
	})
}
