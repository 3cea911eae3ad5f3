package auth

import (
	"errors"
	"strings"
	"time"
)

// Duration is a [time.Duration] that is written as people write it, in JSON as in YAML: "90s", "1h30m".
type Duration time.Duration

// String gives the shortest form: "2m" where [time.Duration] has "2m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText implements [encoding.TextMarshaler], which JSON and YAML use.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("not a duration: a number with its unit, such as 500ms, 1.5s or 2m")
	}
	*d = Duration(parsed)
	return nil
}
