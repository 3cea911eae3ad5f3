package httpapi

import (
	"context"
	"log/slog"
	"net/http"
)

// auditMessage is the message of every line of the audit log.
const auditMessage = "audit"

// audit writes the line of a change that somebody with a valid key has asked for, whether it was carried out or not. It has
// names alone: no body, no answer, no key.
func (a *API) audit(op *operation, c *call, r *http.Request) {
	status := c.writer.status
	if status == 0 { // it has panicked
		status = http.StatusInternalServerError
	}
	attributes := []slog.Attr{
		slog.String("actor", c.principal.id), slog.String("operation", op.id), slog.Int("status", status),
		slog.String("remote", c.remote),
	}
	for _, name := range []string{"app", "room", "peer", "user", "session", "key", "node"} {
		// What the path names, and not what the caller may know: who asks for another one's app is what an audit is for.
		if value := r.PathValue(name); value != "" {
			attributes = append(attributes, slog.String(name, bounded(value)))
		}
	}
	if key := r.Header.Get(idempotencyHeader); key != "" {
		attributes = append(attributes, slog.String("idempotency_key", bounded(key)))
	}
	a.opts.Logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelInfo, auditMessage, attributes...)
}
