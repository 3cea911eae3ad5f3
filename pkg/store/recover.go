package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Replay asks what happened in a room, as a node may have missed events of it.
type Replay struct {
	Room Room
	// Node is the one that asks.
	Node string
	// Epoch and Since are those of the last event that has reached it.
	Epoch string
	Since int64
	// Mark is the number of an event that it knows and that the log had, to see whether it is still the same; 0 for none.
	Mark int64
}

// Replayed is the answer to a [Replay], of one instant.
type Replayed struct {
	// Known tells whether Missed has all events since, whoever they are for. Volatile ones are never among them.
	Known  bool
	Missed []Event
	// Mark is what the log has at the number that was asked for, nil if it has nothing there. MarkKnown is false when its
	// first event is a later one.
	Mark      *Event
	MarkKnown bool
	// Seats is how many seats the node has in the room.
	Seats int
	// Snapshot has no members. Found is false when the room is no more.
	Snapshot *Snapshot
}

// Replay gives what a node may have missed in a room. It changes nothing.
func (s *Store) Replay(r Replay, done func(*Replayed, error)) {
	err := r.Room.check()
	if err == nil && (!validID(r.Node) || !validID(r.Epoch) || r.Since < 0 || r.Mark < 0) {
		err = wire.Errorf(wire.CodeBadRequest, "not a node, or not a place in a room's order")
	}
	if err != nil {
		done(nil, err)
		return
	}
	c := s.newCall(s.scripts.replay, Seat{Room: r.Room, Node: r.Node}, 0, func(reply []any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		replayed, err := s.decodeReplayed(r.Room, reply)
		if err != nil {
			done(nil, err)
			return
		}
		done(replayed, nil)
	})
	c.add(r.Epoch, strconv.FormatInt(r.Since, 10), strconv.FormatInt(r.Mark, 10))
	s.router.submit(c)
}

func (s *Store) decodeReplayed(room Room, reply []any) (*Replayed, error) {
	replayed := &Replayed{Known: integer(reply, 3) == 1, Seats: int(integer(reply, 5)), MarkKnown: integer(reply, 7) == 1}
	var err error
	if replayed.Snapshot, err = decodeSnapshot(room, "", reply); err != nil {
		return nil, err
	}
	if replayed.Missed, err = s.decodeRecords(room, at(reply, 4)); err != nil {
		return nil, err
	}
	mark, err := s.decodeRecords(room, at(reply, 6))
	if err == nil && len(mark) > 0 {
		replayed.Mark = &mark[0]
	}
	return replayed, err
}

// Rebirth gives a room another epoch, unless it has another one already: the caller has found that Redis went back in
// time. Numbers go on above least.
func (s *Store) Rebirth(room Room, epoch string, least int64, done func(error)) {
	if err := room.check(); err != nil {
		done(err)
		return
	}
	c := s.newCall(s.scripts.rebirth, Seat{Room: room}, 0, func(_ []any, err error) { done(err) })
	c.add(epoch, strconv.FormatInt(least, 10), newEpoch())
	s.router.submit(c)
}

// Restore brings a room in line with what a node knows of its own seats in it.
type Restore struct {
	Room Room
	Node string
	// Epoch and Seq are those of the last event that the node has seen.
	Epoch string
	Seq   int64
	// Lost tells that Redis is known to have lost data of the room. Without it, seats that are missing are put back only if
	// Redis turns out to have done so: where the room is as it was, somebody has taken them away.
	Lost bool
	// What the room is like, if it has to be made again. Presenter is empty for none, Created may be zero.
	Capacity   int
	Locked     bool
	Presenter  string
	Spotlight  json.RawMessage
	Properties State
	Created    time.Time
	Version    int64
	// Hooks and Rules are those of the room's [Snapshot].
	Hooks, Rules string
	// Seats are all that the node has, those included that it is asking for.
	Seats []RestoreSeat
	// LeftHead and LeftTail are the left-peer event of a seat that the node does not have, cut inside the quotes where the
	// peer's id belongs.
	LeftHead, LeftTail []byte
}

// RestoreSeat is one seat of a [Restore].
type RestoreSeat struct {
	Peer string
	// Asked is set for a seat that is being asked for: it is let alone, and nothing else need be set.
	Asked      bool
	Generation int64
	Order      int64
	Grace      time.Duration
	Profile    []byte
	State      State
	// Joined and Back are the joined-peer and back-peer event's JSON objects without seq.
	Joined, Back []byte
	// Entered is that of the seat's [Member].
	Entered string
}

// SeatStatus is what a [Restore] found, or did, about a seat.
type SeatStatus string

// The statuses of seats.
const (
	// SeatHeld: the node holds the seat.
	SeatHeld SeatStatus = "held"
	// SeatAdded: the seat was lost, and was put back.
	SeatAdded SeatStatus = "added"
	// SeatFull: the seat was lost, and others have taken all that there are, or its place in the order.
	SeatFull SeatStatus = "full"
	// SeatGone: there is no such seat, and no sign that Redis has lost it.
	SeatGone SeatStatus = "gone"
	// SeatSuperseded: a later connection of the session holds the seat.
	SeatSuperseded SeatStatus = "superseded"
)

// Restored is what became of a [Restore].
type Restored struct {
	// Lost tells that Redis was found to have lost data of the room: others may still have to put their seats back.
	Lost bool
	// Seats has the status of each seat that was not only asked for.
	Seats    map[string]SeatStatus
	Snapshot *Snapshot
}

// Restore puts back what Redis has lost of a node's seats in one room, and of the room. Seats that Redis holds for the
// node, and the node does not have, are given up. Refusals: ErrLapsed.
func (s *Store) Restore(r Restore, done func(*Restored, error)) {
	if err := r.check(); err != nil {
		done(nil, err)
		return
	}
	c := s.newCall(s.scripts.restore, Seat{Room: r.Room, Node: r.Node}, 0, func(reply []any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		restored := &Restored{Lost: integer(reply, 1) == 1, Seats: make(map[string]SeatStatus, len(r.Seats))}
		statuses, _ := at(reply, 3).([]any)
		for i := 0; i+1 < len(statuses); i += 2 {
			peer, _ := statuses[i].(string)
			status, _ := statuses[i+1].(string)
			restored.Seats[peer] = SeatStatus(status)
		}
		if restored.Snapshot, err = decodeSnapshot(r.Room, "", reply); err != nil {
			done(nil, err)
			return
		}
		restored.Snapshot.New = false
		done(restored, nil)
	})
	created := r.Created
	if created.IsZero() {
		created = time.Now()
	}
	c.add(r.Epoch, strconv.FormatInt(r.Seq, 10), newEpoch(), strconv.Itoa(r.Capacity), flag(r.Locked), r.Presenter,
		compact(r.Spotlight), r.Properties.encode(), strconv.FormatInt(created.UnixMilli(), 10),
		strconv.FormatInt(r.Version, 10), milliseconds(s.opts.RecoveryTime))
	c.addBytes(r.LeftHead, r.LeftTail)
	c.add(flag(r.Lost), r.Hooks, r.Rules)
	for _, seat := range r.Seats {
		if seat.Asked {
			c.add(seat.Peer, "", "", "", "", "", "", "", "")
			continue
		}
		c.add(seat.Peer, strconv.FormatInt(seat.Generation, 10), strconv.FormatInt(seat.Order, 10), milliseconds(seat.Grace))
		c.addBytes(seat.Profile)
		c.add(seat.State.encode())
		c.addBytes(seat.Joined, seat.Back)
		c.add(seat.Entered)
	}
	s.router.submit(c)
}

func (r *Restore) check() error {
	if err := r.Room.check(); err != nil {
		return err
	}
	if !validID(r.Node) {
		return wire.Errorf(wire.CodeBadRequest, "not a node id")
	}
	if r.Capacity < 1 || !validID(r.Epoch) || r.Seq < 0 {
		return wire.Errorf(wire.CodeInternal, "not a room to restore")
	}
	if r.Hooks != "" && !validID(r.Hooks) {
		return wire.Errorf(wire.CodeInternal, "not a room's life")
	}
	if err := checkEvent(r.LeftHead, r.LeftTail); err != nil {
		return err
	}
	for i := range r.Seats {
		seat := &r.Seats[i]
		if err := (Seat{Room: r.Room, Peer: seat.Peer, Node: r.Node, Generation: seat.Generation}).check(); err != nil {
			return err
		}
		if seat.Asked {
			continue
		}
		if err := checkEvent(seat.Joined, nil); err != nil {
			return err
		}
		if err := checkEvent(seat.Back, nil); err != nil {
			return err
		}
		if !validEntered(seat.Entered, seat.Peer) {
			return wire.Errorf(wire.CodeInternal, "not when a peer has joined")
		}
	}
	return nil
}

// Expire gives up some of a partition's away seats whose grace is over, each with reason disconnected. It does nothing when
// Redis carries it out after a time of its own clock. It tells how many it gave up, and how many are left to give up. done is
// called as for the other calls.
func (s *Store) Expire(partition int, notAfter time.Time, done func(expired, left int, err error)) {
	p, err := s.inPartition(partition)
	if err != nil {
		done(0, 0, err)
		return
	}
	c := s.partitionCall(s.scripts.expire, partition, noPeer, func(reply []any, err error) {
		done(int(integer(reply, 1)), int(integer(reply, 2)), err)
	}, p.away(), p.holders())
	c.add(strconv.Itoa(maxReap))
	c.addBytes(wire.SplitLeft(wire.ReasonDisconnected))
	c.add(strconv.FormatInt(notAfter.UnixMilli(), 10))
	s.router.submit(c)
}

// decodeRecords reads a list of records of one room.
func (s *Store) decodeRecords(room Room, reply any) ([]Event, error) {
	list, _ := reply.([]any)
	events := make([]Event, 0, len(list))
	for _, item := range list {
		record, _ := item.(string)
		event, err := ParseRecord([]byte(record))
		if err != nil || event.Room != room {
			return nil, wire.Errorf(wire.CodeInternal, "the room's log in the store is damaged")
		}
		event.Partition = s.Partition(room)
		events = append(events, event)
	}
	return events, nil
}

// FencedBy reads a [TypeFenced] event: the generation of the connection that holds the seat now.
func FencedBy(event Event) int64 {
	var body struct{ Generation int64 }
	if json.Unmarshal(event.Body, &body) != nil {
		return 0
	}
	return body.Generation
}

// PutBack writes again what belongs to no room and was lost with Redis' data: the number of partitions, and the cluster's
// key if Redis had it. It waits for Redis.
func (s *Store) PutBack(ctx context.Context, clusterKey []byte) error {
	if _, err := checkPartitions(ctx, s.client, s.opts.Partitions); err != nil {
		return fmt.Errorf("store: put back the number of partitions: %w", err)
	}
	if len(clusterKey) > 0 {
		if err := s.client.SetNX(ctx, clusterKeyKey, clusterKey, 0).Err(); err != nil {
			return fmt.Errorf("store: put back the cluster's key: %w", err)
		}
	}
	return nil
}
