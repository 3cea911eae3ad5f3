package watch

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/dashboards"
)

// subquery is a range with steps, which begin at whole minutes: there are none of them here yet.
var subquery = regexp.MustCompile(`\[\d+[dhm]:\d+m\]`)

// substitute puts values in place of what Grafana does.
func substitute(expr string) string {
	expr = subquery.ReplaceAllString(expr, "[1m:1s]")
	return strings.NewReplacer(
		"$namespace", ".*", "$node", ".*", "$app", ".*", "$__rate_interval", "15s",
		" offset 1d", "", " offset 1w", "", // there is no yesterday
	).Replace(expr)
}

// operations are where metrics are read, by the names of pods.
func operations(c *cluster) map[string]string {
	addresses := map[string]string{"relay-1": c.relay.OperationsAddr().String()}
	for _, g := range c.gateways {
		addresses[g.Name()] = g.OperationsAddr().String()
	}
	return addresses
}

func ruleFiles(tb testing.TB) []string {
	files, err := filepath.Glob(filepath.Join("..", "..", "helm", "signalbox", "rules", "*.yaml"))
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	return files
}

// Every question of every dashboard and rule is answered by a Prometheus that watches a cluster with something to do.
func TestEveryQueryHasData(t *testing.T) {
	c := startCluster(t)
	p := startPrometheus(t, operations(c), ruleFiles(t))
	type question struct{ where, expr string }
	var open []question
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, panel := range row.Panels {
				for _, q := range panel.Queries {
					asked := question{fmt.Sprintf("%s / %s / %s", d.Title, row.Title, panel.Title), substitute(q.Expr)}
					require.NotRegexp(t, `\$[a-z_]`, asked.expr, "a variable that is not known: %s", asked.where)
					_, err := p.now(asked.expr)
					require.NoError(t, err, "%s: %s", asked.where, asked.expr)
					if !q.Quiet {
						open = append(open, asked)
					}
				}
			}
		}
	}
	require.NotEmpty(t, open)
	for _, r := range p.rules() {
		_, err := p.now(r.Query)
		require.NoError(t, err, "%s: %s", r.Name, r.Query)
		if r.Type == "recording" {
			open = append(open, question{"rule " + r.Name, r.Name})
		}
	}
	// Alerts are to be silent here; what they look at is to be there all the same, so each metric that they name has data.
	metric := regexp.MustCompile(`\b(signalbox|process|go|scrape)_[a-z0-9_]+`)
	asked := make(map[string]bool)
	for _, r := range p.rules() {
		for _, name := range metric.FindAllString(r.Query, -1) {
			if !asked[name] && !rare[name] {
				asked[name] = true
				open = append(open, question{"metric of rule " + r.Name, name})
			}
		}
	}

	answered := assert.Eventually(t, func() bool {
		open = slices.DeleteFunc(open, func(q question) bool {
			told, err := p.now(q.expr)
			assert.NoError(t, err, "%s: %s", q.where, q.expr)
			return len(told) > 0
		})
		return len(open) == 0 || t.Failed()
	}, patience, 500*time.Millisecond)
	if !answered {
		for _, q := range open {
			t.Errorf("nothing is known of %s:\n%s", q.where, q.expr)
		}
	}
	for _, r := range p.rules() {
		require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
	}
	select {
	case err := <-c.failures:
		require.NoError(t, err, "of the people whose calls are watched")
	default:
	}
}

// rare are metrics that a gateway has only with parts which the cluster here does without.
var rare = map[string]bool{
	"signalbox_certificate_expiry_timestamp_seconds": true,
	"signalbox_certificate_reloads_total":            true,

	"signalbox_api_certificate_expiry_timestamp_seconds": true,
	"signalbox_api_certificate_reloads_total":            true,
}
