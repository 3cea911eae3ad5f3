package session

import (
	"net/netip"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// count holds the session's connection to quotas, unless it comes back.
func (c *core) count(identity *auth.Identity, back bool) error {
	if c.server.opts.Quotas == nil {
		return nil
	}
	session, refusal := c.server.opts.Quotas.Enter(identity.App, identity.User, addressOf(c.client.Remote), back)
	if refusal != nil {
		c.server.metrics.hellos.WithLabelValues("quota").Inc()
		return refusedBy(refusal)
	}
	c.quota = session
	return nil
}

// uncount counts the session's connection out. It may be called twice.
func (c *core) uncount() {
	if c.quota != nil {
		c.quota.Leave()
		c.quota = nil
	}
}

// addressOf reads a client's address; the zero one if it cannot be read.
func addressOf(remote string) netip.Addr {
	if both, err := netip.ParseAddrPort(remote); err == nil {
		return both.Addr()
	}
	address, _ := netip.ParseAddr(remote)
	return address
}

// refusedBy gives what a client is told. What passes by itself is tried again by clients themselves; the rest is for people to try.
func refusedBy(refusal *quota.Refusal) *wire.Error {
	code, message := wire.CodeLimit, "over the quota of "+refusal.Quota+" of the "+refusal.Scope
	if refusal.Passing {
		code = wire.CodeRateLimited
	}
	return &wire.Error{Code: code, Message: message, RetryAfter: refusal.RetryAfter}
}

// QuotaError gives what is answered to what a quota refuses; nil for no refusal.
func QuotaError(refusal *quota.Refusal) *wire.Error { return orNil(refusal) }

// overQuota counts a request that changes or relays something, or a join; an error is why it is refused. Requests that only ask cost
// nothing but the session's own rate of requests, and who leaves is never held back.
func (c *core) overQuota(body wire.RequestBody) error {
	if c.quota == nil {
		return nil
	}
	var refusal *quota.Refusal
	switch body := body.(type) {
	case *wire.Signal:
		refusal = c.quota.Message(len(body.Data))
	case *wire.Publish:
		refusal = c.quota.Message(len(body.Data))
	case *wire.SetState:
		refusal = c.quota.Message(sizeOf(body.State))
	case *wire.UpdateRoom:
		refusal = c.quota.Message(sizeOf(body.Properties) + len(body.Spotlight))
	case *wire.Control, *wire.Undo, *wire.Clear:
		refusal = c.quota.Message(0)
	case *wire.Join:
		refusal = c.quota.Join()
	}
	if refusal != nil {
		return refusedBy(refusal)
	}
	return nil
}

// sizeOf is about the size of an object, in bytes of JSON.
func sizeOf(object wire.Object) int {
	size := 0
	for key, value := range object {
		size += len(key) + len(value)
	}
	return size
}

// seats is what rooms count for quotas.
type seats struct{ *quota.App }

var _ room.Quota = seats{}

// roomQuota is what the session's seats and rooms are counted by; nil where there are no quotas.
func (c *core) roomQuota() room.Quota {
	if c.quota == nil {
		return nil
	}
	return seats{c.quota.App()}
}

// TakeSeat implements [room.Quota].
func (s seats) TakeSeat() *wire.Error { return orNil(s.App.TakeSeat()) }

// TakeRoom implements [room.Quota].
func (s seats) TakeRoom() *wire.Error { return orNil(s.App.TakeRoom()) }

func orNil(refusal *quota.Refusal) *wire.Error {
	if refusal == nil {
		return nil
	}
	return refusedBy(refusal)
}
