package store

import "github.com/signalbox-rtc/signalbox/pkg/wire"

const (
	maxAppLength  = 63
	maxRoomLength = 128
	maxIDLength   = 64
)

// Names go unescaped into keys, records and events. The callers have checked what came from outside; these
// checks make a mistake there an error and not a key of another room.

func (r Room) check() error {
	if !validApp(r.App) {
		return wire.Errorf(wire.CodeBadRequest, "not an app id")
	}
	if !validRoomName(r.Name) {
		return wire.Errorf(wire.CodeBadRequest, "not a room name")
	}
	return nil
}

func (s Seat) check() error {
	if err := s.Room.check(); err != nil {
		return err
	}
	if !validID(s.Peer) {
		return wire.Errorf(wire.CodeBadRequest, "not a peer id")
	}
	if !validID(s.Node) {
		return wire.Errorf(wire.CodeBadRequest, "not a node id")
	}
	if s.Generation < 0 {
		return wire.Errorf(wire.CodeBadRequest, "a generation of %d", s.Generation)
	}
	return nil
}

// checkActor is check for a call that the operator may make, too.
func (s *Seat) checkActor() error {
	if !s.Operator {
		return s.check()
	}
	s.Peer, s.Node, s.Generation = operator, operatorNode, 0
	return s.Room.check()
}

func validApp(app string) bool {
	if app == "" || len(app) > maxAppLength || app[0] == '-' {
		return false
	}
	for i := range len(app) {
		c := app[i]
		if !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

func validRoomName(name string) bool {
	if name == "" || len(name) > maxRoomLength {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case isLower(c), isDigit(c), 'A' <= c && c <= 'Z', c == '.', c == '_', c == '~', c == '-':
		default:
			return false
		}
	}
	return true
}

// validID is for peers and nodes. "-" and "*" have a meaning in records, ':' in the peers hash, and a quote or a
// backslash would have to be escaped in the events that the scripts complete.
func validID(id string) bool {
	if id == "" || len(id) > maxIDLength || id == noPeer {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == ':' || c == '*' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
