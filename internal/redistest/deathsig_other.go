//go:build !linux

package redistest

import "syscall"

// dieWithParent has no counterpart here: only a test that ends in order ends its servers.
func dieWithParent() *syscall.SysProcAttr { return nil }
