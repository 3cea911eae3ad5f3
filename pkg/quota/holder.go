package quota

import (
	"net/netip"
	"sync"
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
	for i, perSecond := range [rateCount]int{q.MessagesPerSecond, q.BytesPerSecond, q.JoinsPerSecond} {
		if perSecond == 0 {
			continue
		}
		burst := perSecond
		if i == byteRate {
			burst = max(burst, messageBytes)
		}
		all[i] = rate.NewLimiter(rate.Limit(perSecond), burst)
	}
	return all
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

// holderKey is a user or an address of an app.
type holderKey struct {
	app    string
	user   string       // "" of an address
	prefix netip.Prefix // not valid of a user
}

// holder is what the sessions of a user, or from an address, have together.
type holder struct {
	key holderKey // immutable

	mu          sync.Mutex
	connections int
	ended       time.Time // when the last session did
	quotas      auth.HolderQuotas
	rates       limiters
}

// holders are those of this node. One that nobody needs any more is forgotten.
type holders struct {
	most    int
	metrics *metrics

	mu    sync.Mutex
	all   map[holderKey]*holder
	swept time.Time
}

func newHolders(most int, m *metrics) *holders {
	return &holders{most: most, metrics: m, all: make(map[holderKey]*holder)}
}

// enter counts a connection of a holder. With back it is never refused. It gives nil when there are too many holders: then nobody
// is held to anything, which costs others less than that nobody new is let in.
func (h *holders) enter(key holderKey, quotas auth.HolderQuotas, messageBytes int, back bool) (*holder, bool) {
	h.mu.Lock()
	defer h.mu.Unlock() // held throughout: one that is found is not forgotten before it is counted
	found := h.all[key]
	if found == nil {
		if now := time.Now(); len(h.all) >= h.most && now.Sub(h.swept) > time.Second {
			h.sweepLocked(now)
		}
		if len(h.all) >= h.most {
			h.metrics.untrackedHolders.Inc()
			return nil, true
		}
		found = &holder{key: key}
		h.all[key] = found
		h.metrics.holders.Set(float64(len(h.all)))
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	found.keepTo(quotas, messageBytes)
	if !back && quotas.Connections > 0 && found.connections >= quotas.Connections {
		return nil, false
	}
	found.connections++
	return found, true
}

// keepTo takes quotas that have changed. mu is held.
func (h *holder) keepTo(quotas auth.HolderQuotas, messageBytes int) {
	if h.quotas != quotas {
		h.quotas, h.rates = quotas, newLimiters(quotas.RateQuotas, messageBytes)
	}
}

// take is the package's take of one of the holder's rates.
func (h *holder) take(which, n int, quotas auth.HolderQuotas, messageBytes int, now time.Time) (time.Duration, bool) {
	h.mu.Lock()
	h.keepTo(quotas, messageBytes)
	limiter := h.rates[which]
	h.mu.Unlock()
	return take(limiter, n, now)
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
	for key, one := range h.all {
		one.mu.Lock()
		if one.connections == 0 && now.Sub(one.ended) > holderRest {
			delete(h.all, key)
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
