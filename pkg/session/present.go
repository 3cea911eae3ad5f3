package session

import (
	"hash/maphash"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// presentShards spread the sessions, so that hellos do not wait for one another, nor for who looks through all of them.
const presentShards = 64

// present knows all sessions that have said hello, whatever their transport, by their users. It costs a session three
// pointers: those of a user are found among the few of a shard.
type present struct {
	seed   maphash.Seed
	shards [presentShards]presentShard
}

type presentShard struct {
	mu    sync.Mutex
	first *core
	apps  map[string]int // sessions here of each app that has any
}

// presence is a session's place among those that are present. It is written by the goroutine that has the requests, and guarded by the shard's mu.
type presence struct {
	of         *auth.Identity // nil while it is not there
	next, prev *core
}

func newPresent() *present { return &present{seed: maphash.MakeSeed()} }

func (p *present) shard(app, user string) *presentShard {
	var hash maphash.Hash
	hash.SetSeed(p.seed)
	_, _ = hash.WriteString(app)
	_ = hash.WriteByte('/')
	_, _ = hash.WriteString(user)
	return &p.shards[hash.Sum64()%presentShards]
}

// count counts a session of an app in, or out with -1. mu is held.
func (sh *presentShard) count(app string, by int) {
	if sh.apps == nil {
		sh.apps = make(map[string]int)
	}
	if sh.apps[app] += by; sh.apps[app] == 0 {
		delete(sh.apps, app)
	}
}

// Apps gives how many sessions there are of each app, of all transports, that have said hello.
func (s *Server) Apps() map[string]int {
	sum := make(map[string]int)
	for i := range s.present.shards {
		sh := &s.present.shards[i]
		sh.mu.Lock()
		for app, sessions := range sh.apps {
			sum[app] += sessions
		}
		sh.mu.Unlock()
	}
	return sum
}

func (p *present) add(c *core, identity *auth.Identity) {
	sh := p.shard(identity.App, identity.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.count(identity.App, 1)
	c.presence = presence{of: identity, next: sh.first}
	if sh.first != nil {
		sh.first.presence.prev = c
	}
	sh.first = c
}

func (p *present) remove(c *core) {
	if c.presence.of == nil {
		return
	}
	sh := p.shard(c.presence.of.App, c.presence.of.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.count(c.presence.of.App, -1)
	if c.presence.prev != nil {
		c.presence.prev.presence.next = c.presence.next
	} else {
		sh.first = c.presence.next
	}
	if c.presence.next != nil {
		c.presence.next.presence.prev = c.presence.prev
	}
	c.presence = presence{}
}

// find gives a shard's sessions that are looked for.
func (sh *presentShard) find(which func(*core) bool) []*core {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var found []*core
	for c := sh.first; c != nil; c = c.presence.next {
		if which(c) {
			found = append(found, c)
		}
	}
	return found
}

// Revoke closes what there is of a user, or of a session, with [wire.CloseRevoked], and tells how many sessions that were. The
// directory must know of the revocation already.
func (s *Server) Revoke(r auth.Revocation) int {
	if r.Session == "" {
		return s.closeRevoked(s.present.shard(r.App, r.User).find(func(c *core) bool {
			is := c.presence.of
			return is.App == r.App && is.User == r.User && s.opts.Auth.Revoked(is, "")
		}))
	}
	return s.closeAll(func(c *core) bool {
		return c.presence.of.App == r.App && c.id() == r.Session
	})
}

// CloseApps closes the sessions of apps with [wire.CloseRevoked], and tells how many they were.
func (s *Server) CloseApps(apps map[string]bool) int {
	return s.closeAll(func(c *core) bool { return apps[c.presence.of.App] })
}

func (s *Server) closeAll(which func(*core) bool) int {
	closed := 0
	for i := range s.present.shards {
		closed += s.closeRevoked(s.present.shards[i].find(which))
	}
	return closed
}

func (s *Server) closeRevoked(found []*core) int {
	for _, c := range found {
		c.sink.Close(wire.CloseRevoked, "revoked")
		c.release()
	}
	return len(found)
}

// enters puts the session among those that are present, and reports whether it may be there: its user, itself or its app may have
// been revoked since its token was looked at. Who revokes notes that first, and then looks for sessions: one of both is seen.
func (c *core) enters(identity *auth.Identity) bool {
	c.server.present.remove(c)
	c.server.present.add(c, identity)
	directory := c.server.opts.Auth
	return directory.Enabled(identity.App) && !directory.Revoked(identity, c.client.ID)
}
