package scenario

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/pace"
)

// crowd is one room in which some send to everybody, themselves included.
type crowd struct {
	*run
	room       string
	payload    *driver.Payload
	ledger     *oracle.Ledger
	members    []*member
	publishers []*publisher
	byStream   sync.Map // stream to publisher

	deliveries, published *measure.Counter
	hop, toAll            *measure.Histogram
}

type member struct {
	crowd   *crowd
	peer    driver.Peer
	number  int64           // the last that it saw; owned by its reader
	inboxes []*oracle.Inbox // by publisher
}

// publisher is a member that sends. Its messages have a slot each until everybody has them.
type publisher struct {
	member *member
	index  int
	stream uint32
	mu     sync.Mutex
	next   uint32 // guarded by mu, and held while sending, so that the stream's order is that of its messages
	slots  []slot
}

// slot counts who has one message.
type slot struct {
	seq  atomic.Int64
	left atomic.Int64
	all  chan struct{}
}

// slots is for how many of its last messages a publisher knows who has them: more than may be under way.
const slots = 4096

// newCrowd makes a room of which the first members send.
func (r *run) newCrowd() *crowd {
	c := &crowd{
		run: r, room: r.room(), payload: driver.NewPayload(r.s.PayloadBytes, ""), members: make([]*member, r.s.Clients),
		deliveries: r.rec.Counter("deliveries"), published: r.rec.Counter("published"),
		hop: r.rec.Histogram("hop"), toAll: r.rec.Histogram("to_all"),
	}
	c.ledger = r.orc.Ledger(c.room, slots)
	for i := range r.s.Publishers {
		p := &publisher{index: i, stream: r.stream.Add(1), slots: make([]slot, slots)}
		for s := range p.slots {
			p.slots[s].all = make(chan struct{}, 1)
			p.slots[s].seq.Store(-1)
		}
		c.publishers = append(c.publishers, p)
		c.byStream.Store(p.stream, p)
	}
	for i := range c.members {
		m := &member{crowd: c}
		for range r.s.Publishers {
			m.inboxes = append(m.inboxes, r.orc.Inbox(fmt.Sprint(c.room, " member ", i)))
		}
		c.members[i] = m
	}
	return c
}

// enterRoom connects member i and takes its seat.
func (c *crowd) enterRoom(ctx context.Context, i int) error {
	m := c.members[i]
	peer, err := c.connect(ctx, i, driver.Events{
		Message: m.message, Arrived: func(string, string) {}, Refused: c.rec.Fail, Lost: c.rec.Fail,
	})
	if err != nil {
		return err
	}
	m.peer = peer
	if err := peer.Join(ctx, c.room); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	c.orc.Seated(c.room, c.s.Capacity)
	if i < len(c.publishers) {
		c.publishers[i].member = m
	}
	return nil
}

func (c *crowd) close() {
	peers := make([]driver.Peer, 0, len(c.members))
	for _, m := range c.members {
		peers = append(peers, m.peer)
	}
	closeAll(peers)
}

// fanout is the scenario.
func (r *run) fanout(ctx context.Context) error {
	c := r.newCrowd()
	defer c.close()
	err := r.connectAll(ctx, r.s.Clients, c.enterRoom)
	if err != nil {
		return err
	}
	window := r.s.Window
	if r.s.Rate > 0 {
		window = max(r.s.Most/r.s.Publishers, 1)
	}
	free := make(chan *publisher, window*len(c.publishers))
	for range window {
		for _, p := range c.publishers {
			free <- p
		}
	}
	err = r.measureFor(ctx, r.s.Publishers*window, pace.Constant(r.s.Rate), func(ctx context.Context, _ int, intended time.Time) {
		p := <-free
		c.publish(context.WithoutCancel(ctx), p, intended)
		free <- p
	})
	if err != nil {
		return err
	}
	c.settle(ctx)
	return nil
}

// publish sends one message and waits until everybody has it.
func (c *crowd) publish(ctx context.Context, p *publisher, intended time.Time) {
	p.mu.Lock()
	seq := p.next
	slot := &p.slots[int(seq)%len(p.slots)]
	if slot.seq.Load() >= 0 {
		p.mu.Unlock()
		c.rec.Fail(fmt.Errorf("a message is under way while %d later ones have come", len(p.slots)))
		return
	}
	p.next++
	slot.left.Store(int64(len(c.members)))
	slot.seq.Store(int64(seq))
	buffer := payloads.Get().(*[]byte)
	*buffer = c.payload.Append((*buffer)[:0], driver.Stamp{Stream: p.stream, Seq: seq, Sent: time.Now().UnixNano()})
	err := p.member.peer.Broadcast(c.room, *buffer)
	payloads.Put(buffer)
	p.mu.Unlock()
	if err != nil {
		c.rec.Fail(fmt.Errorf("publish: %w", err))
		return
	}
	timer := time.NewTimer(c.s.Patience)
	defer timer.Stop()
	select {
	case <-slot.all:
		c.published.Add(1)
		c.toAll.Record(time.Since(intended))
		slot.seq.Store(-1)
	case <-timer.C:
		c.rec.Fail(fmt.Errorf("a message did not reach everybody within %v", c.s.Patience))
	case <-ctx.Done():
	}
}

// message takes a message that a member got.
func (m *member) message(got driver.Message) {
	c := m.crowd
	found, ok := c.byStream.Load(got.Stamp.Stream)
	if !ok {
		c.orc.Breach(oracle.Stranger, "room %s: a message of stream %d", c.room, got.Stamp.Stream)
		return
	}
	p := found.(*publisher)
	c.deliveries.Add(1)
	c.hop.Record(got.Stamp.Age())
	if got.Number > 0 {
		m.number = c.ledger.Numbered(m.number, got.Number, got.Stamp.Stream, got.Stamp.Seq)
	}
	if !m.inboxes[p.index].Got(got.Stamp.Seq) {
		return
	}
	slot := &p.slots[int(got.Stamp.Seq)%len(p.slots)]
	if slot.seq.Load() == int64(got.Stamp.Seq) && slot.left.Add(-1) == 0 {
		slot.all <- struct{}{}
	}
}

// settle waits until everybody has everything, and judges.
func (c *crowd) settle(ctx context.Context) {
	complete := func() bool {
		for _, m := range c.members {
			for i, p := range c.publishers {
				if m.inboxes[i].Count() < int64(p.next) {
					return false
				}
			}
		}
		return true
	}
	await(ctx, c.s.Patience, complete)
	for _, m := range c.members {
		for i, p := range c.publishers {
			m.inboxes[i].End(p.next)
		}
	}
}
