// Package quota holds apps, and their sessions, users and addresses, to what they may use.
//
// What a session may do is decided on its gateway. What an app, a user or an address may do is of the whole cluster: once in a period
// the gateways tell each other, by one call, what each of them uses of every app's quotas and what it claims. A gateway lets in only what
// is within its claim, and takes of a claim only what the claims of the others leave: as the call tells and reads in one instant, the
// claims that are in force never come to more than the quota. So
//
//   - connections and members of an app are never more than its quota. Less can be used while claims move to where they are
//     needed, which takes some periods; what is left is claimed by the gateways in turns, so that all of it can be.
//   - messages and bytes that are taken in a time t are at most those of t and one second more, and one message more for each
//     gateway. Rates follow demand within four periods; a tenth is divided evenly, for those that begin.
//   - rooms are counted in Redis, by one gateway for each app, and those that were made in the last three to four periods are added:
//     they are never more than the quota, but for an app that no gateway knew of: until its rooms are counted, up to a quarter of
//     the quota, or one room for each gateway, can be made beside those that there were.
//   - users and addresses are told of where they stand out (see held.go): of their connections there can be one more than the quota
//     for each gateway but one, and their rates are shared by demand once two gateways are asked for them.
//
// What comes back is counted and never refused: sessions that resume, with their seats. A gateway that does not reach Redis keeps
// what it has claimed; after three periods the others do not count it any more, so that there can be as much more as it had
// claimed until it is back or ends.
package quota

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Stale is after how many periods without a word from a node the others do not count it any more.
const Stale = 3

// Options configures a [Keeper].
type Options struct {
	// Node is this process' id in the cluster.
	Node string
	// Quotas gives those that hold for an app; 0 in them is no limit.
	Quotas func(app string) auth.Quotas
	// Exchange tells the other nodes what this one uses, and gives what they have told, by node, in one instant, and its time
	// by a clock that all nodes share. What is older than [Stale] periods is left out.
	Exchange func(ctx context.Context, usage []byte) (now time.Time, others map[string][]byte, err error)
	// CountRooms gives the number of rooms of each of some apps.
	CountRooms func(ctx context.Context, apps []string) (map[string]int64, error)
	// Period is between exchanges; 1 s if 0.
	Period time.Duration
	// MessageBytes is the greatest size of a message, which can be sent at once whatever an app's share is; 128 KiB if 0.
	MessageBytes int
	// Holders is how many users and addresses are kept count of, 100000 if 0, and Apps how many apps' use is told to the
	// other nodes, 10000 if 0.
	Holders, Apps int
	// HoldersTold is how many users and addresses the other nodes are told of: those that have much here. With 0 each node holds
	// them to their quotas by itself.
	HoldersTold int
	// Labels are the apps that have a label of their own in metrics; all others share one, Other.
	Labels []string
	Other  string

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Node == "" || o.Quotas == nil || o.Exchange == nil || o.CountRooms == nil {
		return errors.New("quota: a node, quotas, an exchange and a count of rooms are needed")
	}
	if o.Period < 0 || o.MessageBytes < 0 || o.Holders < 0 || o.Apps < 0 || o.HoldersTold < 0 {
		return errors.New("quota: a number is negative")
	}
	setDefault(&o.Period, time.Second)
	setDefault(&o.MessageBytes, 128<<10)
	setDefault(&o.Holders, 100_000)
	setDefault(&o.Apps, 10_000)
	setDefault(&o.Other, "other")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Keeper knows what this node's clients use. All methods but Run may be called from any goroutine, and wait for nothing but
// WaitReady.
type Keeper struct {
	// immutable
	opts    Options
	metrics *metrics
	holders *holders
	ready   chan struct{} // closed when the other nodes count this one

	// owned by Run
	turn   int64           // rises with every other period, on all nodes alike
	rank   int             // of this node among all
	failed bool            // the last exchange: nothing new is claimed
	rounds int             // exchanges that went well
	told   map[string]*App // of which this node tells the others

	exchanged atomic.Int64 // when the last exchange went well, Unix ns

	mu    sync.Mutex
	apps  map[string]*App
	nodes int // that are alive, this one included; 0 before that is known
}

// New makes a keeper without sessions.
func New(opts Options) (*Keeper, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	k := &Keeper{opts: opts, apps: make(map[string]*App), told: make(map[string]*App), ready: make(chan struct{})}
	k.exchanged.Store(time.Now().UnixNano())
	k.metrics = newMetrics(&k.opts, k.age)
	k.holders = newHolders(&k.opts, k.metrics)
	return k, nil
}

// age is how long ago the last exchange was that went well; before the first one, how old the keeper is.
func (k *Keeper) age() time.Duration { return time.Since(time.Unix(0, k.exchanged.Load())) }

// WaitReady waits until the other nodes count this one, or ctx ends. Before that it lets nobody in to an app with quotas of the
// whole cluster.
func (k *Keeper) WaitReady(ctx context.Context) error {
	select {
	case <-k.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run exchanges what is used with the other nodes, once in a period, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(k.opts.Period)
	defer ticker.Stop()
	for round := 0; ; round++ {
		k.exchange(ctx)
		if round%holdersPause == 0 {
			k.holders.sweep(time.Now())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// exchange is one period's work.
func (k *Keeper) exchange(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, k.opts.Period)
	defer cancel()
	told := k.prepare()
	k.countRooms(ctx)
	now, others, err := k.opts.Exchange(ctx, encode(told, k.holders.prepare()))
	if err != nil {
		if !k.failed && ctx.Err() != context.Canceled {
			k.opts.Logger.Warn("quotas are not exchanged: every gateway keeps its share", "error", err)
		}
		k.failed = true
		k.metrics.failures.Inc()
		return
	}
	k.failed = false
	k.exchanged.Store(time.Now().UnixNano())
	apps, holders := decode(others)
	k.learn(now, apps)
	k.holders.learn(1+len(others), holders)
	if k.rounds++; k.rounds == 2 { // all others have exchanged since the first one
		close(k.ready)
	}
}

// prepare decides what is claimed next, and holds the node to it at once where that is less than before.
func (k *Keeper) prepare() []*App {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, a := range k.apps {
		if a.idles() {
			delete(k.apps, id)
			delete(k.told, id)
			k.metrics.forget(a)
			continue
		}
		a.limit(k.opts.Quotas(id), k.nodes)
		switch shared := a.limits.Load().shared; {
		case !shared:
			delete(k.told, id)
		case k.told[id] == nil && len(k.told) >= k.opts.Apps:
			a.evenly(k.nodes)
			k.metrics.untrackedApps.Inc()
		default: // also from now on: the others would count it for less than it has
			k.told[id] = a
		}
	}
	told := make([]*App, 0, len(k.told))
	for _, a := range k.told {
		a.prepare(share{nodes: k.nodes, rank: k.rank, turn: k.turn}, k.failed)
		told = append(told, a)
	}
	k.metrics.apps.Set(float64(len(told)))
	return told
}

// countRooms has Redis count the rooms of those apps of which this node is to tell the others.
func (k *Keeper) countRooms(ctx context.Context) {
	var ids []string
	for id, a := range k.told {
		if a.isCounter() {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	rooms, err := k.opts.CountRooms(ctx, ids)
	if err != nil {
		return // the exchange, which follows, fails as well
	}
	for id, count := range rooms {
		if a := k.told[id]; a != nil {
			a.counted(count)
		}
	}
}

// learn takes what the others have told.
func (k *Keeper) learn(now time.Time, others map[string]map[string]report) {
	names := append(slices.Collect(maps.Keys(others)), k.opts.Node)
	slices.Sort(names)
	k.rank = slices.Index(names, k.opts.Node)
	// A turn is two periods long: in the first one the node whose turn it was lets go of what it had claimed.
	k.turn = now.UnixMilli() / (2 * k.opts.Period.Milliseconds())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.nodes = len(names)
	for _, reports := range others {
		for id, r := range reports {
			if k.apps[id] != nil || !r.busy() || len(k.apps) >= k.opts.Apps {
				continue
			}
			if q := k.opts.Quotas(id); q.Shared() {
				k.add(id)
			}
		}
	}
	for id, a := range k.apps {
		if o := view(id, others); k.told[id] != nil {
			a.learn(o, names, k.opts.Node)
		} else {
			a.see(o)
		}
	}
	k.metrics.ratios(k.apps)
}

// app gives an app's entry, and counts its user. mu is not held.
func (k *Keeper) app(id string) *App {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.apps[id]
	if a == nil {
		a = k.add(id)
	}
	a.sessions.Add(1)
	return a
}

// add makes an app's entry. Nobody else has used anything of its quotas lately, or this node would have one: it may use the even
// share that the others count it for. mu is held.
func (k *Keeper) add(id string) *App {
	a := newApp(k, id)
	a.limit(k.opts.Quotas(id), k.nodes)
	a.fill()
	k.apps[id] = a
	return a
}
