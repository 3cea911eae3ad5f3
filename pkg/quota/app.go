package quota

import (
	"hash/fnv"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// limits are an app's quotas and what follows from them. Immutable.
type limits struct {
	auth.Quotas
	shared   bool // some are of the whole cluster
	messages bool // some are about messages
	joins    bool // some are about how often one joins
}

func newLimits(q auth.Quotas) *limits {
	bounds := func(r auth.RateQuotas) bool { return r.MessagesPerSecond > 0 || r.BytesPerSecond > 0 }
	return &limits{
		Quotas: q, shared: q.Shared(),
		messages: q.MessagesPerSecond > 0 || q.BytesPerSecond > 0 || bounds(q.PerSession) || bounds(q.PerUser.RateQuotas) || bounds(q.PerIP.RateQuotas),
		joins:    q.PerSession.JoinsPerSecond > 0 || q.PerUser.JoinsPerSecond > 0 || q.PerIP.JoinsPerSecond > 0,
	}
}

// of gives the limit of a kind; 0 is none.
func (l *limits) of(k kind) float64 {
	return float64([kinds]int{l.Connections, l.Members, l.Rooms, l.MessagesPerSecond, l.BytesPerSecond}[k])
}

const (
	// idlePeriods is after how many periods in which nobody used anything of it an app is forgotten.
	idlePeriods = 10
	// madePeriods is for how many periods before the present one rooms that were made are added to those that were counted. A count is
	// up to two periods old when it has reached the others, and they go by it for another one.
	madePeriods = 3
	// quiet is a demand, a second, that counts as none.
	quiet = 0.01
)

// App is what the clients of one app use on this node.
type App struct {
	// immutable
	keeper *Keeper
	id     string
	rates  [kinds]*rate.Limiter // of the two rates; set before others see it

	limits   atomic.Pointer[limits] // never nil
	sessions atomic.Int64
	asked    [kinds]atomic.Int64 // since the last exchange

	mu      sync.Mutex
	used    [counts]int64          // of rooms: joins under way that may make one
	most    [kinds]float64         // what this node may use, as long as the others say nothing else
	claims  [kinds]float64         // what it tells that it claims
	demand  [kinds]float64         // what the node is asked for, a second
	others  others                 // as of the last exchange
	made    [1 + madePeriods]int64 // rooms, in the present period and those before
	rooms   float64                // of the cluster; -1 if that is not known
	own     float64                // rooms as this node has counted them for the others, -1 if it has not
	counter bool                   // this node counts them
	idle    int                    // periods
}

// newApp makes an entry. The keeper's mu is held.
func newApp(k *Keeper, id string) *App {
	a := &App{keeper: k, id: id, rooms: -1, own: -1, others: others{rooms: -1, silent: max(0, k.nodes-1)}}
	a.limits.Store(&limits{})
	for kind := counts; kind < kinds; kind++ {
		a.rates[kind] = rate.NewLimiter(0, 0)
	}
	return a
}

// limit takes the quotas of now. Of what was not limited before, and of all at the beginning, the node gets the even share that others
// count it for.
func (a *App) limit(q auth.Quotas, nodes int) {
	old := a.limits.Load()
	if old.Quotas == q {
		return
	}
	l := newLimits(q)
	a.limits.Store(l)
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range kinds {
		if limit := l.of(k); limit > 0 && old.of(k) == 0 {
			a.claims[k] = even(k, limit, nodes)
			a.allow(k, a.claims[k])
		}
	}
}

// fill has the rates of a new entry begin full: of the even share nothing was used for longer than that takes.
func (a *App) fill() {
	for k := counts; k < kinds; k++ {
		a.rates[k] = rate.NewLimiter(a.rates[k].Limit(), a.rates[k].Burst())
	}
}

// evenly gives the node the even share of an app that it tells the others nothing of.
func (a *App) evenly(nodes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.limits.Load()
	for k := range kinds {
		a.allow(k, even(k, l.of(k), nodes))
	}
}

// allow sets what this node may use. mu is held.
func (a *App) allow(k kind, most float64) {
	a.most[k] = most
	if k < counts {
		return
	}
	now := time.Now()
	a.rates[k].SetLimitAt(now, rate.Limit(most))
	a.rates[k].SetBurstAt(now, burstOf(k, most, a.keeper.opts.MessageBytes))
}

// inUse is what the node uses of a count. mu is held.
func (a *App) inUse(k kind) float64 {
	used := a.used[k]
	if k == rooms {
		for _, made := range a.made {
			used += made
		}
	}
	return float64(used)
}

// left is what there is to divide of a kind: of rooms those that were not counted. mu is held.
func (a *App) left(k kind) float64 {
	limit := a.limits.Load().of(k)
	if k == rooms {
		limit = max(0, limit-max(a.rooms, 0))
	}
	return limit
}

// prepare decides what the node claims next. With hold it claims what it did, as it does not know what has become of that.
func (a *App) prepare(s share, hold bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	copy(a.made[1:], a.made[:]) // a period has passed
	a.made[0] = 0
	for k := range kinds {
		asked := float64(a.asked[k].Swap(0)) / a.keeper.opts.Period.Seconds()
		a.demand[k] = demandOf(a.demand[k], asked)
	}
	for k := range kinds {
		a.claim(k, s, hold)
	}
}

// demandOf is the demand of a period in which so much was asked for, a second: it rises at once, and falls by half.
func demandOf(before, asked float64) float64 {
	if demand := max(asked, (before+asked)/2); demand >= quiet {
		return demand
	}
	return 0
}

// claim decides what the node claims of a kind next. More than it may use already it claims only as far as the others seem to leave room:
// what several claim beyond that nobody could use before they let go of it again. mu is held.
func (a *App) claim(k kind, s share, hold bool) {
	limit := a.limits.Load().of(k)
	if limit == 0 {
		a.claims[k] = 0
		return
	}
	if !hold {
		var wanted, turn float64
		if k < counts {
			wanted, turn = s.count(a.left(k), part{used: a.inUse(k), wanted: a.demand[k]}, a.others.parts[k])
		} else {
			wanted = s.rate(limit, a.demand[k], a.others.parts[k].used)
		}
		a.claims[k] = min(wanted, max(a.most[k], a.room(k, s.nodes))) + turn
	}
	if k < counts {
		a.claims[k] = max(a.claims[k], a.inUse(k))
	}
	if a.claims[k] < a.most[k] { // the others may take the rest as soon as they are told
		a.allow(k, a.claims[k])
	}
}

// room is what the claims of the others leave, as far as they are known. mu is held.
func (a *App) room(k kind, nodes int) float64 {
	claimed := a.others.parts[k].claim + float64(a.others.silent)*even(k, a.limits.Load().of(k), nodes)
	return max(0, a.left(k)-claimed)
}

// isCounter reports whether this node is to have the app's rooms counted: it is its turn, or nobody else has.
func (a *App) isCounter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own = -1
	return a.limits.Load().Rooms > 0 && (a.counter || a.others.rooms < 0)
}

// counted takes how many rooms the app has.
func (a *App) counted(count int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own = float64(count)
}

// report is what the node tells.
func (a *App) report() report {
	a.mu.Lock()
	defer a.mu.Unlock()
	var r report
	for k := range kinds {
		p := part{used: a.demand[k], claim: a.claims[k], wanted: a.demand[k]}
		if k < counts {
			p.used = a.inUse(k)
		}
		r.set(k, p)
	}
	r[3*kinds] = a.own
	return r
}

// learn takes what the others have told, in the instant in which they were told what this node claims: of its claims those count
// that theirs leave room for.
func (a *App) learn(o others, nodes []string, self string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.others = o
	a.rooms = max(a.own, o.rooms)
	a.counter = counterOf(a.id, nodes) == self
	l := a.limits.Load()
	for k := range kinds {
		if l.of(k) > 0 {
			a.allow(k, min(a.claims[k], a.room(k, len(nodes))))
		}
	}
}

// see takes what the others have told of an app of which this node has told nothing yet.
func (a *App) see(o others) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.others, a.rooms = o, o.rooms
}

// counterOf gives the node that has an app's rooms counted: each has its part of the apps.
func counterOf(app string, nodes []string) string {
	var chosen string
	var least uint64
	for i, node := range nodes {
		h := fnv.New64a()
		_, _ = io.WriteString(h, node+"/"+app)
		if sum := h.Sum64(); i == 0 || sum < least {
			chosen, least = node, sum
		}
	}
	return chosen
}

// idles counts the periods in which nobody used anything, and reports whether the app is to be forgotten. The keeper's mu is held.
func (a *App) idles() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	unused := a.sessions.Load() == 0 && a.rooms <= 0 // while it has rooms their number stays known
	for k := range kinds {
		unused = unused && a.others.parts[k].used == 0 && a.demand[k] == 0
		if k < counts {
			unused = unused && a.inUse(k) == 0
		}
	}
	if a.idle++; !unused {
		a.idle = 0
	}
	return a.idle > idlePeriods
}
