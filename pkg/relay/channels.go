package relay

import (
	"errors"
	"net"
	"net/netip"

	"github.com/signalbox-rtc/signalbox/pkg/relay/peers"
)

// What goes through channels is nearly all that is relayed. Over UDP it does not pass the library, which tells when there is a channel and
// when there is none any more: what is read at once is written at once, and nothing is made anew for a packet.

// channel is one that a client has bound to a peer.
type channel struct {
	// immutable
	number uint16
	peer   netip.AddrPort
	denied peers.Reason // peers.Allowed if the client may send to it

	toPeer   *endpoint // of the client's reader
	toClient *endpoint // of the reader of the allocation's socket
}

// queued is a packet that a client sends through a channel.
type queued struct {
	socket  *socket
	channel *channel
	payload []byte
}

// queue has data of a channel be sent when all that was read with it was looked at.
func (p *packets) queue(from netip.AddrPort, data []byte) {
	s := p.server.clients.of(clientKey{client: from, our: p.our})
	if s == nil {
		return
	}
	number, length := channelOfData(data)
	if c := s.channel(number); c != nil {
		p.queued = append(p.queued, queued{socket: s, channel: c, payload: data[channelHeader : channelHeader+length]})
	}
}

// flush sends what is queued: for each client at once, and in the order in which it came.
func (p *packets) flush() {
	if len(p.queued) == 0 {
		return
	}
	out := &p.in.out
	for i := range p.queued {
		s := p.queued[i].socket
		if s == nil {
			continue // sent with one before
		}
		for j := i; j < len(p.queued); j++ {
			q := &p.queued[j]
			if q.socket != s {
				continue
			}
			if s.maySend(q.channel, len(q.payload)) {
				out.add(q.payload, q.channel.toPeer)
			}
			q.socket = nil
		}
		sent, bytes, _ := s.wire.write(out) // what is not taken is lost, as on any network
		s.toPeer.count(sent, bytes)
	}
	clear(p.queued)
	p.queued = p.queued[:0]
}

// maySend reports whether data goes to the peer of a channel, and counts it if not.
func (s *socket) maySend(c *channel, bytes int) bool {
	if c.denied != peers.Allowed {
		s.server.metrics.denied.WithLabelValues(string(c.denied)).Inc()
		return false
	}
	return s.affords(bytes)
}

// affords reports whether bytes are within the quotas, and counts a packet that is dropped if not.
func (s *socket) affords(bytes int) bool {
	if scope := s.lease.take(bytes); scope != "" {
		s.server.metrics.dropped.WithLabelValues(scope).Inc()
		return false
	}
	return true
}

// readPackets gives a packet of a permitted peer that has no channel. The others are sent to the client.
func (s *socket) readPackets(buffer []byte) (int, net.Addr, error) {
	for {
		if s.in == nil {
			in, err := s.wire.read(s.server.batches)
			if err != nil {
				return 0, nil, err
			}
			s.in, s.at = in, 0
		}
		for s.at < s.in.count {
			i := s.at
			s.at++
			packet, peer := s.in.packet(i), plain(s.in.from(i))
			permitted, c := s.look(peer)
			if !s.mayReceive(packet, permitted) {
				continue
			}
			if c == nil {
				s.flush()
				s.toClient.count(1, len(packet))
				return copy(buffer, packet), s.addrOf(peer), nil
			}
			framed := s.in.framed(i)
			putChannelHeader(framed, c.number, len(packet))
			s.in.out.add(framed, c.toClient)
			s.payload += len(packet)
		}
		s.flush()
		s.server.batches.Put(s.in)
		s.in = nil
	}
}

// flush sends the client what was framed for it.
func (s *socket) flush() {
	count := s.in.out.count
	if count == 0 {
		return
	}
	s.toClient.count(count, s.payload)
	s.payload = 0
	if _, _, err := s.front.wire.write(&s.in.out); err != nil && !errors.Is(err, net.ErrClosed) {
		s.server.metrics.errors.Inc()
	}
}
