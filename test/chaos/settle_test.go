package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/oracle"
)

// settleTimeout is how long after the end of a fault everybody must be back at most.
const settleTimeout = 90 * time.Second

// settle ends a load, waits until all is quiet, and asks the oracle. The fault must have been healed.
func (c *cluster) settle(loads ...*load) {
	c.t.Helper()
	for _, l := range loads {
		l.end()
	}
	ctx, cancel := context.WithTimeout(c.ctx, settleTimeout)
	defer cancel()
	var settling sync.WaitGroup
	var mu sync.Mutex
	var failed []string
	for _, l := range loads {
		for _, k := range l.calls {
			settling.Go(func() {
				if err := k.quiet(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, err.Error())
				}
			})
		}
	}
	settling.Wait()
	if len(failed) > 0 {
		c.t.Errorf("%d calls are not as they were: %s", len(failed), strings.Join(failed[:min(len(failed), 5)], "\n"))
	}
	c.judge()
	c.leaveNothing(ctx, loads)
}

// quiet has everybody of a call vouch for what it has seen: a message of each to all, a snapshot, and another message,
// behind which nothing can be on its way that the snapshot counts.
func (k *call) quiet(ctx context.Context) error {
	seated := make([]*party, 0, len(k.parties))
	for _, p := range k.parties {
		if p.seat() != "" {
			seated = append(seated, p)
		}
	}
	if err := k.roundOf(ctx, seated); err != nil {
		return err
	}
	shots := make([]func(), 0, len(seated))
	for _, p := range seated {
		room := p.seat()
		if err := p.tries(ctx, func(ctx context.Context) error {
			look := p.record.Looking(room)
			snapshot, err := p.conn().Snapshot(ctx, room)
			if err == nil {
				look.Saw(snapshot)
				shots = append(shots, func() { look.Synced(snapshot, nil) })
			}
			return err
		}); err != nil {
			return fmt.Errorf("%s looks: %w", p.name, err)
		}
	}
	if err := k.roundOf(ctx, seated); err != nil {
		return err
	}
	for _, vouch := range shots {
		vouch()
	}
	return nil
}

// roundOf has each say something that all others get.
func (k *call) roundOf(ctx context.Context, seated []*party) error {
	for _, from := range seated {
		var ids []string
		if err := from.tries(ctx, func(ctx context.Context) error {
			id, err := from.send(ctx, "", chatBytes)
			ids = append(ids, id)
			if err != nil {
				return err
			}
			for _, to := range seated {
				if to == from || to.seat() != from.seat() {
					continue
				}
				if err := to.until(ctx, func() bool { return to.hasAny(ids) }); err != nil {
					return fmt.Errorf("%s does not hear %s: %w", to.name, from.name, err)
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("%s says a word: %w", from.name, err)
		}
	}
	return nil
}

func (p *party) hasAny(ids []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if p.got[id] {
			return true
		}
	}
	return false
}

// judge writes the oracle's word into the figures, and fails the test when a promise was not kept.
func (c *cluster) judge() {
	c.t.Helper()
	byRule := make(map[string]int)
	findings := c.oracle.Check()
	for i, f := range findings {
		byRule[f.Rule]++
		if i < 10 {
			c.t.Errorf("%v", f)
		}
	}
	if len(findings) > 0 {
		c.t.Errorf("%d findings: %v\n%s", len(findings), byRule, c.trace(findings[0].Room))
	}
	sent, acked := c.watch.sentAndAcked()
	c.figures.count("clients", len(c.all()))
	c.figures.count("messages", sent)
	c.figures.count("acknowledged", acked)
	c.figures.count("lost", byRule[oracle.RuleLost])
	c.figures.count("double", byRule[oracle.RuleTwice])
	c.figures.count("out_of_order", byRule[oracle.RuleOrder])
	c.figures.count("over_capacity", byRule[oracle.RuleCapacity])
	c.figures.count("ghosts", byRule[oracle.RuleGhost]+byRule[oracle.RuleSeats]+byRule[oracle.RuleStranger])
	c.figures.tally("told", c.watch.events())
	all, final := c.watch.errors()
	c.figures.tally("errors", all)
	c.figures.tally("errors_final", final)
}

// trace is the history of a room, bounded.
func (c *cluster) trace(room string) string {
	text := c.oracle.Trace(room)
	const most = 30 << 10
	if len(text) > most {
		return text[:most/2] + "\n...\n" + text[len(text)-most/2:]
	}
	return text
}

// leaveNothing has everybody leave, and looks for seats that stay in Redis all the same.
func (c *cluster) leaveNothing(ctx context.Context, loads []*load) {
	c.t.Helper()
	var leaving sync.WaitGroup
	for _, l := range loads {
		for _, p := range l.parties() {
			leaving.Go(func() { _ = p.leave(ctx) }) // what is left shows below
		}
	}
	leaving.Wait()
	c.endParties()
	var names []string
	err := poll(c.ctx, settleTimeout, "every seat is given up", func() bool {
		var err error
		names, err = c.redis.keys("sb:{*}:room:*")
		return err == nil && len(names) == 0
	})
	c.figures.count("seats_left", len(names))
	require.NoError(c.t, err, "%d rooms with seats: %v", len(names), names[:min(len(names), 5)])
}
