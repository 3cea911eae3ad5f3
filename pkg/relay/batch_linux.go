package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// golang.org/x/net has these calls, too, but with buffers that a socket keeps while it waits, and with addresses that are made anew for each
// packet. Here a batch is taken when there is something to read.

// mmsghdr is a message of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

type (
	systemBatch struct {
		headers [batchPackets]mmsghdr
		vectors [batchPackets]unix.Iovec
		names   [batchPackets]unix.RawSockaddrInet6 // an IPv4 one is shorter
	}
	systemOutgoing struct {
		headers  [batchPackets]mmsghdr
		vectors  [batchPackets]unix.Iovec
		controls [batchPackets]segmentControl
		firsts   [batchPackets + 1]int // of each message, which of the packets begins it
		count    int                   // of messages
		next     int                   // that is to be sent
		err      error                 // of it
		send     func(fd uintptr) bool
	}
	systemEndpoint struct {
		name   unix.RawSockaddrInet6
		length uint32
		single bool // the system does not cut messages for it
	}
	// systemWire is owned by whoever reads.
	systemWire struct {
		raw     syscall.RawConn
		receive func(fd uintptr) bool
		pool    *sync.Pool
		batch   *batch
		err     error
	}
)

func newWire(conn *net.UDPConn) (*wire, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &wire{UDPConn: conn, system: systemWire{raw: raw}}
	w.system.receive = w.receive
	return w, nil
}

func newEndpoint(address netip.AddrPort) *endpoint {
	e := &endpoint{address: address}
	if ip := address.Addr(); ip.Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&e.system.name))
		four.Family, four.Addr, e.system.length = unix.AF_INET, ip.As4(), unix.SizeofSockaddrInet4
	} else {
		e.system.name.Family, e.system.name.Addr, e.system.length = unix.AF_INET6, ip.As16(), unix.SizeofSockaddrInet6
		zone, _ := strconv.ParseUint(ip.Zone(), 10, 32) // as from writes it
		e.system.name.Scope_id = uint32(zone)
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&e.system.name.Port))[:], address.Port()) // at the same place in both
	return e
}

func (b *batch) prepare() {
	for i := range b.system.headers {
		vector, header := &b.system.vectors[i], &b.system.headers[i].header
		vector.Base = &b.buffers[i*b.room+channelHeader]
		vector.SetLen(b.room - channelHeader)
		header.Iov, header.Name = vector, (*byte)(unsafe.Pointer(&b.system.names[i]))
		header.SetIovlen(1)
		header.Namelen = unix.SizeofSockaddrInet6
	}
}

// from is who has sent a packet.
func (b *batch) from(i int) netip.AddrPort {
	name := &b.system.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	}
	address := netip.AddrFrom16(name.Addr)
	if name.Scope_id != 0 {
		address = address.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(address, port)
}

// read waits for packets.
func (w *wire) read(pool *sync.Pool) (*batch, error) {
	w.system.pool, w.system.batch, w.system.err = pool, nil, nil
	if err := w.system.raw.Read(w.system.receive); err != nil {
		return nil, err
	}
	return w.system.batch, w.system.err
}

func (w *wire) receive(fd uintptr) bool {
	b := w.system.pool.Get().(*batch)
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.system.headers[0])), batchPackets, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.count = int(n)
			for i := range b.count {
				header := &b.system.headers[i]
				b.lengths[i] = int(header.length)
				header.header.Namelen = unix.SizeofSockaddrInet6
			}
			w.system.batch = b
			return true
		case unix.EINTR:
			continue
		}
		w.system.pool.Put(b)
		if errno == unix.EAGAIN {
			return false
		}
		w.system.err = os.NewSyscallError("recvmmsg", errno)
		return true
	}
}

// segmentControl has the kernel cut a message into packets of a size (udp(7), UDP_SEGMENT), which costs little more than one.
type segmentControl struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

// segmentBytes is the greatest size of such packets: the kernel cuts nothing that does not fit on the way, and this does in most tunnels. A
// batch of them is less than the most that a message may have.
const segmentBytes = 1372

func (o *outgoing) prepare() {
	for i := range o.system.controls {
		control := &o.system.controls[i].header
		control.Level, control.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		control.SetLen(unix.CmsgLen(2))
	}
	o.system.send = func(fd uintptr) bool {
		s := &o.system
		for {
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.headers[s.next])), uintptr(s.count-s.next), unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case 0:
				s.next += int(n)
				return true
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false
			}
			s.err = errno
			return true
		}
	}
}

// messages lays the packets out: those of one size that follow each other to one endpoint are one message, which a shorter one may end.
func (o *outgoing) messages() {
	s := &o.system
	s.count, s.next = 0, 0
	for first := 0; first < o.count; {
		size, end, to := len(o.packets[first]), first+1, o.to[first]
		for !to.system.single && size > 0 && size <= segmentBytes && end < o.count && o.to[end] == to && len(o.packets[end-1]) == size {
			if length := len(o.packets[end]); length == 0 || length > size {
				break
			}
			end++
		}
		for i := first; i < end; i++ {
			s.vectors[i].Base = unsafe.SliceData(o.packets[i])
			s.vectors[i].SetLen(len(o.packets[i]))
		}
		header := &s.headers[s.count].header
		header.Name, header.Namelen, header.Iov = (*byte)(unsafe.Pointer(&to.system.name)), to.system.length, &s.vectors[first]
		header.SetIovlen(end - first)
		header.Control = nil
		header.SetControllen(0)
		if end-first > 1 {
			control := &s.controls[s.count]
			control.size = uint16(size)
			header.Control = (*byte)(unsafe.Pointer(control))
			header.SetControllen(int(unsafe.Sizeof(*control)))
		}
		s.firsts[s.count] = first
		s.count++
		first = end
	}
	s.firsts[s.count] = o.count
}

// write writes what there is, and says how much of it the system has taken.
func (w *wire) write(o *outgoing) (sent, bytes int, err error) {
	o.messages()
	s := &o.system
	for s.next < s.count {
		before := s.next
		s.err = nil
		if failure := w.system.raw.Write(s.send); failure != nil {
			err = failure
			break
		}
		for _, packet := range o.packets[s.firsts[before]:s.firsts[s.next]] {
			sent, bytes = sent+1, bytes+len(packet)
		}
		if s.err == nil {
			continue
		}
		first, end := s.firsts[s.next], s.firsts[s.next+1]
		s.next++
		if end-first == 1 || (s.err != syscall.EINVAL && s.err != syscall.EIO) { //nolint:errorlint // it is what the call has returned
			err = s.err
			continue
		}
		// Too long for the way, or a device that does not do its part.
		to := o.to[first]
		to.system.single = true
		n, size, failure := w.writeEach(o.packets[first:end], to)
		sent, bytes = sent+n, bytes+size
		if failure != nil {
			err = failure
		}
	}
	clear(o.packets[:o.count])
	clear(o.to[:o.count])
	o.count = 0
	return sent, bytes, err
}
