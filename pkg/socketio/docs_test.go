package socketio_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/testnames"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

const page = "../../docs/socketio.md"

// The page's table of bad input names tests, options and metrics. One that was renamed or taken away would leave a
// promise that nothing proves.
func TestBadInputTable(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Bad input\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|([^|]*)\|([^|]*)\| (Test\w+)(?:/(\w+))? \|$`).FindAllStringSubmatch(section, -1)
	require.Equal(t, strings.Count(section, "\n|")-2, len(rows), "a row that names no test")
	require.Greater(t, len(rows), 60)

	tests := testnames.In(t, ".")
	for _, row := range rows {
		input, limit, metric, test, sub := row[1], row[3], row[4], row[5], row[6]
		require.True(t, tests.Has(test, sub), "%s: no %s/%s", input, test, sub)
		for _, option := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(limit, -1) {
			requireOption(t, option[1])
		}
		if metric = strings.TrimSpace(metric); metric != "" {
			requireMetric(t, metric)
		}
	}
}

// Every option that bounds something has its place on the page.
func TestPageNamesEveryLimit(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	options := reflect.TypeFor[socketio.Options]()
	for field := range options.Fields() {
		switch field.Type.String() {
		case "time.Duration", "int":
			require.Contains(t, string(text), "`"+field.Name+"`")
		}
	}
}

func requireOption(t *testing.T, name string) {
	t.Helper()
	options := reflect.TypeFor[socketio.Options]()
	if inner, ok := strings.CutPrefix(name, "Packet."); ok {
		options, name = reflect.TypeFor[socketio.Limits](), inner
	}
	_, found := options.FieldByName(name)
	require.True(t, found, "no option %s", name)
}

// requireMetric looks for a label's value where those of its metric are declared.
func requireMetric(t *testing.T, metric string) {
	t.Helper()
	word, value, found := strings.Cut(metric, " `")
	require.True(t, found, metric)
	value = strings.TrimSuffix(value, "`")
	switch word {
	case "refused":
		require.Regexp(t, "^[0-5]$", value)
	case "upgrades":
		require.Contains(t, source(t, "upgrade.go"), `upgrades.WithLabelValues("`+value+`")`)
	case "invalid":
		require.Regexp(t, `FormatCode += "`+value+`"`, source(t, "error.go"))
	case "closed":
		require.Regexp(t, `Reason += "`+value+`"`, source(t, "error.go"))
	default:
		require.Fail(t, "an unknown metric", metric)
	}
}

func source(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}
