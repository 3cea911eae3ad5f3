package auth

import (
	"sync"
	"time"
)

// Revocation says of a user, or of a session, that what it was given before a time does not count any more: tokens of the user that
// were issued by then, and the resume token of the session.
type Revocation struct {
	App string
	// User or Session is set, not both.
	User    string
	Session string
	// At is from when on what is issued counts, to the second, as tokens have no more: what is of the same second does not.
	At time.Time
	// Until is when nothing is left that it is about.
	Until time.Time
}

// subject is who a revocation is about.
type subject struct{ app, user, session string }

// pruneInterval is how often revocations are looked through for those that are over.
const pruneInterval = time.Minute

// revocations are those that count. The zero value has none.
type revocations struct {
	mu        sync.RWMutex
	bySubject map[subject]Revocation // the latest of each
	pruned    time.Time
}

// add notes a revocation, and forgets those that are over.
func (r *revocations) add(revocation Revocation, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bySubject == nil {
		r.bySubject = make(map[subject]Revocation)
	}
	if now.Sub(r.pruned) >= pruneInterval {
		r.pruned = now
		for who, other := range r.bySubject {
			if !now.Before(other.Until) {
				delete(r.bySubject, who)
			}
		}
	}
	who := subject{revocation.App, revocation.User, revocation.Session}
	if known, ok := r.bySubject[who]; ok && known.At.After(revocation.At) {
		return
	}
	r.bySubject[who] = revocation
}

// refuses reports whether an identity, or its session, which may be "", was revoked.
func (r *revocations) refuses(id *Identity, session string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.bySubject) == 0 {
		return false
	}
	if session != "" {
		if _, ok := r.bySubject[subject{id.App, "", session}]; ok {
			return true
		}
	}
	revocation, ok := r.bySubject[subject{id.App, id.User, ""}]
	return ok && revocation.covers(id)
}

// covers reports whether a revocation of a user is about what an identity was made of. A token that does not say when it was issued
// may be an old one.
func (r *Revocation) covers(id *Identity) bool { return id.Issued.Unix() <= r.At.Unix() }

// all gives those that count.
func (r *revocations) all(now time.Time) []Revocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]Revocation, 0, len(r.bySubject))
	for _, revocation := range r.bySubject {
		if now.Before(revocation.Until) {
			list = append(list, revocation)
		}
	}
	return list
}

// Revoke notes a revocation: tokens and resume tokens that it is about are refused from now on.
func (d *Directory) Revoke(r Revocation) { d.revoked.add(r, d.opts.Now()) }

// Revocations gives those that still count.
func (d *Directory) Revocations() []Revocation { return d.revoked.all(d.opts.Now()) }

// Revoked reports whether an identity, or its session, which may be "", was revoked.
func (d *Directory) Revoked(id *Identity, session string) bool { return d.revoked.refuses(id, session) }

// Lifetime is how long what an app gives out may count, at the longest: how long a revocation has to be kept. It is false if there is
// no such app.
func (d *Directory) Lifetime(app string) (time.Duration, bool) {
	a, ok := d.current.Load().apps[app]
	if !ok {
		return 0, false
	}
	return a.maxLifetime + 2*d.opts.Leeway, true
}

// errRevoked is the refusal of what was revoked.
func errRevoked() *Error { return refuse(ReasonRevoked, "this was revoked") }
