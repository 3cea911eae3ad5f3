// Package cluster keeps a node on the cluster's roster, knows the other nodes that are on it, and gives up the seats of
// those that have died.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// ErrLapsed is the end of a node whose lease has ended: the others took it for dead, and its seats are given up. Its id is
// not taken again.
var ErrLapsed = store.ErrLapsed

// Node is one gateway process.
type Node struct {
	// ID is new at each start of a process.
	ID string `json:"-"`
	// Name is shown to people.
	Name string `json:"name"`
	// Address is where the other nodes reach it, as host:port.
	Address string `json:"address"`
	Version string `json:"version"`
	// Started is when the process began, in Unix milliseconds of its own clock.
	Started int64 `json:"started"`
	// Load is as of the node's last beat.
	Load Load `json:"load,omitzero"`
}

// Load is what a node tells with each beat about how much it has to do.
type Load struct {
	// Sessions are those of all transports, and Connections theirs, with those that have not said who they are.
	Sessions    int `json:"sessions"`
	Connections int `json:"connections"`
	// Draining is set from the moment at which the node was told to end.
	Draining bool `json:"draining,omitempty"`
}

// Options configures a [Cluster].
type Options struct {
	Store *store.Store
	// Self is this node.
	Self Node
	// Beat is how often the lease is renewed, 2 s if 0, and Lease how long it runs, 6 s if 0, at least three beats:
	// a silence of half a lease tells that Redis was away, and not the nodes.
	Beat  time.Duration
	Lease time.Duration
	// Load tells what this node has to do; nil for nothing. It must not block.
	Load func() Load
	// Apps tells how many sessions this node has of each app, in a map that is the caller's; nil for nothing. It must not block. Of more
	// than MaxApps, 10000 if 0, the busiest are told.
	Apps    func() map[string]int
	MaxApps int
	// Counts tells what this node has counted since it began; nil for nothing. It is asked with a beat while somebody looks at the cluster, and
	// must not block.
	Counts func() map[string]float64
	// Timeout bounds one question to Redis; 2 s if 0.
	Timeout time.Duration
	// Lapses is how often this process, as another node, was taken for dead before: for the metric.
	Lapses int
	// Forgotten is called when Redis has lost its data, before this node goes on as if it were new; nil does nothing. It may
	// wait for Redis until ctx ends. After an error it is called again with the next beat.
	Forgotten  func(ctx context.Context) error
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Store == nil || o.Self.ID == "" {
		return errors.New("cluster: a store and this node's id are needed")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Beat, 2 * time.Second}, {&o.Lease, 6 * time.Second}, {&o.Timeout, 2 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.MaxApps == 0 {
		o.MaxApps = 10_000
	}
	if o.MaxApps < 0 || o.Beat < 0 || o.Timeout < 0 || o.Lease < 3*o.Beat {
		return fmt.Errorf("cluster: a lease of %v with a beat of %v", o.Lease, o.Beat)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Cluster is the roster as one node sees it.
type Cluster struct {
	opts    Options
	metrics *metrics
	reaper  *reaper
	sweeper *sweeper
	ready   chan struct{} // closed when every node can find this one

	asking chan struct{} // holds something while the roster is read out of turn

	keepLease atomic.Bool // see KeepLease
	suspects  suspects

	mu    sync.Mutex
	nodes map[string]Node // as of the last time that it could be read
	asked time.Time       // when Redis was last asked
}

// New makes a view without nodes; Run fills it.
func New(opts Options) (*Cluster, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	c := &Cluster{
		opts: opts, metrics: newMetrics(opts.Registerer, opts.Lapses),
		ready: make(chan struct{}), asking: make(chan struct{}, 1),
	}
	c.reaper, c.sweeper = newReaper(c), newSweeper(c)
	return c, nil
}

// WaitReady waits until this node is on the roster and every other node can find it there, or ctx ends. What names this
// node must not be given out before.
func (c *Cluster) WaitReady(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// KeepLease has Run leave the node on the roster when it ends: not all of its seats could be given up, and the others do
// that when its lease ends.
func (c *Cluster) KeepLease() { c.keepLease.Store(true) }

// Run keeps this node on the roster until ctx ends, and then takes it off. It ends with [ErrLapsed] when the others have
// taken the node for dead, and with a [store.PartitionsError] of Forgotten. The store must run meanwhile.
func (c *Cluster) Run(ctx context.Context) error {
	reaping, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { c.reaper.run(reaping) })
	running.Go(func() { c.sweeper.run(reaping) })
	defer running.Wait()
	defer stop()

	ticker := time.NewTicker(c.opts.Beat)
	defer ticker.Stop()
	// Since when beats have gone well: who has trouble with Redis does not judge others. (Redis judges, too: see condemn.lua.)
	var steady time.Time
	for first := true; ; {
		err := c.beat(ctx, first)
		if errors.Is(err, store.ErrForgotten) {
			steady = c.unsteady() // who could not come back meanwhile gets the time to do so
			err = c.forgotten(ctx)
		}
		switch {
		case errors.Is(err, ErrLapsed):
			c.metrics.lapsed.Inc()
			return ErrLapsed
		case errors.As(err, new(*store.PartitionsError)):
			return err // it would look for rooms where nobody else does
		case err != nil:
			steady = c.unsteady()
		case steady.IsZero():
			steady = time.Now()
		case time.Since(steady) >= c.opts.Lease:
			c.sweeper.steady.Store(true)
			c.suspects.check(c.listed)
			c.reaper.look()
		}
		if err == nil && first {
			first = false
			// Others take an id for unknown for as long as this after they have read the roster.
			known := time.AfterFunc(rosterPause, func() { close(c.ready) })
			defer known.Stop()
		}
		select {
		case <-ticker.C:
			continue
		case <-ctx.Done():
		}
		if !c.keepLease.Load() {
			c.strikeOff(ctx)
		}
		return nil
	}
}

// unsteady has this node judge nobody until its beats have gone well for a lease again.
func (c *Cluster) unsteady() (since time.Time) {
	c.sweeper.steady.Store(false)
	c.suspects.reset()
	return time.Time{}
}

// forgotten has this node put back what Redis has lost, and go on as if it were new.
func (c *Cluster) forgotten(ctx context.Context) error {
	c.opts.Logger.Warn("Redis has lost its data: this node puts back what it holds")
	c.metrics.forgotten.Inc()
	if c.opts.Forgotten != nil {
		if err := c.opts.Forgotten(ctx); err != nil {
			c.opts.Logger.Warn("what Redis has lost cannot be put back yet", "error", err)
			return err
		}
	}
	return c.beat(ctx, true)
}

// strikeOff takes the node off the roster.
func (c *Cluster) strikeOff(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
	defer cancel()
	if err := c.opts.Store.StrikeOff(ctx, c.opts.Self.ID); err != nil {
		c.opts.Logger.Warn("this node stays on the roster until its lease ends", "error", err)
	}
}

// beat renews the lease and reads the roster.
func (c *Cluster) beat(ctx context.Context, first bool) error {
	asking, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	self := c.opts.Self
	if c.opts.Load != nil {
		self.Load = c.opts.Load()
	}
	info, err := json.Marshal(self)
	if err != nil {
		return err
	}
	now, err := c.opts.Store.Beat(asking, store.NodeInfo{ID: self.ID, Info: info}, c.opts.Lease, first)
	if err == nil {
		c.sweeper.offset.Store(int64(time.Until(now)))
		c.tellApps(asking)
		c.tellCounts(asking)
		err = c.readRoster(asking)
	}
	if err != nil && ctx.Err() == nil {
		c.metrics.beats.WithLabelValues("failed").Inc()
		if !errors.Is(err, store.ErrForgotten) && !errors.Is(err, ErrLapsed) { // which are told where they are handled
			c.opts.Logger.Warn("heartbeat failed", "error", err)
		}
		return err
	}
	c.metrics.beats.WithLabelValues("ok").Inc()
	return nil
}

func (c *Cluster) readRoster(ctx context.Context) error {
	asked := time.Now()
	infos, err := c.opts.Store.Roster(ctx)
	if err != nil {
		return err
	}
	nodes := make(map[string]Node, len(infos))
	for _, info := range infos {
		var node Node
		if err := json.Unmarshal(info.Info, &node); err != nil {
			c.opts.Logger.Warn("a node's record cannot be read", "other", info.ID, "error", err)
			continue
		}
		node.ID = info.ID
		nodes[node.ID] = node
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes, c.asked = nodes, asked
	c.metrics.nodes.Set(float64(len(nodes)))
	return nil
}

// rosterPause is how long after reading the roster an unknown id is taken for unknown without a look: what is asked
// for may come from anybody.
const rosterPause = 500 * time.Millisecond

// Find gives a node of the roster, also one that has just begun. It waits for Redis, for at most the timeout of one
// question.
func (c *Cluster) Find(ctx context.Context, id string) (Node, bool) {
	if node, ok, fresh := c.known(id); ok || fresh {
		return node, ok
	}
	// The answer is for all that wait for it: whoever happens to ask may go.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
	defer cancel()
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ask.Done():
		return Node{}, false
	case <-ctx.Done():
		return Node{}, false
	}
	if node, ok, fresh := c.known(id); ok || fresh {
		return node, ok // somebody else has just asked
	}
	if err := c.readRoster(ask); err != nil {
		c.opts.Logger.Warn("the roster cannot be read", "error", err)
		c.mu.Lock()
		c.asked = time.Now() // there is no point in asking again at once
		c.mu.Unlock()
	}
	node, ok, _ := c.known(id)
	return node, ok
}

func (c *Cluster) known(id string) (node Node, ok, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node, ok = c.nodes[id]
	return node, ok, time.Since(c.asked) < rosterPause
}

// Nodes lists the nodes of the roster, in no order.
func (c *Cluster) Nodes() []Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := make([]Node, 0, len(c.nodes))
	for _, node := range c.nodes {
		nodes = append(nodes, node)
	}
	return nodes
}

type metrics struct {
	nodes     prometheus.Gauge
	beats     *prometheus.CounterVec
	lapsed    prometheus.Counter
	forgotten prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, lapses int) *metrics {
	m := &metrics{
		nodes: metric.Gauge("signalbox_cluster_nodes",
			"Nodes on the roster as this node sees it."),
		beats: metric.Counters("signalbox_cluster_heartbeats_total",
			"Renewals of this node's lease, by result.", "result"),
		lapsed: metric.Counter("signalbox_cluster_lapsed_total",
			"How often the others took this process for dead."),
		forgotten: metric.Counter("signalbox_cluster_forgotten_total",
			"How often Redis knew nothing of this node any more: it has lost its data."),
	}
	for _, result := range []string{"ok", "failed"} {
		m.beats.WithLabelValues(result)
	}
	m.lapsed.Add(float64(lapses))
	reg.MustRegister(m.nodes, m.beats, m.lapsed, m.forgotten)
	return m
}
