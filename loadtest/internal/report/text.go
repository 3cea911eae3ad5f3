package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// WriteText writes a result for people.
func WriteText(to io.Writer, r *scenario.Result) error {
	var text strings.Builder
	verdict := "PASSED"
	if !r.Passed {
		verdict = "NOT PASSED: " + strings.Join(r.Reasons, "; ")
	}
	fmt.Fprintf(&text, "%s on %s (%s, %s), measured for %.1f s: %s\n\n", r.Settings.Name, r.Target, r.Driver, r.Settings.Servers(), r.Seconds, verdict)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		_, _ = fmt.Fprintf(table, "%s\t%d\n", words(name), r.Counts[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", words(name), number(r.Figures[name]))
	}
	_, _ = fmt.Fprintf(table, "\nlatency, ms\tp50\tp90\tp99\tp99.9\tmax\n")
	for _, name := range slices.Sorted(maps.Keys(r.Latencies)) {
		l := r.Latencies[name]
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", words(name), number(l.P50), number(l.P90), number(l.P99), number(l.P999), number(l.Max))
	}
	_, _ = fmt.Fprintf(table, "\nprocess\tcores\tCPU s\tMiB at first\tbegin\tend\n")
	for _, p := range r.Processes {
		_, _ = fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.1f\t%.1f\t%.1f\n", p.Name, p.CoresUsed, p.CPU, p.BaseMiB, p.BeginMiB, p.EndMiB)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, violation := range r.Examples {
		fmt.Fprintf(&text, "%s: %s\n", violation.Rule, violation.Text)
	}
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&text, "error, %d times: %s\n", r.Errors[what], what)
	}
	_, err := io.WriteString(to, text.String())
	return err
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// number shows three digits at least, and no more than make sense.
func number(value float64) string {
	switch {
	case value >= 100 || value <= -100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10 || value <= -10:
		return fmt.Sprintf("%.1f", value)
	case value == 0:
		return "0"
	}
	return fmt.Sprintf("%.2f", value)
}
