package app_test

import (
	"crypto/sha256"
	"encoding/base32"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/signalctl/app"
)

var update = flag.Bool("update", false, "write docs/signalctl.md anew")

const pagePath = "../../../docs/signalctl.md"

// Every example of the page does what the page shows, and every command has one.
func TestPage(t *testing.T) {
	path, err := filepath.Abs(pagePath)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)

	p := newPage(t)
	written := p.run(t, withReference(t, string(text)))
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(written), 0o644))
		return
	}
	require.Equal(t, string(text), written, "go generate ./services/signalctl writes the page anew: read what has changed")
	for _, command := range leaves(app.Root()) {
		require.Contains(t, p.called, command, "the page has no example of it")
	}
}

// page is a cluster on which the page's examples run, and what stands on the page in place of what differs from run to run.
type page struct {
	cluster *cluster
	real    map[string]string // by what stands for it
	ids     map[string]string // what stands for it by what is real
	called  []string          // commands
}

func newPage(t *testing.T) *page {
	t.Helper()
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	t.Cleanup(gone.Close)
	change := func(c *gateway.Config) {
		c.Cluster.Beat = 100 * time.Millisecond
		c.Webhooks.AllowHTTP, c.Webhooks.AllowNetworks, c.Webhooks.Poll = true, []string{"127.0.0.0/8"}, 50*time.Millisecond
		c.Apps = append(c.Apps, auth.App{ID: "hooked", Keys: []auth.Key{{ID: "k", Algorithm: auth.HS256, Secret: appSecret}}, Webhooks: []auth.Webhook{{
			ID: "backend", URL: gone.URL, Secrets: []auth.Secret{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="},
		}}})
	}
	c := startWith(t, change, "gateway-1", "gateway-2")
	p := &page{cluster: c, real: make(map[string]string), ids: make(map[string]string)}

	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("example.secret", []byte(appSecret), 0o600))
	require.NoError(t, os.WriteFile("signalbox.yaml", []byte("redis: {addresses: ['"+c.redis.Addr()+"']}\ncluster: {partitions: 4}\ndemo: {enabled: true}\n"), 0o600))
	ada := c.join(t, 0, "ada", "lobby", nil)
	c.join(t, 1, "ben", "lobby", nil)
	p.stands("ADA4KQ7ZVXN2TMWPE6RJ", ada.Welcome().Session)
	var lobby struct{ Epoch string }
	c.run(t, "rooms", "get", "lobby", "--json").json(&lobby)
	p.stands("LOBBYEPOCHID", lobby.Epoch)
	for shown, real := range map[string]string{
		"http://10.0.0.101:8080": c.url(0), "http://10.0.0.102:8080": c.url(1), "10.0.0.100:6379": c.redis.Addr(),
		"10.0.0.101:8080": c.gateways[0].PublicAddr().String(), "10.0.0.102:8080": c.gateways[1].PublicAddr().String(),
	} {
		p.stands(shown, real)
	}
	for _, room := range []string{"hall", "stage"} {
		c.run(t, "-a", "hooked", "rooms", "create", room).ok()
	}
	var letters struct{ DeadLetters []struct{ ID string } }
	require.Eventually(t, func() bool {
		c.run(t, "-a", "hooked", "webhooks", "list", "--json").json(&letters)
		return len(letters.DeadLetters) == 2
	}, patience, 20*time.Millisecond)
	for _, letter := range letters.DeadLetters {
		p.stands(unixTimes.ReplaceAllString(letter.ID, exampleTime), letter.ID)
	}
	// Figures of the gateways come with their beats.
	require.Eventually(t, func() bool { return slices.Equal(p.sessions(t), []int{1, 1}) }, patience, 20*time.Millisecond)
	return p
}

// sessions are those of the gateways that the API knows.
func (p *page) sessions(t *testing.T) (counts []int) {
	t.Helper()
	var listed struct{ Nodes []struct{ Sessions int } }
	p.cluster.run(t, "nodes", "--json").json(&listed)
	for _, n := range listed.Nodes {
		counts = append(counts, n.Sessions)
	}
	return counts
}

// drained waits until the second gateway has ended.
func (p *page) drained(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", p.cluster.gateways[1].PublicAddr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil && len(p.sessions(t)) == 1
	}, patience, 20*time.Millisecond)
}

// stands has a word of the page stand for something. They are of the same length, mostly, so that columns stay.
func (p *page) stands(shown, real string) { p.real[shown], p.ids[real] = real, shown }

// withReference writes what the program says of its commands between the marks.
func withReference(t *testing.T, text string) string {
	t.Helper()
	const begin, end = "<!-- reference: written by go generate ./services/signalctl -->\n", "<!-- end of reference -->\n"
	before, rest, ok := strings.Cut(text, begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	var b strings.Builder
	root := app.Root()
	b.WriteString("Flags of every command:\n\n" + flagTable(root.PersistentFlags()))
	for _, command := range commands(root) {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s.\n", strings.TrimSuffix(command.UseLine(), " [flags]"), command.Short)
		if command.LocalNonPersistentFlags().HasAvailableFlags() {
			b.WriteString("\n" + flagTable(command.LocalNonPersistentFlags()))
		}
	}
	return before + begin + "\n" + b.String() + "\n" + end + after
}

func flagTable(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("| flag | |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		name, usage := pflag.UnquoteUsage(f)
		words := "--" + f.Name
		if f.Shorthand != "" {
			words = "-" + f.Shorthand + ", " + words
		}
		if name != "" {
			words += " " + strings.ToUpper(name)
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && d != "-1" {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", words, strings.ReplaceAll(usage, "|", `\|`))
	})
	return b.String()
}

// commands are those that do something themselves, in order.
func commands(c *cobra.Command) (found []*cobra.Command) {
	for _, below := range c.Commands() {
		if name := below.Name(); name == "help" || name == "completion" {
			continue
		}
		if below.HasSubCommands() {
			found = append(found, commands(below)...)
		} else {
			found = append(found, below)
		}
	}
	return found
}

func leaves(root *cobra.Command) (paths []string) {
	for _, c := range commands(root) {
		paths = append(paths, strings.TrimPrefix(c.CommandPath(), "signalctl "))
	}
	return paths
}

var consoles = regexp.MustCompile("(?s)```console\n(.*?)```")

// run carries out the examples, and gives the page with what they have written.
func (p *page) run(t *testing.T, text string) string {
	t.Helper()
	ran := 0
	written := consoles.ReplaceAllStringFunc(text, func(block string) string {
		var b strings.Builder
		b.WriteString("```console\n")
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ signalctl "); ok {
				b.WriteString(line)
				b.WriteString(p.call(t, command))
				ran++
			}
		}
		return b.String() + "```"
	})
	require.Greater(t, ran, 30)
	return written
}

// call runs one command line, and gives what stands on the page for its output.
func (p *page) call(t *testing.T, line string) string {
	t.Helper()
	args := words(t, line)
	for i, arg := range args {
		for shown, real := range p.real {
			if arg == shown || strings.HasPrefix(arg, shown+".") {
				args[i] = real + strings.TrimPrefix(arg, shown)
			}
		}
	}
	found, _, err := app.Root().Find(withoutFlags(args))
	require.NoError(t, err, line)
	p.called = append(p.called, strings.TrimPrefix(found.CommandPath(), "signalctl "))
	r := run(t, p.cluster.env(), "", args...)
	if found.Name() == "drain" {
		p.drained(t)
	}
	return p.masked(r.out+r.err, strings.HasPrefix(line, "doctor"))
}

func withoutFlags(args []string) []string {
	if args[0] == "-a" {
		return args[2:]
	}
	return args
}

// words takes a line apart as a shell does, as far as the page needs it: single quotes.
func words(t *testing.T, line string) (found []string) {
	t.Helper()
	word, quoted, begun := "", false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				found = append(found, word)
			}
			word, begun = "", false
		default:
			word, begun = word+string(r), true
		}
	}
	require.False(t, quoted, line)
	if begun {
		found = append(found, word)
	}
	return found
}

// exampleTime is 2026-11-26T12:00:00Z in milliseconds.
const exampleTime = "1795694400000"

var (
	randomIDs = regexp.MustCompile(`\b[A-Z2-7]{12,}\b`)
	signed    = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	instants  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	unixTimes = regexp.MustCompile(`\b\d{13}\b`)
	spans     = regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s)\b`)
	signs     = regexp.MustCompile(`[+-](\d+(?:\.\d+)?(?:ns|µs|ms|s)) from`)
	figures   = []struct {
		is    *regexp.Regexp
		stead string
	}{
		{regexp.MustCompile(`\d+\.\d+\.\d+, master`), "7.0.15, master"},
		{regexp.MustCompile(`\d+ MiB`), "2 MiB"},
		{regexp.MustCompile(`\d+ of \d+ known`), "30 of 30 known"},
		{regexp.MustCompile(`drain, with \d+ sessions?`), "drain, with 1 session"}, // doctor's clients may count still
	}
)

// masked puts what stands for it in the place of what differs from run to run.
func (p *page) masked(text string, doctor bool) string {
	for real, shown := range p.ids {
		if strings.Contains(real, ":") || strings.Contains(real, ".") { // addresses, and those of letters
			text = strings.ReplaceAll(text, real, shown)
		}
	}
	text = randomIDs.ReplaceAllStringFunc(text, func(id string) string {
		if p.ids[id] == "" {
			p.ids[id] = example(len(p.ids), len(id))
		}
		return p.ids[id]
	})
	text = signed.ReplaceAllString(text, "eyJhbGciOiJIUzI1NiIsImtpZCI6IjIwMjYtMTEi...")
	text = instants.ReplaceAllString(text, "2026-11-26T12:00:00Z")
	text = unixTimes.ReplaceAllString(text, exampleTime)
	if doctor {
		text = spans.ReplaceAllString(signs.ReplaceAllString(text, "+$1 from"), "1ms")
	}
	for _, figure := range figures {
		text = figure.is.ReplaceAllString(text, figure.stead)
	}
	return trailing.ReplaceAllString(text, "\n")
}

var trailing = regexp.MustCompile(` +\n`)

// example is an id that looks like one, the same in every run.
func example(number, length int) string {
	var b strings.Builder
	for i := 0; b.Len() < length; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "example %d %d", number, i))
		b.WriteString(base32.StdEncoding.EncodeToString(sum[:30]))
	}
	return b.String()[:length]
}
