package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/testnames"
)

// Each threat names the test that shows what holds against it. One that was renamed or taken away would leave a promise that nothing proves.
func TestThreatsNameTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Threats\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| (.+) \| (.+) \| ([a-z/]+) (Test\w+)(?:/(\w+))? \|$`).FindAllStringSubmatch(section, -1)
	require.Equal(t, strings.Count(section, "\n|")-2, len(rows), "a row that names no test")
	require.Greater(t, len(rows), 40)
	packages := make(map[string]testnames.Functions)
	for _, row := range rows {
		threat, folder, test, sub := row[1], row[3], row[4], row[5]
		if packages[folder] == nil {
			packages[folder] = testnames.In(t, filepath.Join(root, folder))
		}
		require.True(t, packages[folder].Has(test, sub), "%s: no %s/%s in %s", threat, test, sub, folder)
	}
}
