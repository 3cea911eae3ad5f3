package session

import (
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// hello opens the session: the first request must be one.
func (s *Session) hello(request wire.Request, timeout *time.Timer) {
	hello, ok := request.Body.(*wire.Hello)
	if !ok {
		s.refuse(request.ID, wire.Errorf(wire.CodeUnauthorized, "say hello first"))
		return
	}
	identity, err := s.authenticate(hello)
	if err == nil {
		err = s.open(identity)
	}
	if err != nil {
		var refusal *wire.Error
		if !errors.As(err, &refusal) {
			s.logger().Error("hello failed", "error", err)
			refusal = wire.Errorf(wire.CodeInternal, "internal error")
		}
		s.refuse(request.ID, refusal)
		s.queue.close(farewell{code: wire.CloseUnauthorized, reason: string(refusal.Code)})
		return
	}
	timeout.Stop()
	s.lastID = request.ID
	s.server.metrics.hellos.WithLabelValues("ok").Inc()
	s.server.metrics.sessions.Inc()
	s.reply(request.ID, s.welcome())
	s.logger().Debug("session opened", "client", hello.Client, "remote", s.client.Remote)
}

// authenticate checks who the client is.
func (s *Session) authenticate(hello *wire.Hello) (*auth.Identity, error) {
	refuse := func(reason, message string) (*auth.Identity, error) {
		s.server.metrics.hellos.WithLabelValues(reason).Inc()
		return nil, wire.Errorf(wire.CodeUnauthorized, "%s", message)
	}
	var identity *auth.Identity
	var err error
	switch {
	case hello.Resume != "":
		return refuse("resume", "this session cannot be resumed")
	case hello.Token != "" && hello.App != "":
		return refuse("ambiguous", "a token names its app itself")
	case hello.Token != "":
		identity, err = s.server.opts.Auth.Verify(hello.Token)
	case hello.App != "":
		identity, err = s.server.opts.Auth.Anonymous(hello.App, hello.Name)
	default:
		return refuse("missing", "a token or an app is needed")
	}
	if refused := new(auth.Error); errors.As(err, &refused) {
		return refuse(string(refused.Reason), refused.Error())
	}
	if err != nil {
		return nil, err
	}
	if allowed := s.server.opts.Origin; allowed != nil && s.client.Origin != "" && !allowed(identity.App, s.client.Origin) {
		return refuse("origin", "the app does not allow this page's origin")
	}
	return identity, nil
}

// open makes the session a member of its app.
func (s *Session) open(identity *auth.Identity) error {
	member, err := s.server.opts.Rooms.NewMember(room.Identity{
		ID: s.id, App: identity.App, User: identity.User, Name: identity.Name,
		Capacity: identity.Policy.Capacity, MaxCapacity: identity.Policy.MaxCapacity,
		Grant: func(name string) (room.Permissions, bool) {
			permissions, ok := identity.Room(name)
			return room.Permissions(permissions), ok
		},
	}, s)
	if err != nil {
		return err
	}
	s.member = member
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = identity
	if !identity.Expires.IsZero() {
		s.expiry = time.AfterFunc(time.Until(identity.Expires), func() {
			s.queue.close(farewell{code: wire.CloseExpired, reason: "the token has expired"})
		})
	}
	return nil
}

func (s *Session) welcome() *wire.Welcome {
	opts := &s.server.opts
	return &wire.Welcome{
		Session: s.id, App: s.identity.App, User: s.identity.User, Name: s.identity.Name, Node: opts.Node, Version: wire.Version,
		Heartbeat: opts.Heartbeat.Milliseconds(), Time: time.Now().UnixMilli(), ICEServers: opts.ICEServers,
		Limits: wire.SessionLimits{
			MessageBytes: opts.MessageBytes, RequestsPerSecond: opts.RequestsPerSecond, RequestsBurst: opts.RequestsBurst,
			Rooms: opts.RoomsPerSession, StateBytes: opts.StateBytes, InFlight: opts.InFlight,
		},
	}
}

// dispatch hands a request to its handler. Replies come from the handlers' callbacks.
func (s *Session) dispatch(request wire.Request) {
	id := request.ID
	if id <= s.lastID {
		s.refuseMessage(id, wire.Errorf(wire.CodeBadRequest, "id %d does not rise above %d", id, s.lastID))
		return
	}
	s.lastID = id
	switch body := request.Body.(type) {
	case *wire.Signal:
		s.began()
		s.member.Signal(body, s.doneReply(id))
	case *wire.Publish:
		s.began()
		s.member.Publish(body, s.doneReply(id))
	case *wire.SetState:
		s.began()
		s.member.SetState(body, s.doneReply(id))
	case *wire.Leave:
		s.began()
		s.member.Leave(body.Room, s.doneReply(id))
	case *wire.Join:
		s.began()
		s.member.Join(body, s.snapshotReply(id))
	case *wire.Peers:
		s.handlePeers(id, body)
	case *wire.UpdateRoom:
		s.began()
		s.member.UpdateRoom(body, func(result wire.Updated, err error) { s.answer(id, &result, err) })
	case *wire.Control:
		s.began()
		s.member.Control(body, func(result wire.Controlled, err error) { s.answer(id, &result, err) })
	case *wire.Report:
		s.handleReport(id, body)
	case *wire.Ping:
		s.reply(id, &wire.Pong{Time: time.Now().UnixMilli()})
	case *wire.Hello:
		s.refuse(id, wire.Errorf(wire.CodeBadRequest, "hello was said already"))
	}
}

func (s *Session) doneReply(id int64) func(wire.Done, error) {
	return func(result wire.Done, err error) { s.answer(id, &result, err) }
}

func (s *Session) snapshotReply(id int64) func(*wire.Snapshot, error) {
	return func(snapshot *wire.Snapshot, err error) { s.answer(id, snapshot, err) }
}

// answer ends a request that was begun. It runs on the store's goroutine and does not block.
func (s *Session) answer(id int64, body wire.ReplyBody, err error) {
	var refusal *wire.Error
	switch {
	case err == nil:
		s.reply(id, body)
	case errors.As(err, &refusal):
		s.refuse(id, refusal)
	default:
		s.refuse(id, wire.Errorf(wire.CodeInternal, "internal error"))
	}
	s.done()
}

func (s *Session) handlePeers(id int64, request *wire.Peers) {
	s.began()
	if request.List {
		s.member.Look(request.Room, true, s.snapshotReply(id))
		return
	}
	s.member.Look(request.Room, false, func(snapshot *wire.Snapshot, err error) {
		if err != nil {
			s.answer(id, nil, err)
			return
		}
		s.answer(id, &wire.HeadCount{Room: snapshot.Room, Count: snapshot.Count, Capacity: snapshot.Capacity}, nil)
	})
}

func (s *Session) handleReport(id int64, report *wire.Report) {
	s.server.metrics.reports.WithLabelValues(report.Outcome, report.Local, report.Remote, report.Protocol).Inc()
	if report.Outcome == "connected" && report.Milliseconds > 0 {
		s.server.metrics.reportTime.Observe(float64(report.Milliseconds) / 1000)
	}
	s.reply(id, &wire.Nothing{})
}
