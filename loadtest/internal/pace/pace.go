// Package pace says when work begins: as fast as a number of workers can, or at moments that do not wait for anything.
package pace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Work is one unit. Intended is when it should have begun: what it takes is counted from then, so that a server which
// stalls cannot hide the waiting of those who would have come meanwhile (coordinated omission).
type Work func(ctx context.Context, n int, intended time.Time)

// Closed has workers who each begin the next unit when they have finished one, until ctx ends or, if limit is above 0, so
// many were begun. It returns when all have finished.
func Closed(ctx context.Context, workers, limit int, work Work) {
	var running sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	claim := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || limit > 0 && begun == limit {
			return 0, false
		}
		begun++
		return begun - 1, true
	}
	for range workers {
		running.Go(func() {
			for {
				n, ok := claim()
				if !ok {
					return
				}
				work(ctx, n, time.Now())
			}
		})
	}
	running.Wait()
}

// Arrivals are the moments of an open loop.
type Arrivals struct {
	// Rate gives arrivals a second at a time since the start.
	Rate func(since time.Duration) float64
	// Uniform spaces them evenly; otherwise they are a Poisson process.
	Uniform bool
	// Seed makes the same moments again.
	Seed uint64
	// Most is how many may be under way at once. A further one is not begun and counted: a load that outgrows this is not
	// what it says any more.
	Most int
	// Limit is how many there are at most; 0 is without.
	Limit int
}

// Constant is a rate that does not change.
func Constant(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

// idleStep is how far the clock goes where the rate is 0.
const idleStep = 100 * time.Millisecond

// Open begins units at their moments until ctx ends, each in a goroutine of its own, and returns when all have finished:
// how many were begun, and how many were not because too many were under way.
func (a Arrivals) Open(ctx context.Context, work Work) (begun, shed int) {
	var running sync.WaitGroup
	defer running.Wait()
	random := rand.New(rand.NewPCG(a.Seed, a.Seed))
	places := make(chan struct{}, max(a.Most, 1))
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	at := time.Duration(0)
	for a.Limit == 0 || begun+shed < a.Limit {
		rate := a.Rate(at)
		if rate <= 0 {
			at += idleStep
		} else {
			gap := 1.0
			if !a.Uniform {
				gap = random.ExpFloat64()
			}
			at += time.Duration(gap / rate * float64(time.Second))
		}
		intended := start.Add(at)
		if wait := time.Until(intended); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return begun, shed
			}
		}
		if ctx.Err() != nil {
			return begun, shed
		}
		if rate <= 0 {
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			shed++
			continue
		}
		n := begun
		begun++
		running.Go(func() {
			defer func() { <-places }()
			work(ctx, n, intended)
		})
	}
	return begun, shed
}

// ShedError is an open loop that could not begin all of its work.
type ShedError struct{ Begun, Shed int }

func (e *ShedError) Error() string {
	return fmt.Sprintf("%d of %d arrivals were not begun, as too many were under way: the servers do not keep up with this rate",
		e.Shed, e.Begun+e.Shed)
}
