package session

import (
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// How refreshes end, beside the reasons for which a token is refused.
const (
	refreshOK        = "ok"
	refreshAnonymous = "anonymous" // the session has no token
	refreshOther     = "other"     // the token is of another app or user
)

// handleRefresh goes on with the session under a new token. What it has stays in place when that is refused.
func (c *core) handleRefresh(id int64, request *wire.Refresh) {
	identity, result, refusal := c.refreshed(request.Token)
	c.server.metrics.refreshes.WithLabelValues(result).Inc()
	if refusal != nil {
		c.refuse(id, refusal)
		return
	}
	c.assume(identity)
	token, _ := c.resumeToken()
	c.sink.Reply(id, &wire.Refreshed{Expires: identity.Expires.UnixMilli(), Resume: token})
	c.renewICE()
}

// refreshed checks a token that is to take the place of the session's.
func (c *core) refreshed(token string) (identity *auth.Identity, result string, refusal *wire.Error) {
	if c.identity.Anonymous {
		return nil, refreshAnonymous, wire.Errorf(wire.CodeUnauthorized, "a session without a token cannot be refreshed")
	}
	identity, err := c.server.opts.Auth.Verify(token)
	if err != nil {
		refused, ok := errors.AsType[*auth.Error](err)
		if !ok {
			c.logger().Error("refresh failed", "error", err)
			return nil, string(wire.CodeInternal), wire.Errorf(wire.CodeInternal, "internal error")
		}
		return nil, string(refused.Reason), wire.Errorf(wire.CodeUnauthorized, "%s", refused.Error())
	}
	if identity.App != c.identity.App || identity.User != c.identity.User {
		return nil, refreshOther, wire.Errorf(wire.CodeUnauthorized, "the token is of another app or user")
	}
	if !c.enters(identity) {
		c.server.present.remove(c)
		c.server.present.add(c, c.identity) // it is closed by whoever has revoked it
		return nil, string(auth.ReasonRevoked), wire.Errorf(wire.CodeUnauthorized, "%s: this was revoked", auth.ReasonRevoked)
	}
	return identity, refreshOK, nil
}

// assume has the session be of an identity, until it expires.
func (c *core) assume(identity *auth.Identity) {
	c.granted.Store(identity)
	c.takeRules(identity.App)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = identity
	c.agenda.warnAt = time.Time{}
	left := time.Until(identity.Expires)
	if notice := min(c.server.opts.ExpiryNotice, left/2); c.numbered && !identity.Anonymous && !identity.Expires.IsZero() && notice > 0 {
		c.agenda.warnAt = identity.Expires.Add(-notice)
	}
	c.schedule()
}
