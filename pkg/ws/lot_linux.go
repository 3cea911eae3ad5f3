package ws

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// canWatch tells that there is a set that the kernel watches.
const canWatch = true

// watchSet is an epoll set that Go's own poller watches: waiting for it takes no thread.
type watchSet struct {
	file   *os.File
	raw    syscall.RawConn
	fd     int
	events [256]syscall.EpollEvent
	places []uint64
}

func newWatchSet() (*watchSet, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("ws: epoll: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or os.NewFile would not have it watched
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("ws: epoll: %w", err)
	}
	s := &watchSet{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.close()
		return nil, fmt.Errorf("ws: epoll: %w", err)
	}
	return s, nil
}

// add watches a socket for something to read, the end of what the client sends, and errors. What is there already counts,
// and goes on to count until it is read: whoever waits has to read or to remove.
func (s *watchSet) add(socket syscall.RawConn, place uint64) error {
	return s.control(socket, syscall.EPOLL_CTL_ADD, &syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(uint32(place)), Pad: int32(uint32(place >> 32))})
}

// remove watches a socket no longer.
func (s *watchSet) remove(socket syscall.RawConn) {
	_ = s.control(socket, syscall.EPOLL_CTL_DEL, &syscall.EpollEvent{}) // the kernel does it when the socket is closed
}

// control keeps the socket's number its own while the kernel is told.
func (s *watchSet) control(socket syscall.RawConn, operation int, event *syscall.EpollEvent) (err error) {
	closed := socket.Control(func(fd uintptr) { err = syscall.EpollCtl(s.fd, operation, int(fd), event) })
	return errors.Join(closed, err)
}

// wait gives the places of sockets with an event. What it returns is valid until the next call.
func (s *watchSet) wait() (places []uint64, err error) {
	s.places = s.places[:0]
	var failure error
	err = s.raw.Read(func(fd uintptr) bool {
		n, err := syscall.EpollWait(int(fd), s.events[:], 0)
		for err == syscall.EINTR {
			n, err = syscall.EpollWait(int(fd), s.events[:], 0)
		}
		for _, event := range s.events[:max(n, 0)] {
			s.places = append(s.places, uint64(uint32(event.Fd))|uint64(uint32(event.Pad))<<32)
		}
		failure = err
		return n != 0
	})
	if err := errors.Join(err, failure); err != nil {
		return nil, fmt.Errorf("ws: epoll: %w", err)
	}
	return s.places, nil
}

// interrupt has wait return.
func (s *watchSet) interrupt() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

func (s *watchSet) close() { _ = s.file.Close() }
