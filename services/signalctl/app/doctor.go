package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/signalctl/doctor"
)

// errUnwell is the end of a doctor that has found a fault, and has said so.
var errUnwell = errors.New("a check has failed")

// doctorFlags say what doctor looks at.
type doctorFlags struct {
	tool                     *tool
	config, redis, tokenFile string
	partitions               int
	gateways, ice            []string
}

func (t *tool) doctorCommand() *cobra.Command {
	d := &doctorFlags{tool: t}
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with a cluster, and say what to do",
		Long: `Looks at Redis (topology, version, memory, latency, clock, scripts, a message through an inbox, partitions), at the gateways that
have a lease (versions), at each STUN and TURN server, and at each gateway that --gateway names: two clients join a room, one
through it and one through the next, and speak to each other. Nothing is changed in Redis but by these clients.

What it looks at is said by the configuration of a gateway (--config or SIGNALBOX_CONFIG, with SIGNALBOX_... as for a gateway), or by
--redis and --partitions. The server API is not asked, and no key is needed. It ends with 1 when a check has failed, not for a warning.`,
		Args: cobra.NoArgs, RunE: t.run(func(ctx context.Context, _ []string) error { return d.run(ctx) }),
	}
	flags := c.Flags()
	flags.StringVarP(&d.config, "config", "c", "", "`file` with a gateway's configuration, or several with commas between")
	flags.StringVar(&d.redis, "redis", "", "`URL` of Redis, as in redis://localhost:6379")
	flags.IntVar(&d.partitions, "partitions", 0, "`number` of partitions that gateways are configured with")
	flags.StringArrayVarP(&d.gateways, "gateway", "g", nil, "`URL` of one gateway, as clients reach it; may be repeated")
	flags.StringArrayVar(&d.ice, "ice", nil, "`URL` of a STUN or TURN server, beside those of the configuration; may be repeated")
	flags.StringVar(&d.tokenFile, "token-file", "", "`file` with a token that lets clients in (default: a key of the configuration signs one, or the demo app is used)")
	must(c.MarkFlagFilename("config", "yaml", "yml"))
	return c
}

func (d *doctorFlags) run(ctx context.Context) error {
	t := d.tool
	var args []string
	for _, flag := range [][2]string{{"config", d.config}, {"redis.url", d.redis}} {
		if flag[1] != "" {
			args = append(args, "--"+flag[0], flag[1])
		}
	}
	if d.partitions != 0 {
		args = append(args, "--cluster.partitions", fmt.Sprint(d.partitions))
	}
	config, err := gateway.Load(args, t.process.Env, io.Discard)
	if err != nil {
		return usagef("%v", err)
	}
	transport, err := t.transport()
	if err != nil {
		return err
	}
	opts := doctor.Options{
		Config: config, Version: telemetry.ReadBuild().Version, Gateways: d.gateways, ICE: d.ice, App: t.app, TLS: transport.TLSClientConfig, Timeout: t.timeout,
	}
	if d.tokenFile != "" {
		text, err := t.readFile(d.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		opts.Token = strings.TrimSpace(string(text))
	}
	findings := doctor.Run(ctx, opts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return d.report(findings)
}

// report writes the findings, and what to do behind them.
func (d *doctorFlags) report(findings []doctor.Finding) error {
	t, worst := d.tool, doctor.Worst(findings)
	if t.asJSON {
		if err := t.writeJSON(map[string]any{"status": worst, "checks": findings}); err != nil {
			return err
		}
	} else if err := d.people(findings); err != nil {
		return err
	}
	if worst == doctor.Fail {
		return errUnwell
	}
	return nil
}

func (d *doctorFlags) people(findings []doctor.Finding) error {
	r := table{columns: []string{"CHECK", "STATUS", "FIGURE"}}
	counts := make(map[doctor.Status]int)
	var text strings.Builder
	for _, f := range findings {
		counts[f.Status]++
		r.add(f.Check, string(f.Status), f.Figure)
		if f.Status != doctor.OK {
			fmt.Fprintf(&text, "\n%s: %s\n%s\n%s\n", strings.ToUpper(string(f.Status)), f.Check, wrapped(f.Problem), wrapped(f.Remedy))
		}
	}
	if err := r.write(d.tool.process.Out); err != nil {
		return err
	}
	return d.tool.say("%s\n%d ok, %d warn, %d fail", text.String(), counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
}

// wrapped breaks a text into lines that are set in.
func wrapped(text string) string {
	const indent, width = "  ", 100
	var b strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		if n := utf8.RuneCountInString(word); length == 0 || length+1+n > width {
			if length > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(indent)
			length = len(indent)
		} else {
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += utf8.RuneCountInString(word)
	}
	return b.String()
}
