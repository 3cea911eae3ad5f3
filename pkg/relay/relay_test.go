package relay_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// Over each transport a client and a peer reach each other: by indications first, and by a channel once the client has bound one.
func TestRelays(t *testing.T) {
	for _, six := range []bool{false, true} {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			name, change, local := transport+"4", func(*relay.Options) {}, "127.0.0.1:0"
			if six {
				name, local = transport+"6", "[::1]:0"
			}
			t.Run(name, func(t *testing.T) {
				if six {
					change = withIPv6(t)
				}
				n := startRelay(t, change)
				d := credentials("ann")
				d.transport, d.six = transport, six
				if six {
					d.family = turn.RequestedAddressFamilyIPv6
				}
				_, relayed := n.mustAllocate(t, d)
				require.Equal(t, netip.MustParseAddrPort(local).Addr(), relayed.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
				other := peer(t, local)
				const rounds = 20 // the client binds a channel meanwhile
				for i := range rounds {
					text := fmt.Sprint("there ", i, strings.Repeat(".", i*50))
					mustWrite(t, relayed, text, other.LocalAddr())
					got, from := mustRead(t, other)
					require.Equal(t, text, got)
					require.Equal(t, relayed.LocalAddr().String(), from.String())
					mustWrite(t, other, "back "+text, from)
					got, from = mustRead(t, relayed)
					require.Equal(t, "back "+text, got)
					require.Equal(t, other.LocalAddr().String(), from.String())
				}
				for _, direction := range []string{"to_peer", "to_client"} {
					labels := map[string]string{"transport": transport, "direction": direction}
					n.reaches(t, rounds, "signalbox_relay_packets_total", labels)
					require.Greater(t, n.value(t, "signalbox_relay_bytes_total", labels), 9500.)
				}
				require.InDelta(t, 1, n.value(t, "signalbox_relay_allocations", map[string]string{"transport": transport}), 0)
				require.NoError(t, relayed.Close())
				n.reaches(t, 0, "signalbox_relay_allocations", map[string]string{"transport": transport})
				require.InDelta(t, 1, n.value(t, "signalbox_relay_allocations_total", map[string]string{"transport": transport}), 0)
				require.Zero(t, n.Allocations())
			})
		}
	}
}

// Two clients that are let out by nothing but the relay reach each other: each is the other's peer at the relay's own address.
func TestRelaysBetweenItsClients(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Allow = nil })
	_, ann := n.mustAllocate(t, credentials("ann"))
	d := credentials("ben")
	d.transport = "tls"
	_, ben := n.mustAllocate(t, d)
	// The library's client makes a permission with what it sends.
	mustWrite(t, ben, "a permission", ann.LocalAddr())
	require.Eventually(t, func() bool {
		mustWrite(t, ann, "to ben", ben.LocalAddr())
		require.NoError(t, ben.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		buffer := make([]byte, 100)
		k, _, err := ben.ReadFrom(buffer)
		return err == nil && string(buffer[:k]) == "to ben"
	}, patience, time.Millisecond)
}

// Clients from before WebRTC want an even port, and the next one for another allocation.
func TestEvenPort(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Sockets = 1 }) // each remembers its own
	r := n.raw(t, credentials("ann"))
	answer := r.ask(stun.MethodAllocate, requestedTransport(17), stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}})
	require.Zero(t, codeOf(answer))
	var relayed stun.XORMappedAddress
	require.NoError(t, relayed.GetFromAs(answer, stun.AttrXORRelayedAddress))
	require.Zero(t, relayed.Port%2)
	token, err := answer.Get(stun.AttrReservationToken)
	require.NoError(t, err)
	next := n.raw(t, credentials("ann"))
	answer = next.ask(stun.MethodAllocate, requestedTransport(17), stun.RawAttribute{Type: stun.AttrReservationToken, Value: token})
	require.Zero(t, codeOf(answer))
	port := relayed.Port
	require.NoError(t, relayed.GetFromAs(answer, stun.AttrXORRelayedAddress))
	require.Equal(t, port+1, relayed.Port)
}

func TestBinding(t *testing.T) {
	n := startRelay(t, nil)
	for _, transport := range []string{"udp", "tcp", "tls"} {
		c := n.connect(t, dialing{transport: transport})
		address, err := c.SendBindingRequest()
		require.NoError(t, err)
		require.Equal(t, c.conn.LocalAddr().(interface{ String() string }).String(), address.String())
	}
	server := n.at(t, "udp", false).String()
	own, err := relay.Reflexive(t.Context(), "udp4", server)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", own.String())

	silent := peer(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = relay.Reflexive(ctx, "udp4", silent.LocalAddr().String())
	require.Error(t, err)
}

// A password of any of the secrets is good, whoever made it: coturn's forms of user names, too.
func TestCredentials(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.AfterExpiry = time.Hour })
	soon := time.Now().Add(time.Hour).Unix()
	for _, made := range []turncred.Credentials{
		turncred.New(secret, "acme", "ann", time.Unix(soon, 0)),
		turncred.New(oldSecret, "acme", "ann", time.Unix(soon, 0)),
		{Username: fmt.Sprint(soon, ":ann"), Password: turncred.Password(secret, fmt.Sprint(soon, ":ann"))},
		{Username: fmt.Sprint("ann:", soon), Password: turncred.Password(oldSecret, fmt.Sprint("ann:", soon))},
		{Username: fmt.Sprint(soon), Password: turncred.Password(secret, fmt.Sprint(soon))},
	} {
		for _, transport := range []string{"udp", "tcp"} {
			_, relayed := n.mustAllocate(t, dialing{transport: transport, username: made.Username, password: made.Password})
			require.NoError(t, relayed.Close())
		}
	}
}

// An allocation outlives the credentials that it was made with for as long as AfterExpiry: a call is not cut for them.
func TestAfterExpiry(t *testing.T) {
	made := turncred.New(secret, "acme", "ann", time.Now().Add(2*time.Second))
	n := startRelay(t, func(o *relay.Options) { o.AfterExpiry = time.Hour })
	d := dialing{transport: "udp", username: made.Username, password: made.Password}
	_, relayed := n.mustAllocate(t, d)
	require.Eventually(t, func() bool { return time.Now().After(made.Expires) }, patience, time.Millisecond)
	other := peer(t, "127.0.0.1:0")
	mustWrite(t, relayed, "still here", other.LocalAddr()) // with a permission of now
	got, _ := mustRead(t, other)
	require.Equal(t, "still here", got)
	_, err := n.connect(t, d).Allocate()
	require.Error(t, err)
	require.InDelta(t, 1, n.value(t, "signalbox_relay_auth_failures_total", map[string]string{"reason": "expired"}), 0)
}

func TestDrain(t *testing.T) {
	n := startRelay(t, nil)
	_, relayed := n.mustAllocate(t, credentials("ann"))
	other := peer(t, "127.0.0.1:0")
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(context.Background()) }()
	n.reaches(t, 1, "signalbox_relay_draining", nil)

	_, err := n.connect(t, credentials("ben")).Allocate()
	require.ErrorContains(t, err, "508")
	require.InDelta(t, 1, n.value(t, "signalbox_relay_allocations_refused_total", map[string]string{"reason": "draining"}), 0)
	mustWrite(t, relayed, "goes on", other.LocalAddr())
	got, _ := mustRead(t, other)
	require.Equal(t, "goes on", got)
	select {
	case <-drained:
		require.Fail(t, "it has not waited")
	default:
	}
	require.NoError(t, relayed.Close())
	require.NoError(t, <-drained)
}

func TestDrainToItsDeadline(t *testing.T) {
	n := startRelay(t, nil)
	_, relayed := n.mustAllocate(t, credentials("ann"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, n.Drain(ctx), context.DeadlineExceeded)
	n.end()
	require.Zero(t, n.Allocations())
	port := relayed.LocalAddr().String()
	again, err := net.ListenPacket("udp", port)
	require.NoError(t, err, "what it had is free again")
	require.NoError(t, again.Close())
}

func TestLoad(t *testing.T) {
	n := startRelay(t, func(o *relay.Options) { o.Quotas = relay.Quotas{Allocations: 4, BytesPerSecond: 1 << 30} })
	require.Zero(t, n.Load())
	_, relayed := n.mustAllocate(t, credentials("ann"))
	require.InDelta(t, 0.25, n.Load(), 0.001)
	require.NoError(t, relayed.Close())
	n.reaches(t, 0, "signalbox_relay_allocations", map[string]string{"transport": "udp"})
	require.Eventually(t, func() bool { return n.Load() == 0 }, patience, time.Millisecond)
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*relay.Options){
		"no address":                func(o *relay.Options) { o.UDP, o.TCP, o.TLS = nil, nil, nil },
		"TLS without a certificate": func(o *relay.Options) { o.TLSConfig = nil },
		"no secret":                 func(o *relay.Options) { o.Secrets = nil },
		"secret 2 has fewer":        func(o *relay.Options) { o.Secrets[1] = "short" },
		"no external address":       func(o *relay.Options) { o.External = nil },
		"0.0.0.0 as an external":    func(o *relay.Options) { o.External = []netip.Addr{netip.IPv4Unspecified()} },
		"127.0.0.2 as an external":  func(o *relay.Options) { o.External = append(o.External, netip.MustParseAddr("127.0.0.2")) },
		"relay ports from":          func(o *relay.Options) { o.MinPort, o.MaxPort = 2000, 1000 },
		"a negative quota":          func(o *relay.Options) { o.Quotas.UserAllocations = -1 },
		"a negative time":           func(o *relay.Options) { o.MaxAhead = -1 },
		"a negative number":         func(o *relay.Options) { o.Limits.Channels = -1 },
		"packets of 100 bytes":      func(o *relay.Options) { o.Limits.PacketBytes = 100 },
		"an hour or more":           func(o *relay.Options) { o.Limits.Lifetime = time.Hour },
		"no logger":                 func(o *relay.Options) { o.Logger = nil },
		"network that is none":      func(o *relay.Options) { o.Deny = []netip.Prefix{{}} },
		"listen on nowhere":         func(o *relay.Options) { o.UDP = []string{"nowhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			options := relay.Options{
				UDP: []string{"127.0.0.1:0"}, TLS: []string{"127.0.0.1:0"}, TLSConfig: serverTLS(t), Secrets: []string{secret, oldSecret},
				External: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Logger: discard, Registerer: prometheus.NewRegistry(),
			}
			change(&options)
			_, err := relay.Open(t.Context(), options)
			require.ErrorContains(t, err, name)
		})
	}
}
