package relay

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"github.com/signalbox-rtc/signalbox/pkg/relay/peers"
)

// clientKey names a client's allocation as its 5-tuple does.
type clientKey struct {
	connection  *net.TCPAddr // of TCP and TLS: each connection has an address of its own, see stream
	client, our netip.AddrPort
}

func keyOf(client, our net.Addr) clientKey {
	if connection, ok := client.(*net.TCPAddr); ok {
		return clientKey{connection: connection}
	}
	return clientKey{client: addrPortOf(client), our: addrPortOf(our)}
}

// clients are the allocations that there are, and the connections.
type clients struct {
	connections atomic.Int64 // of TCP and TLS

	mu        sync.RWMutex
	byRelayed map[netip.AddrPort]*socket // guarded by mu
	byClient  map[clientKey]*socket      // guarded by mu
}

func newClients() *clients {
	return &clients{byRelayed: make(map[netip.AddrPort]*socket), byClient: make(map[clientKey]*socket)}
}

func (c *clients) add(s *socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRelayed[s.relayed] = s
}

// bind notes whose an allocation is. It gives nil if it has ended already.
func (c *clients) bind(key clientKey, relayed netip.AddrPort) *socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byRelayed[relayed]
	if s != nil {
		s.client, s.bound = key, true
		c.byClient[key] = s
	}
	return s
}

func (c *clients) of(key clientKey) *socket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byClient[key]
}

// remove forgets an allocation, and reports whether it was a client's.
func (c *clients) remove(s *socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byRelayed[s.relayed] == s {
		delete(c.byRelayed, s.relayed)
	}
	if s.bound && c.byClient[s.client] == s {
		delete(c.byClient, s.client)
	}
	return s.bound
}

// permit decides about the peers that the clients of a front ask for.
func (s *Server) permit(f *front) turn.PermissionHandler {
	return func(client net.Addr, peer net.IP) bool {
		address, _ := netip.AddrFromSlice(peer)
		x := s.exchanges.find(client)
		if x == nil {
			return false // nobody has asked
		}
		code := s.mayPermit(s.clients.of(keyOf(client, f.addr)), x.request, address.Unmap())
		if isChannelBind(x.request) {
			x.code = code // the library has 401 for it
		}
		return code == 0
	}
}

// mayPermit gives the error that a client gets who asks for a peer, as RFC 8656, section 12.2, has it; 0 if it is permitted.
func (s *Server) mayPermit(socket *socket, request []byte, peer netip.Addr) stun.ErrorCode {
	if reason := s.policy.Address(peer); reason != peers.Allowed {
		s.metrics.denied.WithLabelValues(string(reason)).Inc()
		return stun.CodeForbidden
	}
	channel, binds := channelOf(request)
	switch {
	case socket == nil:
		return stun.CodeForbidden // it has just ended
	case !socket.mayPermit(peer, s.opts.Limits.Permissions):
		s.metrics.limits.WithLabelValues(limitPermissions).Inc()
		return stun.CodeInsufficientCapacity
	case binds && (channel>>8 < channelFirst || channel>>8 > channelLast):
		return stun.CodeBadRequest // the library would bind it, and nothing could be sent there
	case binds && !socket.mayBind(channel, s.opts.Limits.Channels):
		s.metrics.limits.WithLabelValues(limitChannels).Inc()
		return stun.CodeInsufficientCapacity
	}
	return 0
}

// events are what the library tells. It holds locks of its own meanwhile: nothing here may call it.
func (s *Server) events() turn.EventHandler {
	with := func(client, our net.Addr, do func(*socket)) {
		if socket := s.clients.of(keyOf(client, our)); socket != nil {
			do(socket)
		}
	}
	return turn.EventHandler{
		OnAllocationCreated: func(client, our net.Addr, _, _, _ string, relayed net.Addr, _ int) {
			if socket := s.clients.bind(keyOf(client, our), addrPortOf(relayed)); socket != nil {
				s.metrics.allocated.WithLabelValues(socket.transport).Inc()
				s.metrics.allocations.WithLabelValues(socket.transport).Inc()
			}
		},
		OnPermissionCreated: func(client, our net.Addr, _, _, _ string, _ net.Addr, peer net.IP) {
			with(client, our, func(socket *socket) { socket.permit(peer) })
		},
		OnPermissionDeleted: func(client, our net.Addr, _, _, _ string, _ net.Addr, peer net.IP) {
			with(client, our, func(socket *socket) { socket.forbid(peer) })
		},
		OnChannelCreated: func(client, our net.Addr, _, _, _ string, _, peer net.Addr, channel uint16) {
			with(client, our, func(socket *socket) { socket.bind(channel, addrPortOf(client), addrPortOf(peer)) })
		},
		OnChannelDeleted: func(client, our net.Addr, _, _, _ string, _, _ net.Addr, channel uint16) {
			with(client, our, func(socket *socket) { socket.unbind(channel) })
		},
	}
}
