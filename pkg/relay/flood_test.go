package relay_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
)

// Requests can be sent in anybody's name. Those who have not asked are not answered for ever.
func TestSecurityFloods(t *testing.T) {
	unanswered := func(t *testing.T, n *node, reason string) float64 {
		return n.value(t, "signalbox_relay_unanswered_total", map[string]string{"reason": reason})
	}
	// from is a client at an address of the loopback interface.
	from := func(t *testing.T, n *node, host string, d dialing) *raw {
		t.Helper()
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)}, net.UDPAddrFromAddrPort(n.at(t, "udp", false)))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return &raw{t: t, conn: conn, d: d}
	}
	few := func(o *relay.Options) { o.Limits.SourceAnswers = 1 } // and five at once
	// flood sends a message until one is not answered.
	flood := func(t *testing.T, n *node, reason string, message func() (*raw, *stun.Message)) {
		t.Helper()
		before := unanswered(t, n, reason)
		require.Eventually(t, func() bool {
			for range 10 {
				r, m := message()
				r.send(m.Raw)
			}
			return unanswered(t, n, reason) > before
		}, patience, time.Millisecond)
	}

	t.Run("Source", func(t *testing.T) {
		n := startRelay(t, few)
		one := from(t, n, "127.0.0.1", dialing{})
		for _, method := range []stun.Method{stun.MethodBinding, stun.MethodAllocate, stun.MethodChannelBind} {
			flood(t, n, "source", func() (*raw, *stun.Message) { return one, one.build(method, nil) })
		}
		require.Zero(t, unanswered(t, n, "total"))
		from(t, n, "127.0.0.2", dialing{}).alive() // others are
	})
	t.Run("Total", func(t *testing.T) {
		n := startRelay(t, func(o *relay.Options) { o.Limits.Answers = 5 })
		clients := make([]*raw, 10)
		for i := range clients {
			clients[i] = from(t, n, net.IPv4(127, 0, 3, byte(i+1)).String(), dialing{})
		}
		i := 0
		flood(t, n, "total", func() (*raw, *stun.Message) {
			i++
			r := clients[i%len(clients)]
			return r, r.build(stun.MethodBinding, nil)
		})
		require.Zero(t, unanswered(t, n, "source"))
	})
	t.Run("Signed", func(t *testing.T) { // by nobody: that it is wrong is known only after a look at it
		n := startRelay(t, few)
		mallory := from(t, n, "127.0.0.1", dialing{username: "2000000000:mallory", password: "x"})
		require.Equal(t, stun.CodeUnauthorized, codeOf(mallory.ask(stun.MethodAllocate, requestedTransport(17))))
		flood(t, n, "source", func() (*raw, *stun.Message) {
			return mallory, mallory.signed(stun.MethodAllocate, requestedTransport(17))
		})
	})
	t.Run("Calls", func(t *testing.T) {
		n := startRelay(t, func(o *relay.Options) { o.Limits.SourceAnswers, o.Limits.Answers = 1, 3 })
		ann := from(t, n, "127.0.0.1", credentials("ann"))
		ann.mustAllocate()
		mallory := from(t, n, "127.0.0.1", dialing{})
		flood(t, n, "total", func() (*raw, *stun.Message) { return mallory, mallory.build(stun.MethodBinding, nil) })
		for range 50 { // at the address that the flood comes from
			require.Zero(t, codeOf(ann.ask(stun.MethodRefresh)))
		}
	})
}

// A client is told why it gets no channel, in an answer that is signed, over whatever it has come.
func TestDeniedChannel(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Limits.Channels = 1 })
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			r := n.raw(t, credentials("ann"))
			if transport == "tcp" {
				conn, err := net.Dial("tcp", n.at(t, "tcp", false).String())
				require.NoError(t, err)
				t.Cleanup(func() { _ = conn.Close() })
				r.conn = conn
			}
			r.mustAllocate()
			key := stun.MessageIntegrity(turn.GenerateAuthKey(r.d.username, r.realm.String(), r.d.password))
			for _, test := range []struct {
				channel uint16
				peer    string
				want    stun.ErrorCode
			}{
				{0x4000, "10.0.0.1:5000", stun.CodeForbidden},
				{0x4000, "127.0.0.1:5000", 0},
				{0x4001, "127.0.0.1:5001", stun.CodeInsufficientCapacity},
				{0x4000, "169.254.169.254:80", stun.CodeForbidden},
				{0x4000, "127.0.0.1:5000", 0},
			} {
				answer := r.ask(stun.MethodChannelBind, channelNumber(test.channel), toward(netip.MustParseAddrPort(test.peer)))
				require.Equal(t, test.want, codeOf(answer), "%x %s", test.channel, test.peer)
				require.NoError(t, key.Check(answer))
			}
		})
	}
}
