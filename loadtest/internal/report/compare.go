package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// Figure is one figure that is compared, as ours over theirs, with the bounds by the name of the peer.
type Figure struct {
	Title   string             `yaml:"title"`
	Figure  string             `yaml:"figure"`
	AtMost  map[string]float64 `yaml:"at_most"`
	AtLeast map[string]float64 `yaml:"at_least"`
	// OursAtMost bounds our figure itself.
	OursAtMost *float64 `yaml:"ours_at_most"`
	// Guard is Cost or Rate for a figure that is not to get worse than that of an earlier revision; others are told only.
	Guard string `yaml:"guard"`
}

// What a figure with a guard is.
const (
	Cost = "cost" // the less, the better
	Rate = "rate" // the more, the better
)

// Tolerate bounds a figure with a guard by so many times that of a peer, or so many times less.
func (f *Figure) Tolerate(peer string, tolerance float64) error {
	switch f.Guard {
	case "":
	case Cost:
		f.AtMost = map[string]float64{peer: tolerance}
	case Rate:
		f.AtLeast = map[string]float64{peer: 1 / tolerance}
	default:
		return fmt.Errorf("figure %s: guard is %s or %s, not %q", f.Figure, Cost, Rate, f.Guard)
	}
	return nil
}

// Outcome is one row of a comparison.
type Outcome struct {
	Row, Peer    string
	Figures      []Figure
	Ours, Theirs []*scenario.Result // of the same rounds
}

// Comparison is all rows.
type Comparison []*Outcome

// Ratio is a figure's medians, ours over theirs, and the ratios of the rounds.
type Ratio struct {
	Ours, Theirs, Of float64
	Least, Greatest  float64
	Known            bool // both sides have the figure, and theirs is not 0
}

// Ratio works one figure out.
func (o *Outcome) Ratio(figure string) Ratio {
	values := func(results []*scenario.Result) []float64 {
		var all []float64
		for _, result := range results {
			if value, ok := result.Figures[figure]; ok {
				all = append(all, value)
			}
		}
		return all
	}
	ours, theirs := values(o.Ours), values(o.Theirs)
	ratio := Ratio{Ours: measure.Median(ours), Theirs: measure.Median(theirs)}
	if len(ours) == 0 || len(ours) != len(theirs) || ratio.Theirs == 0 {
		return ratio
	}
	ratio.Known, ratio.Of = true, ratio.Ours/ratio.Theirs
	for i := range ours {
		if theirs[i] == 0 {
			continue
		}
		of := ours[i] / theirs[i]
		if ratio.Least == 0 || of < ratio.Least {
			ratio.Least = of
		}
		ratio.Greatest = max(ratio.Greatest, of)
	}
	return ratio
}

// judge says what is wanted of a figure, and whether it is reached.
func (o *Outcome) judge(f Figure, ratio Ratio) (wanted string, met bool) {
	switch {
	case f.OursAtMost != nil:
		worst, known := o.most(f.Figure)
		return "ours at most " + number(*f.OursAtMost), known && worst <= *f.OursAtMost
	case f.AtMost[o.Peer] > 0:
		return fmt.Sprintf("at most %.2f", f.AtMost[o.Peer]), ratio.Known && ratio.Of <= f.AtMost[o.Peer]
	case f.AtLeast[o.Peer] > 0:
		return fmt.Sprintf("at least %.2f", f.AtLeast[o.Peer]), ratio.Known && ratio.Of >= f.AtLeast[o.Peer]
	}
	return "", true
}

// most is the worst of our runs: a bound on a figure of its own holds for each of them, and all of them have to have it.
func (o *Outcome) most(figure string) (worst float64, known bool) {
	for _, result := range o.Ours {
		value, ok := result.Figures[figure]
		if !ok {
			return 0, false
		}
		worst = max(worst, value)
	}
	return worst, len(o.Ours) > 0
}

// Line is one run's figures in one line.
func (o *Outcome) Line(result *scenario.Result) string {
	var parts []string
	for _, f := range o.Figures {
		parts = append(parts, words(f.Figure)+" "+number(result.Figures[f.Figure]))
	}
	if !result.Passed {
		parts = append(parts, "NOT PASSED: "+strings.Join(result.Reasons, "; "))
	}
	return strings.Join(parts, ", ")
}

// Failures says what is wrong: runs of ours that have not passed, and bounds that are missed. What a peer breaks is told in
// the table's notes and is no failure of ours.
func (c Comparison) Failures() []string {
	var failures []string
	for _, o := range c {
		for round, result := range o.Ours {
			if !result.Passed {
				failures = append(failures, fmt.Sprintf("%s, round %d of ours: %s", o.Row, round+1, strings.Join(result.Reasons, "; ")))
			}
		}
		for _, f := range o.Figures {
			ratio := o.Ratio(f.Figure)
			wanted, met := o.judge(f, ratio)
			worst, known := o.most(f.Figure)
			switch {
			case met:
			case f.OursAtMost != nil && !known:
				failures = append(failures, fmt.Sprintf("%s: %s is not known of every run of ours", o.Row, f.Title))
			case f.OursAtMost != nil:
				failures = append(failures, fmt.Sprintf("%s: %s is %s, %s", o.Row, f.Title, number(worst), wanted))
			case !ratio.Known:
				failures = append(failures, fmt.Sprintf("%s: %s is not known of both sides", o.Row, f.Title))
			default:
				failures = append(failures, fmt.Sprintf("%s: %s is %.2f of theirs, wanted %s", o.Row, f.Title, ratio.Of, wanted))
			}
		}
	}
	return failures
}

// LastRound gives the results of the last round of each row.
func (c Comparison) LastRound() []*scenario.Result {
	var results []*scenario.Result
	for _, o := range c {
		for _, side := range [][]*scenario.Result{o.Ours, o.Theirs} {
			// Outcomes of one row may have the other side in common.
			if len(side) > 0 && !slices.Contains(results, side[len(side)-1]) {
				results = append(results, side[len(side)-1])
			}
		}
	}
	return results
}

// WriteText writes the table of ratios, as Markdown, so that it can be kept.
func (c Comparison) WriteText(to io.Writer) error {
	var text strings.Builder
	table := NewTable(&text, []string{"figure", "peer", "rounds", "ours", "theirs", "ours over theirs", "of single rounds", "wanted", ""},
		0, 1, 6, 7, 8)
	var notes []string
	for _, o := range c {
		for _, f := range o.Figures {
			ratio := o.Ratio(f.Figure)
			wanted, met := o.judge(f, ratio)
			verdict, of, spread := "", "", ""
			if ratio.Known {
				of, spread = fmt.Sprintf("%.2f", ratio.Of), fmt.Sprintf("%.2f to %.2f", ratio.Least, ratio.Greatest)
			}
			if wanted != "" {
				verdict = "met"
				if !met {
					verdict = "MISSED"
				}
			}
			table.Line(f.Title, o.Peer, fmt.Sprint(len(o.Ours)), number(ratio.Ours), number(ratio.Theirs), of, spread, wanted, verdict)
		}
		for i, side := range [][]*scenario.Result{o.Ours, o.Theirs} {
			for round, result := range side {
				if !result.Passed {
					notes = append(notes, fmt.Sprintf("%s, round %d, %s: %s", o.Row, round+1, []string{"ours", "theirs"}[i], strings.Join(result.Reasons, "; ")))
				}
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(&text, "\nnot passed:", note)
	}
	_, err := io.WriteString(to, text.String())
	return err
}
