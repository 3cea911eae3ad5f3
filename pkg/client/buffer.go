package client

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// keptBuffer is the largest buffer that is kept, in bytes.
const keptBuffer = 64 << 10

// buffer is what messages are read into and written from. A connection that rests holds none.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// release ends the use of the buffer and of all slices of it.
func (b *buffer) release() {
	if cap(b.bytes) <= keptBuffer {
		b.bytes = b.bytes[:0]
		buffers.Put(b)
	}
}

// readFrom appends all that r gives.
func (b *buffer) readFrom(r io.Reader) error {
	for {
		b.bytes = slices.Grow(b.bytes, 512)
		n, err := r.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
