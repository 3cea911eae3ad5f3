package relay

import "github.com/pion/logging"

// quietFactory makes the library's loggers. Its lines name clients and peers, which no log of ours does: of warnings the text is told
// without what is filled in, and of others nothing.
type quietFactory struct{ server *Server }

var _ logging.LoggerFactory = quietFactory{}

// NewLogger implements [logging.LoggerFactory].
func (f quietFactory) NewLogger(string) logging.LeveledLogger { return quietLogger(f) }

// quietLogger implements [logging.LeveledLogger].
type quietLogger struct{ server *Server }

func (l quietLogger) Trace(string)          {}
func (l quietLogger) Tracef(string, ...any) {}
func (l quietLogger) Debug(string)          {}
func (l quietLogger) Debugf(string, ...any) {}
func (l quietLogger) Info(string)           {}
func (l quietLogger) Infof(string, ...any)  {}

// Warn implements [logging.LeveledLogger].
func (l quietLogger) Warn(text string) { l.tell(text) }

// Warnf implements [logging.LeveledLogger].
func (l quietLogger) Warnf(format string, _ ...any) { l.tell(format) }

// Error implements [logging.LeveledLogger].
func (l quietLogger) Error(text string) { l.tell(text) }

// Errorf implements [logging.LeveledLogger].
func (l quietLogger) Errorf(format string, _ ...any) { l.tell(format) }

func (l quietLogger) tell(text string) {
	l.server.metrics.errors.Inc()
	l.server.opts.Logger.Debug("the TURN library warns", "warning", text)
}
