package oracle_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/oracle"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// history is a run of a cluster of a few maps, as a list of steps that can be told to an oracle.
type history struct {
	actors []*actor
	rooms  map[string]*room
	steps  []step
	epochs int
	sent   map[*actor]int
	last   map[*actor]step // the last message that each got
	late   bool            // places may be put back late
}

type actor struct{ name, id string }

type room struct {
	name, epoch string
	seq, order  int64
	capacity    int
	seats       map[*actor]*wire.Peer
	queue       []*actor
}

// step is one thing that a client does or, with a body, sees.
type step struct {
	client *actor
	what   string
	do     func(run *run)
	room   string
	seq    int64
	body   wire.EventBody
}

// run is one telling of the steps.
type run struct {
	*oracle.Client
	clients  map[*actor]*oracle.Client
	messages map[string]*oracle.Message
	now      time.Time
}

func newHistory() *history {
	return &history{rooms: map[string]*room{}, last: map[*actor]step{}, sent: map[*actor]int{}}
}

func (s step) String() string {
	return fmt.Sprintf("%s: room %q seq %d %s", s.client.name, s.room, s.seq, s.what)
}

func (s step) volatile() bool {
	m, ok := s.body.(*wire.Message)
	return ok && m.Volatile
}

// check tells steps to a new oracle.
func (h *history) check(steps []step) []oracle.Finding {
	told := &run{clients: map[*actor]*oracle.Client{}, messages: map[string]*oracle.Message{}, now: time.Unix(0, 0)}
	o := oracle.New(oracle.Options{GhostAfter: time.Minute, LateReturns: h.late, Now: func() time.Time { return told.now }})
	for _, a := range h.actors {
		told.clients[a] = o.Client(a.name)
		told.clients[a].Session(a.id)
	}
	for _, s := range steps {
		told.Client = told.clients[s.client]
		told.now = told.now.Add(time.Millisecond)
		if s.do != nil {
			s.do(told)
		} else {
			told.Event(wire.Event{Room: s.room, Seq: s.seq, Body: s.body})
		}
	}
	return o.Check()
}

func (h *history) actor(name string) *actor {
	a := &actor{name: name, id: "id-" + name}
	h.actors = append(h.actors, a)
	return a
}

// step adds what a client does.
func (h *history) step(a *actor, what string, do func(*oracle.Client)) {
	h.steps = append(h.steps, step{client: a, what: what, do: func(r *run) { do(r.Client) }})
}

// pass lets time pass.
func (h *history) pass(d time.Duration) {
	h.steps = append(h.steps, step{client: h.actors[0], what: "waits", do: func(r *run) { r.now = r.now.Add(d) }})
}

// deliver adds what a client sees.
func (h *history) deliver(a *actor, room string, seq int64, body wire.EventBody) {
	s := step{client: a, room: room, seq: seq, body: body, what: fmt.Sprintf("gets %T", body)}
	h.steps = append(h.steps, s)
	switch body.(type) {
	case *wire.Message, *wire.Signaled:
		h.last[a] = s
	}
}

// again delivers the client's last message again, under a new number.
func (h *history) again(a *actor) {
	s := h.last[a]
	h.rooms[s.room].seq++
	h.deliver(a, s.room, h.rooms[s.room].seq, s.body)
}

// tell numbers an event and delivers it to all but some.
func (h *history) tell(room string, body wire.EventBody, except []*actor) {
	r := h.rooms[room]
	r.seq++
	for _, a := range r.members() {
		if !slices.Contains(except, a) {
			h.deliver(a, room, r.seq, body)
		}
	}
}

func (r *room) members() []*actor {
	return slices.SortedFunc(maps.Keys(r.seats), func(a, b *actor) int { return cmp.Compare(r.seats[a].Order, r.seats[b].Order) })
}

func (r *room) others(a *actor) []*actor {
	return slices.DeleteFunc(r.members(), func(b *actor) bool { return a == b })
}

func (r *room) seat(a *actor) *wire.Peer { return r.seats[a] }

func (r *room) take(a *actor) *wire.Peer {
	r.order++
	r.seats[a] = &wire.Peer{ID: a.id, Order: r.order}
	copied := *r.seats[a]
	return &copied
}

func (r *room) snapshot() *wire.Snapshot {
	s := &wire.Snapshot{Room: r.name, Epoch: r.epoch, Seq: r.seq, Capacity: r.capacity, Count: len(r.seats)}
	for _, a := range r.members() {
		s.Peers = append(s.Peers, *r.seats[a])
	}
	for _, a := range r.queue {
		s.Queue = append(s.Queue, wire.Waiter{ID: a.id, Reason: wire.WaitFull})
	}
	return s
}

func (h *history) join(a *actor, name string) {
	r := h.rooms[name]
	if r == nil {
		h.epochs++
		r = &room{name: name, epoch: fmt.Sprint("epoch-", h.epochs), capacity: 4, seats: map[*actor]*wire.Peer{}}
		h.rooms[name] = r
	}
	h.step(a, "joins", func(c *oracle.Client) { c.Joining(name) })
	h.tell(name, &wire.JoinedPeer{Peer: *r.take(a)}, []*actor{a})
	shot := r.snapshot()
	h.step(a, "has joined "+name, func(c *oracle.Client) { c.Joined(name, shot, nil) })
}

// rejoin is a join that finds its seat.
func (h *history) rejoin(a *actor, name string) {
	shot := h.rooms[name].snapshot()
	h.step(a, "joins", func(c *oracle.Client) { c.Joining(name); c.Joined(name, shot, nil) })
}

func (h *history) leave(a *actor, name string) {
	r := h.rooms[name]
	h.step(a, "leaves", func(c *oracle.Client) { c.Leaving(name) })
	delete(r.seats, a)
	h.tell(name, &wire.LeftPeer{Peer: a.id, Reason: wire.ReasonLeft}, nil)
	h.step(a, "has left "+name, func(c *oracle.Client) { c.Left(name, nil) })
	h.close(name)
}

// close ends an empty room.
func (h *history) close(name string) {
	if len(h.rooms[name].seats) == 0 {
		delete(h.rooms, name)
	}
}

func (h *history) kick(by, a *actor, name string) {
	r := h.rooms[name]
	delete(r.seats, a)
	h.tell(name, &wire.LeftPeer{Peer: a.id, Reason: wire.ReasonKicked, By: by.id}, nil)
	h.deliver(a, name, r.seq, &wire.Closed{Reason: wire.ReasonKicked, By: by.id})
}

// closeSeat has a gateway close a seat that it could not put back.
func (h *history) closeSeat(a *actor, name string, seq int64) {
	delete(h.rooms[name].seats, a)
	h.deliver(a, name, seq, &wire.Closed{Reason: wire.ReasonClosed})
	h.tell(name, &wire.LeftPeer{Peer: a.id, Reason: wire.ReasonDisconnected}, []*actor{a})
}

// away loses a connection, or brings it back.
func (h *history) away(a *actor, name string) {
	seat := h.rooms[name].seats[a]
	seat.Away = !seat.Away
	if seat.Away {
		h.tell(name, &wire.AwayPeer{Peer: a.id}, []*actor{a})
	} else {
		h.tell(name, &wire.BackPeer{Peer: a.id}, []*actor{a})
	}
}

func (h *history) state(a *actor, name, value string) {
	change := wire.Object{"value": []byte(value)}
	h.rooms[name].seats[a].State = change
	h.tell(name, &wire.StateChanged{Peer: a.id, State: change}, []*actor{a})
}

// resync gives a client a snapshot.
func (h *history) resync(a *actor, name string) {
	r := h.rooms[name]
	h.deliver(a, name, r.seq, &wire.Resync{Snapshot: *r.snapshot()})
}

// lose is the loss of a room's data: it is there again in another epoch, without some of the seats, and everybody is told.
func (h *history) lose(name string, without ...*actor) {
	r := h.rooms[name]
	h.epochs++
	r.epoch, r.seq = fmt.Sprint("epoch-", h.epochs), 1
	for _, a := range without {
		delete(r.seats, a)
		h.step(a, "has lost its seat", func(c *oracle.Client) { c.Gone(name) })
	}
	for _, a := range r.members() {
		h.resync(a, name)
	}
}

// sent is how a message is sent, and what goes wrong with it.
type sent struct {
	to             *actor
	echo, volatile bool
	err            error // that the sender gets
	answer         int64 // another number than the right one
	at             int64 // the number, if not the next
	dropFor        []*actor
	alsoFor        []*actor
}

func (h *history) publish(a *actor, name string, s sent) {
	r := h.rooms[name]
	h.sent[a]++
	id := fmt.Sprint(a.name, "-", h.sent[a])
	data := []byte(`{"m":"` + id + `","filling":""}`)
	what := oracle.Send{Room: name, Echo: s.echo, Volatile: s.volatile}
	var body wire.EventBody = &wire.Message{From: a.id, Data: data, Volatile: s.volatile}
	receivers := r.others(a)
	if s.echo {
		receivers = r.members()
	}
	if s.to != nil {
		what.To = s.to.id
		body, receivers = &wire.Signaled{From: a.id, Data: data}, []*actor{s.to}
	}
	h.steps = append(h.steps, step{client: a, what: "sends " + id, do: func(run *run) { run.messages[id] = run.Sending(what) }})
	r.seq++
	if s.at > 0 {
		r.seq = s.at
	}
	for _, b := range append(slices.Clone(receivers), s.alsoFor...) {
		if !slices.Contains(s.dropFor, b) {
			h.deliver(b, name, r.seq, body)
		}
	}
	seq := cmp.Or(s.answer, r.seq)
	h.steps = append(h.steps, step{client: a, what: "has sent " + id, do: func(run *run) {
		if s.err != nil {
			run.messages[id].Sent(0, s.err)
		} else {
			run.messages[id].Sent(seq, nil)
		}
	}})
}

// sync vouches for what a client saw of a room.
func (h *history) sync(a *actor, name string) {
	shot := h.rooms[name].snapshot()
	var look *oracle.Look
	h.step(a, "looks", func(c *oracle.Client) { look = c.Looking(name) })
	h.step(a, "sees "+name, func(c *oracle.Client) { look.Synced(shot, nil) })
}

// settle ends a history as a harness does.
func (h *history) settle() {
	for _, name := range slices.Sorted(maps.Keys(h.rooms)) {
		for _, a := range h.rooms[name].members() {
			if slices.Contains(h.actors, a) {
				h.sync(a, name)
			}
		}
	}
	for _, a := range h.actors {
		for _, name := range []string{"r", "s"} {
			if r := h.rooms[name]; r == nil || r.seats[a] == nil {
				h.step(a, "is not in "+name, func(c *oracle.Client) {
					c.Looking(name).Synced(nil, wire.Errorf(wire.CodeNotMember, "no seat"))
				})
			}
		}
	}
}
