package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/plan"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
	"github.com/signalbox-rtc/signalbox/loadtest/scenarios"
)

// planRun is one run that the model learns from, or foretells.
type planRun struct {
	Settings yaml.Node `yaml:"settings"` // as in a scenario file
	Flags    []string  `yaml:"flags"`    // of the gateways
	Check    bool      `yaml:"check"`

	settings scenario.Settings
}

func readPlanRuns(text []byte) ([]planRun, error) {
	var all []planRun
	if err := scenario.DecodeStrict(text, &all); err != nil {
		return nil, fmt.Errorf("runs of the capacity model: %w", err)
	}
	for i := range all {
		settings, err := yaml.Marshal(&all[i].Settings)
		if err == nil {
			all[i].settings, err = scenario.Decode(bytes.NewReader(settings))
		}
		if err != nil {
			return nil, fmt.Errorf("run %d of the capacity model: %w", i+1, err)
		}
	}
	return all, nil
}

// measureConstants runs all that the constants come from, and what they are checked with.
func (p *program) measureConstants(ctx context.Context, a *planning) (*plan.Constants, []*scenario.Result, error) {
	all, err := readPlanRuns(scenarios.Plan)
	if err != nil {
		return nil, nil, err
	}
	var learned, checks []*scenario.Result
	for i, run := range all {
		result, err := p.planRun(ctx, a, run)
		if err != nil {
			return nil, nil, fmt.Errorf("run %d of %d, %s: %w", i+1, len(all), run.settings.Name, err)
		}
		_, _ = fmt.Fprintf(p.stderr, "run %d of %d, %s: passed\n", i+1, len(all), run.settings.Name) // nobody may be reading
		if run.Check {
			checks = append(checks, result)
		} else {
			learned = append(learned, result)
		}
	}
	constants, err := plan.From(learned)
	if err != nil {
		return nil, nil, err
	}
	constants.Measured.Revision = target.Describe(ctx, ".")
	return constants, checks, nil
}

// planRun carries one run out, and once more when it did not go well: what else a machine does must not cost minutes of work.
func (p *program) planRun(ctx context.Context, a *planning, run planRun) (result *scenario.Result, err error) {
	o := options{flags: run.Flags}
	o.target.Name, o.target.Binaries = target.Signalbox, a.binaries
	for range 2 {
		result, err = p.carryOut(ctx, run.settings, o)
		if err == nil && !result.Passed {
			err = fmt.Errorf("%w: %s", ErrNotPassed, strings.Join(result.Reasons, "; "))
		}
		if err == nil {
			return result, a.keep(result)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, _ = fmt.Fprintf(p.stderr, "%s: %v\n", run.settings.Name, err)
	}
	return nil, err
}

// keep writes a run's result into the folder for them.
func (a *planning) keep(result *scenario.Result) error {
	if a.results == "" {
		return nil
	}
	if err := os.MkdirAll(a.results, 0o755); err != nil {
		return err
	}
	file := filepath.Join(a.results, result.Settings.Name+".json")
	return toFile(file, func(w io.Writer) error { return report.WriteJSON(w, result) })
}
