package driver

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// That a seat was taken away, or that its client has to start over, is nothing that a load leads to, and must not pass for
// an event that is of no interest.
func TestNativeTellsOfLostSeats(t *testing.T) {
	for text, told := range map[string]bool{
		`{"seq":4,"type":"closed","room":"r","reason":"kicked"}`:       true,
		`{"type":"closed","room":"r","reason":"closed"}`:               true,
		`{"type":"resync","room":"r","self":"p","epoch":"e","seq":12}`: true,
		`{"type":"goaway","retryAfter":100,"deadline":5000}`:           false,
		`{"seq":5,"type":"left-peer","room":"r","peer":"q"}`:           false,
	} {
		var refused []error
		p := &nativePeer{waiter: newWaiter(), rooms: map[string]nativePos{}, events: Events{
			Refused: func(err error) { refused = append(refused, err) },
		}}
		p.take([]byte(text))
		require.Equal(t, told, len(refused) == 1, "%s: %v", text, refused)
	}
}
