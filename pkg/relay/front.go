package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v5/reuseport"
)

// front is one socket that clients come to. Either packets or streams is set.
type front struct {
	transport string
	addr      net.Addr
	first     bool // of the sockets of one address
	packets   *packets
	streams   *streams
}

func (f *front) close() error {
	if f.packets != nil {
		return f.packets.Close()
	}
	return f.streams.Close()
}

// listenUDP opens the sockets of an address: the kernel gives each client to one of them, always the same.
func (s *Server) listenUDP(ctx context.Context, address string) error {
	config := net.ListenConfig{}
	if s.opts.Sockets > 1 {
		config.Control = reuseport.Control
	}
	for i := range s.opts.Sockets {
		conn, err := config.ListenPacket(ctx, "udp", address)
		if err != nil {
			return err
		}
		address = conn.LocalAddr().String() // the port that was chosen, if it was 0
		packets, err := s.newPackets(conn.(*net.UDPConn))
		if err != nil {
			_ = conn.Close()
			return err
		}
		s.fronts = append(s.fronts, &front{transport: transportUDP, addr: conn.LocalAddr(), first: i == 0, packets: packets})
	}
	return nil
}

func (s *Server) listenTCP(ctx context.Context, transport, address string) error {
	config := net.ListenConfig{}
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	l := &streams{Listener: listener, server: s, transport: transport, open: make(map[*stream]struct{}), closed: make(chan struct{})}
	s.fronts = append(s.fronts, &front{transport: transport, addr: listener.Addr(), first: true, streams: l})
	return nil
}

// packets is a UDP socket. The library reads from it in one goroutine, and answers each packet before it reads the next. What goes through
// channels does not reach it.
type packets struct {
	*wire
	server *Server
	our    netip.AddrPort

	// Owned by the reader.
	last   net.Addr // whose request is being answered; nil if nobody asks for it
	in     *batch   // nil if there is none to be worked through
	at     int      // in it
	queued []queued // of it
}

var _ net.PacketConn = (*packets)(nil)

func (s *Server) newPackets(conn *net.UDPConn) (*packets, error) {
	wire, err := newWire(conn)
	if err != nil {
		return nil, err
	}
	return &packets{wire: wire, server: s, our: addrPortOf(conn.LocalAddr()), queued: make([]queued, 0, batchPackets)}, nil
}

// readPause is how long nothing is read from a socket that has failed: what is wrong may pass, and the library would give the socket up.
const readPause = 5 * time.Millisecond

// ReadFrom implements [net.PacketConn].
func (p *packets) ReadFrom(buffer []byte) (int, net.Addr, error) {
	if p.last != nil {
		p.server.exchanges.end(p.last)
		p.last = nil
	}
	for {
		if err := p.read(); err != nil {
			return 0, nil, err
		}
		packet, from := p.in.packet(p.at), p.in.from(p.at)
		p.at++
		switch {
		case len(packet) > p.server.opts.Limits.PacketBytes:
			p.server.metrics.limits.WithLabelValues(limitPacketBytes).Inc()
		case !isWellFormed(packet):
			p.server.metrics.malformed.WithLabelValues(transportUDP).Inc()
		case isChannelData(packet):
			p.queue(from, packet)
		case isStrangers(packet) && !p.server.strangers.mayAsk(from.Addr()):
		default:
			p.flush() // a request may end what the data before it is for
			n, addr := copy(buffer, packet), net.UDPAddrFromAddrPort(from)
			if p.server.exchanges.begin(addr, buffer[:n]) {
				p.last = addr
			}
			return n, addr, nil
		}
	}
}

// WriteTo implements [net.PacketConn]: it answers a client.
func (p *packets) WriteTo(message []byte, addr net.Addr) (int, error) {
	answer, stranger := p.server.exchanges.answer(addr, message)
	if stranger && !p.server.strangers.mayAsk(addrPortOf(addr).Addr()) {
		return len(message), nil
	}
	if _, err := p.wire.WriteTo(answer, addr); err != nil {
		return 0, err
	}
	return len(message), nil
}

// read has a packet be there to be looked at. It waits for one if there is none.
func (p *packets) read() error {
	for p.in == nil || p.at == p.in.count {
		if p.in != nil {
			p.flush()
			p.server.batches.Put(p.in)
			p.in = nil
		}
		in, err := p.wire.read(p.server.batches)
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			p.server.metrics.errors.Inc()
			time.Sleep(readPause)
			continue
		}
		p.in, p.at = in, 0
	}
	return nil
}

// streams is a TCP or TLS listener.
type streams struct {
	net.Listener
	server    *Server
	transport string
	closed    chan struct{} // once Close was called
	closeOnce sync.Once
	running   sync.WaitGroup // the connections

	mu   sync.Mutex
	open map[*stream]struct{} // guarded by mu; nil once closed
}

// acceptPause is how long nobody is taken after the system refused to, for want of file descriptors as a rule.
const acceptPause = 50 * time.Millisecond

// Accept implements [net.Listener]. The library gives the listener up at the first error: there is none but the end.
func (l *streams) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			select {
			case <-l.closed:
				return nil, err
			case <-time.After(acceptPause):
			}
			l.server.metrics.errors.Inc()
			continue
		}
		if c := l.admit(conn); c != nil {
			return c, nil
		}
		_ = conn.Close()
	}
}

// admit takes a connection, or gives nil.
func (l *streams) admit(conn net.Conn) *stream {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	if l.server.clients.connections.Add(1) > int64(l.server.opts.Limits.Connections) {
		l.server.clients.connections.Add(-1)
		l.server.metrics.limits.WithLabelValues(limitConnections).Inc()
		return nil
	}
	if l.transport == transportTLS {
		conn = tls.Server(conn, l.server.opts.TLSConfig)
	}
	c := &stream{Conn: conn, listener: l, remote: remote, reader: bufio.NewReaderSize(conn, l.server.opts.Limits.PacketBytes+4)}
	l.mu.Lock()
	closed := l.open == nil
	if !closed {
		l.open[c] = struct{}{}
		l.running.Add(1)
	}
	l.mu.Unlock()
	if closed {
		l.server.clients.connections.Add(-1)
		return nil
	}
	l.server.metrics.connections.WithLabelValues(l.transport).Inc()
	return c
}

// Close implements [net.Listener]. It closes the connections, too.
func (l *streams) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	err := l.Listener.Close()
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for c := range open {
		_ = c.Close()
	}
	return err
}

// wait waits until the connections have been given up, or ctx ends.
func (l *streams) wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { // ends with the connections, which are closed
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// stream is a TCP or TLS connection. It reads whole messages alone, each into the library's buffer at once: a message that comes in pieces
// would be put together by calls within calls there, as deep as it has bytes.
type stream struct {
	net.Conn
	listener *streams
	remote   *net.TCPAddr // one and the same, by which requests are found again
	reader   *bufio.Reader

	closing sync.Once

	deadline time.Time // of reading; owned by the reader
	asked    bool      // a request is being answered; owned by the reader
}

// RemoteAddr implements [net.Conn].
func (c *stream) RemoteAddr() net.Addr { return c.remote }

var (
	errNoFrame = errors.New("relay: neither a STUN message nor data of a channel")
	errTooLong = errors.New("relay: a message is too long")
)

// Read implements [net.Conn]: it reads one message.
func (c *stream) Read(buffer []byte) (int, error) {
	s := c.listener.server
	if c.asked {
		s.exchanges.end(c.remote)
		c.asked = false
	}
	if err := c.wait(); err != nil {
		return 0, err
	}
	n, err := c.frame(buffer)
	switch {
	case err == nil:
		c.asked = s.exchanges.begin(c.remote, buffer[:n])
		return n, nil
	case errors.Is(err, errTooLong):
		s.metrics.limits.WithLabelValues(limitPacketBytes).Inc()
	case errors.Is(err, errNoFrame):
		s.metrics.malformed.WithLabelValues(c.listener.transport).Inc()
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.metrics.limits.WithLabelValues(limitIdle).Inc()
	}
	return 0, err
}

// wait sets until when the next message must have come. With an allocation that is when it would have ended anyway.
func (c *stream) wait() error {
	limits := &c.listener.server.opts.Limits
	patience := limits.IdleTimeout
	if c.listener.server.clients.of(keyOf(c.remote, nil)) != nil {
		patience = maxLifetime
	}
	now := time.Now()
	if left := c.deadline.Sub(now); left > patience*9/10 && left <= patience {
		return nil // a deadline costs as much as a message
	}
	c.deadline = now.Add(patience)
	return c.Conn.SetReadDeadline(c.deadline)
}

// frame reads one message as RFC 8656, section 12.5, lays them out in a stream.
func (c *stream) frame(buffer []byte) (int, error) {
	header, err := c.reader.Peek(4)
	if err != nil {
		return 0, err
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	switch {
	case header[0]&0xc0 == 0:
		length += stunHeader
	case header[0] >= channelFirst && header[0] <= channelLast:
		length = (length+3)/4*4 + 4
	default:
		return 0, errNoFrame
	}
	if length >= len(buffer) {
		return 0, errTooLong
	}
	if _, err := io.ReadFull(c.reader, buffer[:length]); err != nil {
		return 0, err
	}
	if !isWellFormed(buffer[:length]) {
		return 0, errNoFrame
	}
	return length, nil
}

// Write implements [net.Conn]. A client that does not read is given up.
func (c *stream) Write(message []byte) (int, error) {
	limits := &c.listener.server.opts.Limits
	if err := c.Conn.SetWriteDeadline(time.Now().Add(limits.WriteTimeout)); err != nil {
		return 0, err
	}
	answer, _ := c.listener.server.exchanges.answer(c.remote, message)
	_, err := c.Conn.Write(answer)
	if err == nil {
		return len(message), nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.listener.server.metrics.limits.WithLabelValues(limitWrite).Inc()
		_ = c.Close()
	}
	return 0, err
}

// Close implements [net.Conn].
func (c *stream) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		l := c.listener
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
		l.server.exchanges.end(c.remote)
		l.server.clients.connections.Add(-1)
		l.server.metrics.connections.WithLabelValues(l.transport).Dec()
		err = c.Conn.Close()
		l.running.Done()
	})
	return err
}
