package tenants_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/tenants"
)

func TestWhatAPhaseShows(t *testing.T) {
	p := tenants.Phase{Seconds: 9, Taken: []int64{10, 103, 50}}
	require.InDelta(t, 1, p.Fullest(10, 3), 1e-9, "as much as there may be")
	p.Taken[2] = 104
	require.Greater(t, p.Fullest(10, 3), 1.)
	for i := range 1000 {
		p.Hops = append(p.Hops, float64(i))
	}
	require.Equal(t, []float64{500, 990, 999}, []float64{p.Hop(0.5), p.Hop(0.99), p.Hop(1)})
	require.Zero(t, (&tenants.Phase{}).Hop(0.99))
}

func TestLoadsAreBounded(t *testing.T) {
	good := tenants.Settings{Apps: 100, Quota: 20, Load: 0.5, Loud: 10, Duration: time.Second}
	require.NoError(t, good.Validate())
	for _, change := range []func(*tenants.Settings){
		func(s *tenants.Settings) { s.Apps = 1 }, func(s *tenants.Settings) { s.Apps = 501 }, func(s *tenants.Settings) { s.Quota = 0 },
		func(s *tenants.Settings) { s.Loud = 2000 }, func(s *tenants.Settings) { s.Duration = time.Hour },
		func(s *tenants.Settings) { s.WarmUp = -1 }, func(s *tenants.Settings) { s.Payload = 1 << 20 },
	} {
		s := good
		change(&s)
		require.Error(t, s.Validate(), "%+v", s)
	}
}
