// Package app is the command line of the load tool: it reads the arguments, starts what is to be loaded, runs a scenario and
// writes what it has shown.
package app

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
)

// ErrNotPassed is a run that was carried out and has shown something that must not be.
var ErrNotPassed = errors.New("the run has not passed")

// UsageError is a command line that says nothing that can be done.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

const usage = `loadtest puts loads on signaling servers and tells what they bear.

  loadtest idle|call|fanout|join|mixed|herd|soak [flags]   one scenario; -h lists its flags
  loadtest run FILE [flags]                                a scenario file; flags go before what it says
  loadtest compare [flags]                                 the same work against us and a peer in turns
  loadtest plan [flags]                                    what a deployment needs, from what runs have measured
  loadtest quotas [flags]                                  many apps with quotas, with and without a loud one
  loadtest serve [flags]                                   servers alone, for loads of several processes
  loadtest sink [flags]                                    an OTLP receiver that throws away what it gets
  loadtest report -o FILE RESULT...                        results side by side, as one HTML page
  loadtest list                                            targets and scenario files that are built in
`

// program is one call of the tool.
type program struct {
	stdout, stderr io.Writer
	terminal       bool   // stderr is one
	constants      []byte // of the model of capacity
}

// Run carries the command line out. What it found goes to stdout, how it goes to stderr. Constants are those of the model of
// capacity that are used where the command line names no others.
func Run(ctx context.Context, args []string, constants []byte, stdout, stderr io.Writer) error {
	p := &program{stdout: stdout, stderr: stderr, terminal: isTerminal(stderr), constants: constants}
	if len(args) == 0 {
		return &UsageError{usage}
	}
	command, rest := args[0], args[1:]
	switch {
	case slices.Contains(scenario.Kinds, command):
		settings, err := scenario.Defaults(command)
		if err != nil {
			return err
		}
		return p.one(ctx, settings, rest)
	case command == "run":
		return p.file(ctx, rest)
	case command == "compare":
		return p.compare(ctx, rest)
	case command == "plan":
		return p.plan(ctx, rest)
	case command == "serve":
		return p.serve(ctx, rest)
	case command == "quotas":
		return p.quotas(ctx, rest)
	case command == "sink":
		return p.sink(ctx, rest)
	case command == "report":
		return p.report(rest)
	case command == "list":
		return p.list()
	case command == "help" || command == "-h" || command == "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return &UsageError{fmt.Sprintf("there is no command %q\n\n%s", command, usage)}
}

// isTerminal reports whether a writer is a character device.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// options are those of one run, beside its settings.
type options struct {
	target   target.Spec
	attach   target.Attachment
	gateways string
	metrics  string
	redis    string
	flags    list
	json     string
	html     string
	ordered  bool // this process is one of a crew
}

// list is a flag that may come several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

// targetFlags registers the flags of what to load.
func (o *options) targetFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.target.Name, "target", target.Signalbox, "what to start: "+strings.Join(target.Names(), ", "))
	flags.StringVar(&o.gateways, "attach", "", "servers that run already, as host:port,host:port, in place of a target")
	flags.StringVar(&o.attach.Driver, "driver", "native", "protocol of attached servers: native, socketio, polling, centrifugo")
	flags.StringVar(&o.metrics, "metrics", "", "Prometheus pages of attached servers, as URL,URL")
	flags.StringVar(&o.redis, "redis", "", "Redis of attached servers, as host:port, or all primaries of their Redis Cluster, as host:port,host:port")
	flags.BoolVar(&o.attach.Remote, "allow-remote", false, "attached servers may be on other machines: they are yours, and they can take it")
	binaryFlags(flags, &o.target.Binaries)
	flags.Var(&o.flags, "gateway-flag", "flag for the gateways that are started, as --key=value; may come several times")
}

// binaryFlags registers where programs are. The environment has their defaults.
func binaryFlags(flags *flag.FlagSet, b *target.Binaries) {
	for _, program := range []struct {
		to          *string
		name, what  string
		environment string
	}{
		{&b.Gateway, "gateway", "gateway to start; built from this module if empty", "LOADTEST_GATEWAY"},
		{&b.Redis, "redis-server", "redis-server to start", "LOADTEST_REDIS_SERVER"},
		{&b.Centrifugo, "centrifugo", "centrifugo to start", "LOADTEST_CENTRIFUGO"},
		{&b.Node, "node", "node to start the socket.io server with", "LOADTEST_NODE"},
		{&b.Peers, "peers", "folder of the socket.io server", "LOADTEST_PEERS"},
	} {
		flags.StringVar(program.to, program.name, os.Getenv(program.environment), program.what+" ($"+program.environment+")")
	}
}

// one runs one scenario with the flags' changes.
func (p *program) one(ctx context.Context, settings scenario.Settings, args []string) error {
	var o options
	flags := flag.NewFlagSet("loadtest "+settings.Kind, flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	settings.Flags(flags)
	o.targetFlags(flags)
	flags.StringVar(&o.json, "json", "", "file for the result; - is standard output")
	flags.StringVar(&o.html, "html", "", "file for a report with plots")
	if settings.Kind == scenario.Idle {
		flags.BoolVar(&o.ordered, "ordered", false, "connect when standard input says so, say when all are, and stay until it ends: for -processes")
	}
	if err := flags.Parse(args); err != nil {
		return helpOr(err)
	}
	if flags.NArg() > 0 {
		return &UsageError{"what is " + strings.Join(flags.Args(), " ") + "?"}
	}
	result, err := p.carryOut(ctx, settings, o)
	if err != nil {
		return err
	}
	if err := p.write(o, result); err != nil {
		return err
	}
	if !result.Passed {
		return ErrNotPassed
	}
	return nil
}

// helpOr makes a request for help none of an error.
func helpOr(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return &UsageError{err.Error()}
}

// carryOut starts or attaches to the servers, and runs the scenario on them.
func (p *program) carryOut(ctx context.Context, settings scenario.Settings, o options) (*scenario.Result, error) {
	if err := settings.Validate(); err != nil {
		return nil, &UsageError{err.Error()}
	}
	files := settings.Clients
	if settings.Processes > 1 {
		files /= settings.Nodes // the servers still have that many each
	}
	if err := raiseFileLimit(files); err != nil {
		return nil, err
	}
	cluster, err := p.open(ctx, settings, o)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	settings.Nodes = len(cluster.Gateways) // of attached ones, as many as there are
	progress := newProgress(p.stderr, p.terminal, cluster.Name+" "+settings.Name)
	run := scenario.Options{
		Settings: settings, Driver: cluster.Driver, Gateways: cluster.Gateways, Processes: cluster.Processes, Watch: progress.watch,
	}
	if settings.Processes > 1 {
		crew, err := hire(settings, cluster, o.attach.Remote)
		if err != nil {
			return nil, err
		}
		defer crew.dismiss()
		run.Crew = crew.scenario()
	}
	if o.ordered {
		orders := bufio.NewReader(os.Stdin)
		if err := obey(orders); err != nil {
			return nil, err
		}
		run.Hold = holdUntil(orders, p.stdout)
	}
	result, err := scenario.Run(ctx, run)
	progress.end()
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, cluster.LastWords())
	}
	result.Target, result.Flags = cluster.Name, o.flags
	return result, nil
}

func (p *program) open(ctx context.Context, settings scenario.Settings, o options) (*target.Cluster, error) {
	if o.gateways != "" {
		o.attach.Gateways = strings.Split(o.gateways, ",")
		if o.metrics != "" {
			o.attach.Metrics = strings.Split(o.metrics, ",")
		}
		if o.redis != "" {
			o.attach.Redis = strings.Split(o.redis, ",")
		}
		return target.Attach(o.attach)
	}
	o.target.Nodes, o.target.Primaries, o.target.Capacity, o.target.Flags = settings.Nodes, settings.Primaries, settings.Capacity, o.flags
	o.target.Guarded = settings.Kind == scenario.Herd
	return target.Start(ctx, o.target)
}

// write puts a result where it is wanted, and its summary on standard output.
func (p *program) write(o options, result *scenario.Result) error {
	if o.json == "-" {
		return report.WriteJSON(p.stdout, result)
	}
	if o.json != "" {
		if err := toFile(o.json, func(w io.Writer) error { return report.WriteJSON(w, result) }); err != nil {
			return err
		}
	}
	if o.html != "" {
		if err := toFile(o.html, func(w io.Writer) error { return report.WriteHTML(w, []*scenario.Result{result}) }); err != nil {
			return err
		}
	}
	return report.WriteText(p.stdout, result)
}

func toFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		_ = file.Close() // the first error is the one to tell
		return err
	}
	return file.Close()
}
