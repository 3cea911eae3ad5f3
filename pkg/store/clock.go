package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock tells the time by Redis' clock, on which all gateways agree: that of the server which has the roster. It is read off
// the answers to beats, of which each is right to half of the time that it took; the quickest of the last few counts.
type clock struct {
	offset atomic.Int64 // Redis' clock less this machine's, in ns
	known  atomic.Bool

	mu       sync.Mutex
	readings [clockReadings]reading
	count    int // of readings, all in all
}

// reading is what one answer tells.
type reading struct {
	offset time.Duration
	// within is how far off it may be, at most.
	within time.Duration
}

const (
	clockReadings = 8
	// clockDrift is how far two clocks may move apart in the time of all readings without one of them having been set.
	clockDrift = time.Millisecond
)

// read takes what Redis said of the time between asked and answered.
func (c *clock) read(asked, answered, redis time.Time) {
	took := answered.Sub(asked)
	now := reading{offset: redis.Sub(asked.Add(took / 2)), within: took / 2}
	c.mu.Lock()
	defer c.mu.Unlock()
	best := now
	for _, earlier := range c.readings[:min(c.count, clockReadings)] {
		if apart := (earlier.offset - now.offset).Abs(); apart > earlier.within+now.within+clockDrift {
			c.count = 0 // a clock was set, or another server answers: nothing from before counts
			best = now
			break
		}
		if earlier.within < best.within {
			best = earlier
		}
	}
	c.readings[c.count%clockReadings] = now
	c.count++
	c.offset.Store(int64(best.offset))
	c.known.Store(true)
}

// Now is the time by Redis' clock, as far as this process knows it: right to some milliseconds once the node has sent beats, and
// before that by its own clock.
func (s *Store) Now() time.Time {
	now, _ := s.clock.at(time.Now())
	return now
}

// at gives a time by Redis' clock; false before that is known.
func (c *clock) at(t time.Time) (time.Time, bool) {
	return t.Add(time.Duration(c.offset.Load())), c.known.Load()
}
