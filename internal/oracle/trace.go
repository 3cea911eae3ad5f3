package oracle

import (
	"fmt"
	"strings"
	"time"
)

// Trace tells what all clients did and saw in a room, a line each, for people who look for the cause of a finding. An empty
// name stands for all rooms.
func (o *Oracle) Trace(room string) string {
	o.mu.Lock()
	records := o.records[:len(o.records):len(o.records)]
	o.mu.Unlock()
	var text strings.Builder
	for i := range records {
		r := &records[i]
		if room == "" || r.room == "" || r.room == room {
			_, _ = fmt.Fprintf(&text, "%s %s\n", r.at.Sub(records[0].at).Round(time.Microsecond), r.line())
		}
	}
	return text.String()
}

// Len is the number of records so far.
func (o *Oracle) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.records)
}

// verbs are what a record's client did, by the record's kind.
var verbs = [...]string{
	session: "has session", gone: "has lost its seat in", ending: "ends", ended: "has ended", joinStarted: "joins", joinAcked: "has joined",
	joinFailed: "has not joined", leaveStarted: "leaves", leaveAcked: "has left", leaveFailed: "has not left",
	sent: "sends", acked: "has sent", failed: "has not sent", event: "gets", lookStarted: "looks", looked: "sees", synced: "vouches for",
	unseated: "has no seat", shaken: "has lost its connection",
}

func (r *record) line() string {
	text := r.client.name + " " + verbs[r.kind]
	if r.room != "" {
		text += " room " + r.room
	}
	if r.seq > 0 {
		text += fmt.Sprintf(" seq %d", r.seq)
	}
	switch {
	case r.kind == event:
		text += " " + describe(r)
	case r.msg != nil:
		text += " " + r.msg.what()
		if r.kind == sent && r.msg.kind.to != "" {
			text += " to " + r.msg.kind.to
		}
		if r.kind == sent && r.msg.kind.volatile {
			text += " (volatile)"
		}
	}
	if r.kind != event && r.text != "" {
		text += " " + r.text
	}
	if r.shot != nil {
		text += " epoch " + r.shot.Epoch + " peers"
		for i := range r.shot.Peers {
			text += fmt.Sprintf(" %s/%d", r.shot.Peers[i].ID, r.shot.Peers[i].Order)
			if r.shot.Peers[i].Away {
				text += "(away)"
			}
		}
		for _, waiter := range r.shot.Queue {
			text += " waits " + waiter.ID
		}
		if w := r.shot.Waiting; w != nil {
			text += fmt.Sprintf(" place %d of %d, %s", w.Position, w.Count, w.Reason)
		}
	}
	return text
}
