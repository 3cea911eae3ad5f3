package app

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/plan"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
)

// planning is what plan is asked for.
type planning struct {
	from      list
	constants string
	check     list
	measure   bool
	results   string
	write     string
	insert    string
	costs     bool

	sizes            string
	demand           plan.Demand
	machines         plan.Machines
	calls, chat      float64 // of 1,000 connections
	callsAll         float64
	chatAll          float64
	podGiB, redisGiB float64

	binaries target.Binaries
}

// defaultSizes are those of the table that the docs show.
const defaultSizes = "10000,100000,1000000,10000000"

func (p *program) parsePlanning(args []string) (*planning, error) {
	a := new(planning)
	flags := flag.NewFlagSet("loadtest plan", flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	flags.Var(&a.from, "from", "results to take the constants from, in place of those that are built in; may name several files")
	flags.StringVar(&a.constants, "constants", "", "file with constants in place of those that are built in")
	flags.Var(&a.check, "check", "results to foretell; may name several files")
	flags.BoolVar(&a.measure, "measure", false, "run what the constants come from, and the runs to foretell, first")
	flags.StringVar(&a.results, "results", "", "with -measure: folder for the results of all runs")
	flags.StringVar(&a.write, "write", "", "file for the constants")
	flags.StringVar(&a.insert, "insert", "", "Markdown page whose parts between `<!-- plan ... -->` markers are written anew")
	flags.BoolVar(&a.costs, "costs", false, "print the constants")

	flags.StringVar(&a.sizes, "connections", defaultSizes, "connections, separated by commas for several")
	flags.Float64Var(&a.demand.InRooms, "in-rooms", 0.3, "share of the connections that have a seat")
	flags.Float64Var(&a.demand.Members, "members", 3, "members of a room")
	flags.Float64Var(&a.calls, "calls", 1, "calls set up a second for each 1,000 connections")
	flags.Float64Var(&a.callsAll, "calls-total", -1, "calls set up a second in all, in place of -calls")
	flags.Float64Var(&a.chat, "chat", 2, "chat messages a second for each 1,000 connections")
	flags.Float64Var(&a.chatAll, "chat-total", -1, "chat messages a second in all, in place of -chat")
	flags.Float64Var(&a.demand.Receivers, "receivers", 8, "receivers of a chat message")
	flags.Float64Var(&a.demand.ChatBytes, "chat-bytes", 250, "size of a chat message")
	flags.DurationVar(&a.demand.Session, "session", time.Hour, "how long a connection stands")

	m := &a.machines
	flags.Float64Var(&m.Utilisation, "utilisation", 0.6, "share of cores and memory that may be in use")
	flags.Float64Var(&m.PodCores, "pod-cores", 2, "cores of a gateway")
	flags.Float64Var(&a.podGiB, "pod-gib", 4, "memory of a gateway")
	flags.Float64Var(&m.PodFiles, "pod-files", 1<<20, "files that a gateway may have open")
	flags.Float64Var(&a.redisGiB, "redis-gib", 8, "memory of a Redis primary")
	flags.Float64Var(&m.LogLength, "log-length", 256, "the gateways' rooms.log_length")
	flags.DurationVar(&m.LogWindow, "log-window", 2*time.Minute, "the gateways' rooms.resume_window")
	flags.StringVar((*string)(&m.Pace), "pace", string(plan.Trickle), "how messages come: trickle, burst, saturated; the more at once, the less each costs")
	binaryFlags(flags, &a.binaries)
	if err := flags.Parse(spread(args, "from", "check")); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, &UsageError{"what is " + strings.Join(flags.Args(), " ") + "?"}
	}
	m.PodMiB, m.RedisMiB = a.podGiB*1024, a.redisGiB*1024
	if a.measure && (len(a.from) > 0 || a.constants != "") || len(a.from) > 0 && a.constants != "" {
		return nil, &UsageError{"-measure, -from and -constants are three ways to the same: name one"}
	}
	return a, nil
}

// spread repeats a flag's name before each of several values, as a shell's pattern gives them: -from a b becomes
// -from a -from b.
func spread(args []string, names ...string) []string {
	var all []string
	name := ""
	for i, arg := range args {
		isFlag := strings.HasPrefix(arg, "-") && arg != "-"
		switch {
		case isFlag:
			name = ""
			if slices.Contains(names, strings.TrimLeft(arg, "-")) {
				name = arg
			}
		case name != "" && args[i-1] != name:
			all = append(all, name)
		}
		all = append(all, arg)
	}
	return all
}

// demands gives one for each size.
func (a *planning) demands() ([]plan.Demand, error) {
	var demands []plan.Demand
	for text := range strings.SplitSeq(a.sizes, ",") {
		d := a.demand
		var err error
		if d.Connections, err = strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
			return nil, &UsageError{fmt.Sprintf("connections: %q is no number", text)}
		}
		d.Calls, d.Chat = a.calls*d.Connections/1000, a.chat*d.Connections/1000
		if a.callsAll >= 0 {
			d.Calls = a.callsAll
		}
		if a.chatAll >= 0 {
			d.Chat = a.chatAll
		}
		if err := plan.Validate(d, a.machines); err != nil {
			return nil, &UsageError{err.Error()}
		}
		demands = append(demands, d)
	}
	return demands, nil
}

// plan tells what a deployment needs, or how far the model of it is from what runs have measured.
func (p *program) plan(ctx context.Context, args []string) error {
	a, err := p.parsePlanning(args)
	if err != nil {
		return helpOr(err)
	}
	demands, err := a.demands()
	if err != nil {
		return err
	}
	constants, checks, err := p.constantsFor(ctx, a)
	if err != nil {
		return err
	}
	more, err := readResults(a.check)
	if err != nil {
		return err
	}
	checks = append(checks, more...)
	if a.write != "" {
		if err := toFile(a.write, constants.Write); err != nil {
			return err
		}
	}
	table := func(to io.Writer) error { return constants.WriteText(to, demands, a.machines) }
	parts := map[string]func(io.Writer) error{"needs": table, "costs": constants.WriteCosts}
	if len(checks) > 0 {
		parts["check"] = func(to io.Writer) error { return constants.WriteCheck(to, checks) }
	}
	switch {
	case a.insert != "":
		return insertParts(a.insert, parts)
	case a.costs:
		return constants.WriteCosts(p.stdout)
	case len(checks) > 0:
		return constants.WriteCheck(p.stdout, checks)
	}
	return table(p.stdout)
}

// constantsFor gets the constants from where the flags say, and the results to foretell that came with them.
func (p *program) constantsFor(ctx context.Context, a *planning) (*plan.Constants, []*scenario.Result, error) {
	switch {
	case a.measure:
		return p.measureConstants(ctx, a)
	case len(a.from) > 0:
		results, err := readResults(a.from)
		if err != nil {
			return nil, nil, err
		}
		constants, err := plan.From(results)
		return constants, nil, err
	}
	text := p.constants
	if a.constants != "" {
		var err error
		if text, err = os.ReadFile(a.constants); err != nil {
			return nil, nil, err
		}
	}
	constants, err := plan.Read(text)
	return constants, nil, err
}

// readResults reads the results in files, one or more in each.
func readResults(files []string) ([]*scenario.Result, error) {
	var results []*scenario.Result
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		some, err := report.ReadJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, some...)
	}
	return results, nil
}

// insertParts writes parts of a page anew: what stands between <!-- plan NAME --> and <!-- plan end -->.
func insertParts(file string, parts map[string]func(io.Writer) error) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	found := false
	for name, write := range parts {
		begin, end := "<!-- plan "+name+" -->\n", "<!-- plan end -->\n"
		head, rest, ok := strings.Cut(string(page), begin)
		if !ok {
			continue
		}
		_, tail, ok := strings.Cut(rest, end)
		if !ok {
			return fmt.Errorf("%s: the part %s has no end", file, name)
		}
		var text bytes.Buffer
		if err := write(&text); err != nil {
			return err
		}
		page, found = []byte(head+begin+"\n"+text.String()+"\n"+end+tail), true
	}
	if !found {
		return fmt.Errorf("%s has no part <!-- plan %s -->", file, strings.Join(slices.Sorted(maps.Keys(parts)), " --> or <!-- plan "))
	}
	return toFile(file, func(w io.Writer) error {
		_, err := w.Write(page)
		return err
	})
}
