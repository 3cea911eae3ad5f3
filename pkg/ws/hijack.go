package ws

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// Sizes of a connection's read buffer. Most messages fit into the usual one, and longer ones are read past it. One that
// can be parked has a [source] that reads ahead, and needs room for no more than a control frame; gorilla takes over no
// buffer of 256 bytes or less.
const (
	readBuffer  = 1024
	smallBuffer = 288
)

// hijacker hands a request's connection to gorilla with a reader that is ours to ask: gorilla takes over the one that
// comes from the Hijacker, if it is told no size of its own.
type hijacker struct {
	http.ResponseWriter
	lot *Lot

	// what came of it
	whole   *whole
	socket  net.Conn
	prompt  *prompt  // nil if the connection is not written to without waiting
	parking *parking // nil if it cannot be parked
}

// whole is a connection in one piece of memory. In many small ones it would lie between those that its handshake leaves behind,
// and keep the memory around it in use.
type whole struct {
	conn    Conn
	prompt  prompt
	parking parking
	source  source
	reader  bufio.Reader
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	socket, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.socket, h.whole = socket, new(whole)
	if buffered.Reader.Buffered() > 0 {
		return socket, buffered, nil // sent before the handshake was over, which gorilla refuses
	}
	// One in TLS has a state between the socket and who reads and writes, and others are none of the system's.
	if tcp, ok := socket.(*net.TCPConn); ok && canTry {
		if raw, err := tcp.SyscallConn(); err == nil {
			h.prompt = &h.whole.prompt
			h.prompt.raw = raw
		}
	}
	if h.prompt != nil && h.lot.parks() {
		ahead := &h.whole.source
		ahead.Conn = socket
		h.parking = &h.whole.parking
		*h.parking = parking{lot: h.lot, raw: h.prompt.raw, source: ahead, reader: &h.whole.reader, lastMessage: time.Now()}
		h.parking.borrow()
		return ahead, bufio.NewReadWriter(h.parking.reader, buffered.Writer), nil
	}
	return socket, bufio.NewReadWriter(bufio.NewReaderSize(socket, readBuffer), buffered.Writer), nil
}

// source is a connection that is read ahead, into a buffer that it has only while there is something in it: so a silent
// one costs no memory for what it may send. It may wait in Read with one, and is meant to be read from when there is
// something to read, or in the middle of a message.
type source struct {
	net.Conn
	held *buffer // what was read and not taken yet; nil if there is nothing
	next int     // of it, what is taken next
}

// Read implements io.Reader.
func (s *source) Read(into []byte) (int, error) {
	if s.held == nil {
		ahead := buffers.Get().(*buffer)
		whole := ahead.bytes[:cap(ahead.bytes)]
		if len(into) >= len(whole) {
			ahead.release()
			return s.Conn.Read(into)
		}
		n, err := s.Conn.Read(whole)
		if n == 0 {
			ahead.release()
			return 0, err
		}
		s.hold(ahead, n)
	}
	n := copy(into, s.ahead())
	s.skip(n)
	return n, nil
}

// ahead is what was read and not taken yet. It must not be called when that is nothing.
func (s *source) ahead() []byte { return s.held.bytes[s.next:] }

// skip takes what was read.
func (s *source) skip(n int) {
	if s.next += n; s.next == len(s.held.bytes) {
		s.held.release()
		s.held = nil
	}
}

// readNow reads what the socket has, and reports false when that is nothing. The end and errors are left to Read.
func (s *source) readNow(fd uintptr) bool {
	ahead := buffers.Get().(*buffer)
	n, again := readSocket(fd, ahead.bytes[:cap(ahead.bytes)])
	if n <= 0 {
		ahead.release()
		return !again
	}
	s.hold(ahead, n)
	return true
}

// left is how much was read and not taken yet.
func (s *source) left() int {
	if s.held == nil {
		return 0
	}
	return len(s.held.bytes) - s.next
}

// hold keeps what was read.
func (s *source) hold(ahead *buffer, n int) {
	ahead.bytes = ahead.bytes[:n]
	s.held, s.next = ahead, 0
}
