package quota

import "math"

// kind is one of an app's quotas that are of the whole cluster.
type kind int

// The kinds: three counts, then two rates.
const (
	connections kind = iota
	members
	rooms
	messages
	bytes
	kinds
)

const counts = messages // those below it

var kindNames = [kinds]string{"connections", "members", "rooms", "messages", "bytes"}

// floor is the part of a rate that is divided evenly among the nodes, whatever their demand, so that one that had none can begin.
const floor = 0.1

// part is what one node uses of a quota, what it claims, and what it was asked for in a second. Of a rate that is what it uses.
type part struct{ used, claim, wanted float64 }

// share is by what a node decides what it claims.
type share struct {
	nodes int   // that are alive, this one included; 0 if that is not known
	rank  int   // of this node among them
	turn  int64 // a number that rises, the same on all nodes
}

// count is the next claim of a count: what is used, and of what is left of the limit one half in even parts and the other by demand.
// What cannot be divided goes to the nodes in turns: turn is 1 for the node whose turn it is.
func (s share) count(limit float64, own, others part) (claim, turn float64) {
	if s.nodes == 0 {
		return own.used, 0
	}
	n := float64(s.nodes)
	free := max(0, limit-own.used-others.used)
	claim = own.used
	if all := own.wanted + others.wanted; all > 0 {
		half := math.Floor(free / 2)
		claim += math.Floor((free-half)/n) + math.Floor(half*own.wanted/all)
	} else {
		claim += math.Floor(free / n)
	}
	if free > 0 && (int64(s.rank)+s.turn)%int64(s.nodes) == 0 {
		turn = 1
	}
	return claim, turn
}

// rate is the next claim of a rate: a part by demand, and the floor.
func (s share) rate(limit, demand, others float64) float64 {
	if s.nodes == 0 {
		return 0
	}
	even := limit / float64(s.nodes)
	if demand+others <= 0 {
		return even
	}
	return floor*even + (1-floor)*limit*demand/(demand+others)
}

// even is what a node may use of a quota, and is counted for by the others, that has told nothing of it.
func even(k kind, limit float64, nodes int) float64 {
	if nodes == 0 {
		return 0
	}
	part := limit / float64(nodes)
	switch {
	case k == rooms: // how many there are is not known
		return min(math.Floor(part), max(1, math.Floor(part/4)))
	case k < counts:
		return math.Floor(part)
	}
	return part
}
