package oracle

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// replay goes through a history once, in order: it cuts what each client saw into stays, and checks what can be checked on
// the way.
type replay struct {
	opts    Options
	records []record
	at      int // place of the record that is looked at

	clients  map[*Client]*clientState
	sessions map[string]*sessionState // by id
	messages map[string]*fate         // by id
	looks    map[*Look]int            // place of the record that began it
	stays    []*stay
	waiting  []*wait
	shots    []shot
	epochs   map[epochName]*epoch
	forks    []fork
	findings []Finding
	known    map[string]bool // findings, to tell each once
}

// clientState is a client as the history has it so far.
type clientState struct {
	*Client
	session *sessionState
	rooms   map[string]*place
	ended   bool
}

// sessionState is one session; until is the place of the record that ended it, 0 if none did.
type sessionState struct {
	id     string
	client *Client
	until  int
}

// place is how a client stands with a room.
type place struct {
	stay     *stay // nil without a seat
	wait     *wait // nil for who does not wait for one
	joining  int   // joins without an outcome
	joinedAt int   // place of the last record of a join's beginning
	leaving  bool  // a leave has no outcome, or an unknown one
	unsure   bool  // a join's outcome is unknown: it may have a seat
	had      bool  // it had a seat that it has not given up: a new session takes it again
	lost     bool  // a leave was told that there was no seat: a closed event may follow
	undated  bool  // the connection was lost while a join was under way, or an earlier one had no answer: nobody knows when it took effect
	pending  []int // with Options.Blocking: records of events that came while a join was under way
}

// stay is a client's time in a room between two snapshots: it has one epoch, and saw all that was for it from first to last.
type stay struct {
	client  *Client
	session string
	room    string
	epoch   *epoch
	order   int64 // of the seat
	first   int64 // number of the snapshot
	last    int64 // of the last event
	vouched int64 // of the last snapshot that Synced told of
	until   int64 // horizon when it began to leave: nobody knows when it is out; 0 before
	members map[string]member
	seats   int // that the room has
	base    *wire.Snapshot
	events  []record
	leftAt  int // place of the record that its leave was acknowledged
}

// horizon is up to where it must have seen everything.
func (s *stay) horizon() int64 {
	if s.until > 0 {
		return s.until
	}
	return max(s.last, s.vouched)
}

// fork is a number that stands for two events.
type fork struct {
	stay *stay
	seq  int64
	text string
}

// fate is what became of a message.
type fate struct {
	*Message
	sentAt    int
	outcome   kind // sent as long as there is none; acked; failed
	refused   bool
	outcomeAt int
	seq       int64              // as acknowledged; 0 is unknown
	at        *fact              // where it was seen, or must have been
	got       map[*Client]*epoch // nil for one that was not known
}

// shot is a snapshot that somebody got.
type shot struct {
	*wire.Snapshot
	client    *Client
	startedAt int // place of the record that asked for it; 0 if nobody did
	place     int
	vouches   bool // it was asked for at the end
}

// Check judges the history so far.
func (o *Oracle) Check() []Finding {
	o.mu.Lock()
	records := o.records[:len(o.records):len(o.records)]
	o.mu.Unlock()
	r := &replay{
		opts: o.opts, records: records, clients: map[*Client]*clientState{}, sessions: map[string]*sessionState{},
		messages: map[string]*fate{}, looks: map[*Look]int{}, epochs: map[epochName]*epoch{}, known: map[string]bool{},
	}
	for r.at = range records {
		r.step(&records[r.at])
	}
	r.bind()
	r.checkForks()
	r.checkLost()
	r.checkAnswers()
	r.checkCapacity()
	r.checkViews()
	r.checkGhosts()
	r.checkQueues()
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.String(), b.String()))
	})
	return r.findings
}

func (r *replay) find(f Finding) {
	if text := f.String(); !r.known[text] {
		r.known[text] = true
		r.findings = append(r.findings, f)
	}
}

// breach is a finding about a stay.
func (r *replay) breach(rule string, s *stay, seq int64, format string, args ...any) {
	r.find(Finding{
		Rule: rule, Room: s.room, Epoch: s.epoch.id, Seq: seq, Client: s.client.name + " (" + s.session + ")",
		Text: fmt.Sprintf(format, args...),
	})
}

// oddity is a finding about a client without a seat.
func (r *replay) oddity(rule string, rec *record, format string, args ...any) {
	r.find(Finding{Rule: rule, Room: rec.room, Seq: rec.seq, Client: rec.client.name, Text: fmt.Sprintf(format, args...)})
}

func (r *replay) client(c *Client) *clientState {
	state := r.clients[c]
	if state == nil {
		state = &clientState{Client: c, session: &sessionState{client: c}, rooms: map[string]*place{}}
		r.clients[c] = state
	}
	return state
}

func (c *clientState) place(room string) *place {
	p := c.rooms[room]
	if p == nil {
		p = new(place)
		c.rooms[room] = p
	}
	return p
}

// without is a place whose seat is no more; had says that the client may take it again by itself.
func (p *place) without(had bool) place {
	p.endWait()
	return place{joining: p.joining, joinedAt: p.joinedAt, undated: p.undated, had: had}
}

func (r *replay) step(rec *record) {
	c := r.client(rec.client)
	p := c.place(rec.room)
	switch rec.kind {
	case session:
		r.newSession(c, rec.text)
	case gone:
		*p = p.without(p.stay != nil || p.wait != nil || p.had)
	case ending:
		c.session.until = r.at
		for _, p := range c.rooms {
			if p.wait != nil {
				p.wait.over = true // what was under way may still come
			}
		}
	case shaken:
		for _, p := range c.rooms {
			p.undated = p.joining > 0
			if p.wait != nil {
				p.wait.shaken = true
			}
		}
	case ended:
		c.session.until, c.ended = r.at, true
		for _, p := range c.rooms {
			*p = place{}
		}
	case joinStarted:
		p.joining++
		p.joinedAt, p.undated = r.at, p.unsure
	case joinAcked:
		p.joining--
		r.joined(c, p, rec)
	case joinFailed:
		p.joining--
		p.unsure = p.unsure || !rec.refuse
		p.pending = nil
	case leaveStarted:
		p.leaving = true
		if p.stay != nil && p.stay.until == 0 {
			p.stay.until = p.stay.horizon()
		}
	case leaveAcked:
		if p.stay != nil {
			p.stay.leftAt = r.at
		}
		*p = p.without(false)
	case leaveFailed:
		if rec.refuse {
			*p = p.without(false)
			p.lost = true
		}
	case event:
		r.event(c, p, rec)
	case lookStarted:
		r.looks[rec.look] = r.at
	case looked:
		r.saw(rec, r.looks[rec.look])
	case synced, unseated:
		r.synced(c, p, rec)
	default:
		r.message(rec)
	}
}

func (r *replay) newSession(c *clientState, id string) {
	if c.session.id == id {
		return // goes on
	}
	c.session.until = r.at
	c.session = &sessionState{id: id, client: c.Client}
	r.sessions[id] = c.session
	for _, p := range c.rooms {
		*p = p.without(p.stay != nil || p.wait != nil || p.had)
	}
}

func (r *replay) message(rec *record) {
	switch rec.kind {
	case sent:
		r.messages[rec.msg.ID] = &fate{Message: rec.msg, sentAt: r.at, got: map[*Client]*epoch{}}
	case acked, failed:
		f := r.messages[rec.msg.ID]
		f.outcome, f.refused, f.seq, f.outcomeAt = rec.kind, rec.refuse, rec.seq, r.at
	}
}

// joined is the answer to a join: a new stay, or the one that there is.
func (r *replay) joined(c *clientState, p *place, rec *record) {
	pending, leaving := p.pending, p.leaving
	p.pending, p.unsure, p.leaving, p.lost = nil, false, false, false
	if now := rec.shot.Waiting; now != nil {
		if p.stay != nil {
			r.breach(RuleSeats, p.stay, 0, "its seat was gone when it joined again, and it was not told")
			p.stay = nil
		}
		r.waits(c, p, rec, now, rec.shot)
		for _, i := range pending {
			r.waitingEvent(c, p, &r.records[i])
		}
		return
	}
	r.saw(rec, p.joinedAt)
	order, ok := orderIn(rec.shot, c.session.id)
	if !ok {
		r.oddity(RuleSeats, rec, "a join was answered without a seat of its own")
	}
	switch {
	case p.stay == nil:
	case p.stay.epoch.id == rec.shot.Epoch && p.stay.order == order:
		return
	case !leaving:
		r.breach(RuleSeats, p.stay, 0, "its seat was gone when it joined again, and it was not told")
	}
	r.begin(c, p, rec, order)
	if !r.opts.Blocking {
		return
	}
	for _, i := range pending { // what is newer came after the answer, which its caller was slow to note
		early := &r.records[i]
		switch body := early.body.(type) {
		case *wire.Closed:
			r.closed(c, p, early, body)
		default:
			if early.seq > rec.shot.Seq && p.stay != nil {
				r.deliver(p.stay, early)
			}
		}
	}
}

func orderIn(shot *wire.Snapshot, id string) (int64, bool) {
	for i := range shot.Peers {
		if shot.Peers[i].ID == id {
			return shot.Peers[i].Order, true
		}
	}
	return 0, false
}

// begin starts a stay with a snapshot.
func (r *replay) begin(c *clientState, p *place, rec *record, order int64) {
	s := &stay{
		client: c.Client, session: c.session.id, room: rec.room, epoch: r.epoch(rec.room, rec.shot.Epoch), order: order,
		first: rec.shot.Seq, last: rec.shot.Seq, seats: rec.shot.Capacity, base: rec.shot, members: membersOf(rec.shot),
	}
	if p.leaving {
		s.until = s.first
	}
	if old := p.stay; old != nil && old.epoch == s.epoch && s.first < old.last {
		r.breach(RuleOrder, old, s.first, "a snapshot goes back behind seq %d, which it has seen", old.last)
	}
	p.stay, p.had = s, true
	p.seatedAt(rec.shot)
	r.stays = append(r.stays, s)
}

// saw notes a snapshot.
func (r *replay) saw(rec *record, startedAt int) {
	e := r.epoch(rec.room, rec.shot.Epoch)
	if e.firstAt == 0 {
		e.firstAt = r.at
	}
	e.aliveAt = max(e.aliveAt, startedAt)
	e.capacity = max(e.capacity, rec.shot.Capacity)
	r.shots = append(r.shots, shot{Snapshot: rec.shot, client: rec.client, startedAt: startedAt, place: r.at})
	if rec.shot.Count != len(rec.shot.Peers) {
		r.oddity(RuleSeats, rec, "a snapshot counts %d peers and lists %d", rec.shot.Count, len(rec.shot.Peers))
	}
}

// synced is a snapshot that vouches for what was seen, or the news that there is no seat.
func (r *replay) synced(c *clientState, p *place, rec *record) {
	if rec.kind == unseated {
		if p.stay != nil && !p.leaving {
			r.breach(RuleSeats, p.stay, 0, "its seat is gone without a word: %s", rec.text)
		}
		return
	}
	r.saw(rec, r.looks[rec.look])
	r.shots[len(r.shots)-1].vouches = true
	switch {
	case p.stay == nil || p.leaving:
	case p.stay.epoch.id != rec.shot.Epoch:
		r.breach(RuleOrder, p.stay, p.stay.last, "the room is in epoch %s, of which it was not told", rec.shot.Epoch)
	default:
		p.stay.vouched = max(p.stay.vouched, rec.shot.Seq)
		if order, ok := orderIn(rec.shot, c.session.id); !ok || order != p.stay.order {
			r.breach(RuleSeats, p.stay, rec.shot.Seq, "its seat has order %d in a snapshot, and was given order %d", order, p.stay.order)
		}
	}
}

// event is one that was delivered.
func (r *replay) event(c *clientState, p *place, rec *record) {
	if c.ended {
		r.oddity(RuleStranger, rec, "it got %s after its end", describe(rec))
		return
	}
	if r.opts.Blocking && p.stay == nil && p.joining > 0 {
		r.delivered(c, p, rec)
		p.pending = append(p.pending, r.at)
		return
	}
	if r.waitingEvent(c, p, rec) {
		return
	}
	switch body := rec.body.(type) {
	case *wire.Resync:
		r.resync(c, p, rec)
		return
	case *wire.Closed:
		r.closed(c, p, rec, body)
		return
	}
	r.delivered(c, p, rec)
	switch {
	case p.stay != nil:
		r.deliver(p.stay, rec)
	case p.wait != nil:
		r.oddity(RuleStranger, rec, "it got %s, and waits for a seat", describe(rec))
	case p.joining == 0 && !p.unsure:
		r.oddity(RuleStranger, rec, "it got %s without a seat", describe(rec))
	}
}

func (r *replay) resync(c *clientState, p *place, rec *record) {
	r.saw(rec, 0)
	order, ok := orderIn(rec.shot, c.session.id)
	switch {
	case p.stay == nil && p.wait == nil && p.joining == 0 && !p.unsure && !p.had:
		r.oddity(RuleStranger, rec, "it got a resync without a seat")
		return
	case !ok:
		r.oddity(RuleSeats, rec, "a resync in epoch %s does not list its own seat", rec.shot.Epoch)
	}
	r.begin(c, p, rec, order)
}

// closed is the end of the client's own seat; without a number it comes from the gateway itself, or the client.
func (r *replay) closed(c *clientState, p *place, rec *record, body *wire.Closed) {
	switch {
	case p.stay != nil:
		if rec.seq > 0 && r.rises(p.stay, rec, "left "+c.session.id) {
			p.stay.last = rec.seq
			p.stay.events = append(p.stay.events, *rec)
			r.fact(p.stay, rec, fact{what: "left " + c.session.id, subject: c.session.id})
		}
	case p.wait != nil:
	case p.joining == 0 && !p.unsure && !p.lost && !p.had:
		r.oddity(RuleStranger, rec, "its seat was closed (%s), and it had none", body.Reason)
	}
	*p = p.without(false)
}

// delivered checks a message by itself, whatever the seat.
func (r *replay) delivered(c *clientState, p *place, rec *record) {
	var from string
	switch body := rec.body.(type) {
	case *wire.Message:
		from = body.From
	case *wire.Signaled:
		from = body.From
	default:
		return
	}
	f := r.messages[rec.text]
	if f == nil {
		r.oddity(RuleStranger, rec, "it got a message of %s that nobody sent", from)
		return
	}
	_, directed := rec.body.(*wire.Signaled)
	switch {
	case f.room != rec.room:
		r.oddity(RuleStranger, rec, "it got %s, which was sent to room %s", f.what(), f.room)
	case r.sessions[from] == nil || r.sessions[from].client != f.client:
		r.oddity(RuleStranger, rec, "it got %s of %s from %s", f.what(), f.client.name, from)
	case directed != (f.kind.to != ""), directed && f.kind.to != c.session.id:
		r.oddity(RuleStranger, rec, "it got %s, which was meant for %q", f.what(), f.kind.to)
	case from == c.session.id && !f.kind.echo:
		r.oddity(RuleStranger, rec, "it got its own %s without asking for an echo", f.what())
	}
	var now *epoch
	if p.stay != nil {
		now = p.stay.epoch
	}
	if before, again := f.got[c.Client]; again && !r.anew(before, now) {
		r.oddity(RuleTwice, rec, "it got %s a second time", f.what())
	}
	f.got[c.Client] = now
}

// anew reports whether what was in one epoch may be again in the other.
func (r *replay) anew(before, now *epoch) bool { return r.opts.TwiceAfterLoss && before != now }
