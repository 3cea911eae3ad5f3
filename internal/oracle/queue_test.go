package oracle_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/oracle"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// newQueue has two in a room for two, and two who wait for it.
func newQueue() (h *history, ada, bob, dora, eve *actor) {
	h = newHistory()
	ada, bob, dora, eve = h.actor("ada"), h.actor("bob"), h.actor("dora"), h.actor("eve")
	h.join(ada, "r")
	h.rooms["r"].capacity = 2
	h.resync(ada, "r")
	h.join(bob, "r")
	h.wait(dora, "r")
	h.wait(eve, "r")
	return h, ada, bob, dora, eve
}

// wait has a client take a place in the queue.
func (h *history) wait(a *actor, name string) {
	r := h.rooms[name]
	r.queue = append(r.queue, a)
	h.step(a, "joins", func(c *oracle.Client) { c.Joining(name) })
	h.tell(name, &wire.WaitingPeer{Peer: wire.Waiter{ID: a.id}, Reason: wire.WaitFull}, nil)
	shot := r.place(len(r.queue))
	h.step(a, "waits for "+name, func(c *oracle.Client) { c.Joined(name, shot, nil) })
	h.places(name, a)
}

// place is the answer to who has to wait.
func (r *room) place(position int) *wire.Snapshot {
	shot := r.snapshot()
	shot.Peers, shot.Queue = nil, nil
	shot.Waiting = &wire.Waiting{Position: position, Count: len(r.queue), Reason: wire.WaitFull}
	return shot
}

// waitFirst has a client take the first place in the queue, and hear of it late, for a cause or without.
func (h *history) waitFirst(a *actor, name string, before func(c *oracle.Client)) {
	r := h.rooms[name]
	r.queue = append([]*actor{a}, r.queue...)
	shot := r.place(1)
	h.step(a, "joins", func(c *oracle.Client) {
		c.Joining(name)
		before(c)
		c.Joined(name, shot, nil)
	})
	h.places(name, a)
}

// places tells those who wait their places, but for one.
func (h *history) places(name string, but *actor) {
	queue := h.rooms[name].queue
	for i, a := range queue {
		if a != but {
			h.deliver(a, name, 0, &wire.Waiting{Position: i + 1, Count: len(queue), Reason: wire.WaitFull})
		}
	}
}

// unqueue takes a client out of the queue.
func (h *history) unqueue(a *actor, name string) {
	r := h.rooms[name]
	i := slices.Index(r.queue, a)
	r.queue = slices.Delete(slices.Clone(r.queue), i, i+1)
}

// call gives a seat to a client that waits.
func (h *history) call(a *actor, name string) {
	r := h.rooms[name]
	h.unqueue(a, name)
	h.tell(name, &wire.JoinedPeer{Peer: *r.take(a)}, []*actor{a})
	h.deliver(a, name, r.seq, &wire.Seated{Snapshot: *r.snapshot()})
	h.places(name, nil)
}

// callAgain has a client that waited ask for its place in a room that knows nobody of those who wait, and gives it a seat.
func (h *history) callAgain(a *actor, name string) {
	h.rooms[name].queue = []*actor{a}
	h.call(a, name)
}

// deny sends a client away that waits.
func (h *history) deny(a *actor, name string) {
	h.unqueue(a, name)
	h.tell(name, &wire.GonePeer{Peer: a.id, Reason: wire.ReasonDenied}, nil)
	h.deliver(a, name, 0, &wire.Closed{Reason: wire.ReasonDenied})
	h.places(name, nil)
}

// Breaches of what is promised to those who wait.
func TestQueueFindings(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(h *history, ada, dora, eve *actor)
		rule string // "" is none
	}{
		{"who waits, waits", func(h *history, ada, dora, eve *actor) {}, ""},
		{"seated in turn", func(h *history, ada, dora, eve *actor) {
			h.leave(ada, "r")
			h.call(dora, "r")
			h.publish(dora, "r", sent{})
		}, ""},
		{"sent away", func(h *history, ada, dora, eve *actor) { h.deny(dora, "r") }, ""},
		{"overtaken", func(h *history, ada, dora, eve *actor) {
			h.leave(ada, "r")
			h.call(eve, "r")
		}, oracle.RuleQueue},
		{"overtaken, and seated later", func(h *history, ada, dora, eve *actor) {
			h.rooms["r"].capacity = 4
			h.deliver(ada, "r", 99, &wire.RoomChanged{Version: 2, RoomChange: wire.RoomChange{Capacity: new(4)}})
			h.rooms["r"].seq = 99
			h.call(eve, "r")
			h.call(dora, "r")
		}, oracle.RuleQueue},
		{"overtaken while it had no connection", func(h *history, ada, dora, eve *actor) {
			h.step(dora, "loses its connection", func(c *oracle.Client) { c.Shaken() })
			h.leave(ada, "r")
			h.call(eve, "r")
		}, ""},
		{"overtaken by one that came first, and whose answer came late", func(h *history, ada, dora, eve *actor) {
			h.waitFirst(h.actor("fay"), "r", (*oracle.Client).Shaken)
			h.leave(ada, "r")
			h.call(h.actors[4], "r")
		}, ""},
		{"overtaken by one whose first question had no answer", func(h *history, ada, dora, eve *actor) {
			h.waitFirst(h.actor("fay"), "r", func(c *oracle.Client) {
				c.Joined("r", nil, wire.Errorf(wire.CodeUnavailable, "no answer"))
				c.Joining("r")
			})
			h.leave(ada, "r")
			h.call(h.actors[4], "r")
		}, ""},
		{"overtaken by one that was answered at once", func(h *history, ada, dora, eve *actor) {
			h.waitFirst(h.actor("fay"), "r", func(*oracle.Client) {})
			h.leave(ada, "r")
			h.call(h.actors[4], "r")
		}, oracle.RuleQueue},
		{"overtaken in a room that was lost, with nobody's seat put back", func(h *history, ada, dora, eve *actor) {
			h.lose("r", ada, h.actors[1])
			h.callAgain(eve, "r")
			h.callAgain(dora, "r")
		}, ""},
		{"overtaken in a room that was lost, with a seat put back", func(h *history, ada, dora, eve *actor) {
			h.rooms["r"].capacity = 3
			h.lose("r", ada)
			h.callAgain(eve, "r")
			h.callAgain(dora, "r")
		}, oracle.RuleQueue},
		{"left in front of a free seat", func(h *history, ada, dora, eve *actor) { h.leave(ada, "r") }, oracle.RuleQueue},
		{"left in front of an empty room", func(h *history, ada, dora, eve *actor) {
			h.leave(ada, "r")
			h.leave(h.actors[1], "r")
		}, oracle.RuleQueue},
		{"forgotten", func(h *history, ada, dora, eve *actor) {
			h.unqueue(dora, "r")
			h.places("r", nil)
		}, oracle.RuleQueue},
		{"told another place", func(h *history, ada, dora, eve *actor) {
			h.deliver(eve, "r", 0, &wire.Waiting{Position: 1, Count: 2, Reason: wire.WaitFull})
		}, oracle.RuleQueue},
		{"told no place", func(h *history, ada, dora, eve *actor) {
			h.deliver(eve, "r", 0, &wire.Waiting{Position: 3, Count: 2, Reason: wire.WaitFull})
			h.places("r", nil)
		}, oracle.RuleQueue},
		{"told another reason", func(h *history, ada, dora, eve *actor) {
			h.deliver(eve, "r", 0, &wire.Waiting{Position: 2, Count: 2, Reason: wire.WaitModerated})
		}, oracle.RuleQueue},
		{"seated twice", func(h *history, ada, dora, eve *actor) {
			h.leave(ada, "r")
			h.call(dora, "r")
			h.deliver(dora, "r", h.rooms["r"].seq, &wire.Seated{Snapshot: *h.rooms["r"].snapshot()})
		}, oracle.RuleTwice},
		{"seated without having waited", func(h *history, ada, dora, eve *actor) {
			h.leave(ada, "r")
			h.sync(h.actors[1], "r")
			h.deliver(ada, "r", h.rooms["r"].seq, &wire.Seated{Snapshot: *h.rooms["r"].snapshot()})
		}, oracle.RuleStranger},
		{"told its place while seated", func(h *history, ada, dora, eve *actor) {
			h.deliver(ada, "r", 0, &wire.Waiting{Position: 1, Count: 2, Reason: wire.WaitFull})
		}, oracle.RuleQueue},
		{"told what happens in the room", func(h *history, ada, dora, eve *actor) {
			h.publish(ada, "r", sent{alsoFor: []*actor{dora}})
		}, oracle.RuleStranger},
		{"members are not told who waits", func(h *history, ada, dora, eve *actor) {
			h.rooms["r"].seq++
			h.deliver(ada, "r", h.rooms["r"].seq, &wire.GonePeer{Peer: dora.id, Reason: wire.ReasonDenied})
			h.unqueue(dora, "r")
			h.deliver(dora, "r", 0, &wire.Closed{Reason: wire.ReasonDenied})
			h.places("r", nil)
		}, oracle.RuleLost},
		{"its end is told twice", func(h *history, ada, dora, eve *actor) {
			h.deny(dora, "r")
			h.deliver(dora, "r", 0, &wire.Closed{Reason: wire.ReasonDenied})
		}, oracle.RuleStranger},
		{"a ghost waits", func(h *history, ada, dora, eve *actor) {
			h.rooms["r"].queue = append(h.rooms["r"].queue, &actor{name: "nobody", id: "nobody"})
		}, oracle.RuleGhost},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, ada, _, dora, eve := newQueue()
			tc.do(h, ada, dora, eve)
			for _, a := range h.actors {
				if r := h.rooms["r"]; r != nil && r.seat(a) != nil {
					h.sync(a, "r")
				}
			}
			findings := h.check(h.steps)
			if tc.rule == "" {
				require.Empty(t, findings, h.text())
				return
			}
			var rules []string
			for _, f := range findings {
				rules = append(rules, f.Rule)
			}
			require.Contains(t, rules, tc.rule, "%v\n%s", findings, h.text())
		})
	}
}

// Where gateways may be cut off while Redis has lost its data, a place counts once somebody has seen that it is back.
func TestLateReturns(t *testing.T) {
	for _, tc := range []struct {
		name     string
		late     bool
		seen     bool // ada sees both wait before one is called
		findings bool
	}{
		{"nobody is late", false, false, true},
		{"late, and nobody saw it", true, false, false},
		{"late, and seen", true, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, ada, bob, dora, eve := newQueue()
			h.late = tc.late
			queue := h.rooms["r"].queue
			h.rooms["r"].queue = nil
			h.lose("r")
			if tc.seen {
				h.tell("r", &wire.WaitingPeer{Peer: wire.Waiter{ID: dora.id}, Reason: wire.WaitFull}, nil)
				h.rooms["r"].queue = queue
			}
			h.leave(bob, "r")
			h.callAgain(eve, "r")
			h.leave(ada, "r")
			h.callAgain(dora, "r")
			h.sync(eve, "r")
			h.sync(dora, "r")
			findings := h.check(h.steps)
			require.Equal(t, tc.findings, len(findings) > 0, "%v\n%s", findings, h.text())
		})
	}
}
