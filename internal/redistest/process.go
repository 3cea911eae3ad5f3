package redistest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
)

const outputTailBytes = 4096

// process is one run of redis-server.
type process struct {
	*childproc.Process
	output string // path of the file that takes stdout and stderr
}

// startProcess starts the binary in dir.
func startProcess(binary, dir string, args []string) (*process, error) {
	path := filepath.Join(dir, "redis.out")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the server's output file: %w", err)
	}
	defer func() { _ = out.Close() }() // the server has its own descriptor
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	running, err := childproc.Start(cmd)
	if err != nil {
		return nil, err
	}
	return &process{Process: running, output: path}, nil
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
