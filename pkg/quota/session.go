package quota

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Refusal is why something is refused for a quota.
type Refusal struct {
	// Quota is what there would be too much of: connections, members, rooms, messages, bytes or joins; Scope is whose quota it is: app,
	// user, ip or session.
	Quota, Scope string
	// Passing is set when it passes by itself: a rate, or a count of which there is something left that other gateways have
	// claimed. Otherwise somebody has to go first.
	Passing bool
	// RetryAfter is when it can be tried again.
	RetryAfter time.Duration
}

const (
	leastRetry = 10 * time.Millisecond
	mostRetry  = 10 * time.Second
	// fullRetry is when to come again where somebody has to go first.
	fullRetry = 5 * time.Second
)

// refuse counts a refusal. after is when there will be enough, 0 if that is not known.
func (k *Keeper) refuse(what kind, of scope, passing bool, after time.Duration) *Refusal {
	k.metrics.refused[what][of].Inc()
	switch {
	case after > 0:
	case passing:
		after = k.opts.Period
	default:
		after = fullRetry
	}
	after = min(max(after, leastRetry), mostRetry)
	after += time.Duration(rand.Int64N(int64(after)/4 + 1)) // not all at once
	return &Refusal{Quota: refusedNames[what], Scope: scopeNames[of], Passing: passing, RetryAfter: after}
}

// Session is one session, as far as quotas go. Its methods are called from one goroutine at a time.
type Session struct {
	app          *App
	user, prefix *holder // nil where there are no quotas
	limits       *limits // those that rates are made by
	rates        limiters
}

// Enter counts a session of a user from an address, or refuses it. One that comes back was let in before, and is counted whatever
// there is.
func (k *Keeper) Enter(app, user string, address netip.Addr, back bool) (*Session, *Refusal) {
	s := &Session{app: k.app(app)}
	l := s.app.limits.Load()
	var passing, ok bool
	if prefix := Prefix(address); prefix.IsValid() && l.PerIP != (auth.HolderQuotas{}) {
		if s.prefix, passing, ok = k.holders.enter(prefixID(app, prefix), l.PerIP, back); !ok {
			s.leave()
			return nil, k.refuse(connections, ofIP, passing, 0)
		}
	}
	if l.PerUser != (auth.HolderQuotas{}) {
		if s.user, passing, ok = k.holders.enter(userID(app, user), l.PerUser, back); !ok {
			s.leave()
			return nil, k.refuse(connections, ofUser, passing, 0)
		}
	}
	if refusal := s.app.take(connections, back); refusal != nil {
		s.leave()
		return nil, refusal
	}
	return s, nil
}

// Leave counts the session out.
func (s *Session) Leave() {
	s.app.free(connections)
	s.leave()
}

// leave is Leave for a session that its app has not counted.
func (s *Session) leave() {
	for _, h := range []*holder{s.user, s.prefix} {
		if h != nil {
			h.leave()
		}
	}
	s.app.sessions.Add(-1)
}

// App is the session's app.
func (s *Session) App() *App { return s.app }

// Message counts a message with so many bytes of data, or refuses it. Where an app has no quotas of messages it costs a few
// nanoseconds.
func (s *Session) Message(size int) *Refusal {
	l := s.app.limits.Load()
	if !l.messages {
		return nil
	}
	now := time.Now()
	if refusal := s.take(l, messageRate, 1, now); refusal != nil {
		return refusal
	}
	if refusal := s.take(l, byteRate, size, now); refusal != nil {
		return refusal
	}
	return s.app.takeMessage(l, size, now)
}

// Join counts an attempt to join a room, or refuses it.
func (s *Session) Join() *Refusal {
	l := s.app.limits.Load()
	if !l.joins {
		return nil
	}
	return s.take(l, joinRate, 1, time.Now())
}

// take takes from the rates of the session, its user and its address, the narrowest first: who is refused by one of them takes nothing of
// those that are shared with others.
func (s *Session) take(l *limits, which, n int, now time.Time) *Refusal {
	k := s.app.keeper
	if s.limits != l {
		s.limits, s.rates = l, newLimiters(l.PerSession, k.opts.MessageBytes)
	}
	if wait, ok := take(s.rates[which], n, now); !ok {
		return k.refuse(rateKinds[which], ofSession, true, wait)
	}
	if s.user != nil {
		if wait, ok := k.holders.take(s.user, which, n, l.PerUser, now); !ok {
			return k.refuse(rateKinds[which], ofUser, true, wait)
		}
	}
	if s.prefix != nil {
		if wait, ok := k.holders.take(s.prefix, which, n, l.PerIP, now); !ok {
			return k.refuse(rateKinds[which], ofIP, true, wait)
		}
	}
	return nil
}

// take counts one more of a count, or refuses it.
func (a *App) take(k kind, back bool) *Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	limit := a.limits.Load().of(k)
	a.asked[k].Add(1)
	if limit > 0 && !back && a.inUse(k)+1 > a.most[k] {
		passing := a.inCluster(k) < limit
		return a.keeper.refuse(k, ofApp, passing, 0)
	}
	a.used[k]++
	return nil
}

func (a *App) free(k kind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used[k]--
}

// takeRate takes n tokens of one of the app's rates, or refuses them.
func (a *App) takeRate(k kind, n int, now time.Time) *Refusal {
	a.asked[k].Add(int64(n))
	if wait, ok := take(a.rates[k], n, now); !ok {
		return a.keeper.refuse(k, ofApp, true, wait)
	}
	return nil
}

// takeMessage takes a message with so many bytes of data from the app's rates, or refuses it.
func (a *App) takeMessage(l *limits, size int, now time.Time) *Refusal {
	if l.MessagesPerSecond > 0 {
		if refusal := a.takeRate(messages, 1, now); refusal != nil {
			return refusal
		}
	}
	if l.BytesPerSecond > 0 {
		return a.takeRate(bytes, size, now)
	}
	return nil
}

// TakeSeat counts a seat that a session asks for, or refuses it.
func (a *App) TakeSeat() *Refusal { return a.take(members, false) }

// AddSeat counts a seat that a session comes back for.
func (a *App) AddSeat() { _ = a.take(members, true) }

// FreeSeat counts a seat out.
func (a *App) FreeSeat() { a.free(members) }

// TakeRoom counts a join that may make a room, or refuses that. RoomAnswered must follow where it does not.
func (a *App) TakeRoom() *Refusal { return a.take(rooms, false) }

// RoomAnswered tells whether a room was made by a join that TakeRoom has counted.
func (a *App) RoomAnswered(made bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used[rooms]--
	if made {
		a.made[0]++
	}
}

// inCluster is what the whole cluster uses of a kind. mu is held.
func (a *App) inCluster(k kind) float64 {
	if k >= counts {
		return a.demand[k] + a.others.parts[k].used
	}
	used := a.inUse(k) + a.others.parts[k].used
	if k == rooms {
		used += max(a.rooms, 0)
	}
	return used
}

// cluster is what the whole cluster uses of each kind.
func (a *App) cluster() (used [kinds]float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range kinds {
		used[k] = a.inCluster(k)
	}
	return used
}
