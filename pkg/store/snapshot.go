package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// stateField is what a peer's state is called in the peers hash; a peer's own field is its id alone.
const stateField = "s:"

// statusAway is the status of a seat whose connection is lost; "c" is connected.
const statusAway = "a"

// decodeSnapshot reads the reply of join and snapshot: status, whether the seat is new, the room's fields in
// the order of look.lua, and the peers hash. own is the joiner, or empty.
func decodeSnapshot(room Room, own string, members bool, reply []any) (*Snapshot, error) {
	snapshot := &Snapshot{Room: room, New: integer(reply, 1) == 1}
	fields, _ := at(reply, 2).([]any)
	if at(fields, 0) == nil {
		return snapshot, nil
	}
	d := fieldReader{fields: fields}
	snapshot.Found = true
	snapshot.Epoch = d.text(0)
	snapshot.Seq = d.number(1)
	snapshot.Capacity = int(d.number(2))
	snapshot.Count = int(d.number(3))
	snapshot.Version = d.number(4)
	snapshot.Locked = d.text(5) == "1"
	snapshot.Presenter = d.text(6)
	if spotlight := d.text(7); spotlight != "" {
		snapshot.Spotlight = json.RawMessage(spotlight)
	}
	snapshot.Properties = d.state(8)
	snapshot.Created = time.UnixMilli(d.number(9))
	if members && d.err == nil {
		peers, _ := at(reply, 3).([]any)
		snapshot.Members, d.err = decodeMembers(peers)
	}
	if d.err != nil {
		return nil, wire.Errorf(wire.CodeInternal, "the room's record in the store is damaged")
	}
	for _, member := range snapshot.Members {
		if member.ID == own {
			snapshot.Order = member.Order
		}
	}
	return snapshot, nil
}

// decodeMembers reads the peers hash: seats and states, in any order.
func decodeMembers(peers []any) ([]Member, error) {
	members := make([]Member, 0, len(peers)/4+1)
	states := make(map[string]string, len(peers)/4+1)
	for i := 0; i+1 < len(peers); i += 2 {
		field, _ := peers[i].(string)
		value, _ := peers[i+1].(string)
		if peer, ok := strings.CutPrefix(field, stateField); ok {
			states[peer] = value
			continue
		}
		if strings.Contains(field, ":") {
			continue // another kind of field, of a newer version
		}
		member, err := decodeSeat(field, value)
		if err != nil {
			return nil, err
		}
		members = append(members, member)
	}
	for i := range members {
		var err error
		if members[i].State, err = decodeState(states[members[i].ID]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Order, b.Order) })
	return members, nil
}

// decodeSeat reads "<node> <order> <status> <generation> <grace> <profile>".
func decodeSeat(peer, seat string) (Member, error) {
	parts := strings.SplitN(seat, " ", 6)
	if len(parts) != 6 {
		return Member{}, fmt.Errorf("a seat record of %d parts", len(parts))
	}
	order, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return Member{}, err
	}
	generation, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return Member{}, err
	}
	return Member{
		ID: peer, Generation: generation, Order: order, Node: parts[0], Away: parts[2] == statusAway, Profile: []byte(parts[5]),
	}, nil
}

// fieldReader reads the values of an HMGET and keeps the first error.
type fieldReader struct {
	fields []any
	err    error
}

// text is a field, empty when it is not set.
func (d *fieldReader) text(i int) string {
	s, _ := at(d.fields, i).(string)
	return s
}

func (d *fieldReader) number(i int) int64 {
	n, err := strconv.ParseInt(d.text(i), 10, 64)
	if err != nil && d.err == nil {
		d.err = err
	}
	return n
}

func (d *fieldReader) state(i int) State {
	state, err := decodeState(d.text(i))
	if err != nil && d.err == nil {
		d.err = err
	}
	return state
}
