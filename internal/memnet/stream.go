package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferBytes is how much one direction holds unread. It is large so that two ends that both write
// before they read, as pipelining peers do, never wait for each other.
const bufferBytes = 1 << 20

// stream is one direction of a connection: a bounded queue of bytes with a reading and a writing
// side. Waiting is done on one condition variable, never on the mutex, because a goroutine that
// waits for a mutex keeps a synctest bubble from going idle.
type stream struct {
	// immutable
	latency time.Duration
	delay   func() time.Duration // of each write, beside the latency; nil is none

	mu      sync.Mutex
	changed sync.Cond // any of the fields below changed, or a time came
	// All guarded by mu.
	chunks        []chunk
	size          int  // bytes in chunks
	writing       bool // a write is under way; the next waits for its turn
	readClosed    bool
	writeClosed   bool
	closeArrives  time.Time // when the reading side may see writeClosed
	lastArrives   time.Time // of what was written last
	severed       bool
	frozen        bool
	readDeadline  deadline
	writeDeadline deadline
}

// chunk is a run of bytes that arrives at one time; the zero time is at once.
type chunk struct {
	data    []byte
	arrives time.Time
}

func newStream(latency time.Duration) *stream {
	s := &stream{latency: latency}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case s.readDeadline.passed:
			return 0, os.ErrDeadlineExceeded
		case s.severed:
			return 0, syscall.ECONNRESET
		case len(p) == 0:
			return 0, nil
		}
		if n, err := s.take(p); n > 0 || err != nil {
			return n, err
		}
		s.awaitArrival()
	}
}

// take moves what has arrived into p, and tells of the end when that has arrived.
func (s *stream) take(p []byte) (n int, err error) {
	if s.frozen {
		return 0, nil
	}
	for n < len(p) && len(s.chunks) > 0 && arrived(s.chunks[0].arrives) {
		head := &s.chunks[0]
		moved := copy(p[n:], head.data)
		n += moved
		head.data = head.data[moved:]
		if len(head.data) == 0 {
			s.chunks = s.chunks[1:]
		}
	}
	if n > 0 {
		s.size -= n
		s.changed.Broadcast()
		return n, nil
	}
	if len(s.chunks) == 0 && s.writeClosed && arrived(s.closeArrives) {
		return 0, io.EOF
	}
	return 0, nil
}

// awaitArrival waits for a change, or until what is under way is due.
func (s *stream) awaitArrival() {
	var due time.Time
	switch {
	case s.frozen:
	case len(s.chunks) > 0:
		due = s.chunks[0].arrives
	case s.writeClosed:
		due = s.closeArrives
	}
	if !due.IsZero() {
		timer := time.AfterFunc(time.Until(due), s.wake)
		defer timer.Stop()
	}
	s.changed.Wait()
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.writeError() == nil {
		s.changed.Wait()
	}
	if err := s.writeError(); err != nil {
		return 0, err
	}
	s.writing = true
	defer func() {
		s.writing = false
		s.changed.Broadcast()
	}()
	for len(p) > 0 {
		for s.size == bufferBytes && s.writeError() == nil {
			s.changed.Wait()
		}
		if err := s.writeError(); err != nil {
			return n, err
		}
		piece := p[:min(len(p), bufferBytes-s.size)]
		s.put(piece)
		p = p[len(piece):]
		n += len(piece)
	}
	return n, nil
}

// writeError returns why nothing can be written, or nil.
func (s *stream) writeError() error {
	switch {
	case s.writeClosed:
		return net.ErrClosed
	case s.writeDeadline.passed:
		return os.ErrDeadlineExceeded
	case s.severed:
		return syscall.ECONNRESET
	case s.readClosed && !s.frozen:
		return syscall.EPIPE
	}
	return nil
}

// put queues a copy of data.
func (s *stream) put(data []byte) {
	at := s.arrival()
	if last := len(s.chunks) - 1; last >= 0 && s.chunks[last].arrives.Equal(at) {
		s.chunks[last].data = append(s.chunks[last].data, data...)
	} else {
		s.chunks = append(s.chunks, chunk{data: append([]byte(nil), data...), arrives: at})
	}
	s.size += len(data)
	s.changed.Broadcast()
}

// arrival returns when something sent now arrives: not before what was sent earlier.
func (s *stream) arrival() time.Time {
	wait := s.latency
	if s.delay != nil {
		wait += s.delay()
	}
	if wait <= 0 && s.lastArrives.IsZero() {
		return time.Time{}
	}
	if at := time.Now().Add(wait); at.After(s.lastArrives) {
		s.lastArrives = at
	}
	return s.lastArrives
}

// closeWrite ends the stream after what was written, and tells whether it was open.
func (s *stream) closeWrite() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeClosed {
		return false
	}
	s.writeClosed = true
	s.closeArrives = s.arrival()
	s.writeDeadline.set(time.Time{}, s)
	s.changed.Broadcast()
	return true
}

// closeRead drops what is unread: nobody will take it.
func (s *stream) closeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readClosed = true
	s.chunks, s.size = nil, 0
	s.readDeadline.set(time.Time{}, s)
	s.changed.Broadcast()
}

func (s *stream) sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.severed = true
	s.chunks, s.size = nil, 0
	s.changed.Broadcast()
}

func (s *stream) setFrozen(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = frozen
	s.changed.Broadcast()
}

func (s *stream) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readClosed {
		return net.ErrClosed
	}
	s.readDeadline.set(t, s)
	return nil
}

func (s *stream) setWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeClosed {
		return net.ErrClosed
	}
	s.writeDeadline.set(t, s)
	return nil
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// deadline is one side's deadline. Its fields are guarded by the stream's mutex.
type deadline struct {
	passed bool
	timer  *time.Timer // nil without a pending deadline
}

// set replaces the deadline; the zero time takes it away. The caller holds s.mu.
func (d *deadline) set(t time.Time, s *stream) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	left := time.Until(t)
	d.passed = !t.IsZero() && left <= 0
	if d.passed {
		s.changed.Broadcast()
	}
	if t.IsZero() || d.passed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		// A deadline set anew while this one was firing is not passed.
		if d.timer == timer {
			d.passed = true
			s.changed.Broadcast()
		}
	})
	d.timer = timer
}

func arrived(at time.Time) bool {
	return at.IsZero() || !time.Now().Before(at)
}
