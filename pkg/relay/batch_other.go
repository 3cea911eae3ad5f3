//go:build !linux

package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Where the system has no calls for many packets a batch has one.

type (
	systemBatch    struct{ from netip.AddrPort }
	systemOutgoing struct{}
	systemEndpoint struct{}
	systemWire     struct{}
)

func newWire(conn *net.UDPConn) (*wire, error) { return &wire{UDPConn: conn}, nil }

func newEndpoint(address netip.AddrPort) *endpoint { return &endpoint{address: address} }

func (b *batch) prepare()    {}
func (o *outgoing) prepare() {}

func (b *batch) from(int) netip.AddrPort { return b.system.from }

// read waits for a packet.
func (w *wire) read(pool *sync.Pool) (*batch, error) {
	b := pool.Get().(*batch)
	n, from, err := w.ReadFromUDPAddrPort(b.buffers[channelHeader:b.room])
	if err != nil {
		pool.Put(b)
		return nil, err
	}
	b.count, b.lengths[0], b.system.from = 1, n, from
	return b, nil
}

// write writes what there is, and says how much of it the system has taken.
func (w *wire) write(o *outgoing) (sent, bytes int, err error) {
	for i := range o.count {
		n, size, failure := w.writeEach(o.packets[i:i+1], o.to[i])
		sent, bytes, err = sent+n, bytes+size, errors.Join(err, failure)
	}
	o.count = 0
	return sent, bytes, err
}
