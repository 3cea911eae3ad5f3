package store

import (
	"strconv"
	"strings"
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
	c := s.partitionCall(s.scripts.held, partition, node, func(reply []any, err error) {
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
	}, p.heldPrefix+node)
	c.add(strconv.Itoa(believed))
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
	p, err := s.inPartition(partition)
	if err != nil {
		done(nil, err)
		return
	}
	s.router.submit(s.partitionCall(s.scripts.holders, partition, noPeer, func(reply []any, err error) {
		list, _ := at(reply, 1).([]any)
		nodes := make([]string, 0, len(list))
		for _, item := range list {
			if node, _ := item.(string); validID(node) {
				nodes = append(nodes, node)
			}
		}
		done(nodes, err)
	}, p.holders()))
}
