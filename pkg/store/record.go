package store

import (
	"errors"
	"iter"
	"strconv"
	"strings"
)

// A record is one event, as it is published to inboxes and kept in the room's log:
//
//	1 <epoch> <seq> <app>/<room> <type> <to or *> <except or -> <by or -> <body>
//
// The 1 is the record's version; it is 1v for what is not in the log. by is "<peer>/<number>" of the request that it came
// from. The body is the event's JSON object without seq.
//
// Several records for one inbox are one message: each has its length in bytes before it,
//
//	2 <length> <record> <length> <record> ...
const (
	recordVersion  = "1"
	severalRecords = "2 "
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
	except, rest, _ := strings.Cut(rest, " ")
	by, body, _ := strings.Cut(rest, " ")

	number, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || number < 1 || seq[0] < '1' {
		return e, errRecord
	}
	app, room, _ := strings.Cut(name, "/")
	switch {
	case version != recordVersion && version != recordVolatile, !validID(epoch), !validApp(app), !validRoomName(room), !validType(kind),
		to != everybody && !validID(to), except != noPeer && !validID(except), !validBy(by),
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

// records gives the records of a message of an inbox. Where the message is not of its form, it gives what no record is, and ends.
func records(message string) iter.Seq[string] {
	return func(yield func(string) bool) {
		rest, several := strings.CutPrefix(message, severalRecords)
		if !several {
			yield(message)
			return
		}
		for more := true; more; {
			var length string
			length, rest, _ = strings.Cut(rest, " ")
			n, err := strconv.Atoi(length)
			if err != nil || n < 1 || n > len(rest) {
				yield("")
				return
			}
			if !yield(rest[:n]) {
				return
			}
			if rest, more = strings.CutPrefix(rest[n:], " "); !more && rest != "" {
				yield("")
			}
		}
	}
}

// validBy is for what a record says of the request that it came from.
func validBy(by string) bool {
	slash := strings.LastIndexByte(by, '/')
	if slash < 0 {
		return by == noPeer
	}
	n, err := strconv.ParseInt(by[slash+1:], 10, 64)
	return err == nil && n > 0 && validID(by[:slash])
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
