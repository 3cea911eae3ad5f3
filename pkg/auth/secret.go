package auth

import (
	"fmt"
	"log/slog"
	"strconv"
)

// hidden is what a secret shows of itself, whoever asks.
const hidden = "(hidden)"

// Secret is a string that does not show itself: fmt with any verb, slog, JSON and YAML print "(hidden)", or
// nothing for an empty one, so that a printed configuration still tells whether it is set. string(s) is the value.
type Secret string

var (
	_ fmt.Formatter  = Secret("")
	_ slog.LogValuer = Secret("")
)

// Format implements [fmt.Formatter]: it covers every verb, also %x and %#v, which String alone would not.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || f.Flag('#') {
		text = strconv.Quote(text)
	}
	_, _ = f.Write([]byte(text))
}

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], which JSON, YAML and slog's text handler use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
