package client

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Backoff is exponential with full jitter: each pause is drawn evenly from 0 up to a ceiling that doubles, so that the
// clients of a gateway that went away come back spread out and not all at once.
type Backoff struct {
	// Min is the first ceiling and Max the highest; 500 ms and 30 s if 0.
	Min, Max time.Duration
	// Healthy is how long a connection must have lasted for the ceilings to start over; 30 s if 0.
	Healthy time.Duration
	// Random gives numbers from 0 up to but without 1; math/rand's if nil. It may be called from several clients at
	// once.
	Random func() float64
}

func (b *Backoff) validate() error {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&b.Min, 500 * time.Millisecond}, {&b.Max, 30 * time.Second}, {&b.Healthy, 30 * time.Second}} {
		if *d.field < 0 {
			return fmt.Errorf("client: a time of the backoff is negative: %v", *d.field)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if b.Max < b.Min {
		return fmt.Errorf("client: the backoff ends at %v, below its start at %v", b.Max, b.Min)
	}
	if b.Random == nil {
		b.Random = rand.Float64
	}
	return nil
}

// pause gives the pause before an attempt; the first is 0.
func (b *Backoff) pause(attempt int) time.Duration {
	ceiling := b.Min
	for range attempt {
		if ceiling >= b.Max/2 {
			ceiling = b.Max
			break
		}
		ceiling *= 2
	}
	return time.Duration(b.Random() * float64(ceiling))
}
