package driver

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455, section 4.2.2, wants it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// socket is the client's end of a WebSocket (RFC 6455). Frames are read in place and written with one system call each,
// as a browser does it.
type socket struct {
	conn   net.Conn
	in     buffer
	whole  []byte // fragments so far; owned by the reader
	mask   [4]byte
	closed atomic.Bool // we have ended it

	mu  sync.Mutex
	out []byte // guarded by mu
}

const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA

	// outHead is the room for the longest header of a client's frame: 2 bytes, a length of 8, a mask of 4.
	outHead = 14
	// longestFrame is what a server may send at once.
	longestFrame = 16 << 20
)

// dial makes a TCP connection from the endpoint's source.
func dial(ctx context.Context, to Endpoint) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	if to.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: to.Source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", to.Addr)
	if err != nil || to.Traffic == nil {
		return conn, err
	}
	return countedConn{Conn: conn, traffic: to.Traffic}, nil
}

// countedConn is a connection whose bytes are counted.
type countedConn struct {
	net.Conn
	traffic *Traffic
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.traffic.Received.Add(int64(n))
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.traffic.Sent.Add(int64(n))
	return n, err
}

// open does the handshake (RFC 6455, section 4.1).
func open(ctx context.Context, to Endpoint, path, subprotocol string) (*socket, error) {
	conn, err := dial(ctx, to)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, in: buffer{conn: conn}}
	if err := s.handshake(to.Addr, path, subprotocol); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) handshake(host, path, subprotocol string) error {
	var nonce [20]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	copy(s.mask[:], nonce[16:])
	key := base64.StdEncoding.EncodeToString(nonce[:16])
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	if subprotocol != "" {
		request += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	if err := s.conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	status, header, err := s.in.head()
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if status == http.StatusServiceUnavailable {
		seconds, _ := strconv.Atoi(header.Get("Retry-After")) // 0 if there is none
		return &BusyError{Status: strconv.Itoa(status), RetryAfter: time.Duration(seconds) * time.Second}
	}
	if status != http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: answered with %d", status)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	if header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return errors.New("handshake: the key was not answered")
	}
	return s.conn.SetDeadline(time.Time{})
}

// next gives the next message. It is good until the next call. Pings are answered here.
func (s *socket) next() ([]byte, error) {
	for {
		final, op, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opPing:
			if err := s.send(opPong, payload); err != nil {
				return nil, err
			}
			continue
		case opPong:
			continue
		case opClose:
			if len(payload) >= 2 {
				return nil, fmt.Errorf("closed by the server with %d %s", binary.BigEndian.Uint16(payload), payload[2:])
			}
			return nil, errors.New("closed by the server")
		}
		if final && len(s.whole) == 0 {
			return payload, nil
		}
		s.whole = append(s.whole, payload...)
		if final {
			message := s.whole
			s.whole = s.whole[:0]
			return message, nil
		}
	}
}

// frame reads one frame (RFC 6455, section 5.2).
func (s *socket) frame() (final bool, op byte, payload []byte, err error) {
	head, err := s.in.peek(2)
	if err != nil {
		return false, 0, nil, err
	}
	final, op = head[0]&0x80 != 0, head[0]&0x0F
	size, skip := uint64(head[1]&0x7F), 2
	switch size {
	case 126:
		if head, err = s.in.peek(4); err == nil {
			size, skip = uint64(binary.BigEndian.Uint16(head[2:])), 4
		}
	case 127:
		if head, err = s.in.peek(10); err == nil {
			size, skip = binary.BigEndian.Uint64(head[2:]), 10
		}
	}
	if err == nil && size > longestFrame {
		err = fmt.Errorf("a frame of %d bytes", size)
	}
	if err != nil {
		return false, 0, nil, err
	}
	all, err := s.in.peek(skip + int(size))
	if err != nil {
		return false, 0, nil, err
	}
	s.in.skip(len(all))
	return final, op, all[skip:], nil
}

// begin locks the socket and gives an empty message to append to; write sends it.
func (s *socket) begin() []byte {
	s.mu.Lock()
	if s.out == nil {
		s.out = make([]byte, outHead, 512)
	}
	return s.out[:outHead]
}

// abort gives up what begin began.
func (s *socket) abort() { s.mu.Unlock() }

// write sends what begin began as one frame.
func (s *socket) write(b []byte) error {
	defer s.mu.Unlock()
	s.out = b[:outHead]
	return s.flush(opText, b)
}

// send sends a frame with a payload.
func (s *socket) send(op byte, payload []byte) error {
	b := append(s.begin(), payload...)
	defer s.mu.Unlock()
	s.out = b[:outHead]
	return s.flush(op, b)
}

// flush writes the header before b's payload, masks it, and writes the frame.
func (s *socket) flush(op byte, b []byte) error {
	const final, masked = 0x80, 0x80
	size := len(b) - outHead
	start := outHead - 4
	switch {
	case size < 126:
		start -= 2
		b[start+1] = masked | byte(size)
	case size < 1<<16:
		start -= 4
		b[start+1] = masked | 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(size))
	default:
		start -= 10
		b[start+1] = masked | 127
		binary.BigEndian.PutUint64(b[start+2:], uint64(size))
	}
	b[start] = final | op
	copy(b[outHead-4:], s.mask[:])
	maskBytes(s.mask, b[outHead:])
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(b[start:])
	return err
}

// maskBytes applies a mask (RFC 6455, section 5.3), eight bytes at a time.
func maskBytes(mask [4]byte, b []byte) {
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	i := 0
	for ; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], binary.LittleEndian.Uint64(b[i:])^word)
	}
	for ; i < len(b); i++ {
		b[i] ^= mask[i&3]
	}
}

// close ends the connection with a close code.
func (s *socket) close(code uint16) error {
	s.closed.Store(true)
	err := s.send(opClose, binary.BigEndian.AppendUint16(nil, code))
	if closing := s.conn.Close(); err == nil {
		err = closing
	}
	return err
}

// cut ends the TCP connection with a reset, as if the machine were gone.
func (s *socket) cut() {
	s.closed.Store(true)
	conn := s.conn
	if counted, ok := conn.(countedConn); ok {
		conn = counted.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the end is only gentler
	}
	_ = s.conn.Close()
}
