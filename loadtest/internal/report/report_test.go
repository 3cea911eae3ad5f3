package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// result is one run with figures; its name tries to leave the page.
func result(t *testing.T, name string, figures map[string]float64) *scenario.Result {
	t.Helper()
	settings, err := scenario.Defaults(scenario.Call)
	require.NoError(t, err)
	settings.Name = name
	r := &scenario.Result{
		Target: "signalbox", Driver: "native", Settings: settings, Started: time.Unix(1790000000, 0).UTC(), Seconds: 3, Passed: true,
		Counts: map[string]int64{"calls": 300}, Figures: figures,
		Latencies: map[string]measure.Latency{"hop": {
			Count: 3, P50: 1, P99: 3, Max: 4, Curve: []measure.Point{{Percentile: 0, Millis: 0.5}, {Percentile: 50, Millis: 1}, {Percentile: 100, Millis: 4}},
		}},
		Processes:  []scenario.ProcessUse{{Name: "gateway-1", Kind: measure.Server, CPU: 1, CoresUsed: 0.3, BaseMiB: 20, EndMiB: 25}},
		Violations: map[oracle.Rule]int64{},
	}
	for i := range 3 {
		r.Samples = append(r.Samples, measure.Sample{
			Seconds: float64(i + 1), Rates: map[string]float64{"calls": 100}, P50: map[string]float64{"hop": 1}, P99: map[string]float64{"hop": 3},
			CPU: map[string]float64{"gateway-1": 0.3}, Memory: map[string]float64{"gateway-1": 22},
		})
	}
	return r
}

func TestJSONIsReadBack(t *testing.T) {
	first, second := result(t, "first", map[string]float64{"x": 1}), result(t, "second", map[string]float64{"x": 2})
	var text bytes.Buffer
	require.NoError(t, WriteJSON(&text, first))
	require.NoError(t, WriteJSON(&text, second))
	results, err := ReadJSON(&text)
	require.NoError(t, err)
	require.Equal(t, []*scenario.Result{first, second}, results)
	_, err = ReadJSON(strings.NewReader("{"))
	require.Error(t, err)
}

// The page needs nothing from elsewhere and lets no name out of its place.
func TestHTMLStandsAlone(t *testing.T) {
	bad := result(t, `<script>alert("x")</script>`, map[string]float64{"hop_p50_ms": 1})
	bad.Passed, bad.Reasons = false, []string{"3 violations: lost"}
	longer := result(t, "other", map[string]float64{"hop_p50_ms": 2})
	longer.Samples = append(longer.Samples, longer.Samples[0])
	var page bytes.Buffer
	require.NoError(t, WriteHTML(&page, []*scenario.Result{bad, longer}))
	text := page.String()
	require.NotContains(t, text, "<script")
	require.Contains(t, text, "3 violations: lost")
	require.GreaterOrEqual(t, strings.Count(text, "<svg"), 7, "rates, p99, percentiles, and CPU and memory of each run")
	addresses := regexp.MustCompile(`(?i)(?:src|href|url)\s*[=(]\s*["']?[^#"'\s]|https?://[^"'\s<]*`).FindAllString(text, -1)
	for _, address := range addresses {
		require.True(t, strings.HasPrefix(address, "http://www.w3.org/"), "%s: only names of XML namespaces look like addresses", address)
	}
}

func TestTextTellsWhatIsWrong(t *testing.T) {
	r := result(t, "call", map[string]float64{"calls_per_second": 100})
	r.Passed, r.Reasons, r.Examples = false, []string{"1 violations: lost"}, []oracle.Violation{{Rule: oracle.Lost, Text: "room 1"}}
	r.Errors = map[string]int64{"EOF": 4}
	var text bytes.Buffer
	require.NoError(t, WriteText(&text, r))
	for _, want := range []string{"NOT PASSED: 1 violations: lost", "lost: room 1", "error, 4 times: EOF", "calls per second", "gateway-1"} {
		require.Contains(t, text.String(), want)
	}
}

func TestComparison(t *testing.T) {
	runs := func(values ...float64) []*scenario.Result {
		var results []*scenario.Result
		for _, value := range values {
			results = append(results, result(t, "call", map[string]float64{"cost": value, "rate": 1 / value}))
		}
		return results
	}
	zero := 0.0
	outcome := func(change func(*Outcome)) Comparison {
		o := &Outcome{
			Row: "row", Peer: "peer",
			Figures: []Figure{
				{Title: "cost", Figure: "cost", AtMost: map[string]float64{"peer": 0.5}},
				{Title: "rate", Figure: "rate", AtLeast: map[string]float64{"peer": 2}},
			},
			// The medians are 2 and 4; the means would be worse.
			Ours: runs(1, 2, 90), Theirs: runs(4, 3, 5),
		}
		if change != nil {
			change(o)
		}
		return Comparison{o}
	}
	for _, tc := range []struct {
		name   string
		change func(*Outcome)
		met    bool
	}{
		{"Met", nil, true},
		{"CostsTooMuch", func(o *Outcome) { o.Ours = runs(1, 2.1, 90) }, false},
		{"TooSlow", func(o *Outcome) { o.Figures = o.Figures[1:]; o.Ours = runs(2.1, 2.1, 2.1) }, false},
		{"NoFigureOfTheirs", func(o *Outcome) { o.Theirs = nil }, false},
		{"NoBoundForThisPeer", func(o *Outcome) { o.Peer = "other"; o.Ours = runs(100) }, true},
		{"OursHasNotPassed", func(o *Outcome) { o.Ours[0].Passed = false }, false},
		{"TheirsHasNotPassed", func(o *Outcome) { o.Theirs[0].Passed = false }, true},
		{"EachOfOursWithinItsOwnBound", func(o *Outcome) {
			o.Figures = []Figure{{Figure: "wrong", OursAtMost: &zero}}
			for _, r := range o.Ours {
				r.Figures["wrong"] = 0
			}
		}, true},
		// What was not looked at is not within a bound.
		{"OneOfOursHasNotGotTheFigure", func(o *Outcome) {
			o.Figures = []Figure{{Figure: "wrong", OursAtMost: &zero}}
			o.Ours[0].Figures["wrong"], o.Ours[2].Figures["wrong"] = 0, 0
		}, false},
		{"OneOfOursBeyondItsOwnBound", func(o *Outcome) {
			o.Figures = []Figure{{Figure: "wrong", OursAtMost: &zero}}
			for i, r := range o.Ours {
				r.Figures["wrong"] = float64(i)
			}
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := outcome(tc.change)
			require.Equal(t, tc.met, len(c.Failures()) == 0, c.Failures())
			var text bytes.Buffer
			require.NoError(t, c.WriteText(&text))
			require.Equal(t, tc.name == "OursHasNotPassed" || tc.name == "TheirsHasNotPassed", strings.Contains(text.String(), "not passed:"))
		})
	}
	ratio := outcome(nil)[0].Ratio("cost")
	require.Equal(t, Ratio{Ours: 2, Theirs: 4, Of: 0.5, Least: 0.25, Greatest: 18, Known: true}, ratio)
	require.Len(t, outcome(nil).LastRound(), 2)
	both := append(outcome(nil), outcome(nil)...)
	both[1].Theirs = both[0].Theirs
	require.Len(t, both.LastRound(), 3, "what outcomes have in common is told once")
}

// A guard holds the median of the ratios' sides to a tolerance in the direction that is worse, and says which is beyond it.
func TestGuard(t *testing.T) {
	runs := func(cost, rate float64) []*scenario.Result {
		return []*scenario.Result{result(t, "call", map[string]float64{"cost": cost, "rate": rate, "hop": cost})}
	}
	for _, tc := range []struct {
		name       string
		cost, rate float64 // of ours; those of the base are 10
		want       []string
	}{
		{"Same", 10, 10, nil},
		{"Better", 1, 100, nil},
		{"AtTheTolerance", 12, 10 / 1.2, nil},
		{"CostsMore", 12.1, 10, []string{"row: what it costs is 1.21 of theirs, wanted at most 1.20"}},
		{"DoesLess", 10, 8.2, []string{"row: what is done is 0.82 of theirs, wanted at least 0.83"}},
		{"Both", 30, 2, []string{"what it costs is 3.00", "what is done is 0.20"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &Outcome{Row: "row", Peer: "base", Ours: runs(tc.cost, tc.rate), Theirs: runs(10, 10), Figures: []Figure{
				{Title: "what it costs", Figure: "cost", Guard: Cost}, {Title: "what is done", Figure: "rate", Guard: Rate}, {Title: "told only", Figure: "hop"},
			}}
			for i := range o.Figures {
				require.NoError(t, o.Figures[i].Tolerate("base", 1.2))
			}
			failures := Comparison{o}.Failures()
			require.Len(t, failures, len(tc.want), failures)
			for i, want := range tc.want {
				require.Contains(t, failures[i], want)
			}
			o.Ours[0].Passed, o.Ours[0].Reasons = false, []string{"1 violations: lost"}
			require.Contains(t, Comparison{o}.Failures(), "row, round 1 of ours: 1 violations: lost")
		})
	}
	o := &Outcome{Row: "row", Peer: "base", Ours: runs(1, 1), Figures: []Figure{{Title: "what it costs", Figure: "cost", Guard: Cost}}}
	require.NoError(t, o.Figures[0].Tolerate("base", 1.2))
	require.Equal(t, []string{"row: what it costs is not known of both sides"}, Comparison{o}.Failures())
	f := Figure{Figure: "x", Guard: "speed"}
	require.ErrorContains(t, f.Tolerate("base", 1.2), "speed")
}
