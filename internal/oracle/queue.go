package oracle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// wait is a client's time in the queue of a room, from the answer that gives it a place to its seat, or the end of waiting.
type wait struct {
	client  *Client
	session string
	room    string
	// epoch and seq are as of the answer: who has the lower number in one epoch came first. epoch is empty where nobody knows when it
	// came: the client has taken it again by itself, had the answer after it had lost its connection, or had asked before.
	epoch string
	seq   int64
	last  wire.Waiting // as it was told last
	from  wire.Waiting // and at first
	// shaken is set once its connection was lost meanwhile: its place may have been away, and passed over.
	shaken bool
	// seat is the snapshot that came with the seat, nil as long as there is none.
	seat *wire.Snapshot
	over bool
}

// Shaken notes that the client has lost its connection, and may come back.
func (c *Client) Shaken() { c.note(record{kind: shaken}) }

// waits begins a wait, or goes on with the one that there is.
func (r *replay) waits(c *clientState, p *place, rec *record, now *wire.Waiting, shot *wire.Snapshot) {
	if now.Position < 1 || now.Position > now.Count || now.Reason != wire.WaitFull && now.Reason != wire.WaitModerated {
		r.oddity(RuleQueue, rec, "it was told place %d of %d (%s)", now.Position, now.Count, now.Reason)
	}
	if p.wait == nil {
		p.wait = &wait{client: c.Client, session: c.session.id, room: rec.room, from: *now}
		if shot != nil && !p.undated {
			p.wait.epoch, p.wait.seq = shot.Epoch, shot.Seq
		}
		r.waiting = append(r.waiting, p.wait)
	}
	p.wait.last = *now
}

// waitingEvent takes what only those are told who wait. It reports false for all else.
func (r *replay) waitingEvent(c *clientState, p *place, rec *record) bool {
	unknown := p.joining > 0 || p.unsure || p.had
	switch body := rec.body.(type) {
	case *wire.Waiting:
		switch {
		case p.stay != nil:
			r.breach(RuleQueue, p.stay, 0, "it was told that it waits, and has a seat")
		case p.wait == nil && !unknown:
			r.oddity(RuleStranger, rec, "it was told that it waits, and does not")
		case p.wait != nil || p.joining == 0: // else the answer is still to come, and says it again
			r.waits(c, p, rec, body, nil)
		}
	case *wire.Seated:
		order, ok := orderIn(rec.shot, c.session.id)
		switch {
		case p.stay != nil:
			r.breach(RuleTwice, p.stay, rec.seq, "it was told that it is seated, and was already")
			return true
		case p.wait == nil && !unknown:
			r.oddity(RuleStranger, rec, "it was seated, and did not wait")
		case !ok:
			r.oddity(RuleSeats, rec, "it was seated, and the snapshot does not list it")
		}
		r.saw(rec, 0)
		r.begin(c, p, rec, order)
	default:
		return false
	}
	return true
}

// seatedAt ends a wait with a seat, whichever way the client learns of it.
func (p *place) seatedAt(shot *wire.Snapshot) {
	if p.wait != nil {
		p.wait.seat = shot
		p.endWait()
	}
}

func (p *place) endWait() {
	if p.wait != nil {
		p.wait.over = true
		p.wait = nil
	}
}

// checkQueues judges who was seated before whom, and who waits at the end.
func (r *replay) checkQueues() {
	for _, shot := range r.shots {
		r.checkCalled(&shot)
	}
	type line struct{ room, epoch string }
	lines := map[line][]*wait{}
	for _, w := range r.waiting {
		if w.epoch != "" && w.from.Reason == wire.WaitFull {
			at := line{w.room, w.epoch}
			lines[at] = append(lines[at], w)
		}
	}
	for _, waits := range lines {
		slices.SortFunc(waits, func(a, b *wait) int { return int(a.seq - b.seq) })
		for i, w := range waits {
			for _, later := range waits[i+1:] {
				if r.overtook(later, w) {
					r.find(Finding{Rule: RuleQueue, Room: w.room, Epoch: w.epoch, Seq: w.seq, Client: w.client.name + " (" + w.session + ")",
						Text: fmt.Sprintf("%s came to the queue later, at seq %d, and was seated before it", later.client.name, later.seq)})
				}
			}
		}
	}
	for _, w := range r.waiting {
		if !w.over && !r.client(w.client).ended {
			r.checkStillWaits(w)
		}
	}
}

// overtook reports whether one that came later was seated while the other one was connected and waited: also in another life of the room,
// as queues outlive the loss of Redis' data.
func (r *replay) overtook(later, w *wait) bool {
	if w.shaken || w.seq == later.seq || later.seat == nil {
		return false
	}
	if later.seat.Epoch != w.epoch && (r.beganEmpty(later) || r.opts.LateReturns && !r.sawWait(w, later.seat)) {
		return false
	}
	if w.seat == nil {
		return !w.over && !r.client(w.client).ended
	}
	if w.seat.Epoch != later.seat.Epoch {
		return false
	}
	own, ok := orderIn(w.seat, w.session)
	other, in := orderIn(later.seat, later.session)
	return ok && in && other < own
}

// beganEmpty reports whether a seat is one of those that were taken after the loss of Redis' data in a room in which nobody's was put back
// before it: whose gateway asks first is first there.
func (r *replay) beganEmpty(w *wait) bool {
	own, _ := orderIn(w.seat, w.session)
	now := r.epoch(w.room, w.seat.Epoch)
	return !slices.ContainsFunc(w.seat.Peers, func(peer wire.Peer) bool {
		return peer.Order < own && slices.ContainsFunc(r.stays, func(s *stay) bool {
			return s.session == peer.ID && s.room == w.room && s.order == peer.Order && s.epoch.firstAt < now.firstAt
		})
	})
}

// sawWait reports whether somebody has seen one wait, in the epoch of a seat and before it was taken.
func (r *replay) sawWait(w *wait, seat *wire.Snapshot) bool {
	for _, f := range r.epoch(w.room, seat.Epoch).facts {
		if f.seq < seat.Seq && strings.HasPrefix(f.what, "waiting "+w.session+" ") {
			return true
		}
	}
	return slices.ContainsFunc(r.shots, func(s shot) bool {
		return s.Room == w.room && s.Epoch == seat.Epoch && s.Seq < seat.Seq &&
			slices.ContainsFunc(s.Queue, func(waiter wire.Waiter) bool { return waiter.ID == w.session })
	})
}

// checkCalled looks whether somebody waits in front of a free seat. Right after Redis has lost its data seats are kept free for those who
// had them: then only what is asked for at the end counts.
func (r *replay) checkCalled(s *shot) {
	if s.Count >= s.Capacity || s.Locked || r.opts.TwiceAfterLoss && !s.vouches || r.opts.Rewinds && !s.vouches {
		return
	}
	for _, waiter := range s.Queue {
		if waiter.Reason == wire.WaitFull && !waiter.Away {
			r.find(Finding{Rule: RuleQueue, Room: s.Room, Epoch: s.Epoch, Seq: s.Seq, Client: s.client.name,
				Text: fmt.Sprintf("it sees %s wait, and %d seats taken of %d", waiter.ID, s.Count, s.Capacity)})
		}
	}
}

// checkStillWaits looks whether who waits at the end is known to, and was told the right place.
func (r *replay) checkStillWaits(w *wait) {
	breach := func(format string, args ...any) {
		r.find(Finding{Rule: RuleQueue, Room: w.room, Client: w.client.name + " (" + w.session + ")", Text: fmt.Sprintf(format, args...)})
	}
	i := slices.IndexFunc(r.shots, func(s shot) bool { return s.vouches && s.Room == w.room })
	if i < 0 {
		if w.last.Reason == wire.WaitFull {
			breach("it waits at the end, and nobody has a seat")
		}
		return
	}
	queue := r.shots[i].Queue
	at := slices.IndexFunc(queue, func(waiter wire.Waiter) bool { return waiter.ID == w.session })
	switch {
	case at < 0:
		breach("it waits, and is not in the queue that %s sees", r.shots[i].client.name)
	case w.last.Position != at+1, w.last.Count != len(queue):
		breach("it was told place %d of %d, and has %d of %d", w.last.Position, w.last.Count, at+1, len(queue))
	case w.last.Reason != queue[at].Reason:
		breach("it was told that it waits for %s, and waits for %s", w.last.Reason, queue[at].Reason)
	}
}
