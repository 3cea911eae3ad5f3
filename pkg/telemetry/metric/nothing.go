package metric

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// nothing is a metric of any kind that counts nothing, for builds in which metrics are off.
type nothing struct{ desc *prometheus.Desc }

var (
	_ prometheus.Counter   = nothing{}
	_ prometheus.Gauge     = nothing{}
	_ prometheus.Histogram = nothing{}
)

func newNothing(name, help string) nothing {
	return nothing{prometheus.NewDesc(name, help, nil, nil)}
}

// nothings makes one for each value of some labels.
func nothings(name, help string, labels []string) *prometheus.MetricVec {
	desc := prometheus.NewDesc(name, help, labels, nil)
	return prometheus.NewMetricVec(desc, func(...string) prometheus.Metric { return nothing{desc} })
}

func (n nothing) Desc() *prometheus.Desc              { return n.desc }
func (n nothing) Describe(to chan<- *prometheus.Desc) { to <- n.desc }
func (nothing) Collect(chan<- prometheus.Metric)      {}
func (nothing) Write(out *dto.Metric) error           { out.Untyped = new(dto.Untyped); return nil }
func (nothing) Inc()                                  {}
func (nothing) Dec()                                  {}
func (nothing) Add(float64)                           {}
func (nothing) Sub(float64)                           {}
func (nothing) Set(float64)                           {}
func (nothing) SetToCurrentTime()                     {}
func (nothing) Observe(float64)                       {}
