//go:build !linux

package ws

import (
	"errors"
	"syscall"
)

// canWatch tells that there is no set that the kernel watches: connections are parked on Linux only.
const canWatch = false

type watchSet struct{}

func newWatchSet() (*watchSet, error) { return nil, errors.ErrUnsupported }

func (*watchSet) add(syscall.RawConn, uint64) error { return errors.ErrUnsupported }

func (*watchSet) remove(syscall.RawConn) {}

func (*watchSet) wait() ([]uint64, error) { return nil, errors.ErrUnsupported }

func (*watchSet) interrupt() {}

func (*watchSet) close() {}
