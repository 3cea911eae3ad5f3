package wire_test

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestRetryableCodes(t *testing.T) {
	retryable := map[wire.Code]bool{wire.CodeRateLimited: true, wire.CodeUnavailable: true, wire.CodeInternal: true}
	for _, code := range wire.Codes {
		require.Equal(t, retryable[code], code.Retryable(), code)
	}
	require.False(t, wire.Code("of a later version").Retryable())
}

func TestErrorNamesItsCode(t *testing.T) {
	var err error = wire.Errorf(wire.CodeRoomFull, "all %d seats are taken", 2)
	require.EqualError(t, err, "room_full: all 2 seats are taken")
}

// The ranges of the protocol: 4000 to 4099 are final, 4100 to 4199 come back.
func TestCloseCodes(t *testing.T) {
	words := make(map[string]bool)
	for code, word := range wire.CloseCodes {
		require.Equal(t, word, code.String())
		require.False(t, words[word], "%s is used twice", word)
		words[word] = true
		switch {
		case code >= 4000 && code < 4100:
			require.False(t, code.Retryable(), word)
		case code >= 4100 && code < 4200:
			require.True(t, code.Retryable(), word)
		default: // of RFC 6455: the client's own fault is final
			require.Equal(t, code == wire.CloseGoingAway, code.Retryable(), word)
		}
		require.LessOrEqual(t, len(word), 123, "a reason has room for 123 bytes (RFC 6455, section 5.5)")
		require.True(t, utf8.ValidString(word))
	}
	for _, code := range []wire.CloseCode{0, 1000, 1006, 1011, 1012, 1013, 3000, 4199} {
		require.True(t, code.Retryable(), "%d", code)
		require.Equal(t, "other", code.String())
	}
}
