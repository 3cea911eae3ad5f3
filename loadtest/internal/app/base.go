package app

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
)

// base is the peer of rows that compare our gateway with that of another revision.
const base = "base"

// baseline is what the base side of a comparison is, and how much worse than it ours may be.
type baseline struct {
	revision  string
	gateway   string // a program in place of a revision
	tolerance float64
}

// prepareBase has both sides' gateways ready, built into dir unless they are given, and names them on standard output.
func (p *program) prepareBase(ctx context.Context, c *comparison, dir string) error {
	ours, theirs := c.options.target.Binaries.Gateway, c.base.gateway
	root := ""
	if ours == "" || theirs == "" {
		var err error
		if root, err = target.Repository(ctx, "."); err != nil {
			return err
		}
	}
	if theirs == "" {
		c.base.gateway = filepath.Join(dir, "base")
		commit, err := target.BuildRevision(ctx, root, c.base.revision, c.base.gateway)
		if err != nil {
			return err
		}
		theirs = fmt.Sprintf("%s (%s)", c.base.revision, commit)
	}
	if ours == "" {
		ours, c.options.target.Binaries.Gateway = "the working tree", filepath.Join(dir, "ours")
		if err := target.BuildTree(ctx, root, c.options.target.Binaries.Gateway); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(p.stdout, "ours is %s, the base is %s, both under the load of this program\n\n", ours, theirs)
	return err
}
