package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// bind finds the place of the messages that were acknowledged and that nobody saw, where it is certain: the room was alive
// in the sender's epoch before and after. What comes of it is seen in checkLost.
func (r *replay) bind() {
	for _, f := range r.fates() {
		if f.outcome != acked || f.seq == 0 {
			continue
		}
		if f.at != nil {
			if f.at.seq != f.seq && !r.opts.TwiceAfterLoss {
				r.find(Finding{Rule: RuleOrder, Room: f.room, Seq: f.seq, Client: f.client.name,
					Text: fmt.Sprintf("%s was acknowledged with this number, and seen by %s as seq %d", f.what(), f.at.by, f.at.seq)})
			}
			continue
		}
		e := r.epochOf(f)
		if e == nil {
			continue
		}
		if other := e.facts[f.seq]; other != nil {
			if !r.opts.Rewinds || r.goesOn(e, f.seq) {
				r.find(Finding{Rule: RuleOrder, Room: f.room, Epoch: e.id, Seq: f.seq, Client: f.client.name,
					Text: fmt.Sprintf("%s was acknowledged with this number, and %s saw %s", f.what(), other.by, other.what)})
			}
			continue
		}
		f.at = &fact{epoch: e, what: f.what(), seq: f.seq, to: f.kind.to, volatile: f.kind.volatile, msg: f, by: itsSender}
		e.facts[f.seq] = f.at
	}
}

// itsSender is who knows a message that was acknowledged and that nobody got.
const itsSender = "its sender"

// checkForks looks at the numbers that stand for two events.
func (r *replay) checkForks() {
	for _, f := range r.forks {
		if !r.opts.Rewinds || r.goesOn(f.stay.epoch, f.seq) {
			r.breach(RuleOrder, f.stay, f.seq, "%s", f.text)
		}
	}
}

// goesOn reports whether anybody is still there who has seen a number of an epoch: it was not told to start over.
func (r *replay) goesOn(e *epoch, seq int64) bool {
	return slices.ContainsFunc(r.stays, func(s *stay) bool {
		return s.epoch == e && s.horizon() >= seq && r.client(s.client).rooms[s.room].stay == s
	})
}

// fates gives the messages in the order of sending.
func (r *replay) fates() []*fate {
	return slices.SortedFunc(maps.Values(r.messages), func(a, b *fate) int { return cmp.Compare(a.sentAt, b.sentAt) })
}

// epochOf gives the epoch that a room was in all the time from a message's sending to its answer, or nil.
func (r *replay) epochOf(f *fate) *epoch {
	for _, e := range r.epochs {
		if e.room == f.room && e.firstAt > 0 && e.firstAt < f.sentAt && e.aliveAt >= f.outcomeAt {
			return e
		}
	}
	return nil
}

// checkLost compares what each member saw with what happened while it was there.
func (r *replay) checkLost() {
	sorted := map[*epoch][]*fact{}
	for _, e := range r.epochs {
		sorted[e] = slices.SortedFunc(maps.Values(e.facts), func(a, b *fact) int { return cmp.Compare(a.seq, b.seq) })
	}
	for _, s := range r.stays {
		seen := make(map[int64]bool, len(s.events))
		for i := range s.events {
			seen[s.events[i].seq] = true
		}
		for _, f := range sorted[s.epoch] {
			if f.seq <= s.first || f.seq > s.horizon() || seen[f.seq] || !f.entitles(s) || r.tookBack(f) {
				continue
			}
			r.breach(RuleLost, s, f.seq, "it did not get %s (known from %s), and was there from seq %d to %d",
				f.what, f.by, s.first, s.horizon())
		}
	}
}

// tookBack reports whether an event was lost with the end of Redis' memory, and others have its number and the next ones: it, or
// one before it, is known to have had another meaning, or nobody but its sender knows of it, and all who were there were told.
func (r *replay) tookBack(f *fact) bool {
	if !r.opts.Rewinds || r.goesOn(f.epoch, f.seq) {
		return false
	}
	return f.by == itsSender || slices.ContainsFunc(r.forks, func(fork fork) bool {
		return fork.stay.epoch == f.epoch && fork.seq <= f.seq
	})
}

// entitles reports whether a member must be told.
func (f *fact) entitles(s *stay) bool {
	switch {
	case f.volatile, f.subject == s.session, f.to != "" && f.to != s.session:
		return false
	case f.msg != nil && f.msg.client == s.client:
		return f.msg.kind.echo
	}
	return true
}

// checkAnswers compares the numbers in the answers: what was answered before another message was sent came before it, and
// a client's messages keep their order.
func (r *replay) checkAnswers() {
	type line struct {
		epoch  *epoch
		sender *Client
	}
	perSender := map[line]*fate{}
	perEpoch := map[*epoch][]*fate{}
	for _, f := range r.fates() {
		if f.refused && len(f.got) > 0 {
			r.find(Finding{Rule: RuleStranger, Room: f.room, Client: f.client.name,
				Text: f.what() + " was refused, and was delivered all the same"})
		}
		if f.outcome != acked || f.at == nil || f.seq > 0 && f.at.seq != f.seq {
			continue
		}
		sender := line{f.at.epoch, f.client}
		if before := perSender[sender]; before != nil && before.at.seq >= f.at.seq {
			r.find(Finding{Rule: RuleOrder, Room: f.room, Seq: f.at.seq, Client: f.client.name,
				Text: fmt.Sprintf("its %s has a lower number than its earlier %s (seq %d)", f.what(), before.what(), before.at.seq)})
		}
		perSender[sender] = f
		perEpoch[f.at.epoch] = append(perEpoch[f.at.epoch], f)
	}
	for _, fates := range perEpoch {
		r.checkRealTime(fates)
	}
}

// checkRealTime takes the messages of one epoch in the order of sending.
func (r *replay) checkRealTime(bySending []*fate) {
	byAnswer := slices.SortedFunc(slices.Values(bySending), func(a, b *fate) int { return cmp.Compare(a.outcomeAt, b.outcomeAt) })
	var highest *fate // of those that were answered
	for _, f := range bySending {
		for len(byAnswer) > 0 && byAnswer[0].outcomeAt < f.sentAt {
			if highest == nil || byAnswer[0].at.seq > highest.at.seq {
				highest = byAnswer[0]
			}
			byAnswer = byAnswer[1:]
		}
		if highest != nil && highest.at.seq >= f.at.seq {
			r.find(Finding{Rule: RuleOrder, Room: f.room, Seq: f.at.seq, Client: f.client.name,
				Text: fmt.Sprintf("%s has a lower number than %s (seq %d), which was answered before it was sent",
					f.what(), highest.what(), highest.at.seq)})
		}
	}
}

// checkCapacity looks at all who were in a room at one number: a stay proves a seat from its snapshot to its last event.
func (r *replay) checkCapacity() {
	byEpoch := map[*epoch][]*stay{}
	for _, s := range r.stays {
		byEpoch[s.epoch] = append(byEpoch[s.epoch], s)
	}
	for e, stays := range byEpoch {
		if e.recapped {
			continue
		}
		slices.SortFunc(stays, func(a, b *stay) int { return cmp.Compare(a.first, b.first) })
		for i, s := range stays {
			in := map[string]bool{}
			for _, other := range stays[:i+1] {
				if other.horizon() >= s.first {
					in[other.session] = true
				}
			}
			if len(in) > e.capacity {
				r.breach(RuleCapacity, s, s.first, "%d clients had a seat at once of %d: %v", len(in), e.capacity, slices.Sorted(maps.Keys(in)))
			}
		}
	}
}

// checkViews compares what each member knew of the others with every snapshot that anybody got.
func (r *replay) checkViews() {
	byEpoch := map[*epoch][]shot{}
	for _, s := range r.shots {
		e := r.epoch(s.Room, s.Epoch)
		byEpoch[e] = append(byEpoch[e], s)
		if len(s.Peers) > s.Capacity && !e.recapped {
			r.find(Finding{Rule: RuleCapacity, Room: s.Room, Epoch: s.Epoch, Seq: s.Seq, Client: s.client.name,
				Text: fmt.Sprintf("a snapshot has %d seats taken of %d", len(s.Peers), s.Capacity)})
		}
	}
	for e := range byEpoch {
		slices.SortStableFunc(byEpoch[e], func(a, b shot) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	for _, s := range r.stays {
		r.checkView(s, byEpoch[s.epoch])
	}
}

// checkView goes through a stay's events and the snapshots together, in the order of their numbers.
func (r *replay) checkView(s *stay, shots []shot) {
	view := &view{self: s.session, members: membersOf(s.base), states: map[string]wire.Object{}}
	for i := range s.base.Peers {
		view.states[s.base.Peers[i].ID] = s.base.Peers[i].State
	}
	next := 0
	for _, shot := range shots {
		if shot.Seq < s.first || shot.Seq > s.horizon() {
			continue
		}
		for ; next < len(s.events) && s.events[next].seq <= shot.Seq; next++ {
			view.apply(&s.events[next])
		}
		if difference := view.differs(shot.Snapshot); difference != "" {
			r.breach(RuleSeats, s, shot.Seq, "what it was told does not agree with a snapshot of %s: %s", shot.client.name, difference)
			return
		}
	}
}

// view is what a client knows of the others, by what it was told.
type view struct {
	self    string
	members map[string]member
	states  map[string]wire.Object
}

func (v *view) apply(rec *record) {
	switch body := rec.body.(type) {
	case *wire.JoinedPeer:
		v.members[body.Peer.ID] = member{order: body.Peer.Order, away: body.Peer.Away, state: stateText(body.Peer.State)}
		v.states[body.Peer.ID] = body.Peer.State
	case *wire.LeftPeer:
		delete(v.members, body.Peer)
	case *wire.Closed:
		delete(v.members, v.self)
	case *wire.AwayPeer:
		v.setAway(body.Peer, true)
	case *wire.BackPeer:
		v.setAway(body.Peer, false)
	case *wire.StateChanged:
		state := maps.Clone(v.states[body.Peer])
		if state == nil {
			state = wire.Object{}
		}
		maps.Copy(state, body.State)
		v.states[body.Peer] = state
		if m, in := v.members[body.Peer]; in {
			m.state = stateText(state)
			v.members[body.Peer] = m
		}
	}
}

func (v *view) setAway(peer string, away bool) {
	if m, in := v.members[peer]; in {
		m.away = away
		v.members[peer] = m
	}
}

// differs gives the first difference to a snapshot, or "". What a client knows of itself comes from its own doings.
func (v *view) differs(shot *wire.Snapshot) string {
	there := membersOf(shot)
	for _, peer := range slices.Sorted(maps.Keys(there)) {
		known, in := v.members[peer]
		switch {
		case !in:
			return fmt.Sprintf("%s (order %d) has a seat, of which it was not told", peer, there[peer].order)
		case known.order != there[peer].order:
			return fmt.Sprintf("%s has order %d, and it was told %d", peer, there[peer].order, known.order)
		case peer == v.self:
		case known.away != there[peer].away:
			return fmt.Sprintf("%s is away: %v, and it was told %v", peer, there[peer].away, known.away)
		case known.state != there[peer].state:
			return fmt.Sprintf("%s has state %s, and it was told %s", peer, there[peer].state, known.state)
		}
	}
	for _, peer := range slices.Sorted(maps.Keys(v.members)) {
		if _, in := there[peer]; !in {
			return peer + " has no seat any more, of which it was not told"
		}
	}
	return ""
}

// checkGhosts looks for seats whose session has ended, or that were left.
func (r *replay) checkGhosts() {
	type seat struct {
		epoch   *epoch
		session string
		order   int64
	}
	left := map[seat]int{}
	for _, s := range r.stays {
		if s.leftAt > 0 {
			left[seat{s.epoch, s.session, s.order}] = s.leftAt
		}
	}
	for _, shot := range r.shots {
		e := r.epoch(shot.Room, shot.Epoch)
		for i := range shot.Peers {
			peer := &shot.Peers[i]
			if text := r.ghost(&shot, peer.ID, left[seat{e, peer.ID, peer.Order}]); text != "" {
				r.find(Finding{Rule: RuleGhost, Room: shot.Room, Epoch: shot.Epoch, Seq: shot.Seq, Client: shot.client.name,
					Text: fmt.Sprintf("it sees %s (order %d), %s", peer.ID, peer.Order, text)})
			}
		}
		for _, waiter := range shot.Queue {
			if text := r.ghost(&shot, waiter.ID, 0); text != "" {
				r.find(Finding{Rule: RuleGhost, Room: shot.Room, Epoch: shot.Epoch, Seq: shot.Seq, Client: shot.client.name,
					Text: fmt.Sprintf("it sees %s wait, %s", waiter.ID, text)})
			}
		}
	}
}

func (r *replay) ghost(shot *shot, peer string, leftAt int) string {
	s := r.sessions[peer]
	switch {
	case s == nil:
		return "which is nobody"
	case shot.startedAt == 0:
		return "" // it is as of some time before
	case leftAt > 0 && leftAt < shot.startedAt:
		return "a seat of " + s.client.name + " that was left"
	case r.opts.GhostAfter > 0 && s.until > 0:
		if since := r.records[shot.startedAt].at.Sub(r.records[s.until].at); since > r.opts.GhostAfter {
			return fmt.Sprintf("a session of %s that ended %v before", s.client.name, since)
		}
	}
	return ""
}
