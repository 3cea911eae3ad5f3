package dashboards

import (
	"fmt"
	"strings"
)

// on is the selector of what was chosen at the top of a dashboard, and of more.
func on(more ...string) string {
	return "{" + strings.Join(append([]string{`namespace=~"$namespace"`, `instance=~"$node"`}, more...), ",") + "}"
}

// by is the clause that groups by labels; "" for none.
func by(labels string) string {
	if labels == "" {
		return ""
	}
	return " by (" + labels + ")"
}

// rate is how often something happens in a second.
func rate(metric, labels string, more ...string) string {
	return fmt.Sprintf("sum%s (rate(%s%s[$__rate_interval]))", by(labels), metric, on(more...))
}

// sum adds up gauges.
func sum(metric, labels string, more ...string) string {
	return fmt.Sprintf("sum%s (%s%s)", by(labels), metric, on(more...))
}

// quantile is of a histogram: from its classic buckets, or from the native ones where Prometheus keeps only those.
func quantile(q float64, metric, labels string, more ...string) string {
	classic, native := "le", ""
	if labels != "" {
		classic, native = "le, "+labels, labels
	}
	return fmt.Sprintf("histogram_quantile(%g, sum by (%s) (rate(%s_bucket%s[$__rate_interval])))\nor\nhistogram_quantile(%g, sum%s (rate(%s%s[$__rate_interval])))",
		q, classic, metric, on(more...), q, by(native), metric, on(more...))
}

// mean is a histogram's.
func mean(metric, labels string, more ...string) string {
	return rate(metric+"_sum", labels, more...) + "\n/\n" + rate(metric+"_count", labels, more...)
}

// one is the only query of a panel.
func one(expr, legend string) []Query { return []Query{{Expr: expr, Legend: legend}} }

// quiet is the same for what may have nothing to tell.
func quiet(expr, legend string) []Query { return []Query{{Expr: expr, Legend: legend, Quiet: true}} }

// percentiles are the usual three of a histogram.
func percentiles(metric string, more ...string) []Query {
	return []Query{
		{Expr: quantile(.5, metric, "", more...), Legend: "p50"},
		{Expr: quantile(.95, metric, "", more...), Legend: "p95"},
		{Expr: quantile(.99, metric, "", more...), Legend: "p99"},
	}
}
