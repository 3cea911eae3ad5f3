package measure

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Sampler reads all processes of a run, and what its recorder has, once an interval.
type Sampler struct {
	processes []Process
	recorder  *Recorder
	interval  time.Duration
	watch     func(Sample)

	start   time.Time
	samples []Sample // owned by Run until it has returned
}

// Sample is one interval of a run.
type Sample struct {
	Seconds float64            `json:"t"`     // since the start
	Rates   map[string]float64 `json:"rates"` // a second, by counter
	P50     map[string]float64 `json:"p50_ms,omitempty"`
	P99     map[string]float64 `json:"p99_ms,omitempty"`
	CPU     map[string]float64 `json:"cpu,omitempty"`        // cores, by process
	Memory  map[string]float64 `json:"memory_mib,omitempty"` // by process
}

// NewSampler makes a sampler of the servers and of this program. Watch, which may be nil, is called with each sample.
func NewSampler(processes []Process, recorder *Recorder, interval time.Duration, watch func(Sample)) *Sampler {
	all := append([]Process{{Name: "loadtest", Kind: Load, Source: PID(os.Getpid())}}, processes...)
	return &Sampler{processes: all, recorder: recorder, interval: interval, watch: watch}
}

// Run samples until ctx ends.
func (s *Sampler) Run(ctx context.Context) {
	s.start = time.Now()
	before, last := s.recorder.Totals(), s.read(ctx)
	at := s.start
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, totals, usage := time.Now(), s.recorder.Totals(), s.read(ctx)
		seconds := now.Sub(at).Seconds()
		sample := Sample{
			Seconds: now.Sub(s.start).Seconds(),
			Rates:   map[string]float64{}, P50: map[string]float64{}, P99: map[string]float64{},
			CPU: map[string]float64{}, Memory: map[string]float64{},
		}
		for name, total := range totals {
			sample.Rates[name] = float64(total-before[name]) / seconds
		}
		names, timers := s.recorder.Timers()
		for _, name := range names {
			if p50, p99 := timers[name].Interval(); p99 > 0 {
				sample.P50[name], sample.P99[name] = p50, p99
			}
		}
		for name, u := range usage {
			sample.Memory[name] = float64(u.Memory) / (1 << 20)
			if then, ok := last[name]; ok {
				sample.CPU[name] = (u.CPU - then.CPU).Seconds() / seconds
			}
		}
		at, before, last = now, totals, usage
		s.samples = append(s.samples, sample)
		if s.watch != nil {
			s.watch(sample)
		}
	}
}

// Samples gives what Run has taken, once it has returned.
func (s *Sampler) Samples() []Sample { return s.samples }

// glancer is a source whose CPU and memory, all that a sample has, cost less to read than the rest.
type glancer interface {
	Glance(ctx context.Context) (Usage, error)
}

var _ glancer = RedisServer{}

// read leaves out a process that does not answer: its line has a hole there.
func (s *Sampler) read(ctx context.Context) map[string]Usage {
	usage := make(map[string]Usage, len(s.processes))
	for _, p := range s.processes {
		read := p.Source.Read
		if g, ok := p.Source.(glancer); ok {
			read = g.Glance
		}
		if u, err := read(ctx); err == nil {
			usage[p.Name] = u
		}
	}
	return usage
}

// Weigh reads every process now; all of them have to answer.
func (s *Sampler) Weigh(ctx context.Context) (map[string]Usage, error) {
	usage := make(map[string]Usage, len(s.processes))
	for _, p := range s.processes {
		u, err := p.Source.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("usage of %s: %w", p.Name, err)
		}
		usage[p.Name] = u
	}
	return usage, nil
}

// Files counts the open files of those processes of which the kernel tells.
func (s *Sampler) Files() map[string]int {
	files := map[string]int{}
	for _, p := range s.processes {
		if counted, ok := p.Source.(interface{ Files() (int, error) }); ok {
			if n, err := counted.Files(); err == nil {
				files[p.Name] = n
			}
		}
	}
	return files
}

// Processes are those that are sampled.
func (s *Sampler) Processes() []Process { return s.processes }
