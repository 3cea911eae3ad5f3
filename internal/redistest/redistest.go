// Package redistest starts real redis-server processes for tests and ends them with the test.
//
// A server alone, a primary with replicas and Sentinels, and a cluster with or without replicas are
// on offer, each with the means to break it: Kill, Stop, Restart, failovers, moves of slots.
//
// Servers listen on 127.0.0.1, keep nothing on disk but their log (and a cluster node's own
// nodes.conf, a Sentinel's own sentinel.conf) unless they are told to, and die with the test process
// even when that is killed. They live outside of any testing/synctest bubble: real sockets do not
// follow fake time.
package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	host           = "127.0.0.1"
	startTimeout   = 15 * time.Second
	commandTimeout = 5 * time.Second
	pollInterval   = 10 * time.Millisecond
	startAttempts  = 5
)

// Server is one redis-server process. Its methods may be called from several goroutines, but
// those that fail the test (Kill, Stop, Cont, Restart) belong in the test's own goroutine.
type Server struct {
	// Immutable after Single, Cluster or Sentinel returned it.
	tb     testing.TB
	binary string
	dir    string
	setup  setup
	port   reservation
	bus    reservation // the cluster bus's port; held by cluster nodes only

	mu   sync.Mutex
	proc *process // the running process, nil after Kill; guarded by mu
}

// setup says what a server is.
type setup struct {
	cluster bool
	conf    string   // text of a sentinel.conf without address; the server is a Sentinel if there is one
	config  []string // added to the command line
}

// Single starts one stand-alone server without persistence and returns when it answers. It is
// killed when the test ends. A missing redis-server fails the test, it never skips it. What is in
// config is added to the server's command line: "--maxmemory", "8mb" for instance, or
// "--appendonly", "yes", "--appendfsync", "always" for a server that keeps its data.
func Single(tb testing.TB, config ...string) *Server {
	tb.Helper()
	return start(tb, setup{config: config})
}

// Addr returns the server's host:port. It stays the same across Kill and Restart.
func (s *Server) Addr() string {
	return net.JoinHostPort(host, strconv.Itoa(s.port.number))
}

// URL returns the server's address as a redis:// URL.
func (s *Server) URL() string {
	return "redis://" + s.Addr()
}

// Do sends one command over a connection of its own and returns the reply: string, int64, nil or
// []any; an error reply is returned as an [Error]. It gives up after five seconds.
func (s *Server) Do(args ...string) (any, error) {
	return do(s.Addr(), commandTimeout, args)
}

// Kill ends the process with SIGKILL and waits until it is gone. Everything it held in memory is
// lost. A server that is already down stays so.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	s.proc.Kill()
	s.proc = nil
}

// Stop freezes the process with SIGSTOP: its sockets stay open and accept, nothing is answered.
func (s *Server) Stop() {
	s.tb.Helper()
	s.signal(syscall.SIGSTOP)
}

// Cont lets a stopped process go on, with SIGCONT.
func (s *Server) Cont() {
	s.tb.Helper()
	s.signal(syscall.SIGCONT)
}

// Restart kills the process, if it runs, and starts one on the same port: an empty one, unless data
// was kept, by Save or by an append-only file. It returns when the server answers, be it with
// LOADING. A cluster node comes back with its identity and slots, but without its keys.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.launch(); err != nil {
		s.tb.Fatalf("redistest: restart of %s: %v", s.Addr(), err)
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.tb.Fatalf("redistest: %v to %s: the server is down", sig, s.Addr())
	}
	if err := s.proc.Signal(sig); err != nil {
		s.tb.Fatalf("redistest: %v to %s: %v", sig, s.Addr(), err)
	}
}

// start brings up a server on reserved ports. The reservation keeps other tests away; a stranger
// may still hold the port, and then the next one is tried.
func start(tb testing.TB, as setup) *Server {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatalf("redistest: redis-server is not installed (%v): run `make deps` or `apt-get install redis-server`", err)
	}
	for attempt := 1; ; attempt++ {
		s := &Server{tb: tb, binary: binary, dir: tb.TempDir(), setup: as}
		err := s.reserve()
		if err == nil {
			err = s.writeConf()
		}
		if err == nil {
			err = s.launch()
		}
		if err == nil {
			tb.Cleanup(s.end)
			return s
		}
		s.release()
		if attempt == startAttempts {
			tb.Fatalf("redistest: no server after %d attempts: %v", attempt, err)
		}
		tb.Logf("redistest: attempt %d: %v", attempt, err)
	}
}

func (s *Server) reserve() (err error) {
	if s.port, err = reservePort(); err != nil || !s.setup.cluster {
		return err
	}
	s.bus, err = reservePort()
	return err
}

func (s *Server) release() {
	s.port.release()
	s.bus.release()
}

// launch starts the process and waits until it answers. The caller holds mu or is the only owner.
func (s *Server) launch() error {
	proc, err := startProcess(s.binary, s.dir, s.args())
	if err != nil {
		return err
	}
	if err := s.awaitReady(proc); err != nil {
		proc.Kill()
		return fmt.Errorf("%w; the end of its output:\n%s", err, proc.outputTail())
	}
	s.proc = proc
	return nil
}

func (s *Server) args() []string {
	if s.setup.conf != "" {
		return []string{s.confFile(), "--sentinel"}
	}
	args := []string{
		"--port", strconv.Itoa(s.port.number), "--bind", host, "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}
	if s.setup.cluster {
		args = append(args,
			"--cluster-enabled", "yes",
			"--cluster-port", strconv.Itoa(s.bus.number),
			"--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", strconv.Itoa(clusterNodeTimeoutMillis),
		)
	}
	return append(args, s.setup.config...)
}

func (s *Server) confFile() string { return filepath.Join(s.dir, "sentinel.conf") }

// writeConf writes the first version of a Sentinel's file. The Sentinel writes what it learns into
// it, and finds it there after a restart.
func (s *Server) writeConf() error {
	if s.setup.conf == "" {
		return nil
	}
	text := fmt.Sprintf("port %d\nbind %s\ndir %s\n%s", s.port.number, host, s.dir, s.setup.conf)
	return os.WriteFile(s.confFile(), []byte(text), 0o600)
}

// awaitReady waits until the port is answered by this very process, and not by a stranger that
// holds the port while ours is about to give up.
func (s *Server) awaitReady(proc *process) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	want := "process_id:" + strconv.Itoa(proc.PID())
	for {
		reply, err := do(s.Addr(), time.Second, []string{"INFO", "server"})
		if info, ok := reply.(string); ok && hasLine(info, want) {
			return nil
		}
		if err == nil {
			err = errors.New("another process answers")
		}
		select {
		case <-proc.Exited():
			return fmt.Errorf("redis-server on %s ended at once", s.Addr())
		case <-deadline.C:
			return fmt.Errorf("redis-server on %s does not answer within %v: %w", s.Addr(), startTimeout, err)
		case <-tick.C:
		}
	}
}

// end is the test's cleanup. A failed test shows what the server had to say.
func (s *Server) end() {
	s.mu.Lock()
	proc := s.proc
	s.mu.Unlock()
	if s.tb.Failed() && proc != nil {
		s.tb.Logf("redistest: output of %s:\n%s", s.Addr(), proc.outputTail())
	}
	s.Kill()
	s.release()
}
