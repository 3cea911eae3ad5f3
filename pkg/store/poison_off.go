//go:build !race

package store

// poison is for tests with the race detector.
func poison([]byte) {}
