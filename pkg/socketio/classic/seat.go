package classic

import (
	"slices"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// seat is a peer's place in a room, from the answer to its join on.
type seat struct {
	native   string // the cluster's name of the room
	place    place  // what the client has heard of; who came and went up to its since is in others already
	replay   int64  // in others is already who came and went up to this number, and the client has still to hear of it
	capacity int
	others   map[string]struct{}
	waits    bool // it is a place in the queue
}

// arrived notes a peer, and reports whether it was not there before. mu is held, as with all of these.
func (p *Peer) arrived(s *seat, peer string) bool {
	if _, known := s.others[peer]; known || peer == p.socket.ID() {
		return false
	}
	if s.others == nil {
		s.others = make(map[string]struct{}, 1)
	}
	s.others[peer] = struct{}{}
	return true
}

// gone forgets a peer, and reports whether it was there.
func (s *seat) gone(peer string) bool {
	_, known := s.others[peer]
	delete(s.others, peer)
	return known
}

// joined takes the answer to a join, also that of a room in which the client was already.
func (p *Peer) joined(q *pending, snapshot *wire.Snapshot, answer *object) {
	if w := snapshot.Waiting; w != nil {
		p.waitsFor(q.room, snapshot.Room, w, answer)
		return
	}
	s := p.seats[q.room]
	if s != nil && s.waits {
		s = nil
	}
	if s == nil {
		p.sit(q.room, snapshot)
	}
	p.emit(eventJoined, text(q.room), text(p.socket.ID()))
	if s != nil {
		p.align(q.room, s, snapshot)
	}
	if q.answer == nil {
		return
	}
	others := make([]string, 0, len(snapshot.Peers))
	for i := range snapshot.Peers {
		if id := snapshot.Peers[i].ID; id != p.socket.ID() {
			others = append(others, id)
		}
	}
	answer.text("id", p.socket.ID())
	answer.number("count", int64(snapshot.Count))
	answer.number("capacity", int64(snapshot.Capacity))
	answer.texts("others", others)
	if snapshot.RelayOnly {
		answer.raw("relayOnly", []byte("true"))
	}
}

// sit begins a seat. Of who was there before nobody tells the client.
func (p *Peer) sit(room string, snapshot *wire.Snapshot) *seat {
	at := place{epoch: snapshot.Epoch, seq: snapshot.Seq, since: snapshot.Seq}
	s := &seat{native: snapshot.Room, place: at, capacity: snapshot.Capacity}
	for i := range snapshot.Peers {
		p.arrived(s, snapshot.Peers[i].ID)
	}
	if p.seats == nil {
		p.seats = make(map[string]*seat, 1)
	}
	p.seats[room] = s
	return s
}

// left ends a seat.
func (p *Peer) left(room string) {
	delete(p.seats, room)
	if len(p.seats) == 0 {
		p.seats = nil
	}
	p.emit(eventLeaved, text(room), text(p.socket.ID()))
}

// align brings what the client knows of a room to what a snapshot says, by the events that it would have got. Who has heard
// only some of them cannot go on from there.
func (p *Peer) align(room string, s *seat, snapshot *wire.Snapshot) {
	p.aligning = true
	defer func() { p.aligning = false }()
	if s.place.epoch != snapshot.Epoch {
		s.place.epoch, s.place.seq = snapshot.Epoch, snapshot.Seq
	}
	s.place.since, s.replay, s.capacity = snapshot.Seq, 0, snapshot.Capacity
	there := make(map[string]struct{}, len(snapshot.Peers))
	for i := range snapshot.Peers {
		there[snapshot.Peers[i].ID] = struct{}{}
	}
	var gone []string
	for peer := range s.others {
		if _, stayed := there[peer]; !stayed {
			gone = append(gone, peer)
		}
	}
	slices.Sort(gone)
	for _, peer := range gone {
		s.gone(peer)
		p.emit(eventBye, text(room), text(peer))
	}
	for i := range snapshot.Peers {
		if p.arrived(s, snapshot.Peers[i].ID) {
			newcomer := &wire.Event{Room: snapshot.Room, Seq: snapshot.Seq, Body: &wire.JoinedPeer{Peer: snapshot.Peers[i]}}
			f := &facts{event: newcomer, room: room, text: wire.AppendEvent(nil, *newcomer)}
			p.socket.Send(p.namespace.plain.put(f, p.behind()...))
		}
	}
}

// onlyOther gives the one other peer of a room, if exactly one is known. mu is not held.
func (p *Peer) onlyOther(room string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.seats[room]; s != nil && len(s.others) == 1 {
		for other := range s.others {
			return other, true
		}
	}
	return "", false
}
