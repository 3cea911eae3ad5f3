//go:build unix

package app

import (
	"fmt"
	"syscall"
)

// spareFiles is what a run needs beside its connections.
const spareFiles = 200

// raiseFileLimit makes room for so many connections of this process, and of the servers that it starts.
func raiseFileLimit(connections int) error {
	need := uint64(connections + spareFiles)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= need {
		return nil
	}
	limit.Cur, limit.Max = max(limit.Max, need), max(limit.Max, need)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d connections need more open files than a process may have here: raise `ulimit -n` to %d (%w)", connections, need, err)
	}
	return nil
}
