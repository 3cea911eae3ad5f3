package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

// Origin is where a configuration came from, to be read again. Immutable.
type Origin struct {
	args, env []string
	files     []string
	seen      [sha256.Size]byte // of the files' contents
	sources   map[string]Source // says where each key's value came from
}

// Args and Env are what Load was called with.
func (o *Origin) Args() []string { return o.args }

// Env is what Load was called with.
func (o *Origin) Env() []string { return o.env }

// HasFiles reports whether there is a file that may change.
func (o *Origin) HasFiles() bool { return len(o.files) > 0 }

// Seen is what Look has given when the configuration was loaded.
func (o *Origin) Seen() [sha256.Size]byte { return o.seen }

// Look gives what the files' contents are told by. A file that cannot be read is told by the reason.
func (o *Origin) Look() [sha256.Size]byte {
	whole := sha256.New()
	for _, file := range o.files {
		text, err := readFile(file)
		if err != nil {
			text = []byte(err.Error())
		}
		sum := sha256.Sum256(text) // each by itself, so that text that moves from one to another is a change
		whole.Write(sum[:])
	}
	return [sha256.Size]byte(whole.Sum(nil))
}

// readFile reads a file as far as a configuration may be long.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(text) > maxConfigBytes {
		return nil, fmt.Errorf("is larger than %d bytes", maxConfigBytes)
	}
	return text, nil
}
