package quota

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// What a user or an address has on other gateways is known of those that stand out: gateways tell each other, with what they tell of
// apps, what each of those has there, and let in what that leaves.
//
// Of connections a gateway lets in at once its even part of what is free, and the next part when all others have heard of that one: a few
// that come to all gateways in the same moment are then at most one more than the quota for each further gateway. Nobody has to ask
// anybody where few are in use. Of a rate every gateway gives all, until another one tells that it is asked for it, too; then they
// share it as they share those of apps.

const (
	// hearing is after how many exchanges of a node all others have heard what it told in the first of them, and it has heard what they
	// have told since.
	hearing = 4
	// calmPeriods is how many periods one that does not stand out any more is told of.
	calmPeriods = 10
	// demandUnits is how fine demand is told.
	demandUnits = 10
	// maxHolding bounds what others are believed.
	maxHolding = 1 << 40
)

// holding is what one node has of a holder, or several have: connections, and what they are asked for in a second of each rate.
type holding struct {
	connections int
	demand      [rateCount]float64
}

func (h *holding) add(other holding) {
	h.connections += other.connections
	for i := range h.demand {
		h.demand[i] += other.demand[i]
	}
}

// shared is what nodes know of each other about a holder.
type shared struct {
	others  holding
	own     holding
	told    [hearing]int // connections, by this node in its last exchanges, the newest first
	telling bool         // in the exchange that is under way
	calm    int          // periods in which it did not stand out
}

// heard is how many of the node's connections all others know of: of those that have gone since, nobody knows for sure.
func (s *shared) heard() int {
	least := s.told[0]
	for _, told := range s.told {
		least = min(least, told)
	}
	return least
}

// mayEnter reports whether one connection more is let in. mu is held.
func (h *holder) mayEnter(nodes int) bool {
	limit, others, heard := h.quotas.Connections, h.shared.others.connections, h.shared.heard()
	if h.connections+others >= limit {
		return false
	}
	if nodes <= 1 || h.stands(nodes) && !h.noticed.Load() { // nobody is told of it
		return true
	}
	free := max(0, limit-heard-others)
	return h.connections < heard+(free+nodes-1)/nodes
}

// passes reports whether who was not let in should come again soon: what other nodes have may be gone already. After a while it does not
// look so any more. mu is held.
func (h *holder) passes(now time.Time, patience time.Duration) bool {
	if h.connections >= h.quotas.Connections {
		return false
	}
	if h.connections+h.shared.others.connections < h.quotas.Connections {
		return true // as soon as the others have heard
	}
	if h.refused.IsZero() || now.Sub(h.refused) > 2*patience {
		h.refused = now
	}
	return now.Sub(h.refused) < patience
}

// stands reports whether a holder stands out by its connections: it has as many as the node's even part, or has some elsewhere. mu is held.
func (h *holder) stands(nodes int) bool {
	limit := h.quotas.Connections
	if nodes <= 1 || limit == 0 || h.connections == 0 {
		return false
	}
	return h.shared.others.connections > 0 || h.connections >= (limit+nodes-1)/nodes
}

// demands reports whether a demand of a rate stands out: it is half of the node's even part, or there is some elsewhere. mu is held.
func (h *holder) demands(which, nodes int, demand float64) bool {
	if nodes <= 1 || h.rates[which] == nil || demand < quiet {
		return false
	}
	return h.shared.others.demand[which] > 0 || demand >= h.limit(which)/float64(2*nodes)
}

func (h *holder) limit(which int) float64 { return perSecond(&h.quotas.RateQuotas)[which] }

// share sets what the node gives of each rate: all of it, or its part by demand. mu is held.
func (h *holder) share(nodes, messageBytes int) {
	now := time.Now()
	for i, limiter := range h.rates {
		if limiter == nil {
			continue
		}
		most := h.limit(i)
		if others := h.shared.others.demand[i]; others > 0 {
			most = share{nodes: max(nodes, 2)}.rate(most, h.shared.own.demand[i], others)
		}
		if limiter.Limit() == rate.Limit(most) {
			continue
		}
		limiter.SetLimitAt(now, rate.Limit(most))
		limiter.SetBurstAt(now, burstOf(rateKinds[i], most, messageBytes))
	}
}

// prepare gives what the node tells of those that stand out.
func (h *holders) prepare() []byte {
	nodes := int(h.nodes.Load())
	h.mu.Lock()
	defer h.mu.Unlock()
	var text []byte
	for id, one := range h.noticed {
		one.mu.Lock()
		if one.prepare(nodes, h.period) {
			text = one.shared.own.append(append(text, id[:]...))
		} else if one.shared.calm > calmPeriods {
			one.shared = shared{others: one.shared.others}
			one.noticed.Store(false)
			delete(h.noticed, id)
		}
		one.mu.Unlock()
	}
	h.metrics.told.Set(float64(len(h.noticed)))
	return text
}

// prepare notes what the node has of a holder, and reports whether it is told. mu is held.
func (h *holder) prepare(nodes int, period time.Duration) bool {
	s := &h.shared
	s.own.connections = h.connections
	telling := h.stands(nodes)
	for i, asked := range h.asked {
		h.asked[i] = 0
		demand := demandOf(s.own.demand[i], float64(asked)/period.Seconds())
		s.own.demand[i] = demand
		telling = telling || h.demands(i, nodes, demand)
	}
	s.telling = telling
	s.told[0] = min(s.told[0], s.tells()) // from now on others may know of less, and whether they do is not known if the exchange fails
	if s.calm++; telling {
		s.calm = 0
	}
	return telling
}

// learn takes what the others have told, after an exchange that went well. nodes is how many there are, with this one.
func (h *holders) learn(nodes int, heard map[holderID]holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mostTold > 0 {
		h.nodes.Store(int64(nodes))
	}
	h.heard = heard
	for id := range heard {
		if one := h.all[id]; one != nil {
			h.notice(one)
		}
	}
	for id, one := range h.noticed {
		one.mu.Lock()
		one.shared.exchanged()
		one.shared.others = heard[id]
		one.share(nodes, h.messageBytes)
		one.mu.Unlock()
	}
}

// exchanged notes that the others can know what was told. mu of the holder is held.
func (s *shared) exchanged() {
	copy(s.told[1:], s.told[:])
	s.told[0] = s.tells()
}

// tells is how many connections the others know of, once they have heard what is told.
func (s *shared) tells() int {
	if !s.telling {
		return 0
	}
	return s.own.connections
}

// append writes a holding as decodeHoldings reads it: behind the holder's id, numbers of variable length.
func (h *holding) append(text []byte) []byte {
	text = binary.AppendUvarint(text, uint64(max(0, h.connections)))
	for _, demand := range h.demand {
		text = binary.AppendUvarint(text, uint64(math.Ceil(demand*demandUnits)))
	}
	return text
}

// decodeHoldings adds up what one node has told to what others have. Of what is not of the form it takes what comes before.
func decodeHoldings(text []byte, sum map[holderID]holding) {
	for len(text) > len(holderID{}) {
		id := holderID(text[:len(holderID{})])
		text = text[len(id):]
		var numbers [1 + rateCount]uint64
		for i := range numbers {
			value, n := binary.Uvarint(text)
			if n <= 0 || value > maxHolding {
				return
			}
			numbers[i], text = value, text[n:]
		}
		one := holding{connections: int(numbers[0])}
		for i := range one.demand {
			one.demand[i] = float64(numbers[1+i]) / demandUnits
		}
		all := sum[id]
		all.add(one)
		sum[id] = all
	}
}
