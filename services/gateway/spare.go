package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How memory that nobody needs is found. To give it back takes a collection, and to get it again a fault for each page: both
// have to be little beside what is gained.
const (
	lookEvery    = 5 * time.Second
	returnsApart = 30 * time.Second // at least, between two returns
	leastSpare   = 4 << 20          // in bytes
	leastShare   = 4                // one in so many of the bytes in use
	stillShare   = 8                // while more than one in so many of the spare bytes moves between two looks, they are needed
)

// usage is the process' memory at a moment, in bytes.
type usage struct {
	inUse     uint64 // objects as of the last collection, and stacks
	free      uint64 // of the heap, kept for later
	garbage   uint64 // allocated since the last collection: only the next one tells what of it is still in use
	allocated uint64 // since the process began
}

// spare is what giving back would bring at most.
func (u usage) spare() uint64 { return u.free + u.garbage }

// worthwhile reports whether there is enough to give back.
func (u usage) worthwhile() bool { return u.spare() >= max(leastSpare, u.inUse/leastShare) }

// stillSince reports whether little has been going on since an earlier look: neither were many objects allocated, nor stacks
// taken or freed. At that pace what is given back is not needed again for lookEvery*stillShare.
func (u usage) stillSince(before usage) bool {
	moved := u.allocated - before.allocated
	if u.spare() > before.spare() {
		moved += u.spare() - before.spare()
	} else {
		moved += before.spare() - u.spare()
	}
	return moved <= u.spare()/stillShare
}

// returner gives memory back to the system that sessions have needed and do not need any more: the stacks of those that are
// parked above all. Go's own scavenger keeps as much as the next collection is reckoned to find, and a silent gateway
// collects only every two minutes.
type returner struct {
	// immutable
	read     func() usage
	giveBack func()

	// owned by run
	before usage     // at the last look
	last   time.Time // when some was given back

	returns atomic.Int64
}

func newReturner() *returner {
	return &returner{read: readUsage, giveBack: func() {
		runtime.GC() // only sets aside what is pooled, for the next one to take: the buffers of all who were parked, for one
		debug.FreeOSMemory()
	}}
}

// register tells of the returns.
func (r *returner) register(reg prometheus.Registerer) {
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "signalbox_memory_returns_total",
		Help: "How often memory was given back to the system after sessions had gone, or gone silent.",
	}, func() float64 { return float64(r.returns.Load()) }))
}

// run looks for memory to give back until ctx ends.
func (r *returner) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-ticker.C:
			r.look(at)
		}
	}
}

// look gives memory back if there is some that is not needed.
func (r *returner) look(at time.Time) {
	now := r.read()
	if now.worthwhile() && now.stillSince(r.before) && at.Sub(r.last) >= returnsApart {
		r.giveBack()
		r.returns.Add(1)
		r.last, now = at, r.read()
	}
	r.before = now
}

// readUsage stops nobody.
func readUsage() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	live, objects := value(0), value(1)
	return usage{
		inUse: live + value(2), free: value(3), allocated: value(4),
		garbage: objects - min(live, objects), // before the first collection nothing is live
	}
}
