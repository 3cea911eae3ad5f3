// Package lockedbuf has a buffer for the logs that tests read while they are written.
package lockedbuf

import (
	"bytes"
	"sync"
)

// Buffer is a buffer that goroutines may write and read at once. The zero value is empty.
type Buffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write appends.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

// String gives all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
