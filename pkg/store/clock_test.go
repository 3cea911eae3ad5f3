package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// What is read off answers that took longer does not count, unless the clock has been set since.
func TestClock(t *testing.T) {
	clock, now := new(store.Clock), time.Unix(1_785_000_000, 0)
	_, known := clock.At(now)
	require.False(t, known, "nothing was asked yet")

	// Redis' clock is 10 s ahead. An answer tells its time somewhere between question and answer: here at its end.
	ahead := 10 * time.Second
	read := func(took time.Duration) {
		now = now.Add(time.Second)
		clock.Read(now, now.Add(took), now.Add(took).Add(ahead))
	}
	off := func() time.Duration {
		at, known := clock.At(now)
		require.True(t, known)
		return at.Sub(now) - ahead
	}
	read(40 * time.Millisecond)
	require.Equal(t, 20*time.Millisecond, off(), "half of the time that the answer took")
	read(2 * time.Millisecond)
	require.Equal(t, time.Millisecond, off(), "the quicker answer counts")
	for range 8 {
		read(40 * time.Millisecond)
	}
	require.Equal(t, time.Millisecond, off(), "and is remembered")
	read(40 * time.Millisecond)
	require.Equal(t, 20*time.Millisecond, off(), "but not for ever, as clocks drift")

	read(2 * time.Millisecond)
	ahead = 9 * time.Second
	read(40 * time.Millisecond)
	require.Equal(t, 20*time.Millisecond, off(), "a clock that was set back counts at once, though it is known less well")
	read(4 * time.Millisecond)
	require.Equal(t, 2*time.Millisecond, off(), "nothing from before it was set counts")
}

func TestSampler(t *testing.T) {
	const most = 100
	second := func(s *store.Sampler, at int64, count int) (taken int) {
		for range count {
			if s.Take(time.Unix(at, 0)) {
				taken++
			}
		}
		return taken
	}
	require.Zero(t, second(store.NewSampler(0), 1, 1000), "it is off")

	s := store.NewSampler(most)
	require.Equal(t, most, second(s, 1, most), "all, as long as they are not more")
	require.Equal(t, most, second(s, 2, most), "also in the next second")

	// 100,000 in a second: the first ones all, then fewer and fewer, 100 * (1 + ln 1000) or so.
	require.InDelta(t, 790, second(s, 3, 100_000), 300)
	// From then on it is known how many there are. 100 +- 10; six deviations are one in a billion.
	require.InDelta(t, most, second(s, 4, 100_000), 60)
	require.InDelta(t, most, second(s, 5, 100_000), 60)
	require.Equal(t, most, second(s, 7, most), "a second without any makes it forget that")
}
