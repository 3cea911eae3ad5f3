package app_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// leveled is an operations handler whose log has a level.
type leveled struct {
	handler http.Handler
	shared  *app.LogLevel
	level   *slog.LevelVar
	log     bytes.Buffer
}

func newLeveled(t *testing.T) *leveled {
	t.Helper()
	l := &leveled{level: new(slog.LevelVar)}
	l.level.Set(slog.LevelWarn)
	l.shared = app.NewLogLevel(l.level, telemetry.NewLogger(&l.log, l.level, "json"))
	l.handler = mustOperations(t, app.OperationsOptions{Level: l.shared})
	return l
}

// ask makes a request from an address, and gives the status and the answer.
func (l *leveled) ask(t *testing.T, method, query, from string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/log/level"+query, nil)
	r.RemoteAddr = from
	recorder := httptest.NewRecorder()
	l.handler.ServeHTTP(recorder, r)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer), recorder.Body)
	return recorder.Code, answer
}

const here, elsewhere = "127.0.0.1:1234", "10.0.0.7:1234"

// The level is changed for a while: the log goes back to what is configured by itself.
func TestLogLevelForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeveled(t)
		status, answer := l.ask(t, "GET", "", elsewhere)
		require.Equal(t, 200, status)
		require.Equal(t, map[string]any{"level": "warn", "configured": "warn"}, answer)

		until := time.Now().Add(10 * time.Minute).UTC().Format(time.RFC3339)
		status, answer = l.ask(t, "PUT", "?level=debug", here)
		require.Equal(t, 200, status)
		require.Equal(t, map[string]any{"level": "debug", "configured": "warn", "until": until}, answer)
		require.Equal(t, slog.LevelDebug, l.level.Level())
		require.Contains(t, l.log.String(), `"msg":"log level was changed","level":"debug"`)

		l.handler = mustOperations(t, app.OperationsOptions{Level: l.shared}) // the gateway has begun anew
		_, again := l.ask(t, "GET", "", elsewhere)
		require.Equal(t, answer, again)

		time.Sleep(9 * time.Minute)
		_, _ = l.ask(t, "PUT", "?level=error&for=2h", "[::1]:1234") // takes the place of the one before
		time.Sleep(time.Hour)
		require.Equal(t, slog.LevelError, l.level.Level())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, slog.LevelWarn, l.level.Level())

		_, _ = l.ask(t, "PUT", "?level=debug&for=1m", here)
		_, answer = l.ask(t, "PUT", "?level=warn", here) // as configured: nothing is left of the change
		require.Equal(t, map[string]any{"level": "warn", "configured": "warn"}, answer)
		l.level.Set(slog.LevelInfo)
		time.Sleep(time.Hour)
		require.Equal(t, slog.LevelInfo, l.level.Level())
	})
}

func TestLogLevelRefusals(t *testing.T) {
	l := newLeveled(t)
	for name, tc := range map[string]struct {
		method, query, from string
		status              int
		code                string
	}{
		"from elsewhere": {"PUT", "?level=debug", elsewhere, 403, "forbidden"},
		"no level":       {"PUT", "", here, 400, "bad_request"},
		"another word":   {"PUT", "?level=DEBUG", here, 400, "bad_request"},
		"no duration":    {"PUT", "?level=debug&for=10", here, 400, "bad_request"},
		"a negative one": {"PUT", "?level=debug&for=-1m", here, 400, "bad_request"},
		"for ever":       {"PUT", "?level=debug&for=25h", here, 400, "bad_request"},
		"another method": {"POST", "?level=debug", here, 405, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := l.ask(t, tc.method, tc.query, tc.from)
			require.Equal(t, tc.status, status)
			require.Equal(t, tc.code, answer["error"])
			require.NotEmpty(t, answer["message"])
			require.Equal(t, slog.LevelWarn, l.level.Level())
		})
	}
	t.Run("without a level", func(t *testing.T) {
		require.Equal(t, 404, request(t, mustOperations(t, app.OperationsOptions{}), "GET", "/log/level").StatusCode)
	})
}
