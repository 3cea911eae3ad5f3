package scenario

import "sync"

// payloads are buffers in which messages get their stamps.
var payloads = sync.Pool{New: func() any { return new([]byte) }}
