package peers_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/relay/peers"
)

func networks(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// rows are addresses that are denied unless somebody allows them. TestSpecialAddresses asks for each as a client would.
var rows = []struct {
	address string
	want    peers.Reason
}{
	{"0.0.0.0", peers.Unspecified}, {"0.1.2.3", peers.Unspecified}, {"::", peers.Unspecified},
	{"127.0.0.1", peers.Loopback}, {"127.255.255.254", peers.Loopback}, {"::1", peers.Loopback},
	{"10.0.0.1", peers.Private}, {"172.16.0.1", peers.Private}, {"172.31.255.255", peers.Private}, {"192.168.1.1", peers.Private},
	{"fc00::1", peers.Private}, {"fd12:3456::1", peers.Private}, {"fec0::1", peers.Private},
	{"169.254.169.254", peers.LinkLocal}, {"169.254.0.1", peers.LinkLocal}, {"fe80::1", peers.LinkLocal}, {"fe80::1%eth0", peers.LinkLocal},
	{"fd00:ec2::254", peers.Private}, // the metadata of a cloud in IPv6
	{"100.64.0.1", peers.Shared}, {"100.127.255.255", peers.Shared}, {"100.100.100.200", peers.Shared},
	{"224.0.0.1", peers.Multicast}, {"239.255.255.250", peers.Multicast}, {"ff02::1", peers.Multicast},
	{"255.255.255.255", peers.Broadcast},
	{"240.0.0.1", peers.Reserved}, {"192.0.0.8", peers.Reserved}, {"192.0.2.1", peers.Reserved}, {"198.18.0.1", peers.Reserved},
	{"198.51.100.1", peers.Reserved}, {"203.0.113.1", peers.Reserved}, {"192.88.99.1", peers.Reserved},
	{"2001:db8::1", peers.Reserved}, {"100::1", peers.Reserved}, {"5f00::1", peers.Reserved}, {"2001:2::1", peers.Reserved}, {"3fff::1", peers.Reserved},
	{"64:ff9b:1::1", peers.Private},

	// IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo (the server's address, and the client's with its bits turned).
	{"::ffff:127.0.0.1", peers.Loopback}, {"::ffff:10.0.0.1", peers.Private}, {"::ffff:169.254.169.254", peers.LinkLocal},
	{"::ffff:0.0.0.0", peers.Unspecified}, {"::ffff:255.255.255.255", peers.Broadcast}, {"::ffff:100.64.0.1", peers.Shared},
	{"::127.0.0.1", peers.Loopback}, {"::10.0.0.1", peers.Private}, {"::169.254.169.254", peers.LinkLocal},
	{"::ffff:0:127.0.0.1", peers.Loopback}, {"::ffff:0:192.168.0.1", peers.Private},
	{"64:ff9b::127.0.0.1", peers.Loopback}, {"64:ff9b::a9fe:a9fe", peers.LinkLocal}, {"64:ff9b::10.1.2.3", peers.Private},
	{"2002:7f00:1::1", peers.Loopback}, {"2002:a00:1::", peers.Private}, {"2002:a9fe:a9fe::1", peers.LinkLocal}, {"2002:e000:1::", peers.Multicast},
	{"2001:0:7f00:1::", peers.Loopback}, {"2001:0:808:808:0:0:80ff:fffe", peers.Loopback}, {"2001:0:808:808::f5ff:fffe", peers.Private},
}

func TestSpecialAddresses(t *testing.T) {
	policy, err := peers.New(peers.Options{})
	require.NoError(t, err)
	for _, row := range rows {
		address := netip.MustParseAddr(row.address)
		require.Equal(t, row.want, policy.Address(address), row.address)
		require.Equal(t, row.want, policy.Peer(netip.AddrPortFrom(address, 50000)), row.address)
	}
	require.Equal(t, peers.Invalid, policy.Address(netip.Addr{}))
	for _, address := range []string{
		"8.8.8.8", "1.1.1.1", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1", "169.253.0.1", "172.15.0.1", "172.32.0.1",
		"192.0.1.1", "192.167.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "2600::1", "2a00:1450::1", "2001:4860:4860::8888",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7",
	} {
		require.Equal(t, peers.Allowed, policy.Address(netip.MustParseAddr(address)), address)
	}
}

func TestLists(t *testing.T) {
	policy, err := peers.New(peers.Options{
		Allow: networks("10.1.0.0/16", "::1/128", "fd00::/8"), Deny: networks("10.1.2.0/24", "8.8.8.8/32", "::ffff:9.9.9.0/120", "2600::/32"), MinPort: 1024,
	})
	require.NoError(t, err)
	for address, want := range map[string]peers.Reason{
		"10.1.0.1":             peers.Allowed,
		"10.2.0.1":             peers.Private,
		"::ffff:10.1.0.1":      peers.Allowed,
		"::1":                  peers.Allowed,
		"fd12::1":              peers.Allowed,
		"64:ff9b::10.1.0.1":    peers.Allowed,
		"10.1.2.3":             peers.Listed, // what is denied is, though a wider network is allowed
		"::ffff:10.1.2.3":      peers.Listed,
		"64:ff9b::10.1.2.3":    peers.Listed,
		"2002:a01:203::1":      peers.Listed,
		"8.8.8.8":              peers.Listed,
		"9.9.9.9":              peers.Listed,
		"2600::1":              peers.Listed,
		"2600:1::1":            peers.Allowed,
		"::ffff:8.8.8.8":       peers.Listed,
		"2001:0:808:808::1:1":  peers.Listed, // Teredo by way of it
		"2002:808:808:1::1":    peers.Listed,
		"::ffff:0:10.1.2.3":    peers.Listed,
		"64:ff9b::192.168.0.1": peers.Private,
	} {
		require.Equal(t, want, policy.Address(netip.MustParseAddr(address)), address)
	}
	require.Equal(t, peers.Port, policy.Peer(netip.MustParseAddrPort("1.1.1.1:53")))
	require.Equal(t, peers.Port, policy.Peer(netip.MustParseAddrPort("1.1.1.1:1023")))
	require.Equal(t, peers.Allowed, policy.Peer(netip.MustParseAddrPort("1.1.1.1:1024")))
	require.Equal(t, peers.Allowed, policy.Peer(netip.MustParseAddrPort("10.1.0.1:53")), "who allows a network means all of its ports")

	_, err = peers.New(peers.Options{Allow: []netip.Prefix{{}}})
	require.Error(t, err)
	_, err = peers.New(peers.Options{MinRelayPort: 2, MaxRelayPort: 1})
	require.Error(t, err)
}

// Two clients of one relay reach each other through it; nobody reaches anything else of it.
func TestOwnAddresses(t *testing.T) {
	options := peers.Options{
		Own: []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("::ffff:10.0.0.7"), netip.MustParseAddr("2600::7")}, MinRelayPort: 49152, MaxRelayPort: 65535,
		Listening: []netip.AddrPort{
			netip.MustParseAddrPort("[::]:3478"), netip.MustParseAddrPort("127.0.0.1:9090"), netip.MustParseAddrPort("10.0.0.7:50000"),
		},
		Local:   []netip.Addr{netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("10.0.0.9")},
		MinPort: 1024,
	}
	rows := map[string]peers.Reason{
		"198.51.100.7:49152":            peers.Allowed,
		"198.51.100.7:65535":            peers.Allowed,
		"198.51.100.7:49151":            peers.Own,
		"198.51.100.7:22":               peers.Own,
		"198.51.100.7:3478":             peers.Own,
		"198.51.100.8:49152":            peers.Reserved,
		"10.0.0.7:49152":                peers.Allowed,
		"10.0.0.7:9090":                 peers.Own,
		"10.0.0.7:50000":                peers.Own, // a socket of ours among the ports that are relayed from
		"[2600::7]:50001":               peers.Allowed,
		"[2600::7]:8080":                peers.Own,
		"127.0.0.1:50000":               peers.Loopback,
		"8.8.4.4:50000":                 peers.Own,
		"[64:ff9b::8.8.4.4]:50000":      peers.Own,
		"10.0.0.9:50000":                peers.Private,
		"[::ffff:198.51.100.7]:8080":    peers.Own,
		"[64:ff9b::198.51.100.7]:50000": peers.Reserved,
	}
	policy, err := peers.New(options)
	require.NoError(t, err)
	for peer, want := range rows {
		require.Equal(t, want, policy.Peer(netip.MustParseAddrPort(peer)), peer)
	}

	options.Allow = networks("127.0.0.0/8", "198.51.100.0/24", "10.0.0.0/8")
	policy, err = peers.New(options)
	require.NoError(t, err)
	for peer, want := range map[string]peers.Reason{
		"198.51.100.7:22":   peers.Allowed, // the operator has said so
		"127.0.0.1:8080":    peers.Allowed,
		"127.0.0.1:9090":    peers.Own, // but never the relay's own sockets
		"127.0.0.1:3478":    peers.Own,
		"198.51.100.7:3478": peers.Own,
		"10.0.0.7:50000":    peers.Own,
	} {
		require.Equal(t, want, policy.Peer(netip.MustParseAddrPort(peer)), peer)
	}
}

func FuzzPolicy(f *testing.F) {
	policy, err := peers.New(peers.Options{MinPort: 1024})
	require.NoError(f, err)
	for _, row := range rows {
		f.Add(netip.MustParseAddr(row.address).AsSlice(), uint16(50000))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, port uint16) {
		address, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		peer := netip.AddrPortFrom(address, port)
		if policy.Peer(peer) != peers.Allowed {
			return
		}
		require.Equal(t, peers.Allowed, policy.Address(address), "what is sent has been permitted")
		plain := address.Unmap()
		require.False(t, plain.IsLoopback() || plain.IsPrivate() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified(), peer)
		require.GreaterOrEqual(t, port, uint16(1024))
	})
}
