package dashboards_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/dashboards"
)

var (
	boldName   = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	panelName  = regexp.MustCompile(`\*([A-Z][^*]*)\*`)
	logMessage = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
)

// Whoever is woken at night finds what the page for the first five minutes names.
func TestFirstFiveMinutes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "first-five-minutes.md"))
	require.NoError(t, err)
	page := string(text)
	boards, places := make(map[string]bool), make(map[string]bool)
	for _, d := range dashboards.All() {
		boards[d.Title] = true
		for _, row := range d.Rows {
			places[row.Title] = true
			for _, p := range row.Panels {
				short, _, _ := strings.Cut(p.Title, ",")
				places[p.Title], places[short] = true, true
			}
		}
	}
	found := boldName.FindAllStringSubmatch(page, -1)
	require.Greater(t, len(found), 3)
	for _, name := range found {
		require.True(t, boards[name[1]], "there is no dashboard %s", name[1])
	}
	panels := panelName.FindAllStringSubmatch(boldName.ReplaceAllString(page, ""), -1)
	require.Greater(t, len(panels), 15)
	for _, name := range panels {
		require.True(t, places[name[1]], "there is no panel or row %s", name[1])
	}
	lines := page[strings.Index(page, "## Minute 3"):strings.Index(page, "## Minute 4")]
	messages := logMessage.FindAllStringSubmatch(lines, -1)
	require.Greater(t, len(messages), 5)
	for _, message := range messages {
		out, err := exec.Command("grep", "-rlF", "--include=*.go", `"`+message[1]+`"`, filepath.Join("..", "..", "pkg"), filepath.Join("..", "..", "services")).Output()
		require.NoError(t, err, "no line of the log is %q", message[1])
		require.NotEmpty(t, out)
	}
}
