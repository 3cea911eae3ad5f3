package quota

import (
	"crypto/sha256"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

const (
	// holdersPause is how many periods are between looks for holders that are not needed any more.
	holdersPause = 10
	// holderRest is for how long one without a connection is remembered: its rates are what they would be if it were new by then.
	holderRest = 2 * time.Second
)

// The rates of sessions and holders.
const (
	messageRate = iota
	byteRate
	joinRate
	rateCount
)

var rateKinds = [rateCount]kind{messages, bytes, joins}

// limiters are token buckets of one second each; nil ones have no limit.
type limiters [rateCount]*rate.Limiter

func newLimiters(q auth.RateQuotas, messageBytes int) limiters {
	var all limiters
	for i, most := range perSecond(&q) {
		if most > 0 {
			all[i] = rate.NewLimiter(rate.Limit(most), burstOf(rateKinds[i], most, messageBytes))
		}
	}
	return all
}

// perSecond are the limits of the rates; 0 is none.
func perSecond(q *auth.RateQuotas) [rateCount]float64 {
	return [rateCount]float64{float64(q.MessagesPerSecond), float64(q.BytesPerSecond), float64(q.JoinsPerSecond)}
}

// burstOf is how much of a rate can be taken at once: that of a second, and of bytes a message in any case.
func burstOf(k kind, most float64, messageBytes int) int {
	burst := int(math.Ceil(most))
	if k == bytes && most > 0 {
		burst = max(burst, messageBytes)
	}
	return burst
}

// take takes n tokens, or tells after how long there would be as many. As many as the bucket holds are enough for whatever is larger.
func take(limiter *rate.Limiter, n int, now time.Time) (wait time.Duration, ok bool) {
	if limiter == nil {
		return 0, true
	}
	burst := limiter.Burst()
	n = min(n, burst)
	switch {
	case burst == 0: // no share at the moment
		return 0, false
	case limiter.AllowN(now, n):
		return 0, true
	}
	reservation := limiter.ReserveN(now, n)
	wait = reservation.DelayFrom(now)
	reservation.CancelAt(now)
	return wait, false
}

// holderID stands for a user or an address of an app: a hash, so that all gateways tell of it in a few bytes, and nobody can be given
// the same one as somebody of another app.
type holderID [12]byte

func userID(app, user string) holderID { return hashed("user", app, user) }

func prefixID(app string, prefix netip.Prefix) holderID {
	return hashed("address", app, prefix.String())
}

func hashed(what, app, name string) holderID {
	sum := sha256.Sum256([]byte(what + "\x00" + app + "\x00" + name)) // no app's id has a zero byte
	return holderID(sum[:len(holderID{})])
}

// holder is what the sessions of a user, or from an address, have together.
type holder struct {
	id holderID // immutable

	noticed atomic.Bool // it is told of, or may have to be

	mu          sync.Mutex
	connections int
	ended       time.Time // when the last session did
	refused     time.Time // since when nobody was let in for what other nodes have
	quotas      auth.HolderQuotas
	rates       limiters
	asked       [rateCount]int // since the last exchange
	shared      shared
}

// holders are those of this node. One that nobody needs any more is forgotten.
type holders struct {
	// immutable
	most, mostTold int
	period         time.Duration
	messageBytes   int
	metrics        *metrics

	nodes atomic.Int64 // that are alive, this one included; 1 where none are told of

	mu      sync.Mutex
	all     map[holderID]*holder
	noticed map[holderID]*holder
	heard   map[holderID]holding // what the other nodes have told
	swept   time.Time
}

func newHolders(opts *Options, m *metrics) *holders {
	h := &holders{
		most: opts.Holders, mostTold: opts.HoldersTold, period: opts.Period, messageBytes: opts.MessageBytes, metrics: m,
		all: make(map[holderID]*holder), noticed: make(map[holderID]*holder),
	}
	h.nodes.Store(1)
	return h
}

// enter counts a connection of a holder. With back it is never refused; passing is set where it may be let in soon. It gives nil when
// there are too many holders: then nobody is held to anything, which costs others less than that nobody new is let in.
func (h *holders) enter(id holderID, quotas auth.HolderQuotas, back bool) (entered *holder, passing, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock() // held throughout: one that is found is not forgotten before it is counted
	found := h.all[id]
	if found == nil {
		if now := time.Now(); len(h.all) >= h.most && now.Sub(h.swept) > time.Second {
			h.sweepLocked(now)
		}
		if len(h.all) >= h.most {
			h.metrics.untrackedHolders.Inc()
			return nil, false, true
		}
		found = &holder{id: id}
		h.all[id] = found
		h.metrics.holders.Set(float64(len(h.all)))
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	if !found.noticed.Load() { // what others have told is not brought to it
		found.shared.others = h.heard[id]
	}
	nodes := int(h.nodes.Load())
	found.keepTo(quotas, h.messageBytes, nodes)
	if !back && quotas.Connections > 0 && !found.mayEnter(nodes) {
		return nil, found.passes(time.Now(), Stale*h.period), false
	}
	found.refused = time.Time{}
	found.connections++
	if found.stands(nodes) {
		h.notice(found)
	}
	return found, false, true
}

// keepTo takes quotas that have changed. mu is held.
func (h *holder) keepTo(quotas auth.HolderQuotas, messageBytes, nodes int) {
	if h.quotas != quotas {
		h.quotas, h.rates = quotas, newLimiters(quotas.RateQuotas, messageBytes)
		h.share(nodes, messageBytes)
	}
}

// take is the package's take of one of the holder's rates.
func (h *holders) take(one *holder, which, n int, quotas auth.HolderQuotas, now time.Time) (time.Duration, bool) {
	one.mu.Lock()
	nodes := int(h.nodes.Load())
	one.keepTo(quotas, h.messageBytes, nodes)
	limiter := one.rates[which]
	var stands bool
	if limiter != nil {
		one.asked[which] += n
		stands = !one.noticed.Load() && one.demands(which, nodes, float64(one.asked[which])/h.period.Seconds())
	}
	one.mu.Unlock()
	if stands {
		h.mu.Lock()
		h.notice(one)
		h.mu.Unlock()
	}
	return take(limiter, n, now)
}

// notice has a holder be told of. mu is held.
func (h *holders) notice(one *holder) {
	if h.mostTold == 0 || one.noticed.Load() || h.all[one.id] != one {
		return
	}
	if len(h.noticed) >= h.mostTold {
		h.metrics.untrackedTold.Inc()
		return
	}
	h.noticed[one.id] = one
	one.noticed.Store(true)
}

func (h *holder) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connections--
	h.ended = time.Now()
}

// sweep forgets those that are not needed any more.
func (h *holders) sweep(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweepLocked(now)
}

func (h *holders) sweepLocked(now time.Time) {
	h.swept = now
	for id, one := range h.all {
		one.mu.Lock()
		if one.connections == 0 && now.Sub(one.ended) > holderRest && !one.noticed.Load() {
			delete(h.all, id)
		}
		one.mu.Unlock()
	}
	h.metrics.holders.Set(float64(len(h.all)))
}

// Prefix is the network that counts as one client address: an address of IPv4, a /64 of IPv6, as that is what one customer of a
// network has at least. Nobody is counted by an address that cannot be read.
func Prefix(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // of the zero address there is none
	return prefix
}
