package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
)

// probeTimeout is how long a probe of a gateway may take.
const probeTimeout = time.Second

// gateway is one gateway, of which one process after the other runs. Its methods that fail the test belong in the test's
// own goroutine.
type gateway struct {
	c     *cluster
	name  string
	redis []string // settings that lead it to Redis
	file  string   // its configuration
	log   string   // the file that takes its log
	pipe  *os.File // takes it instead, if there is one, and somebody writes it there

	mu      sync.Mutex
	process *childproc.Process // guarded by mu; nil before the first start
	public  string             // guarded by mu
	ops     string             // guarded by mu
}

func newGateway(c *cluster, name string, redis []string, config string) *gateway {
	dir := c.t.TempDir()
	g := &gateway{c: c, name: name, redis: redis, file: filepath.Join(dir, "signalbox.yaml"), log: filepath.Join(dir, "log")}
	require.NoError(c.t, os.WriteFile(g.file, []byte(config), 0o600))
	c.t.Cleanup(g.end)
	return g
}

// launch starts the process and does not wait for it.
func (g *gateway) launch() error {
	path, err := gatewayBinary()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(g.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	cmd := exec.Command(path, append([]string{"--config", g.file, "--node.name=" + g.name}, g.redis...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stderr = log
	if g.pipe != nil {
		cmd.Stderr = g.pipe
	}
	process, err := childproc.Start(cmd)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process, g.public, g.ops = process, "", ""
	return nil
}

// start starts the process and waits until it serves.
func (g *gateway) start() {
	g.c.t.Helper()
	if err := g.tryStart(); err != nil {
		require.NoError(g.c.t, err, g.logTail())
	}
}

func (g *gateway) tryStart() error {
	before := len(g.logText())
	if err := g.launch(); err != nil {
		return err
	}
	ended := false
	err := poll(g.c.ctx, patience, g.name+" serves", func() bool {
		public, ops := readyLine(g.logText()[before:])
		select {
		case <-g.running().Exited():
			ended = true
		default:
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.public, g.ops = public, ops
		return public != "" || ended
	})
	if ended {
		return errors.New(g.name + " ends at once")
	}
	return err
}

// readyLine finds the addresses in the line with which a gateway says that it serves.
func readyLine(log string) (public, operations string) {
	if lines := readyLines(log); len(lines) > 0 {
		return lines[0].Public, lines[0].Operations
	}
	return "", ""
}

type ready struct{ Msg, Public, Operations string }

// readyLines are all lines in which a gateway says so; there is another one when it begins anew.
func readyLines(log string) []ready {
	var lines []ready
	for line := range strings.Lines(log) {
		var entry ready
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "gateway is ready" {
			lines = append(lines, entry)
		}
	}
	return lines
}

func (g *gateway) addresses() (public, ops string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.public, g.ops
}

func (g *gateway) running() *childproc.Process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.process
}

func (g *gateway) kill() { g.running().Kill() }

func (g *gateway) signal(sig syscall.Signal) {
	g.c.t.Helper()
	require.NoError(g.c.t, g.running().Signal(sig))
}

// freeze and thaw stop the process and let it go on.
func (g *gateway) freeze() { g.signal(syscall.SIGSTOP) }
func (g *gateway) thaw()   { g.signal(syscall.SIGCONT) }

// stop ends it in order, and tells how long that took and the exit code.
func (g *gateway) stop() (time.Duration, int) {
	g.c.t.Helper()
	began := time.Now()
	g.signal(syscall.SIGTERM)
	process := g.running()
	select {
	case <-process.Exited():
	case <-time.After(patience):
		require.FailNow(g.c.t, g.name+" does not end", g.logTail())
	}
	return time.Since(began), process.ExitCode()
}

func (g *gateway) end() {
	process := g.running()
	if process == nil {
		return
	}
	process.Kill()
	if g.c.t.Failed() {
		g.c.t.Logf("the end of the log of %s:\n%s", g.name, g.logTail())
	}
}

// ready asks for readiness as a supervisor does.
func (g *gateway) ready() bool {
	_, err := g.get("/readyz")
	return err == nil
}

// live asks for liveness.
func (g *gateway) live() bool {
	_, err := g.get("/livez")
	return err == nil
}

// get reads a page of the operations address.
func (g *gateway) get(path string) (string, error) {
	_, ops := g.addresses()
	if ops == "" {
		return "", errors.New(g.name + " is not up")
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ops+path, nil)
	if err != nil {
		return "", err
	}
	response, err := probes.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", g.name, response.StatusCode, body)
	}
	return string(body), err
}

// probes keeps no connection: a frozen gateway would hold it.
var probes = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// The metrics that tests look at.
const (
	metricReaped     = "signalbox_reaped_seats_total"
	metricLapsed     = "signalbox_cluster_lapsed_total"
	metricReconnects = "signalbox_redis_inbox_reconnects_total"
	metricRefused    = "signalbox_accepts_refused_total"
)

// metric sums a metric over those of its labels that have some texts in them; 0 when the gateway does not answer.
func (g *gateway) metric(name string, having ...string) float64 {
	page, _ := g.get("/metrics")
	total := 0.0
	for line := range strings.Lines(page) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' || !containsAll(rest, having) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err == nil {
			total += value
		}
	}
	return total
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// memory is the resident size of the process in bytes.
func (g *gateway) memory() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.running().PID()))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 for what is none
	return pages * int64(os.Getpagesize())
}

func (g *gateway) logText() string {
	text, _ := os.ReadFile(g.log) // none yet is empty
	return string(text)
}

func (g *gateway) logTail() string {
	text := g.logText()
	return text[max(0, len(text)-6<<10):]
}

// poll waits for a condition.
func poll(ctx context.Context, timeout time.Duration, what string, condition func() bool) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if condition() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("not within %v: %s", timeout, what)
		}
	}
}
