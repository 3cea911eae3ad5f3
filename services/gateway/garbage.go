package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// leastGarbage is how much garbage may gather before the collector begins, however little is in use. Go would let gather what
// is in use, and for the few MiB of a gateway's sessions begin many times a second.
const leastGarbage = 16 << 20

// sparePercent is GOGC for what is in use: 100, or more where that would be less than leastGarbage. Go reckons with 4 MiB at
// least.
func sparePercent(inUse uint64) int {
	return max(100, int(100*leastGarbage/max(inUse, 4<<20)))
}

// spareCollections has leastGarbage kept up from now on, after each collection by what that has found in use. It does
// nothing where GOGC is set.
func spareCollections() {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := 0
	var again func()
	again = func() {
		if next := sparePercent(heapInUse()); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
		onCollection(again)
	}
	runtime.GC() // so that it is known what is in use
	again()
}

// heapInUse is what GOGC is a percentage of: live objects as of the last collection, and its roots.
func heapInUse() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var sum uint64
	for _, sample := range samples {
		sum += sample.Value.Uint64()
	}
	return sum
}

// onCollection calls a function once, soon after the next collection. Nothing is left of it when the process is idle.
func onCollection(do func()) {
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(do func()) { do() }, do)
}
