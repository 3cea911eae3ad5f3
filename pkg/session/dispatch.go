package session

import (
	"context"
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// enter opens the session for a client that says hello.
func (c *core) enter(hello *wire.Hello) *wire.Error {
	if hello.Resume != "" {
		return c.enterBy(hello, c.resume)
	}
	return c.enterBy(hello, c.begins)
}

// enterBy opens the session in one of several ways. A fault of ours is logged, and told as an internal error.
func (c *core) enterBy(hello *wire.Hello, way func(*wire.Hello) error) *wire.Error {
	if err := way(hello); err != nil {
		c.uncount()
		var refusal *wire.Error
		if !errors.As(err, &refusal) {
			c.logger().Error("hello failed", "error", err)
			refusal = wire.Errorf(wire.CodeInternal, "internal error")
		}
		c.tracing.refused(refusal)
		return refusal
	}
	c.traceOpened()
	c.app = c.server.metrics.apps.of(c.identity.App)
	c.app.sessions.Inc()
	c.server.metrics.hellos.WithLabelValues("ok").Inc()
	c.server.metrics.sessions.Inc()
	c.debug("session opened", "client", hello.Client, "remote", c.client.Remote)
	return nil
}

// begins opens a new session.
func (c *core) begins(hello *wire.Hello) error {
	identity, err := c.authenticate(hello)
	if err != nil {
		return err
	}
	c.generation = max(hello.Attempt, 1)
	if err := c.count(identity, false); err != nil {
		return err
	}
	return c.open(identity, hello.Resumable)
}

// authenticate checks who the client is.
func (c *core) authenticate(hello *wire.Hello) (*auth.Identity, error) {
	refuse := func(reason, message string) (*auth.Identity, error) {
		c.server.metrics.hellos.WithLabelValues(reason).Inc()
		return nil, wire.Errorf(wire.CodeUnauthorized, "%s", message)
	}
	var identity *auth.Identity
	var err error
	switch {
	case hello.App != "" && c.server.opts.Auth.Hooked(hello.App):
		if !c.originAllowed(hello.App) {
			return refuse("origin", "the app does not allow this page's origin") // before anybody is asked
		}
		identity, err = c.server.opts.Auth.Authorise(context.Background(), auth.Connect{
			App: hello.App, Token: hello.Token, Name: hello.Name, Origin: c.client.Origin, Remote: c.client.Remote, Transport: c.client.Transport})
	case hello.Token != "" && hello.App != "":
		return refuse("ambiguous", "a token names its app itself")
	case hello.Token != "":
		identity, err = c.server.opts.Auth.Verify(hello.Token)
	case hello.App != "":
		identity, err = c.server.opts.Auth.Anonymous(hello.App, hello.Name)
	default:
		return refuse("missing", "a token or an app is needed")
	}
	if refused := new(auth.Error); errors.As(err, &refused) {
		return refuse(string(refused.Reason), refused.Error())
	}
	if errors.Is(err, auth.ErrNoAnswer) {
		c.server.metrics.hellos.WithLabelValues("no_answer").Inc()
		return nil, noAnswer()
	}
	if err != nil {
		return nil, err
	}
	if !c.originAllowed(identity.App) {
		return refuse("origin", "the app does not allow this page's origin")
	}
	return identity, nil
}

func (c *core) originAllowed(app string) bool {
	allowed := c.server.opts.Origin
	return allowed == nil || c.client.Origin == "" || allowed(app, c.client.Origin)
}

// open makes the session a member of its app.
func (c *core) open(identity *auth.Identity, resumable bool) error {
	capacity := identity.Policy.Capacity
	if c.client.Capacity > 0 {
		capacity = c.client.Capacity
	}
	var grace time.Duration
	if resumable {
		grace = c.server.grace(identity)
	}
	if !c.enters(identity) {
		c.server.present.remove(c)
		c.server.metrics.hellos.WithLabelValues(string(auth.ReasonRevoked)).Inc()
		return wire.Errorf(wire.CodeUnauthorized, "%s: this was revoked", auth.ReasonRevoked)
	}
	c.granted.Store(identity)
	opened := c.opens()
	member, err := c.server.opts.Rooms.NewMember(room.Identity{
		ID: c.client.ID, App: identity.App, User: identity.User, Name: identity.Name,
		Capacity: capacity, MaxCapacity: identity.Policy.MaxCapacity,
		Grant: func(name string) (room.Permissions, bool) {
			permissions, ok := c.granted.Load().Room(name)
			return room.Permissions(permissions), ok
		},
		Generation: c.generation, Grace: grace, Replace: c.server.replaces(identity), Before: c.before, Whole: c.whole,
		Hooks:    c.server.hooks(identity),
		Policy:   func(name string) room.Policy { return roomPolicy(c.granted.Load(), name, c.client.Capacity > 0) },
		Detached: func(takenOver bool) { c.detached(opened, takenOver) }, Quota: c.roomQuota(),
	}, c.sink)
	if err != nil {
		return err
	}
	if c.tracing != nil && !c.tracing.done {
		member.Trace(c.tracing.connect) // what a resume asks of the store
	}
	c.member, c.resumable = member, grace > 0
	c.assume(identity)
	return nil
}

func (c *core) welcome() *wire.Welcome {
	opts := &c.server.opts
	token, grace := c.resumeToken()
	servers := c.issueICE(toldHello)
	return &wire.Welcome{
		Resume: token, Grace: grace.Milliseconds(), Resumed: c.resumed, Rooms: c.rooms,
		Session: c.client.ID, App: c.identity.App, User: c.identity.User, Name: c.identity.Name, Node: opts.Node, Version: wire.Version,
		Heartbeat: opts.Heartbeat.Milliseconds(), Time: time.Now().UnixMilli(), ICEServers: servers.Servers, ICEExpires: servers.Expires,
		Limits: wire.SessionLimits{
			MessageBytes: opts.MessageBytes, RequestsPerSecond: opts.RequestsPerSecond, RequestsBurst: opts.RequestsBurst,
			Rooms: opts.RoomsPerSession, StateBytes: opts.StateBytes, InFlight: opts.InFlight,
		},
	}
}

// rises reports whether a request's id is above those before; if not, the request is refused.
func (c *core) rises(id int64) bool {
	if id <= c.lastID {
		c.refuseMessage(id, wire.Errorf(wire.CodeBadRequest, "id %d does not rise above %d", id, c.lastID))
		return false
	}
	c.lastID = id
	return true
}

// dispatch hands a request to its handler. Replies come from the handlers' callbacks.
func (c *core) dispatch(request wire.Request) {
	id := request.ID
	once := int64(0) // the number by which a request takes effect once
	if c.resumable && c.numbered {
		once = id
	}
	if refusal := c.overQuota(request.Body); refusal != nil {
		c.answer(c.begun(request), nil, refusal)
		return
	}
	switch body := request.Body.(type) {
	case *wire.Signal:
		c.signal(once, request, body)
	case *wire.Publish:
		c.publish(once, request, body)
	case *wire.SetState:
		c.member.SetState(once, body, c.doneReply(c.begun(request)))
	case *wire.Leave:
		c.member.Leave(once, body.Room, c.doneReply(c.begun(request)))
	case *wire.Join:
		c.join(once, request, body)
	case *wire.Peers:
		c.handlePeers(c.begun(request), body)
	case *wire.UpdateRoom:
		pending := c.begun(request)
		c.member.UpdateRoom(once, body, func(result wire.Updated, err error) { c.answer(pending, &result, err) })
	case *wire.Control:
		pending := c.begun(request)
		c.member.Control(once, body, func(result wire.Controlled, err error) { c.answer(pending, &result, err) })
	case *wire.AskHistory:
		pending := c.begun(request)
		c.member.History(body, func(history *wire.History, err error) { c.answer(pending, history, err) })
	case *wire.Undo:
		pending := c.begun(request)
		c.member.Undo(once, body, func(result wire.Undid, err error) { c.answer(pending, &result, err) })
	case *wire.Clear:
		c.member.Clear(once, body, c.doneReply(c.begun(request)))
	case *wire.Report:
		c.handleReport(once, id, body)
	case *wire.Ping:
		c.sink.Reply(id, &wire.Pong{Time: time.Now().UnixMilli()})
	case *wire.Refresh:
		c.handleRefresh(id, body)
	case *wire.AskICE:
		c.sink.Reply(id, &wire.ICEServers{ICE: *c.issueICE(toldAsked)})
	case *wire.Hello:
		c.refuse(id, wire.Errorf(wire.CodeBadRequest, "hello was said already"))
	}
}

func (c *core) doneReply(p pending) func(wire.Done, error) {
	return func(result wire.Done, err error) { c.answer(p, &result, err) }
}

func (c *core) snapshotReply(p pending) func(*wire.Snapshot, error) {
	return func(snapshot *wire.Snapshot, err error) { c.answer(p, snapshot, err) }
}

// seatReply is snapshotReply for who wants a seat. It is logged for those who look for why a call does not connect.
func (c *core) seatReply(p pending, room string) func(*wire.Snapshot, error) {
	reply := c.snapshotReply(p)
	if !c.debugs() {
		return reply
	}
	return func(snapshot *wire.Snapshot, err error) {
		if err == nil {
			c.debugIn(p.trace.context(), "seat taken", "room", room, "count", snapshot.Count, "capacity", snapshot.Capacity)
		} else {
			c.debugIn(p.trace.context(), "seat refused", "room", room, "code", string(refusalOf(err).Code))
		}
		reply(snapshot, err)
	}
}

// answer ends a request that was begun. It runs on the store's goroutine and does not block. The request's place is free
// before its client can know: one that keeps to the bound is never held back.
func (c *core) answer(p pending, body wire.ReplyBody, err error) {
	c.done()
	if err != nil {
		refusal := refusalOf(err)
		c.answered(p, resultOf(refusal.Code), refusal)
		c.refuseIn(p.trace.context(), p.id, refusal)
		return
	}
	c.answered(p, resultOK, nil)
	c.sink.Reply(p.id, body)
}

// answered notes how a request came out.
func (c *core) answered(p pending, result int, refusal *wire.Error) {
	p.timer.observe(result, time.Since(p.since), p.trace.context())
	if p.timer.kind == wire.TypeJoin {
		c.app.joins[result].Inc()
	}
	p.trace.end(result, refusal)
}

// refusalOf gives what a client is told of an error.
func refusalOf(err error) *wire.Error {
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return wire.Errorf(wire.CodeInternal, "internal error")
}

func (c *core) handlePeers(p pending, request *wire.Peers) {
	if request.List {
		c.member.Look(request.Room, true, c.snapshotReply(p))
		return
	}
	c.member.Look(request.Room, false, func(snapshot *wire.Snapshot, err error) {
		if err != nil {
			c.answer(p, nil, err)
			return
		}
		c.answer(p, &wire.HeadCount{Room: snapshot.Room, Count: snapshot.Count, Capacity: snapshot.Capacity}, nil)
	})
}

func (c *core) handleReport(once, id int64, report *wire.Report) {
	c.member.Report(once, id, report, func() { c.server.metrics.reported(c.app, report) })
	c.sink.Reply(id, &wire.Nothing{})
}
