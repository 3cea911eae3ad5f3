package app

import (
	"fmt"
	"slices"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// row is one scenario that is run against both sides in turns.
type row struct {
	Name       string          `yaml:"name"`
	Scenario   string          `yaml:"scenario"`
	Peers      []string        `yaml:"peers"`       // all if empty
	NeedsFlags bool            `yaml:"needs_flags"` // of the gateways
	Self       *selfRow        `yaml:"self"`
	Figures    []report.Figure `yaml:"figures"`
}

// selfRow is for our servers in two sizes: of so many nodes, or on a Redis Cluster of so many primaries, each size of ours in
// its turn.
type selfRow struct {
	Nodes         int     `yaml:"nodes"` // those of the scenario if 0
	BaseNodes     int     `yaml:"base_nodes"`
	Primaries     []int   `yaml:"primaries"` // a single Redis if empty
	BasePrimaries int     `yaml:"base_primaries"`
	RateEach      float64 `yaml:"rate_each"` // units of work a second for each primary, in place of the scenario's for all
}

func readRows(text []byte) ([]row, error) {
	var rows []row
	if err := scenario.DecodeStrict(text, &rows); err != nil {
		return nil, fmt.Errorf("rows of comparisons: %w", err)
	}
	return rows, nil
}

// side is what a row runs in turns with others, and what came of it.
type side struct {
	name     string // in the names of its results' files
	against  string // the sizes, where ours are of several
	settings scenario.Settings
	options  options
	results  []*scenario.Result
}

// sides gives those of a row, ours of every size.
func (r row) sides(c *comparison, settings scenario.Settings) (ours []*side, theirs *side) {
	us := side{name: "ours", settings: settings, options: c.options}
	us.options.target.Name = c.us
	them := us
	them.name = "theirs"
	switch {
	case r.Self != nil && len(r.Self.Primaries) > 0:
		for _, n := range r.Self.Primaries {
			larger := us
			larger.name = fmt.Sprint("ours-", n)
			larger.against = fmt.Sprintf("%d primaries over %d", n, r.Self.BasePrimaries)
			larger.settings = r.Self.size(settings, r.Self.Nodes, n)
			ours = append(ours, &larger)
		}
		them.settings = r.Self.size(settings, r.Self.BaseNodes, r.Self.BasePrimaries)
		return ours, &them
	case r.Self != nil:
		us.settings = r.Self.size(settings, r.Self.Nodes, r.Self.BasePrimaries)
		them.settings = r.Self.size(settings, r.Self.BaseNodes, r.Self.BasePrimaries)
	case c.peer == base:
		them.options.target.Binaries.Gateway = c.base.gateway
	default:
		them.options.target.Name, them.options.flags = c.peer, nil
	}
	return []*side{&us}, &them
}

// size is a scenario on servers of one size.
func (s *selfRow) size(settings scenario.Settings, nodes, primaries int) scenario.Settings {
	if nodes > 0 {
		settings.Nodes = nodes
	}
	if primaries > 0 {
		settings.Primaries = primaries
	}
	if s.RateEach > 0 {
		settings.Rate = s.RateEach * float64(settings.Primaries)
	}
	return settings
}

// figures are a row's, whose titles say which sizes are compared.
func (s *side) figures(all []report.Figure) []report.Figure {
	all = slices.Clone(all)
	if s.against != "" {
		for i := range all {
			all[i].Title += ": " + s.against
		}
	}
	return all
}

// what says on which servers a run was.
func (s *side) what(result *scenario.Result) string {
	if s.settings.Primaries == 0 {
		return result.Target
	}
	return result.Target + ", " + s.settings.Servers()
}
