package session

import (
	"context"

	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Why clients are told ICE servers.
const (
	toldHello    = "hello"    // it has said hello, or has come back
	toldExpiring = "expiring" // its credentials are about to expire
	toldRefresh  = "refresh"  // it has brought a new token
	toldChanged  = "changed"  // the servers are others
	toldAsked    = "asked"
)

// issueICE gives the client fresh ICE servers, which it is to be told, and notes when it needs the next. Without an issuer it gives none.
func (c *core) issueICE(why string) *wire.ICE {
	issuer := c.server.opts.ICE
	c.mu.Lock()
	identity := c.identity
	c.mu.Unlock()
	if issuer == nil || identity == nil {
		return new(wire.ICE)
	}
	grant := issuer.Issue(identity.App, identity.User)
	c.server.metrics.ice[why].Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.identity != nil && !c.over { // neither has failed to go on meanwhile, nor ended
		c.told, c.agenda.renewAt = grant.Told, grant.Renew
		c.schedule()
	}
	return grant.Event()
}

// tellICE tells the client fresh ICE servers.
func (c *core) tellICE(why string) { c.sink.Deliver(wire.MessageFrame(c.issueICE(why))) }

// renewICE tells the client fresh ICE servers with its new token, if the credentials that it has expire.
func (c *core) renewICE() {
	c.mu.Lock()
	expire := !c.agenda.renewAt.IsZero()
	c.mu.Unlock()
	if expire {
		c.tellICE(toldRefresh)
	}
}

// staleICE reports whether the client was told ICE servers that are others by now.
func (c *core) staleICE() bool {
	c.mu.Lock()
	told, identity := c.told, c.identity
	c.mu.Unlock()
	return identity != nil && c.server.opts.ICE.Stale(identity.App, told)
}

// ICEChanged tells those sessions fresh ICE servers that were told others, so many a second, until all were or ctx ends.
func (s *Server) ICEChanged(ctx context.Context) {
	if s.opts.ICE == nil {
		return
	}
	defer s.metrics.iceWaiting.Set(0)
	pace := rate.NewLimiter(rate.Limit(s.opts.ICEChangesPerSecond), 1)
	for i := range s.present.shards {
		found := s.present.shards[i].find((*core).staleICE)
		for n, c := range found {
			// Those of the other shards are about as many.
			s.metrics.iceWaiting.Set(float64(len(found) - n + (presentShards-1-i)*len(found)))
			if pace.Wait(ctx) != nil {
				return
			}
			if c.staleICE() { // it may have come by fresh ones meanwhile
				c.tellICE(toldChanged)
			}
		}
	}
}

// TellICE tells the client its ICE servers, if there are any. Transports whose clients get no welcome call it once.
func (a *Attached) TellICE() {
	if servers := a.issueICE(toldHello); len(servers.Servers) > 0 {
		a.gate.Deliver(wire.MessageFrame(servers))
	}
}
