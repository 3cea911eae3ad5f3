package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// table is what people read.
type table struct {
	columns []string
	rows    [][]string
}

func (r *table) add(cells ...string) { r.rows = append(r.rows, cells) }

// write aligns the columns.
func (r *table) write(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{r.columns}, r.rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = clean(cell, false); cell == "" {
				cells[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // Flush gives the error
	}
	return w.Flush()
}

// clean makes text of others harmless: control characters would steer the terminal. lines keeps line breaks.
func clean(text string, lines bool) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' && lines || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// show writes an answer: as it came for programs, and else what people makes of it.
func (t *tool) show(answer json.RawMessage, people func() error) error {
	if !t.asJSON {
		return people()
	}
	return t.writeJSON(answer)
}

// writeJSON writes one document.
func (t *tool) writeJSON(document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(t.process.Out)
	return err
}

// showList writes a list: one document with all entries for programs, and else a table with a row for each.
func showList[T any](t *tool, field string, entries []json.RawMessage, columns []string, row func(*T) []string) error {
	if t.asJSON {
		return t.writeJSON(map[string]any{field: entries})
	}
	r := table{columns: columns}
	for _, text := range entries {
		entry := new(T)
		if err := json.Unmarshal(text, entry); err != nil {
			return fmt.Errorf("the answer's %s are not what they should be: %w", field, err)
		}
		r.add(row(entry)...)
	}
	return r.write(t.process.Out)
}

// say writes a line for people.
func (t *tool) say(format string, args ...any) error {
	_, err := fmt.Fprintln(t.process.Out, clean(fmt.Sprintf(format, args...), true))
	return err
}

// decoded reads an answer and says a line about it, or writes it for programs.
func tell[T any](t *tool, answer json.RawMessage, line func(*T) string) error {
	return t.show(answer, func() error {
		entry := new(T)
		if err := json.Unmarshal(answer, entry); err != nil {
			return fmt.Errorf("the answer is not what it should be: %w", err)
		}
		return t.say("%s", line(entry))
	})
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// instant writes a time, in UTC so that it can be compared with logs.
func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// members gives "1 member", "3 members".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
