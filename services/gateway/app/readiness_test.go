package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// node is what stands behind a readiness that is looked after.
type node struct {
	t        *testing.T
	handler  http.Handler
	registry *prometheus.Registry
	down     atomic.Bool
	hold     time.Duration
}

const testHold = 10 * time.Second

// watched runs a test of a node with one check that is held and one that is not.
func watched(t *testing.T, test func(t *testing.T, n *node)) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{t: t, registry: prometheus.NewRegistry()}
		logger := slog.New(slog.DiscardHandler)
		d := newHoldDown(testHold, logger, n.registry)
		n.hold = d.hold
		check := d.check("redis", func(context.Context) error {
			if n.down.Load() {
				return errors.New("no route")
			}
			return nil
		})
		var err error
		n.handler, err = NewOperations(OperationsOptions{Registry: n.registry, Checks: []Check{check}, Logger: logger})
		require.NoError(t, err)
		life, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.run(life) }()
		defer func() { // also after a failure
			end()
			require.NoError(t, <-ended)
		}()
		test(t, n)
	})
}

// probe asks /readyz, and gives what it says of the check.
func (n *node) probe() (ready bool, state checkState) {
	n.t.Helper()
	recorder := httptest.NewRecorder()
	n.handler.ServeHTTP(recorder, httptest.NewRequestWithContext(n.t.Context(), http.MethodGet, "/readyz", nil))
	var answer readiness
	require.NoError(n.t, json.Unmarshal(recorder.Body.Bytes(), &answer))
	require.Equal(n.t, answer.Ready, recorder.Code == http.StatusOK)
	return answer.Ready, answer.Checks[0]
}

// All gateways lose the same Redis in the same moment: if readiness turned red with it, the Service would be without any,
// and those who come would be refused by the network instead of being told to come back.
func TestReadinessIsHeldDown(t *testing.T) {
	watched(t, func(t *testing.T, n *node) {
		require.GreaterOrEqual(t, n.hold, testHold)
		require.LessOrEqual(t, n.hold, testHold*3/2)
		ready, _ := n.probe()
		require.True(t, ready)
		time.Sleep(time.Minute)

		n.down.Store(true)
		failed := time.Now()
		time.Sleep(n.hold - time.Second) // nobody asks meanwhile, and it counts all the same
		ready, state := n.probe()
		require.True(t, ready)
		require.True(t, state.Ready)
		require.Equal(t, "no route", state.Error, "it is told all the same")
		require.WithinDuration(t, failed, *state.FailingSince, holdInterval)
		require.Zero(t, n.value("signalbox_readiness_red_total"))
		require.InDelta(t, (n.hold - time.Second).Seconds(), n.value("signalbox_readiness_failing_seconds"), 1)

		time.Sleep(time.Second + 2*holdInterval) // it may have failed for an interval before it was seen, and its hold be over for one
		synctest.Wait()
		require.Equal(t, 1.0, n.value("signalbox_readiness_red_total"), "without being asked")
		ready, state = n.probe()
		require.False(t, ready)
		require.False(t, state.Ready)

		n.down.Store(false)
		ready, state = n.probe()
		require.True(t, ready, "at once")
		require.Equal(t, checkState{Name: "redis", Ready: true}, state)
		require.Zero(t, n.value("signalbox_readiness_failing_seconds"))
		n.down.Store(true)
		ready, _ = n.probe()
		require.True(t, ready, "held anew")
	})
}

// A gateway that has never reached Redis is no use to anybody.
func TestReadinessIsNotHeldBeforeTheFirstTime(t *testing.T) {
	watched(t, func(t *testing.T, n *node) {
		n.down.Store(true)
		ready, state := n.probe()
		require.False(t, ready)
		require.NotNil(t, state.FailingSince)
		require.Zero(t, n.value("signalbox_readiness_red_total"))
		n.down.Store(false)
		ready, _ = n.probe()
		require.True(t, ready)
	})
}

// A probe that was given up while Redis was slow says nothing of Redis.
func TestReadinessPassesOverProbesThatWereGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newHoldDown(0, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		check := d.check("redis", func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		require.NoError(t, check.Ready(t.Context()))
		asking, giveUp := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, giveUp)
		require.ErrorIs(t, check.Ready(asking), context.Canceled)
		require.Zero(t, d.checks[0].failedFor())
		late, done := context.WithTimeout(t.Context(), checkTimeout)
		defer done()
		require.ErrorIs(t, check.Ready(late), context.DeadlineExceeded)
		require.Zero(t, d.checks[0].failedFor()-checkTimeout, "from the beginning of the one that failed")
	})
}

// Nodes that lose the same Redis leave the Service one after the other.
func TestHoldDownsDiffer(t *testing.T) {
	holds := make(map[time.Duration]bool)
	for range 100 {
		hold := newHoldDown(testHold, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).hold
		require.GreaterOrEqual(t, hold, testHold)
		require.LessOrEqual(t, hold, testHold*3/2)
		holds[hold.Round(time.Second)] = true
	}
	require.GreaterOrEqual(t, len(holds), 4)
}

// value gives that of the one metric of a name.
func (n *node) value(name string) float64 {
	n.t.Helper()
	families, err := n.registry.Gather()
	require.NoError(n.t, err)
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	require.FailNow(n.t, "no metric "+name)
	return 0
}
