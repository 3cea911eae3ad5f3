package app

import (
	"fmt"
	"log/slog"
	"net"
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

// logLevel shows the level of the log, and changes it for a while.
type logLevel struct {
	level      *slog.LevelVar
	configured slog.Level
	logger     *slog.Logger

	mu      sync.Mutex
	revert  *time.Timer // nil while the configured level holds; guarded by mu
	changes int         // guarded by mu
	until   time.Time   // guarded by mu
}

// logLevelState is the answer.
type logLevelState struct {
	Level      string     `json:"level"`
	Configured string     `json:"configured"`
	Until      *time.Time `json:"until,omitempty"`
}

// ServeHTTP answers GET with the level, and PUT ?level=debug&for=10m by changing it for that long: from this machine alone,
// which a port-forward of Kubernetes is.
func (l *logLevel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		if !fromLoopback(r) {
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

func (l *logLevel) state() logLevelState {
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
func (l *logLevel) change(name, duration string) error {
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
func (l *logLevel) reset(change int) {
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

// fromLoopback reports whether a request comes from this machine, or this pod.
func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
