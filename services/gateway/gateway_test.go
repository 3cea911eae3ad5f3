package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// folder holds the built command, and is removed in the end.
var folder string

// binary builds the command once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "gateway")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "signalbox-gateway-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// command makes a run of the gateway with an environment of its own.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// quickEnd is for tests in which the end of a gateway is not what is tested.
const quickEnd = "shutdown: {delay: 0s, window: 0s, grace: 0s}\n"

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signalbox.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAnswers(t *testing.T) {
	file := configFile(t, "node: {name: from-file}\nredis: {addresses: ['redis.example.org:6379'], password: hush}\nrooms: {capacity: 7}\n")
	for _, tc := range []struct {
		name string
		env  []string
		args []string
		exit int
		out  []string // in standard output if exit is 0, in standard error otherwise
		not  []string
	}{
		{
			name: "the configuration, from file, environment and flags",
			env:  []string{"SIGNALBOX_ROOMS_CAPACITY=8", "SIGNALBOX_ROOMS_PER_SESSION=9"},
			args: []string{"--config", file, "--rooms.per_session=10", "--print-config"},
			out:  []string{"name: from-file", "redis.example.org:6379", "capacity: 8", "per_session: 10", "(hidden)"},
			not:  []string{"hush", "capacity: 7", "per_session: 9"},
		},
		{name: "help", args: []string{"--help"}, out: []string{"--redis.addresses", "SIGNALBOX_"}},
		{name: "version", args: []string{"--version"}, out: []string{"signalbox gateway"}},
		{name: "a wrong flag", args: []string{"--redis.adresses=x"}, exit: 2, out: []string{"redis.adresses", "redis.addresses"}},
		{name: "a wrong variable", env: []string{"SIGNALBOX_ROOMS_CAPACITYY=1"}, exit: 2, out: []string{"SIGNALBOX_ROOMS_CAPACITYY"}},
		{name: "a wrong key in the file", args: []string{"--config", configFile(t, "rooms: {capasity: 7}\n")}, exit: 2, out: []string{"rooms.capasity", "rooms.capacity"}},
		{name: "a value out of range", args: []string{"--rooms.capacity=0"}, exit: 2, out: []string{"rooms.capacity"}},
		{name: "no such file", args: []string{"--config", "/nowhere/signalbox.yaml"}, exit: 2, out: []string{"/nowhere/signalbox.yaml"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := command(t, tc.env, tc.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			require.Equal(t, tc.exit, cmd.ProcessState.ExitCode(), "%v\n%s%s", err, stdout.String(), stderr.String())
			told := stdout.String()
			if tc.exit != 0 {
				require.Empty(t, stdout.String())
				told = stderr.String()
			}
			for _, text := range tc.out {
				require.Contains(t, told, text)
			}
			for _, text := range tc.not {
				require.NotContains(t, told, text)
			}
		})
	}
}

// output is what a process wrote so far.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// ready waits for the line with which a gateway says that it serves, and gives its addresses.
func (o *output) ready(t *testing.T) (public, operations string) {
	t.Helper()
	return o.says(t, "gateway is ready")
}

// says waits for a line, and gives the addresses that are in it.
func (o *output) says(t *testing.T, message string) (public, operations string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for line := range strings.Lines(o.String()) {
			var entry struct{ Msg, Public, Operations string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == message {
				return entry.Public, entry.Operations
			}
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			require.FailNow(t, "the gateway does not say: "+message, o.String())
		}
	}
}

// The built command serves, and ends with success when it is told to: SIGTERM from a supervisor, SIGINT from a terminal.
func TestServeAndEnd(t *testing.T) {
	redis := redistest.Single(t)
	for name, signal := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			file := configFile(t, "listen: {public: '127.0.0.1:0', operations: '127.0.0.1:0', cluster: '127.0.0.1:0'}\ndemo: {enabled: true}\n"+quickEnd)
			cmd := command(t, []string{"SIGNALBOX_REDIS_URL=" + redis.URL()}, "--config", file, "--node.name=the-node")
			log := new(output)
			cmd.Stderr = log
			require.NoError(t, cmd.Start())
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			public, operations := log.ready(t)

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ada, err := client.Dial(ctx, client.Options{URL: "ws://" + public, App: "demo", Name: "Ada"})
			require.NoError(t, err)
			defer ada.Close()
			require.Equal(t, "the-node", ada.Welcome().Node)
			_, err = ada.Join(ctx, wire.Join{Room: "r"})
			require.NoError(t, err)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+operations+"/readyz", nil)
			require.NoError(t, err)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)

			require.NoError(t, cmd.Process.Signal(signal))
			select {
			case err := <-exited:
				require.NoError(t, err, "exit code 0\n%s", log.String())
			case <-ctx.Done():
				require.FailNow(t, "the gateway does not end", log.String())
			}
			select {
			case <-ada.Done():
			case <-ctx.Done():
				require.FailNow(t, "the session does not end")
			}
			var closed *client.CloseError
			require.ErrorAs(t, ada.Err(), &closed)
			require.Equal(t, wire.CloseMoved, closed.Code)
			_, err = redis.Do("DEL", "sb:{cluster}:pulse") // goes by itself, soon
			require.NoError(t, err)
			reply, err := redis.Do("KEYS", "sb:{*")
			require.NoError(t, err)
			gate := func(key any) bool { return strings.HasSuffix(key.(string), "}:gate") }
			keys := slices.DeleteFunc(reply.([]any), gate)
			require.Equal(t, []any{"sb:{cluster}:key"}, keys, "no seat is left behind, and the node is off the roster")
			for line := range strings.Lines(log.String()) {
				require.True(t, json.Valid([]byte(line)), "a line of the log is a JSON object: %s", line)
				require.Contains(t, line, `"the-node"`)
			}
		})
	}
}
