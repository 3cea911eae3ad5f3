package archtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the figures in README.md anew, from docs/comparison.md")

// The figures in the README are those that were measured last: each row has the figure and the peer of a row of docs/comparison.md.
func TestFiguresInTheReadme(t *testing.T) {
	const mark = "<!-- figures: go test ./internal/archtest -update -->\n"
	path := filepath.Join(root, "README.md")
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(readme), mark)
	require.True(t, found)
	table, after, found := strings.Cut(rest, "\n\n")
	require.True(t, found)
	measured, err := os.ReadFile(filepath.Join(root, "docs", "comparison.md"))
	require.NoError(t, err)

	rows := strings.Split(table, "\n")
	for i, row := range rows[2:] {
		cells := strings.Split(row, "|")
		require.Len(t, cells, 7, row)
		figure, peer := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		pattern := fmt.Sprintf(`(?m)^\| %s +\| %s +\| +\d+ +\| +(\S+) +\| +(\S+) +\| +(\S+) +\|`, regexp.QuoteMeta(figure), regexp.QuoteMeta(peer))
		values := regexp.MustCompile(pattern).FindSubmatch(measured)
		require.NotNil(t, values, "docs/comparison.md has no %s beside %s", figure, peer)
		rows[i+2] = fmt.Sprintf("| %s | %s | %s | %s | %s |", figure, peer, values[1], values[2], values[3])
	}
	want := before + mark + strings.Join(rows, "\n") + "\n\n" + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644)) //nolint:gosec // a page for everybody
		return
	}
	require.Equal(t, want, string(readme), "run go test ./internal/archtest -update")
}
