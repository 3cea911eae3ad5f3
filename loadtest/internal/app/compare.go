package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
	"github.com/signalbox-rtc/signalbox/loadtest/scenarios"
)

// self is the peer of rows that compare our servers with our servers.
const self = "self"

// comparison is what compare is asked for.
type comparison struct {
	peer, us  string
	rows      string
	rounds    int
	durations time.Duration
	warmup    time.Duration
	clients   int
	raceTimes int
	results   string
	html      string
	rowsFile  string
	base      baseline
	options   options
}

func (p *program) parseComparison(args []string) (*comparison, error) {
	c := new(comparison)
	flags := flag.NewFlagSet("loadtest compare", flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	flags.StringVar(&c.peer, "peer", target.Centrifugo, "the other side: a target, "+self+" for the rows that compare us with us, or "+base+" for another revision of us")
	flags.StringVar(&c.base.revision, "base", "", "peer "+base+": the revision that is built, as git names it")
	flags.StringVar(&c.base.gateway, "base-gateway", "", "peer "+base+": a gateway in place of a revision")
	flags.Float64Var(&c.base.tolerance, "tolerance", 1.15, "peer "+base+": how many times its cost ours may be, and how many times less may be done a second")
	flags.StringVar(&c.us, "us", target.Signalbox, "our side: a target")
	flags.StringVar(&c.rows, "rows", "", "rows to run, separated by commas; all that there are for the peer if empty")
	flags.StringVar(&c.rowsFile, "rows-file", "", "file with rows in place of those that are built in")
	flags.IntVar(&c.rounds, "rounds", 5, "runs of each side, in turns")
	flags.DurationVar(&c.durations, "duration", 0, "length of each measurement in place of the scenario's")
	flags.DurationVar(&c.warmup, "warmup", 0, "length of each warm-up in place of the scenario's")
	flags.IntVar(&c.clients, "clients", 0, "connections in place of the scenario's")
	flags.IntVar(&c.raceTimes, "race-rounds", 0, "rounds of each race in place of the scenario's")
	flags.StringVar(&c.results, "results", "", "folder for the results of all runs")
	flags.StringVar(&c.html, "html", "", "file for a report with plots, of the last round")
	binaryFlags(flags, &c.options.target.Binaries)
	flags.Var(&c.options.flags, "gateway-flag", "flag for our gateways, as --key=value; may come several times")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, &UsageError{"what is " + strings.Join(flags.Args(), " ") + "?"}
	}
	return c, c.validate()
}

func (c *comparison) validate() error {
	isTarget := func(name string) bool { return slices.Contains(target.Names(), name) }
	switch {
	case !isTarget(c.us):
		return &UsageError{fmt.Sprintf("there is no target %q; there are %s", c.us, strings.Join(target.Names(), ", "))}
	case !isTarget(c.peer) && c.peer != self && c.peer != base:
		return &UsageError{fmt.Sprintf("there is no peer %q; there are %s, %s, %s", c.peer, self, base, strings.Join(target.Names(), ", "))}
	case c.rounds < 1:
		return &UsageError{"rounds: 1 or more"}
	case c.peer == base && (c.base.revision == "") == (c.base.gateway == ""):
		return &UsageError{"peer " + base + ": which one? -base REVISION builds it, -base-gateway PATH has it built already"}
	case c.peer != base && (c.base.revision != "" || c.base.gateway != ""):
		return &UsageError{"-base and -base-gateway are for -peer " + base}
	case c.base.tolerance < 1:
		return &UsageError{"tolerance: 1 or more"}
	}
	return nil
}

// wants reports whether a row is asked for.
func (c *comparison) wants(r row) bool {
	if c.rows != "" {
		return slices.Contains(strings.Split(c.rows, ","), r.Name)
	}
	switch {
	case (r.Self != nil) != (c.peer == self):
		return false
	case r.NeedsFlags && len(c.options.flags) == 0:
		return false
	}
	return len(r.Peers) == 0 || slices.Contains(r.Peers, c.peer)
}

// readRows gives the rows that there are for the comparison's peer.
func (c *comparison) readRows() ([]row, error) {
	text := scenarios.Comparison
	if c.peer == base {
		text = scenarios.Base
	}
	if c.rowsFile != "" {
		var err error
		if text, err = os.ReadFile(c.rowsFile); err != nil {
			return nil, err
		}
	}
	rows, err := readRows(text)
	if err != nil || c.peer != base {
		return rows, err
	}
	for _, r := range rows {
		for i := range r.Figures {
			if err := r.Figures[i].Tolerate(base, c.base.tolerance); err != nil {
				return nil, fmt.Errorf("row %s: %w", r.Name, err)
			}
		}
	}
	return rows, nil
}

// compare runs rows and prints ratios. It fails when a run of ours has not passed, and when a bound is missed.
func (p *program) compare(ctx context.Context, args []string) error {
	c, err := p.parseComparison(args)
	if err != nil {
		return helpOr(err)
	}
	rows, err := c.readRows()
	if err != nil {
		return err
	}
	if rows = slices.DeleteFunc(rows, func(r row) bool { return !c.wants(r) }); len(rows) == 0 {
		return &UsageError{fmt.Sprintf("no row is for %s with %q; `loadtest list` names them", c.peer, c.rows)}
	}
	if c.peer == base {
		dir, err := os.MkdirTemp("", "loadtest-base-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // it is in the folder for temporary files
		if err := p.prepareBase(ctx, c, dir); err != nil {
			return err
		}
	}
	var page report.Comparison
	for _, r := range rows {
		outcomes, err := p.alternate(ctx, c, r)
		if err != nil {
			return fmt.Errorf("row %s: %w", r.Name, err)
		}
		page = append(page, outcomes...)
	}
	if c.html != "" {
		if err := toFile(c.html, func(w io.Writer) error { return report.WriteHTML(w, page.LastRound()) }); err != nil {
			return err
		}
	}
	if err := page.WriteText(p.stdout); err != nil {
		return err
	}
	if failures := page.Failures(); len(failures) > 0 {
		return fmt.Errorf("%w: %s", ErrNotPassed, strings.Join(failures, "; "))
	}
	return nil
}

// alternate runs one row in turns: ours, theirs, ours, theirs. Where ours are of several sizes, each has its turn in a round,
// and an outcome of its own.
func (p *program) alternate(ctx context.Context, c *comparison, r row) (report.Comparison, error) {
	settings, err := scenarioFile(r.Scenario)
	if err != nil {
		return nil, err
	}
	c.adjust(&settings)
	ours, theirs := r.sides(c, settings)
	for round := range c.rounds {
		for _, side := range append(ours, theirs) {
			result, err := p.carryOut(ctx, side.settings, side.options)
			if err != nil {
				return nil, fmt.Errorf("round %d on %s: %w", round+1, side.options.target.Name, err)
			}
			if side == theirs && c.peer == base {
				result.Target = base
			}
			side.results = append(side.results, result)
			if err := c.keep(r.Name, round, side.name, result); err != nil {
				return nil, err
			}
			outcome := report.Outcome{Figures: r.Figures}
			_, _ = fmt.Fprintf(p.stderr, "%s, round %d of %d, %s: %s\n", r.Name, round+1, c.rounds, side.what(result), outcome.Line(result))
		}
	}
	var outcomes report.Comparison
	for _, side := range ours {
		outcomes = append(outcomes, &report.Outcome{
			Row: r.Name, Peer: c.peer, Figures: side.figures(r.Figures), Ours: side.results, Theirs: theirs.results,
		})
	}
	return outcomes, nil
}

// adjust makes a row smaller or larger, as the flags say.
func (c *comparison) adjust(s *scenario.Settings) {
	if c.durations > 0 {
		s.Duration = c.durations
	}
	if c.warmup > 0 {
		s.WarmUp = c.warmup
	}
	if c.clients > 0 {
		s.Clients = c.clients
	}
	if c.raceTimes > 0 && s.Rounds > 0 {
		s.Rounds = c.raceTimes
	}
}

// keep writes a run's result into the folder for them.
func (c *comparison) keep(row string, round int, side string, result *scenario.Result) error {
	if c.results == "" {
		return nil
	}
	if err := os.MkdirAll(c.results, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%d-%s-%s.json", row, round+1, side, result.Target)
	file := filepath.Join(c.results, name)
	return toFile(file, func(w io.Writer) error { return report.WriteJSON(w, result) })
}
