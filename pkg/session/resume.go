package session

import (
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// grace is how long seats are kept for a client that can come back; 0 if they are not.
func (s *Server) grace(identity *auth.Identity) time.Duration {
	switch own := time.Duration(identity.Policy.Grace); {
	case s.opts.Tokens == nil || own < 0:
		return 0
	case own > 0:
		return own
	}
	return s.opts.Grace
}

// hooks gives what decides of which rooms of an identity's app webhooks tell; nil where of none.
func (s *Server) hooks(identity *auth.Identity) func(room string) bool {
	if s.opts.Hooks == nil {
		return nil
	}
	return func(room string) bool {
		if !s.opts.Hooks(identity.App, room) {
			return false
		}
		policy := identity.PolicyFor(room)
		return policy.HasWebhooks()
	}
}

// replaces reports whether a user's new seat takes the place of the user's earlier one.
func (s *Server) replaces(identity *auth.Identity) bool {
	policy := identity.Policy.SameUser
	if policy == "" {
		policy = s.opts.SameUser
	}
	return policy == auth.SameUserReplace
}

// resumeToken gives the token with which the client can come back, and for how long.
func (c *core) resumeToken() (string, time.Duration) {
	if !c.resumable {
		return "", 0
	}
	token, err := c.server.opts.Tokens.Seal(auth.Resumable{
		Session: c.client.ID, Generation: c.generation, Identity: c.identity})
	if err != nil {
		c.logger().Error("no resume token", "error", err)
		return "", 0
	}
	return token, c.server.grace(c.identity)
}

// resume has a session go on over this connection. It waits for the store.
func (c *core) resume(hello *wire.Hello) error {
	refuse := func(result string) error {
		c.server.metrics.hellos.WithLabelValues(result).Inc()
		return wire.Errorf(wire.CodeResumeRefused, "the session cannot be resumed: say hello anew")
	}
	switch {
	case hello.Token != "" || hello.App != "":
		c.server.metrics.hellos.WithLabelValues("ambiguous").Inc()
		return wire.Errorf(wire.CodeUnauthorized, "a resume token says who one is")
	case c.server.opts.Tokens == nil:
		return refuse("resume_off")
	}
	session, err := c.server.opts.Tokens.Open(hello.Resume)
	if err != nil {
		reason := "resume_malformed"
		if refused := new(auth.Error); errors.As(err, &refused) {
			reason = "resume_" + string(refused.Reason)
		}
		return refuse(reason)
	}
	if !c.originAllowed(session.Identity.App) {
		c.server.metrics.hellos.WithLabelValues("origin").Inc()
		return wire.Errorf(wire.CodeUnauthorized, "the app does not allow this page's origin")
	}
	own := c.client.ID
	c.identify(session.Session)
	attempt := hello.Attempt
	if attempt == 0 {
		attempt = time.Now().UnixMilli() // later than what came before, as far as clocks agree
	}
	c.generation = max(session.Generation+1, attempt)
	_ = c.count(session.Identity, true) // refuses nobody who comes back
	if err := c.open(session.Identity, true); err != nil {
		c.identify(own)
		return err
	}
	if err := c.takeOver(hello.Rooms); err != nil {
		c.abandon()
		c.identify(own) // a session that begins on this connection instead is another one
		var refusal *wire.Error
		if errors.As(err, &refusal) {
			switch refusal.Code {
			case wire.CodeResumeRefused:
				return refuse("resume_superseded")
			case wire.CodeLimit:
				return refuse("resume_limit")
			}
		}
		c.server.metrics.hellos.WithLabelValues("resume_failed").Inc()
		return err
	}
	return nil
}

// takeOver waits until it is known what became of the session's rooms.
func (c *core) takeOver(positions map[string]wire.Position) error {
	type result struct {
		rooms map[string]wire.ResumedRoom
		err   error
	}
	answered := make(chan result, 1)
	c.member.Resume(positions, func(rooms map[string]wire.ResumedRoom, err error) { answered <- result{rooms, err} })
	timeout := time.NewTimer(c.server.opts.ResumeTimeout)
	defer timeout.Stop()
	select {
	case r := <-answered:
		c.resumed, c.rooms = r.err == nil, r.rooms
		return r.err
	case <-timeout.C:
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the store did not answer in time", RetryAfter: time.Second}
	}
}

// abandon undoes what a resume that failed has done: the seats are kept for the client's next try.
func (c *core) abandon() {
	c.member.Lose()
	c.forget()
}

// forget leaves the connection without a session.
func (c *core) forget() {
	c.server.present.remove(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.stop()
	c.member, c.identity, c.resumable, c.told = nil, nil, false, ice.Told{}
	c.opened++
}

// opens counts a member of the connection, and gives its number.
func (c *core) opens() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	return c.opened
}

// identify gives the connection the id of the session that it resumes, or its own again.
func (c *core) identify(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client.ID = session
}

// detached closes a connection whose member holds its seats no more, unless it is of a session that did not go on here.
func (c *core) detached(opened int, takenOver bool) {
	c.mu.Lock()
	present := opened == c.opened
	c.mu.Unlock()
	if !present {
		return
	}
	if takenOver {
		c.sink.Close(wire.CloseTakenOver, "a later connection has the session")
		return
	}
	c.sink.Close(wire.CloseMoved, "the seats are held elsewhere: come back")
}
