package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is a table in Markdown whose columns stand below each other in a terminal, too.
type Table struct{ to *tabwriter.Writer }

// NewTable begins a table, with a column for each title. Columns are of numbers, which stand to the right, but for those of
// text, counted from 0.
func NewTable(to io.Writer, titles []string, text ...int) *Table {
	t := &Table{tabwriter.NewWriter(to, 0, 0, 1, ' ', 0)}
	rule := make([]string, len(titles))
	for i := range rule {
		rule[i] = "---:"
	}
	for _, i := range text {
		rule[i] = "---"
	}
	t.Line(titles...)
	t.Line(rule...)
	return t
}

// Line adds a line. It is written by Flush, which tells what went wrong.
func (t *Table) Line(cells ...string) {
	_, _ = fmt.Fprintln(t.to, "| "+strings.Join(cells, "\t| ")+"\t|")
}

// Flush writes the table.
func (t *Table) Flush() error { return t.to.Flush() }
