package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
	"github.com/signalbox-rtc/signalbox/loadtest/scenarios"
)

// scenarioFile reads a scenario file, or one that is built in, by its name.
func scenarioFile(name string) (scenario.Settings, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `/\`) {
		text, err = scenarios.Files.ReadFile(strings.TrimSuffix(name, ".yaml") + ".yaml")
	}
	if err != nil {
		return scenario.Settings{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	settings, err := scenario.Decode(bytes.NewReader(text))
	if err != nil {
		return scenario.Settings{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	return settings, nil
}

// file runs a scenario file.
func (p *program) file(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return &UsageError{"loadtest run FILE [flags]: which scenario file? `loadtest list` names those that are built in"}
	}
	settings, err := scenarioFile(args[0])
	if err != nil {
		return err
	}
	return p.one(ctx, settings, args[1:])
}

// list names what there is.
func (p *program) list() error {
	var text strings.Builder
	text.WriteString("targets:\n")
	for _, name := range target.Names() {
		fmt.Fprintln(&text, " ", name)
	}
	text.WriteString("scenario files that are built in:\n")
	entries, err := scenarios.Files.ReadDir(".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fmt.Fprintln(&text, " ", strings.TrimSuffix(path.Base(entry.Name()), ".yaml"))
	}
	for _, file := range []struct {
		title string
		text  []byte
	}{{"rows of comparisons:\n", scenarios.Comparison}, {"rows of comparisons with another revision:\n", scenarios.Base}} {
		rows, err := readRows(file.text)
		if err != nil {
			return err
		}
		text.WriteString(file.title)
		for _, row := range rows {
			fmt.Fprintln(&text, " ", row.Name)
		}
	}
	_, err = io.WriteString(p.stdout, text.String())
	return err
}

// report makes one page of several results.
func (p *program) report(args []string) error {
	out, files := "", []string(nil)
	for i := 0; i < len(args); i++ {
		if args[i] == "-o" && i+1 < len(args) {
			i++
			out = args[i]
			continue
		}
		files = append(files, args[i])
	}
	if out == "" || len(files) == 0 {
		return &UsageError{"loadtest report -o FILE RESULT..."}
	}
	results, err := readResults(files)
	if err != nil {
		return err
	}
	return toFile(out, func(w io.Writer) error { return report.WriteHTML(w, results) })
}
