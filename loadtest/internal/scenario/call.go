package scenario

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/pace"
)

// caller makes calls: what all of a run have in common.
type caller struct {
	*run
	offer, answer, candidate *driver.Payload
	done, messages           *measure.Counter
	setup, hop               *measure.Histogram
}

func (r *run) newCaller() *caller {
	return &caller{
		run:   r,
		offer: driver.NewDescription("offer", r.s.SDPBytes), answer: driver.NewDescription("answer", r.s.SDPBytes),
		candidate: driver.NewCandidate(),
		done:      r.rec.Counter("calls"), messages: r.rec.Counter("messages"),
		setup: r.rec.Histogram("call_setup"), hop: r.rec.Histogram("hop"),
	}
}

// party is one end of calls, one call at a time.
type party struct {
	c    *caller
	peer driver.Peer
	call atomic.Pointer[call]
	side int // its place in its calls
}

// call is one set-up: the first party offers when the second has come, the second answers, and both send candidates.
type call struct {
	c       *caller
	room    string
	parties [2]*party
	streams [2]uint32 // what each party sends
	inboxes [2]*oracle.Inbox
	numbers [2]int64 // the last number that each party saw; owned by its reader
	arrived atomic.Bool
	left    atomic.Int64 // messages that are still to come
	done    chan struct{}
}

func (c *caller) party(ctx context.Context, n, side int) (*party, error) {
	p := &party{c: c, side: side}
	peer, err := c.connect(ctx, n, driver.Events{
		Message: p.message, Arrived: p.arrived, Refused: c.rec.Fail, Lost: c.rec.Fail,
	})
	if err != nil {
		return nil, err
	}
	p.peer = peer
	return p, nil
}

// calls is the scenario.
func (r *run) calls(ctx context.Context) error {
	c := r.newCaller()
	if r.s.Fresh {
		return r.measureFor(ctx, r.s.Workers, pace.Constant(r.s.Rate), c.freshCall)
	}
	pairs := r.s.Clients / 2
	free := make(chan [2]*party, pairs)
	peers := make([]driver.Peer, 2*pairs)
	defer func() { closeAll(peers) }()
	err := r.connectAll(ctx, pairs, func(ctx context.Context, i int) error {
		var pair [2]*party
		for side := range pair {
			p, err := c.party(ctx, c.nodeOf(i, side), side)
			if err != nil {
				return err
			}
			pair[side], peers[2*i+side] = p, p.peer
		}
		free <- pair
		return nil
	})
	if err != nil {
		return err
	}
	return r.measureFor(ctx, min(r.s.Workers, pairs), pace.Constant(r.s.Rate), func(ctx context.Context, _ int, intended time.Time) {
		var pair [2]*party
		select {
		case pair = <-free:
		case <-time.After(r.s.Patience):
			r.rec.Fail(fmt.Errorf("no pair of parties was free for %v", r.s.Patience))
			return
		}
		c.carryOut(context.WithoutCancel(ctx), pair, intended)
		free <- pair
	})
}

// nodeOf gives the two parties of pair n different gateways, each pair of gateways as often as the others.
func (c *caller) nodeOf(n, side int) int {
	nodes := len(c.opts.Gateways)
	if nodes == 1 {
		return n
	}
	return n + side*(1+n/nodes%(nodes-1))
}

// freshCall connects both parties first and closes them afterwards.
func (c *caller) freshCall(ctx context.Context, n int, intended time.Time) {
	ctx = context.WithoutCancel(ctx)
	var pair [2]*party
	for side := range pair {
		p, err := c.party(ctx, c.nodeOf(n, side), side)
		if err != nil {
			c.rec.Fail(err)
			if side == 1 {
				_ = pair[0].peer.Close() // the call has failed already
			}
			return
		}
		pair[side] = p
	}
	c.carryOut(ctx, pair, intended)
	for _, p := range pair {
		if err := p.peer.Close(); err != nil {
			c.rec.Fail(err)
		}
	}
}

// carryOut sets one call up and ends it.
func (c *caller) carryOut(ctx context.Context, pair [2]*party, intended time.Time) {
	k := &call{c: c, room: c.room(), parties: pair, done: make(chan struct{})}
	perParty := 1 + c.s.Candidates/2
	k.left.Store(int64(2 * perParty))
	for side := range pair {
		k.streams[side] = c.stream.Add(1)
		k.inboxes[side] = c.orc.Inbox(k.room)
	}
	for _, p := range pair {
		p.call.Store(k) // whole: what is left of an earlier call may come at any time
	}
	defer func() {
		for _, p := range pair {
			p.call.Store(nil)
		}
	}()
	for side, p := range pair {
		if err := p.peer.Join(ctx, k.room); err != nil {
			c.rec.Fail(fmt.Errorf("join: %w", err))
			if side == 1 {
				k.leave(ctx, pair[0])
			}
			return
		}
		c.orc.Seated(k.room, c.s.Capacity)
	}
	timer := time.NewTimer(c.s.Patience)
	defer timer.Stop()
	select {
	case <-k.done:
		c.done.Add(1)
		c.setup.Record(time.Since(intended))
	case <-timer.C:
		c.rec.Fail(fmt.Errorf("a call was not set up within %v", c.s.Patience))
		for _, inbox := range k.inboxes {
			inbox.End(uint32(perParty))
		}
	}
	for _, p := range pair {
		k.leave(ctx, p)
	}
}

func (k *call) leave(ctx context.Context, p *party) {
	k.c.orc.Leaving(k.room)
	if err := p.peer.Leave(ctx, k.room); err != nil {
		k.c.rec.Fail(fmt.Errorf("leave: %w", err))
	}
}

// arrived has the first party offer.
func (p *party) arrived(room, id string) {
	k := p.call.Load()
	if k == nil || room != k.room || p.side != 0 {
		return
	}
	if id != k.parties[1].peer.ID() {
		p.c.orc.Breach(oracle.Stranger, "room %s: %s has come, who was not to", room, id)
		return
	}
	if k.arrived.Swap(true) {
		p.c.orc.Breach(oracle.Double, "room %s: the second party has come twice", room)
		return
	}
	k.send(0, p.c.offer)
}

// message takes one of the other party's messages.
func (p *party) message(m driver.Message) {
	k := p.call.Load()
	if k == nil || m.Stamp.Stream != k.streams[1-p.side] {
		p.c.orc.Breach(oracle.Stranger, "message %d of stream %d came to somebody else, or after its call", m.Stamp.Seq, m.Stamp.Stream)
		return
	}
	p.c.hop.Record(m.Stamp.Age())
	p.c.messages.Add(1)
	if m.Number > 0 {
		if m.Number <= k.numbers[p.side] {
			p.c.orc.Breach(oracle.Order, "room %s: number %d came after %d", k.room, m.Number, k.numbers[p.side])
		}
		k.numbers[p.side] = m.Number
	}
	if !k.inboxes[p.side].Got(m.Stamp.Seq) {
		return
	}
	if p.side == 1 && m.Stamp.Seq == 0 {
		k.send(1, p.c.answer)
	}
	if k.left.Add(-1) == 0 {
		close(k.done)
	}
}

// send sends a party's description and then its candidates: at once, or with a gap before each.
func (k *call) send(side int, description *driver.Payload) {
	k.sendOne(side, 0, description)
	if k.c.s.Gap == 0 {
		for i := range k.c.s.Candidates / 2 {
			k.sendOne(side, i+1, k.c.candidate)
		}
		return
	}
	k.trickle(side, 1)
}

// trickle sends candidate n after the gap, and so on. It ends with the last one.
func (k *call) trickle(side, n int) {
	if n > k.c.s.Candidates/2 {
		return
	}
	time.AfterFunc(k.c.s.Gap, func() {
		k.sendOne(side, n, k.c.candidate)
		k.trickle(side, n+1)
	})
}

func (k *call) sendOne(side, n int, payload *driver.Payload) {
	from, to := k.parties[side].peer, k.parties[1-side].peer
	stamp := driver.Stamp{Stream: k.streams[side], Seq: uint32(n), Sent: time.Now().UnixNano()}
	buffer := payloads.Get().(*[]byte)
	*buffer = payload.Append((*buffer)[:0], stamp)
	if err := from.Send(k.room, to.ID(), *buffer); err != nil {
		k.c.rec.Fail(fmt.Errorf("send: %w", err))
	}
	payloads.Put(buffer)
}
