//go:build !signalbox_nometrics

package metric

// off makes all metrics count nothing. It is for measuring what they cost: see make instrumentation-docs.
const off = false
