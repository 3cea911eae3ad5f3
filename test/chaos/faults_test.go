package chaos

import (
	"testing"
	"time"
)

// fault is one row of the table in docs/guarantees.md, and the test behind it.
type fault struct {
	name   string
	quick  bool   // part of the short form
	what   string // what is broken, and how
	expect string // what must come of it
	inject func(t *testing.T, f *figures)
}

// faults are all of them, in the order of the table.
func faults() []*fault {
	var all []*fault
	for _, group := range [][]*fault{clientFaults(), gatewayFaults(), lossFaults(), refusalFaults(), networkFaults(), failoverFaults()} {
		all = append(all, group...)
	}
	return all
}

// TestChaos injects the chosen faults, one after the other.
func TestChaos(t *testing.T) {
	for _, f := range chosen(t) {
		t.Run(f.name, func(t *testing.T) {
			began := time.Now()
			figures := newFigures(f.name)
			defer func() { figures.report(t, time.Since(began)) }()
			f.inject(t, figures)
		})
	}
}
