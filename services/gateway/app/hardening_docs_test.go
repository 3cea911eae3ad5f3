package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/testnames"
)

// The page's table of bad input names tests. One that was renamed or taken away would leave a promise that nothing
// proves.
func TestBadInputTableNamesTests(t *testing.T) {
	const root = "../../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/protocol.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Bad input\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| (.+) \| (.+) \| ([a-z/]+) (Test\w+)(?:/(\w+))? \|$`).FindAllStringSubmatch(section, -1)
	require.Equal(t, strings.Count(section, "\n|")-2, len(rows), "a row that names no test")
	require.Greater(t, len(rows), 40)

	packages := make(map[string]testnames.Functions)
	for _, row := range rows {
		folder, test, sub := row[3], row[4], row[5]
		if packages[folder] == nil {
			packages[folder] = testnames.In(t, filepath.Join(root, folder))
		}
		require.True(t, packages[folder].Has(test, sub), "%s: no %s/%s in %s", row[1], test, sub, folder)
	}
}
