package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// The end of a gateway, up to the moment at which its sessions are gone or their time is up:
//
//	SIGTERM                                                              shutdown.timeout
//	  |<-- delay -->|<---------- window ---------->|<-- grace -->|              |
//	  | not ready,  | 503 for new clients; sessions move, each   | the latest   | what is left
//	  | still       | at a moment of its own: native ones are    | are closed   | is cut
//	  | taking all  | told beforehand and given the grace to go  |              |

// pace is how a drain goes.
type pace struct {
	delay, window, grace time.Duration
	tell                 bool // goaway
}

// pace is that of an orderly end, or, after a failure, a short one: sessions lose with every second that they stay. One
// that was taken for dead has no seats any more that clients could keep by going in order.
func (g *Gateway) pace(failure error) pace {
	c := g.config.Shutdown
	if failure != nil {
		return pace{window: c.LapsedWindow}
	}
	return pace{delay: c.Delay, window: c.Window, grace: c.Grace, tell: true}
}

// drain has all sessions move to other gateways. failure is why the gateway ends, nil if it was told to. It returns when
// all are gone or have been closed, or when ctx ends, with the first failure, which may have come meanwhile.
func (g *Gateway) drain(ctx context.Context, failed <-chan error, failure error) error {
	begin, p := time.Now(), g.pace(failure)
	g.draining.Store(true)
	g.logger.Info("gateway is ending", "connections", g.connections.Load(), "socketio", g.socketIOCount(),
		"delay", p.delay, "window", p.window, "grace", p.grace)
	if p.delay > 0 {
		timer := time.NewTimer(p.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case failure = <-failed:
			p = g.pace(failure)
		case <-ctx.Done():
		}
	}
	g.admission.close()
	left := g.moveAll(ctx, p, failed, &failure)
	g.logger.Info("gateway has drained", "moved", g.moves.client.count, "closed", g.moves.server.count, "left", left,
		"duration", time.Since(begin))
	return failure
}

// moving is one session that is to move.
type moving struct {
	at   time.Duration // when it is closed, from the beginning
	move func() bool   // closes it, and reports whether it was still there
}

// moveAll returns how many sessions it has not come to.
func (g *Gateway) moveAll(ctx context.Context, p pace, failed <-chan error, failure *error) (left int) {
	begin := time.Now()
	native, nativeEmpty := g.sessions.Retire()
	var classic []*socketio.Session
	var classicEmpty <-chan struct{}
	if g.socketIO != nil {
		classic, classicEmpty = g.socketIO.Retire()
	}
	plan := p.plan(native, classic)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for len(plan) > 0 {
		select {
		case <-timer.C:
			for len(plan) > 0 && plan[0].at <= time.Since(begin) {
				g.moves.moved(plan[0].move())
				plan = plan[1:]
			}
			if len(plan) > 0 {
				timer.Reset(plan[0].at - time.Since(begin))
			}
			continue
		case <-nativeEmpty:
			nativeEmpty = nil
		case <-classicEmpty:
			classicEmpty = nil
		case err := <-failed:
			if *failure != nil {
				return len(plan)
			}
			*failure = err
			hurry(plan, time.Since(begin), g.pace(err))
			timer.Reset(0)
			continue
		case <-ctx.Done():
			return len(plan)
		}
		if nativeEmpty == nil && classicEmpty == nil { // nobody is waited for who is not there
			g.moves.client.add(len(plan))
			return 0
		}
	}
	return 0
}

// plan gives each session its moment, and tells it. The moments are spread evenly over the window, each a random part of
// a step off: so the other gateways get as many in each second, and no two sessions can know that they move together.
func (p pace) plan(native []*session.Session, classic []*socketio.Session) []moving {
	all := make([]moving, 0, len(native)+len(classic))
	moments := p.moments(len(native) + len(classic))
	for i, s := range native {
		at := moments[i]
		if p.tell {
			s.GoAway(at, at+p.grace)
		}
		all = append(all, moving{at + p.grace, s.Move})
	}
	for i, s := range classic {
		all = append(all, moving{moments[len(native)+i], s.Move})
	}
	slices.SortFunc(all, func(a, b moving) int { return cmp.Compare(a.at, b.at) })
	return all
}

// hurry gives what is left of a plan earlier moments.
func hurry(plan []moving, now time.Duration, p pace) {
	moments := p.moments(len(plan))
	slices.Sort(moments)
	for i := range plan { // both rise, and so does the lesser of both
		plan[i].at = min(plan[i].at, now+moments[i])
	}
}

// moments gives a number of moments, in no order.
func (p pace) moments(count int) []time.Duration {
	moments := make([]time.Duration, count)
	random := chance()
	for i, step := range random.Perm(count) {
		moments[i] = time.Duration((float64(step) + random.Float64()) / float64(count) * float64(p.window))
	}
	return moments
}

// socketIOCount tells how many socket.io sessions there are.
func (g *Gateway) socketIOCount() int {
	if g.socketIO == nil {
		return 0
	}
	return g.socketIO.Count()
}

// moves counts how sessions went, while a gateway drains.
type moves struct {
	client, server tally
}

// tally is a counter that can be read.
type tally struct {
	count int // owned by the goroutine of Run
	told  prometheus.Counter
}

func (t *tally) add(n int) {
	t.count += n
	t.told.Add(float64(n))
}

func (m *moves) moved(closed bool) {
	if closed {
		m.server.add(1)
	} else {
		m.client.add(1)
	}
}

// openDrain makes what shows a drain.
func (g *Gateway) openDrain(registerer prometheus.Registerer) {
	moved := metric.Counters("signalbox_drain_moved_total",
		"Sessions that went while the gateway drained: those that had moved by themselves when their time was up (client) and those that were closed then (server).", "by")
	g.moves = moves{client: tally{told: moved.WithLabelValues("client")}, server: tally{told: moved.WithLabelValues("server")}}
	registerer.MustRegister(moved,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "signalbox_drain_active", Help: "1 from the moment at which the gateway was told to end; 0 before.",
		}, func() float64 {
			if g.draining.Load() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "signalbox_drain_sessions_left", Help: "Sessions of all transports that have not gone yet while the gateway drains; 0 before.",
		}, func() float64 {
			if !g.draining.Load() {
				return 0
			}
			return float64(g.sessions.Count() + g.socketIOCount())
		}))
}
