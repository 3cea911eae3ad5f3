package room

import (
	"context"
	"encoding/json"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Operator is the app's own hand in its rooms: what the server API asks for, for no seat. Who may ask is the caller's to
// check. Its methods may be called from any goroutine, and wait for Redis. Refusals are [*wire.Error], [store.ErrNoRoom] and
// [store.ErrRoomExists].
type Operator struct {
	service   *Service
	store     *store.Store
	stateKeys int
	stateSize int
}

// Operator gives the operator of the rooms that the service knows the rules of.
func (s *Service) Operator() *Operator {
	return &Operator{service: s, store: s.opts.Store, stateKeys: s.opts.StateKeys, stateSize: s.opts.StateBytes}
}

// unusedKeep is how long a room stays that nobody has joined, where neither its policy nor the deployment says.
const unusedKeep = 10 * time.Minute

// Create makes a room before anybody joins it, with the rules of a policy, whose Keep is also for the time until somebody joins. With
// [store.ErrRoomExists] comes the room as it is.
func (o *Operator) Create(ctx context.Context, r store.CreateRoom, policy *Policy) (*store.Snapshot, error) {
	r.MaxKeys, r.MaxBytes = o.stateKeys, o.stateSize
	r.Rules = o.service.rules(policy)
	if r.Rules.Keep <= 0 {
		r.Rules.Keep = unusedKeep
	}
	return wait(ctx, func(done func(*store.Snapshot, error)) { o.store.CreateRoom(r, done) })
}

// Get reads a room, with its members or only their number. A room that does not exist is refused.
func (o *Operator) Get(ctx context.Context, room store.Room, members bool) (*store.Snapshot, error) {
	snapshot, err := wait(ctx, func(done func(*store.Snapshot, error)) {
		o.store.Snapshot(store.Look{Room: room, Members: members}, done)
	})
	if err == nil && !snapshot.Found {
		return nil, store.ErrNoRoom
	}
	return snapshot, err
}

// Update changes a room that still has a version, and gives the number of the event and the new version. With the refusal conflict comes the present
// version. Refusals beside: peer_gone when the presenter has no seat, too_large.
func (o *Operator) Update(ctx context.Context, room store.Room, version int64, change *wire.RoomChange) (wire.Updated, error) {
	o.service.rotate(change)
	head, tail := wire.SplitRoomChanged(room.Name, "", change)
	return wait(ctx, func(done func(wire.Updated, error)) {
		o.store.UpdateRoom(store.UpdateRoom{
			Seat: store.Seat{Room: room, Operator: true}, Version: version, Capacity: change.Capacity, Locked: change.Locked, Presenter: change.Presenter,
			Properties: store.State(change.Properties), Spotlight: change.Spotlight, MaxKeys: o.stateKeys, MaxBytes: o.stateSize,
			EventHead: head, EventTail: tail,
		}, func(seq, version int64, err error) { done(wire.Updated{Seq: seq, Version: version}, err) })
	})
}

// Close ends a room for everybody, and tells how many peers it had. They and webhooks are told text, which may be empty: see
// [wire.ValidText].
func (o *Operator) Close(ctx context.Context, room store.Room, text string) (store.Controlled, error) {
	head, tail := wire.SplitClosed(room.Name, "", text)
	return wait(ctx, func(done func(store.Controlled, error)) {
		o.store.CloseRoom(store.CloseRoom{Seat: store.Seat{Room: room, Operator: true}, EventHead: head, EventTail: tail, Text: text}, done)
	})
}

// Kick takes a peer's seat away, or with an empty one everybody's; text is as in Close. Refusals: peer_gone.
func (o *Operator) Kick(ctx context.Context, room store.Room, peer, text string) (store.Controlled, error) {
	head, tail := wire.SplitKicked(room.Name, "", text)
	return wait(ctx, func(done func(store.Controlled, error)) {
		o.store.Control(store.Control{
			Seat: store.Seat{Room: room, Operator: true}, Action: store.ActionKick, Target: peer, EventHead: head, EventTail: tail,
		}, done)
	})
}

// Mute mutes or unmutes a peer's media, or with an empty one everybody's. Refusals: peer_gone.
func (o *Operator) Mute(ctx context.Context, room store.Room, peer string, media store.Media, muted bool) (store.Controlled, error) {
	action := wire.ActionUnmute
	if muted {
		action = wire.ActionMute
	}
	event := wire.AppendEventBody(nil, room.Name, &wire.Controlling{Action: action, Kind: string(media), To: peer})
	return wait(ctx, func(done func(store.Controlled, error)) {
		o.store.Control(store.Control{
			Seat: store.Seat{Room: room, Operator: true}, Action: store.Action(action), Media: media, Target: peer, Event: event,
		}, done)
	})
}

// Admit lets in who waits for it in a moderated room, or with deny sends away who waits; an empty peer is all of them. Refusals: peer_gone.
func (o *Operator) Admit(ctx context.Context, room store.Room, peer string, deny bool) (store.Controlled, error) {
	return wait(ctx, func(done func(store.Controlled, error)) {
		o.store.Admit(store.Admit{Seat: store.Seat{Room: room, Operator: true}, Target: peer, Deny: deny}, done)
	})
}

// Move asks a peer to leave for another room, in which it has to be allowed. Refusals: peer_gone.
func (o *Operator) Move(ctx context.Context, room store.Room, peer, target string) (store.Controlled, error) {
	moved, err := o.post(ctx, room, peer, &wire.Controlling{Action: wire.ActionMove, To: peer, Target: target})
	moved.Affected = 1
	return moved, err
}

// Post sends a message of the app itself to a peer, or with an empty one to everybody, and gives its place in the room's order. Refusals:
// peer_gone.
func (o *Operator) Post(ctx context.Context, room store.Room, peer, topic string, data json.RawMessage) (store.Controlled, error) {
	return o.post(ctx, room, peer, &wire.Message{Topic: topic, Data: data})
}

func (o *Operator) post(ctx context.Context, room store.Room, peer string, body wire.EventBody) (store.Controlled, error) {
	return wait(ctx, func(done func(store.Controlled, error)) {
		o.store.Post(store.Post{Room: room, To: peer, Type: string(body.Type()), Event: wire.AppendEventBody(nil, room.Name, body)}, done)
	})
}

// List lists an app's rooms, see [store.Store.ListRooms].
func (o *Operator) List(ctx context.Context, app, cursor string, limit int) ([]store.RoomInfo, string, error) {
	return o.store.ListRooms(ctx, app, cursor, limit)
}

// Find lists those of an app's rooms whose names begin with a prefix, see [store.Store.FindRooms].
func (o *Operator) Find(ctx context.Context, app, prefix, cursor string, limit int) ([]store.RoomInfo, string, error) {
	return o.store.FindRooms(ctx, app, prefix, cursor, limit)
}

// Of gives the rooms of an app in which a user has a seat.
func (o *Operator) Of(ctx context.Context, app, user string) ([]string, error) {
	return o.store.RoomsOf(ctx, app, user)
}

// wait makes a call of the store, and waits for its answer or for the end of ctx: the call may take effect all the same.
func wait[T any](ctx context.Context, call func(done func(T, error))) (T, error) {
	type answer struct {
		result T
		err    error
	}
	answers := make(chan answer, 1)
	call(func(result T, err error) { answers <- answer{result, err} })
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
		var none T
		return none, wire.Errorf(wire.CodeUnavailable, "the cluster's store did not answer in time")
	}
}
