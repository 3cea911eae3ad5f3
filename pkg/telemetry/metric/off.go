//go:build signalbox_nometrics

package metric

const off = true
