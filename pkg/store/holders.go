package store

import (
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// HeldSeat names a seat that a node holds.
type HeldSeat struct {
	Room Room
	Peer string
}

// Held lists the seats that Redis has for a node in one partition, unless there are as many as the node believes; a negative
// number has them listed in any case. differs tells that they are listed. It changes nothing. done is called as for the other
// calls.
func (s *Store) Held(partition int, node string, believed int, done func(seats []HeldSeat, differs bool, err error)) {
	p, err := s.ofNode(partition, node)
	if err != nil {
		done(nil, false, err)
		return
	}
	c := &call{script: s.scripts.held, partition: partition, answer: func(reply []any, err error) {
		if err != nil || integer(reply, 1) == 0 {
			done(nil, false, err)
			return
		}
		entries, _ := at(reply, 2).([]any)
		seats := make([]HeldSeat, 0, len(entries))
		for _, entry := range entries {
			text, _ := entry.(string)
			if seat, ok := parseHeld(text); ok {
				seats = append(seats, seat)
			}
		}
		done(seats, true, nil)
	}}
	c.args = append(make([]any, 0, 11), "evalsha", c.script.sha, c.script.keys)
	c.add(p.heldPrefix+node, "", p.prefix, node, "", "0", "0", strconv.Itoa(believed))
	s.router.submit(c)
}

// parseHeld reads an entry of a held set. What is none belongs to nobody.
func parseHeld(entry string) (HeldSeat, bool) {
	room, peer, ok := strings.Cut(entry, " ")
	app, name, named := strings.Cut(room, "/")
	seat := HeldSeat{Room: Room{App: app, Name: name}, Peer: peer}
	return seat, ok && named && validID(peer) && seat.Room.check() == nil
}

// Holders lists the nodes that hold seats in one partition, whether they are on the roster or not. It changes nothing. done is
// called as for the other calls.
func (s *Store) Holders(partition int, done func(nodes []string, err error)) {
	if partition < 0 || partition >= len(s.partitions) {
		done(nil, wire.Errorf(wire.CodeBadRequest, "a partition %d", partition))
		return
	}
	p := &s.partitions[partition]
	c := &call{script: s.scripts.holders, partition: partition, answer: func(reply []any, err error) {
		list, _ := at(reply, 1).([]any)
		nodes := make([]string, 0, len(list))
		for _, item := range list {
			if node, _ := item.(string); validID(node) {
				nodes = append(nodes, node)
			}
		}
		done(nodes, err)
	}}
	c.args = append(make([]any, 0, 10), "evalsha", c.script.sha, c.script.keys)
	c.add(p.holders(), "", p.prefix, "", "", "0", "0")
	s.router.submit(c)
}

// ofNode checks what a call for all of a node's seats in a partition names.
func (s *Store) ofNode(n int, node string) (*partition, error) {
	if n < 0 || n >= len(s.partitions) {
		return nil, wire.Errorf(wire.CodeBadRequest, "a partition %d", n)
	}
	if !validID(node) {
		return nil, wire.Errorf(wire.CodeBadRequest, "not a node id")
	}
	return &s.partitions[n], nil
}
