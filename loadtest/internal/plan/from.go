package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// neverParked is the gateways' flag with which connections stay awake.
const neverParked = "--listen.park_after=0s"

// Of runs, with gateways' defaults: after how long they have parked what is silent, and how often they ping each connection.
const (
	parkedAfter = 12 * time.Second
	pingedEvery = 25 * time.Second
)

// role is what a run is for. What does not fit any is left out.
type role int

const (
	callTrickle role = iota
	callBurst
	callSaturated
	callFresh
	fanoutSteady
	fanoutSaturated
	fanoutNarrow
	fanoutBroad
	fanoutLog
	joinSteady
	joinSaturated
	idleEmpty
	idleAwake
	idleParked
	seatsParked
	seatsMany
	roles
)

// hows say how to get a run for each role.
var hows = [roles]string{
	callTrickle:     "call -rate 100 -clients 256 -gap 5ms",
	callBurst:       "call -rate 100 -clients 256",
	callSaturated:   "call",
	callFresh:       "call -fresh -rate 50 -sources 8",
	fanoutSteady:    "fanout -rate 100",
	fanoutSaturated: "fanout",
	fanoutNarrow:    "fanout -nodes 2 -clients 8 -capacity 8 -rate 300 (the same rate and clients as with more nodes)",
	fanoutBroad:     "fanout -nodes 8 -clients 8 -capacity 8 -rate 300 (the same rate and clients as with 2 nodes)",
	fanoutLog:       "fanout -clients 8 -capacity 8 -rate 40 -warmup 1s -duration 4s (less than what a room's log holds)",
	joinSteady:      "join -rate 300",
	joinSaturated:   "join",
	idleEmpty:       "idle -clients 10",
	idleAwake:       "idle -gateway-flag=" + neverParked,
	idleParked:      "idle -warmup 12s -duration 25s",
	seatsParked:     "idle -seats -duration 30s",
	seatsMany:       "idle -seats -capacity 20",
}

// MissingError is a set of runs that lacks some.
type MissingError struct{ Runs []string }

func (e *MissingError) Error() string {
	return "the results lack runs that the model needs; `make loadtest-plan-measure` makes all of them, or\n  loadtest " +
		strings.Join(e.Runs, "\n  loadtest ")
}

// rolesOf gives what a run is good for.
func rolesOf(r *scenario.Result) []role {
	// What a single Redis costs is what the model knows: how it grows with primaries is for other runs to show.
	for _, p := range r.Processes {
		if p.Redis != nil && p.Redis.Bus != nil {
			return nil
		}
	}
	s := r.Settings
	switch s.Kind {
	case scenario.Call:
		switch {
		case s.Fresh && s.Rate > 0 && s.Gap == 0:
			return []role{callFresh}
		case s.Fresh || s.Gap > 0 && s.Rate == 0:
		case s.Gap > 0:
			return []role{callTrickle}
		case s.Rate > 0:
			return []role{callBurst}
		default:
			return []role{callSaturated}
		}
	case scenario.Fanout:
		switch {
		case s.Rate == 0 && s.Clients >= manyReceivers:
			return []role{fanoutSaturated}
		case s.Rate == 0:
		case s.Rate*(s.WarmUp+s.Duration).Seconds() <= logSafe:
			return []role{fanoutLog}
		case s.Clients >= manyReceivers:
			return []role{fanoutSteady}
		case s.Nodes <= 2:
			return []role{fanoutNarrow}
		default:
			return []role{fanoutBroad}
		}
	case scenario.Join:
		switch {
		case s.Rounds > 0:
		case s.Rate > 0:
			return []role{joinSteady}
		default:
			return []role{joinSaturated}
		}
	case scenario.Idle:
		return idleRoles(r)
	}
	return nil
}

// Of runs with broadcasts: how many messages a log holds for certain, and from how many receivers on it is deliveries that cost.
const (
	logSafe       = 250
	manyReceivers = 50
)

func idleRoles(r *scenario.Result) []role {
	s := r.Settings
	awake := slices.Contains(r.Flags, neverParked)
	switch {
	case s.Seats && s.Capacity > 2:
		return []role{seatsMany}
	case s.Seats && !awake && s.WarmUp+s.Duration >= parkedAfter:
		return []role{seatsParked}
	case s.Seats:
	case s.Clients <= fewConnections:
		return []role{idleEmpty}
	case awake:
		return []role{idleAwake}
	case s.WarmUp >= parkedAfter && s.Duration >= pingedEvery:
		return []role{idleParked}
	}
	return nil
}

// fewConnections are none to speak of.
const fewConnections = 10

// runs are those of each role.
type runs [roles][]*scenario.Result

// From works constants out of runs of our gateways in the native protocol: those of the scenarios that the model needs, in
// any order, several of each or one. Others are left out, but not one that has not passed.
func From(results []*scenario.Result) (*Constants, error) {
	var by runs
	c := &Constants{}
	for _, r := range results {
		if r.Driver != "native" {
			continue
		}
		for _, role := range rolesOf(r) {
			if !r.Passed {
				return nil, fmt.Errorf("%s of %s has not passed: %s", r.Settings.Name, r.Started.Format(time.RFC3339), strings.Join(r.Reasons, "; "))
			}
			if err := complete(r); err != nil {
				return nil, err
			}
			by[role] = append(by[role], r)
			c.Measured.Runs++
			if r.Started.After(c.Measured.When) {
				c.Measured.When, c.Measured.Machine = r.Started.UTC().Truncate(time.Second), r.Machine
			}
		}
	}
	missing := new(MissingError)
	for role, some := range by {
		if len(some) == 0 {
			missing.Runs = append(missing.Runs, hows[role])
		}
	}
	if len(missing.Runs) > 0 {
		return nil, missing
	}
	by.costs(c)
	by.memory(c)
	return c, c.validate()
}

// complete has a run say what its servers used: those that were attached to may not.
func complete(r *scenario.Result) error {
	servers, redis := 0, 0
	for _, p := range r.Processes {
		switch {
		case p.Kind == measure.Server:
			servers++
		case p.Kind == measure.Redis && p.Redis != nil && p.Redis.EndBytes > 0:
			redis++
		}
	}
	if servers == 0 || redis == 0 || r.Seconds <= 0 {
		return fmt.Errorf("%s of %s does not say what its gateways and its Redis used", r.Settings.Name, r.Started.Format(time.RFC3339))
	}
	return nil
}

// each gives the median of a cost over the runs of a role.
func (by *runs) each(of role, cost func(*scenario.Result) Cost) Cost {
	var costs []Cost
	for _, r := range by[of] {
		costs = append(costs, cost(r))
	}
	return medianCost(costs)
}

// median gives the median of a figure over the runs of a role.
func (by *runs) median(of role, figure func(*scenario.Result) float64) float64 {
	var values []float64
	for _, r := range by[of] {
		values = append(values, figure(r))
	}
	return measure.Median(values)
}

// costs works out what work takes. A call's cost is that of its joins, as they are measured alone, and of its messages, which
// have the rest: together they are what a call was measured to cost.
func (by *runs) costs(c *Constants) {
	joins := func(of role) Cost {
		return by.each(of, func(r *scenario.Result) Cost { return used(r).Over(some(r.Work.Joins)) })
	}
	messages := func(of role, join Cost) Cost {
		return by.each(of, func(r *scenario.Result) Cost {
			return used(r).Minus(float64(r.Work.Joins), join).Over(some(r.Work.Direct))
		})
	}
	// The cost of a delivery has that of the message in it, shared by a hundred receivers.
	deliveries := func(of role) Cost {
		return by.each(of, func(r *scenario.Result) Cost {
			cost := used(r).Over(some(r.Work.Received))
			return Cost{Gateway: cost.Gateway, Received: max(cost.Received-float64(r.Settings.PayloadBytes), 0)}
		})
	}
	steady, saturated := joins(joinSteady), joins(joinSaturated)
	c.Rates = map[Pace]Rates{
		Trickle:   {Join: steady, Message: messages(callTrickle, steady), Delivery: deliveries(fanoutSteady)},
		Burst:     {Join: steady, Message: messages(callBurst, steady), Delivery: deliveries(fanoutSteady)},
		Saturated: {Join: saturated, Message: messages(callSaturated, saturated), Delivery: deliveries(fanoutSaturated)},
	}
	c.MessagesPerCall = by.median(callBurst, func(r *scenario.Result) float64 { return float64(2 + r.Settings.Candidates/2*2) })
	c.JoinsPerCall = 2 // there are two parties
	c.Connect = by.each(callFresh, func(r *scenario.Result) Cost {
		w := r.Work
		return used(r).Minus(float64(w.Joins), steady).Minus(float64(w.Direct), c.Rates[Burst].Message).Over(some(w.Connects))
	})
	c.Node = by.each(idleParked, func(r *scenario.Result) Cost {
		cost := used(r).Over(float64(r.Settings.Nodes) * r.Seconds)
		return Cost{Redis: cost.Redis, RedisIn: cost.RedisIn, RedisOut: cost.RedisOut, Published: cost.Published}
	})
	c.Node.Gateway = by.each(idleEmpty, func(r *scenario.Result) Cost { return used(r).Over(float64(r.Settings.Nodes) * r.Seconds) }).Gateway
	c.Connection = by.each(idleParked, func(r *scenario.Result) Cost {
		cost := used(r).Minus(float64(r.Settings.Nodes)*r.Seconds, c.Node).Over(max(r.Work.Open, 1) * r.Seconds)
		return Cost{Gateway: cost.Gateway, Sent: cost.Sent, Received: cost.Received}
	})
	by.broadcasts(c)
}

// broadcasts works out what messages to many take beside deliveries: the same load on few gateways and on many tells what
// each further one adds.
func (by *runs) broadcasts(c *Constants) {
	perMessage := func(r *scenario.Result) Cost { return used(r).Over(some(r.Work.Broadcasts)) }
	nodes := func(of role) float64 {
		return by.median(of, func(r *scenario.Result) float64 { return float64(min(r.Settings.Nodes, r.Settings.Clients)) })
	}
	narrow, broad := by.each(fanoutNarrow, perMessage), by.each(fanoutBroad, perMessage)
	payload := by.median(fanoutNarrow, func(r *scenario.Result) float64 { return float64(r.Settings.PayloadBytes) })
	receivers := by.median(fanoutNarrow, func(r *scenario.Result) float64 { return float64(r.Settings.Clients) })
	further := max(nodes(fanoutBroad)-nodes(fanoutNarrow), 1)
	step := broad.Minus(1, narrow).Over(further)
	c.Inbox = Cost{Gateway: step.Gateway, Redis: step.Redis, RedisOut: step.RedisOut, Published: step.Published}
	c.Inbox = c.Inbox.Minus(payload, Cost{RedisOut: 1})
	first := narrow.Minus(nodes(fanoutNarrow)-1, c.Inbox.Plus(payload, Cost{RedisOut: 1}))
	first = first.Minus(payload, Cost{Sent: 1, RedisIn: 1, RedisOut: 1}).Minus(receivers, Cost{Received: c.Rates[Trickle].Delivery.Received + payload})
	c.Broadcast = Cost{Sent: first.Sent, Received: first.Received, RedisIn: first.RedisIn, RedisOut: first.RedisOut, Published: first.Published}
}

// memory works out what is held. Seats in rooms of two sizes tell what of a room is its own.
func (by *runs) memory(c *Constants) {
	connection := func(r *scenario.Result) float64 { return r.Figures[scenario.FigureConnectionKiB] }
	m := &c.Memory
	m.GatewayMiB = by.median(idleParked, func(r *scenario.Result) float64 { return r.Figures[scenario.FigureBaseMiB] })
	m.ParkedKiB, m.AwakeKiB = by.median(idleParked, connection), by.median(idleAwake, connection)
	m.GatewayBusyMiB = by.median(callSaturated, func(r *scenario.Result) float64 {
		return max((gatewaysMiB(r)-r.Work.Open*m.AwakeKiB/1024)/float64(r.Settings.Nodes), m.GatewayMiB)
	})
	m.SeatKiB = max(by.median(seatsParked, connection)-m.ParkedKiB, 0)
	m.GatewayFiles = by.median(idleParked, func(r *scenario.Result) float64 {
		most := 0
		for _, p := range r.Processes {
			if p.Kind == measure.Server {
				most = max(most, p.BaseFiles)
			}
		}
		return float64(most)
	})
	m.RedisMiB = by.median(idleEmpty, func(r *scenario.Result) float64 { return float64(redisOf(r).EndBytes) / (1 << 20) })
	seat := func(r *scenario.Result) float64 {
		return max(float64(redisOf(r).EndBytes)-m.RedisMiB*(1<<20), 0) / float64(r.Settings.Clients)
	}
	capacity := func(r *scenario.Result) float64 { return float64(r.Settings.Capacity) }
	small, large := by.median(seatsParked, seat), by.median(seatsMany, seat)
	m.RedisRoomBytes = max(small-large, 0) / (1/by.median(seatsParked, capacity) - 1/by.median(seatsMany, capacity))
	m.RedisSeatBytes = max(small-m.RedisRoomBytes/by.median(seatsParked, capacity), 0)
	m.RedisMessageBytes = by.median(fanoutLog, func(r *scenario.Result) float64 {
		redis := redisOf(r)
		each := float64(redis.EndBytes-redis.BeginBytes) / some(r.Work.Broadcasts)
		return max(each-float64(r.Settings.PayloadBytes), 0)
	})
}

// gatewaysMiB is what all gateways of a run held at its end.
func gatewaysMiB(r *scenario.Result) float64 {
	held := 0.0
	for _, p := range r.Processes {
		if p.Kind == measure.Server {
			held += p.EndMiB
		}
	}
	return held
}

// redisOf gives what a run's Redis says of itself; complete has made sure that it does.
func redisOf(r *scenario.Result) scenario.RedisUse {
	for _, p := range r.Processes {
		if p.Redis != nil {
			return *p.Redis
		}
	}
	return scenario.RedisUse{}
}

// some is a number of things to share among, of which a run that has passed has some.
func some(n int64) float64 { return max(float64(n), 1) }
