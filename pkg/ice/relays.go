package ice

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

const (
	// loadSteps is into how many steps loads are taken apart. Relays of one step are as good as each other, and clients spread over them: else all
	// that come between two lists would go to one.
	loadSteps = 10
	// believed is how many lists in a row must be without a relay until those who were told of it are told anew, and until there are none at all:
	// where Redis has lost its data, they will be back in a moment.
	believed = 3
)

// roster is the relays that clients may be told of. Immutable.
type roster struct {
	usable []store.Relay // those of the own region first, then by the step of their load, then by id
	near   int           // how many of them are of the own region
	good   map[string]*store.Relay
	// missing are those of the good ones that the last lists did not have, and how many of them in a row.
	missing map[string]int
}

// pick is the relays that a client was told of. Immutable.
type pick struct{ relays []store.Relay }

func (p *pick) list() []store.Relay {
	if p == nil {
		return nil
	}
	return p.relays
}

func loadStep(r *store.Relay) int { return int(r.Load * loadSteps) }

// newRoster gives those of some relays that clients may be told of.
func newRoster(relays []store.Relay, region string) *roster {
	r := &roster{good: make(map[string]*store.Relay, len(relays)), missing: make(map[string]int)}
	far := func(relay *store.Relay) int {
		if region == "" || relay.Region == region {
			return 0
		}
		return 1
	}
	for _, relay := range relays {
		if !relay.Draining {
			r.usable = append(r.usable, relay)
		}
	}
	slices.SortFunc(r.usable, func(a, b store.Relay) int {
		return cmp.Or(cmp.Compare(far(&a), far(&b)), cmp.Compare(loadStep(&a), loadStep(&b)), strings.Compare(a.ID, b.ID))
	})
	for n := range r.usable {
		relay := &r.usable[n]
		r.good[relay.ID] = relay
		r.near += 1 - far(relay)
	}
	return r
}

// miss notes which relays of the roster before are not listed any more, and does not believe it yet.
func (r *roster) miss(listed []store.Relay, was *roster) {
	there := make(map[string]bool, len(listed))
	for n := range listed {
		there[listed[n].ID] = true
	}
	for id, relay := range was.good {
		if lists := was.missing[id] + 1; !there[id] && lists < believed {
			r.missing[id], r.good[id] = lists, relay
		}
	}
	if len(listed) == 0 && len(r.missing) > 0 {
		r.usable, r.near = was.usable, was.near
	}
}

// choose gives the relays for a client: by nearness, then by load, and among those that are alike by chance, which is the same for the same
// client on all gateways.
func (r *roster) choose(client string, most int) []store.Relay {
	chosen := make([]store.Relay, 0, min(most, len(r.usable)))
	for at := 0; at < len(r.usable) && len(chosen) < most; {
		end := at + 1
		for end < len(r.usable) && (end < r.near) == (at < r.near) && loadStep(&r.usable[end]) == loadStep(&r.usable[at]) {
			end++
		}
		alike := slices.Clone(r.usable[at:end])
		if len(alike) > 1 {
			slices.SortFunc(alike, func(a, b store.Relay) int {
				return cmp.Or(cmp.Compare(chance(client, a.ID), chance(client, b.ID)), strings.Compare(a.ID, b.ID))
			})
		}
		chosen = append(chosen, alike[:min(len(alike), most-len(chosen))]...)
		at = end
	}
	return chosen
}

// chance is a number that a client and a relay draw together.
func chance(client, relay string) uint64 {
	hash := sha256.Sum256([]byte(relay + " " + client))
	return binary.BigEndian.Uint64(hash[:])
}

// stale reports whether who was told a pick is to be told another one.
func (r *roster) stale(p *pick, most int) bool {
	for n := range p.list() {
		told := &p.relays[n]
		if now := r.good[told.ID]; now == nil || !slices.Equal(now.URLs, told.URLs) {
			return true
		}
	}
	return len(p.list()) < min(most, len(r.usable))
}

// same reports whether nobody has to be told of the change from one roster to another.
func (r *roster) same(other *roster) bool {
	if len(r.good) != len(other.good) {
		return false
	}
	for id, relay := range r.good {
		if was := other.good[id]; was == nil || !slices.Equal(was.URLs, relay.URLs) {
			return false
		}
	}
	return true
}

// pick gives the relays for a client. Those who get the same share it: it is what a session keeps of what its client was told.
func (i *Issuer) pick(app, user string) *pick {
	r := i.relays.Load()
	if len(r.usable) == 0 {
		return nil
	}
	chosen := r.choose(app+"/"+user, i.opts.Relays.Most)
	var key strings.Builder
	for n := range chosen {
		key.WriteString(chosen[n].ID)
		key.WriteByte(' ')
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	shared := i.picks[key.String()]
	if shared == nil || r.stale(shared, 0) {
		shared = &pick{relays: chosen}
		i.picks[key.String()] = shared
	}
	return shared
}

// follow lists the relays until ctx ends.
func (i *Issuer) follow(ctx context.Context) {
	ticker := time.NewTicker(i.opts.Relays.Interval)
	defer ticker.Stop()
	for first := true; ; first = false {
		i.list(ctx)
		if first {
			close(i.ready)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// list asks which relays there are. When that cannot be told, those that were known stay.
func (i *Issuer) list(ctx context.Context) {
	relays, err := i.opts.Relays.List(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		i.metrics.failures.Inc()
		if !i.failing {
			i.opts.Logger.Warn("the relays cannot be listed: clients are told of those that were there before", "error", err)
		}
		i.failing = true
		return
	}
	if i.failing {
		i.opts.Logger.Info("the relays are listed again", "relays", len(relays))
	}
	i.failing = false
	i.read.Store(time.Now().UnixNano())
	i.take(relays)
}

// take has clients told of some relays from now on.
func (i *Issuer) take(relays []store.Relay) {
	fresh, was := newRoster(relays, i.opts.Relays.Region), i.relays.Load()
	fresh.miss(relays, was)
	i.relays.Store(fresh)
	i.metrics.usable.Set(float64(len(fresh.usable)))
	i.metrics.draining.Set(float64(len(relays) - len(fresh.usable)))
	if fresh.same(was) {
		return
	}
	i.opts.Logger.Info("the relays have changed", "usable", len(fresh.usable), "draining", len(relays)-len(fresh.usable))
	i.mu.Lock()
	for key, shared := range i.picks {
		if fresh.stale(shared, 0) {
			delete(i.picks, key)
		}
	}
	i.mu.Unlock()
	i.nudge()
}

// age is how long ago it was told which relays there are; before the first time, how old the issuer is.
func (i *Issuer) age() time.Duration {
	switch read := i.read.Load(); {
	case i.opts.Relays.List == nil:
		return 0
	case read == 0:
		return time.Since(i.started)
	default:
		return time.Since(time.Unix(0, read))
	}
}
