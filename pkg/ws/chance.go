package ws

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
)

// chance gives random numbers that come from crypto/rand: a simulation can seed that (testing/cryptotest), and play a run
// again.
func chance() *rand.Rand { return rand.New(entropy{}) }

type entropy struct{}

// Uint64 makes it a [rand.Source].
func (entropy) Uint64() uint64 {
	var drawn [8]byte
	_, _ = cryptorand.Read(drawn[:]) // never fails
	return binary.LittleEndian.Uint64(drawn[:])
}
