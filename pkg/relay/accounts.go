package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Quotas bound what users and apps take. 0 is no limit, save for Allocations. A user without an app, of credentials that others have made,
// is bounded as a user alone.
type Quotas struct {
	// Allocations is how many there may be in all (10000, and half of the ports), UserAllocations of a user, AppAllocations of an app.
	Allocations, UserAllocations, AppAllocations int
	// BytesPerSecond is how much may be relayed in all, both ways together; UserBytesPerSecond for a user, AppBytesPerSecond for an app. What
	// comes above is dropped. As much as that may come at once after a pause, and 64 KiB in any case.
	BytesPerSecond, UserBytesPerSecond, AppBytesPerSecond int
}

func (q Quotas) validate() error {
	for _, n := range []int{q.Allocations, q.UserAllocations, q.AppAllocations, q.BytesPerSecond, q.UserBytesPerSecond, q.AppBytesPerSecond} {
		if n < 0 {
			return errors.New("a negative quota")
		}
	}
	return nil
}

// Who is at its limit, as metrics name it, and other reasons for which there is no allocation.
const (
	scopeUser  = "user"
	scopeApp   = "app"
	scopeTotal = "total"

	refusedDraining  = "draining"
	refusedPorts     = "ports"     // no free port was found
	refusedFamily    = "family"    // no external address of the family
	refusedTransport = "transport" // RFC 6062, or too many even ports
)

const (
	leastBurst = 64 << 10
	// leastSweep is how many users or apps are kept before it is looked which of them can be forgotten.
	leastSweep = 1024
)

// account is what a user or an app has.
type account struct {
	allocations int           // guarded by accounts.mu
	bucket      *rate.Limiter // nil: no limit
}

// accounts are those of all users and apps.
type accounts struct {
	// immutable
	quotas  Quotas
	metrics *metrics
	all     *rate.Limiter // nil: no limit
	relayed atomic.Int64  // bytes, both ways

	mu       sync.Mutex
	users    map[string]*account // by user's key
	apps     map[string]*account
	total    int
	draining bool
	idle     chan struct{} // closed when none is left while draining; nil before somebody waits
	sweepAt  int
	sampled  time.Time // when relayed was looked at last
	sample   int64     // what it was
}

func newAccounts(quotas Quotas, m *metrics) *accounts {
	m.allocationLimit.Set(float64(quotas.Allocations))
	return &accounts{
		quotas: quotas, metrics: m, all: bucketOf(quotas.BytesPerSecond),
		users: make(map[string]*account), apps: make(map[string]*account), sweepAt: leastSweep, sampled: time.Now(),
	}
}

func bucketOf(bytesPerSecond int) *rate.Limiter {
	if bytesPerSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), max(bytesPerSecond, leastBurst))
}

// userKey is whom quotas go by: "<app>/<pseudonym>" of an app's user, ":<user>" of others. No app's name begins with a colon.
func userKey(app, user string) string {
	if app == "" {
		return ":" + user
	}
	return app + "/" + user
}

// appOf is the app of a user's key, "" if it has none.
func appOf(key string) string {
	if strings.HasPrefix(key, ":") {
		return ""
	}
	app, _, _ := strings.Cut(key, "/")
	return app
}

// may says why the user gets no further allocation; "" if it gets one.
func (a *accounts) may(key string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusal(key)
}

// refusal is called with mu held.
func (a *accounts) refusal(key string) string {
	full := func(of map[string]*account, name string, limit int) bool {
		has := of[name]
		return limit > 0 && has != nil && has.allocations >= limit
	}
	app := appOf(key)
	switch {
	case a.draining:
		return refusedDraining
	case full(a.users, key, a.quotas.UserAllocations):
		return scopeUser
	case app != "" && full(a.apps, app, a.quotas.AppAllocations):
		return scopeApp
	case a.total >= a.quotas.Allocations:
		return scopeTotal
	}
	return ""
}

// lease is one allocation's part of its accounts.
type lease struct {
	accounts  *accounts
	user, app *account // app is nil for a user without one
	once      sync.Once
}

// open takes an allocation for a user, or says why there is none.
func (a *accounts) open(key string) (*lease, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if reason := a.refusal(key); reason != "" {
		return nil, reason
	}
	a.sweep()
	l := &lease{accounts: a, user: accountOf(a.users, key, a.quotas.UserBytesPerSecond)}
	if app := appOf(key); app != "" {
		l.app = accountOf(a.apps, app, a.quotas.AppBytesPerSecond)
		l.app.allocations++
	}
	l.user.allocations++
	a.total++
	return l, ""
}

func accountOf(of map[string]*account, name string, bytesPerSecond int) *account {
	if of[name] == nil {
		of[name] = &account{bucket: bucketOf(bytesPerSecond)}
	}
	return of[name]
}

// sweep forgets users and apps that have nothing. Who has used up its bandwidth is kept until that is over: a new allocation would
// otherwise be a new bucket.
func (a *accounts) sweep() {
	if len(a.users)+len(a.apps) < a.sweepAt {
		return
	}
	for _, of := range []map[string]*account{a.users, a.apps} {
		for name, has := range of {
			if has.allocations == 0 && (has.bucket == nil || has.bucket.Tokens() >= float64(has.bucket.Burst())) {
				delete(of, name)
			}
		}
	}
	a.sweepAt = max(leastSweep, 2*(len(a.users)+len(a.apps)))
}

// take counts bytes that are to be relayed. If they are too many it says for whom. The time is asked for each time: a bucket that is told of an
// earlier one than before fills twice in between.
func (l *lease) take(bytes int) string {
	now := time.Now()
	spent := func(bucket *rate.Limiter) bool { return bucket != nil && !bucket.AllowN(now, bytes) }
	switch {
	case spent(l.user.bucket):
		return scopeUser
	case l.app != nil && spent(l.app.bucket):
		return scopeApp
	case spent(l.accounts.all):
		return scopeTotal
	}
	l.accounts.relayed.Add(int64(bytes))
	return ""
}

// close gives the allocation back.
func (l *lease) close() {
	l.once.Do(func() {
		a := l.accounts
		a.mu.Lock()
		defer a.mu.Unlock()
		l.user.allocations--
		if l.app != nil {
			l.app.allocations--
		}
		a.total--
		if a.total == 0 && a.idle != nil {
			close(a.idle)
			a.idle = nil
		}
	})
}

// refuse has no further allocation be made.
func (a *accounts) refuse() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
	a.metrics.draining.Set(1)
}

// wait waits until there is no allocation, or ctx ends.
func (a *accounts) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.total == 0 {
		a.mu.Unlock()
		return nil
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("relay: %d allocations are left: %w", a.count(), ctx.Err())
	}
}

func (a *accounts) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

func (a *accounts) load(now time.Time) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	load := float64(a.total) / float64(a.quotas.Allocations)
	relayed, passed := a.relayed.Load(), now.Sub(a.sampled).Seconds()
	if a.quotas.BytesPerSecond > 0 && passed > 0 {
		load = max(load, float64(relayed-a.sample)/passed/float64(a.quotas.BytesPerSecond))
	}
	a.sampled, a.sample = now, relayed
	return min(load, 1)
}
