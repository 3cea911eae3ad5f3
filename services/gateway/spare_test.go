package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// returning is a returner over a memory and a clock that a test sets.
type returning struct {
	*returner
	now     time.Time
	memory  usage
	returns []time.Time // when some was given back
}

func newReturning(t *testing.T) *returning {
	t.Helper()
	r := &returning{now: time.Unix(1, 0), memory: usage{inUse: 20 << 20}}
	r.returner = &returner{read: func() usage { return r.memory }, giveBack: func() {
		r.returns = append(r.returns, r.now)
		r.memory.free, r.memory.garbage = 0, 0
	}}
	registry := prometheus.NewRegistry()
	r.register(registry)
	t.Cleanup(func() {
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(`
# HELP signalbox_memory_returns_total How often memory was given back to the system after sessions had gone, or gone silent.
# TYPE signalbox_memory_returns_total counter
signalbox_memory_returns_total %d
`, len(r.returns)))))
	})
	return r
}

// looks looks a number of times, as far apart as run does.
func (r *returning) looks(count int) {
	for range count {
		r.now = r.now.Add(lookEvery)
		r.look(r.now)
	}
}

func TestMemoryIsGivenBackWhenItIsNotNeeded(t *testing.T) {
	r := newReturning(t)
	r.looks(10)
	require.Empty(t, r.returns, "there is none")
	for range 4 { // sessions are parked, one after the other
		r.memory.free += 8 << 20
		r.looks(1)
		require.Empty(t, r.returns, "more is to come")
	}
	r.looks(1)
	require.Len(t, r.returns, 1)
	require.Zero(t, r.memory.free)
	r.looks(100)
	require.Len(t, r.returns, 1)
}

// A gateway that allocates needs what is free for that; one whose sessions wake needs it for their stacks.
func TestMemoryThatIsNeededIsKept(t *testing.T) {
	t.Run("ForObjects", func(t *testing.T) {
		r := newReturning(t)
		r.memory.free = 32 << 20
		for range 100 {
			r.memory.allocated += r.memory.spare()/stillShare + 1
			r.looks(1)
		}
		require.Empty(t, r.returns)
		r.looks(1)
		require.Len(t, r.returns, 1, "the load is over")
	})
	t.Run("ForStacks", func(t *testing.T) {
		r := newReturning(t)
		for range 50 {
			r.memory.free = 32 << 20
			r.looks(1)
			r.memory.free = 16 << 20
			r.looks(1)
		}
		require.Empty(t, r.returns)
	})
}

// A collection that brings little beside what is in use is not worth it.
func TestLittleMemoryIsKept(t *testing.T) {
	r := newReturning(t)
	r.memory.free = 3 << 20
	r.memory.garbage = 2<<20 - 1
	r.looks(10)
	require.Empty(t, r.returns, "less than a quarter of what is in use")
	r.memory.garbage++
	r.looks(2)
	require.Len(t, r.returns, 1)
	r = newReturning(t)
	r.memory.inUse, r.memory.free = 1<<20, 4<<20-1
	r.looks(10)
	require.Empty(t, r.returns, "little at all")
}

// A herd that comes and goes does not have the collector run for each time.
func TestReturnsAreApart(t *testing.T) {
	r := newReturning(t)
	for range 100 {
		r.memory.free = 32 << 20
		r.looks(2)
	}
	require.Greater(t, len(r.returns), 10)
	for i := range len(r.returns) - 1 {
		require.GreaterOrEqual(t, r.returns[i+1].Sub(r.returns[i]), returnsApart)
	}
}

// What the runtime says about itself is what the rule takes it for.
func TestUsage(t *testing.T) {
	const size = 64 << 20
	var before usage
	seen := false
	for range 10 { // the runtime may collect it, and give it back to the system, before one looks
		debug.FreeOSMemory()
		before = readUsage()
		require.Positive(t, before.inUse)
		func() {
			held := make([]byte, size)
			require.NotEmpty(t, held)
			require.GreaterOrEqual(t, readUsage().allocated-before.allocated, uint64(size))
		}()
		if seen = readUsage().spare() >= before.spare()+size/2; seen {
			break
		}
	}
	require.True(t, seen, "as garbage, or as free when it was collected meanwhile")
	debug.FreeOSMemory()
	require.Less(t, readUsage().spare(), before.spare()+size/2)
}

func TestReturnerLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := 0
		r := &returner{read: func() usage { return usage{free: 32 << 20} }, giveBack: func() { given++ }}
		ctx, cancel := context.WithTimeout(t.Context(), returnsApart)
		defer cancel()
		r.run(ctx)
		require.Equal(t, 1, given)
	})
}
