package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// How the fields of a room's hash begin that are a peer's: its seat and its state. Those of other kinds have their own letter.
const (
	seatField  = "p:"
	stateField = "s:"
	placeField = "w:"
	// enteredField is of rooms of which webhooks tell.
	enteredField = "j:"
)

// statusAway is the status of a seat whose connection is lost; "c" is connected.
const statusAway = "a"

// decodeSnapshot reads the reply of a script that answers with the room: status, whether the seat is new, and pairs of field
// and value, in any order. own is the joiner, or empty.
func decodeSnapshot(room Room, own string, reply []any) (*Snapshot, error) {
	snapshot := &Snapshot{Room: room, New: integer(reply, 1) == 1}
	pairs, _ := at(reply, 2).([]any)
	if len(pairs) == 0 {
		return snapshot, nil
	}
	d := roomReader{snapshot: snapshot}
	for i := 0; i+1 < len(pairs); i += 2 {
		field, _ := pairs[i].(string)
		value, _ := pairs[i+1].(string)
		d.read(field, value)
	}
	snapshot.Found = true
	if err := d.finish(); err != nil {
		return nil, wire.Errorf(wire.CodeInternal, "the room's record in the store is damaged")
	}
	for i := range snapshot.Members {
		if snapshot.Members[i].ID == own {
			snapshot.Order = snapshot.Members[i].Order
		}
	}
	return snapshot, nil
}

// roomReader fills a snapshot, field by field, and keeps the first error.
type roomReader struct {
	snapshot *Snapshot
	numbers  int      // fields that every room has, and that were read
	states   []string // pairs of peer and state
	places   map[string]Waiting
	queue    []string // who waits, in order
	entered  []string // pairs of peer and when it has joined, for webhooks
	err      error
}

// roomNumbers is how many fields every room has that are numbers.
const roomNumbers = 5

func (d *roomReader) read(field, value string) {
	if len(field) > len(seatField) && field[1] == seatField[1] {
		switch field[:len(seatField)] {
		case seatField:
			member, err := decodeSeat(field[len(seatField):], value)
			d.note(err)
			d.snapshot.Members = append(d.snapshot.Members, member)
		case stateField:
			if value != "" {
				d.states = append(d.states, field[len(stateField):], value)
			}
		case placeField:
			place, err := decodeWaiting(field[len(placeField):], value)
			d.note(err)
			if d.places == nil {
				d.places = make(map[string]Waiting)
			}
			d.places[place.ID] = place
		case enteredField:
			d.entered = append(d.entered, field[len(enteredField):], value)
		}
		return
	}
	s := d.snapshot
	switch field {
	case "epoch":
		s.Epoch = value
	case "seq":
		s.Seq = d.number(value)
	case "capacity":
		s.Capacity = int(d.number(value))
	case "count":
		s.Count = int(d.number(value))
	case "version":
		s.Version = d.number(value)
	case "created":
		s.Created = time.UnixMilli(d.number(value))
	case "locked":
		s.Locked = value == "1"
	case "presenter":
		s.Presenter = value
	case "spotlight":
		s.Spotlight = json.RawMessage(value)
	case "hooks":
		s.Hooks = value
	case "rules":
		const head = 4
		parts := strings.Fields(value)
		s.Rules, d.queue = strings.Join(parts[:min(head, len(parts))], " "), parts[min(head, len(parts)):]
	case "properties":
		var err error
		s.Properties, err = decodeState(value)
		d.note(err)
	}
}

// finish gives the members their states and their order.
func (d *roomReader) finish() error {
	if d.err == nil && (d.numbers != roomNumbers || d.snapshot.Epoch == "") {
		d.err = errors.New("a room that lacks a field")
	}
	members := d.snapshot.Members
	if len(d.states)+len(d.entered) > 0 {
		of := make(map[string]int, len(members))
		for i := range members {
			of[members[i].ID] = i
		}
		for i := 0; i < len(d.states); i += 2 {
			state, err := decodeState(d.states[i+1])
			d.note(err)
			if m, known := of[d.states[i]]; known {
				members[m].State = state
			}
		}
		for i := 0; i < len(d.entered); i += 2 {
			if m, known := of[d.entered[i]]; known {
				members[m].Entered = d.entered[i+1]
			}
		}
	}
	for _, peer := range d.queue {
		if place, ok := d.places[peer]; ok {
			d.snapshot.Waiting = append(d.snapshot.Waiting, place)
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Order, b.Order) })
	return d.err
}

func (d *roomReader) number(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	d.note(err)
	d.numbers++
	return n
}

func (d *roomReader) note(err error) {
	if d.err == nil {
		d.err = err
	}
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
