package app_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/configdoc"
	"github.com/signalbox-rtc/signalbox/internal/testnames"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

var update = flag.Bool("update", false, "write the generated parts instead of comparing them")

const root = "../../.."

// page is where everything about the relay is.
var page = filepath.Join(root, "docs", "relay.md")

// TestPage holds the generated parts of the page against what the program says.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	got := string(text)
	for name, made := range map[string]string{
		"metrics":       metricsTable(t),
		"configuration": strings.ReplaceAll(configdoc.Reference(t, reflect.TypeFor[app.Config](), filepath.Join(root, "pkg", "auth")), "\n## ", "\n### "),
	} {
		begin, end := "<!-- "+name+": go generate ./services/relay/app -->\n", "<!-- end -->"
		before, rest, found := strings.Cut(got, begin)
		require.True(t, found, begin)
		_, after, found := strings.Cut(rest, end)
		require.True(t, found, end)
		got = before + begin + made + end + after
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(got), 0o644))
		return
	}
	require.Equal(t, string(text), got, "docs/relay.md is out of date: go generate ./services/relay/app")
}

// metricsTable lists the metrics of a relay with everything switched on.
func metricsTable(t *testing.T) string {
	t.Helper()
	c := app.Default()
	c.Listen.UDP, c.Listen.TCP, c.Listen.Operations = []string{"127.0.0.1:0"}, nil, "127.0.0.1:0"
	c.Relay.ExternalIP, c.Credentials.Secrets = []string{"127.0.0.1"}, []auth.Secret{secret}
	c.Announce.Enabled = true
	registry := telemetry.NewRegistry(telemetry.ReadBuild())
	r, err := app.Open(t.Context(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Registry: registry})
	require.NoError(t, err)
	defer r.Close()
	families, err := registry.Gather()
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("\n| metric | type | labels | what |\n|---|---|---|---|\n")
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "signalbox_relay_") {
			continue
		}
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+label.GetName()+"`")
		}
		slices.Sort(labels)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), strings.Join(labels, ", "), family.GetHelp())
	}
	b.WriteString("\n")
	return b.String()
}

// The page's table of what is refused names tests, and leaves none out.
func TestSecurityTableNamesTests(t *testing.T) {
	named, packages := testnames.Table(t, root, "docs/relay.md", "What is refused", 40)
	for test := range packages["pkg/relay"] {
		if strings.HasPrefix(test, "TestSecurity") {
			require.True(t, named["pkg/relay "+test], "%s is in no row", test)
		}
	}
}
