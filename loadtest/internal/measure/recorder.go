// Package measure counts, times and weighs a run: work done, latencies, and what processes used for it.
package measure

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range and precision of all histograms.
const (
	leastMicros = 1
	mostMicros  = 120_000_000
	digits      = 3
)

// Recorder takes what a load does. Counters count always; what a run shows is the difference between its beginning and its
// end. Latencies are taken in between only, so that a warm-up leaves none.
type Recorder struct {
	measuring atomic.Bool

	mu       sync.Mutex
	counters map[string]*Counter   // guarded by mu
	timers   map[string]*Histogram // guarded by mu
	errs     map[string]int64      // the texts of errors; guarded by mu
}

// NewRecorder makes one that does not measure yet.
func NewRecorder() *Recorder {
	return &Recorder{counters: map[string]*Counter{}, timers: map[string]*Histogram{}, errs: map[string]int64{}}
}

// Counter counts one kind of thing.
type Counter struct {
	total atomic.Int64
	begin atomic.Int64 // the total when the measurement began
	end   atomic.Int64 // and when it ended
}

// Add counts.
func (c *Counter) Add(n int64) { c.total.Add(n) }

// Total is what was counted so far, warm-up included.
func (c *Counter) Total() int64 { return c.total.Load() }

// Counter gives the counter of a name.
func (r *Recorder) Counter(name string) *Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counters[name] == nil {
		r.counters[name] = new(Counter)
	}
	return r.counters[name]
}

// Histogram is the distribution of one kind of latency.
type Histogram struct {
	recorder *Recorder

	mu       sync.Mutex
	all      *hdrhistogram.Histogram // guarded by mu
	interval *hdrhistogram.Histogram // since the last call of Interval; guarded by mu
}

// Histogram gives the histogram of a name.
func (r *Recorder) Histogram(name string) *Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timers[name] == nil {
		r.timers[name] = &Histogram{
			recorder: r, all: hdrhistogram.New(leastMicros, mostMicros, digits),
			interval: hdrhistogram.New(leastMicros, mostMicros, 2),
		}
	}
	return r.timers[name]
}

// Record takes one latency. One that is out of range counts as the greatest, or the least, there can be.
func (h *Histogram) Record(d time.Duration) {
	if !h.recorder.measuring.Load() {
		return
	}
	micros := min(max(d.Microseconds(), leastMicros), mostMicros)
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.all.RecordValue(micros)      // it is within the range
	_ = h.interval.RecordValue(micros) // and here, too
}

// Interval gives two percentiles of what came since the last call, in milliseconds; 0 if nothing did.
func (h *Histogram) Interval() (p50, p99 float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p50, p99 = millis(h.interval.ValueAtPercentile(50)), millis(h.interval.ValueAtPercentile(99))
	h.interval.Reset()
	return p50, p99
}

// Fail notes that a unit of work did not succeed. A nil error is none.
func (r *Recorder) Fail(err error) {
	if err == nil {
		return
	}
	r.Counter(Errors).Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := rootText(err); len(r.errs) < 50 || r.errs[text] > 0 {
		r.errs[text]++
	}
}

// Errors is the name of the counter of failures.
const Errors = "errors"

// rootText leaves out the addresses that make every text of a kind another one.
func rootText(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// Failures gives how often each error came.
func (r *Recorder) Failures() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.errs)
}

// Begin starts the measurement.
func (r *Recorder) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.counters {
		c.begin.Store(c.total.Load())
	}
	r.measuring.Store(true)
}

// End ends it. What comes later is not part of it.
func (r *Recorder) End() {
	r.measuring.Store(false)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.counters {
		c.end.Store(c.total.Load())
	}
}

// Counts gives what was counted while measuring, after End, without what was not.
func (r *Recorder) Counts() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]int64, len(r.counters))
	for name, c := range r.counters {
		if n := c.end.Load() - c.begin.Load(); n > 0 {
			counts[name] = n
		}
	}
	return counts
}

// Totals gives all that was counted so far.
func (r *Recorder) Totals() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	totals := make(map[string]int64, len(r.counters))
	for name, c := range r.counters {
		totals[name] = c.total.Load()
	}
	return totals
}

// Latency is a distribution in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	Min   float64 `json:"min_ms"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
	// Curve is the distribution by percentile, for plots.
	Curve []Point `json:"curve,omitempty"`
}

// Point is one point of a curve.
type Point struct {
	Percentile float64 `json:"p"`
	Millis     float64 `json:"ms"`
}

// Latencies gives each distribution that has anything in it.
func (r *Recorder) Latencies() map[string]Latency {
	r.mu.Lock()
	timers := maps.Clone(r.timers)
	r.mu.Unlock()
	latencies := map[string]Latency{}
	for name, h := range timers {
		h.mu.Lock()
		if h.all.TotalCount() > 0 {
			latencies[name] = latencyOf(h.all)
		}
		h.mu.Unlock()
	}
	return latencies
}

// Timers gives the histograms by name, in the order of their names.
func (r *Recorder) Timers() ([]string, map[string]*Histogram) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.timers)), maps.Clone(r.timers)
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	latency := Latency{
		Count: h.TotalCount(), Min: millis(h.Min()), Mean: h.Mean() / 1000, Max: millis(h.Max()),
		P50: millis(h.ValueAtPercentile(50)), P90: millis(h.ValueAtPercentile(90)),
		P99: millis(h.ValueAtPercentile(99)), P999: millis(h.ValueAtPercentile(99.9)),
	}
	for _, bracket := range h.CumulativeDistribution() {
		latency.Curve = append(latency.Curve, Point{bracket.Quantile, millis(bracket.ValueAt)})
	}
	return latency
}

func millis(micros int64) float64 { return float64(micros) / 1000 }
