package relay

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What is written at once arrives as it was given, whether the kernel cuts it, does not, or cannot; and is read at once.
func TestWire(t *testing.T) {
	for name, test := range map[string]struct {
		sizes    []int // of packets, of which the second half is for another endpoint at the same address
		messages int   // that are given to the kernel
	}{
		"Alike":    {[]int{1000, 1000, 1000, 1000}, 2},
		"Shorter":  {[]int{1000, 1000, 10, 1000, 1000, 999}, 2},
		"Longer":   {[]int{10, 1000, 1001, 1001}, 3},
		"Empty":    {[]int{0, 1000, 1000, 0, 0, 1000}, 5},
		"Long":     {[]int{1500, 1500, 1500, 1500}, 4},
		"One":      {[]int{1}, 1},
		"TheMost":  {slices.Repeat([]int{segmentBytes}, batchPackets), 2},
		"TwoSizes": {[]int{1, 1, 2, 2, 2, 1, 1}, 4},
	} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			for _, cuts := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/cuts=%t", name, host, cuts), func(t *testing.T) {
					from, to := openWire(t, host), openWire(t, host)
					if !cuts { // nothing is cut without checksums
						require.NoError(t, from.system.raw.Control(func(fd uintptr) {
							require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1))
							require.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_TX, 1))
						}))
						require.NoError(t, to.system.raw.Control(func(fd uintptr) {
							require.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_RX, 1))
						}))
					}
					pool := newBatches(peerBytes)
					b := pool.Get().(*batch)
					ends := []*endpoint{newEndpoint(addrPortOf(to.LocalAddr())), newEndpoint(addrPortOf(to.LocalAddr()))}
					var want [][]byte
					total := 0
					for i, size := range test.sizes {
						packet := bytes.Repeat([]byte{byte('a' + i)}, size)
						want, total = append(want, packet), total+size
						b.out.add(packet, ends[i*2/len(test.sizes)])
					}
					sent, written, err := from.write(&b.out)
					require.NoError(t, err)
					require.Equal(t, len(test.sizes), sent)
					require.Equal(t, total, written)
					require.Zero(t, b.out.count)
					require.Equal(t, test.messages, b.out.system.count)
					require.Equal(t, !cuts && test.messages < len(test.sizes), ends[0].system.single || ends[1].system.single)
					var got [][]byte
					for len(got) < len(want) {
						in, err := to.read(pool)
						require.NoError(t, err)
						for i := range in.count {
							got = append(got, bytes.Clone(in.packet(i)))
							require.Equal(t, addrPortOf(from.LocalAddr()), in.from(i))
						}
						require.Equal(t, len(want), in.count, "they were all there")
						pool.Put(in)
					}
					require.Equal(t, len(want), len(got))
					for i := range want {
						require.True(t, bytes.Equal(want[i], got[i]), "packet %d: %d bytes instead of %d", i, len(got[i]), len(want[i]))
					}
				})
			}
		}
	}
}

// A packet that cannot be sent does not stop those after it.
func TestWireFailures(t *testing.T) {
	from, to := openWire(t, "127.0.0.1"), openWire(t, "127.0.0.1")
	pool := newBatches(peerBytes)
	b := pool.Get().(*batch)
	good, bad := newEndpoint(addrPortOf(to.LocalAddr())), newEndpoint(netip.MustParseAddrPort("127.0.0.1:0"))
	for _, end := range []*endpoint{bad, bad, good, bad, good} {
		b.out.add([]byte("text"), end)
	}
	sent, written, err := from.write(&b.out)
	require.ErrorIs(t, err, unix.EINVAL)
	require.Equal(t, 2, sent)
	require.Equal(t, 8, written)
	in, err := to.read(pool)
	require.NoError(t, err)
	require.Equal(t, 2, in.count)
	require.NoError(t, from.Close())
	b.out.add([]byte("text"), good)
	_, _, err = from.write(&b.out)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = from.read(pool)
	require.ErrorIs(t, err, net.ErrClosed)
}

// Addresses come through as they are, those of IPv4 in IPv6 and with a zone too.
func TestEndpoints(t *testing.T) {
	for _, text := range []string{"192.0.2.1:5", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:256", "[fe80::1%3]:1"} {
		b := newBatches(peerBytes).Get().(*batch)
		want := netip.MustParseAddrPort(text)
		b.system.names[7] = newEndpoint(want).system.name
		require.Equal(t, want, b.from(7))
	}
}

func openWire(t *testing.T, host string) *wire {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
	if err != nil && host == "::1" {
		t.Skip("this machine has no IPv6:", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	w, err := newWire(conn)
	require.NoError(t, err)
	return w
}
