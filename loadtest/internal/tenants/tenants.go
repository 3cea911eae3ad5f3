// Package tenants is a load of many apps with quotas on several gateways: what each app is let do, and what one that asks for far too
// much changes for the others.
package tenants

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
)

// Settings say how many apps there are and what they do.
type Settings struct {
	Apps    int
	Quota   int     // messages a second of each app, in the whole cluster
	Load    float64 // of an app, over its quota
	Loud    float64 // of the loud app, over its quota
	Payload int     // bytes of a message
	WarmUp  time.Duration
	// Duration is that of each phase that is measured.
	Duration time.Duration
}

// AppID is the id of an app; that of number 0 is the loud one's.
func AppID(number int) string { return fmt.Sprintf("tenant-%03d", number) }

// Validate checks the settings: the load is bounded in count and time.
func (s *Settings) Validate() error {
	switch {
	case s.Apps < 2 || s.Apps > 500:
		return errors.New("there are 2 to 500 apps")
	case s.Quota < 1 || s.Load <= 0 || s.Loud <= 0 || s.Payload < 0 || s.Payload > 32<<10:
		return errors.New("a quota, a load or the size of a message is not positive, or too large")
	case float64(s.Quota)*(float64(s.Apps)*s.Load+s.Loud) > 20_000:
		return errors.New("that is more than 20000 messages a second")
	case s.Duration < time.Second || s.Duration > 5*time.Minute || s.WarmUp < 0 || s.WarmUp > time.Minute:
		return errors.New("a phase takes 1 s to 5 min, and the warm-up 1 min at most")
	}
	return nil
}

// Phase is what a phase has shown.
type Phase struct {
	// Seconds is from the first moment that is measured to the last answer of what was sent in that time: a machine that is busy answers
	// later, and may take more until then.
	Seconds float64
	// Hops are the times from a sender to a receiver of all apps but the loud one, in seconds, rising.
	Hops []float64
	// Sent, Taken and Refused are messages by app.
	Sent, Taken, Refused []int64
}

// Hop gives the q-quantile of the times to a receiver, in seconds.
func (p *Phase) Hop(q float64) float64 {
	if len(p.Hops) == 0 {
		return 0
	}
	return p.Hops[min(int(q*float64(len(p.Hops))), len(p.Hops)-1)]
}

// Most is how many messages of an app may be taken: those of the phase, those of one second more, and one for each gateway.
func Most(quota int, seconds float64, gateways int) float64 {
	return float64(quota)*(seconds+1) + float64(gateways)
}

// Fullest gives, over all apps, the greatest part of Most that was taken. Above 1 a quota did not hold.
func (p *Phase) Fullest(quota, gateways int) float64 {
	return float64(slices.Max(p.Taken)) / Most(quota, p.Seconds, gateways)
}

// Crowd is the connected clients of all apps: one on each gateway for each app, all in one room of their app.
type Crowd struct {
	settings Settings
	gateways []string
	payload  *driver.Payload
	apps     []*tenant
	lost     atomic.Pointer[error]
	from, to atomic.Int64 // when what is measured was sent, Unix ns
	last     atomic.Int64 // when the last of it was taken, Unix ns
}

type tenant struct {
	number                int
	peers                 []driver.Peer
	next                  uint32
	sent, taken, refused  atomic.Int64 // all
	counted, in, declined atomic.Int64 // what is measured

	mu   sync.Mutex
	hops []float64 // guarded by mu
}

// Connect connects everybody.
func Connect(ctx context.Context, settings Settings, gateways []string) (*Crowd, error) {
	c := &Crowd{settings: settings, gateways: gateways, payload: driver.NewPayload(settings.Payload, "")}
	native, err := driver.New(driver.Native, driver.Options{Chat: true})
	if err != nil {
		return nil, err
	}
	for number := range settings.Apps {
		x := &tenant{number: number}
		c.apps = append(c.apps, x)
		for i, addr := range gateways {
			stream := uint32(number*len(gateways) + i)
			peer, err := native.Connect(ctx, driver.Endpoint{Addr: addr, App: AppID(number)}, driver.Events{
				Message: func(m driver.Message) { c.message(x, stream, m.Stamp) },
				Arrived: func(string, string) {},
				Refused: func(err error) { c.refused(x, err) },
				Lost:    func(err error) { c.lost.CompareAndSwap(nil, &err) },
			})
			if err != nil {
				c.Close()
				return nil, fmt.Errorf("connect: %w", err)
			}
			x.peers = append(x.peers, peer)
			if err := peer.Join(ctx, "room"); err != nil {
				c.Close()
				return nil, fmt.Errorf("join: %w", err)
			}
		}
	}
	return c, nil
}

// Close says goodbye for everybody.
func (c *Crowd) Close() {
	for _, x := range c.apps {
		for _, peer := range x.peers {
			_ = peer.Close()
		}
	}
}

// measured reports whether something that was sent then is part of the measurement.
func (c *Crowd) measured(sent int64) bool { return sent >= c.from.Load() && sent < c.to.Load() }

// message takes one that came; its sender's own copy tells that it was taken.
func (c *Crowd) message(x *tenant, stream uint32, stamp driver.Stamp) {
	own := stamp.Stream == stream
	if own {
		x.taken.Add(1)
	}
	if !c.measured(stamp.Sent) {
		return
	}
	if own {
		x.in.Add(1)
		for now, last := time.Now().UnixNano(), c.last.Load(); now > last && !c.last.CompareAndSwap(last, now); last = c.last.Load() {
		}
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hops = append(x.hops, float64(time.Now().UnixNano()-stamp.Sent)/1e9)
}

// refused takes a refusal. One for another reason than a quota ends the run.
func (c *Crowd) refused(x *tenant, err error) {
	if refused := new(driver.RefusedError); !errors.As(err, &refused) || !strings.Contains(refused.Answer, `"rate_limited"`) {
		c.lost.CompareAndSwap(nil, &err)
		return
	}
	x.refused.Add(1)
	if c.measured(time.Now().UnixNano()) {
		x.declined.Add(1)
	}
}

// Run is one phase: every app sends at a load over its quota, at random moments, app 0 at another one; what is sent during the
// warm-up is not measured.
func (c *Crowd) Run(ctx context.Context, load, loud float64) (*Phase, error) {
	for _, x := range c.apps {
		x.counted.Store(0)
		x.in.Store(0)
		x.declined.Store(0)
		x.hops = nil
	}
	begin := time.Now().Add(c.settings.WarmUp)
	end := begin.Add(c.settings.Duration)
	c.from.Store(begin.UnixNano())
	c.to.Store(end.UnixNano())
	sending, stop := context.WithDeadline(ctx, end)
	defer stop()
	var senders sync.WaitGroup
	for _, x := range c.apps {
		perSecond := load * float64(c.settings.Quota)
		if x.number == 0 {
			perSecond = loud * float64(c.settings.Quota)
		}
		senders.Go(func() { c.send(sending, x, perSecond) })
	}
	senders.Wait()
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	p := &Phase{Seconds: max(c.settings.Duration.Seconds(), time.Unix(0, c.last.Load()).Sub(begin).Seconds())}
	for _, x := range c.apps {
		p.Sent = append(p.Sent, x.counted.Load())
		p.Taken = append(p.Taken, x.in.Load())
		p.Refused = append(p.Refused, x.declined.Load())
		x.mu.Lock()
		if x.number > 0 {
			p.Hops = append(p.Hops, x.hops...)
		}
		x.mu.Unlock()
	}
	slices.Sort(p.Hops)
	return p, nil
}

// send sends for an app until ctx ends: a Poisson process whose moments are fixed beforehand, so that a server that stalls is charged
// for all that would have been sent meanwhile.
func (c *Crowd) send(ctx context.Context, x *tenant, perSecond float64) {
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due = due.Add(time.Duration(rand.ExpFloat64() / perSecond * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		i := int(x.next) % len(x.peers)
		stamp := driver.Stamp{Stream: uint32(x.number*len(x.peers) + i), Seq: x.next, Sent: due.UnixNano()}
		x.next++
		x.sent.Add(1)
		if c.measured(stamp.Sent) {
			x.counted.Add(1)
		}
		if err := x.peers[i].Broadcast("room", c.payload.Append(nil, stamp)); err != nil {
			c.lost.CompareAndSwap(nil, &err)
			return
		}
	}
}

// settle waits until everything that was sent is taken or refused.
func (c *Crowd) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.lost.Load(); err != nil {
			return *err
		}
		open := int64(0)
		for _, x := range c.apps {
			open += x.sent.Load() - x.taken.Load() - x.refused.Load()
		}
		if open == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages were neither taken nor refused", open)
		}
	}
}
