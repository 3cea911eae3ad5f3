package pace_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/pace"
)

// A server that stalls for a second: with a closed loop one unit would be slow. The open loop begins all the others at
// their moments, and what they waited counts from then.
func TestOpenLoopCountsTheWaitingOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		server := make(chan struct{}, 1) // a mutex would keep fake time from going on
		var results sync.Mutex
		var took []time.Duration
		arrivals := pace.Arrivals{Rate: pace.Constant(100), Uniform: true, Most: 1000}
		begun, shed := arrivals.Open(ctx, func(_ context.Context, _ int, intended time.Time) {
			server <- struct{}{}
			if at := start.Add(500 * time.Millisecond); intended.Equal(at) {
				time.Sleep(time.Second) // the stall
			}
			<-server
			results.Lock()
			defer results.Unlock()
			took = append(took, time.Since(intended))
		})
		require.Zero(t, shed)
		require.InDelta(t, 200, begun, 1)
		slices.Sort(took)
		require.Equal(t, time.Second, took[len(took)-1])
		waited := 0
		for _, d := range took {
			if d > 100*time.Millisecond {
				waited++
			}
		}
		require.InDelta(t, 90, waited, 2, "one arrival each 10 ms of the stalled second waited, but for the last ones")
	})
}

func TestOpenLoopKeepsItsMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moments := func() []time.Duration {
			start := time.Now()
			var mu sync.Mutex
			var at []time.Duration
			arrivals := pace.Arrivals{Rate: pace.Constant(50), Seed: 7, Most: 1000, Limit: 500}
			begun, _ := arrivals.Open(t.Context(), func(_ context.Context, _ int, intended time.Time) {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, intended.Sub(start))
			})
			require.Equal(t, 500, begun)
			slices.Sort(at)
			return at
		}
		first := moments()
		require.Equal(t, first, moments(), "a seed makes the same moments again")
		require.InDelta(t, 10, first[len(first)-1].Seconds(), 2, "500 arrivals at 50 a second")
		gaps := map[bool]int{}
		for i := 1; i < len(first); i++ {
			gaps[first[i]-first[i-1] < 20*time.Millisecond]++
		}
		require.Greater(t, gaps[true], gaps[false], "of a Poisson process more gaps are short than long")
	})
}

func TestOpenLoopFollowsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		var early, late atomic.Int64
		night := func(since time.Duration) float64 {
			if since < 5*time.Second {
				return 0
			}
			return 100
		}
		pace.Arrivals{Rate: night, Uniform: true, Most: 10}.Open(ctx, func(_ context.Context, _ int, intended time.Time) {
			if intended.Sub(start) < 5*time.Second {
				early.Add(1)
			} else {
				late.Add(1)
			}
		})
		require.Zero(t, early.Load())
		require.InDelta(t, 500, late.Load(), 5)
	})
}

func TestOpenLoopTellsWhatItDidNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 995*time.Millisecond) // not at the moment of an arrival
		defer cancel()
		arrivals := pace.Arrivals{Rate: pace.Constant(100), Uniform: true, Most: 10}
		begun, shed := arrivals.Open(ctx, func(ctx context.Context, _ int, _ time.Time) { <-ctx.Done() })
		require.Equal(t, 10, begun)
		require.Equal(t, 89, shed)
		require.ErrorContains(t, &pace.ShedError{Begun: begun, Shed: shed}, "do not keep up")
	})
}

func TestClosedLoop(t *testing.T) {
	t.Run("Limit", func(t *testing.T) {
		var mu sync.Mutex
		seen := map[int]bool{}
		pace.Closed(t.Context(), 8, 100, func(_ context.Context, n int, _ time.Time) {
			mu.Lock()
			defer mu.Unlock()
			seen[n] = true
		})
		require.Len(t, seen, 100)
	})
	t.Run("Time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var done atomic.Int64
			pace.Closed(ctx, 4, 0, func(context.Context, int, time.Time) {
				time.Sleep(100 * time.Millisecond)
				done.Add(1)
			})
			require.InDelta(t, 40, done.Load(), 4)
		})
	})
}
