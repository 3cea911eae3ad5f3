package room

import (
	"errors"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Quota counts what an app has on this node, and holds it to what it may have. Its methods may be called from any goroutine, with
// locks held: they must not block, nor call back into this package.
type Quota interface {
	// TakeSeat counts a seat that a session asks for, or refuses it.
	TakeSeat() *wire.Error
	// AddSeat counts a seat that a session comes back for.
	AddSeat()
	// FreeSeat counts a seat out.
	FreeSeat()
	// TakeRoom lets a join make a room if there is none, or gives what it is refused with if there is none. Where it does not refuse,
	// RoomAnswered follows, once it is known whether a room was made.
	TakeRoom() *wire.Error
	RoomAnswered(made bool)
}

// asks counts a new seat, or refuses it; back is set for one that the session had before. What a seat is counted by is noted with
// it. The seat's shard is locked, and old is the one of the same session in whose place it comes, or nil.
func (st *seat) asks(old *seat, back bool) *wire.Error {
	quota := st.member.quota
	switch {
	case old != nil:
		st.quota = old.quota
		return nil
	case quota == nil:
		return nil
	case back:
		quota.AddSeat()
	default:
		if refusal := quota.TakeSeat(); refusal != nil {
			return refusal
		}
	}
	st.quota = quota
	return nil
}

// making is a join that may make a room, or may not.
type making struct {
	quota   Quota       // nil where nobody counts
	refusal *wire.Error // what it is refused with if there is no room
}

// makes asks whether a join may make its room. Where this node has seats in it there is one.
func (m *Member) makes(room store.Room) making {
	if m.quota == nil || m.service.knows(room) {
		return making{}
	}
	if refusal := m.quota.TakeRoom(); refusal != nil {
		return making{refusal: refusal}
	}
	return making{quota: m.quota}
}

// answered takes a join's answer, and gives the error of one that was refused for want of a room.
func (k making) answered(snapshot *store.Snapshot, err error) error {
	if k.quota != nil {
		k.quota.RoomAnswered(err == nil && snapshot.New && snapshot.Count == 1)
	}
	if k.refusal != nil && errors.Is(err, store.ErrNoRoom) {
		return k.refusal
	}
	return err
}

// knows reports whether this node follows a room.
func (s *Service) knows(room store.Room) bool {
	sh := s.table.shard(room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.rooms[room]
	return l != nil && l.epoch != ""
}
