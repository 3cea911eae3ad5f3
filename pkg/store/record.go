package store

import (
	"errors"
	"strconv"
	"strings"
)

// A record is one event, as it is published to inboxes and kept in the room's log:
//
//	1 <epoch> <seq> <app>/<room> <type> <to or *> <except or -> <body>
//
// The 1 is the record's version; it is 1v for what is not in the log. The body is the event's JSON object without seq.
const (
	recordVersion  = "1"
	recordVolatile = "1v"
	everybody      = "*"
	noPeer         = "-"
	bodyStart      = `{"type":"`
	maxTypeLength  = 32
)

var errRecord = errors.New("store: not a record of version 1")

// ParseRecord reads a record. Every field is checked, so that a foreign publisher on an inbox channel cannot
// bring in more than an event. Partition is not part of a record and is left 0. Body is a copy; the strings
// share the record's memory.
func ParseRecord(record string) (Event, error) {
	var e Event
	version, rest, _ := strings.Cut(record, " ")
	epoch, rest, _ := strings.Cut(rest, " ")
	seq, rest, _ := strings.Cut(rest, " ")
	name, rest, _ := strings.Cut(rest, " ")
	kind, rest, _ := strings.Cut(rest, " ")
	to, rest, _ := strings.Cut(rest, " ")
	except, body, _ := strings.Cut(rest, " ")

	number, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || number < 1 || seq[0] < '1' {
		return e, errRecord
	}
	app, room, _ := strings.Cut(name, "/")
	switch {
	case version != recordVersion && version != recordVolatile, !validID(epoch), !validApp(app), !validRoomName(room), !validType(kind),
		to != everybody && !validID(to), except != noPeer && !validID(except),
		!strings.HasPrefix(body, bodyStart), !strings.HasSuffix(body, "}"):
		return e, errRecord
	}
	e = Event{Room: Room{App: app, Name: room}, Epoch: epoch, Seq: number, Type: kind, Body: []byte(body), Volatile: version == recordVolatile}
	if to != everybody {
		e.To = to
	}
	if except != noPeer {
		e.Except = except
	}
	return e, nil
}

// validType is for event types: small letters with single dashes inside are all that the protocol uses.
func validType(kind string) bool {
	if kind == "" || len(kind) > maxTypeLength {
		return false
	}
	for i := range len(kind) {
		if !isLower(kind[i]) && kind[i] != '-' {
			return false
		}
	}
	return true
}
