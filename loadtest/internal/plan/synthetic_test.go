package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// known are constants that results are made from, so that what From makes of them is known. Nothing in it is measured.
func known() *Constants {
	join := Cost{Gateway: 600, Redis: 300, Sent: 100, Received: 400, RedisIn: 1500, RedisOut: 400, Published: 1}
	busyJoin := Cost{Gateway: 200, Redis: 100, Sent: 100, Received: 400, RedisIn: 1500, RedisOut: 400, Published: 1}
	message := func(gateway, redis float64) Cost {
		return Cost{Gateway: gateway, Redis: redis, Sent: 500, Received: 600, RedisIn: 900, RedisOut: 700, Published: 1}
	}
	return &Constants{
		MessagesPerCall: 22, JoinsPerCall: 2,
		Rates: map[Pace]Rates{
			Trickle:   {Message: message(300, 100), Join: join, Delivery: Cost{Gateway: 20, Received: 90}},
			Burst:     {Message: message(150, 60), Join: join, Delivery: Cost{Gateway: 20, Received: 90}},
			Saturated: {Message: message(50, 30), Join: busyJoin, Delivery: Cost{Gateway: 5, Received: 90}},
		},
		Inbox:      Cost{Gateway: 80, Redis: 5, RedisOut: 60, Published: 1},
		Broadcast:  Cost{Sent: 70, Received: 30, RedisIn: 400, RedisOut: 100, Published: 1},
		Connect:    Cost{Gateway: 500, Sent: 300, Received: 700},
		Connection: Cost{Gateway: 10, Sent: 1, Received: 2},
		Node:       Cost{Gateway: 2000, Redis: 2500, RedisIn: 100, RedisOut: 200, Published: 1},
		Memory: Memory{
			GatewayMiB: 20, GatewayBusyMiB: 25, AwakeKiB: 13, ParkedKiB: 8, SeatKiB: 3, GatewayFiles: 15,
			RedisMiB: 2, RedisRoomBytes: 4000, RedisSeatBytes: 1000, RedisMessageBytes: 300,
		},
	}
}

// settings are those of a kind, changed.
func settings(t *testing.T, kind string, change func(*scenario.Settings)) scenario.Settings {
	t.Helper()
	s, err := scenario.Defaults(kind)
	require.NoError(t, err)
	if change != nil {
		change(&s)
	}
	return s
}

// ran is a run in which servers used what is said.
func ran(s scenario.Settings, work scenario.Work, use Cost) *scenario.Result {
	work.SentBytes, work.ReceivedBytes = int64(use.Sent), int64(use.Received)
	r := &scenario.Result{
		Target: "signalbox", Driver: "native", Settings: s, Started: time.Unix(1790000000, 0), Seconds: s.Duration.Seconds(),
		Machine: "a machine", Work: work, Figures: map[string]float64{}, Passed: true,
	}
	r.Processes = append(r.Processes, scenario.ProcessUse{Name: "redis", Kind: measure.Redis, CPU: use.Redis / 1e6, Redis: &scenario.RedisUse{
		BaseBytes: 1 << 20, BeginBytes: 2 << 20, EndBytes: 2 << 20, InBytes: int64(use.RedisIn), OutBytes: int64(use.RedisOut), Published: int64(use.Published),
	}})
	for range s.Nodes {
		r.Processes = append(r.Processes, scenario.ProcessUse{
			Name: "gateway", Kind: measure.Server, CPU: use.Gateway / 1e6 / float64(s.Nodes), BaseMiB: 20, EndMiB: 20, BaseFiles: 15,
		})
	}
	return r
}

// learned are runs, one for each role, of servers that cost what the constants say.
func learned(t *testing.T, c *Constants) []*scenario.Result {
	t.Helper()
	calls := func(pace Pace, change func(*scenario.Settings)) *scenario.Result {
		s := settings(t, scenario.Call, change)
		work := scenario.Work{Direct: 22_000, Joins: 2000, Received: 22_000, Open: float64(s.Clients)}
		use := Cost{}.Plus(22_000, c.Rates[pace].Message).Plus(2000, c.Rates[pace].Join)
		if s.Fresh {
			work.Connects, use = 2000, use.Plus(2000, c.Connect)
		}
		r := ran(s, work, use)
		for i := range r.Processes[1:] {
			r.Processes[1+i].EndMiB = c.Memory.GatewayBusyMiB + work.Open*c.Memory.AwakeKiB/1024/float64(s.Nodes)
		}
		return r
	}
	joins := func(pace Pace, rate float64) *scenario.Result {
		s := settings(t, scenario.Join, func(s *scenario.Settings) { s.Rate = rate })
		return ran(s, scenario.Work{Joins: 3000}, Cost{}.Plus(3000, c.Rates[pace].Join))
	}
	runs := []*scenario.Result{
		calls(Trickle, func(s *scenario.Settings) { s.Rate, s.Gap = 100, time.Millisecond }),
		calls(Burst, func(s *scenario.Settings) { s.Rate = 100 }),
		calls(Saturated, nil),
		calls(Burst, func(s *scenario.Settings) { s.Fresh, s.Rate = true, 50 }),
		joins(Trickle, 300), joins(Saturated, 0),
	}
	return append(append(runs, broadcastRuns(t, c)...), idleRuns(t, c)...)
}

func broadcastRuns(t *testing.T, c *Constants) []*scenario.Result {
	t.Helper()
	const messages = 1000
	deliveries := func(pace Pace, rate float64) *scenario.Result {
		s := settings(t, scenario.Fanout, func(s *scenario.Settings) { s.Rate = rate })
		all := float64(messages * s.Clients)
		use := Cost{Received: float64(s.PayloadBytes)}.Plus(1, c.Rates[pace].Delivery)
		return ran(s, scenario.Work{Broadcasts: messages, Received: int64(all)}, Cost{}.Plus(all, use))
	}
	small := func(nodes int, rate float64) *scenario.Result {
		s := settings(t, scenario.Fanout, func(s *scenario.Settings) {
			s.Nodes, s.Clients, s.Capacity, s.Rate, s.PayloadBytes, s.WarmUp, s.Duration = nodes, 8, 8, rate, 250, time.Second, 4*time.Second
		})
		use := c.Price(Work{Broadcasts: messages, Receivers: 8, Inboxes: float64(nodes), Payload: 250}, Trickle)
		r := ran(s, scenario.Work{Broadcasts: messages, Received: 8 * messages}, use)
		r.Processes[0].Redis.EndBytes += messages * int64(250+c.Memory.RedisMessageBytes)
		return r
	}
	return []*scenario.Result{deliveries(Trickle, 100), deliveries(Saturated, 0), small(2, 300), small(8, 300), small(2, 40)}
}

func idleRuns(t *testing.T, c *Constants) []*scenario.Result {
	t.Helper()
	idle := func(kib float64, change func(*scenario.Settings), flags ...string) *scenario.Result {
		s := settings(t, scenario.Idle, change)
		seconds := s.Duration.Seconds()
		use := Cost{}.Plus(2*seconds, c.Node).Plus(float64(s.Clients)*seconds, c.Connection)
		if s.Clients <= fewConnections {
			use = Cost{}.Plus(2*seconds, c.Node)
		}
		r := ran(s, scenario.Work{Open: float64(s.Clients)}, use)
		r.Flags = flags
		r.Figures[scenario.FigureConnectionKiB], r.Figures[scenario.FigureBaseMiB] = kib, c.Memory.GatewayMiB
		redis := r.Processes[0].Redis
		redis.EndBytes = int64(c.Memory.RedisMiB * (1 << 20))
		if s.Seats {
			rooms := float64(s.Clients / s.Capacity)
			redis.EndBytes += int64(float64(s.Clients)*c.Memory.RedisSeatBytes + rooms*c.Memory.RedisRoomBytes)
		}
		return r
	}
	m := c.Memory
	return []*scenario.Result{
		idle(0, func(s *scenario.Settings) { s.Clients = 10 }),
		idle(m.AwakeKiB, func(s *scenario.Settings) { s.Clients = 5000 }, neverParked),
		idle(m.ParkedKiB, func(s *scenario.Settings) { s.Clients, s.WarmUp, s.Duration = 10_000, 12*time.Second, 25*time.Second }),
		idle(m.ParkedKiB+m.SeatKiB, func(s *scenario.Settings) { s.Clients, s.Seats, s.Duration = 10_000, true, 20*time.Second }),
		idle(m.ParkedKiB, func(s *scenario.Settings) { s.Clients, s.Seats, s.Capacity = 4000, true, 20 }),
	}
}
