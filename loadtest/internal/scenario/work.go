package scenario

import (
	"context"
	"sync/atomic"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
)

// Work is what clients did and got while it was measured, of whichever scenario: what servers use follows from it.
type Work struct {
	Connects   int64 `json:"connects"` // resumed sessions included
	Joins      int64 `json:"joins"`
	Direct     int64 `json:"direct"`     // messages for one peer
	Broadcasts int64 `json:"broadcasts"` // messages for everybody in a room
	Received   int64 `json:"received"`   // messages of both kinds, by their receivers

	Open          float64 `json:"open"`           // connections, the mean of the beginning and the end
	SentBytes     int64   `json:"sent_bytes"`     // by clients, as TCP carries them
	ReceivedBytes int64   `json:"received_bytes"` // by clients
}

// worker is a driver whose peers count their work. None of it is of a protocol.
type worker struct {
	driver.Driver
	connects, joins, direct, broadcasts, received, open atomic.Int64
	traffic                                             driver.Traffic
}

// tally is the work so far.
type tally struct{ connects, joins, direct, broadcasts, received, open, sentBytes, receivedBytes int64 }

func (w *worker) tally() tally {
	return tally{
		connects: w.connects.Load(), joins: w.joins.Load(), direct: w.direct.Load(), broadcasts: w.broadcasts.Load(),
		received: w.received.Load(), open: w.open.Load(), sentBytes: w.traffic.Sent.Load(), receivedBytes: w.traffic.Received.Load(),
	}
}

// workBetween is what was done between two moments.
func workBetween(begin, end tally) Work {
	return Work{
		Connects: end.connects - begin.connects, Joins: end.joins - begin.joins, Direct: end.direct - begin.direct,
		Broadcasts: end.broadcasts - begin.broadcasts, Received: end.received - begin.received,
		Open:      float64(begin.open+end.open) / 2,
		SentBytes: end.sentBytes - begin.sentBytes, ReceivedBytes: end.receivedBytes - begin.receivedBytes,
	}
}

func (w *worker) Connect(ctx context.Context, to driver.Endpoint, events driver.Events) (driver.Peer, error) {
	message := events.Message
	events.Message = func(m driver.Message) {
		w.received.Add(1)
		message(m)
	}
	peer, err := w.Driver.Connect(ctx, to, events)
	if err != nil {
		return nil, err
	}
	return w.peer(peer), nil
}

// peer counts a peer that has just been connected. It can resume if the protocol's own can.
func (w *worker) peer(peer driver.Peer) driver.Peer {
	w.connects.Add(1)
	w.open.Add(1)
	counted := &workerPeer{Peer: peer, w: w}
	if resumer, ok := peer.(driver.Resumer); ok {
		return &workerResumer{workerPeer: counted, Resumer: resumer}
	}
	return counted
}

type workerPeer struct {
	driver.Peer
	w     *worker
	ended atomic.Bool
}

type workerResumer struct {
	*workerPeer
	driver.Resumer
}

func (p *workerPeer) Join(ctx context.Context, room string) error {
	err := p.Peer.Join(ctx, room)
	if err == nil {
		p.w.joins.Add(1)
	}
	return err
}

func (p *workerPeer) Send(room, to string, payload []byte) error {
	p.w.direct.Add(1)
	return p.Peer.Send(room, to, payload)
}

func (p *workerPeer) Broadcast(room string, payload []byte) error {
	p.w.broadcasts.Add(1)
	return p.Peer.Broadcast(room, payload)
}

func (p *workerPeer) Close() error {
	p.end()
	return p.Peer.Close()
}

func (p *workerPeer) Cut() {
	p.end()
	p.Peer.Cut()
}

func (p *workerPeer) end() {
	if !p.ended.Swap(true) {
		p.w.open.Add(-1)
	}
}

func (p *workerResumer) Resume(ctx context.Context, to driver.Endpoint) (driver.Peer, error) {
	peer, err := p.Resumer.Resume(ctx, to)
	if err != nil {
		return nil, err
	}
	return p.w.peer(peer), nil
}
