package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/tenants"
)

// quotaRun is the measurement of quotas: in each round the same load three times on the same servers.
type quotaRun struct {
	settings tenants.Settings
	nodes    int
	rounds   int
	limit    float64 // of the ratio of the others' p99
	over     float64 // what all apps ask for when it is looked whether quotas hold

	quiet, loud, full []*tenants.Phase
}

// quotas measures whether quotas hold, and what an app that asks for far too much changes for the others.
func (p *program) quotas(ctx context.Context, args []string) error {
	var run quotaRun
	var insert string
	spec := target.Spec{Name: target.Signalbox}
	s := &run.settings
	flags := flag.NewFlagSet("loadtest quotas", flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	flags.IntVar(&s.Apps, "apps", 100, "apps, each with a client on every gateway")
	flags.IntVar(&s.Quota, "quota", 20, "messages a second of each app in the whole cluster")
	flags.Float64Var(&s.Load, "load", 0.5, "what each app asks for, over its quota")
	flags.Float64Var(&s.Loud, "loud", 10, "what the loud app asks for, over its quota")
	flags.IntVar(&s.Payload, "payload", 256, "bytes of a message")
	flags.DurationVar(&s.WarmUp, "warmup", 4*time.Second, "of each phase")
	flags.DurationVar(&s.Duration, "duration", 8*time.Second, "of each phase")
	flags.IntVar(&run.nodes, "nodes", 3, "gateways")
	flags.IntVar(&run.rounds, "rounds", 3, "rounds; the medians count")
	flags.Float64Var(&run.limit, "limit", 2, "greatest ratio of the others' p99 with the loud app to that without")
	flags.Float64Var(&run.over, "over", 1.5, "what all apps ask for, over their quotas, when it is looked whether they hold")
	flags.StringVar(&insert, "insert", "", "Markdown page whose part between <!-- plan quotas --> and <!-- plan end --> is written anew")
	binaryFlags(flags, &spec.Binaries)
	if err := flags.Parse(args); err != nil {
		return helpOr(err)
	}
	if err := s.Validate(); err != nil {
		return &UsageError{err.Error()}
	}
	if run.rounds < 1 || run.rounds > 20 || run.nodes < 1 || run.nodes > 8 {
		return &UsageError{"there are 1 to 20 rounds, and 1 to 8 gateways"}
	}
	if err := raiseFileLimit(0); err != nil {
		return err
	}
	spec.Nodes = run.nodes
	if err := run.measure(ctx, spec, p.stderr); err != nil {
		return err
	}
	if err := run.write(p.stdout); err != nil {
		return err
	}
	if insert != "" {
		if err := insertParts(insert, map[string]func(io.Writer) error{"quotas": run.write}); err != nil {
			return err
		}
	}
	return run.verdict()
}

// measure starts the servers and goes through the rounds.
func (r *quotaRun) measure(ctx context.Context, spec target.Spec, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "loadtest-quotas-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config := filepath.Join(dir, "apps.yaml")
	if err := os.WriteFile(config, []byte(r.config()), 0o600); err != nil {
		return err
	}
	spec.Flags = append(spec.Flags, "--config="+config)
	servers, err := target.Start(ctx, spec)
	if err != nil {
		return err
	}
	defer servers.Close()
	crowd, err := tenants.Connect(ctx, r.settings, servers.Gateways)
	if err != nil {
		return err
	}
	defer crowd.Close()
	for round := range r.rounds {
		for _, phase := range []struct {
			into *[]*tenants.Phase
			loud float64
		}{{&r.quiet, r.settings.Load}, {&r.loud, r.settings.Loud}} {
			result, err := crowd.Run(ctx, r.settings.Load, phase.loud)
			if err != nil {
				return err
			}
			*phase.into = append(*phase.into, result)
		}
		_, _ = fmt.Fprintf(progress, "round %d: others' p99 %.1f ms without, %.1f ms with the loud app\n", round+1,
			r.quiet[round].Hop(0.99)*1000, r.loud[round].Hop(0.99)*1000)
	}
	full, err := crowd.Run(ctx, r.over, r.settings.Loud)
	if err != nil {
		return err
	}
	r.full = append(r.full, full)
	return nil
}

// config is a gateway's file with the apps.
func (r *quotaRun) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "quotas:\n  messages_per_second: %d\napps:\n", r.settings.Quota)
	for number := range r.settings.Apps {
		fmt.Fprintf(&b, "  - {id: %s, anonymous: true}\n", tenants.AppID(number))
	}
	return b.String()
}

// fullest gives the greatest part of what may be taken that an app was let have in some phases.
func (r *quotaRun) fullest(phases []*tenants.Phase) float64 {
	most := 0.0
	for _, p := range phases {
		most = max(most, p.Fullest(r.settings.Quota, r.nodes))
	}
	return most
}

// ratios are those of the others' quantile with the loud app to that without, by round.
func (r *quotaRun) ratios(q float64) []float64 {
	var ratios []float64
	for i := range r.quiet {
		ratios = append(ratios, r.loud[i].Hop(q)/r.quiet[i].Hop(q))
	}
	return ratios
}

// write tells what was found as Markdown.
func (r *quotaRun) write(w io.Writer) error {
	s := &r.settings
	median := func(phases []*tenants.Phase, of func(*tenants.Phase) float64) float64 {
		var values []float64
		for _, p := range phases {
			values = append(values, of(p))
		}
		return measure.Median(values)
	}
	hop := func(q float64) func(*tenants.Phase) float64 {
		return func(p *tenants.Phase) float64 { return p.Hop(q) * 1000 }
	}
	taken := func(p *tenants.Phase) float64 { return float64(p.Taken[0]) / (float64(s.Quota) * s.Duration.Seconds()) }
	asked := func(p *tenants.Phase) float64 { return float64(p.Sent[0]) / (float64(s.Quota) * s.Duration.Seconds()) }
	var single []string
	for _, ratio := range r.ratios(0.99) {
		single = append(single, fmt.Sprintf("%.2f", ratio))
	}
	_, err := fmt.Fprintf(w, `%d apps of %d messages a second each, with a client on each of %d gateways, on %d cores with all clients and Redis; each asks
for %.1f times its quota, the loud one for %.0f times. Medians of %d rounds of %v, in turns on the same servers.

| | without the loud app | with it | ratio | of single rounds |
|---|---|---|---|---|
| the other apps' messages, sender to receiver, p50 | %.2f ms | %.2f ms | %.2f | |
| p99 | %.2f ms | %.2f ms | %.2f (at most %.1f) | %s |
| the loud app: asked for, over its quota | %.2f | %.2f | | |
| the loud app: taken, over its quota | %.2f | %.2f | | |

| over all apps, the most that was taken of what may be: quota × (time + 1 s) + 1 a gateway | |
|---|---|
| in these rounds | %.2f (at most 1) |
| when all of them ask for %.1f times their quotas | %.2f (at most 1) |
`,
		s.Apps, s.Quota, r.nodes, runtime.NumCPU(), s.Load, s.Loud, r.rounds, s.Duration,
		median(r.quiet, hop(0.5)), median(r.loud, hop(0.5)), measure.Median(r.ratios(0.5)),
		median(r.quiet, hop(0.99)), median(r.loud, hop(0.99)), measure.Median(r.ratios(0.99)), r.limit, strings.Join(single, ", "),
		median(r.quiet, asked), median(r.loud, asked), median(r.quiet, taken), median(r.loud, taken),
		max(r.fullest(r.quiet), r.fullest(r.loud)), r.over, r.fullest(r.full))
	return err
}

// verdict fails a run in which a quota did not hold, or the loud app was too much for the others.
func (r *quotaRun) verdict() error {
	for _, phases := range [][]*tenants.Phase{r.quiet, r.loud, r.full} {
		if fullest := r.fullest(phases); fullest > 1 {
			return fmt.Errorf("%w: an app was let have %.2f times what it may", ErrNotPassed, fullest)
		}
	}
	if ratio := measure.Median(r.ratios(0.99)); ratio > r.limit {
		return fmt.Errorf("%w: the others' p99 was %.2f times what it is without the loud app, at most %.1f is wanted", ErrNotPassed, ratio, r.limit)
	}
	return nil
}
