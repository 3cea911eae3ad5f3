package app

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// progress shows how a run goes: a bar on a terminal, elsewhere a line now and then.
type progress struct {
	to       io.Writer
	terminal bool
	title    string

	phase string
	bar   *progressbar.ProgressBar
	next  time.Time // of the next line
}

// lineInterval is how often a line is written where there is no terminal.
const lineInterval = 10 * time.Second

func newProgress(to io.Writer, terminal bool, title string) *progress {
	return &progress{to: to, terminal: terminal, title: title, next: time.Now().Add(lineInterval)}
}

// watch is called each second, by one goroutine.
func (p *progress) watch(phase scenario.Phase, sample measure.Sample) {
	text := fmt.Sprintf("%s, %s: %s", p.title, phase.Name, rates(sample))
	if !p.terminal {
		if now := time.Now(); now.After(p.next) {
			p.next = now.Add(lineInterval)
			_, _ = fmt.Fprintln(p.to, text) // nobody may be reading
		}
		return
	}
	if p.bar == nil || p.phase != phase.Name {
		p.end()
		p.phase = phase.Name
		most := phase.Of.Milliseconds()
		if most <= 0 {
			most = -1 // a spinner
		}
		p.bar = progressbar.NewOptions64(most, progressbar.OptionSetWriter(p.to), progressbar.OptionSetWidth(12),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true))
	}
	p.bar.Describe(text)
	if phase.Of > 0 {
		_ = p.bar.Set64(min(phase.Since, phase.Of).Milliseconds()) // it is within the bar
	} else {
		_ = p.bar.Add64(1)
	}
}

// end leaves the bar as it is.
func (p *progress) end() {
	if p.bar != nil {
		_, _ = fmt.Fprintln(p.to)
		p.bar = nil
	}
}

// rates tells what happened in the last second; of latencies the 50th and the 99th percentile.
func rates(sample measure.Sample) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(sample.Rates)) {
		if rate := sample.Rates[name]; rate > 0 {
			parts = append(parts, fmt.Sprintf("%.0f %s/s", rate, strings.ReplaceAll(name, "_", " ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sample.P99)) {
		parts = append(parts, fmt.Sprintf("%s %.1f/%.1f ms", strings.ReplaceAll(name, "_", " "), sample.P50[name], sample.P99[name]))
	}
	if len(parts) == 0 {
		return "quiet"
	}
	return strings.Join(parts, ", ")
}
