package report

import (
	"fmt"
	"html/template"
	"maps"
	"slices"

	"github.com/go-analyze/charts"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// The size of a plot in pixels.
const (
	plotWidth  = 960
	plotHeight = 320
)

// line is one series of a plot; a hole in it is no point.
type line struct {
	name   string
	values []float64
}

// plots draws what changes over time and how latencies are distributed: all runs in one plot where that can be read, and
// one plot a run where each has lines of its own.
func plots(names []string, results []*scenario.Result) ([]template.HTML, error) {
	var drawn []template.HTML
	draw := func(title string, labels []string, lines []line) error {
		if len(labels) < 2 || len(lines) == 0 {
			return nil
		}
		svg, err := drawLines(title, labels, lines)
		if err == nil {
			drawn = append(drawn, svg)
		}
		return err
	}
	seconds := secondsOf(results)
	for _, rate := range mainRates(results) {
		lines := perRun(names, results, func(s measure.Sample) (float64, bool) { v, ok := s.Rates[rate]; return v, ok })
		if err := draw(words(rate)+" a second", seconds, lines); err != nil {
			return nil, err
		}
	}
	for _, timer := range timersOf(results) {
		lines := perRun(names, results, func(s measure.Sample) (float64, bool) { v, ok := s.P99[timer]; return v, ok })
		if err := draw(words(timer)+" p99 of each second, ms", seconds, lines); err != nil {
			return nil, err
		}
		if err := draw(words(timer)+" by percentile, ms", percentileLabels(), byPercentile(names, results, timer)); err != nil {
			return nil, err
		}
	}
	for i, result := range results {
		cpu := perProcess(result, func(s measure.Sample, name string) (float64, bool) { v, ok := s.CPU[name]; return v, ok })
		if err := draw(names[i]+": CPU, cores", secondsOf(results[i:i+1]), cpu); err != nil {
			return nil, err
		}
		memory := perProcess(result, func(s measure.Sample, name string) (float64, bool) { v, ok := s.Memory[name]; return v, ok })
		if err := draw(names[i]+": memory, MiB", secondsOf(results[i:i+1]), memory); err != nil {
			return nil, err
		}
	}
	return drawn, nil
}

func drawLines(title string, labels []string, lines []line) (template.HTML, error) {
	values := make([][]float64, 0, len(lines))
	legend := make([]string, 0, len(lines))
	for _, l := range lines {
		values, legend = append(values, l.values), append(legend, l.name)
	}
	opt := charts.NewLineChartOptionWithData(values)
	opt.Title = charts.TitleOption{Text: title}
	opt.Legend = charts.LegendOption{SeriesNames: legend, Offset: charts.OffsetStr{Top: "28"}}
	opt.XAxis.Labels = labels
	opt.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0)}}
	opt.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	opt.LineStrokeWidth = 1.5
	opt.ValueFormatter = number
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: plotWidth, Height: plotHeight})
	if err := painter.LineChart(opt); err != nil {
		return "", err
	}
	svg, err := painter.Bytes()
	return template.HTML(svg), err //nolint:gosec // drawn here, of names that the library escapes
}

// secondsOf labels the time axis of the longest run.
func secondsOf(results []*scenario.Result) []string {
	longest := 0
	for _, r := range results {
		longest = max(longest, len(r.Samples))
	}
	labels := make([]string, longest)
	for i := range labels {
		labels[i] = fmt.Sprintf("%d s", i+1)
	}
	return labels
}

// mainRates are the counters that any run has counted with, but those of preparations and failures.
func mainRates(results []*scenario.Result) []string {
	names := map[string]bool{}
	for _, r := range results {
		for name, n := range r.Counts {
			if n > 0 && name != measure.Errors {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func timersOf(results []*scenario.Result) []string {
	names := map[string]bool{}
	for _, r := range results {
		for name := range r.Latencies {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// perRun makes a line of each run that has any point.
func perRun(names []string, results []*scenario.Result, value func(measure.Sample) (float64, bool)) []line {
	longest := len(secondsOf(results))
	var lines []line
	for i, r := range results {
		l, any := line{name: names[i], values: holes(longest)}, false
		for at, sample := range r.Samples {
			if v, ok := value(sample); ok {
				l.values[at], any = v, true
			}
		}
		if any {
			lines = append(lines, l)
		}
	}
	return lines
}

// perProcess makes a line of each process of one run.
func perProcess(r *scenario.Result, value func(measure.Sample, string) (float64, bool)) []line {
	var lines []line
	for _, p := range r.Processes {
		l := line{name: p.Name, values: holes(len(r.Samples))}
		for at, sample := range r.Samples {
			if v, ok := value(sample, p.Name); ok {
				l.values[at] = v
			}
		}
		lines = append(lines, l)
	}
	return lines
}

func holes(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = charts.GetNullValue()
	}
	return values
}

// percentiles are those at which distributions are drawn: each step is a tenth, or so, of what is left.
var percentiles = []float64{0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 100}

func percentileLabels() []string {
	labels := make([]string, 0, len(percentiles))
	for _, p := range percentiles {
		labels = append(labels, fmt.Sprintf("%g %%", p))
	}
	return labels
}

func byPercentile(names []string, results []*scenario.Result, timer string) []line {
	var lines []line
	for i, r := range results {
		latency, ok := r.Latencies[timer]
		if !ok || len(latency.Curve) == 0 {
			continue
		}
		l := line{name: names[i]}
		for _, p := range percentiles {
			l.values = append(l.values, at(latency.Curve, p))
		}
		lines = append(lines, l)
	}
	return lines
}

// at gives the first point of a curve at or above a percentile.
func at(curve []measure.Point, percentile float64) float64 {
	for _, point := range curve {
		if point.Percentile >= percentile-1e-9 {
			return point.Millis
		}
	}
	return curve[len(curve)-1].Millis
}
