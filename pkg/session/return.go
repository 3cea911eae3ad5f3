package session

import (
	"errors"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Returner is a [Sink] whose client can come back, and cannot start over from a snapshot: it has its session again only
// where all that it missed is known.
type Returner interface {
	Sink
	// Return tells, before anything else, that the session is an earlier one, under whose id it goes on, and what its rooms
	// are like now, but for those in which the client waits for a seat. missed is what is delivered first, in each room up to its snapshot's number. It reports false when the
	// client cannot take that much at once: it gets a new session then.
	Return(id string, rooms []*wire.Snapshot, missed []*wire.Frame) bool
}

// returns opens the session of a client that says who it is and may beside that show a session that it would like to go
// on with, which it then does or does not: as what it shows may be too old, that is no reason to refuse it.
func (a *Attached) returns(hello *wire.Hello, sink Returner) error {
	own := a.client.ID
	identity, err := a.authenticate(&wire.Hello{Token: hello.Token, App: hello.App, Name: hello.Name})
	if err != nil {
		return err
	}
	if hello.Resume != "" {
		reason, err := a.comeBack(hello, identity, sink)
		if err != nil {
			a.server.metrics.hellos.WithLabelValues("resume_failed").Inc()
			return err
		}
		if reason == "" {
			a.token = hello.Resume
			return nil
		}
		a.server.metrics.hellos.WithLabelValues("resume_" + reason).Inc()
		a.identify(own)
	}
	a.uncount() // as one that came back
	if err := a.count(identity, false); err != nil {
		return err
	}
	a.generation = max(hello.Attempt, 1)
	return a.open(identity, hello.Resumable)
}

// comeBack goes on with the session that the client shows, or tells why not. An error is one of the moment: the client is
// to come again.
func (a *Attached) comeBack(hello *wire.Hello, identity *auth.Identity, sink Returner) (reason string, err error) {
	if a.server.opts.Tokens == nil {
		return "off", nil
	}
	session, err := a.server.opts.Tokens.Open(hello.Resume)
	if refused := new(auth.Error); errors.As(err, &refused) {
		return string(refused.Reason), nil
	}
	if err != nil {
		return "malformed", nil
	}
	if !isSame(session.Identity, identity) {
		return "identity", nil
	}
	if identity.Anonymous {
		identity = session.Identity // whose user is another one each time
	}
	// It may have seats of which the client has not heard, when the answer to a join was lost.
	a.before = session.Session
	if !mayGoOn(identity, hello.Rooms) {
		return "rooms", nil
	}
	a.identify(session.Session)
	// A stock client does not count its attempts: what comes later is later, as far as the gateways' clocks agree.
	a.generation = max(session.Generation+1, time.Now().UnixMilli())
	a.whole = true
	_ = a.count(identity, true) // refuses nobody who comes back
	if err := a.open(identity, true); err != nil {
		return "", err
	}
	if err := a.takeOver(hello.Rooms); err != nil {
		a.abandon()
		var refusal *wire.Error
		if errors.As(err, &refusal) {
			switch refusal.Code {
			case wire.CodeResumeRefused:
				return "superseded", nil
			case wire.CodeLimit:
				return "rooms", nil
			}
		}
		return "", err
	}
	if !a.goesOn(hello.Rooms, sink) {
		a.giveUp()
		return "missed", nil
	}
	return "", nil
}

// isSame reports whether a client is who it was in an earlier session, as far as it says who it is.
func isSame(was, is *auth.Identity) bool {
	return was.App == is.App && was.Anonymous == is.Anonymous && (is.Anonymous || was.User == is.User)
}

// mayGoOn reports whether a client may be in the rooms. One that is in none has nothing to go on with: no seat tells that
// its session is not long over.
func mayGoOn(identity *auth.Identity, rooms map[string]wire.Position) bool {
	for room := range rooms {
		if _, ok := identity.Room(room); !ok {
			return false
		}
	}
	return len(rooms) > 0
}

// goesOn reports whether all is known that was missed in the rooms, and the client can take it. Who waited for a seat of a room has missed
// nothing in it: it waits still, or begins with a snapshot.
func (a *Attached) goesOn(rooms map[string]wire.Position, sink Returner) bool {
	waits := 0
	for name, room := range a.rooms {
		switch {
		case room.Result == wire.ResumeReplayed:
		case room.Result == wire.ResumeWaiting:
			waits++
		case room.Result != wire.ResumeResync || rooms[name].Epoch != wire.EpochWaiting:
			return false
		}
	}
	snapshots, missed := a.member.Returned()
	return len(snapshots)+waits == len(rooms) && sink.Return(a.client.ID, snapshots, missed)
}

// giveUp ends a session that was taken over and cannot go on: the others are told at once, and its seats are free.
func (a *Attached) giveUp() {
	a.member.End(wire.ReasonDisconnected)
	a.resumed, a.rooms = false, nil
	a.forget()
}

// ResumeToken gives the token with which the client can come back, "" if it cannot. For a client that has come back it is
// the one with which it did.
func (a *Attached) ResumeToken() string {
	if a.token == "" {
		a.token, _ = a.resumeToken()
	}
	return a.token
}
