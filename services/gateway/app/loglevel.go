package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	logLevelPath = "/log/level"
	// logLevelFor is how long a changed level holds when the request does not say, and logLevelMost the longest that it
	// can: nobody has to remember that a gateway still logs at debug.
	logLevelFor  = 10 * time.Minute
	logLevelMost = 24 * time.Hour
)

// LogLevel shows the level of the log, and changes it for a while. It belongs to the process, as the log does: gateways that
// take one another's place share it.
type LogLevel struct {
	level      *slog.LevelVar
	configured slog.Level
	logger     *slog.Logger

	mu      sync.Mutex
	revert  *time.Timer // nil while the configured level holds; guarded by mu
	changes int         // guarded by mu
	until   time.Time   // guarded by mu
}

// NewLogLevel takes the level that a logger has now for the configured one.
func NewLogLevel(level *slog.LevelVar, logger *slog.Logger) *LogLevel {
	return &LogLevel{level: level, configured: level.Level(), logger: logger}
}

// logLevelState is the answer.
type logLevelState struct {
	Level      string     `json:"level"`
	Configured string     `json:"configured"`
	Until      *time.Time `json:"until,omitempty"`
}

// ServeHTTP answers GET with the level, and PUT ?level=debug&for=10m by changing it for that long: from this machine alone,
// which a port-forward of Kubernetes is.
func (l *LogLevel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		if !isLoopback(r.RemoteAddr) {
			writeJSON(w, http.StatusForbidden, operationsError{"forbidden", "the level is changed from this machine alone, for example through kubectl port-forward"})
			return
		}
		if err := l.change(r.URL.Query().Get("level"), r.URL.Query().Get("for")); err != nil {
			writeJSON(w, http.StatusBadRequest, operationsError{"bad_request", err.Error()})
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		writeJSON(w, http.StatusMethodNotAllowed, operationsError{"method_not_allowed", "use GET or PUT"})
		return
	}
	writeJSON(w, http.StatusOK, l.state())
}

func (l *LogLevel) state() logLevelState {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := logLevelState{Level: word(l.level.Level()), Configured: word(l.configured)}
	if l.revert != nil {
		until := l.until.UTC().Truncate(time.Second)
		state.Until = &until
	}
	return state
}

// change sets a level for a while; the configured one ends what is left of an earlier change.
func (l *LogLevel) change(name, duration string) error {
	var level slog.Level
	switch name {
	case "debug", "info", "warn", "error":
		_ = level.UnmarshalText([]byte(name)) // these are its words
	default:
		return fmt.Errorf("level is %q, not debug, info, warn or error", name)
	}
	hold := logLevelFor
	if duration != "" {
		var err error
		if hold, err = time.ParseDuration(duration); err != nil || hold <= 0 || hold > logLevelMost {
			return fmt.Errorf("for is %q, not a duration of at most %v", duration, logLevelMost)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revert != nil {
		l.revert.Stop()
		l.revert = nil
	}
	l.level.Set(level)
	if level == l.configured {
		l.logger.Info("log level is as configured again", "level", name)
		return nil
	}
	l.until = time.Now().Add(hold)
	l.changes++
	change := l.changes
	l.revert = time.AfterFunc(hold, func() { l.reset(change) })
	l.logger.Error("log level was changed", "level", name, "for", hold) // at the one level that is always logged
	return nil
}

// reset ends a change, unless another one has taken its place.
func (l *LogLevel) reset(change int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revert == nil || l.changes != change {
		return
	}
	l.revert = nil
	l.level.Set(l.configured)
	l.logger.Info("log level is as configured again", "level", word(l.configured))
}

// word is a level as the configuration has it.
func word(level slog.Level) string { return strings.ToLower(level.String()) }
