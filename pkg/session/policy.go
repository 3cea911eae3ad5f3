package session

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// backendPause is when a client is to try again that an app's backend was asked about in vain.
const backendPause = 2 * time.Second

func noAnswer() *wire.Error {
	return &wire.Error{Code: wire.CodeUnavailable, Message: "the app's backend does not answer", RetryAfter: backendPause}
}

// join hands on what the app's backend allows, where it wants to be asked. It is waited for: what the client asks for later has to
// come later, and nobody else waits.
func (c *core) join(once int64, request wire.Request, body *wire.Join) {
	pending := c.begun(request)
	if directory := c.server.opts.Auth; directory.JoinsAsked(c.identity.App) {
		if _, granted := c.identity.Room(body.Room); granted { // else it is refused in any case
			if err := directory.AuthoriseJoin(context.Background(), c.identity, c.client.ID, body.Room); err != nil {
				c.answer(pending, nil, joinRefusal(err))
				return
			}
		}
	}
	c.member.Join(once, body, c.seatReply(pending, body.Room))
}

// joinRefusal is what a client is told of a join that the app's backend does not allow.
func joinRefusal(err error) error {
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return wire.Errorf(wire.CodeForbidden, "%s", refused.Error())
	}
	return noAnswer()
}

// publish hands on what the room's policy lets pass.
func (c *core) publish(once int64, request wire.Request, body *wire.Publish) {
	pending := c.begun(request)
	policy := c.identity.PolicyFor(body.Room)
	if !policy.AllowsTopic(body.Topic) {
		c.answer(pending, nil, wire.Errorf(wire.CodeForbidden, "the room takes no messages under topic %q", body.Topic))
		return
	}
	if refusal := tooLarge(&policy, len(body.Data)); refusal != nil {
		c.answer(pending, nil, refusal)
		return
	}
	if policy.Echo == auth.EchoOff {
		body.Echo = false
	}
	if !c.negotiates(&body.Data, pending) {
		return
	}
	c.member.Publish(once, body, c.doneReply(pending))
}

// signal hands on what the room's policy lets pass.
func (c *core) signal(once int64, request wire.Request, body *wire.Signal) {
	pending := c.begun(request)
	policy := c.identity.PolicyFor(body.Room)
	if refusal := tooLarge(&policy, len(body.Data)); refusal != nil {
		c.answer(pending, nil, refusal)
		return
	}
	if !c.negotiates(&body.Data, pending) {
		return
	}
	c.member.Signal(once, body, c.doneReply(pending))
}

// tooLarge refuses data of so many bytes; nil lets it pass.
func tooLarge(policy *auth.Policy, bytes int) error {
	if policy.MaxMessageBytes > 0 && bytes > policy.MaxMessageBytes {
		return wire.Errorf(wire.CodeTooLarge, "the room takes data of at most %d bytes", policy.MaxMessageBytes)
	}
	return nil
}

// roomPolicy gives what an identity's policies say of a room. The capacity is left out where the transport has one of its own.
func roomPolicy(identity *auth.Identity, name string, ownCapacity bool) room.Policy {
	p := identity.PolicyFor(name)
	can, _ := identity.Room(name)
	policy := room.Policy{
		Capacity: p.Capacity, MaxCapacity: p.MaxCapacity, NoCreate: !p.MayCreate(can), Grace: time.Duration(p.Grace), Chat: p.History,
		NoSpotlight: !p.AllowsSpotlight(),
		Keep:        time.Duration(p.Keep), Succession: p.Succession == auth.SuccessionNext, Moderated: p.Moderated == auth.On, Waiting: p.Waiting,
		RelayOnly: p.RelayOnly == auth.On, FirstModerates: p.FirstModerates == auth.On,
	}
	if ownCapacity {
		policy.Capacity = 0
	}
	switch p.SameUser {
	case auth.SameUserReplace:
		policy.SameUser = 1
	case auth.SameUserAllow:
		policy.SameUser = -1
	}
	return policy
}
