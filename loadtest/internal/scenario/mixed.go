package scenario

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/pace"
)

// What comes to a platform, of ten arrivals: calls, chats, and clients that lose their connection while they are in a room.
const (
	callsOfTen = 5
	chatsOfTen = 3
)

// mixed is the scenario of a day, and of a soak: people arrive, do one thing together, and depart.
func (r *run) mixed(ctx context.Context) error {
	c := r.newCaller()
	p := &platform{
		run: r, payload: driver.NewPayload(r.s.PayloadBytes, ""), hop: c.hop,
		chats: r.rec.Counter("chats"), deliveries: r.rec.Counter("deliveries"), returns: r.rec.Counter("reconnects"),
		comingBack: r.rec.Histogram("reconnect"),
	}
	rate := day(r.s.Rate, r.s.WarmUp+r.s.Duration)
	if r.s.Kind == Soak {
		rate = pace.Constant(r.s.Rate)
	}
	random := rand.New(rand.NewPCG(r.s.Seed, 1))
	var mu sync.Mutex
	draw := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	return r.measureFor(ctx, 1, rate, func(ctx context.Context, n int, intended time.Time) {
		ctx = context.WithoutCancel(ctx)
		switch what := draw(10); {
		case what < callsOfTen:
			c.freshCall(ctx, n, intended)
		case what < callsOfTen+chatsOfTen:
			r.rec.Fail(p.chat(ctx, n, 3+draw(max(r.s.Capacity-2, 1))))
		default:
			r.rec.Fail(p.reconnection(ctx, n, intended))
		}
	})
}

// day gives a rate that rises from a quarter in the night to its most at noon and falls again.
func day(most float64, length time.Duration) func(time.Duration) float64 {
	const night = 0.25
	return func(since time.Duration) float64 {
		noon := (1 - math.Cos(2*math.Pi*float64(since)/float64(length))) / 2
		return most * (night + (1-night)*noon)
	}
}

// growth compares the servers' memory at the end with that after a quarter of the run, once it is over.
func (r *run) growth() {
	samples := r.smp.Samples()
	if len(samples) < 8 {
		return
	}
	sum := func(from, to int) float64 {
		total := 0.0
		for _, sample := range samples[from:to] {
			for _, p := range r.opts.Processes {
				total += sample.Memory[p.Name]
			}
		}
		return total / float64(to-from)
	}
	n := len(samples)
	early, late := sum(n/4, n/4+n/8), sum(n-n/8, n)
	if early == 0 {
		return
	}
	r.figures["memory_growth"] = late / early
	if r.s.GrowthLimit > 0 && late/early > r.s.GrowthLimit {
		r.fail(fmt.Sprintf("the servers' memory has grown from %.1f MiB after a quarter to %.1f MiB at the end", early, late))
	}
}

// platform is what people do beside calls.
type platform struct {
	*run
	payload                    *driver.Payload
	hop                        *measure.Histogram
	chats, deliveries, returns *measure.Counter
	comingBack                 *measure.Histogram
}

// Of a chat: what each member says, and how long they take for it at most.
const (
	linesEach = 5
	chatTime  = 2 * time.Second
)

// chat is a few people in a room who all say something at moments of their own, and then depart.
func (p *platform) chat(ctx context.Context, n, people int) error {
	g := p.gather()
	defer g.close()
	for i := range people {
		if _, err := g.add(ctx, n+i); err != nil {
			return err
		}
	}
	var talking sync.WaitGroup
	errs := make([]error, people)
	for i, guest := range g.guests {
		talking.Go(func() {
			for range linesEach {
				if !sleep(ctx, randomPart(chatTime/linesEach)) {
					return
				}
				if errs[i] = guest.say(); errs[i] != nil {
					return
				}
			}
		})
	}
	talking.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	g.settle(ctx)
	p.chats.Add(1)
	return nil
}

// Of a lost connection: what the other one says before and meanwhile, and how long it lasts at most.
const (
	linesBefore = 3
	linesAfter  = 5
	lostTime    = time.Second
)

// reconnection is two people in a room of whom one loses the connection and comes back by another gateway. Where sessions
// are resumed, what the other one said meanwhile has to come; elsewhere the other one waits.
func (p *platform) reconnection(ctx context.Context, n int, _ time.Time) error {
	g := p.gather()
	defer g.close()
	speaker, err := g.add(ctx, n)
	if err != nil {
		return err
	}
	listener, err := g.add(ctx, n+1)
	if err != nil {
		return err
	}
	say := func(lines int) error {
		for range lines {
			if err := speaker.say(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := say(linesBefore); err != nil {
		return err
	}
	resumer, resumes := listener.peer.(driver.Resumer)
	if !resumes {
		g.settle(ctx)
	}
	lost := time.Now()
	listener.peer.Cut()
	if resumes {
		if err := say(linesAfter); err != nil {
			return err
		}
	}
	if !sleep(ctx, randomPart(lostTime)) {
		return ctx.Err()
	}
	if resumes {
		listener.peer, err = resumer.Resume(ctx, p.endpoint(n+2))
	} else {
		err = g.rejoin(ctx, listener, n+2)
	}
	if err != nil {
		return fmt.Errorf("come back: %w", err)
	}
	p.comingBack.Record(time.Since(lost))
	p.returns.Add(1)
	if !resumes {
		if err := g.introduce(ctx, listener); err != nil {
			return err
		}
	}
	if err := say(linesAfter); err != nil {
		return err
	}
	g.settle(ctx)
	return nil
}
