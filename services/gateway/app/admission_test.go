package app

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// outcome is what became of a herd.
type outcome struct {
	most, last time.Duration // when 90% were let in, and when the last one was
	attempts   float64       // of each, on average
	busiest    int           // how many were let in in the busiest second
}

// herd has clients come in one moment, each again and again until it is let in, on fake time.
func herd(t *testing.T, perSecond, count int, wait func(attempt int, d *denial) time.Duration) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		a := newAdmission(perSecond, perSecond, 0, prometheus.NewRegistry())
		var mu sync.Mutex
		var clients sync.WaitGroup
		var entries []time.Duration
		begin, tries, seconds := time.Now(), 0, make(map[int]int)
		try := func() *denial {
			mu.Lock()
			defer mu.Unlock()
			tries++
			d := a.admit(false)
			if d == nil {
				now := time.Since(begin)
				seconds[int(now/time.Second)]++
				entries = append(entries, now)
			}
			return d
		}
		for range count {
			clients.Go(func() {
				for attempt := 0; ; attempt++ {
					d := try()
					if d == nil {
						return
					}
					time.Sleep(wait(attempt, d))
				}
			})
		}
		clients.Wait()
		for _, n := range seconds {
			o.busiest = max(o.busiest, n)
		}
		o.most, o.last, o.attempts = entries[count*9/10], entries[count-1], float64(tries)/float64(count)
	})
	return o
}

// fullJitter is the pause of all clients, of which a browser can know no more: the status and the headers of a WebSocket
// handshake that was refused are not shown to pages.
func fullJitter(attempt int, _ *denial) time.Duration {
	return time.Duration(rand.Float64() * float64(min(500*time.Millisecond<<min(attempt, 10), 30*time.Second)))
}

// honouring also waits as long as it was told to.
func honouring(attempt int, d *denial) time.Duration {
	return max(d.retryAfter, fullJitter(attempt, d))
}

// What docs/operations.md says of a herd: it is back after N/rate seconds if it does what it is told, and not much later if
// it cannot know. Without the line that Retry-After puts it into, most of it would be refused over and over.
func TestHerdIsBackInTime(t *testing.T) {
	for _, tc := range []struct {
		name        string
		rate, count int
		wait        func(int, *denial) time.Duration
		within      time.Duration
		attempts    float64
	}{
		{name: "told", rate: 500, count: 5000, wait: honouring, within: 12 * time.Second, attempts: 2.5},
		{name: "not told", rate: 500, count: 5000, wait: fullJitter, within: 45 * time.Second, attempts: 8},
		{name: "told, and longer than can be said", rate: 50, count: 5000, wait: honouring, within: 120 * time.Second, attempts: 6},
		{name: "not told, and longer", rate: 50, count: 5000, wait: fullJitter, within: 200 * time.Second, attempts: 14},
		{name: "few", rate: 500, count: 400, wait: honouring, within: time.Nanosecond, attempts: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := herd(t, tc.rate, tc.count, tc.wait)
			t.Logf("%d clients at %d/s: 90%% back after %v, all after %v, %.1f attempts each, %d in the busiest second",
				tc.count, tc.rate, o.most.Round(100*time.Millisecond), o.last.Round(100*time.Millisecond), o.attempts, o.busiest)
			require.LessOrEqual(t, o.last, tc.within)
			require.LessOrEqual(t, o.attempts, tc.attempts)
			require.LessOrEqual(t, o.busiest, 2*tc.rate, "the burst and a second's worth")
		})
	}
}
