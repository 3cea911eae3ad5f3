package redistest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

const outputTailBytes = 4096

// process is one run of redis-server.
type process struct {
	cmd    *exec.Cmd
	output string        // path of the file that takes stdout and stderr
	exited chan struct{} // closed once the process has been waited for
}

// startProcess starts the binary in dir. The goroutine that starts the process keeps its thread
// until the process has ended: on Linux the parent-death signal comes with the end of the thread,
// not of the program.
func startProcess(binary, dir string, args []string) (*process, error) {
	path := filepath.Join(dir, "redis.out")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the server's output file: %w", err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = dieWithParent()

	p := &process{cmd: cmd, output: path, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		defer func() { _ = out.Close() }()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its status says nothing: servers end by signal here
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	return p, nil
}

// kill ends the process, stopped or not, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended, which is what is wanted
	<-p.exited
}

// outputTail returns the end of what the process printed.
func (p *process) outputTail() string {
	f, err := os.Open(p.output)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > outputTailBytes {
		_, _ = f.Seek(-outputTailBytes, io.SeekEnd)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text))
}
