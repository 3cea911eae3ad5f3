package quota

import (
	"context"
	"time"
)

// Period does what Run does once in a period.
func (k *Keeper) Period(ctx context.Context) { k.exchange(ctx) }

// Used gives the connections of an app on this node.
func (k *Keeper) Used(app string) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.apps[app]; a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.used[connections]
	}
	return 0
}

// Rate gives how many messages a second of an app this node may take, or how many bytes, of the limit.
func (k *Keeper) Rate(app string, limit float64, ofBytes bool) float64 {
	what := messages
	if ofBytes {
		what = bytes
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.apps[app]
	if a == nil {
		return even(what, limit, k.nodes)
	}
	return float64(a.rates[what].Limit())
}

// Apps gives how many apps the node has entries of.
func (k *Keeper) Apps() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.apps)
}

// Holders gives how many users and addresses are remembered.
func (k *Keeper) Holders() int {
	k.holders.mu.Lock()
	defer k.holders.mu.Unlock()
	return len(k.holders.all)
}

// Sweep forgets those that nobody needs any more, as Run does now and then.
func (k *Keeper) Sweep() { k.holders.sweep(time.Now()) }
