package driver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
)

const (
	firstBuffer = 1 << 10
	// fullBuffer is up to where a buffer grows when reads fill it; a longer message makes it longer still.
	fullBuffer = 32 << 10
)

// buffer reads ahead from a connection. It begins small, as most connections of a large load are idle, and grows where
// reads fill it, so that a burst costs few system calls.
type buffer struct {
	conn     net.Conn
	data     []byte
	from, to int
}

// peek gives the next n bytes without passing over them. They are good until the next call.
func (b *buffer) peek(n int) ([]byte, error) {
	for b.to-b.from < n {
		if err := b.fill(n); err != nil {
			return nil, err
		}
	}
	return b.data[b.from : b.from+n], nil
}

func (b *buffer) skip(n int) { b.from += n }

// fill reads once, with room for n bytes at least.
func (b *buffer) fill(n int) error {
	if b.from > 0 {
		copy(b.data, b.data[b.from:b.to])
		b.from, b.to = 0, b.to-b.from
	}
	if size := len(b.data); size < n || size == b.to {
		grown := make([]byte, max(n, 2*size, firstBuffer))
		copy(grown, b.data[:b.to])
		b.data = grown
	}
	read, err := b.conn.Read(b.data[b.to:])
	b.to += read
	if read > 0 {
		if b.to == len(b.data) && b.to < fullBuffer {
			grown := make([]byte, 2*len(b.data))
			copy(grown, b.data)
			b.data = grown
		}
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// headBytes bounds an answer's head.
const headBytes = 16 << 10

// head reads the head of an HTTP answer and leaves what follows.
func (b *buffer) head() (int, http.Header, error) {
	for {
		if end := bytes.Index(b.data[b.from:b.to], []byte("\r\n\r\n")); end >= 0 {
			text := b.data[b.from : b.from+end+4]
			response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
			if err != nil {
				return 0, nil, err
			}
			_ = response.Body.Close() // it has none here
			b.skip(len(text))
			return response.StatusCode, response.Header, nil
		}
		if b.to-b.from > headBytes {
			return 0, nil, errors.New("the answer's head is too long")
		}
		if err := b.fill(b.to - b.from + 1); err != nil {
			return 0, nil, err
		}
	}
}
