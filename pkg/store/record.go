package store

import (
	"bytes"
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
// from. The body is the event's JSON object without seq. The type of a message whose way is measured has a stamp behind it,
// see [Trail]:
//
//	<type>;<when it was sent, Unix time in µs by Redis' clock, or 0>[;<traceparent>]
//
// Several records for one inbox are one message: each has its length in bytes before it,
//
//	2 <length> <record> <length> <record> ...
const (
	recordVersion  = "1"
	recordFields   = 8 // before the body
	severalRecords = "2 "
	recordVolatile = "1v"
	everybody      = "*"
	noPeer         = "-"
	bodyStart      = `{"type":"`
	maxTypeLength  = 32
)

var errRecord = errors.New("store: not a record of version 1")

// ParseRecord reads a record. Every field is checked, so that a foreign publisher on an inbox channel cannot
// bring in more than an event. Partition is not part of a record and is left 0. Body shares the record's memory; the
// strings do not.
func ParseRecord(record []byte) (Event, error) {
	e, stamp, err := parseRecord(record)
	if err == nil && stamp != "" {
		_, _, err = parseStamp(stamp)
	}
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// parseRecord is ParseRecord that gives the record's stamp, too, unread.
func parseRecord(record []byte) (e Event, stamp string, err error) {
	end := fieldsLength(record)
	fields, body := string(record[:end]), record[min(end+1, len(record)):len(record):len(record)]
	version, rest, _ := strings.Cut(fields, " ")
	epoch, rest, _ := strings.Cut(rest, " ")
	seq, rest, _ := strings.Cut(rest, " ")
	name, rest, _ := strings.Cut(rest, " ")
	kind, rest, _ := strings.Cut(rest, " ")
	to, rest, _ := strings.Cut(rest, " ")
	except, by, _ := strings.Cut(rest, " ")
	kind, stamp, stamped := strings.Cut(kind, string(stampMark))

	number, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || number < 1 || seq[0] < '1' {
		return e, "", errRecord
	}
	app, room, _ := strings.Cut(name, "/")
	switch {
	case version != recordVersion && version != recordVolatile, !validID(epoch), !validApp(app), !validRoomName(room), !validType(kind),
		to != everybody && !validID(to), except != noPeer && !validID(except), !validBy(by), stamped && stamp == "",
		!bytes.HasPrefix(body, []byte(bodyStart)), !bytes.HasSuffix(body, []byte{'}'}):
		return e, "", errRecord
	}
	e = Event{Room: Room{App: app, Name: room}, Epoch: epoch, Seq: number, Type: kind, Body: body, Volatile: version == recordVolatile}
	if to != everybody {
		e.To = to
	}
	if except != noPeer {
		e.Except = except
	}
	return e, stamp, nil
}

// fieldsLength is how many bytes come before the body and the space in front of it.
func fieldsLength(record []byte) int {
	length := 0
	for range recordFields {
		n := bytes.IndexByte(record[length:], ' ')
		if n < 0 {
			return len(record)
		}
		length += n + 1
	}
	return length - 1
}

// records gives the records of a message of an inbox. Where the message is not of its form, it gives what no record is, and ends.
func records(message []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		rest, several := bytes.CutPrefix(message, []byte(severalRecords))
		if !several {
			yield(message)
			return
		}
		for more := true; more; {
			var length []byte
			length, rest, _ = bytes.Cut(rest, []byte{' '})
			n, ok := parseLength(length)
			if !ok || n < 1 || n > len(rest) {
				yield(nil)
				return
			}
			if !yield(rest[:n]) {
				return
			}
			if rest, more = bytes.CutPrefix(rest[n:], []byte{' '}); !more && len(rest) > 0 {
				yield(nil)
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
