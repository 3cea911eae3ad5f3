package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{"words": words, "number": number}).Parse(pageText))

// grid is a table with a column for each run.
type grid struct {
	Title string
	Rows  []gridRow
}

type gridRow struct {
	Name  string
	Cells []string
}

// view is what the page shows.
type view struct {
	Results []*scenario.Result
	Names   []string
	Grids   []grid
	Plots   []template.HTML
}

// WriteHTML writes results side by side as one page that needs nothing from elsewhere: its plots are SVG within it.
func WriteHTML(to io.Writer, results []*scenario.Result) error {
	v := view{Results: results}
	for i, result := range results {
		v.Names = append(v.Names, fmt.Sprintf("%d: %s on %s", i+1, result.Settings.Name, result.Target))
	}
	v.Grids = []grid{
		column("Figures", results, func(r *scenario.Result) map[string]float64 { return r.Figures }),
		column("Counts", results, func(r *scenario.Result) map[string]float64 {
			counts := map[string]float64{}
			for name, n := range r.Counts {
				counts[name] = float64(n)
			}
			return counts
		}),
		column("Latencies, ms", results, latencies),
		column("CPU, cores", results, func(r *scenario.Result) map[string]float64 {
			cores := map[string]float64{}
			for _, p := range r.Processes {
				cores[p.Name] = p.CoresUsed
			}
			return cores
		}),
		column("Memory at the end, MiB", results, func(r *scenario.Result) map[string]float64 {
			memory := map[string]float64{}
			for _, p := range r.Processes {
				memory[p.Name] = p.EndMiB
			}
			return memory
		}),
	}
	var err error
	if v.Plots, err = plots(v.Names, results); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return page.Execute(to, v)
}

func latencies(r *scenario.Result) map[string]float64 {
	values := map[string]float64{}
	for name, l := range r.Latencies {
		name = words(name)
		values[name+" p50"], values[name+" p90"], values[name+" p99"] = l.P50, l.P90, l.P99
		values[name+" p99.9"], values[name+" max"] = l.P999, l.Max
	}
	return values
}

// column makes a grid of the named values of each run.
func column(title string, results []*scenario.Result, values func(*scenario.Result) map[string]float64) grid {
	names := map[string]bool{}
	for _, r := range results {
		for name := range values(r) {
			names[name] = true
		}
	}
	g := grid{Title: title}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row := gridRow{Name: words(name)}
		for _, r := range results {
			cell := ""
			if value, ok := values(r)[name]; ok {
				cell = number(value)
			}
			row.Cells = append(row.Cells, cell)
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}
