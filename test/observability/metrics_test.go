// Package observability tests the chart's rules against what they are to tell, and their runbooks.
package observability

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

var root = filepath.Join("..", "..")

// targetLabels are put on every series by Prometheus, which knows the target.
var targetLabels = []string{"namespace", "job", "pod", "instance"}

// shown is a metric that Prometheus can be asked for.
type shown struct {
	labels    []string
	histogram bool
}

var metricRow = regexp.MustCompile("(?m)^\\| `(signalbox_\\w+)` \\| (\\w+) \\| ([^|]*) \\|")

// exported are the metrics of a gateway and a relay: those of docs/metrics.md and docs/relay.md, which are made from them, and those of Go and
// of the process.
func exported(t *testing.T) map[string]shown {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	require.NoError(t, err)
	relays, err := os.ReadFile(filepath.Join(root, "docs", "relay.md"))
	require.NoError(t, err)
	page = append(page, relays...)
	all := make(map[string]shown)
	for _, row := range metricRow.FindAllStringSubmatch(string(page), -1) {
		var labels []string
		for label := range strings.SplitSeq(row[3], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				labels = append(labels, label)
			}
		}
		all[row[1]] = shown{labels: labels, histogram: row[2] == "histogram"}
	}
	require.Greater(t, len(all), 50, "docs/metrics.md is read wrongly")
	families, err := telemetry.NewRegistry(telemetry.Build{}).Gather()
	require.NoError(t, err)
	for _, family := range families {
		if name := family.GetName(); !strings.HasPrefix(name, "signalbox_") {
			all[name] = shown{histogram: family.Metric[0].Histogram != nil || family.Metric[0].Summary != nil}
		}
	}
	return all
}

// known are all names that an expression may have: those of gateways, those that the rules record, and Prometheus' own.
func known(t *testing.T) map[string]shown {
	t.Helper()
	all := exported(t)
	for _, rule := range chartRules(t) {
		if rule.Record != "" {
			all[rule.Record] = shown{}
		}
	}
	all["up"] = shown{}
	all["ALERTS"] = shown{labels: []string{"alertname", "alertstate", "severity"}}
	return all
}

var (
	expressionToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][\w:]*|[\d.]+\w*|[^\s]`)
	// words are of the language, with the functions that are in use: whatever else is a word is a metric.
	words     = strings.Fields("by without on ignoring group_left group_right and or unless bool offset inf nan")
	functions = strings.Fields("changes sum avg min max count group rate increase histogram_quantile max_over_time avg_over_time predict_linear time absent")
)

// mentioned are the metrics that an expression asks for. An error is a word that is neither a metric nor the language's, or a
// label that a metric does not have. What it does not see, as a wrong number of arguments, Prometheus does.
func mentioned(expression string, known map[string]shown) ([]string, error) {
	tokens := expressionToken.FindAllString(expression, -1)
	names := make(map[string]bool)
	var grouped []string
	seen := make(map[string]bool) // labels of the metrics
	at := func(i int) string {
		if i < len(tokens) {
			return tokens[i]
		}
		return ""
	}
	for i := 0; i < len(tokens); i++ {
		token := tokens[i]
		if !regexp.MustCompile(`^[a-zA-Z_:]`).MatchString(token) {
			continue
		}
		switch {
		case slices.Contains(words, token):
			if slices.Contains([]string{"by", "without", "on", "ignoring", "group_left", "group_right"}, token) && at(i+1) == "(" {
				for i += 2; at(i) != ")" && i < len(tokens); i++ {
					if tokens[i] != "," {
						grouped = append(grouped, tokens[i])
					}
				}
			}
			continue
		case slices.Contains(functions, token):
			continue
		}
		name, metric, ok := lookUp(token, known)
		if !ok {
			return nil, fmt.Errorf("%s is no metric", token)
		}
		names[name] = true
		labels := append(slices.Clone(metric.labels), targetLabels...)
		if strings.HasSuffix(token, "_bucket") {
			labels = append(labels, "le")
		}
		for _, label := range labels {
			seen[label] = true
		}
		if at(i+1) != "{" {
			continue
		}
		for i += 2; at(i) != "}" && i < len(tokens); i++ {
			if regexp.MustCompile(`^[a-zA-Z_]`).MatchString(tokens[i]) && !slices.Contains(labels, tokens[i]) {
				return nil, fmt.Errorf("%s has no label %s", token, tokens[i])
			}
		}
	}
	for _, label := range grouped {
		if !seen[label] {
			return nil, fmt.Errorf("no metric of it has a label %s", label)
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// lookUp finds the metric that a series belongs to.
func lookUp(series string, known map[string]shown) (string, shown, bool) {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name, ok := strings.CutSuffix(series, suffix)
		if metric := known[name]; ok && metric.histogram {
			return name, metric, true
		}
	}
	metric, ok := known[series]
	return series, metric, ok && (!metric.histogram || strings.HasPrefix(series, "go_"))
}

func TestExpressionsAreUnderstood(t *testing.T) {
	all := map[string]shown{"a_total": {labels: []string{"result"}}, "b_seconds": {histogram: true}}
	for expression, want := range map[string]string{
		`sum by (result, job) (rate(a_total{result="ok",pod=~"x"}[5m])) > 1.5`:         "a_total",
		`histogram_quantile(0.99, sum by (le) (rate(b_seconds_bucket[1h] offset 5m)))`: "b_seconds",
		`a_total / on (job) b_seconds_count and b_seconds_sum > 1e3`:                   "a_total b_seconds",
	} {
		names, err := mentioned(expression, all)
		require.NoError(t, err)
		require.Equal(t, want, strings.Join(names, " "))
	}
	for _, wrong := range []string{
		`rate(c_total[5m])`, `a_total_bucket`, `b_seconds`, `a_total{code="x"}`, `sum by (code) (a_total)`, `b_seconds_count{le="1"}`, `sun(a_total)`,
	} {
		_, err := mentioned(wrong, all)
		require.Error(t, err, wrong)
	}
}
