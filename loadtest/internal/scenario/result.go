package scenario

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
)

// Result is what a run has shown. It is what is written as JSON.
type Result struct {
	Target   string    `json:"target"`
	Driver   string    `json:"driver"`
	Settings Settings  `json:"settings"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // of the measurement
	Cores    int       `json:"cores"`
	Machine  string    `json:"machine,omitempty"`
	// Flags are those that gateways were started with beside the usual ones.
	Flags []string `json:"flags,omitempty"`

	// Work and Counts are of the measurement alone, Figures what follows from them and from what processes have used.
	Work      Work                       `json:"work"`
	Counts    map[string]int64           `json:"counts"`
	Figures   map[string]float64         `json:"figures"`
	Latencies map[string]measure.Latency `json:"latencies"`
	Processes []ProcessUse               `json:"processes"`
	Samples   []measure.Sample           `json:"samples"`

	Passed     bool                  `json:"passed"`
	Reasons    []string              `json:"reasons,omitempty"`
	Violations map[oracle.Rule]int64 `json:"violations"`
	Examples   []oracle.Violation    `json:"examples,omitempty"`
	Errors     map[string]int64      `json:"errors,omitempty"`
}

// ProcessUse is what one process has used while it was measured, and held.
type ProcessUse struct {
	Name      string       `json:"name"`
	Kind      measure.Kind `json:"kind"`
	CPU       float64      `json:"cpu_seconds"`
	BaseMiB   float64      `json:"base_mib"`  // before anything was connected
	BeginMiB  float64      `json:"begin_mib"` // when the measurement began
	EndMiB    float64      `json:"end_mib"`
	CoresUsed float64      `json:"cores"`
	BaseFiles int          `json:"base_files,omitempty"` // open before anything was connected, where the kernel tells

	Redis *RedisUse `json:"redis,omitempty"` // of a Redis alone
}

// RedisUse is what a Redis says of itself.
type RedisUse struct {
	BaseBytes  int64 `json:"base_bytes"`  // allocated before anything was connected
	BeginBytes int64 `json:"begin_bytes"` // when the measurement began
	EndBytes   int64 `json:"end_bytes"`
	InBytes    int64 `json:"in_bytes"`  // of its clients, while measuring
	OutBytes   int64 `json:"out_bytes"` // to them
	Published  int64 `json:"published"` // messages, while measuring
	// Reads are those from connections while measuring: the fewer there are for the same work, the longer are the pipelines.
	Reads int64 `json:"reads,omitempty"`

	Bus *BusUse `json:"bus,omitempty"` // of a node of a Redis Cluster alone
}

// BusUse is what a node of a Redis Cluster has sent to other nodes over the cluster bus while measuring.
type BusUse struct {
	Sent   int64 `json:"sent"`   // messages of all kinds
	Copies int64 `json:"copies"` // those that carry what was published
}

// The figures that runs can have; which, depends on the scenario.
const (
	FigureCallsPerSecond      = "calls_per_second"
	FigureCPUPerCall          = "cpu_ms_per_call"
	FigureCPUPerMessage       = "cpu_us_per_message"
	FigureMessagesPerSecond   = "messages_per_second"
	FigureRedisCPUPerMessage  = "redis_cpu_us_per_message"
	FigureRedisCPUSpread      = "redis_cpu_spread" // CPU of the busiest Redis over the mean of all
	FigureRedisReads          = "redis_reads_per_message"
	FigureBusCopies           = "bus_copies_per_message"
	FigureBusSent             = "bus_sent_per_second" // heartbeats included
	FigureDeliveriesPerSecond = "deliveries_per_second"
	FigureCPUPerDelivery      = "cpu_us_per_delivery"
	FigureJoinsPerSecond      = "joins_per_second"
	FigureCPUPerJoin          = "cpu_us_per_join"
	FigureWrongRounds         = "wrong_rounds"
	FigureConnectionKiB       = "kib_per_connection"
	FigureBaseMiB             = "base_mib_per_node"
	FigureHopP50              = "hop_p50_ms"
	FigureHopP99              = "hop_p99_ms"
	FigureServerCores         = "server_and_redis_cores"
	FigureDriverCores         = "driver_cores"
)

func (r *run) result(started time.Time) *Result {
	if r.s.Kind == Soak {
		r.growth()
	}
	result := &Result{
		Target: "", Driver: r.opts.Driver, Settings: r.s, Started: started, Seconds: r.took.Seconds(), Cores: runtime.NumCPU(), Machine: measure.Machine(),
		Work: workBetween(r.done[0], r.done[1]), Counts: r.rec.Counts(), Figures: r.figures, Latencies: r.rec.Latencies(), Samples: r.smp.Samples(),
		Violations: r.orc.Counts(), Examples: r.orc.Examples(), Errors: r.rec.Failures(),
	}
	r.weigh(result)
	r.derive(result)
	r.judge(result)
	return result
}

const mib = 1 << 20

// weigh fills in what processes have used.
func (r *run) weigh(result *Result) {
	for _, p := range r.smp.Processes() {
		first, begin, end := r.first[p.Name], r.begin[p.Name], r.end[p.Name]
		used := (end.CPU - begin.CPU).Seconds()
		use := ProcessUse{
			Name: p.Name, Kind: p.Kind, CPU: used, CoresUsed: used / max(result.Seconds, 1e-9),
			BaseMiB: float64(first.Memory) / mib, BeginMiB: float64(begin.Memory) / mib, EndMiB: float64(end.Memory) / mib,
			BaseFiles: r.files[p.Name],
		}
		if p.Kind == measure.Redis {
			use.Redis = &RedisUse{
				BaseBytes: first.Data, BeginBytes: begin.Data, EndBytes: end.Data,
				InBytes: end.In - begin.In, OutBytes: end.Out - begin.Out, Published: end.Published - begin.Published, Reads: end.Reads - begin.Reads,
			}
			if begin.Bus != nil && end.Bus != nil {
				use.Redis.Bus = &BusUse{Sent: end.Bus.Sent - begin.Bus.Sent, Copies: end.Bus.Copies - begin.Bus.Copies}
			}
		}
		result.Processes = append(result.Processes, use)
	}
}

// derive works out the figures.
func (r *run) derive(result *Result) {
	var cpu, driver, base, grown float64
	servers := 0
	for _, p := range result.Processes {
		switch p.Kind {
		case measure.Load:
			driver += p.CPU
		case measure.Server:
			servers++
			base += p.BaseMiB
			grown += p.EndMiB - p.BaseMiB
			cpu += p.CPU
		case measure.Redis:
			cpu += p.CPU
		}
	}
	figures := result.Figures
	figures[FigureDriverCores] = driver / max(result.Seconds, 1e-9)
	if servers > 0 {
		figures[FigureServerCores] = cpu / max(result.Seconds, 1e-9)
		figures[FigureBaseMiB] = base / float64(servers)
	}
	// What a unit costs is known only where there is one kind of them.
	per := func(kind, count, rate, use string, unit float64) {
		n := float64(result.Counts[count])
		if n == 0 {
			return
		}
		if rate != "" {
			figures[rate] = n / result.Seconds
		}
		if servers > 0 && r.s.Kind == kind {
			figures[use] = cpu / n * unit
		}
	}
	per(Call, "calls", FigureCallsPerSecond, FigureCPUPerCall, 1e3)
	per(Call, "messages", FigureMessagesPerSecond, FigureCPUPerMessage, 1e6)
	per(Fanout, "deliveries", FigureDeliveriesPerSecond, FigureCPUPerDelivery, 1e6)
	per(Join, "joins", FigureJoinsPerSecond, FigureCPUPerJoin, 1e6)
	r.deriveRelay(result)
	if hop, ok := result.Latencies["hop"]; ok {
		figures[FigureHopP50], figures[FigureHopP99] = hop.P50, hop.P99
	}
	if r.s.Kind == Idle && servers > 0 {
		figures[FigureConnectionKiB] = grown * 1024 / float64(r.s.Clients)
	}
}

// deriveRelay works out what messages cost Redis, or all primaries of a Redis Cluster together, how long their pipelines are,
// how evenly they bear it, and what they send to each other.
func (r *run) deriveRelay(result *Result) {
	messages := float64(result.Counts["messages"])
	if r.s.Kind != Call || messages == 0 {
		return
	}
	var cpu, most, reads, sent, copies float64
	servers, clustered := 0, 0
	for _, p := range result.Processes {
		if p.Kind != measure.Redis {
			continue
		}
		servers++
		cpu += p.CPU
		most = max(most, p.CPU)
		reads += float64(p.Redis.Reads)
		if p.Redis.Bus != nil {
			clustered++
			sent += float64(p.Redis.Bus.Sent)
			copies += float64(p.Redis.Bus.Copies)
		}
	}
	if servers > 0 {
		result.Figures[FigureRedisCPUPerMessage], result.Figures[FigureRedisReads] = cpu/messages*1e6, reads/messages
	}
	if cpu > 0 {
		result.Figures[FigureRedisCPUSpread] = most / (cpu / float64(servers))
	}
	if clustered > 0 {
		result.Figures[FigureBusCopies], result.Figures[FigureBusSent] = copies/messages, sent/result.Seconds
	}
}

// judge says whether the run has passed.
func (r *run) judge(result *Result) {
	r.mu.Lock()
	result.Reasons = append(result.Reasons, r.reasons...)
	r.mu.Unlock()
	for _, rule := range slices.Sorted(maps.Keys(result.Violations)) {
		result.Reasons = append(result.Reasons, fmt.Sprintf("%d violations: %s", result.Violations[rule], rule))
	}
	if n := r.rec.Counter(measure.Errors).Total(); n > 0 {
		result.Reasons = append(result.Reasons, fmt.Sprintf("%d errors", n))
	}
	result.Passed = len(result.Reasons) == 0
}

// Summary says in a line what was done.
func (r *Result) Summary() string {
	s := r.Settings
	text := s.Servers()
	if s.Clients > 0 {
		text += fmt.Sprintf(", %d clients", s.Clients)
	}
	if s.Rate > 0 {
		text += fmt.Sprintf(", %g a second", s.Rate)
	}
	return text + fmt.Sprintf(", warm-up %v, %.1f s measured", s.WarmUp, r.Seconds)
}
