//go:build !linux

package childproc

import "syscall"

// dieWithParent has no counterpart here: only a test that ends in order ends its servers.
func dieWithParent() *syscall.SysProcAttr { return nil }
