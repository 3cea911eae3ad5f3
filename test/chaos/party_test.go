package chaos

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/oracle"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// requestTimeout is how long a client waits for one reply, the time to come back included.
	requestTimeout = 10 * time.Second
	// retryPause is how long an application waits before it does again what failed for the time being.
	retryPause = 200 * time.Millisecond
)

// Sizes of payloads, as browsers make them.
const (
	descriptionBytes = 2500
	candidateBytes   = 250
	chatBytes        = 120
)

// partyOptions say what kind of client it is.
type partyOptions struct {
	dial     dialFunc // the balancer's if nil
	fleeting bool     // it cannot be resumed
	token    string   // else it is a guest of an app
	app      string   // that; the demo app if ""
	backoff  client.Backoff
	slow     func() // called with every event
}

// party is one scripted client: an application that has a seat in one room at a time.
type party struct {
	c      *cluster
	name   string
	home   string // the room to be in
	record *oracle.Client
	wake   chan struct{} // gets a token with everything that happens
	saying sync.Mutex    // held while a message is sent: the record has them in their order

	mu      sync.Mutex
	client  *client.Client    // guarded by mu; nil before the first connection
	room    string            // guarded by mu; "" without a seat
	others  map[string]bool   // guarded by mu; the other peers of the room, and whether they are away
	gone    map[string]bool   // guarded by mu; peers that have left since the last join began
	got     map[string]bool   // guarded by mu; ids of the messages that came
	toldOf  map[string][]told // guarded by mu; by peer
	arrived time.Time         // guarded by mu; when the connection that it has began
	lostAt  time.Time         // guarded by mu; when the connection was lost, while it is
	closing bool              // guarded by mu
}

// told is what a client heard of another's seat.
type told struct {
	what string // away, back, or the reason of its leaving
	at   time.Time
}

// dialParty connects a client. It tries again, as applications do at their start.
func (c *cluster) dialParty(ctx context.Context, name string, o partyOptions) (*party, error) {
	p := &party{
		c: c, name: name, record: c.oracle.Client(name), wake: make(chan struct{}, 1),
		others: make(map[string]bool), gone: make(map[string]bool), got: make(map[string]bool), toldOf: make(map[string][]told),
	}
	if o.dial == nil {
		o.dial = c.balancer.dial
	}
	opts := client.Options{
		URL: "ws://gateway.invalid", NetDialContext: o.dial, Reconnect: true, Backoff: o.backoff,
		OnEvent: func(e wire.Event) {
			if o.slow != nil {
				o.slow()
			}
			p.happened(e)
		},
		OnState: p.changed, OnResumed: p.moved, NoResume: o.fleeting,
	}
	if o.token == "" {
		opts.App, opts.Name = cmp.Or(o.app, "demo"), name
	} else {
		opts.Token = o.token
	}
	for {
		session, err := client.Dial(ctx, opts)
		if err == nil {
			p.mu.Lock()
			p.client = session
			p.mu.Unlock()
			p.record.Session(session.Welcome().Session)
			c.mu.Lock()
			c.parties = append(c.parties, p)
			c.mu.Unlock()
			return p, nil
		}
		if !client.Retryable(err) || !pause(ctx, retryPause) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// session is the client's id, which is its peer id in every room.
func (p *party) session() string { return p.conn().Welcome().Session }

// node is the gateway that the client is connected to, or was last.
func (p *party) node() string { return p.conn().Welcome().Node }

func (p *party) conn() *client.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client
}

// changed gets the changes of the connection.
func (p *party) changed(state client.State) {
	p.mu.Lock()
	session, lostAt := p.client, p.lostAt
	if state == client.StateReconnecting {
		p.lostAt = time.Now()
	} else {
		p.arrived, p.lostAt = time.Now(), time.Time{}
	}
	p.mu.Unlock()
	if state == client.StateConnected && session != nil {
		welcome := session.Welcome()
		p.record.Session(welcome.Session)
		p.c.watch.back(p, welcome, lostAt)
	}
	if state == client.StateReconnecting {
		p.c.watch.lost(p)
	}
	p.nudge()
}

// moved gets the resumes. One that no change of the connection announced is a move away from a gateway that drains.
func (p *party) moved(*wire.Welcome) {
	p.mu.Lock()
	p.arrived = time.Now()
	p.mu.Unlock()
	p.nudge()
}

// arrivedAfter tells when the present connection began, if it was after a moment; else the zero time.
func (p *party) arrivedAfter(moment time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.arrived.Before(moment) || !p.lostAt.IsZero() {
		return time.Time{}
	}
	return p.arrived
}

func (p *party) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// happened gets the events.
func (p *party) happened(e wire.Event) {
	p.record.Event(e)
	p.c.watch.event(p, &e)
	p.mu.Lock()
	switch body := e.Body.(type) {
	case *wire.JoinedPeer:
		p.others[body.Peer.ID] = false
		delete(p.gone, body.Peer.ID)
	case *wire.LeftPeer:
		delete(p.others, body.Peer)
		p.gone[body.Peer] = true
		p.toldOf[body.Peer] = append(p.toldOf[body.Peer], told{body.Reason, time.Now()})
	case *wire.AwayPeer:
		p.others[body.Peer] = true
		p.toldOf[body.Peer] = append(p.toldOf[body.Peer], told{"away", time.Now()})
	case *wire.BackPeer:
		p.others[body.Peer] = false
		p.toldOf[body.Peer] = append(p.toldOf[body.Peer], told{"back", time.Now()})
	case *wire.Resync:
		p.see(&body.Snapshot)
	case *wire.Closed:
		p.room = ""
		clear(p.others)
	case *wire.Message:
		p.got[messageID(body.Data)] = true
	case *wire.Signaled:
		p.got[messageID(body.Data)] = true
	}
	p.mu.Unlock()
	p.nudge()
}

// messageID reads the id from a message of the oracle's; a stranger's has none, and the oracle says so.
func messageID(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte(`"m":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

// see takes a snapshot for what the room is now. The caller holds mu.
func (p *party) see(snapshot *wire.Snapshot) {
	clear(p.others)
	for i := range snapshot.Peers {
		if id := snapshot.Peers[i].ID; p.client == nil || id != p.client.Welcome().Session {
			p.others[id] = snapshot.Peers[i].Away
		}
	}
}

// tries does something until it succeeds, is refused for good, or ctx ends.
func (p *party) tries(ctx context.Context, do func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		err := do(attempt)
		cancel()
		p.c.watch.outcome(err)
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case !errors.Is(err, context.DeadlineExceeded) && !client.Retryable(err):
			return err
		}
		if !pause(ctx, retryPause) {
			return ctx.Err()
		}
	}
}

// join takes a seat.
func (p *party) join(ctx context.Context, room string) error {
	p.mu.Lock()
	clear(p.others)
	clear(p.gone)
	p.mu.Unlock()
	return p.tries(ctx, func(ctx context.Context) error {
		p.record.Joining(room)
		snapshot, err := p.conn().Join(ctx, wire.Join{Room: room, State: wire.Object{"mic": json.RawMessage("true")}})
		p.record.Joined(room, snapshot, err)
		if err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.room = room
		for i := range snapshot.Peers { // of events that have come since, more is known
			if id := snapshot.Peers[i].ID; id != p.client.Welcome().Session {
				if _, known := p.others[id]; !known && !p.gone[id] {
					p.others[id] = snapshot.Peers[i].Away
				}
			}
		}
		return nil
	})
}

// leave gives the seat up.
func (p *party) leave(ctx context.Context) error {
	room := p.seat()
	if room == "" {
		return nil
	}
	return p.tries(ctx, func(ctx context.Context) error {
		p.record.Leaving(room)
		_, err := p.conn().Leave(ctx, room)
		p.record.Left(room, err)
		if refusal, ok := errors.AsType[*wire.Error](err); ok && refusal.Code == wire.CodeNotMember {
			err = nil
		}
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.room = ""
			clear(p.others)
		}
		return err
	})
}

// seat is the room that the client has a seat in, or "".
func (p *party) seat() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.room
}

// other is one of the other peers, or "".
func (p *party) other() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.others {
		return id
	}
	return ""
}

// send sends one message once: to a peer, or to the room. What became of it after an error is not known.
func (p *party) send(ctx context.Context, to string, filling int) (id string, err error) {
	p.saying.Lock()
	defer p.saying.Unlock()
	room := p.seat()
	message := p.record.Sending(oracle.Send{Room: room, To: to})
	p.c.watch.sending(message.ID)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var done *wire.Done
	if to == "" {
		done, err = p.conn().Publish(ctx, wire.Publish{Room: room, Topic: "chat", Data: message.Data(filling)})
	} else {
		done, err = p.conn().Signal(ctx, wire.Signal{Room: room, To: to, Data: message.Data(filling)})
	}
	p.c.watch.outcome(err)
	if err != nil {
		message.Sent(0, err)
		return message.ID, err
	}
	p.c.watch.sent(message.ID)
	message.Sent(done.Seq, nil)
	return message.ID, nil
}

// setState changes the own state.
func (p *party) setState(ctx context.Context, key, value string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := p.conn().SetState(ctx, wire.SetState{Room: p.seat(), State: wire.Object{key: json.RawMessage(value)}})
	p.c.watch.outcome(err)
	return err
}

// has reports whether a message has come.
func (p *party) has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[id]
}

// heard gives what the client was told of a peer.
func (p *party) heard(peer string) []told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]told(nil), p.toldOf[peer]...)
}

// until waits until something is true of the client; it is looked at with everything that happens.
func (p *party) until(ctx context.Context, condition func() bool) error {
	for !condition() {
		select {
		case <-p.wake:
		case <-time.After(retryPause): // what is waited for may be another client's
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// abandon gives the client up that has lost its network for ever: it says no more, and nobody waits for it.
func (p *party) abandon() {
	p.mu.Lock()
	p.room = ""
	p.mu.Unlock()
	p.close()
}

// close ends the session for good.
func (p *party) close() {
	p.mu.Lock()
	closing := p.closing
	p.closing = true
	p.mu.Unlock()
	if closing {
		return
	}
	p.record.Ending()
	p.conn().Close()
	p.record.Ended()
}
