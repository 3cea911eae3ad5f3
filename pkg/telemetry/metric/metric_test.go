package metric_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// A scraper gets the native form and the classic one.
func TestHistogramsHaveBothForms(t *testing.T) {
	one := metric.Histogram("one_seconds", "One.", metric.Latency)
	many := metric.Histograms("many_seconds", "Many.", metric.Latency, "kind")
	registry := prometheus.NewRegistry()
	registry.MustRegister(one, many)
	one.Observe(.003)
	many.WithLabelValues("a").Observe(.003)

	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 2)
	for _, family := range families {
		h := family.GetMetric()[0].GetHistogram()
		require.Len(t, h.GetBucket(), len(metric.Latency), family.GetName())
		require.Equal(t, []int64{1}, h.GetPositiveDelta(), family.GetName())
		for _, bucket := range h.GetBucket() {
			require.Equal(t, bucket.GetUpperBound() >= .003, bucket.GetCumulativeCount() == 1, "%s: %v", family.GetName(), bucket)
		}
	}
}

// What the native form costs beside the classic one: a message passes several.
func BenchmarkObserve(b *testing.B) {
	for name, h := range map[string]prometheus.Histogram{
		"classic": prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Buckets: metric.Latency}),
		"both":    metric.Histogram("x", "", metric.Latency),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				h.Observe(float64(n%5000) * 1e-6)
			}
		})
	}
}
