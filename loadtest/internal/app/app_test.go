package app_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/app"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// TestMain builds the gateway once: without the race detector, as it is loaded in use.
func TestMain(m *testing.M) {
	if os.Getenv(beTheTool) != "" {
		os.Exit(child())
	}
	if err := os.Setenv(beTheTool, "1"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "loadtest-app-")
	if err != nil {
		panic(err)
	}
	binary := filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-o", binary, "github.com/signalbox-rtc/signalbox/services/gateway")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the gateway: %v\n%s", err, output)
		os.Exit(1)
	}
	if err := os.Setenv("LOADTEST_GATEWAY", binary); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir) // it is in the folder for temporary files
		os.Exit(code)
	}))
}

// beTheTool has this program, which the tool takes for itself when it starts children, be the tool.
const beTheTool = "LOADTEST_TEST_IS_THE_TOOL"

func child() int {
	if err := app.Run(context.Background(), os.Args[1:], nil, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// loadtest runs the tool as from a shell, and gives what it wrote as its result.
func loadtest(t *testing.T, args ...string) (*scenario.Result, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	var stdout, stderr bytes.Buffer
	err := app.Run(t.Context(), append(args, "-json", file), nil, &stdout, &stderr)
	text, reading := os.ReadFile(file)
	if reading != nil {
		require.NoError(t, err, stderr.String())
		require.NoError(t, reading)
	}
	results, reading := report.ReadJSON(bytes.NewReader(text))
	require.NoError(t, reading)
	require.Len(t, results, 1)
	return results[0], err
}

// quick are flags that make a load small.
func quick(args ...string) []string {
	return append([]string{args[0], "-duration", "500ms", "-warmup", "100ms"}, args[1:]...)
}

// loads are one small run of each kind, and what it has to have counted.
var loads = []struct {
	name string
	args []string
	want []string // counts
}{
	{"Idle", quick("idle", "-clients", "50", "-seats", "-sources", "2"), nil},
	{"Call", quick("call", "-clients", "8", "-workers", "4"), []string{"calls", "messages"}},
	{"CallSteady", quick("call", "-clients", "16", "-rate", "20", "-gap", "1ms"), []string{"calls", "messages"}},
	{"CallFresh", quick("call", "-fresh", "-workers", "4", "-sources", "3"), []string{"calls", "messages"}},
	{"Fanout", quick("fanout", "-clients", "20", "-capacity", "20"), []string{"deliveries", "published"}},
	{"FanoutSteady", quick("fanout", "-clients", "20", "-capacity", "20", "-rate", "50"), []string{"deliveries", "published"}},
	{"Join", quick("join", "-clients", "16", "-workers", "8"), []string{"joins"}},
	{"Race", quick("join", "-clients", "20", "-rounds", "3"), []string{"rounds", "seated"}},
	{"Mixed", quick("mixed", "-rate", "40", "-gap", "1ms", "-duration", "1s"), []string{"calls", "deliveries"}},
	{"Herd", quick("herd", "-clients", "40", "-duration", "30s"), []string{"back"}},
	{"Soak", quick("soak", "-rate", "30", "-gap", "1ms", "-duration", "1s"), []string{"calls", "deliveries"}},
}

// Each kind of load passes on two real gateways and a real Redis, in our protocol.
func TestLoadsOnGateways(t *testing.T) {
	for _, load := range loads {
		t.Run(load.name, func(t *testing.T) {
			t.Parallel()
			checkLoad(t, load.want, load.args)
		})
	}
}

// A few of them pass in the protocols of stock socket.io clients.
func TestLoadsOfSocketIOClients(t *testing.T) {
	for _, target := range []string{"signalbox-socketio", "signalbox-polling"} {
		for _, load := range loads {
			if load.name == "Call" || load.name == "Fanout" || load.name == "Mixed" {
				t.Run(target+load.name, func(t *testing.T) {
					t.Parallel()
					checkLoad(t, load.want, slices.Concat(load.args, []string{"-target", target}))
				})
			}
		}
	}
}

// The peers are loaded where they are given: LOADTEST_CENTRIFUGO is a program, LOADTEST_PEERS the folder loadtest/peers with
// its npm packages.
func TestLoadsOnPeers(t *testing.T) {
	for _, peer := range []struct{ environment, target string }{
		{"LOADTEST_CENTRIFUGO", "centrifugo"},
		{"LOADTEST_CENTRIFUGO", "centrifugo-history"},
		{"LOADTEST_CENTRIFUGO", "centrifugo-presence"},
		{"LOADTEST_PEERS", "socketio"},
		{"LOADTEST_PEERS", "socketio-polling"},
	} {
		t.Run(peer.target, func(t *testing.T) {
			if os.Getenv(peer.environment) == "" {
				t.Skip(peer.environment + " is not set")
			}
			for _, load := range loads {
				if load.name == "Race" {
					continue // none of them has a capacity that holds
				}
				if load.name == "Herd" && peer.target == "socketio-polling" {
					continue // who is cut off between two polls keeps the seat for up to 45 s
				}
				t.Run(load.name, func(t *testing.T) {
					checkLoad(t, load.want, slices.Concat(load.args, []string{"-target", peer.target}))
				})
			}
		})
	}
}

func checkLoad(t *testing.T, want, args []string) {
	t.Helper()
	result, err := loadtest(t, args...)
	require.NoError(t, err, "%v %v %v", result.Reasons, result.Errors, result.Examples)
	require.True(t, result.Passed)
	for _, name := range want {
		require.Positive(t, result.Counts[name], name)
	}
	servers := 0
	for _, p := range result.Processes {
		require.Greater(t, p.EndMiB, 1.0, p.Name)
		if p.Kind == "server" {
			servers++
		}
	}
	require.Equal(t, result.Settings.Nodes, servers)
	require.Positive(t, result.Work.SentBytes+int64(result.Work.Open))
	redis := result.Processes[1]
	require.Equal(t, measure.Redis, redis.Kind)
	require.Greater(t, redis.Redis.EndBytes, int64(100_000))
	if result.Work.Direct > 0 {
		require.Positive(t, redis.Redis.Published)
	}
}

// Several processes hold the connections, and one tells what all of them and the servers have used.
func TestIdleOfSeveralProcesses(t *testing.T) {
	result, err := loadtest(t, "idle", "-clients", "51", "-processes", "3", "-seats", "-duration", "300ms")
	require.NoError(t, err, "%v", result.Reasons)
	require.True(t, result.Passed)
	require.InDelta(t, 51, result.Work.Open, 0)
	require.Positive(t, result.Figures["kib_per_connection"])
	var names []string
	for _, p := range result.Processes {
		names = append(names, p.Name)
		require.Positive(t, p.EndMiB, p.Name)
	}
	require.Equal(t, []string{"loadtest", "redis", "gateway-1", "gateway-2", "loadtest-1", "loadtest-2", "loadtest-3"}, names)
	redis := result.Processes[1].Redis
	require.Greater(t, redis.EndBytes-redis.BaseBytes, int64(51*500), "each has its seat")

	// Attached gateways that there are not: what the children say is told.
	var out bytes.Buffer
	err = app.Run(t.Context(), []string{"idle", "-clients", "10", "-processes", "2", "-attach", "127.0.0.1:1", "-duration", "300ms"}, nil, &out, &out)
	require.ErrorContains(t, err, "process 1 did not connect")
	require.ErrorContains(t, err, "refused")
}

// A load attaches to servers that run already, and reads what they use over the network.
func TestServeAndAttach(t *testing.T) {
	for _, tc := range []struct {
		name  string
		args  []string
		redis []string
	}{
		{"SingleRedis", nil, []string{"redis"}},
		{"RedisCluster", []string{"-primaries", "2"}, []string{"redis-1", "redis-2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			from, to := io.Pipe()
			served := make(chan error, 1)
			go func() { served <- app.Run(ctx, append([]string{"serve"}, tc.args...), nil, to, io.Discard) }()
			line, err := bufio.NewReader(from).ReadString('\n')
			require.NoError(t, err)
			result, err := loadtest(t, append(quick("call", "-clients", "8", "-workers", "4"), strings.Fields(line)...)...)
			require.NoError(t, err)
			require.True(t, result.Passed)
			require.Equal(t, "attached-native", result.Target)
			require.Positive(t, result.Figures["cpu_ms_per_call"])
			var redis []string
			for _, p := range result.Processes {
				if p.Kind == measure.Redis {
					redis = append(redis, p.Name)
				}
			}
			require.Equal(t, tc.redis, redis)
			require.Len(t, result.Processes, 3+len(redis), "this program and two gateways, too")
			cancel()
			require.NoError(t, <-served)
		})
	}
}

// A run that must not pass does not: a herd that takes longer than it may.
func TestRunThatDoesNotPass(t *testing.T) {
	result, err := loadtest(t, "herd", "-clients", "20", "-duration", "1ms")
	require.ErrorIs(t, err, app.ErrNotPassed)
	require.False(t, result.Passed)
	require.NotEmpty(t, result.Reasons)
}

func TestScenarioFileAndReport(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "own.yaml"), filepath.Join(dir, "report.html")
	require.NoError(t, os.WriteFile(file, []byte("kind: join\nname: own\nclients: 8\nworkers: 4\nduration: 1100ms\nwarmup: 100ms\n"), 0o600))
	result, err := loadtest(t, "run", file)
	require.NoError(t, err)
	require.Equal(t, "own", result.Settings.Name)

	results := filepath.Join(dir, "result.json")
	var text bytes.Buffer
	require.NoError(t, report.WriteJSON(&text, result))
	require.NoError(t, os.WriteFile(results, text.Bytes(), 0o600))
	require.NoError(t, app.Run(t.Context(), []string{"report", "-o", out, results, results}, nil, &text, &text))
	page, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Contains(t, string(page), "2: own on signalbox")
}

// The comparison of our servers with our servers prints its table; a bound that is missed is told, and fails it.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	rows := filepath.Join(dir, "rows.yaml")
	require.NoError(t, os.WriteFile(rows, []byte(`
- name: easy
  scenario: call-saturated
  self: {nodes: 2, base_nodes: 2}
  figures: [{title: cost of a call, figure: cpu_ms_per_call, at_most: {self: 1000}}]
- name: impossible
  scenario: call-saturated
  self: {nodes: 2, base_nodes: 2}
  figures: [{title: calls in no time, figure: calls_per_second, at_least: {self: 1000}}]
`), 0o600))
	compare := func(args ...string) (string, error) {
		var stdout, stderr bytes.Buffer
		err := app.Run(t.Context(), append([]string{
			"compare", "-peer", "self", "-rows-file", rows, "-rounds", "1", "-duration", "500ms", "-warmup", "100ms", "-clients", "8",
		}, args...), nil, &stdout, &stderr)
		return stdout.String(), err
	}
	table, err := compare("-rows", "easy", "-results", dir)
	require.NoError(t, err)
	require.Contains(t, table, "cost of a call")
	require.Contains(t, table, "met")
	kept, err := filepath.Glob(filepath.Join(dir, "easy-1-*.json"))
	require.NoError(t, err)
	require.Len(t, kept, 2)

	table, err = compare("-rows", "impossible")
	require.ErrorIs(t, err, app.ErrNotPassed)
	require.Contains(t, table, "MISSED")
}

// Redis Clusters of several sizes have their turns in a round, with one base for all of them.
func TestComparePrimaries(t *testing.T) {
	dir := t.TempDir()
	rows := filepath.Join(dir, "rows.yaml")
	require.NoError(t, os.WriteFile(rows, []byte(`
- name: spread
  scenario: call-steady
  self: {primaries: [2, 3], base_primaries: 1, rate_each: 20}
  figures:
    - {title: Redis CPU per message, figure: redis_cpu_us_per_message, at_most: {self: 1000}}
    - {title: copies, figure: bus_copies_per_message, ours_at_most: 0}
`), 0o600))
	var stdout, stderr bytes.Buffer
	require.NoError(t, app.Run(t.Context(), []string{
		"compare", "-peer", "self", "-rows-file", rows, "-rounds", "1", "-duration", "1s", "-warmup", "200ms", "-clients", "32", "-results", dir,
	}, nil, &stdout, &stderr), stderr.String())
	for _, want := range []string{"Redis CPU per message: 2 primaries over 1", "copies: 3 primaries over 1"} {
		require.Contains(t, stdout.String(), want)
	}
	require.Contains(t, stderr.String(), "signalbox, 2 nodes, 1 primary: ")
	for side, primaries := range map[string]int{"ours-2": 2, "ours-3": 3, "theirs": 1} {
		file, err := os.Open(filepath.Join(dir, "spread-1-"+side+"-signalbox.json"))
		require.NoError(t, err)
		results, err := report.ReadJSON(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		require.Len(t, results, 1)
		result := results[0]
		require.Equal(t, primaries, result.Settings.Primaries)
		require.InDelta(t, 20*primaries, result.Settings.Rate, 0, "so many for each")
		busy := 0
		for _, p := range result.Processes {
			if p.Kind == measure.Redis {
				require.Positive(t, p.Redis.Published, p.Name)
				require.Positive(t, p.Redis.Reads, p.Name)
				require.Zero(t, p.Redis.Bus.Copies, p.Name)
				busy++
			}
		}
		require.Equal(t, primaries, busy, "each has its part")
		require.GreaterOrEqual(t, result.Figures["redis_cpu_spread"], 1.0)
		require.Positive(t, result.Figures["messages_per_second"])
	}
}

// Two builds of a gateway are compared within a tolerance: here both are the same, and the tolerance is wide.
func TestCompareWithBase(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	err := app.Run(t.Context(), []string{
		"compare", "-peer", "base", "-base-gateway", os.Getenv("LOADTEST_GATEWAY"), "-tolerance", "1000", "-rows", "call-saturated,join-leave",
		"-rounds", "1", "-duration", "500ms", "-warmup", "100ms", "-clients", "8", "-results", dir,
	}, nil, &stdout, &stderr)
	require.NoError(t, err, "%s%s", stderr.String(), failures(dir))
	for _, want := range []string{"the base is", "at most 1000", "at least 0.00", "met"} {
		require.Contains(t, stdout.String(), want)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*-1-*.json"))
	require.NoError(t, err)
	slices.Sort(kept)
	var names []string
	for _, file := range kept {
		names = append(names, filepath.Base(file))
	}
	require.Equal(t, []string{
		"call-saturated-1-ours-signalbox.json", "call-saturated-1-theirs-base.json", "join-leave-1-ours-signalbox.json", "join-leave-1-theirs-base.json",
	}, names)
}

// A base that there is not is told before anything is run.
func TestCompareWithUnknownBase(t *testing.T) {
	var out bytes.Buffer
	err := app.Run(t.Context(), []string{"compare", "-peer", "base", "-base", "no-such-revision"}, nil, &out, &out)
	require.ErrorContains(t, err, `there is no revision "no-such-revision"`)
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"Nothing", nil, "loadtest run"},
		{"UnknownCommand", []string{"attack"}, "attack"},
		{"UnknownFlag", []string{"call", "-rat", "3"}, "rat"},
		{"OutOfRange", []string{"call", "-clients", "1"}, "clients"},
		{"Rest", []string{"call", "centrifugo"}, "centrifugo"},
		{"CallOfProcesses", []string{"call", "-processes", "2"}, "processes"},
		{"TooManyPrimaries", []string{"call", "-primaries", "65"}, "primaries"},
		{"NoFile", []string{"run"}, "which scenario file"},
		{"UnknownPeer", []string{"compare", "-peer", "pigeons"}, "pigeons"},
		{"NoRow", []string{"compare", "-rows", "none"}, "no row"},
		{"BaseOfWhat", []string{"compare", "-peer", "base"}, "-base REVISION"},
		{"TwoBases", []string{"compare", "-peer", "base", "-base", "HEAD", "-base-gateway", "ls"}, "-base REVISION"},
		{"BaseOfAPeer", []string{"compare", "-peer", "self", "-base", "HEAD"}, "-peer base"},
		{"Intolerant", []string{"compare", "-peer", "base", "-base", "HEAD", "-tolerance", "0.9"}, "tolerance"},
		{"NoRowOfBase", []string{"compare", "-peer", "base", "-base", "HEAD", "-rows", "join-race"}, "no row"},
		{"ReportWithoutResults", []string{"report", "-o", "x.html"}, "report -o FILE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			err := app.Run(t.Context(), tc.args, nil, &out, &out)
			var usage *app.UsageError
			require.True(t, errors.As(err, &usage), "%v", err)
			require.ErrorContains(t, err, tc.want)
		})
	}
	var out bytes.Buffer
	require.NoError(t, app.Run(t.Context(), []string{"list"}, nil, &out, &out))
	for _, want := range []string{"signalbox", "centrifugo-history", "call-steady", "join-race", "primaries-each"} {
		require.Contains(t, out.String(), want)
	}
	err := app.Run(t.Context(), []string{"call", "-attach", "192.0.2.1:80"}, nil, &out, &out)
	require.ErrorContains(t, err, "allow-remote")
	require.True(t, strings.Contains(out.String(), "targets:"))
}

// failures gives what the results in a folder tell of errors.
func failures(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	var text strings.Builder
	for _, name := range files {
		if file, err := os.Open(name); err == nil {
			results, _ := report.ReadJSON(file)
			_ = file.Close()
			for _, result := range results {
				fmt.Fprintf(&text, "%s: %v\n", filepath.Base(name), result.Errors)
			}
		}
	}
	return text.String()
}
