package chaos

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

var update = flag.Bool("update", false, "write the results of "+envResults+" into docs/guarantees.md")

const (
	guarantees  = "../../docs/guarantees.md"
	beginFaults = "<!-- faults: begin -->\n"
	endFaults   = "<!-- faults: end -->\n"
)

// The table of the docs has a row for each fault, with what is written here and the figures of a run. `make chaos-docs`
// runs all faults and writes it; with -update alone the texts are renewed, and the figures stay.
func TestGuaranteesTable(t *testing.T) {
	text, err := os.ReadFile(guarantees)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), beginFaults)
	require.True(t, found)
	section, after, found := strings.Cut(rest, endFaults)
	require.True(t, found)

	machine, measured := readSection(section)
	if *update {
		machine = updateMeasured(t, machine, measured)
		require.NoError(t, os.WriteFile(guarantees, []byte(before+beginFaults+faultTable(machine, measured)+endFaults+after), 0o600))
		return
	}
	require.Equal(t, faultTable(machine, measured), section, "run `go test ./test/chaos -run TestGuaranteesTable -update`")
	for _, f := range faults() {
		require.NotEmpty(t, measured[f.name], "%s has not been measured: run `make chaos-docs`", f.name)
	}
}

// row is one of the table: its command, three columns of text and the figures.
var row = regexp.MustCompile("(?m)^\\| `make chaos FAULT=([a-z0-9-]+)` \\|.*\\| ([^|]*) \\|$")

// readSection reads what was measured from a section of the docs.
func readSection(section string) (machine string, measured map[string]string) {
	machine, _, _ = strings.Cut(section, "\n\n|")
	measured = make(map[string]string)
	for _, found := range row.FindAllStringSubmatch(section, -1) {
		measured[found[1]] = strings.TrimSpace(found[2])
	}
	return strings.TrimSpace(machine), measured
}

// faultTable writes the section.
func faultTable(machine string, measured map[string]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n| command | fault | expected | measured |\n|---|---|---|---|\n", machine)
	for _, f := range faults() {
		fmt.Fprintf(&text, "| `make chaos FAULT=%s` | %s | %s | %s |\n", f.name, f.what, f.expect, measured[f.name])
	}
	return text.String()
}

// updateMeasured takes the results of a run, if there is one, and says what it was measured on.
func updateMeasured(t *testing.T, machine string, measured map[string]string) string {
	t.Helper()
	path := os.Getenv(envResults)
	if path == "" {
		return machine
	}
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	for decoder := json.NewDecoder(file); decoder.More(); {
		var r result
		require.NoError(t, decoder.Decode(&r))
		if !r.Passed {
			t.Errorf("%s failed: its figures are none for the docs", r.Fault)
			continue
		}
		measured[r.Fault] = cell(r)
	}
	return fmt.Sprintf("Measured on a machine of %d cores, %s/%s, %s, Redis %s, all processes of the cluster and its clients on it.",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), redistest.Single(t).Info("redis_version"))
}

// Figures that are told together at the end, and those that need not be told.
var (
	hidden   = []string{"clients", "messages", "acknowledged", "lost", "double", "told", "errors_final"}
	zeroHide = []string{"out_of_order", "over_capacity", "ghosts", "seats_left", "undelivered", "reaped", "resyncs", "connections_lost", "reconnects", "latency_during_p99"}
)

// cell puts figures into words.
func cell(r result) string {
	texts := make(map[string]string, len(r.Figures))
	for _, figure := range r.Figures {
		texts[figure[0]] = figure[1]
	}
	var parts []string
	for _, figure := range r.Figures {
		name, text := figure[0], figure[1]
		base, isSpread := strings.CutSuffix(name, "_p50")
		switch {
		case slices.Contains(hidden, name), slices.Contains(zeroHide, name) && (text == "0" || text == "0s"):
		case strings.HasSuffix(name, "_max") && texts[strings.TrimSuffix(name, "_max")+"_p50"] != "":
		case strings.HasSuffix(name, "_p99") && texts[strings.TrimSuffix(name, "_p99")+"_max"] != "":
		case isSpread && texts[base+"_max"] != "":
			parts = append(parts, fmt.Sprintf("%s %s, %s, %s", words(base), text, texts[base+"_p99"], texts[base+"_max"]))
		default:
			parts = append(parts, words(name)+" "+strings.NewReplacer(":", " ", ",", ", ").Replace(text))
		}
	}
	parts = append(parts, fmt.Sprintf("**lost %s, double %s** of %s", texts["lost"], texts["double"], texts["acknowledged"]))
	return strings.Join(parts, "; ")
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

func TestCell(t *testing.T) {
	f := newFigures("some")
	f.spread("resume", nil)
	f.set("resume_p50", "1s")
	f.set("resume_p99", "2s")
	f.set("resume_max", "3s")
	f.tally("errors", map[string]int{"left peer": 2, "lost": 1})
	f.count("reaped", 0)
	for name, n := range map[string]int{"acknowledged": 10, "lost": 0, "double": 0} {
		f.count(name, n)
	}
	r := result{Fault: f.fault}
	for _, name := range f.names {
		r.Figures = append(r.Figures, [2]string{name, f.texts[name]})
	}
	require.Equal(t, "resume none; resume 1s, 2s, 3s; errors left/peer 2, lost 1; **lost 0, double 0** of 10", cell(r))
	_, measured := readSection("On a machine.\n\n| command | fault | expected | measured |\n|---|---|---|---|\n| `make chaos FAULT=some` | a | b | " + cell(r) + " |\n")
	require.Equal(t, map[string]string{"some": cell(r)}, measured)
}
