package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

func TestLogger(t *testing.T) {
	t.Run("StableKeysFirst", func(t *testing.T) {
		var out bytes.Buffer
		before := time.Now()
		telemetry.NewLogger(&out, nil, telemetry.FormatJSON).Info("node up", "node", "a")

		require.Regexp(t, `^\{"time":"[^"]+Z","level":"INFO","msg":"node up","node":"a"\}\n$`, out.String())
		var line struct{ Time time.Time }
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		require.WithinRange(t, line.Time, before.Add(-time.Microsecond), time.Now())
	})

	t.Run("TimeInUTC", func(t *testing.T) {
		var out bytes.Buffer
		east := time.Date(2030, 1, 2, 3, 4, 5, 600, time.FixedZone("east", 3600))
		record := slog.NewRecord(east, slog.LevelInfo, "m", 0)
		require.NoError(t, telemetry.NewLogger(&out, nil, telemetry.FormatJSON).Handler().Handle(t.Context(), record))
		require.Contains(t, out.String(), `"time":"2030-01-02T02:04:05.0000006Z"`)
	})

	t.Run("Text", func(t *testing.T) {
		var out bytes.Buffer
		telemetry.NewLogger(&out, nil, telemetry.FormatText).Warn("slow", "token", "abc")
		require.Regexp(t, `^time=\S+Z level=WARN msg=slow token=\[redacted\]\n$`, out.String())
	})

	t.Run("LevelCanChange", func(t *testing.T) {
		var out bytes.Buffer
		level := new(slog.LevelVar)
		logger := telemetry.NewLogger(&out, level, telemetry.FormatJSON)
		logger.Debug("hidden")
		require.Empty(t, out.String())
		level.Set(slog.LevelDebug)
		logger.Debug("shown")
		require.Contains(t, out.String(), "shown")
	})
}

func TestLoggerRedacts(t *testing.T) {
	const value = "do-not-show"

	redacted := []string{
		"token", "sdp", "candidate", "credential", "password", "secret", "authorization",
		"Authorization", "PASSWORD", "resume_token", "resumeToken", "redis.password", "x-api-secret", "candidates",
	}
	for _, key := range redacted {
		t.Run(key, func(t *testing.T) {
			require.NotContains(t, logged(func(l *slog.Logger) { l.Info("m", key, value) }), value)
			require.NotContains(t, logged(func(l *slog.Logger) { l.With(key, value).Info("m") }), value)
			require.NotContains(t, logged(func(l *slog.Logger) { l.Info("m", slog.Group("g", key, value)) }), value)
			require.NotContains(t, logged(func(l *slog.Logger) { l.Info("m", slog.Group(key, "inner", value)) }), value)
			require.NotContains(t, logged(func(l *slog.Logger) { l.WithGroup(key).Info("m", "inner", value) }), value)
			require.Contains(t, logged(func(l *slog.Logger) { l.Info("m", key, value) }), telemetry.Redacted)
		})
	}

	for _, key := range []string{"token_age", "candidateType", "room", "tokenized", "secretary"} {
		t.Run(key+"/Kept", func(t *testing.T) {
			require.Contains(t, logged(func(l *slog.Logger) { l.Info("m", key, value) }), value)
		})
	}
}

// logged returns what a JSON logger writes while f uses it.
func logged(f func(*slog.Logger)) string {
	var out strings.Builder
	f(telemetry.NewLogger(&out, nil, telemetry.FormatJSON))
	return out.String()
}
