package classic

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Connection state recovery, as stock clients know it since 4.6: the server gives each socket a secret, the pid, and each
// event an offset as its last argument; a client that comes back shows both. Here the pid is the session's resume token,
// which every gateway can read, and an offset is where the client is in each of its rooms, so that no gateway has to
// remember it:
//
//	room:epoch:seq[:since],room:epoch:seq[:since]…
//
// room is the cluster's name, the numbers are in base 36. since is there in the rare case that the client knows who came
// and went up to a later number than that of the last event, because it has joined again.
//
// Where the client waits for a seat of the room, the epoch is [wire.EpochWaiting], and the number is 0.
//
// An empty offset is one with which a session cannot go on. It is there all the same: a client takes the last argument of
// each event for the offset if that is a text.

// maxOffset bounds an offset, which goes with every event. A client in so many rooms with such names that it would be longer
// cannot recover.
const maxOffset = 1024

// place is where a client is in a room.
type place struct {
	epoch string
	seq   int64 // of the last event
	since int64 // up to which it knows who is there, if that is more
}

// offset tells where the client is in all its rooms. mu is held.
func (p *Peer) offset() string {
	if p.aligning {
		return ""
	}
	var few [128]byte
	b := few[:0]
	for _, room := range p.rooms() {
		s := p.seats[room]
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(append(append(append(b, s.native...), ':'), s.place.epoch...), ':')
		b = strconv.AppendInt(b, s.place.seq, 36)
		if s.place.since > s.place.seq {
			b = strconv.AppendInt(append(b, ':'), s.place.since, 36)
		}
	}
	if len(b) > maxOffset {
		return ""
	}
	return string(b)
}

// rooms gives those of the client, in some order that stays. mu is held.
func (p *Peer) rooms() []string {
	var one [1]string
	rooms := slices.AppendSeq(one[:0], maps.Keys(p.seats))
	slices.Sort(rooms)
	return rooms
}

// readOffset reads what offset has made. What it has not made names no rooms.
func readOffset(offset string) map[string]place {
	if len(offset) > maxOffset {
		return nil
	}
	places := make(map[string]place)
	for part := range strings.SplitSeq(offset, ",") {
		fields := strings.Split(part, ":")
		if len(fields) < 3 || len(fields) > 4 {
			return nil
		}
		room, at := fields[0], place{epoch: fields[1]}
		if _, twice := places[room]; twice || !wire.ValidRoom(room) || !wire.ValidID(at.epoch) {
			return nil
		}
		for i, number := range []*int64{&at.seq, &at.since}[:len(fields)-2] {
			n, err := strconv.ParseInt(fields[2+i], 36, 64)
			if err != nil || n < 0 || n > maxSeq {
				return nil
			}
			*number = n
		}
		places[room] = at
	}
	return places
}

// maxSeq is the highest number that clients can count to.
const maxSeq = 1<<53 - 1

// readRecovery asks for a session that the client can come back to, and for the one that it shows. It reports whether the
// client has shown one, whatever it may be.
func (p *Peer) readRecovery(hello *wire.Hello) bool {
	if !p.namespace.events.opts.Recovery || p.socket.Session().Version() != socketio.Version4 {
		return false
	}
	hello.Resumable = true
	var auth map[string]json.RawMessage
	var pid, offset string
	if json.Unmarshal(p.socket.Auth(), &auth) != nil || json.Unmarshal(auth["pid"], &pid) != nil || pid == "" {
		return false
	}
	if json.Unmarshal(auth["offset"], &offset) == nil {
		p.places = readOffset(offset)
	}
	hello.Resume, hello.Rooms = pid, make(map[string]wire.Position, len(p.places))
	for room, at := range p.places {
		hello.Rooms[room] = wire.Position{Epoch: at.epoch, Seq: at.seq}
	}
	return true
}

// recovery ends what was asked for by readRecovery.
func (p *Peer) recovery(shown bool) {
	p.mu.Lock()
	recovered := p.recovered
	p.places = nil
	p.mu.Unlock()
	if shown {
		result := resultAnew
		if recovered {
			result = resultRecovered
		}
		p.namespace.events.metrics.recoveries[result].Inc()
	}
}

// Recoverable has the client be told by what pid it can come back, and where it is with every event from now on. It is to
// be called by Open, before anything is delivered. With an empty pid it does nothing.
func (p *Peer) Recoverable(pid string) {
	if pid == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recoverable = true
	p.socket.Recoverable(pid)
}

// Return takes note that the session is the one that the client has shown, with the id that the client had then. rooms are
// as they are now, and missed is what is delivered first: of that, all is news to the client. It reports false when there
// is more than the client can be sent at once.
func (p *Peer) Return(id string, rooms []*wire.Snapshot, missed []*wire.Frame) bool {
	packets, bytes := 0, 0
	for _, frame := range missed {
		packets++
		bytes += frame.Size()
		if f := p.factsOf(frame); f.event != nil {
			packets += attachmentsOf(f.event)
		}
	}
	if !p.socket.Fits(packets, bytes) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recovered, p.recoverable = true, true
	p.socket.Recover(id)
	for room, at := range p.places {
		if at.epoch == wire.EpochWaiting { // and if it has a seat by now it is told so, as if it had waited till then
			p.takePlace(classicRoom(room), room)
		}
	}
	for _, snapshot := range rooms {
		if p.places[snapshot.Room].epoch == wire.EpochWaiting {
			continue
		}
		s := p.sit(classicRoom(snapshot.Room), snapshot)
		s.place, s.replay = p.places[snapshot.Room], snapshot.Seq
	}
	return true
}

// attachmentsOf counts those with which clients get an event.
func attachmentsOf(event *wire.Event) int {
	message, ok := event.Body.(*wire.Message)
	if !ok || message.Topic != topicBinary {
		return 0
	}
	_, attachments, _ := unpackBinary(message.Data)
	return len(attachments)
}

// comesLater reports whether a client is to come again with the session that it has shown, since it is the cluster that
// cannot go on with it just now.
func comesLater(err error) bool {
	var refused *wire.Error
	return errors.As(err, &refused) && refused.Code == wire.CodeUnavailable
}
