// Package app is the operator's command line: its commands ask the server API, and doctor looks at the cluster itself.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// The exit codes.
const (
	// ExitOK: done; of doctor, that no check failed.
	ExitOK = 0
	// ExitFailed: it could not be done; of doctor, that a check failed.
	ExitFailed = 1
	// ExitUsage: the command was called wrongly, and nothing was done.
	ExitUsage = 2
)

// Process is what the operating system gives a process.
type Process struct {
	// Args are those after the program's name, Env is in the form of os.Environ.
	Args, Env []string
	In        io.Reader
	Out, Err  io.Writer
}

// Main carries the command out and gives the exit code. It ends soon after ctx.
func Main(ctx context.Context, process Process) int {
	t := &tool{process: process}
	err := t.root().ExecuteContext(ctx) //nolint:contextcheck // each command has its own
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, errUnwell) {
		return ExitFailed // what is wrong is said
	}
	t.complain(ctx, err)
	if !t.started || errors.As(err, new(*usageError)) {
		return ExitUsage
	}
	return ExitFailed
}

// tool is one call of the program. It is owned by the goroutine of Main.
type tool struct {
	process Process
	started bool // the arguments are those of a command

	// The flags of every command.
	url, key, keyFile, app        string
	caFile, certFile, certKeyFile string
	timeout                       time.Duration
	asJSON                        bool
}

// usageError says that the command was called wrongly.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

const about = `signalctl asks the server API of a Signalbox cluster, and looks after its health.

The API is found at --url or SIGNALCTL_URL, and is asked with the key of --key-file, SIGNALCTL_KEY or --key: of these
the last one can be seen by everybody on the machine. The key is never shown. Most commands are about one app, which
--app or SIGNALCTL_APP names; the key of an app names it by itself.

It ends with 0 when all is done, with 1 when something could not be done or doctor has found a fault, and with 2 when it
was called wrongly.`

// root makes the command line.
func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use: "signalctl", Short: "Ask and steer a Signalbox cluster", Long: about,
		Version: telemetry.ReadBuild().String(), SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(append([]string{}, t.process.Args...)) // for nil it would take those of this process
	root.SetIn(t.process.In)
	root.SetOut(t.process.Out)
	root.SetErr(t.process.Err)
	flags := root.PersistentFlags()
	flags.StringVar(&t.url, "url", "", "`URL` of the server API (SIGNALCTL_URL; "+defaultURL+")")
	flags.StringVar(&t.key, "key", "", "`key` of the server API (SIGNALCTL_KEY)")
	flags.StringVar(&t.keyFile, "key-file", "", "`file` with the key, - for standard input")
	flags.StringVarP(&t.app, "app", "a", "", "`id` of the app (SIGNALCTL_APP)")
	flags.StringVar(&t.caFile, "ca-file", "", "`file` with the certificates to trust, in PEM")
	flags.StringVar(&t.certFile, "cert-file", "", "`file` with a client certificate, in PEM, in place of a key")
	flags.StringVar(&t.certKeyFile, "cert-key-file", "", "`file` with the key of that certificate, in PEM")
	flags.DurationVar(&t.timeout, "timeout", 10*time.Second, "how long an answer may take")
	flags.BoolVar(&t.asJSON, "json", false, "write JSON, for programs")
	root.MarkFlagsMutuallyExclusive("key", "key-file")
	must(root.RegisterFlagCompletionFunc("app", t.completeApps))
	root.AddCommand(
		t.tokenCommand(), t.appsCommand(), t.roomsCommand(), t.peersCommand(), t.kickCommand(), t.sendCommand(),
		t.watchCommand(), t.nodesCommand(), t.drainCommand(), t.webhooksCommand(), t.doctorCommand(),
	)
	return root
}

// must is for what only a mistake in this package breaks.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// run makes a command's function: from its start on, an error is no longer one of the arguments.
func (t *tool) run(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		t.started = true
		if t.timeout <= 0 {
			return usagef("--timeout is more than nothing")
		}
		return do(cmd.Context(), args)
	}
}

// group makes a command that only has others below it. Without one of them it is called wrongly.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q of %s", args[0], cmd.CommandPath())
			}
			return usagef("%s needs a command; --help lists them", cmd.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args lets nothing pass
	}
	c.AddCommand(commands...)
	return c
}

// env is the value of a variable of the environment.
func (t *tool) env(name string) string {
	for _, entry := range t.process.Env {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

// complain says what was wrong. With --json a problem of the API comes as it was answered.
func (t *tool) complain(ctx context.Context, err error) {
	p, isProblem := errors.AsType[*problem](err)
	switch {
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(t.process.Err, "signalctl: interrupted")
	case isProblem && t.asJSON:
		_ = json.NewEncoder(t.process.Err).Encode(p)
	default:
		_, _ = fmt.Fprintln(t.process.Err, "signalctl: "+clean(err.Error(), true))
		if !t.started {
			_, _ = fmt.Fprintln(t.process.Err, "See signalctl --help.")
		}
	}
}
