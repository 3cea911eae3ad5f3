//go:build !unix

package app

// raiseFileLimit has nothing to raise here.
func raiseFileLimit(int) error { return nil }
