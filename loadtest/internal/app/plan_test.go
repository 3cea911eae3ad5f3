package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/app"
)

// What is committed: the constants, and the page with what follows from them.
const (
	constantsFile = "../../plan/constants.json"
	capacityPage  = "../../../docs/capacity.md"
)

func planned(t *testing.T, args ...string) (string, error) {
	t.Helper()
	constants, err := os.ReadFile(constantsFile)
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	err = app.Run(t.Context(), append([]string{"plan"}, args...), constants, &stdout, &stderr)
	return stdout.String(), err
}

// The page shows what the command prints: `make loadtest-plan-docs` writes it anew.
func TestCapacityPageIsUpToDate(t *testing.T) {
	page, err := os.ReadFile(capacityPage)
	require.NoError(t, err)
	for _, args := range [][]string{nil, {"-costs"}} {
		table, err := planned(t, args...)
		require.NoError(t, err)
		require.Contains(t, string(page), table, "run `make loadtest-plan-docs`")
	}
	require.Contains(t, string(page), "foretold over measured", "run `make loadtest-plan-measure`")
}

func TestPlan(t *testing.T) {
	text, err := planned(t, "-connections", "5000,50000", "-calls-total", "7", "-chat-total", "0", "-constants", constantsFile)
	require.NoError(t, err)
	for _, want := range []string{"| 5,000", "| 50,000", "7, 154", "**gateways**", "**Redis primaries**", "open files a gateway", "Measured: "} {
		require.Contains(t, text, want)
	}
	cheap, err := planned(t, "-connections", "5000,50000", "-pace", "saturated")
	require.NoError(t, err)
	require.NotEqual(t, text, cheap)
}

// One run is foretold, but is not enough to take constants from.
func TestPlanOfResults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.json")
	var out bytes.Buffer
	require.NoError(t, app.Run(t.Context(), append(quick("call", "-clients", "8", "-rate", "20"), "-json", file), nil, &out, &out))
	text, err := planned(t, "-check", file, file)
	require.NoError(t, err)
	require.Contains(t, text, "foretold over measured")
	require.Contains(t, text, "call, 2 nodes, 8 clients, 20 a second")
	_, err = planned(t, "-from", file, file, "-connections", "100")
	require.ErrorContains(t, err, "loadtest idle -seats -capacity 20")
}

func TestPlanWritesPartsOfAPage(t *testing.T) {
	dir := t.TempDir()
	page, constants := filepath.Join(dir, "page.md"), filepath.Join(dir, "constants.json")
	const head, tail = "# Page\n<!-- plan needs -->\n", "<!-- plan end -->\nthe rest\n"
	require.NoError(t, os.WriteFile(page, []byte(head+"old\n"+tail), 0o600))
	for range 2 { // the second time there is nothing to change
		_, err := planned(t, "-insert", page, "-write", constants)
		require.NoError(t, err)
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		table, err := planned(t)
		require.NoError(t, err)
		require.Equal(t, head+"\n"+table+"\n"+tail, string(text))
	}
	written, err := os.ReadFile(constants)
	require.NoError(t, err)
	committed, err := os.ReadFile(constantsFile)
	require.NoError(t, err)
	require.Equal(t, string(committed), string(written))

	require.NoError(t, os.WriteFile(page, []byte(head), 0o600))
	_, err = planned(t, "-insert", page)
	require.ErrorContains(t, err, "has no end")
	require.NoError(t, os.WriteFile(page, []byte("nothing"), 0o600))
	_, err = planned(t, "-insert", page)
	require.ErrorContains(t, err, "has no part")
}

func TestPlanCommandLine(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"NoNumber", []string{"-connections", "many"}, "many"},
		{"OutOfRange", []string{"-in-rooms", "2"}, "in-rooms"},
		{"UnknownPace", []string{"-pace", "gallop"}, "pace"},
		{"TwoSources", []string{"-measure", "-constants", "x"}, "name one"},
		{"Rest", []string{"-costs", "please"}, "please"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := planned(t, tc.args...)
			var usage *app.UsageError
			require.ErrorAs(t, err, &usage)
			require.ErrorContains(t, err, tc.want)
		})
	}
	var out bytes.Buffer
	err := app.Run(t.Context(), []string{"plan"}, []byte("{}"), &out, &out)
	require.ErrorContains(t, err, "make loadtest-plan-measure")
}
