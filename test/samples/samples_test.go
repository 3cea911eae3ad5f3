// Package samples checks the samples of code in the docs: each fence names its language, and is held against what reads that language.
// Those in JavaScript are type-checked beside the site and the client, by site/test/samples.test.js and sdk/js/scripts/samples.js.
package samples

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	relay "github.com/signalbox-rtc/signalbox/services/relay/app"
)

const root = "../.."

// languages are those that a fence may be of, with what is asked of it. Those of which nothing is said here are checked elsewhere.
var languages = map[string]func(s sample, dir string) error{
	"json":    checkJSON,
	"yaml":    checkYAML,
	"sh":      checkShell,
	"console": checkConsole,
	"go":      checkGo,
	"js":      nil, // site/test/samples.test.js, and sdk/js/scripts/samples.js
	"jsx":     nil, // likewise
	"ts":      nil, // likewise; docs/sdk-comparison.md by sdk/comparison
	"tsx":     nil, // likewise
	"html":    nil, // likewise
	"promql":  nil, // test/observability TestRunbooksNameWhatThereIs
	"python":  nil, // pkg/webhook TestPageVerifies
	"mermaid": nil, // a picture
	"text":    nil, // what a program prints
}

// sample is one fence.
type sample struct {
	file, language, text string
	line                 int
}

func (s sample) String() string { return fmt.Sprintf("%s:%d", s.file, s.line) }

func TestSamples(t *testing.T) {
	count := make(map[string]int)
	for _, s := range readSamples(t) {
		count[s.language]++
		check, known := languages[s.language]
		if !known {
			t.Errorf("%s: a fence of the language %q: text, if it is none", s, s.language)
		}
		if check != nil {
			t.Run(s.language+" "+s.String(), func(t *testing.T) { require.NoError(t, check(s, t.TempDir())) })
		}
	}
	for language, least := range map[string]int{"json": 80, "yaml": 15, "sh": 50, "console": 10, "go": 2, "js": 15} {
		require.GreaterOrEqual(t, count[language], least, "samples of %s: are they still found?", language)
	}
}

var listItem = regexp.MustCompile(`^([-*]|\d+\.) `)

var fence = regexp.MustCompile("^( *)(```+)\\s*([\\w-]*).*$")

// readSamples finds the fences of all Markdown files.
func readSamples(t *testing.T) (all []sample) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "bin" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			all = append(all, samplesOf(name, string(text))...)
		}
		return nil
	})
	require.NoError(t, err)
	return all
}

// samplesOf finds the fences of a page. A line that is only indented is a command: what is none belongs into a fence.
func samplesOf(file, text string) (all []sample) {
	var open *sample
	indent, ticks := "", ""
	number, blank, list := 0, true, false
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		switch m := fence.FindStringSubmatch(line); {
		case open == nil && m != nil:
			open = &sample{file: file, language: m[3], line: number}
			indent, ticks = m[1], m[2]
		case open != nil && strings.TrimSpace(line) == ticks:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(line, "    ") && blank && !list:
			all = append(all, sample{file: file, language: "sh", line: number, text: line + "\n"})
		case !strings.HasPrefix(line, " ") && line != "":
			list = listItem.MatchString(line)
		}
		blank = strings.TrimSpace(line) == ""
	}
	return all
}

// elided is what stands in a sample for something that is too long for it.
var elided = regexp.MustCompile(`…|\.\.\.`)

// checkJSON takes one value after the other.
func checkJSON(s sample, _ string) error {
	decoder := json.NewDecoder(strings.NewReader(elided.ReplaceAllString(s.text, "")))
	for decoder.More() {
		var value any
		if err := decoder.Decode(&value); err != nil {
			return err
		}
	}
	return nil
}

// readers are what a YAML file of the docs can be for: each takes its own, and refuses what it does not know.
var readers = map[string]func(path string, top map[string]any) error{
	"a gateway": func(path string, _ map[string]any) error {
		_, err := gateway.Load([]string{"--config", path}, nil, nil)
		if err != nil && keysLeftOut.MatchString(err.Error()) {
			return nil
		}
		return err
	},
	"a relay": func(path string, _ map[string]any) error {
		_, err := relay.Load([]string{"--config", path}, nil, nil)
		return err
	},
	"the chart":     checkValues,
	"the load tool": func(_ string, top map[string]any) error { return needs(top, "kind", "name", "duration") },
	"Kubernetes":    func(_ string, top map[string]any) error { return needs(top, "apiVersion", "kind") },
	"Kustomize": func(_ string, top map[string]any) error { // a part of its file
		for key := range top {
			if !slices.Contains([]string{"components", "configMapGenerator", "images", "namespace", "patches", "resources", "secretGenerator"}, key) {
				return fmt.Errorf("%s is not known", key)
			}
		}
		return nil
	},
	"the adapter of Prometheus": func(_ string, top map[string]any) error {
		rules, _ := top["rules"].([]any)
		if len(rules) == 0 {
			return errors.New("no rules")
		}
		return needs(rules[0].(map[string]any), "seriesQuery", "metricsQuery")
	},
}

// keysLeftOut is what a gateway says, and nothing else, of a sample about something else of an app than its keys.
var keysLeftOut = regexp.MustCompile(`^the configuration has 1 error:\n  apps: app "\w+": there is no key and anonymous is off[^\n]*\n?$`)

func needs(object map[string]any, keys ...string) error {
	for _, key := range keys {
		if object[key] == nil {
			return fmt.Errorf("no %s", key)
		}
	}
	return nil
}

func checkYAML(s sample, dir string) error {
	text := strings.ReplaceAll(s.text, "<sha256 of the key, in hex>", strings.Repeat("0", 64))
	var top map[string]any
	if err := yaml.Unmarshal([]byte(text), &top); err != nil {
		return err
	}
	path := filepath.Join(dir, "sample.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	refusals := []error{errors.New("nothing that reads YAML here takes it")}
	for name, read := range readers {
		err := read(path, top)
		if err == nil {
			return nil
		}
		refusals = append(refusals, fmt.Errorf("%s: %w", name, err))
	}
	return errors.Join(refusals...)
}

// checkValues holds values against the chart's schema. That they render is for test/chart.
func checkValues(_ string, top map[string]any) error {
	text, err := os.ReadFile(filepath.Join(root, "helm/signalbox/values.schema.json"))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("values.json", value); err != nil {
		return err
	}
	schema, err := c.Compile("values.json")
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(top)
	if err != nil {
		return err
	}
	values, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	return schema.Validate(values)
}

// checkShell has a shell read it, without running it. What docs/platform-walkthrough.md has is run, by a test of services/gateway/app.
func checkShell(s sample, _ string) error {
	shell := exec.Command("sh", "-n")
	shell.Stdin = strings.NewReader(s.text)
	return outcome(shell)
}

func outcome(command *exec.Cmd) error {
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// checkConsole takes the commands behind a prompt; the rest is what they print.
func checkConsole(s sample, dir string) error {
	commands := 0
	for line := range strings.Lines(s.text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands++
			if err := checkShell(sample{text: command}, dir); err != nil {
				return err
			}
		}
	}
	if commands == 0 {
		return errors.New("a console without a command")
	}
	return nil
}

// imports are those of the samples in Go, by the name that they have there.
var imports = map[string]string{
	"socketio": "github.com/signalbox-rtc/signalbox/pkg/socketio", "client": "github.com/signalbox-rtc/signalbox/pkg/client",
	"base64": "encoding/base64", "hmac": "crypto/hmac", "sha256": "crypto/sha256", "http": "net/http", "context": "context", "fmt": "fmt",
	"slices": "slices", "strconv": "strconv", "strings": "strings", "time": "time",
}

var qualifier = regexp.MustCompile(`\b([a-z0-9]+)\.[A-Z]`)

// checkGo compiles it: declarations as they are, statements in a function that has a context and a mux.
func checkGo(s sample, dir string) error {
	body := s.text
	if !strings.HasPrefix(body, "func ") {
		body = "func sample(ctx context.Context, mux *http.ServeMux) (err error) {\n" + body + "\nreturn err\n}\n"
	}
	used := make(map[string]bool)
	var source strings.Builder
	source.WriteString("package main\n\n")
	for _, m := range qualifier.FindAllStringSubmatch(body, -1) {
		if path := imports[m[1]]; path != "" && !used[m[1]] {
			used[m[1]] = true
			fmt.Fprintf(&source, "import %q\n", path)
		}
	}
	source.WriteString("\nfunc main() {}\n\n" + body)
	path := filepath.Join(dir, "sample.go")
	if err := os.WriteFile(path, []byte(source.String()), 0o600); err != nil {
		return err
	}
	vet := exec.Command("go", "vet", path)
	vet.Dir = root
	return outcome(vet)
}

func TestSamplesAreFound(t *testing.T) {
	found := samplesOf("a.md", "text\n```sh\nls\n```\n- item\n\n    ```yaml\n    a: 1\n    ```\n````md\n```\n````\n```\nnone\n```\n\n    in the item\n\ntext\n\n    ls\n")
	require.Equal(t, []sample{
		{"a.md", "sh", "ls\n", 2}, {"a.md", "yaml", "a: 1\n", 7}, {"a.md", "md", "```\n", 10}, {"a.md", "", "none\n", 13},
		{"a.md", "sh", "    ls\n", 21},
	}, found)
}

// Each language's check refuses what is wrong: seen to fail, or it would let pass anything.
func TestChecksFindWhatTheyShould(t *testing.T) {
	for _, tc := range []struct{ language, text string }{
		{"json", `{"a":}`},
		{"yaml", "redis:\n  mode: clusters\n"},
		{"yaml", "nonsense: true\n"},
		{"sh", "if true; then\n"},
		{"console", "$ echo 'open\n"},
		{"console", "only output\n"},
		{"go", "func f() { undefined() }\n"},
	} {
		t.Run(tc.language+" "+tc.text, func(t *testing.T) {
			require.Error(t, languages[tc.language](sample{"a.md", tc.language, tc.text, 1}, t.TempDir()))
		})
	}
}
