package room

import (
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// UpdateRoom changes the room. Refusals: not_member, forbidden, conflict, limit, peer_gone, too_large, outcome_unknown. id is
// as in [Member.Signal].
func (m *Member) UpdateRoom(id int64, request *wire.UpdateRoom, done func(wire.Updated, error)) {
	_, err := m.allow(request.Room, func(p Permissions) bool { return p.Moderate })
	policy := m.policyOf(request.Room)
	_, most := m.capacityOf(&policy)
	switch {
	case err != nil:
	case request.Capacity != nil && *request.Capacity > most:
		err = wire.Errorf(wire.CodeLimit, "a room has at most %d seats", most)
	case policy.NoSpotlight && request.Spotlight != nil && string(request.Spotlight) != "null":
		err = wire.Errorf(wire.CodeForbidden, "the app does not allow a rotation in room %q", request.Room)
	}
	if err != nil {
		done(wire.Updated{}, err)
		return
	}
	m.service.rotate(&request.RoomChange)
	head, tail := wire.SplitRoomChanged(request.Room, m.id, &request.RoomChange)
	m.service.opts.Store.UpdateRoom(store.UpdateRoom{
		Seat: m.asking(m.room(request.Room)), Request: id, Version: request.Version, Capacity: request.Capacity, Locked: request.Locked,
		Presenter: request.Presenter, Properties: store.State(request.Properties),
		MaxKeys: m.service.opts.StateKeys, MaxBytes: m.service.opts.StateBytes,
		Spotlight: request.Spotlight, EventHead: head, EventTail: tail,
	}, func(seq, version int64, err error) {
		refusal := m.outcome(request.Room, err)
		if refusal != nil && refusal.Code == wire.CodeConflict {
			conflict := *refusal
			conflict.Version = version
			refusal = &conflict
		}
		finish(done, wire.Updated{Seq: seq, Version: version, Repeated: err == nil && version == 0}, refusal)
	})
}

// rotate has a rotation without a start begin now, by the clock that all gateways share.
func (s *Service) rotate(change *wire.RoomChange) {
	if change.Spotlight == nil {
		return
	}
	if rotation, err := wire.ParseSpotlight(change.Spotlight); err == nil && rotation.Start == 0 {
		rotation.Start = s.opts.Store.Now().UnixMilli()
		change.Spotlight = rotation.Append(nil)
	}
}

// Control mutes, unmutes or kicks. Refusals: not_member, forbidden, peer_gone, outcome_unknown. id is as in [Member.Signal].
func (m *Member) Control(id int64, request *wire.Control, done func(wire.Controlled, error)) {
	if _, err := m.allow(request.Room, func(p Permissions) bool { return p.Moderate }); err != nil {
		done(wire.Controlled{}, err)
		return
	}
	if request.To == m.id {
		done(wire.Controlled{}, wire.Errorf(wire.CodeBadRequest, "control is for others"))
		return
	}
	switch request.Action {
	case wire.ActionClose:
		m.closeRoom(request.Room, request.Text, done)
		return
	case wire.ActionAdmit, wire.ActionDeny:
		m.admit(id, request, done)
		return
	}
	call := store.Control{
		Seat: m.asking(m.room(request.Room)), Request: id, Action: store.Action(request.Action), Media: store.Media(request.Kind),
		Target: request.To,
	}
	if request.Action == wire.ActionKick {
		call.EventHead, call.EventTail = wire.SplitKicked(request.Room, m.id, request.Text)
	} else {
		call.Event = wire.AppendEventBody(nil, request.Room, &wire.Controlling{
			Action: request.Action, Kind: request.Kind, To: request.To, By: m.id})
	}
	m.service.opts.Store.Control(call, func(c store.Controlled, err error) {
		// At least one was affected, or it was not noted that the request took effect.
		repeated := err == nil && c.Affected == 0 && id > 0
		finish(done, wire.Controlled{Seq: c.Seq, Affected: c.Affected, Repeated: repeated}, m.outcome(request.Room, err))
	})
}

// closeRoom ends a room for everybody, the member too. Asked for again, it finds no seat.
func (m *Member) closeRoom(room, text string, done func(wire.Controlled, error)) {
	head, tail := wire.SplitClosed(room, m.id, text)
	m.service.opts.Store.CloseRoom(store.CloseRoom{Seat: m.asking(m.room(room)), EventHead: head, EventTail: tail, Text: text},
		func(c store.Controlled, err error) {
			finish(done, wire.Controlled{Seq: c.Seq, Affected: c.Affected}, m.outcome(room, err))
		})
}
