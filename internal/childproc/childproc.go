// Package childproc runs other programs for tests and for the load tool so that none of them outlives its parent, however
// that ends.
package childproc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// Process is one run of a program.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process has been waited for
}

// Start starts a command, which must not have been started. Where the system can do so, the process dies when this
// program dies. The goroutine that starts it keeps its thread until the process has ended: on Linux the parent-death
// signal comes with the end of the thread, not of the program.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = dieWithParent()
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its status is in cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode returns what the process gave, -1 when a signal ended it. It must have ended.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Kill ends the process, stopped or not, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended, which is what is wanted
	<-p.exited
}
