package observability

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-rtc/signalbox/internal/dashboards"
)

// runbooks is where the pages of docs/runbooks are read.
const runbooks = "https://github.com/signalbox-rtc/signalbox/blob/main/docs/runbooks/"

// rule is a rule of Prometheus.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
	file                string
}

func ruleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "helm", "signalbox", "rules", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// chartRules are the rules that the chart brings.
func chartRules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, file := range ruleFiles(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var parsed struct{ Groups []struct{ Rules []rule } }
		require.NoError(t, yaml.Unmarshal(text, &parsed))
		for _, group := range parsed.Groups {
			for _, r := range group.Rules {
				r.file = strings.TrimSuffix(filepath.Base(file), ".yaml")
				all = append(all, r)
			}
		}
	}
	return all
}

// promtool runs Prometheus' own tool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	require.NoError(t, err, "make deps installs it")
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	require.NoError(t, err, "promtool %v\n%s", args, out)
}

func TestRulesAreValid(t *testing.T) {
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles(t)...)...)
	all := known(t)
	for _, r := range chartRules(t) {
		_, err := mentioned(r.Expr, all)
		require.NoError(t, err, "%s%s", r.Alert, r.Record)
	}
}

func TestAlertsAreWhole(t *testing.T) {
	for _, r := range chartRules(t) {
		if r.Alert == "" {
			continue
		}
		require.Contains(t, []string{"critical", "warning"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.Contains(t, r.Annotations["description"], "{{", "%s tells nothing of where or how much", r.Alert)
		require.Equal(t, runbooks+r.Alert+".md", r.Annotations["runbook_url"])
		require.True(t, strings.HasPrefix(r.Alert, "Signalbox"), r.Alert)
	}
}

// alertCase is what a case of promtool expects at one moment.
type alertCase struct {
	AlertName string `yaml:"alertname"`
	ExpAlerts []struct {
		ExpLabels map[string]string `yaml:"exp_labels"`
	} `yaml:"exp_alerts"`
}

// tells reports whether a rule is among those that fire.
func (c alertCase) tells(r rule) bool {
	for _, alert := range c.ExpAlerts {
		fits := true
		for label, value := range r.Labels {
			fits = fits && alert.ExpLabels[label] == value
		}
		if fits {
			return true
		}
	}
	return false
}

// Each alert has a case in which it fires and one in which it is silent, and does so. Those of several windows are told apart.
func TestAlertsFireAndAreSilent(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("rules", "*_test.yaml"))
	require.NoError(t, err)
	cases := make(map[string][]alertCase)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var parsed struct {
			Tests []struct {
				Name  string
				Cases []alertCase `yaml:"alert_rule_test"`
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &parsed))
		for _, test := range parsed.Tests {
			require.NotEmpty(t, test.Name)
			for _, c := range test.Cases {
				cases[c.AlertName] = append(cases[c.AlertName], c)
			}
		}
	}
	names := make(map[string]bool)
	for _, r := range chartRules(t) {
		if r.Alert == "" {
			continue
		}
		names[r.Alert] = true
		fires := func(c alertCase) bool { return c.tells(r) }
		silent := func(c alertCase) bool { return !c.tells(r) }
		require.True(t, slices.ContainsFunc(cases[r.Alert], fires), "no case has %s %v fire", r.Alert, r.Labels)
		require.True(t, slices.ContainsFunc(cases[r.Alert], silent), "no case has %s %v silent", r.Alert, r.Labels)
	}
	for name := range cases {
		require.True(t, names[name], "a case is about %s, which is no alert", name)
	}
	promtool(t, append([]string{"test", "rules"}, files...)...)
}

var pageHead = regexp.MustCompile(`^# (\w+)\n`)

// Each alert has its page, each page its alert, and the list of pages has all of them.
func TestAlertsHaveRunbooks(t *testing.T) {
	folder := filepath.Join(root, "docs", "runbooks")
	list, err := os.ReadFile(filepath.Join(folder, "README.md"))
	require.NoError(t, err)
	want := make(map[string]rule)
	for _, r := range chartRules(t) {
		if r.Alert != "" {
			want[r.Alert] = r
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "Signalbox*.md"))
	require.NoError(t, err)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		head := pageHead.FindStringSubmatch(string(text))
		require.NotNil(t, head, page)
		require.Equal(t, name, head[1])
		require.Contains(t, want, name, "%s is about no alert", page)
		delete(want, name)
		require.Contains(t, string(list), "]("+name+".md)", "docs/runbooks/README.md does not have %s", name)
		for _, part := range []string{"\n## What it means\n", "\n## What users see\n", "\n## Where to look\n", "\n## What to do\n"} {
			require.Contains(t, string(text), part, page)
		}
	}
	require.Empty(t, want, "alerts without a page in docs/runbooks")
}

var (
	dashboardLink = regexp.MustCompile(`(?m)^- Dashboard \[([^\]]+)\]\(\.\./dashboards\.md#([a-z-]+)\): ((?:.|\n  )+)\.$`)
	panelName     = regexp.MustCompile(`\*([^*]+)\*`)
)

// Each alert's page names panels that there are, of which one shows what the alert looks at.
func TestRunbooksNamePanels(t *testing.T) {
	panels := make(map[string]map[string]string) // the queries, by dashboard and panel
	for _, d := range dashboards.All() {
		panels[d.Title] = make(map[string]string)
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				short, _, _ := strings.Cut(p.Title, ",")
				for _, q := range p.Queries {
					panels[d.Title][p.Title] += q.Expr + "\n"
					if short != p.Title {
						panels[d.Title][short] += q.Expr + "\n"
					}
				}
			}
		}
	}
	all := known(t)
	asked := make(map[string][]string) // what each alert looks at
	for _, r := range chartRules(t) {
		if r.Alert != "" {
			names, err := mentioned(r.Expr, all)
			require.NoError(t, err, r.Alert)
			asked[r.Alert] = append(asked[r.Alert], names...)
		}
	}
	recorded := make(map[string][]string)
	for _, r := range chartRules(t) {
		if r.Record != "" {
			names, err := mentioned(r.Expr, all)
			require.NoError(t, err, r.Record)
			recorded[r.Record] = names
		}
	}
	for alert, names := range asked {
		for i := 0; i < len(names); i++ {
			names = append(names, recorded[names[i]]...)
		}
		text, err := os.ReadFile(filepath.Join(root, "docs", "runbooks", alert+".md"))
		require.NoError(t, err)
		shows := false
		for _, link := range dashboardLink.FindAllStringSubmatch(string(text), -1) {
			require.Contains(t, panels, link[1], alert)
			require.Equal(t, strings.ReplaceAll(strings.ToLower(link[1]), " ", "-"), link[2], alert)
			for _, name := range panelName.FindAllStringSubmatch(link[3], -1) {
				queries, ok := panels[link[1]][strings.ReplaceAll(name[1], "\n  ", " ")]
				require.True(t, ok, "%s: %s has no panel %s", alert, link[1], name[1])
				shows = shows || slices.ContainsFunc(names, func(metric string) bool { return strings.Contains(queries, metric) })
			}
		}
		require.True(t, shows, "%s names no panel that shows any of %v", alert, names)
	}
}

var (
	codeBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")
	metricRef = regexp.MustCompile(`\bsignalbox_\w+`)
)

// What runbooks name is there.
func TestRunbooksNameWhatThereIs(t *testing.T) {
	all := known(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "*.md"))
	require.NoError(t, err)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range codeBlock.FindAllStringSubmatch(string(text), -1) {
			for query := range strings.SplitSeq(strings.TrimSpace(block[1]), "\n") {
				_, err := mentioned(query, all)
				require.NoError(t, err, "%s: %s", page, query)
			}
		}
		for _, name := range metricRef.FindAllString(string(text), -1) {
			_, _, ok := lookUp(name, all)
			require.True(t, ok || all[name].histogram, "%s names %s", page, name)
		}
	}
}
