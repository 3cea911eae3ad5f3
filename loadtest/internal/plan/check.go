package plan

import (
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// Compared is one figure of a run, as the model foretells it and as it was measured.
type Compared struct {
	What               string
	Unit               string
	Foretold, Measured float64
}

// Over is the prediction over the measurement, 0 if nothing was measured.
func (c Compared) Over() float64 {
	if c.Measured == 0 {
		return 0
	}
	return c.Foretold / c.Measured
}

// Check foretells what a run used from the work that its clients did, and puts what was measured beside it.
func (c *Constants) Check(r *scenario.Result) ([]Compared, error) {
	if err := complete(r); err != nil {
		return nil, err
	}
	foretold, measured := c.Price(workOf(r), paceOf(r)), used(r)
	seconds := r.Seconds
	all := []Compared{
		{What: "gateway CPU", Unit: "cores", Foretold: foretold.Gateway / seconds / 1e6, Measured: measured.Gateway / seconds / 1e6},
		{What: "Redis CPU", Unit: "cores", Foretold: foretold.Redis / seconds / 1e6, Measured: measured.Redis / seconds / 1e6},
		c.checkMemory(r),
	}
	if r.Settings.Kind == scenario.Idle {
		if r.Settings.Seats {
			all = append(all, c.checkRedisMemory(r))
		}
		return all, nil // next to nothing is sent
	}
	rate := func(what string, foretold, measured float64) Compared {
		return Compared{What: what, Unit: "Mbit/s", Foretold: megabits(foretold / seconds), Measured: megabits(measured / seconds)}
	}
	all = append(all,
		rate("clients to gateways", foretold.Sent, measured.Sent), rate("gateways to clients", foretold.Received, measured.Received),
		rate("gateways to Redis", foretold.RedisIn, measured.RedisIn), rate("Redis to gateways", foretold.RedisOut, measured.RedisOut),
		Compared{What: "published messages", Unit: "a second", Foretold: foretold.Published / seconds, Measured: measured.Published / seconds},
	)
	return all, nil
}

// paceOf is how a run's messages came: a closed loop has its servers do as much as they can.
func paceOf(r *scenario.Result) Pace {
	s := r.Settings
	switch {
	case s.Rate == 0 && (s.Kind == scenario.Call || s.Kind == scenario.Join || s.Kind == scenario.Fanout):
		return Saturated
	case s.Kind == scenario.Call && s.Gap == 0:
		return Burst
	}
	return Trickle
}

// workOf puts what clients did into the model's terms.
func workOf(r *scenario.Result) Work {
	w := r.Work
	work := Work{
		Direct: float64(w.Direct), Broadcasts: float64(w.Broadcasts), Payload: float64(r.Settings.PayloadBytes),
		Joins: float64(w.Joins), Connects: float64(w.Connects),
		ConnectionSeconds: w.Open * r.Seconds, NodeSeconds: float64(r.Settings.Nodes) * r.Seconds,
	}
	if w.Broadcasts > 0 {
		work.Receivers = max(float64(w.Received-w.Direct)/float64(w.Broadcasts), 1)
		work.Inboxes = min(work.Receivers, float64(r.Settings.Nodes))
	}
	return work
}

// checkMemory is of all gateways at the end, when connections that have come and gone meanwhile have left their memory behind.
func (c *Constants) checkMemory(r *scenario.Result) Compared {
	each, own := max(c.Memory.AwakeKiB, c.Memory.ParkedKiB), c.Memory.GatewayBusyMiB
	if r.Settings.Kind == scenario.Idle {
		own = c.Memory.GatewayMiB
		if r.Settings.WarmUp+r.Settings.Duration >= parkedAfter {
			each = c.Memory.ParkedKiB
		}
	}
	if r.Settings.Kind != scenario.Idle || r.Settings.Seats {
		each += c.Memory.SeatKiB
	}
	return Compared{What: "gateway memory", Unit: "MiB", Foretold: float64(r.Settings.Nodes)*own + r.Work.Open*each/1024, Measured: gatewaysMiB(r)}
}

func (c *Constants) checkRedisMemory(r *scenario.Result) Compared {
	seats := float64(r.Settings.Clients)
	bytes := seats*c.Memory.RedisSeatBytes + seats/float64(r.Settings.Capacity)*c.Memory.RedisRoomBytes
	servers, held := 0, int64(0) // one, or the primaries of a Redis Cluster
	for _, p := range r.Processes {
		if p.Redis != nil {
			servers++
			held += p.Redis.EndBytes
		}
	}
	return Compared{
		What: "Redis memory", Unit: "MiB",
		Foretold: float64(servers)*c.Memory.RedisMiB + bytes/(1<<20), Measured: float64(held) / (1 << 20),
	}
}

func megabits(bytes float64) float64 { return bytes * 8 / 1e6 }
