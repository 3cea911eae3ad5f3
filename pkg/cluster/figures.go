package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
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
