package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Demand is what clients do with a deployment.
type Demand struct {
	Connections float64
	InRooms     float64 // share of the connections that have a seat, from 0 to 1
	Members     float64 // of a room
	Calls       float64 // set up a second
	Chat        float64 // messages a second to everybody in a room
	Receivers   float64 // of such a message
	ChatBytes   float64 // its payload
	// Session is how long a connection stands: as many are made anew as end.
	Session time.Duration
}

// Machines are what a deployment is made of, and how full it may be.
type Machines struct {
	Utilisation float64 // of cores and memory, above 0 and up to 1
	PodCores    float64
	PodMiB      float64
	PodFiles    float64 // that a gateway may have open
	RedisMiB    float64 // memory of a primary
	LogLength   float64 // rooms.log_length
	// LogWindow is rooms.resume_window: a log is kept for up to two of them after its last event.
	LogWindow time.Duration
	// Pace is how messages come; Trickle if empty.
	Pace Pace
}

// Validate checks both.
func Validate(d Demand, m Machines) error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(d.Connections >= 1, "connections: 1 or more")
	check(d.InRooms >= 0 && d.InRooms <= 1, "in-rooms: a share from 0 to 1")
	check(d.Members >= 1, "members: 1 or more")
	check(d.Calls >= 0 && d.Chat >= 0 && d.ChatBytes >= 0, "calls, chat, chat-bytes: not below 0")
	check(d.Receivers >= 1, "receivers: 1 or more")
	check(d.Session >= time.Second, "session: 1s or more")
	check(m.Utilisation > 0 && m.Utilisation <= 1, "utilisation: from above 0 to 1")
	check(m.PodCores > 0 && m.PodMiB > 0 && m.PodFiles > 0 && m.RedisMiB > 0, "pods and primaries: above 0")
	check(m.Pace == "" || slices.Contains(Paces, m.Pace), "pace: one of %v", Paces)
	check(m.LogLength >= 0 && m.LogWindow >= 0, "log-length, log-window: not below 0")
	for _, value := range []float64{d.Connections, d.Calls, d.Chat, d.Receivers, d.ChatBytes, d.Members, m.PodCores, m.PodMiB, m.PodFiles, m.RedisMiB} {
		check(!math.IsInf(value, 0) && !math.IsNaN(value), "a number that is none")
	}
	return errors.Join(problems...)
}

// Need is what it takes.
type Need struct {
	Seats, Rooms     float64
	Messages         float64 // relayed a second, of calls
	Deliveries       float64 // a second, of calls and chat
	Gateways         float64 // pods
	GatewayCores     float64 // in use
	GatewayMiB       float64 // in use
	PodConnections   float64
	PodFiles         float64
	RedisPrimaries   float64
	RedisCores       float64 // in use
	RedisMiB         float64 // in use
	SentBytes        float64 // a second, by clients
	ReceivedBytes    float64 // a second, by clients
	RedisInBytes     float64 // a second
	RedisOutBytes    float64 // a second
	Published        float64 // messages through Redis a second
	GatewaysBoundBy  string
	PrimariesBoundBy string
}

// What can bind.
const (
	BoundByCPU    = "CPU"
	BoundByMemory = "memory"
	BoundByFiles  = "open files"
)

// Work is what happens in a time, of whichever scenario or deployment: what Constants price.
type Work struct {
	Direct            float64 // messages for one peer
	Broadcasts        float64
	Receivers         float64 // of a broadcast
	Inboxes           float64 // gateways that a broadcast goes to
	Payload           float64 // bytes of a broadcast
	Joins             float64 // with their leaves
	Connects          float64
	ConnectionSeconds float64
	NodeSeconds       float64
}

// Price gives what work takes at a pace.
func (c *Constants) Price(w Work, pace Pace) Cost {
	rates := c.rates(pace)
	further := max(w.Inboxes-1, 0)
	// To the first receiver a broadcast is a message like any other; only its bytes are its own.
	broadcast := c.Broadcast
	broadcast.Gateway, broadcast.Redis = rates.Message.Gateway, rates.Message.Redis
	broadcast = broadcast.Plus(w.Payload, Cost{Sent: 1, RedisIn: 1, RedisOut: 1 + further}).Plus(further, c.Inbox)
	broadcast = broadcast.Plus(max(w.Receivers-1, 0), Cost{Gateway: rates.Delivery.Gateway})
	broadcast = broadcast.Plus(w.Receivers, Cost{Received: rates.Delivery.Received + w.Payload})
	return Cost{}.Plus(w.Direct, rates.Message).Plus(w.Broadcasts, broadcast).Plus(w.Joins, rates.Join).
		Plus(w.Connects, c.Connect).Plus(w.ConnectionSeconds, c.Connection).Plus(w.NodeSeconds, c.Node)
}

// Plan works out what a demand needs. It is linear but for two things: more gateways mean that a broadcast goes to more of
// them, until each of its receivers is on one of its own, and that Redis hears more beats.
func (c *Constants) Plan(d Demand, m Machines) Need {
	n := Need{
		Seats: d.Connections * d.InRooms, Messages: d.Calls * c.MessagesPerCall, Deliveries: d.Calls*c.MessagesPerCall + d.Chat*d.Receivers,
	}
	n.Rooms = n.Seats / d.Members
	connects := d.Connections / d.Session.Seconds()
	rates := c.rates(m.Pace)
	for n.Gateways = 1; ; {
		cost := c.Price(Work{
			Direct: n.Messages, Broadcasts: d.Chat, Receivers: d.Receivers, Inboxes: min(d.Receivers, n.Gateways), Payload: d.ChatBytes,
			Joins: d.Calls*c.JoinsPerCall + connects*d.InRooms, Connects: connects, ConnectionSeconds: d.Connections, NodeSeconds: n.Gateways,
		}, m.Pace)
		// Whoever comes into a room of many, and goes, is told to all the others, as a broadcast without a payload would be. A
		// join, as it is measured, tells one.
		others := max(d.Members-2, 0)
		told := 2 * connects * d.InRooms
		cost = cost.Plus(told*others, Cost{Gateway: rates.Delivery.Gateway, Received: rates.Delivery.Received}).
			Plus(told*min(others, n.Gateways), c.Inbox)
		n.take(c, d, m, cost)
		gateways, bound := c.pods(n, d, m)
		n.GatewaysBoundBy = bound
		if gateways <= n.Gateways {
			break
		}
		n.Gateways = gateways
	}
	n.PodConnections = math.Ceil(d.Connections / n.Gateways)
	n.PodFiles = n.PodConnections + c.Memory.GatewayFiles
	n.primaries(c, m)
	return n
}

// take notes what is used with so many gateways.
func (n *Need) take(c *Constants, d Demand, m Machines, cost Cost) {
	n.GatewayCores, n.RedisCores = cost.Gateway/1e6, cost.Redis/1e6
	n.SentBytes, n.ReceivedBytes = cost.Sent, cost.Received
	n.RedisInBytes, n.RedisOutBytes, n.Published = cost.RedisIn, cost.RedisOut, cost.Published
	n.GatewayMiB = n.Gateways*c.Memory.GatewayBusyMiB + c.connectionsMiB(d)
	n.RedisMiB = c.redisMiB(n, d, m)
}

// connectionsMiB is what connections hold: those with a seat may talk at any moment, the others are silent.
func (c *Constants) connectionsMiB(d Demand) float64 {
	more := max(c.Memory.AwakeKiB-c.Memory.ParkedKiB, 0) + c.Memory.SeatKiB
	return (d.Connections*c.Memory.ParkedKiB + d.Connections*d.InRooms*more) / 1024
}

// redisMiB is what rooms, their seats and their logs hold. The log of a call is there for two windows after the call is set
// up; that of a chat for as long as its room is, with so many messages as a log has at most.
func (c *Constants) redisMiB(n *Need, d Demand, m Machines) float64 {
	call := d.Calls * 2 * m.LogWindow.Seconds() * c.MessagesPerCall * (c.Memory.RedisMessageBytes + c.rates(m.Pace).Message.Sent)
	chat := min(d.Chat*d.Session.Seconds(), n.Rooms*m.LogLength) * (c.Memory.RedisMessageBytes + d.ChatBytes)
	bytes := n.Rooms*c.Memory.RedisRoomBytes + n.Seats*c.Memory.RedisSeatBytes + call + chat
	return bytes / (1 << 20)
}

func (c *Constants) rates(pace Pace) Rates {
	if pace == "" {
		pace = Trickle
	}
	return c.Rates[pace]
}

// pods is how many gateways are needed, and what for: for each its own memory comes first.
func (c *Constants) pods(n Need, d Demand, m Machines) (float64, string) {
	return greatest([]limit{
		{BoundByCPU, n.GatewayCores / (m.PodCores * m.Utilisation)},
		{BoundByMemory, c.connectionsMiB(d) / max(m.PodMiB*m.Utilisation-c.Memory.GatewayBusyMiB, 1)},
		{BoundByFiles, d.Connections / max(m.PodFiles-c.Memory.GatewayFiles, 1)},
	})
}

// primaries is how many Redis primaries are needed: each works on one core.
func (n *Need) primaries(c *Constants, m Machines) {
	n.RedisPrimaries, n.PrimariesBoundBy = greatest([]limit{
		{BoundByCPU, n.RedisCores / m.Utilisation},
		{BoundByMemory, n.RedisMiB / max(m.RedisMiB*m.Utilisation-c.Memory.RedisMiB, 1)},
	})
	n.RedisMiB += n.RedisPrimaries * c.Memory.RedisMiB
}

// limit is how many servers one resource asks for.
type limit struct {
	what    string
	servers float64
}

// greatest gives whole servers, one at least, and the resource that asks for most.
func greatest(limits []limit) (float64, string) {
	most := limits[0]
	for _, l := range limits[1:] {
		if l.servers > most.servers {
			most = l
		}
	}
	return max(math.Ceil(most.servers), 1), most.what
}
