package target

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
)

const (
	host         = "127.0.0.1"
	startTimeout = 30 * time.Second
	pollInterval = 20 * time.Millisecond
	pollTimeout  = time.Second
)

// EndedError is a server that ended while it was waited for.
type EndedError struct{ Name, Output string }

func (e *EndedError) Error() string {
	return fmt.Sprintf("%s ended at once; the end of what it said:\n%s", e.Name, e.Output)
}

// run starts a program as a child that dies with this program, and notes it as a process to measure.
func (b *builder) run(name string, kind measure.Kind, cmd *exec.Cmd) (*childproc.Process, error) {
	log, err := b.logFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd.Stdout, cmd.Stderr = log, log
	child, err := childproc.Start(cmd)
	if err != nil {
		return nil, err
	}
	b.children = append(b.children, child)
	b.Processes = append(b.Processes, measure.Process{Name: name, Kind: kind, Source: measure.PID(child.PID())})
	return child, nil
}

// await waits until a child serves.
func (b *builder) await(name string, child *childproc.Process, ready func() bool) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-child.Exited():
			return &EndedError{Name: name, Output: b.logTail(name)}
		case <-deadline.C:
			return fmt.Errorf("%s does not serve within %v; the end of what it said:\n%s", name, startTimeout, b.logTail(name))
		case <-tick.C:
			if ready() {
				return nil
			}
		}
	}
}

// freePorts finds ports on which nothing listens. Another program may take one before it is used: then the server that was
// to have it says so and ends.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }() // only when all are chosen: none may be chosen twice
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// freePort finds one.
func freePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// path finds a program.
func path(given, usual, how string) (string, error) {
	if given == "" {
		given = usual
	}
	found, err := exec.LookPath(given)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: %s (%w)", usual, how, err)
	}
	return found, nil
}

// signalbox starts gateways.
func (b *builder) signalbox() error {
	binary, err := b.gatewayBinary()
	if err != nil {
		return err
	}
	args := []string{
		"--demo.enabled", "--demo.capacity=" + strconv.Itoa(b.spec.Capacity),
		"--socketio.call_capacity=0", // as the app says
		"--listen.public=" + host + ":0", "--listen.operations=" + host + ":0", "--listen.cluster=" + host + ":0",
		// How fast one client may be is for a deployment to say: no peer has such a limit. The same holds for new connections.
		"--limits.requests_per_second=100000", "--limits.requests_burst=1000000",
	}
	if b.spec.Primaries > 0 {
		args = append(args, "--redis.mode=cluster", "--redis.addresses="+strings.Join(b.Redis, ","))
	} else {
		args = append(args, "--redis.url=redis://"+b.Redis[0])
	}
	if !b.spec.Guarded {
		args = append(args, "--limits.accepts_per_second=0")
	}
	args = append(args, b.spec.Flags...)
	return b.nodes("gateway-", func(_ int, name string) (node, error) {
		cmd := exec.Command(binary, append([]string{"--node.name=" + name}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // no settings of the shell's
		return node{cmd: cmd, ready: func() string {
			public, operations := readyAddresses(b.logTail(name))
			if public != "" {
				b.Metrics = append(b.Metrics, "http://"+operations+"/metrics")
			}
			return public
		}}, nil
	})
}

// node is one server to start, and how to find out at which address it serves, "" for not yet.
type node struct {
	cmd   *exec.Cmd
	ready func() string
}

// nodes starts as many servers as the spec says, and waits for all of them.
func (b *builder) nodes(prefix string, prepare func(i int, name string) (node, error)) error {
	var started []func() error
	for i := range b.spec.Nodes {
		name := fmt.Sprint(prefix, i+1)
		n, err := prepare(i, name)
		if err != nil {
			return err
		}
		child, err := b.run(name, measure.Server, n.cmd)
		if err != nil {
			return err
		}
		started = append(started, func() error {
			return b.await(name, child, func() bool {
				addr := n.ready()
				if addr != "" {
					b.Gateways = append(b.Gateways, addr)
				}
				return addr != ""
			})
		})
	}
	for _, wait := range started {
		if err := wait(); err != nil {
			return err
		}
	}
	return nil
}

// readyAddresses finds the addresses in the line with which a gateway says that it serves.
func readyAddresses(log string) (public, operations string) {
	for line := range strings.Lines(log) {
		var entry struct{ Msg, Public, Operations string }
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "gateway is ready" {
			return entry.Public, entry.Operations
		}
	}
	return "", ""
}

// gatewayBinary builds the gateway unless one is named.
func (b *builder) gatewayBinary() (string, error) {
	if given := b.spec.Binaries.Gateway; given != "" {
		return path(given, "gateway", "build it with `make build`")
	}
	binary := b.dir + "/gateway"
	cmd := exec.Command("go", "build", "-o", binary, "github.com/signalbox-rtc/signalbox/services/gateway")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway, or name one with -gateway: %w\n%s", err, output)
	}
	return binary, nil
}

// answers reports whether a GET is answered at all with one of these codes.
func answers(url string, codes ...int) bool {
	client := http.Client{Timeout: pollTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	for _, code := range codes {
		if response.StatusCode == code {
			return true
		}
	}
	return false
}
