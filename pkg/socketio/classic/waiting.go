package classic

import "github.com/signalbox-rtc/signalbox/pkg/wire"

// waitsFor takes the answer to a join that has a place in the queue in place of a seat. mu is held, as with all of these.
// Who can come back hears of it by an event as well: the offset with which it does comes with events alone.
func (p *Peer) waitsFor(room, native string, w *wire.Waiting, answer *object) {
	p.takePlace(room, native)
	if p.recoverable {
		event := &wire.Event{Room: native, Body: w}
		f := &facts{event: event, room: room, text: wire.AppendEvent(nil, *event)}
		p.socket.Send(p.namespace.plain.put(f, p.behind()...))
	}
	place := object{b: []byte{'{'}}
	place.number("position", int64(w.Position))
	place.number("count", int64(w.Count))
	place.text("reason", w.Reason)
	answer.raw("waiting", append(place.b, '}'))
}

// takePlace begins to wait for a seat.
func (p *Peer) takePlace(room, native string) {
	if p.seats == nil {
		p.seats = make(map[string]*seat, 1)
	}
	p.seats[room] = &seat{native: native, waits: true, place: place{epoch: wire.EpochWaiting}}
}

// waited takes an event of a room in whose queue the client is: its own place, its seat, or the end of waiting. It reports false for all
// else, of which the client is to hear nothing.
func (p *Peer) waited(f *facts) bool {
	switch body := f.event.Body.(type) {
	case *wire.Waiting:
		return true
	case *wire.Closed:
		return true // and the place is given up with it, as a seat is
	case *wire.Seated:
		var answer object
		p.joined(&pending{room: f.room}, &body.Snapshot, &answer)
	case *wire.Resync: // it was seated while it was away
		var answer object
		p.joined(&pending{room: f.room}, &body.Snapshot, &answer)
	}
	return false
}

// historyOf gives a history as natively told.
func historyOf(h *wire.History) []byte {
	const head, tail = len(`{"re":0,"ok":`), len(`}`)
	reply := wire.AppendReply(nil, 0, h)
	return reply[head : len(reply)-tail]
}
