package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/oracle"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// person is a client that does as the plan says, and tells the oracle what it does and sees.
type person struct {
	world *world
	plan  clientPlan
	told  *oracle.Client

	client *client.Client // nil before the first session; set before anything else uses it

	mu      sync.Mutex
	random  *rand.Rand // of the backoff; guarded by mu
	dials   int
	gone    bool // its machine has no network any more
	link    *memnet.Conn
	session string
	rooms   map[string]*seat
}

// seat is what a person believes of a room. Guarded by the person's mu.
type seat struct {
	joining, waiting, seated, leaving bool
	peers                             map[string]bool // the others
	queue                             map[string]bool // who waits, for who has a seat
}

func (w *world) person(p clientPlan) *person {
	return &person{
		world: w, plan: p, told: w.oracle.Client(p.name), random: rand.New(rand.NewPCG(p.random, 0)), rooms: map[string]*seat{},
	}
}

// live does what the plan says, and gives true for who is still there at the end.
func (p *person) live() bool {
	p.world.in(p.plan.at)
	if !p.connect() {
		return false
	}
	for _, a := range p.plan.acts {
		p.world.in(a.at)
		p.do(a)
	}
	p.world.in(p.plan.endAt)
	return p.finish()
}

// connect opens the session, and gives false if there is no time left for it.
func (p *person) connect() bool {
	for time.Since(p.world.began) < p.plan.endAt {
		c, err := client.Dial(context.Background(), client.Options{
			URL: "ws://cluster:80", NetDialContext: p.dial, OpenTimeout: 5 * time.Second,
			TokenSource: func(context.Context) (string, error) { return p.world.token(p.plan.user, p.plan.guest) },
			Reconnect:   true, NoResume: p.plan.noResume, Backoff: client.Backoff{Min: 200 * time.Millisecond, Max: 3 * time.Second, Random: p.chance},
			OnEvent: p.saw, OnState: p.state, OnResumed: p.resumed, Logger: p.world.logger(p.plan.name),
		})
		if err == nil {
			p.mu.Lock()
			p.client, p.session = c, c.Welcome().Session
			p.told.Session(p.session)
			p.mu.Unlock()
			return true
		}
		time.Sleep(300 * time.Millisecond)
	}
	return false
}

func (p *person) chance() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Float64()
}

// dial is the network's and the load balancer's: each attempt comes to some gateway, alive or not.
func (p *person) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	p.dials++
	number, gone := draw(p.plan.random, strconv.Itoa(p.dials)), p.gone
	if p.client != nil {
		p.told.Shaken() // also one that moves from a draining gateway, which may end before the other one has it
	}
	p.mu.Unlock()
	if gone {
		return nil, &net.OpError{Op: "dial", Net: "mem", Err: syscall.ENETUNREACH}
	}
	link, err := p.world.dialGateway(ctx, p.plan.name, int(number%uint64(p.world.plan.gateways)))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = link
	return link, nil
}

// state sees a connection stand again.
func (p *person) state(s client.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == client.StateConnected {
		p.meet()
	} else {
		p.told.Shaken()
	}
}

// meet notes a session that is new: also one that a client got when it left a draining gateway, of which nobody tells. It
// comes before anything that the session sees. The caller holds mu.
func (p *person) meet() {
	if p.client == nil {
		return
	}
	id := p.client.Welcome().Session
	if id == p.session {
		return
	}
	p.session = id
	p.told.Session(id)
	for _, s := range p.rooms { // the client takes the seats again, and says so
		s.joining, s.waiting, s.seated = s.seated || s.waiting, false, false
	}
}

// resumed sees which seats have not outlived the last connection.
func (p *person) resumed(welcome *wire.Welcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, room := range slices.Sorted(maps.Keys(welcome.Rooms)) {
		s := p.rooms[room]
		if welcome.Rooms[room].Result != wire.ResumeGone || s == nil || !s.seated && !s.waiting {
			continue
		}
		p.told.Gone(room)
		s.joining, s.waiting, s.seated = true, false, false // the client takes it again
	}
}

// saw sees every event.
func (p *person) saw(event wire.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meet()
	for range p.world.times(event) {
		p.told.Event(event)
	}
	switch body := event.Body.(type) {
	case *wire.Closed:
		delete(p.rooms, event.Room)
	case *wire.Resync:
		p.seated(&body.Snapshot)
	case *wire.Seated:
		p.seated(&body.Snapshot)
	case *wire.Waiting:
		p.waits(event.Room)
	case *wire.WaitingPeer:
		if s := p.rooms[event.Room]; s != nil && s.seated {
			s.queue[body.Peer.ID] = true
		}
	case *wire.GonePeer:
		if s := p.rooms[event.Room]; s != nil && s.seated {
			delete(s.queue, body.Peer)
		}
	case *wire.JoinedPeer:
		if s := p.rooms[event.Room]; s != nil && s.seated {
			s.peers[body.Peer.ID] = true
			delete(s.queue, body.Peer.ID)
		}
	case *wire.LeftPeer:
		if s := p.rooms[event.Room]; s != nil && s.seated {
			delete(s.peers, body.Peer)
		}
	}
}

// times is how often the oracle hears of an event: once, unless it is to be shown a fault.
func (w *world) times(event wire.Event) int {
	if message, ok := event.Body.(*wire.Message); w.sabotage == "" || !ok || message.Volatile || w.messages.Add(1)%10 > 0 {
		return 1
	}
	if w.sabotage == "repeat" {
		return 2
	}
	return 0
}

// seated takes a snapshot with a seat of the person's own. The caller holds mu.
func (p *person) seated(snapshot *wire.Snapshot) {
	s := p.room(snapshot.Room)
	s.seated, s.joining, s.waiting, s.peers, s.queue = true, false, false, map[string]bool{}, map[string]bool{}
	for _, waiter := range snapshot.Queue {
		s.queue[waiter.ID] = true
	}
	for i := range snapshot.Peers {
		if id := snapshot.Peers[i].ID; id != snapshot.Self {
			s.peers[id] = true
		}
	}
}

// waits takes a place in the queue. The caller holds mu.
func (p *person) waits(room string) {
	s := p.room(room)
	s.joining, s.seated, s.waiting = false, false, true
}

// room gives a room's seat. The caller holds mu.
func (p *person) room(name string) *seat {
	s := p.rooms[name]
	if s == nil {
		s = new(seat)
		p.rooms[name] = s
	}
	return s
}

// standing gives what a person believes of a room.
func (p *person) standing(room string) (s seat, peers, queue []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := p.rooms[room]; found != nil {
		s, peers, queue = *found, slices.Sorted(maps.Keys(found.peers)), slices.Sorted(maps.Keys(found.queue))
	}
	return s, peers, queue
}

// do does one thing, if it can be done now.
func (p *person) do(a act) {
	s, peers, queue := p.standing(a.room)
	in := s.seated && !s.leaving
	random := rand.New(rand.NewPCG(a.random, 1))
	switch a.what {
	case "cut", "freeze", "halfopen":
		p.breakLink(a.what, random)
		return
	case "join":
		if !s.seated && !s.waiting && !s.joining && !s.leaving {
			p.join(a.room)
		}
		return
	case "leave":
		if in || s.waiting && !s.leaving {
			p.leave(a.room)
		}
		return
	}
	if !in {
		return
	}
	switch a.what {
	case "publish", "echo", "volatile":
		p.publish(oracle.Send{Room: a.room, Echo: a.what == "echo", Volatile: a.what == "volatile"}, random.IntN(200))
	case "burst":
		for range 2 + random.IntN(8) {
			p.publish(oracle.Send{Room: a.room}, random.IntN(20))
		}
	case "signal":
		if len(peers) > 0 {
			p.publish(oracle.Send{Room: a.room, To: peers[random.IntN(len(peers))]}, random.IntN(500))
		}
	case "state":
		p.client.Go(&wire.SetState{Room: a.room, State: wire.Object{"value": []byte(strconv.Itoa(random.IntN(100)))}}, ignore)
	case "kick":
		if len(peers) > 0 {
			p.client.Go(&wire.Control{Room: a.room, Action: wire.ActionKick, To: peers[random.IntN(len(peers))]}, ignore)
		}
	case "admit", "deny":
		if len(queue) > 0 {
			to := append(queue, "")[random.IntN(len(queue)+1)] // one, or all
			p.client.Go(&wire.Control{Room: a.room, Action: a.what, To: to}, ignore)
		}
	case "look":
		p.look(a.room)
	}
}

func ignore(*wire.Reply, error) {}

func (p *person) join(room string) {
	p.told.Joining(room)
	p.mu.Lock()
	p.room(room).joining = true
	p.mu.Unlock()
	p.client.Go(&wire.Join{Room: room, Wait: p.plan.waits}, func(reply *wire.Reply, err error) {
		snapshot := new(wire.Snapshot)
		err = decode(reply, err, snapshot)
		p.told.Joined(room, snapshot, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case err != nil:
			p.room(room).joining = false
		case snapshot.Waiting != nil:
			p.waits(room)
		default:
			p.seated(snapshot)
		}
	})
}

func (p *person) leave(room string) {
	p.told.Leaving(room)
	p.mu.Lock()
	p.room(room).leaving = true
	p.mu.Unlock()
	p.client.Go(&wire.Leave{Room: room}, func(reply *wire.Reply, err error) {
		err = decode(reply, err, new(wire.Done))
		p.told.Left(room, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		if refusal, ok := err.(*wire.Error); err == nil || ok && refusal.Code == wire.CodeNotMember { //nolint:errorlint // the reply itself
			delete(p.rooms, room)
		}
	})
}

func (p *person) publish(s oracle.Send, filling int) {
	m := p.told.Sending(s)
	var body wire.RequestBody = &wire.Publish{Room: s.Room, Data: m.Data(filling), Echo: s.Echo, Volatile: s.Volatile}
	if s.To != "" {
		body = &wire.Signal{Room: s.Room, To: s.To, Data: m.Data(filling)}
	}
	p.client.Go(body, func(reply *wire.Reply, err error) {
		done := new(wire.Done)
		err = decode(reply, err, done)
		m.Sent(done.Seq, err)
	})
}

func (p *person) look(room string) {
	look := p.told.Looking(room)
	p.client.Go(&wire.Peers{Room: room, List: true}, func(reply *wire.Reply, err error) {
		snapshot := new(wire.Snapshot)
		if decode(reply, err, snapshot) == nil {
			look.Saw(snapshot)
		}
	})
}

// decode gives the body of a reply, or why there is none.
func decode(reply *wire.Reply, err error, body wire.ReplyBody) error {
	switch {
	case err != nil:
		return err
	case reply.Err != nil:
		return reply.Err
	}
	return reply.Decode(body)
}

// breakLink does something to the person's connection.
func (p *person) breakLink(what string, random *rand.Rand) {
	p.mu.Lock()
	link := p.link
	p.mu.Unlock()
	if link == nil {
		return
	}
	switch {
	case what == "cut" && random.IntN(2) == 0:
		link.HangUp()
		return
	case what == "cut":
		link.Sever()
		return
	case what == "freeze":
		link.Freeze()
	case random.IntN(2) == 0:
		link.FreezeIn()
	default:
		link.FreezeOut()
	}
	if random.IntN(2) == 0 {
		time.AfterFunc(moment(random, time.Second, 20*time.Second), link.Thaw)
	}
}

// finish ends a person as planned, and gives true for one that stays.
func (p *person) finish() bool {
	switch p.plan.end {
	case "stay":
		return true
	case "leave":
		p.mu.Lock()
		rooms := slices.Sorted(maps.Keys(p.rooms))
		p.mu.Unlock()
		for _, room := range rooms {
			p.leave(room)
		}
		time.Sleep(time.Second)
		p.close()
	case "close":
		p.close()
	case "vanish":
		p.vanish()
	case "reload":
		p.vanish()
		again := p.plan
		again.name, again.end, again.acts = p.plan.name+"'", "stay", nil
		again.at, again.endAt = time.Since(p.world.began), time.Since(p.world.began)+5*time.Second
		for _, room := range slices.Sorted(maps.Keys(p.rooms)) {
			again.acts = append(again.acts, act{at: again.at, what: "join", room: room})
		}
		next := p.world.person(again)
		p.world.stays(next, next.live())
	}
	return false
}

func (p *person) close() {
	p.told.Ending()
	p.client.Close()
	p.told.Ended()
}

// vanish is a machine that is switched off, or a page that is closed without a word.
func (p *person) vanish() {
	p.told.Ending()
	p.mu.Lock()
	p.gone = true
	link := p.link
	p.mu.Unlock()
	if p.plan.random%2 == 0 {
		link.Sever()
	} else {
		link.Freeze()
	}
	p.client.Close()
	p.told.Ended()
}

// settle asks for what a person is in now, once everything is healed and quiet, and leaves what it does not know.
func (p *person) settle() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p.mu.Lock()
	rooms := slices.Sorted(maps.Keys(p.rooms))
	p.mu.Unlock()
	for _, room := range rooms {
		s, _, _ := p.standing(room)
		if !s.seated && !s.waiting || s.leaving {
			p.told.Leaving(room)
			_, err := p.client.Leave(ctx, room)
			p.told.Left(room, err)
			if refusal := (*wire.Error)(nil); err != nil && !(errors.As(err, &refusal) && refusal.Code == wire.CodeNotMember) {
				return fmt.Errorf("%s cannot leave %s: %w", p.plan.name, room, err)
			}
			p.mu.Lock()
			delete(p.rooms, room)
			p.mu.Unlock()
		}
	}
	return nil
}

// sync vouches for what a person saw.
func (p *person) sync() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p.mu.Lock()
	rooms := slices.Sorted(maps.Keys(p.rooms))
	p.mu.Unlock()
	var failures []error
	for _, room := range rooms {
		if s, _, _ := p.standing(room); s.waiting {
			continue // it may not look
		}
		look := p.told.Looking(room)
		snapshot, err := p.client.Snapshot(ctx, room)
		time.Sleep(time.Second) // what the snapshot tells of has been delivered, or is lost
		look.Synced(snapshot, err)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s in %s: %w", p.plan.name, room, err))
		}
	}
	return errors.Join(failures...)
}
