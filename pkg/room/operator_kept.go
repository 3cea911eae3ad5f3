package room

import (
	"context"
	"encoding/json"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Keep posts a message of the app itself that is kept for those who join later, by the room's policy. Refusals: forbidden where nothing
// is kept of the topic.
func (o *Operator) Keep(ctx context.Context, room store.Room, policy *Policy, topic string, data json.RawMessage) (store.Placed, error) {
	most := o.service.keptOf(policy, topic)
	if most < 1 {
		return store.Placed{}, wire.Errorf(wire.CodeForbidden, "nothing is kept of the %s of this room", topic)
	}
	placed, err := wait(ctx, func(done func(store.Placed, error)) {
		o.store.Keep(store.Keep{
			Seat: store.Seat{Room: room, Operator: true}, Topic: topic, EventHead: wire.KeptHead(room.Name, "", topic), Data: data,
			Most: most, MostBytes: o.service.opts.HistoryBytes,
		}, done)
	})
	o.service.metrics.dropped.WithLabelValues(topic).Add(float64(placed.Dropped))
	return placed, err
}

// History gives what is kept of a topic, see [store.Store.History].
func (o *Operator) History(ctx context.Context, room store.Room, topic string, before int64, most int) (*store.History, error) {
	return wait(ctx, func(done func(*store.History, error)) {
		o.store.History(store.Seat{Room: room, Operator: true}, topic, before, most, done)
	})
}

// Undo takes back the kept message of a number, whoever has sent it. Of is 0 in the answer if there is no such message.
func (o *Operator) Undo(ctx context.Context, room store.Room, topic string, of int64) (store.Placed, error) {
	head, tail := wire.SplitUndone(room.Name, topic, "")
	return wait(ctx, func(done func(store.Placed, error)) {
		o.store.Erase(store.Erase{
			Seat: store.Seat{Room: room, Operator: true}, Topic: topic, Of: of, Any: true, EventHead: head, EventTail: tail,
		}, done)
	})
}

// Clear takes back all that is kept of a topic.
func (o *Operator) Clear(ctx context.Context, room store.Room, topic string) (store.Placed, error) {
	return wait(ctx, func(done func(store.Placed, error)) {
		o.store.Erase(store.Erase{
			Seat: store.Seat{Room: room, Operator: true}, Topic: topic, All: true,
			EventHead: wire.AppendEventBody(nil, room.Name, &wire.Cleared{Topic: topic}),
		}, done)
	})
}
