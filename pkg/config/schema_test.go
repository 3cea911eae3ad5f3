package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	known := []string{"redis", "redis.mode", "redis.dial_timeout", "session.write_timeout", "rooms.capacity"}
	for wrong, want := range map[string]string{
		"redis.dail_timeout": "redis.dial_timeout",
		"redsi":              "redis",
		"room.capacity":      "rooms.capacity",
		"write_timeout":      "session.write_timeout",
		"limits.mode":        "redis.mode",
		"something else":     "",
		"":                   "",
	} {
		require.Equal(t, want, nearest(wrong, known), wrong)
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0},
	} {
		require.Equal(t, test.want, editDistance(test.a, test.b))
		require.Equal(t, test.want, editDistance(test.b, test.a))
	}
}

func TestFormatDuration(t *testing.T) {
	for text, want := range map[string]string{"120s": "2m", "60m": "1h", "90m": "1h30m", "0s": "0s", "1.5s": "1.5s", "300ms": "300ms", "10s": "10s", "600s": "10m", "20h": "20h"} {
		value, err := parseScalar(durationType, text)
		require.NoError(t, err)
		require.Equal(t, want, Format(value))
	}
}
