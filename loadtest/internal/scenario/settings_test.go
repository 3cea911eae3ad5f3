package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/scenarios"
)

func TestScenarioFiles(t *testing.T) {
	entries, err := scenarios.Files.ReadDir(".")
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	kinds := map[string]bool{}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			text, err := scenarios.Files.ReadFile(entry.Name())
			require.NoError(t, err)
			s, err := Decode(strings.NewReader(string(text)))
			require.NoError(t, err)
			require.Equal(t, strings.TrimSuffix(entry.Name(), ".yaml"), s.Name, "a file is named as its scenario")
			kinds[s.Kind] = true
		})
	}
	require.Len(t, kinds, len(Kinds), "each kind has a file")
}

func TestDecode(t *testing.T) {
	s, err := Decode(strings.NewReader("kind: call\nrate: 100\ngap: 5ms\n"))
	require.NoError(t, err)
	want, err := Defaults(Call)
	require.NoError(t, err)
	want.Rate, want.Gap = 100, 5*time.Millisecond
	require.Equal(t, want, s)
	for _, tc := range []struct{ name, text, want string }{
		{"NoKind", "rate: 3", "no scenario of kind"},
		{"UnknownKey", "kind: call\nrat: 3", "rat"},
		{"WrongType", "kind: call\nrate: many", "many"},
		{"BelowRange", "kind: call\nclients: 1", "clients"},
		{"AboveRange", "kind: idle\nclients: 1000000000", "clients"},
		{"Endless", "kind: soak\nduration: 1000h", "duration"},
		{"CallWithOtherCapacity", "kind: call\ncapacity: 3", "capacity"},
		{"CrowdWithoutSeats", "kind: fanout\nclients: 100\ncapacity: 50", "capacity"},
		{"MixedWithoutRate", "kind: mixed\nrate: 0", "rate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Decode(strings.NewReader(tc.text))
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// Every pair of a call has two gateways, and each pair of gateways has calls.
func TestPartiesAreOnDifferentGateways(t *testing.T) {
	for _, nodes := range []int{2, 3, 8} {
		c := &caller{run: &run{opts: Options{Gateways: make([]string, nodes)}}}
		pairs := map[[2]int]bool{}
		for n := range nodes * nodes * 2 {
			a, b := c.nodeOf(n, 0)%nodes, c.nodeOf(n, 1)%nodes
			require.NotEqual(t, a, b)
			pairs[[2]int{a, b}] = true
		}
		require.Len(t, pairs, nodes*(nodes-1))
	}
}

func TestDay(t *testing.T) {
	rate := day(100, time.Hour)
	require.InDelta(t, 25, rate(0), 0.1)
	require.InDelta(t, 100, rate(30*time.Minute), 0.1)
	require.InDelta(t, 25, rate(time.Hour), 0.1)
}
