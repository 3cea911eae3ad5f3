package relay_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
)

// What clients and peers send in bursts through channels comes to whom it is for, whole and in order, whatever comes between it.
func TestChannels(t *testing.T) {
	n := startRelay(t, nil)
	r := n.raw(t, credentials("ann"))
	relayed := net.UDPAddrFromAddrPort(r.mustAllocate())
	const first, burst, rounds = 0x4000, 10, 5
	channels := []net.PacketConn{peer(t, "127.0.0.1:0"), peer(t, "127.0.0.1:0")}
	for i, conn := range channels {
		require.Zero(t, codeOf(r.ask(stun.MethodChannelBind, channelNumber(uint16(first+i)), toward(conn.LocalAddr().(*net.UDPAddr).AddrPort()))))
	}
	without := peer(t, "127.0.0.1:0") // it is permitted by the address that it has in common with those
	text := func(round, i, of int) string {
		return fmt.Sprint(round, " ", i, " ", of, strings.Repeat("x", i%4*333))
	}
	for round := range rounds {
		for i := range burst {
			for c := range channels {
				r.send(dataOf(first+uint16(c), text(round, i, c)))
			}
			if i == burst/2 {
				r.send(dataOf(first+7, "for nobody"))
				r.indicate(without.LocalAddr().(*net.UDPAddr).AddrPort(), "by an indication")
			}
		}
		for i := range burst {
			for c, conn := range channels {
				got, from := mustRead(t, conn)
				require.Equal(t, text(round, i, c), got)
				require.Equal(t, relayed.String(), from.String())
			}
		}
		got, _ := mustRead(t, without)
		require.Equal(t, "by an indication", got)

		for i := range burst {
			for c, conn := range channels {
				mustWrite(t, conn, text(round, i, c), relayed)
			}
			if i == burst/2 {
				mustWrite(t, without, "without a channel", relayed)
			}
		}
		next, indications := make([]int, len(channels)), 0
		for range burst*len(channels) + 1 {
			message := r.read()
			if message[0] == 0 {
				indication := &stun.Message{Raw: message}
				require.NoError(t, indication.Decode())
				data, err := indication.Get(stun.AttrData)
				require.NoError(t, err)
				require.Equal(t, "without a channel", string(data))
				indications++
				continue
			}
			c := int(binary.BigEndian.Uint16(message)) - first
			require.Equal(t, text(round, next[c], c), string(message[4:]))
			require.Len(t, message[4:], int(binary.BigEndian.Uint16(message[2:])))
			next[c]++
		}
		require.Equal(t, 1, indications)
	}
	packets := float64(rounds * (burst*len(channels) + 1))
	for _, direction := range []string{"to_peer", "to_client"} {
		n.reaches(t, packets, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": direction})
	}

	// What came before the end of an allocation is sent, and nothing after it.
	r.send(dataOf(first, "the last"))
	r.send(r.signed(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}}).Raw)
	r.send(dataOf(first, "too late"))
	r.alive()
	got, _ := mustRead(t, channels[0])
	require.Equal(t, "the last", got)
	require.InDelta(t, packets+1, n.value(t, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": "to_peer"}), 0)
}

// A socket of all addresses has those of IPv4 in IPv6.
func TestChannelsOnAllAddresses(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.UDP = []string{":0"} })
	conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), n.Addrs("udp")[0].Port()).String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	r := &raw{t: t, conn: conn, d: credentials("ann")}
	relayed := r.mustAllocate()
	other := peer(t, "127.0.0.1:0")
	require.Zero(t, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x4000), toward(other.LocalAddr().(*net.UDPAddr).AddrPort()))))
	for range 3 {
		r.send(dataOf(0x4000, "there"))
		got, _ := mustRead(t, other)
		require.Equal(t, "there", got)
		mustWrite(t, other, "back", net.UDPAddrFromAddrPort(relayed))
		require.Equal(t, dataOf(0x4000, "back"), r.read())
	}
}

// A channel is one client's: another one's data of the same number goes nowhere.
func TestChannelsOfOthers(t *testing.T) {
	n := startRelay(t, nil)
	ann, mallory := n.raw(t, credentials("ann")), n.raw(t, credentials("mallory"))
	ann.mustAllocate()
	mallory.mustAllocate()
	to := peer(t, "127.0.0.1:0").LocalAddr().(*net.UDPAddr).AddrPort()
	require.Zero(t, codeOf(ann.ask(stun.MethodChannelBind, channelNumber(0x4000), toward(to))))
	mallory.send(dataOf(0x4000, "hello?"))
	mallory.alive()
	stranger := n.raw(t, dialing{})
	stranger.send(dataOf(0x4000, "hello?"))
	stranger.alive()
	require.Zero(t, n.value(t, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": "to_peer"}))
}

// The port of a peer is known when a channel is bound: one that may not be sent to gets nothing by a channel, either.
func TestChannelToAPortThatIsDenied(t *testing.T) {
	n := startRelay(t, nil)
	r := n.raw(t, credentials("mallory"))
	r.mustAllocate()
	require.Zero(t, codeOf(r.ask(stun.MethodChannelBind, channelNumber(0x4000), toward(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), n.at(t, "udp", false).Port())))))
	r.send(dataOf(0x4000, "hello?"))
	r.alive()
	require.InDelta(t, 1, n.value(t, "signalbox_relay_peers_denied_total", map[string]string{"reason": "own"}), 0)
	require.Zero(t, n.value(t, "signalbox_relay_packets_total", map[string]string{"transport": "udp", "direction": "to_peer"}))
}

// dataOf is data of a channel, as it is sent over UDP.
func dataOf(channel uint16, data string) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, channel), uint16(len(data))), data...)
}

// read reads one message.
func (r *raw) read() []byte {
	r.t.Helper()
	buffer := make([]byte, 2000)
	require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	n, err := r.conn.Read(buffer)
	require.NoError(r.t, err)
	return buffer[:n]
}
