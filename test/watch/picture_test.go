package watch

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-analyze/charts"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/dashboards"
)

var update = flag.Bool("update", false, "watch a cluster for a while, and write docs/dashboards.md with what is seen")

var docs = filepath.Join("..", "..", "docs")

const (
	watched = 90 * time.Second // what a picture shows
	step    = time.Second

	pictureWidth  = 1440
	columnWidth   = pictureWidth / dashboards.Columns
	rowUnit       = 28 // pixels of one unit of height
	titleHeight   = 26
	mostLines     = 8 // of one panel
	mostTableRows = 4
)

// TestPictures draws what the dashboards show of the cluster here, for people who have no Grafana at hand.
func TestPictures(t *testing.T) {
	if !*update {
		t.Skip("make dashboards-docs draws them")
	}
	c := startCluster(t)
	p := startPrometheus(t, operations(c), ruleFiles(t))
	start := time.Now().Add(15 * time.Second) // rates have something behind them then
	<-time.After(time.Until(start) + watched)

	var page strings.Builder
	page.WriteString(`# What the dashboards look like

<!-- Drawn from a cluster with something to do: make dashboards-docs -->

The chart brings eight dashboards for Grafana (` + "`dashboards.enabled`" + `, [helm/signalbox/dashboards](../helm/signalbox/dashboards)). They
have variables for the namespace, gateways and apps, and links to each other and to the [runbooks](runbooks/README.md). These pictures show the
answers to their queries, not Grafana's own drawing: ninety seconds of two gateways on one machine, with four calls in which
one side loses its connection and comes back, a visitor, a socket.io client on polling, an app with quotas whose backend uses the server
API and takes webhooks, one whose backend says who people are, and a relay that somebody sends by.
`)
	for _, d := range dashboards.All() {
		picture, err := draw(p, &d, start)
		require.NoError(t, err)
		name := filepath.Join("dashboards", d.Name+".svg")
		require.NoError(t, os.MkdirAll(filepath.Join(docs, "dashboards"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(docs, name), picture, 0o644))
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n![%s](%s)\n\n| panel | what it tells |\n|---|---|\n", d.Title, d.Description, d.Title, filepath.ToSlash(name))
		for _, row := range d.Rows {
			for _, panel := range row.Panels {
				fmt.Fprintf(&page, "| %s | %s |\n", panel.Title, panel.Description)
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(docs, "dashboards.md"), []byte(page.String()), 0o644))
}

// The page has every panel that there is.
func TestPageIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, "dashboards.md"))
	require.NoError(t, err)
	for _, d := range dashboards.All() {
		require.FileExists(t, filepath.Join(docs, "dashboards", d.Name+".svg"))
		for _, row := range d.Rows {
			for _, panel := range row.Panels {
				require.Contains(t, string(page), fmt.Sprintf("| %s | %s |\n", panel.Title, panel.Description), "make dashboards-docs writes it")
			}
		}
	}
}

// draw makes the picture of a dashboard, as an SVG.
func draw(p *prometheus, d *dashboards.Dashboard, start time.Time) ([]byte, error) {
	type placed struct {
		panel *dashboards.Panel
		box   charts.Box
	}
	var all []placed
	y := 0
	for _, row := range d.Rows {
		y = row.Place(y, func(panel *dashboards.Panel, x, y, width, height int) {
			all = append(all, placed{panel, charts.NewBox(x*columnWidth+6, y*rowUnit+6, (x+width)*columnWidth-6, (y+height)*rowUnit-6)})
		})
	}
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: pictureWidth, Height: y * rowUnit})
	painter.FilledRect(0, 0, pictureWidth, y*rowUnit, charts.ColorWhite, charts.ColorWhite, 0)
	for _, a := range all {
		painter.FilledRect(a.box.Left, a.box.Top, a.box.Right, a.box.Bottom, charts.ColorWhite, charts.ColorLightGray, 1)
		painter.Text(a.panel.Title, a.box.Left+8, a.box.Top+18, 0, charts.FontStyle{FontSize: 12, FontColor: charts.ColorBlack})
		if err := drawPanel(p, painter, a.panel, a.box, start); err != nil {
			return nil, fmt.Errorf("%s: %w", a.panel.Title, err)
		}
	}
	return painter.Bytes()
}

func drawPanel(p *prometheus, painter *charts.Painter, panel *dashboards.Panel, box charts.Box, start time.Time) error {
	var legend []string
	var lines [][]float64
	for _, q := range panel.Queries {
		told, err := p.since(substitute(q.Expr), start, step)
		if err != nil {
			return err
		}
		for _, s := range told {
			line := make([]float64, int(watched/step))
			for i := range line {
				line[i] = charts.GetNullValue()
			}
			seen := false
			times, values := s.points()
			for i, at := range times {
				if n := int(at - float64(start.Unix())); n >= 0 && n < len(line) && number(values[i]) {
					line[n], seen = values[i], true
				}
			}
			if seen {
				legend, lines = append(legend, name(q.Legend, s.Metric)), append(lines, line)
			}
		}
	}
	small := charts.FontStyle{FontSize: 9, FontColor: charts.ColorDarkGray}
	switch {
	case len(lines) == 0:
		painter.Text("nothing to tell", box.Left+12, box.Top+titleHeight+22, 0, small)
		return nil
	case panel.Kind == dashboards.Number:
		painter.Text(format(panel.Unit, last(lines[0])), box.Left+12, box.Top+titleHeight+38, 0, charts.FontStyle{FontSize: 24, FontColor: charts.ColorBlack})
		return nil
	case panel.Kind == dashboards.Table:
		for i, text := range legend[:min(len(legend), mostTableRows)] {
			painter.Text(text, box.Left+12, box.Top+titleHeight+20+16*i, 0, small)
		}
		return nil
	}
	if more := len(lines) - mostLines; more > 0 {
		largestFirst(lines, legend)
		lines, legend = lines[:mostLines], legend[:mostLines]
		legend[mostLines-1] += fmt.Sprintf(" and %d more", more)
	}
	if panel.Stacked {
		stack(lines)
	}
	top := 0.0
	for _, line := range lines {
		top = max(top, greatest(line))
	}
	if top == 0 {
		top = 1
	}
	opt := charts.NewLineChartOptionWithData(lines)
	opt.Legend = charts.LegendOption{SeriesNames: legend, FontStyle: charts.FontStyle{FontSize: 8}, Offset: charts.OffsetStr{Top: charts.PositionBottom}}
	opt.XAxis.Labels = seconds()
	opt.XAxis.LabelCount = 4
	opt.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), Max: charts.Ptr(1.1 * top), LabelCount: 4}}
	opt.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	opt.LineStrokeWidth = 1.2
	opt.ValueFormatter = func(v float64) string {
		if panel.Kind == dashboards.Heatmap {
			return format("short", v) // how many there are; the unit is that of what they are sorted by
		}
		return format(panel.Unit, v)
	}
	inside := charts.NewBox(box.Left+4, box.Top+titleHeight, box.Right-4, box.Bottom-2)
	return painter.Child(charts.PainterBoxOption(inside)).LineChart(opt)
}

// stack puts each line on top of those before it.
func stack(lines [][]float64) {
	for i := 1; i < len(lines); i++ {
		for n := range lines[i] {
			if below := lines[i-1][n]; below != charts.GetNullValue() && lines[i][n] != charts.GetNullValue() {
				lines[i][n] += below
			}
		}
	}
}

// greatest is the greatest value of a line.
func greatest(line []float64) float64 {
	top := 0.0
	for _, v := range line {
		if v != charts.GetNullValue() {
			top = max(top, v)
		}
	}
	return top
}

// largestFirst sorts lines, and their names with them.
func largestFirst(lines [][]float64, legend []string) {
	order := make([]int, len(lines))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(greatest(lines[b]), greatest(lines[a])) })
	sortedLines, sortedLegend := make([][]float64, len(lines)), make([]string, len(lines))
	for to, from := range order {
		sortedLines[to], sortedLegend[to] = lines[from], legend[from]
	}
	copy(lines, sortedLines)
	copy(legend, sortedLegend)
}

func last(line []float64) float64 {
	for i := len(line) - 1; i >= 0; i-- {
		if line[i] != charts.GetNullValue() {
			return line[i]
		}
	}
	return math.NaN()
}

func seconds() []string {
	labels := make([]string, int(watched/step))
	for i := range labels {
		labels[i] = fmt.Sprintf("%d s", i)
	}
	return labels
}

var legendLabel = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)

// name fills in a legend as Grafana does.
func name(legend string, labels map[string]string) string {
	if legend == "" {
		var parts []string
		for _, key := range []string{"alertname", "version", "revision", "goversion"} {
			if labels[key] != "" {
				parts = append(parts, labels[key])
			}
		}
		return strings.Join(parts, ", ")
	}
	return legendLabel.ReplaceAllStringFunc(legend, func(match string) string {
		key := strings.Trim(match, "{}")
		if key == "instance" && labels["instance"] != "" {
			return instanceName(labels)
		}
		return labels[key]
	})
}

// instanceName is shorter than an address, and the same in each run.
func instanceName(labels map[string]string) string {
	if pod := labels["pod"]; pod != "" {
		return pod
	}
	if instances[labels["instance"]] == "" {
		instances[labels["instance"]] = fmt.Sprintf("gateway-%d", len(instances)+1)
	}
	return instances[labels["instance"]]
}

var instances = make(map[string]string)

// format shows a value in a unit.
func format(unit string, v float64) string {
	switch unit {
	case "percentunit":
		return fmt.Sprintf("%.4g %%", 100*v)
	case "s":
		switch {
		case v == 0:
			return "0 s"
		case math.Abs(v) < 1e-3:
			return fmt.Sprintf("%.3g µs", 1e6*v)
		case math.Abs(v) < 1:
			return fmt.Sprintf("%.3g ms", 1e3*v)
		}
		return fmt.Sprintf("%.3g s", v)
	case "bytes", "Bps":
		for _, u := range []string{"B", "KiB", "MiB", "GiB"} {
			if math.Abs(v) < 1024 {
				return fmt.Sprintf("%.3g %s", v, u)
			}
			v /= 1024
		}
		return fmt.Sprintf("%.3g TiB", v)
	case "ops", "reqps", "cps":
		return fmt.Sprintf("%.3g/s", v)
	}
	return fmt.Sprintf("%.4g", v)
}
