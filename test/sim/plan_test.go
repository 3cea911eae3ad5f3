package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// plan is all that a seed decides: who does what and what goes wrong, at which time of the run. Nothing in it depends on how
// the run goes.
type plan struct {
	seed      uint64
	gateways  int
	rooms     int
	capacity  int
	replace   bool          // a user who comes with another session takes the own seat
	moderated bool          // who may not moderate is let in, or sent away
	keep      time.Duration // how long rooms stay when the last has left
	length    time.Duration // from when on nothing new goes wrong
	latency   time.Duration
	jitter    time.Duration
	clients   []clientPlan
	faults    []faultPlan
}

// clientPlan is the life of one client.
type clientPlan struct {
	name     string
	user     string
	noResume bool
	waits    bool // where every seat is taken
	guest    bool // who may not moderate
	at       time.Duration
	acts     []act
	endAt    time.Duration
	end      string // how it ends
	random   uint64
}

// act is one thing that a client does.
type act struct {
	at     time.Duration
	what   string
	room   string
	random uint64 // decides the rest
}

// faultPlan is one thing that goes wrong for some time.
type faultPlan struct {
	at, until time.Duration
	what      string
	node      int
	random    uint64
}

// size is how large runs are.
type size struct {
	clients int
	length  time.Duration
}

var (
	small = size{clients: 20, length: 30 * time.Second}
	large = size{clients: 250, length: 90 * time.Second}
)

// Weights of what may happen, by name: the plan draws from them.
var (
	actWeights = weights{
		{"publish", 8}, {"signal", 6}, {"echo", 3}, {"volatile", 2}, {"state", 2}, {"join", 6}, {"leave", 1}, {"kick", 1},
		{"burst", 1}, {"look", 1}, {"admit", 2}, {"deny", 1}, {"cut", 1}, {"freeze", 1}, {"halfopen", 1},
	}
	endWeights   = weights{{"leave", 3}, {"close", 3}, {"vanish", 2}, {"reload", 2}, {"stay", 4}}
	faultWeights = weights{
		{"kill", 3}, {"drain", 2}, {"freeze", 2}, {"stall", 2}, {"subsever", 3}, {"subfreeze", 3}, {"flush", 1},
		{"restart", 1}, {"pause", 1}, {"slow", 2}, {"cutredis", 2},
	}
)

func newPlan(seed uint64, s size) *plan {
	random := rand.New(rand.NewPCG(seed, 0))
	p := &plan{
		seed: seed, gateways: 2 + random.IntN(2), rooms: 2 + random.IntN(max(2, s.clients/8)), capacity: 3 + random.IntN(4), length: s.length,
		replace: random.IntN(2) == 0,
		latency: time.Duration(random.IntN(20)) * time.Millisecond,
		jitter:  time.Duration(1+random.IntN(30)) * time.Millisecond,
	}
	p.moderated = random.IntN(4) == 0
	if random.IntN(4) == 0 {
		p.keep = moment(random, time.Second, 10*time.Second)
	}
	for i := range s.clients {
		p.clients = append(p.clients, p.newClient(fmt.Sprint("c", i), random))
	}
	for range random.IntN(6) * int(s.length/small.length) {
		p.faults = append(p.faults, p.newFault(random))
	}
	slices.SortStableFunc(p.faults, func(a, b faultPlan) int { return int(a.at - b.at) })
	return p
}

// moment is a time of the run, none like another.
func moment(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)))
}

func (p *plan) newClient(name string, random *rand.Rand) clientPlan {
	c := clientPlan{name: name, user: name, noResume: random.IntN(5) == 0, at: moment(random, 0, p.length/2), random: random.Uint64()}
	c.endAt = moment(random, c.at+2*time.Second, p.length)
	c.end = endWeights.draw(random)
	c.waits, c.guest = random.IntN(3) > 0, random.IntN(2) == 0
	home := random.IntN(p.rooms)
	roomOf := func() string {
		if random.IntN(5) == 0 {
			return fmt.Sprint("room", random.IntN(p.rooms))
		}
		return fmt.Sprint("room", home)
	}
	c.acts = append(c.acts, act{at: c.at, what: "join", room: roomOf(), random: random.Uint64()})
	for at := c.at; ; {
		at += moment(random, 100*time.Millisecond, 3*time.Second)
		if at >= c.endAt {
			break
		}
		c.acts = append(c.acts, act{at: at, what: actWeights.draw(random), room: roomOf(), random: random.Uint64()})
	}
	return c
}

func (p *plan) newFault(random *rand.Rand) faultPlan {
	f := faultPlan{
		at: moment(random, 3*time.Second, p.length*3/4), what: faultWeights.draw(random), node: random.IntN(p.gateways), random: random.Uint64(),
	}
	longest := 12 * time.Second // beyond a lease, or within
	if f.what == "stall" {
		longest = 4 * time.Second // within a lease
	}
	f.until = f.at + moment(random, 200*time.Millisecond, longest)
	return f
}

// losesData reports whether Redis will lose what it has acknowledged.
func (p *plan) losesData() bool {
	return slices.ContainsFunc(p.faults, func(f faultPlan) bool { return f.what == "flush" || f.what == "restart" })
}

// standstill is for how long Redis will not answer, or hardly: in this time no seat expires.
func (p *plan) standstill() (sum time.Duration) {
	for _, f := range p.faults {
		if f.what == "pause" || f.what == "restart" || f.what == "slow" {
			sum += f.until - f.at
		}
	}
	return sum
}

// again is the command that plays it once more.
func (p *plan) again() string {
	hundreds := ""
	if len(p.clients) == large.clients {
		hundreds = "HUNDREDS=1 "
	}
	return fmt.Sprintf("replay with: make sim %sSEED=%d", hundreds, p.seed)
}

func (p *plan) String() string {
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "seed %d: %d gateways, %d clients, %d rooms of %d, latency %v and up to %v\n",
		p.seed, p.gateways, len(p.clients), p.rooms, p.capacity, p.latency, p.jitter)
	if p.moderated || p.keep > 0 {
		_, _ = fmt.Fprintf(&text, "  moderated: %v, rooms are kept for %v\n", p.moderated, p.keep)
	}
	for _, f := range p.faults {
		_, _ = fmt.Fprintf(&text, "  %v to %v: %s of g%d\n", f.at, f.until, f.what, f.node)
	}
	return text.String()
}

// weights are words with how often they come.
type weights []struct {
	word   string
	weight int
}

func (w weights) draw(random *rand.Rand) string {
	sum := 0
	for _, item := range w {
		sum += item.weight
	}
	at := random.IntN(sum)
	for _, item := range w {
		if at -= item.weight; at < 0 {
			return item.word
		}
	}
	panic("not reached")
}

// draw is a number that depends on the seed and some words.
func draw(seed uint64, words ...string) uint64 {
	h := fnv.New64a()
	for _, word := range words {
		_, _ = h.Write([]byte(word))
		_, _ = h.Write([]byte{0})
	}
	return drawOf(seed, h.Sum64())
}

// drawOf mixes two numbers (SplitMix64's finalizer).
func drawOf(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 + b
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
