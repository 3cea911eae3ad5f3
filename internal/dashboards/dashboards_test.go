package dashboards_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/dashboards"
)

var update = flag.Bool("update", false, "write the dashboards instead of comparing them")

var folder = filepath.Join("..", "..", "helm", "signalbox", "dashboards")

// The chart has the dashboards that are described here, and no others.
func TestFiles(t *testing.T) {
	var names []string
	for _, d := range dashboards.All() {
		text, err := d.JSON()
		require.NoError(t, err)
		name := filepath.Join(folder, d.Name+".json")
		names = append(names, name)
		if *update {
			require.NoError(t, os.MkdirAll(folder, 0o755))
			require.NoError(t, os.WriteFile(name, text, 0o644))
			continue
		}
		have, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(text), string(have), "make dashboards writes them")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	slices.Sort(names)
	require.Equal(t, names, files)
}

// metricName finds what an expression names of ours.
var metricName = regexp.MustCompile(`\bsignalbox_[a-z0-9_]+`)

// Panels tell what they show, in which unit, of metrics that there are.
func TestPanels(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	require.NoError(t, err)
	relays, err := os.ReadFile(filepath.Join("..", "..", "docs", "relay.md")) // metrics of relays
	require.NoError(t, err)
	page = append(page, relays...)
	uids := make(map[string]bool)
	for _, d := range dashboards.All() {
		require.NotEmpty(t, d.Description, d.Name)
		require.False(t, uids[d.Name], d.Name)
		uids[d.Name] = true
		titles := make(map[string]bool)
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				require.NotEmpty(t, p.Unit, p.Title)
				require.NotEmpty(t, p.Description, p.Title)
				require.NotEmpty(t, p.Queries, p.Title)
				require.False(t, titles[p.Title], "%s twice in %s", p.Title, d.Name)
				titles[p.Title] = true
				for _, q := range p.Queries {
					for _, name := range metricName.FindAllString(q.Expr, -1) {
						family := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
						require.Contains(t, string(page), "`"+family+"`", "%s: %s", p.Title, q.Expr)
					}
					require.Contains(t, q.Expr, "$namespace", p.Title)
					require.NotRegexp(t, `rate\([^)]*\[\d+[smh]\]`, strings.ReplaceAll(q.Expr, "rate(process_cpu_seconds_total"+`{namespace=~"$namespace",instance=~"$node"}[5m])[1h:1m]`, ""),
						"rates over what is looked at, and not over a fixed time: %s", p.Title)
				}
			}
		}
	}
}

// Nothing lies on anything else, and all is within the width.
func TestGrid(t *testing.T) {
	type panel struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Panels  []panel
	}
	for _, d := range dashboards.All() {
		text, err := d.JSON()
		require.NoError(t, err)
		var file struct {
			UID    string
			Panels []panel
		}
		require.NoError(t, json.Unmarshal(text, &file))
		require.Equal(t, "signalbox-"+d.Name, file.UID)
		require.Less(t, len(text), 200_000, "all of them fit into one ConfigMap")
		var all []panel
		for _, p := range file.Panels {
			all = append(append(all, p), p.Panels...)
		}
		taken, ids := make(map[[2]int]string), make(map[int]bool)
		for _, p := range all {
			require.False(t, ids[p.ID])
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				require.Less(t, x, 24, p.Title)
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s lies on it", p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}
