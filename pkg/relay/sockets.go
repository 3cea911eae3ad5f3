package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"

	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/relay/peers"
)

// generator makes the relayed addresses of one front.
type generator struct {
	server *Server
	front  *front
}

var _ turn.RelayAddressGenerator = (*generator)(nil)

// Validate implements [turn.RelayAddressGenerator].
func (g *generator) Validate() error { return nil }

// portTries is how many ports are tried. At most half of them are taken by allocations.
const portTries = 64

// errRefused is answered to a client as a lack of capacity (508).
var errRefused = errors.New("relay: no allocation")

// Even ports, of which clients from before WebRTC want one for RTP, and the next for RTCP. The library looks for one before it asks about
// quotas, tries up to 128 times, and remembers it for half a minute in a list: so there are few of them.
const (
	evenPortsPerSecond = 10
	evenPortsBurst     = 20
)

// AllocatePacketConn implements [turn.RelayAddressGenerator]. Without a user it is to find an even port, which it does at the first try.
func (g *generator) AllocatePacketConn(config turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	s := g.server
	if config.UserID == "" {
		return g.evenPort()
	}
	external, ok := s.external(config.Network == "udp4")
	if !ok {
		return nil, nil, g.refuse(refusedFamily)
	}
	lease, reason := s.accounts.open(config.UserID)
	if lease == nil {
		return nil, nil, g.refuse(reason)
	}
	conn := s.bind(config.Network, external, config.RequestedPort, 1)
	if conn == nil {
		lease.close()
		return nil, nil, g.refuse(refusedPorts)
	}
	wire, err := newWire(conn)
	if err != nil {
		_ = conn.Close()
		lease.close()
		return nil, nil, g.refuse(refusedPorts)
	}
	port, transport := addrPortOf(conn.LocalAddr()).Port(), g.front.transport
	socket := &socket{
		wire: wire, server: s, lease: lease, front: g.front.packets, relayed: netip.AddrPortFrom(external, port), transport: transport,
		toPeer: s.metrics.traffic(directionToPeer, transport), toClient: s.metrics.traffic(directionToClient, transport),
	}
	s.clients.add(socket)
	return socket, net.UDPAddrFromAddrPort(socket.relayed), nil
}

// evenPort finds a port for an allocation that is made at once, if it is free then.
func (g *generator) evenPort() (net.PacketConn, net.Addr, error) {
	s := g.server
	external, ok := s.external(true)
	if !ok {
		return nil, nil, g.refuse(refusedFamily)
	}
	if !s.evenPorts.Allow() {
		return nil, nil, g.refuse(refusedTransport)
	}
	conn := s.bind("udp4", external, 0, 2)
	if conn == nil {
		return nil, nil, g.refuse(refusedPorts)
	}
	return conn, conn.LocalAddr(), nil
}

func (g *generator) refuse(reason string) error {
	g.server.metrics.refused.WithLabelValues(reason).Inc()
	return fmt.Errorf("%w: %s", errRefused, reason)
}

// AllocateListener implements [turn.RelayAddressGenerator]. TCP to peers (RFC 6062) is not served: WebRTC has no use for it, and others have.
func (g *generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, g.refuse(refusedTransport)
}

// AllocateConn implements [turn.RelayAddressGenerator].
func (g *generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, g.refuse(refusedTransport)
}

// external is the address that peers send to.
func (s *Server) external(four bool) (netip.Addr, bool) {
	for _, address := range s.opts.External {
		if address = address.Unmap(); address.Is4() == four {
			return address, true
		}
	}
	return netip.Addr{}, false
}

// bind opens a socket on a free port of those that are relayed from, nil if none is found: on the one that is wanted, or on any multiple of
// step. On a machine that has the external address
// itself packets come from there; behind a NAT from whatever the route says.
func (s *Server) bind(network string, external netip.Addr, wanted, step int) *net.UDPConn {
	at := netip.IPv6Unspecified()
	if external.Is4() {
		at = netip.IPv4Unspecified()
	}
	if s.ours[external] {
		at = external
	}
	low, high := (int(s.opts.MinPort)+step-1)/step, int(s.opts.MaxPort)/step
	if wanted != 0 {
		if wanted < int(s.opts.MinPort) || wanted > int(s.opts.MaxPort) {
			return nil
		}
		low, high, step = wanted, wanted, 1
	}
	if high < low {
		return nil
	}
	span := high - low + 1
	first := rand.IntN(span)
	for i := range min(portTries, span) {
		port := uint16((low + (first+i)%span) * step)
		conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, port)))
		if err == nil {
			return conn
		}
	}
	return nil
}

// isOurs reports whether the machine has an address.
func isOurs(address netip.Addr) bool {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Directions of what is relayed, as metrics name them.
const (
	directionToPeer   = "to_peer"
	directionToClient = "to_client"
)

// Why a packet was dropped, as metrics name it: those of quotas, and these.
const (
	droppedNoPermission = "no_permission" // of a peer that the client has not let in
	droppedTooLong      = "too_long"
)

// socket is what one allocation is relayed from.
type socket struct {
	// immutable
	*wire
	server           *Server
	lease            *lease
	front            *packets // that the client comes to; nil if it comes over a connection
	relayed          netip.AddrPort
	transport        string // of the client
	toPeer, toClient traffic

	closing sync.Once

	client clientKey // guarded by clients.mu
	bound  bool      // client is set; guarded by clients.mu

	mu        sync.RWMutex
	permitted map[netip.Addr]struct{}     // guarded by mu
	channels  map[uint16]*channel         // guarded by mu
	byPeer    map[netip.AddrPort]*channel // the same; guarded by mu

	lastAllowed netip.AddrPort // owned by whoever reads from the client

	// Owned by whoever reads from the peers.
	lastPeer netip.AddrPort
	lastAddr *net.UDPAddr // lastPeer
	in       *batch       // nil if there is none to be worked through
	at       int          // in it
	payload  int          // bytes that were framed for the client
}

var _ net.PacketConn = (*socket)(nil)

// plain is a peer's address as it is compared.
func plain(peer netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
}

// WriteTo implements [net.PacketConn]: it sends to a peer. What may not be sent is dropped, as a network does.
func (s *socket) WriteTo(payload []byte, addr net.Addr) (int, error) {
	peer := plain(addrPortOf(addr))
	if peer != s.lastAllowed {
		// The permission was for an address. The port is known here alone, and what was permitted is looked at once more.
		if reason := s.server.policy.Peer(peer); reason != peers.Allowed {
			s.server.metrics.denied.WithLabelValues(string(reason)).Inc()
			return len(payload), nil
		}
		s.lastAllowed = peer
	}
	if !s.affords(len(payload)) {
		return len(payload), nil
	}
	n, err := s.WriteToUDPAddrPort(payload, peer)
	if err == nil {
		s.toPeer.count(1, n)
	}
	return n, err
}

// ReadFrom implements [net.PacketConn]: it gives what a permitted peer has sent.
func (s *socket) ReadFrom(buffer []byte) (int, net.Addr, error) {
	if s.front != nil {
		return s.readPackets(buffer)
	}
	for {
		n, peer, err := s.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return 0, nil, err
		}
		peer = plain(peer)
		permitted, _ := s.look(peer)
		if s.mayReceive(buffer[:n], permitted) {
			s.toClient.count(1, n)
			return n, s.addrOf(peer), nil
		}
	}
}

// peerBytes is less than what a peer may send at once: the library has no room for more.
const peerBytes = 1600

// mayReceive reports whether a packet goes to the client, and counts it if not. Whoever else sends must not use up the client's bandwidth.
func (s *socket) mayReceive(packet []byte, permitted bool) bool {
	switch {
	case len(packet) >= peerBytes:
		s.server.metrics.dropped.WithLabelValues(droppedTooLong).Inc()
		return false
	case !permitted:
		s.server.metrics.dropped.WithLabelValues(droppedNoPermission).Inc()
		return false
	}
	return s.affords(len(packet))
}

// addrOf is a peer's address for the library.
func (s *socket) addrOf(peer netip.AddrPort) net.Addr {
	if peer != s.lastPeer || s.lastAddr == nil {
		s.lastPeer, s.lastAddr = peer, net.UDPAddrFromAddrPort(peer)
	}
	return s.lastAddr
}

// Close implements [net.PacketConn].
func (s *socket) Close() error {
	err := net.ErrClosed
	s.closing.Do(func() {
		bound := s.server.clients.remove(s)
		err = s.wire.Close()
		s.lease.close()
		if bound {
			s.server.metrics.allocations.WithLabelValues(s.transport).Dec()
		}
	})
	return err
}

// look reports whether a peer is permitted, and gives its channel; nil if it has none.
func (s *socket) look(peer netip.AddrPort) (permitted bool, c *channel) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, permitted = s.permitted[peer.Addr()]
	return permitted, s.byPeer[peer]
}

// channel gives that of a number; nil if it is not bound.
func (s *socket) channel(number uint16) *channel {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.channels[number]
}

// mayPermit reports whether an address may be permitted, as far as their number goes.
func (s *socket) mayPermit(address netip.Addr, most int) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, has := s.permitted[address]
	return has || len(s.permitted) < most
}

// mayBind reports whether a channel may be bound, as far as their number goes.
func (s *socket) mayBind(channel uint16, most int) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, has := s.channels[channel]
	return has || len(s.channels) < most
}

func (s *socket) bind(number uint16, client, peer netip.AddrPort) {
	c := &channel{number: number, peer: plain(peer), toClient: newEndpoint(client)}
	c.toPeer, c.denied = newEndpoint(c.peer), s.server.policy.Peer(c.peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels == nil {
		s.channels, s.byPeer = make(map[uint16]*channel), make(map[netip.AddrPort]*channel)
	}
	s.channels[number], s.byPeer[c.peer] = c, c
}

func (s *socket) unbind(number uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channels[number]; c != nil {
		delete(s.channels, number)
		delete(s.byPeer, c.peer)
	}
}

func (s *socket) permit(peer net.IP) {
	address, _ := netip.AddrFromSlice(peer)
	address = address.Unmap()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.permitted == nil {
		s.permitted = make(map[netip.Addr]struct{})
	}
	s.permitted[address] = struct{}{}
}

func (s *socket) forbid(peer net.IP) {
	address, _ := netip.AddrFromSlice(peer)
	address = address.Unmap()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.permitted, address)
}

// traffic counts what is relayed in one direction over one transport.
type traffic struct {
	packets, bytes prometheus.Counter
}

func (t traffic) count(packets, bytes int) {
	t.packets.Add(float64(packets))
	t.bytes.Add(float64(bytes))
}
