package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// figures are what one fault measured, in order.
type figures struct {
	fault string
	redis string
	names []string
	texts map[string]string
}

func newFigures(fault string) *figures {
	return &figures{fault: fault, texts: make(map[string]string)}
}

// set adds a figure, or replaces it.
func (f *figures) set(name, text string) {
	if _, known := f.texts[name]; !known {
		f.names = append(f.names, name)
	}
	f.texts[name] = text
}

func (f *figures) count(name string, n int) { f.set(name, fmt.Sprint(n)) }

func (f *figures) duration(name string, d time.Duration) { f.set(name, short(d)) }

// spread gives the middle, the 99th of a hundred, and the most.
func (f *figures) spread(name string, times []time.Duration) {
	if len(times) == 0 {
		f.set(name, "none")
		return
	}
	f.set(name+"_p50", short(quantile(times, 0.5)))
	f.set(name+"_p99", short(quantile(times, 0.99)))
	f.set(name+"_max", short(quantile(times, 1)))
}

func (f *figures) megabytes(name string, bytes int64) { f.set(name, fmt.Sprintf("%dMB", bytes>>20)) }

// tally gives counts by name, as a:1,b:2.
func (f *figures) tally(name string, counts map[string]int) {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s:%d", strings.ReplaceAll(key, " ", "/"), counts[key]))
	}
	if len(parts) == 0 {
		parts = []string{"none"}
	}
	f.set(name, strings.Join(parts, ","))
}

// short rounds a time to what matters of it.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// line is the one line of a fault.
func (f *figures) line() string {
	var text strings.Builder
	fmt.Fprintf(&text, "chaos fault=%s redis=%s", f.fault, f.redis)
	for _, name := range f.names {
		fmt.Fprintf(&text, " %s=%s", name, f.texts[name])
	}
	return text.String()
}

// result is a fault's figures in the file of results.
type result struct {
	Fault   string
	Passed  bool
	Seconds float64
	Figures [][2]string
}

// report prints the line, and adds it to the file of results where there is one.
func (f *figures) report(t *testing.T, took time.Duration) {
	t.Helper()
	fmt.Println(f.line()) // also without -v
	path := os.Getenv(envResults)
	if path == "" {
		return
	}
	r := result{Fault: f.fault, Passed: !t.Failed(), Seconds: took.Seconds()}
	for _, name := range f.names {
		r.Figures = append(r.Figures, [2]string{name, f.texts[name]})
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Write(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
}
