package ws

import "syscall"

// canTry tells that sockets can be read and written without waiting.
const canTry = true

// readSocket reads what a socket has; again is set when that is nothing.
func readSocket(fd uintptr, into []byte) (n int, again bool) {
	for {
		n, err := syscall.Read(int(fd), into)
		if err != syscall.EINTR {
			return n, err == syscall.EAGAIN
		}
	}
}

// writeSocket writes what a socket takes; again is set when that is nothing.
func writeSocket(fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		n, err := syscall.Write(int(fd), b)
		if err == syscall.EAGAIN {
			return 0, true, nil
		}
		if err != syscall.EINTR {
			return n, false, err
		}
	}
}
