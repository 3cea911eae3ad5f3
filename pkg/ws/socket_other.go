//go:build !linux

package ws

// canTry tells that sockets are not read and written without waiting: that is done on Linux only.
const canTry = false

func readSocket(uintptr, []byte) (n int, again bool) { return 0, false }

func writeSocket(uintptr, []byte) (n int, again bool, err error) { return 0, true, nil }
