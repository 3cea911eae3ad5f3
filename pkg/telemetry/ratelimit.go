package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxMessages bounds how many messages a limiter tells apart. Messages are constants in the code,
// so a process that meets the bound has put data into a message; its lines then share one allowance.
const maxMessages = 1024

// SuppressedKey is the key under which a line says how many lines like it were left out before it.
const SuppressedKey = "suppressed"

// Every returns a logger that writes each message at most once in interval, so that a flood of
// errors cannot become a flood of lines. Two records are alike when level and message are; their
// attributes do not count, and neither does which logger made from the returned one wrote them. The
// first record is written at once, and the next one after the interval carries the number of those
// left out in between as SuppressedKey.
//
// An interval of zero or less returns the logger as it is.
func Every(logger *slog.Logger, interval time.Duration) *slog.Logger {
	if interval <= 0 {
		return logger
	}
	return slog.New(&limitedHandler{
		next: logger.Handler(),
		limiter: &limiter{
			interval: interval,
			messages: make(map[message]*allowance),
		},
	})
}

// limitedHandler passes on the records that its limiter lets through. Handlers derived from one
// another share the limiter.
type limitedHandler struct {
	next    slog.Handler
	limiter *limiter
}

var _ slog.Handler = (*limitedHandler)(nil)

// Enabled implements slog.Handler.
func (h *limitedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *limitedHandler) Handle(ctx context.Context, record slog.Record) error {
	suppressed, ok := h.limiter.allow(message{record.Level, record.Message}, timeOf(record))
	if !ok {
		return nil
	}
	if suppressed > 0 {
		record = record.Clone()
		record.AddAttrs(slog.Uint64(SuppressedKey, suppressed))
	}
	return h.next.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitedHandler{next: h.next.WithAttrs(attrs), limiter: h.limiter}
}

// WithGroup implements slog.Handler.
func (h *limitedHandler) WithGroup(name string) slog.Handler {
	return &limitedHandler{next: h.next.WithGroup(name), limiter: h.limiter}
}

// message is what makes two records alike.
type message struct {
	level slog.Level
	text  string
}

// allowance is when a message was last written, and how often it was left out since.
type allowance struct {
	written    time.Time
	suppressed uint64
}

// limiter decides which records are written.
type limiter struct {
	interval time.Duration // immutable

	mu       sync.Mutex
	messages map[message]*allowance // guarded by mu; at most maxMessages and the shared one
}

// allow reports whether a message may be written now, and how often it was left out before.
func (l *limiter) allow(m message, now time.Time) (suppressed uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()

	a := l.messages[m]
	if a == nil {
		if len(l.messages) >= maxMessages {
			l.forget(now)
		}
		if len(l.messages) >= maxMessages {
			m = message{level: m.level}
			a = l.messages[m]
		}
	}
	if a == nil {
		l.messages[m] = &allowance{written: now}
		return 0, true
	}
	if now.Sub(a.written) < l.interval {
		a.suppressed++
		return 0, false
	}
	suppressed, a.suppressed, a.written = a.suppressed, 0, now
	return suppressed, true
}

// forget drops the messages that would be written if they came now and have nothing left to tell.
func (l *limiter) forget(now time.Time) {
	for m, a := range l.messages {
		if a.suppressed == 0 && now.Sub(a.written) >= l.interval {
			delete(l.messages, m)
		}
	}
}
