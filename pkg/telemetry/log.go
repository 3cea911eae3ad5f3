package telemetry

import (
	"io"
	"log/slog"
	"strings"
	"time"
)

// Formats that NewLogger knows.
const (
	FormatJSON = "json"
	FormatText = "text"
)

// Redacted stands in a log line where a value was that a log must never hold.
const Redacted = "[redacted]"

// NewLogger returns a logger that writes one line a record to w: a JSON object, or key=value pairs
// when format is FormatText. Every line has the keys time (RFC 3339 with nanoseconds, in UTC), level
// and msg, in that order.
//
// The level may be changed while the logger is in use; a nil level is slog.LevelInfo.
//
// As a last guard, the value of every attribute whose key speaks of a credential or of what peers
// tell each other about their networks (see redactedWords) is replaced by Redacted. The guard sees
// attributes and groups; it cannot see into the fields of a struct that is logged whole.
func NewLogger(w io.Writer, level *slog.LevelVar, format string) *slog.Logger {
	if level == nil {
		level = new(slog.LevelVar)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: replaceAttr}
	if format == FormatText {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// redactedWords are the words at the end of a key that mark its value as one for nobody's eyes.
// Descriptions and candidates are among them because they hold the addresses of people's machines.
var redactedWords = map[string]bool{
	"authorization": true,
	"candidate":     true,
	"candidates":    true,
	"cookie":        true,
	"credential":    true,
	"credentials":   true,
	"password":      true,
	"sdp":           true,
	"secret":        true,
	"secrets":       true,
	"token":         true,
	"tokens":        true,
}

func replaceAttr(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey && attr.Value.Kind() == slog.KindTime {
		return slog.Time(slog.TimeKey, attr.Value.Time().UTC().Round(0))
	}
	if isRedacted(attr.Key) {
		return slog.String(attr.Key, Redacted)
	}
	for _, group := range groups {
		if isRedacted(group) {
			return slog.String(attr.Key, Redacted)
		}
	}
	return attr
}

// isRedacted reports whether the last word of a key is one of redactedWords: resume_token and
// resumeToken are, token_age is not.
func isRedacted(key string) bool {
	last := key[strings.LastIndexAny(key, "_-. ")+1:]
	if redactedWords[strings.ToLower(last)] {
		return true
	}
	if i := strings.LastIndexFunc(last, isUpper); i > 0 {
		return redactedWords[strings.ToLower(last[i:])]
	}
	return false
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// timeOf is the time of a record, which a hand-made record may lack.
func timeOf(record slog.Record) time.Time {
	if record.Time.IsZero() {
		return time.Now()
	}
	return record.Time
}
