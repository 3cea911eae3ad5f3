package ws

import (
	"io"
	"slices"
	"sync"
)

// buffer holds a message while it is read or written. Buffers are pooled, so that an idle connection has none.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, 0, 4096)} }}

func (b *buffer) release() {
	if cap(b.bytes) > 1<<18 {
		return // a rare giant is not worth keeping
	}
	b.bytes = b.bytes[:0]
	buffers.Put(b)
}

// Fragments: gorilla gives at most one fragment a Read, so that a message of many tiny ones takes many reads for few
// bytes. One of a sane client does not, whatever the network makes of it: beyond the free ones, each read has to bring
// this many on average.
const bytesPerRead = 64

// fill reads a message to its end.
func (b *buffer) fill(reader io.Reader, freeReads int) error {
	for reads := 0; ; reads++ {
		if reads > freeReads+len(b.bytes)/bytesPerRead {
			return errFragments
		}
		if len(b.bytes) == cap(b.bytes) {
			b.bytes = slices.Grow(b.bytes, 1)
		}
		n, err := reader.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
