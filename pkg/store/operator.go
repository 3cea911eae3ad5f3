package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The operator is the platform that runs the cluster: its calls come by the server API, for no seat. [Store.UpdateRoom],
// [Store.Control], [Store.Admit] and [Store.CloseRoom] take them as a [Seat] that has a Room and Operator alone; permission is the
// caller's to check. A room that does not exist is refused with [ErrNoRoom].
const (
	// operator is its peer.
	operator = ""
	// operatorNode is the node of its calls, which no gateway is called: no seat is held by it.
	operatorNode = "operator"
)

// ErrNoRoom is the refusal of an operator's call for a room that does not exist.
var ErrNoRoom = errors.New("store: there is no such room")

// ErrRoomExists is the refusal to make a room that exists.
var ErrRoomExists = errors.New("store: the room exists")

// CreateRoom makes a room before anybody joins it.
type CreateRoom struct {
	Room Room
	// Capacity is the number of seats, at least 1.
	Capacity   int
	Locked     bool
	Properties State
	// MaxKeys and MaxBytes bound the properties, as in [SetState].
	MaxKeys, MaxBytes int
	// Hooks and Rules are as in [Join]. Without anybody joining it, the room stays as long as Rules.Keep says, for ever with 0.
	Hooks bool
	Rules Rules
	// Lifetime is how long the room may last, with peers in it or not; 0 is for ever.
	Lifetime time.Duration
}

// CreateRoom makes a room. Refusals: [ErrRoomExists], with the room as it is, too_large, and unavailable while seats that were
// lost are put back.
func (s *Store) CreateRoom(r CreateRoom, done func(*Snapshot, error)) {
	properties, err := r.check()
	if err != nil {
		done(nil, err)
		return
	}
	c := s.newCall(s.scripts.create, Seat{Room: r.Room, Node: operatorNode}, 0, func(reply []any, err error) {
		if err != nil && !errors.Is(err, ErrRoomExists) {
			done(nil, err)
			return
		}
		snapshot, damaged := decodeSnapshot(r.Room, operator, reply)
		if damaged != nil {
			err = damaged
		}
		done(snapshot, err)
	})
	epoch := newEpoch()
	c.add(epoch, strconv.Itoa(r.Capacity), flag(r.Locked), properties.encode(), milliseconds(s.opts.RecoveryTime), lifeOf(epoch, r.Hooks),
		r.Rules.encode(), milliseconds(max(r.Lifetime, 0)))
	s.router.submit(c)
}

// check gives the properties without those that a null removes.
func (r *CreateRoom) check() (State, error) {
	if err := r.Room.check(); err != nil {
		return nil, err
	}
	if r.Capacity < 1 {
		return nil, wire.Errorf(wire.CodeBadRequest, "a capacity of %d", r.Capacity)
	}
	properties, bytes := make(State, len(r.Properties)), 0
	for key, raw := range r.Properties {
		if text := compact(raw); text != "null" {
			properties[key] = json.RawMessage(text)
			bytes += len(key) + len(text)
		}
	}
	if r.MaxKeys > 0 && len(properties) > r.MaxKeys || r.MaxBytes > 0 && bytes > r.MaxBytes {
		return nil, refusal(string(wire.CodeTooLarge))
	}
	return properties, nil
}

// CloseRoom ends a room for everybody.
type CloseRoom struct {
	// Seat is the moderator's or the operator's.
	Seat
	// EventHead and EventTail are the left-peer event of each peer, cut inside the quotes where its id belongs.
	EventHead, EventTail []byte
	// Text is what is said about it, for those who wait and for webhooks; see [wire.ValidText].
	Text string
}

// CloseRoom takes every seat of a room away and makes an end of it: the peers that it had are affected. Refusals: [ErrNoRoom] for the
// operator, not_member and [ErrFenced] for others.
func (s *Store) CloseRoom(r CloseRoom, done func(Controlled, error)) {
	err := r.checkActor()
	if err == nil {
		err = checkEvent(r.EventHead, r.EventTail)
	}
	if err == nil && !wire.ValidText(r.Text) {
		err = wire.Errorf(wire.CodeBadRequest, "not a text")
	}
	if err != nil {
		done(Controlled{}, err)
		return
	}
	c := s.newCall(s.scripts.close, r.Seat, 0, answerControlled(done))
	c.addBytes(r.EventHead, r.EventTail)
	c.add(r.text())
	s.router.submit(c)
}

// text is what is said about the end, as a member of an object that has others in front.
func (r *CloseRoom) text() string {
	if r.Text == "" {
		return ""
	}
	encoded, _ := json.Marshal(r.Text) // of a string that is valid
	return `,"text":` + string(encoded)
}

// Post is what the operator says in a room.
type Post struct {
	Room Room
	// To is the receiver's peer id; empty for everybody in the room.
	To string
	// Type is the event's type, the same word as in Event, which is the event's JSON object without seq.
	Type  string
	Event []byte
}

// Post tells a peer or everybody what the operator says. It is logged as what peers send is. Nobody counts as affected. Refusals:
// [ErrNoRoom], peer_gone, and unavailable while it is not known who is gone.
func (s *Store) Post(p Post, done func(Controlled, error)) {
	seat, to := Seat{Room: p.Room, Operator: true}, p.To
	err := seat.checkActor()
	switch {
	case err != nil:
	case to != "" && !validID(to):
		err = wire.Errorf(wire.CodeBadRequest, "not a peer id")
	case !validType(p.Type):
		err = wire.Errorf(wire.CodeBadRequest, "not an event type")
	default:
		err = checkEvent(p.Event, nil)
	}
	if err != nil {
		done(Controlled{}, err)
		return
	}
	if to == "" {
		to = everybody
	}
	c := s.newCall(s.scripts.post, seat, 0, answerControlled(done))
	c.add(s.stamped(p.Type, nil), to)
	c.addBytes(p.Event)
	s.router.submit(c)
}

// RoomInfo is a room in a list: its fields without its members.
type RoomInfo struct {
	Name            string
	Epoch           string
	Seq             int64
	Version         int64
	Capacity, Count int
	Locked          bool
	Created         time.Time
}

// maxListed is the most rooms of one [Store.ListRooms].
const maxListed = 1000

// listCursor is a place in the list of an app's rooms: they are listed by partition, then by time of creation, then by name.
type listCursor struct {
	partition int
	created   int64
	name      string
}

func (c listCursor) String() string {
	return fmt.Sprintf("%d.%d.%s", c.partition, c.created, c.name)
}

// parseCursor reads a cursor: "" is the beginning.
func parseCursor(text string, partitions int) (listCursor, error) {
	if text == "" {
		return listCursor{}, nil
	}
	bad := wire.Errorf(wire.CodeBadRequest, "not a cursor of this list")
	parts := strings.SplitN(text, ".", 3)
	if len(parts) != 3 || parts[2] != "" && !validRoomName(parts[2]) {
		return listCursor{}, bad
	}
	partition, err := strconv.Atoi(parts[0])
	created, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || err2 != nil || partition < 0 || partition >= partitions || created < 0 {
		return listCursor{}, bad
	}
	return listCursor{partition, created, parts[2]}, nil
}

// ListRooms lists rooms of an app from a cursor on, which is "" at first, at most limit of them (1 to 1000), and gives the cursor
// that goes on, "" at the end. A room that is there all the while is listed once; of others it is not known. It waits for Redis.
// Refusals: bad_request, unavailable.
func (s *Store) ListRooms(ctx context.Context, app, cursor string, limit int) (rooms []RoomInfo, next string, err error) {
	return s.FindRooms(ctx, app, "", cursor, limit)
}

// maxSought is the most names that one [Store.FindRooms] looks at.
const maxSought = 20_000

// FindRooms is [Store.ListRooms] of the rooms whose names begin with prefix, "" for all. It looks at no more than 20,000 names: then it
// may give fewer rooms than limit, none even, with a cursor that goes on.
func (s *Store) FindRooms(ctx context.Context, app, prefix, cursor string, limit int) (rooms []RoomInfo, next string, err error) {
	if !validApp(app) || limit < 1 || limit > maxListed {
		return nil, "", wire.Errorf(wire.CodeBadRequest, "not an app, or not a limit from 1 to %d", maxListed)
	}
	at, err := parseCursor(cursor, len(s.partitions))
	if err != nil {
		return nil, "", err
	}
	used, err := s.partitionsOf(ctx, app)
	if err != nil {
		return nil, "", err
	}
	for n, looked := at.partition, 0; n < len(s.partitions); {
		if used[n] == 0 {
			n++
			continue
		}
		if n != at.partition {
			at = listCursor{partition: n}
		}
		want := limit - len(rooms)
		most := want
		if prefix != "" {
			most = maxListed // as hardly any of them may be meant
		}
		listed, err := s.listPartition(ctx, app, at, most)
		if err != nil {
			return nil, "", err
		}
		found := matching(listed, prefix, want)
		infos, err := s.infosOf(ctx, app, n, found)
		if err != nil {
			return nil, "", err
		}
		rooms, looked = append(rooms, infos...), looked+len(listed)
		switch {
		case len(found) == want:
			return rooms, found[len(found)-1].String(), nil
		case len(listed) < most:
			n++
		default:
			at = listed[most-1]
		}
		if looked >= maxSought && n < len(s.partitions) {
			if n != at.partition {
				at = listCursor{partition: n}
			}
			return rooms, at.String(), nil
		}
	}
	return rooms, "", nil
}

// matching gives the first places whose names begin with a prefix.
func matching(places []listCursor, prefix string, most int) []listCursor {
	if prefix == "" {
		return places
	}
	var found []listCursor
	for _, place := range places {
		if strings.HasPrefix(place.name, prefix) && len(found) < most {
			found = append(found, place)
		}
	}
	return found
}

// roomsKey is the list of an app's rooms in a partition.
func (p *partition) roomsKey(app string) string { return p.prefix + roomsKind + app }

// partitionsOf counts an app's rooms in each partition.
func (s *Store) partitionsOf(ctx context.Context, app string) ([]int64, error) {
	counts := make([]*redis.IntCmd, len(s.partitions))
	err := s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for n := range s.partitions {
			counts[n] = pipe.ZCard(ctx, s.partitions[n].roomsKey(app))
		}
	})
	used := make([]int64, len(counts))
	for n, count := range counts {
		used[n] = count.Val()
	}
	return used, err
}

// CountRooms gives the number of an app's rooms. It waits for Redis. Refusals: bad_request, unavailable.
func (s *Store) CountRooms(ctx context.Context, app string) (int64, error) {
	if !validApp(app) {
		return 0, wire.Errorf(wire.CodeBadRequest, "not an app id")
	}
	used, err := s.partitionsOf(ctx, app)
	var sum int64
	for _, rooms := range used {
		sum += rooms
	}
	return sum, err
}

// listPartition gives the places of an app's next rooms of one partition.
func (s *Store) listPartition(ctx context.Context, app string, after listCursor, limit int) ([]listCursor, error) {
	key := s.partitions[after.partition].roomsKey(app)
	var places []listCursor
	for offset := int64(0); len(places) < limit; {
		found, err := s.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: key, ByScore: true, Start: strconv.FormatInt(after.created, 10), Stop: "+inf", Offset: offset, Count: int64(limit),
		}).Result()
		if err != nil {
			return nil, s.failed(err)
		}
		for _, room := range found {
			name, _ := room.Member.(string)
			place := listCursor{after.partition, int64(room.Score), name}
			if place.after(after) && validRoomName(name) && len(places) < limit {
				places = append(places, place)
			}
		}
		if len(found) < limit {
			break
		}
		offset += int64(len(found))
	}
	return places, nil
}

// after reports whether a place comes behind another one.
func (c listCursor) after(other listCursor) bool {
	return cmp.Or(cmp.Compare(c.partition, other.partition), cmp.Compare(c.created, other.created), cmp.Compare(c.name, other.name)) > 0
}

// infosOf reads rooms of a partition. Those that have ended meanwhile are left out.
func (s *Store) infosOf(ctx context.Context, app string, n int, places []listCursor) ([]RoomInfo, error) {
	commands := make([]*redis.SliceCmd, len(places))
	err := s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for i, place := range places {
			room, _ := s.partitions[n].messageKeys(app + "/" + place.name)
			commands[i] = pipe.HMGet(ctx, room, "epoch", "seq", "version", "capacity", "count", "locked", "created")
		}
	})
	if err != nil {
		return nil, err
	}
	infos := make([]RoomInfo, 0, len(places))
	for i, command := range commands {
		info := RoomInfo{Name: places[i].name}
		var locked int
		var created int64
		values := command.Val()
		if len(values) != 7 || values[0] == nil {
			continue
		}
		info.Epoch, _ = values[0].(string)
		for j, into := range []any{&info.Seq, &info.Version, &info.Capacity, &info.Count, &locked, &created} {
			text, _ := values[j+1].(string)
			if _, err := fmt.Sscan(text, into); err != nil {
				return nil, wire.Errorf(wire.CodeInternal, "the room's record in the store is damaged")
			}
		}
		info.Locked, info.Created = locked == 1, time.UnixMilli(created)
		infos = append(infos, info)
	}
	return infos, nil
}

// findChunk is how many rooms one call of find looks at: some milliseconds for Redis.
const findChunk = 64

// RoomsOf gives the names of an app's rooms in which a user has a seat, sorted. It looks at all of the app's rooms, and
// waits for Redis. Refusals: bad_request, unavailable.
func (s *Store) RoomsOf(ctx context.Context, app, user string) ([]string, error) {
	if !validApp(app) {
		return nil, wire.Errorf(wire.CodeBadRequest, "not an app id")
	}
	encoded, err := json.Marshal(user)
	if err != nil {
		return nil, wire.Errorf(wire.CodeBadRequest, "not a user")
	}
	used, err := s.partitionsOf(ctx, app)
	if err != nil {
		return nil, err
	}
	var rooms []string
	for n := range s.partitions {
		for first, more := 0, used[n] > 0; more; first += findChunk {
			reply, err := s.roster.find.Run(ctx, s.client, []string{s.partitions[n].roomsKey(app)},
				s.partitions[n].prefix+roomKind+app+"/", `{"user":`+string(encoded), first, first+findChunk-1).Slice()
			if err != nil {
				return nil, s.failed(err)
			}
			more = integer(reply, 1) == 1
			for i := 2; i < len(reply); i++ {
				room, _ := reply[i].(string)
				rooms = append(rooms, room)
			}
		}
	}
	slices.Sort(rooms)
	return slices.Compact(rooms), nil
}

// pipelined carries out commands that change nothing, in one round trip to each server.
func (s *Store) pipelined(ctx context.Context, queue func(redis.Pipeliner)) error {
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		queue(pipe)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return s.failed(err)
	}
	return nil
}

// failed is the refusal for what went wrong with Redis, which is counted and logged.
func (s *Store) failed(err error) error {
	s.router.failed(err)
	return unavailable()
}
