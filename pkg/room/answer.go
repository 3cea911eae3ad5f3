package room

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// lapsedRetryAfter is about when a gateway has found out that it was given up.
const lapsedRetryAfter = 2 * time.Second

func notMember(room string) *wire.Error {
	return wire.Errorf(wire.CodeNotMember, "no seat in room %q", room)
}

// refusal gives the error for the client, or nil.
func (m *Member) refusal(err error) *wire.Error {
	if err == nil {
		return nil
	}
	var refusal *wire.Error // what errors.As fills is allocated
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrSuperseded):
		m.service.detach(m, errors.Is(err, store.ErrSuperseded))
		return &wire.Error{Code: wire.CodeUnavailable, Message: "another connection holds the seat", RetryAfter: lapsedRetryAfter}
	case errors.Is(err, store.ErrNoRoom):
		return wire.Errorf(wire.CodeForbidden, "there is no such room, and the app does not let it be made by joining it")
	case errors.Is(err, store.ErrLapsed): // this gateway is about to close the session
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the gateway has to start anew", RetryAfter: lapsedRetryAfter}
	}
	m.service.opts.Logger.Error("store call failed", "app", m.app, "session", m.id, "error", err)
	return wire.Errorf(wire.CodeInternal, "internal error")
}

// outcome is refusal for a call that needs a seat. Where Redis does not know one that this node believes the member to have,
// it may have lost it, and puts it back soon: the client is to ask again.
func (m *Member) outcome(room string, err error) *wire.Error {
	refusal := m.refusal(err)
	if refusal == nil || refusal.Code != wire.CodeNotMember {
		return refusal
	}
	st := m.find(room)
	if st == nil || !m.service.suspect(st) {
		return refusal
	}
	return &wire.Error{Code: wire.CodeUnavailable, Message: "the seat is being looked for", RetryAfter: lapsedRetryAfter}
}

// finish calls done with a result or a refusal; a nil *wire.Error must not become a non-nil error.
func finish[T any](done func(T, error), result T, refusal *wire.Error) {
	if refusal != nil {
		var none T
		done(none, refusal)
		return
	}
	done(result, nil)
}

// snapshot gives the store's snapshot as this member sees it.
func (m *Member) snapshot(s *store.Snapshot) *wire.Snapshot {
	snapshot := &wire.Snapshot{
		Room: s.Room.Name, Self: m.id, Epoch: s.Epoch, Seq: s.Seq, Version: s.Version, Capacity: s.Capacity, Count: s.Count,
		Locked: s.Locked, Presenter: s.Presenter, Properties: wire.Object(s.Properties), Spotlight: s.Spotlight,
		Peers: make([]wire.Peer, 0, len(s.Members)), Queue: m.queue(s), RelayOnly: m.policyOf(s.Room.Name).RelayOnly,
	}
	if s.Place != nil {
		where := waitingOf(s.Place)
		snapshot.Waiting = &where
	}
	if !s.Created.IsZero() {
		snapshot.Created = s.Created.UnixMilli()
	}
	for _, member := range s.Members {
		who := m.who(s.Room.Name, member.ID, member.Profile)
		snapshot.Peers = append(snapshot.Peers, wire.Peer{
			ID: member.ID, Order: member.Order, User: who.User, Name: who.Name, State: wire.Object(member.State), Away: member.Away})
	}
	return snapshot
}

// queue gives those who wait, as the client is told.
func (m *Member) queue(s *store.Snapshot) []wire.Waiter {
	var queue []wire.Waiter
	for i := range s.Waiting {
		waiting := &s.Waiting[i]
		who := m.who(s.Room.Name, waiting.ID, waiting.Profile)
		waiter := wire.Waiter{ID: waiting.ID, User: who.User, Name: who.Name, Away: waiting.Away, Reason: wire.WaitReason(waiting.Moderated)}
		queue = append(queue, waiter)
	}
	return queue
}

// who reads the profile that a peer had in a room.
func (m *Member) who(room, peer string, encoded []byte) profile {
	who, err := readProfile(encoded)
	if err != nil {
		m.service.opts.Logger.Warn("a peer's profile cannot be read", "app", m.app, "room", room, "session", peer, "error", err)
	}
	return who
}

// readProfile reads a profile: without a decoder where it has no escapes and is as [Service.NewMember] writes it.
func readProfile(encoded []byte) (who profile, err error) {
	if !bytes.ContainsRune(encoded, '\\') && utf8.Valid(encoded) {
		if rest, ok := bytes.CutPrefix(encoded, []byte(`{"user":"`)); ok {
			user, rest, _ := bytes.Cut(rest, []byte{'"'})
			if string(rest) == "}" {
				return profile{User: string(user)}, nil
			}
			name, ok := bytes.CutPrefix(rest, []byte(`,"name":"`))
			name, rest, _ = bytes.Cut(name, []byte{'"'})
			if ok && string(rest) == "}" {
				return profile{User: string(user), Name: string(name)}, nil
			}
		}
	}
	err = json.Unmarshal(encoded, &who)
	return who, err
}
