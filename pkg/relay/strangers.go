package relay

import (
	"hash/maphash"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// Who has been answered often enough, as metrics name it; beside scopeTotal.
const scopeSource = "source"

const (
	// sourceSlots is how many rates are kept, whoever asks: sources that share one are told apart by nobody. Which do cannot be known.
	sourceSlots = 8192
	// sourceBurst is how many seconds' worth a source may have at once: behind one address many may come in the same moment.
	sourceBurst = 5
)

// strangers bounds how often those are answered whom nothing is known of. Requests over UDP can be sent in anybody's name.
type strangers struct {
	// immutable
	metrics *metrics
	seed    maphash.Seed
	all     *rate.Limiter
	sources [sourceSlots]*rate.Limiter
}

func newStrangers(limits Limits, m *metrics) *strangers {
	s := &strangers{metrics: m, seed: maphash.MakeSeed(), all: rate.NewLimiter(rate.Limit(limits.Answers), limits.Answers)}
	for i := range s.sources {
		s.sources[i] = rate.NewLimiter(rate.Limit(limits.SourceAnswers), sourceBurst*limits.SourceAnswers)
	}
	return s
}

// sourcePrefix is what of an IPv6 address tells who it is: the rest is for a machine to choose. Of IPv4 it is all, as whole companies have one.
const sourcePrefix = 64

// sourceOf is whom an address counts for.
func sourceOf(address netip.Addr) netip.Addr {
	address = address.Unmap()
	if address.Is4() {
		return address
	}
	network, _ := address.WithZone("").Prefix(sourcePrefix) // every address of IPv6 has one
	return network.Addr()
}

// mayAsk reports whether a source is answered once more, and counts it if not.
func (s *strangers) mayAsk(address netip.Addr) bool {
	now := time.Now()
	switch {
	case !s.sources[maphash.Comparable(s.seed, sourceOf(address))%sourceSlots].AllowN(now, 1):
		s.metrics.unanswered.WithLabelValues(scopeSource).Inc()
		return false
	case !s.all.AllowN(now, 1):
		s.metrics.unanswered.WithLabelValues(scopeTotal).Inc()
		return false
	}
	return true
}
