package room

import (
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// keep publishes a message that is kept for those who join later.
func (m *Member) keep(id int64, request *wire.Publish, done func(wire.Done, error)) {
	policy := m.policyOf(request.Room)
	most := m.service.keptOf(&policy, request.Topic)
	if most < 1 {
		done(wire.Done{}, wire.Errorf(wire.CodeForbidden, "nothing is kept of the %s of room %q", request.Topic, request.Room))
		return
	}
	m.service.opts.Store.Keep(store.Keep{
		Seat: m.asking(m.room(request.Room)), Request: id, Topic: request.Topic, Echo: request.Echo, Profile: m.profile,
		EventHead: wire.KeptHead(request.Room, m.id, request.Topic), Data: request.Data,
		Most: most, MostBytes: m.service.opts.HistoryBytes,
	}, func(placed store.Placed, err error) {
		m.service.metrics.dropped.WithLabelValues(request.Topic).Add(float64(placed.Dropped))
		finish(done, wire.Done{Seq: placed.Seq}, m.outcome(request.Room, err))
	})
}

// History gives what is kept of a topic. Refusals: not_member.
func (m *Member) History(request *wire.AskHistory, done func(*wire.History, error)) {
	if m.find(request.Room) == nil {
		done(nil, notMember(request.Room))
		return
	}
	policy := m.policyOf(request.Room)
	limit := max(m.service.keptOf(&policy, request.Topic), 1)
	if request.Limit > 0 {
		limit = min(limit, request.Limit)
	}
	m.service.opts.Store.History(m.asking(m.room(request.Room)), request.Topic, request.Before, limit, func(h *store.History, err error) {
		if refusal := m.outcome(request.Room, err); refusal != nil {
			done(nil, refusal)
			return
		}
		done(m.history(request, h), nil)
	})
}

// history gives the store's answer as the client is told it.
func (m *Member) history(request *wire.AskHistory, h *store.History) *wire.History {
	history := &wire.History{Room: request.Room, Topic: request.Topic, Seq: h.Seq, Epoch: h.Epoch, Dropped: h.Dropped}
	history.Messages = make([]wire.KeptMessage, 0, len(h.Messages))
	for _, kept := range h.Messages {
		message := wire.KeptMessage{Seq: kept.Seq, From: kept.Peer, Time: kept.Time.UnixMilli(), Data: kept.Data}
		if kept.Peer != "" {
			who := m.who(request.Room, kept.Peer, kept.Profile)
			message.User, message.Name = who.User, who.Name
		}
		history.Messages = append(history.Messages, message)
	}
	return history
}

// Undo takes back a kept message, the member's last one or a certain one, which has to be its own unless it moderates. Refusals:
// not_member, forbidden, outcome_unknown. id is as in [Member.Signal].
func (m *Member) Undo(id int64, request *wire.Undo, done func(wire.Undid, error)) {
	st, err := m.allow(request.Room, func(p Permissions) bool { return p.Publish })
	if err != nil {
		done(wire.Undid{}, err)
		return
	}
	permissions, _ := m.grant(request.Room)
	head, tail := wire.SplitUndone(request.Room, request.Topic, m.id)
	m.service.opts.Store.Erase(store.Erase{
		Seat: m.asking(m.room(request.Room)), Request: id, Topic: request.Topic, Of: request.Of, Any: m.first(st, permissions).Moderate,
		EventHead: head, EventTail: tail,
	}, func(placed store.Placed, err error) {
		refusal := m.outcome(request.Room, err)
		if refusal != nil && refusal.Code == wire.CodeForbidden {
			refusal = wire.Errorf(wire.CodeForbidden, "the message is somebody else's")
		}
		finish(done, wire.Undid{Seq: placed.Seq, Of: placed.Of}, refusal)
	})
}

// Clear takes back all that is kept of a topic: of the whiteboard everybody may who can publish, of the chat moderators. Refusals:
// not_member, forbidden, outcome_unknown. id is as in [Member.Signal].
func (m *Member) Clear(id int64, request *wire.Clear, done func(wire.Done, error)) {
	if _, err := m.allow(request.Room, func(p Permissions) bool {
		return p.Moderate || p.Publish && request.Topic == wire.TopicWhiteboard
	}); err != nil {
		done(wire.Done{}, err)
		return
	}
	m.service.opts.Store.Erase(store.Erase{
		Seat: m.asking(m.room(request.Room)), Request: id, Topic: request.Topic, All: true,
		EventHead: wire.AppendEventBody(nil, request.Room, &wire.Cleared{Topic: request.Topic, By: m.id}),
	}, func(placed store.Placed, err error) {
		finish(done, wire.Done{Seq: placed.Seq}, m.outcome(request.Room, err))
	})
}
