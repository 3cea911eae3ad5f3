package relay

import (
	"net"
	"net/netip"
	"sync"
)

// batchPackets is how many packets are read or written by one call to the system, at most.
const batchPackets = 32

// channelHeader is what data of a channel has before it: its number and length.
const channelHeader = 4

// batch is packets that were read together. It is taken from a pool when there is something to read, and given back when all of it is sent:
// sockets that wait have none.
type batch struct {
	count   int // of packets that there are
	room    int // for each packet, with a header before it
	buffers []byte
	lengths [batchPackets]int
	out     outgoing
	system  systemBatch
}

// newBatches makes a pool of batches of packets up to a size; one that has it may be cut off.
func newBatches(packetBytes int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := &batch{room: channelHeader + packetBytes}
		b.buffers = make([]byte, batchPackets*b.room)
		b.prepare()
		b.out.prepare()
		return b
	}}
}

func (b *batch) packet(i int) []byte { return b.framed(i)[channelHeader:] }

// framed is a packet with room for a header before it.
func (b *batch) framed(i int) []byte {
	return b.buffers[i*b.room : i*b.room+channelHeader+b.lengths[i]]
}

// outgoing is packets that are to be written together, in this order.
type outgoing struct {
	count   int
	packets [batchPackets][]byte
	to      [batchPackets]*endpoint
	system  systemOutgoing
}

func (o *outgoing) add(packet []byte, to *endpoint) {
	o.packets[o.count], o.to[o.count] = packet, to
	o.count++
}

// endpoint is somebody whom packets are written to, by one goroutine.
type endpoint struct {
	address netip.AddrPort
	system  systemEndpoint
}

// wire is a UDP socket of which many packets are read, and to which many are written, by one call where the system has such a call.
type wire struct {
	*net.UDPConn
	system systemWire
}

// writeEach writes packets one by one.
func (w *wire) writeEach(packets [][]byte, to *endpoint) (sent, bytes int, err error) {
	for _, packet := range packets {
		n, failure := w.WriteToUDPAddrPort(packet, to.address)
		if failure != nil {
			err = failure
			continue
		}
		sent, bytes = sent+1, bytes+n
	}
	return sent, bytes, err
}
