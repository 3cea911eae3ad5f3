package address_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/address"
)

func TestKindOf(t *testing.T) {
	for text, want := range map[string]address.Kind{
		"0.1.2.3": address.Unspecified, "10.1.2.3": address.Private, "100.127.0.1": address.Shared, "100.128.0.1": address.Public,
		"127.9.9.9": address.Loopback, "169.254.169.254": address.LinkLocal, "172.31.0.1": address.Private, "172.32.0.1": address.Public,
		"192.0.0.9": address.Reserved, "192.168.1.1": address.Private, "198.19.0.1": address.Reserved, "224.0.0.1": address.Multicast,
		"255.255.255.255": address.Broadcast, "240.0.0.1": address.Reserved, "8.8.8.8": address.Public,
		"::": address.Unspecified, "::1": address.Loopback, "fe80::1": address.LinkLocal, "fec0::1": address.Private, "fd00::1": address.Private,
		"64:ff9b:1::1": address.Private, "ff02::1": address.Multicast, "2001:db8::1": address.Reserved, "2001:2::1": address.Reserved,
		"3fff::1": address.Reserved, "4000::1": address.Reserved, "2a00::1": address.Public, "::ffff:127.0.0.1": address.Loopback,
	} {
		require.Equal(t, want, address.KindOf(address.Plain(netip.MustParseAddr(text))), text)
	}
}

func TestCarried(t *testing.T) {
	for text, want := range map[string][]string{
		"::10.0.0.1": {"10.0.0.1"}, "64:ff9b::10.0.0.1": {"10.0.0.1"}, "::ffff:0:10.0.0.1": {"10.0.0.1"}, "2002:a00:1::1": {"10.0.0.1"},
		"2001:0:a00:1::f5ff:fffd": {"10.0.0.1", "10.0.0.2"}, "10.0.0.1": nil, "2a00::1": nil,
	} {
		var found []string
		for _, carried := range address.Carried(netip.MustParseAddr(text)) {
			found = append(found, carried.String())
		}
		require.Equal(t, want, found, text)
	}
}
