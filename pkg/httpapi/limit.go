package httpapi

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits hold each key to its rate.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu   sync.Mutex
	keys map[string]*rate.Limiter // guarded by mu
}

// maxLimiters is how many keys are remembered. Those that have their whole burst again are like new.
const maxLimiters = 4096

func newLimits(perSecond, burst int) *limits {
	return &limits{perSecond: rate.Limit(perSecond), burst: burst, keys: make(map[string]*rate.Limiter)}
}

// take takes one request of a key, or tells how long to wait for the next.
func (l *limits) take(key string) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.keys[key]
	if limiter == nil {
		if len(l.keys) >= maxLimiters {
			l.forget()
		}
		limiter = rate.NewLimiter(l.perSecond, l.burst)
		l.keys[key] = limiter
	}
	now := time.Now()
	if limiter.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - limiter.TokensAt(now)
	return time.Duration(math.Ceil(missing / float64(l.perSecond) * float64(time.Second))), false
}

// forget drops the keys that have not been used for so long that they have their whole burst again.
func (l *limits) forget() {
	for key, limiter := range l.keys {
		if limiter.Tokens() >= float64(l.burst) {
			delete(l.keys, key)
		}
	}
}
