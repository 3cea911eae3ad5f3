package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
)

// sitter is a client that does nothing but be there.
type sitter struct {
	peer driver.Peer
	room string // "" for none
}

// sit connects client i by a gateway, with a seat in a room that others fill if the settings say so.
func (r *run) sit(ctx context.Context, i, endpoint int) (sitter, error) {
	peer, err := r.connect(ctx, endpoint, driver.Events{
		Message: func(driver.Message) {}, Arrived: func(string, string) {}, Refused: r.rec.Fail, Lost: r.rec.Fail,
	})
	if err != nil {
		return sitter{}, err
	}
	if !r.s.Seats {
		return sitter{peer: peer}, nil
	}
	room := fmt.Sprintf("%s-full-%d", r.tag, i/r.s.Capacity)
	if err := peer.Join(ctx, room); err != nil {
		peer.Cut()
		return sitter{}, fmt.Errorf("join: %w", err)
	}
	r.orc.Seated(room, r.s.Capacity)
	return sitter{peer: peer, room: room}, nil
}

// sitDown connects all clients. Those that were connected when one failed are given, too.
func (r *run) sitDown(ctx context.Context) ([]sitter, error) {
	sitters := make([]sitter, r.s.Clients)
	err := r.connectAll(ctx, r.s.Clients, func(ctx context.Context, i int) (err error) {
		sitters[i], err = r.sit(ctx, i, i)
		return err
	})
	return sitters, err
}

// idle is the scenario: connections that stay.
func (r *run) idle(ctx context.Context) error {
	if r.opts.Crew != nil {
		return r.idleCrew(ctx)
	}
	sitters, err := r.sitDown(ctx)
	defer func() { r.leaveAll(sitters) }()
	if err != nil {
		return err
	}
	return r.hold(ctx)
}

// hold measures while nothing happens: for the settings' time, or for as long as somebody else says.
func (r *run) hold(ctx context.Context) error {
	if r.opts.Hold != nil {
		r.enter("hold", 0)
		if err := r.beginMeasuring(ctx); err != nil {
			return err
		}
		if err := r.opts.Hold(ctx); err != nil {
			return err
		}
		return r.endMeasuring(ctx)
	}
	r.enter("warm-up", r.s.WarmUp)
	if !sleep(ctx, r.s.WarmUp) {
		return ctx.Err()
	}
	r.enter("hold", r.s.Duration)
	if err := r.beginMeasuring(ctx); err != nil {
		return err
	}
	if !sleep(ctx, r.s.Duration) {
		return ctx.Err()
	}
	return r.endMeasuring(ctx)
}

// Crew are other processes that hold an idle load's connections, as one process may not have so many files open.
type Crew struct {
	Processes []measure.Process
	// Connect has all of them connected.
	Connect func(context.Context) error
	// Leave has them say goodbye, and gives what each has seen.
	Leave func() ([]*Result, error)
}

// idleCrew is idle with the connections of others. What they have seen counts as if it were seen here.
func (r *run) idleCrew(ctx context.Context) error {
	r.enter("connect", time.Duration(float64(r.s.Clients)/r.s.ConnectRate*float64(time.Second)))
	if err := r.opts.Crew.Connect(ctx); err != nil {
		return err
	}
	r.work.connects.Add(int64(r.s.Clients))
	r.work.open.Add(int64(r.s.Clients))
	if err := r.hold(ctx); err != nil {
		return err
	}
	results, err := r.opts.Crew.Leave()
	if err != nil {
		return err
	}
	for i, result := range results {
		for _, reason := range result.Reasons {
			r.fail(fmt.Sprintf("process %d: %s", i+1, reason))
		}
		for text, n := range result.Errors {
			r.fail(fmt.Sprintf("process %d: %d times: %s", i+1, n, text))
		}
	}
	return nil
}

func (r *run) leaveAll(sitters []sitter) {
	peers := make([]driver.Peer, 0, len(sitters))
	for _, s := range sitters {
		peers = append(peers, s.peer)
	}
	closeAll(peers)
}

// Of a herd: how long a client waits at most before it tries for the first time, and how long all may take.
const (
	herdSpread  = 500 * time.Millisecond
	herdTimeout = 10 * time.Minute
)

// herd is the scenario: all connections end at once, and all clients come back, as clients do: at first after a random part
// of half a second, later when the server says so or with a backoff.
func (r *run) herd(ctx context.Context) error {
	sitters, err := r.sitDown(ctx)
	defer func() { r.leaveAll(sitters) }()
	if err != nil {
		return err
	}
	back, took, retries := r.rec.Counter("back"), r.rec.Histogram("back"), r.rec.Counter("retries")
	r.enter("herd", r.s.Duration)
	if err := r.beginMeasuring(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, max(herdTimeout, r.s.Duration))
	defer cancel()
	cut := time.Now()
	for _, s := range sitters {
		s.peer.Cut()
	}
	var returning sync.WaitGroup
	for i := range sitters {
		returning.Go(func() {
			s, err := r.comeBack(ctx, i, sitters[i], retries)
			if err != nil {
				r.rec.Fail(err)
				return
			}
			sitters[i] = s
			back.Add(1)
			took.Record(time.Since(cut))
		})
	}
	returning.Wait()
	r.figures["all_back_seconds"] = time.Since(cut).Seconds()
	if err := r.endMeasuring(ctx); err != nil {
		return err
	}
	if total := back.Total(); total < int64(len(sitters)) {
		r.fail(fmt.Sprintf("%d of %d clients have come back", total, len(sitters)))
	}
	if r.s.Duration < time.Since(cut) {
		r.fail(fmt.Sprintf("the last client was back after %v, more than %v", time.Since(cut).Round(time.Millisecond), r.s.Duration))
	}
	return nil
}

// backoffMost is the longest pause between two tries of a client.
const backoffMost = 30 * time.Second

// comeBack tries until the client is connected again and has its seat: the session that it had, where the protocol can.
func (r *run) comeBack(ctx context.Context, i int, was sitter, retries *measure.Counter) (sitter, error) {
	if _, resumes := was.peer.(driver.Resumer); !resumes && was.room != "" {
		r.orc.Leaving(was.room) // it is lost with its connection
	}
	pause := randomPart(herdSpread)
	for backoff := time.Second; ; backoff = min(2*backoff, backoffMost) {
		if !sleep(ctx, pause) {
			return sitter{}, fmt.Errorf("not back: %w", ctx.Err())
		}
		is, err := r.again(ctx, i, was)
		if err == nil {
			return is, nil
		}
		retries.Add(1)
		pause = randomPart(backoff)
		var busy *driver.BusyError
		if errors.As(err, &busy) && busy.RetryAfter > 0 {
			pause = busy.RetryAfter
		}
	}
}

func (r *run) again(ctx context.Context, i int, was sitter) (sitter, error) {
	if resumer, ok := was.peer.(driver.Resumer); ok {
		peer, err := resumer.Resume(ctx, r.endpoint(i+1)) // on another gateway
		return sitter{peer: peer, room: was.room}, err
	}
	return r.sit(ctx, i, i+1)
}
