package childproc

import "syscall"

// dieWithParent has the kernel kill the process when the program dies, however it dies.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
