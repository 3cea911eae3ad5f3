package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
)

// gathering is a small room for a short time, in which everybody may say something to the others. Guests are added before
// anybody speaks.
type gathering struct {
	p      *platform
	room   string
	ledger *oracle.Ledger
	guests []*guest
}

// guest is one member. What it says itself may come back to it or not, as the protocol has it, and is not judged.
type guest struct {
	g      *gathering
	index  int
	peer   driver.Peer
	stream uint32
	said   uint32 // owned by the one who speaks for it

	mu      sync.Mutex
	inboxes map[uint32]*oracle.Inbox // by the others' streams; guarded by mu
	met     map[string]bool          // the others of whose coming it was told, by id; guarded by mu
	number  int64                    // guarded by mu
}

func (p *platform) gather() *gathering {
	room := p.room()
	return &gathering{p: p, room: room, ledger: p.orc.Ledger(room, 256)}
}

// add connects a guest by a gateway and takes its seat.
func (g *gathering) add(ctx context.Context, endpoint int) (*guest, error) {
	who := &guest{g: g, index: len(g.guests), stream: g.p.stream.Add(1), inboxes: map[uint32]*oracle.Inbox{}, met: map[string]bool{}}
	for _, other := range g.guests {
		who.hear(other)
		other.hear(who)
	}
	if err := g.rejoin(ctx, who, endpoint); err != nil {
		return nil, err
	}
	if err := g.introduce(ctx, who); err != nil {
		return nil, err
	}
	g.guests = append(g.guests, who)
	return who, nil
}

// introduce waits until the others were told that a guest has come. Until then their pages speak to those whom they know:
// in a call, to the only other one, who may have gone.
func (g *gathering) introduce(ctx context.Context, who *guest) error {
	id := who.peer.ID()
	for _, other := range g.guests {
		if other != who && !await(ctx, g.p.s.Patience, func() bool { return other.knows(id) }) {
			return fmt.Errorf("a guest was not told within %v that another one has come", g.p.s.Patience)
		}
	}
	return nil
}

func (who *guest) knows(id string) bool {
	who.mu.Lock()
	defer who.mu.Unlock()
	return who.met[id]
}

func (who *guest) arrived(_, id string) {
	who.mu.Lock()
	defer who.mu.Unlock()
	who.met[id] = true
}

// hear expects what another guest says.
func (who *guest) hear(other *guest) {
	who.mu.Lock()
	defer who.mu.Unlock()
	who.inboxes[other.stream] = who.g.p.orc.Inbox(fmt.Sprintf("%s guest %d from %d", who.g.room, who.index, other.index))
}

// rejoin connects a guest that has no connection and takes a seat for it.
func (g *gathering) rejoin(ctx context.Context, who *guest, endpoint int) error {
	if who.peer != nil {
		g.p.orc.Leaving(g.room) // it was lost with the connection
	}
	peer, err := g.p.connect(ctx, endpoint, driver.Events{
		Message: who.message, Arrived: who.arrived, Refused: g.p.rec.Fail, Lost: g.p.rec.Fail,
	})
	if err != nil {
		return err
	}
	who.peer = peer
	if err := peer.Join(ctx, g.room); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	g.p.orc.Seated(g.room, g.p.s.Capacity)
	return nil
}

func (who *guest) say() error {
	stamp := driver.Stamp{Stream: who.stream, Seq: who.said, Sent: time.Now().UnixNano()}
	who.said++
	if err := who.peer.Broadcast(who.g.room, who.g.p.payload.Append(nil, stamp)); err != nil {
		return fmt.Errorf("say: %w", err)
	}
	return nil
}

func (who *guest) message(m driver.Message) {
	if m.Stamp.Stream == who.stream {
		return
	}
	p := who.g.p
	p.hop.Record(m.Stamp.Age())
	p.deliveries.Add(1)
	who.mu.Lock()
	defer who.mu.Unlock()
	inbox := who.inboxes[m.Stamp.Stream]
	if inbox == nil {
		p.orc.Breach(oracle.Stranger, "room %s: a message of stream %d", who.g.room, m.Stamp.Stream)
		return
	}
	if m.Number > 0 {
		who.number = who.g.ledger.Numbered(who.number, m.Number, m.Stamp.Stream, m.Stamp.Seq)
	}
	inbox.Got(m.Stamp.Seq)
}

// settle waits until everybody has heard everything, and judges.
func (g *gathering) settle(ctx context.Context) {
	each := func(do func(*oracle.Inbox, uint32) bool) bool {
		for _, who := range g.guests {
			for _, other := range g.guests {
				who.mu.Lock()
				inbox := who.inboxes[other.stream]
				who.mu.Unlock()
				if inbox != nil && !do(inbox, other.said) {
					return false
				}
			}
		}
		return true
	}
	await(ctx, g.p.s.Patience, func() bool {
		return each(func(inbox *oracle.Inbox, said uint32) bool { return inbox.Count() >= int64(said) })
	})
	each(func(inbox *oracle.Inbox, said uint32) bool {
		inbox.End(said)
		return true
	})
}

// close has everybody depart.
func (g *gathering) close() {
	peers := make([]driver.Peer, 0, len(g.guests))
	for _, who := range g.guests {
		peers = append(peers, who.peer)
	}
	closeAll(peers)
}
