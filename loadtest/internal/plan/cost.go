// Package plan foretells what a deployment needs from what runs of the load tool have measured. It holds no figure of its own.
package plan

import (
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// Cost is what a unit of work takes of a deployment.
type Cost struct {
	Gateway   float64 `json:"gateway_cpu_us"`
	Redis     float64 `json:"redis_cpu_us"`
	Sent      float64 `json:"client_sent_bytes"`     // by clients to gateways
	Received  float64 `json:"client_received_bytes"` // by clients from gateways
	RedisIn   float64 `json:"redis_in_bytes"`
	RedisOut  float64 `json:"redis_out_bytes"`
	Published float64 `json:"published"` // messages through Redis to gateways
}

// parts are all of a cost, in one order, for what is done to each alike.
func (c *Cost) parts() []*float64 {
	return []*float64{&c.Gateway, &c.Redis, &c.Sent, &c.Received, &c.RedisIn, &c.RedisOut, &c.Published}
}

// Plus adds so many units of another cost.
func (c Cost) Plus(units float64, of Cost) Cost {
	more := of.parts()
	for i, part := range c.parts() {
		*part += units * *more[i]
	}
	return c
}

// Minus takes so many units of another cost away. What measurements of two runs would make less than nothing is nothing.
func (c Cost) Minus(units float64, of Cost) Cost {
	c = c.Plus(-units, of)
	for _, part := range c.parts() {
		*part = max(*part, 0)
	}
	return c
}

// Over shares a cost among so many units. There have to be some.
func (c Cost) Over(units float64) Cost { return Cost{}.Plus(1/units, c) }

// used is what a whole run took while it was measured.
func used(r *scenario.Result) Cost {
	c := Cost{Sent: float64(r.Work.SentBytes), Received: float64(r.Work.ReceivedBytes)}
	for _, p := range r.Processes {
		switch p.Kind {
		case measure.Server:
			c.Gateway += p.CPU * 1e6
		case measure.Redis:
			c.Redis += p.CPU * 1e6
			if p.Redis != nil {
				c.RedisIn += float64(p.Redis.InBytes)
				c.RedisOut += float64(p.Redis.OutBytes)
				c.Published += float64(p.Redis.Published)
			}
		}
	}
	return c
}

// medianCost takes the median of each part, over runs of the same kind.
func medianCost(costs []Cost) Cost {
	var middle Cost
	for i, part := range middle.parts() {
		var values []float64
		for _, c := range costs {
			values = append(values, *c.parts()[i])
		}
		*part = measure.Median(values)
	}
	return middle
}
