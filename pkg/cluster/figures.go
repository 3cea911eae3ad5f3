package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// tellApps tells how many sessions this node has of each app. If that fails, the next beat does: it is no reason to doubt the node.
func (c *Cluster) tellApps(ctx context.Context) {
	if c.opts.Apps == nil {
		return
	}
	apps := c.opts.Apps()
	if len(apps) > c.opts.MaxApps {
		busiest := slices.SortedFunc(maps.Keys(apps), func(a, b string) int { return cmp.Or(cmp.Compare(apps[b], apps[a]), cmp.Compare(a, b)) })
		for _, app := range busiest[c.opts.MaxApps:] {
			delete(apps, app)
		}
	}
	figures, err := json.Marshal(apps)
	if err != nil {
		return // of names and numbers there is none
	}
	if err := c.opts.Store.TellFigures(ctx, c.opts.Self.ID, figures, c.opts.Lease); err != nil && ctx.Err() == nil {
		c.opts.Logger.Warn("how many sessions apps have is not told", "error", err)
	}
}

// Apps gives how many sessions each app has in the cluster, as the nodes of the roster have told with their last beats. It waits for Redis.
func (c *Cluster) Apps(ctx context.Context) (map[string]int, error) {
	nodes := c.Nodes()
	ids := make([]string, len(nodes))
	for i := range nodes {
		ids[i] = nodes[i].ID
	}
	told, err := c.opts.Store.Figures(ctx, ids)
	if err != nil {
		return nil, err
	}
	sum := make(map[string]int)
	for node, figures := range told {
		var apps map[string]int
		if err := json.Unmarshal(figures, &apps); err != nil {
			c.opts.Logger.Warn("a node's figures cannot be read", "other", node, "error", err)
			continue
		}
		for app, sessions := range apps {
			sum[app] += max(sessions, 0)
		}
	}
	return sum, nil
}

// Counted is what a node has counted since it began, as it has told last.
type Counted struct {
	// At is when it told, in Unix milliseconds of its own clock.
	At     int64              `json:"at"`
	Counts map[string]float64 `json:"counts"`
}

// lookBeats is for how many beats nodes tell what they have counted after somebody has looked.
const lookBeats = 5

// tellCounts tells what this node has counted, if somebody looks. If that fails, the next beat does.
func (c *Cluster) tellCounts(ctx context.Context) {
	if c.opts.Counts == nil {
		return
	}
	looked, err := c.opts.Store.Looked(ctx)
	if err == nil && looked {
		var text []byte
		if text, err = json.Marshal(Counted{time.Now().UnixMilli(), c.opts.Counts()}); err == nil {
			err = c.opts.Store.TellCounts(ctx, c.opts.Self.ID, text, c.opts.Lease)
		}
	}
	if err != nil && ctx.Err() == nil {
		c.opts.Logger.Warn("what this node has counted is not told", "error", err)
	}
}

// Counted gives what the nodes of the roster have counted, by node, as they have told with their last beats, and has them go on to tell it.
// At first, or after a pause, there is nothing. It waits for Redis.
func (c *Cluster) Counted(ctx context.Context) (map[string]Counted, error) {
	if err := c.opts.Store.Look(ctx, lookBeats*c.opts.Beat); err != nil {
		return nil, err
	}
	nodes := c.Nodes()
	ids := make([]string, len(nodes))
	for i := range nodes {
		ids[i] = nodes[i].ID
	}
	told, err := c.opts.Store.Counts(ctx, ids)
	if err != nil {
		return nil, err
	}
	counted := make(map[string]Counted, len(told))
	for node, text := range told {
		var one Counted
		if err := json.Unmarshal(text, &one); err != nil {
			c.opts.Logger.Warn("what a node has counted cannot be read", "other", node, "error", err)
			continue
		}
		counted[node] = one
	}
	return counted, nil
}
