package oracle_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/oracle"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A history that is as it should be has no findings, and whatever is dropped, doubled or swapped in it is found.
func TestEveryMutationIsFound(t *testing.T) {
	for seed := range uint64(4) {
		h := randomHistory(seed)
		if findings := h.check(h.steps); len(findings) > 0 {
			require.Empty(t, findings, "seed %d\n%s", seed, h.text())
		}
		found := func(what string, mutated []step) {
			t.Helper()
			if len(h.check(mutated)) == 0 {
				require.Fail(t, "not found", "seed %d: %s\n%s", seed, what, h.text())
			}
		}
		dropped, doubled, swapped := 0, 0, 0
		for i, step := range h.steps {
			if step.body == nil {
				continue
			}
			resync, whole := step.body.(*wire.Resync)
			if !step.volatile() && (!whole || resync.Seq == 1) { // one that tells of no new epoch covers nothing here
				dropped++
				found(fmt.Sprint(i, " is missing"), slices.Delete(slices.Clone(h.steps), i, i+1))
			}
			if whole {
				continue // twice is as good as once
			}
			doubled++
			found(fmt.Sprint(i, " comes twice"), slices.Insert(slices.Clone(h.steps), i, step))
			if j := h.next(i); j > 0 {
				swapped++
				mutated := slices.Clone(h.steps)
				mutated[i], mutated[j] = mutated[j], mutated[i]
				found(fmt.Sprint(i, " and ", j, " change places"), mutated)
			}
		}
		t.Logf("seed %d: %d steps; found %d dropped, %d doubled, %d swapped", seed, len(h.steps), dropped, doubled, swapped)
		require.Greater(t, min(dropped, doubled, swapped), 50)
	}
}

// next gives the event that the client of an event got next in that room with nothing of its own in between, or 0.
func (h *history) next(i int) int {
	for j := i + 1; j < len(h.steps); j++ {
		if h.steps[j].client != h.steps[i].client {
			continue
		}
		if h.steps[j].body == nil || h.steps[j].room != h.steps[i].room || h.steps[j].body.Type() == wire.TypeResync || h.steps[i].body.Type() == wire.TypeResync {
			return 0
		}
		return j
	}
	return 0
}

// Particular breaches, each with the rule that must find it.
func TestFindings(t *testing.T) {
	refusal := wire.Errorf(wire.CodeForbidden, "no")
	lost := errors.New("connection lost")
	for _, tc := range []struct {
		name string
		do   func(h *history, ada, bob, cy *actor)
		rule string // "" is none
	}{
		{"nothing wrong", func(h *history, ada, bob, cy *actor) { h.publish(ada, "r", sent{}) }, ""},
		{"one too many", func(h *history, ada, bob, cy *actor) {
			h.rooms["r"].capacity = 3
			h.resync(bob, "r")
			h.join(h.actor("dora"), "r")
		}, oracle.RuleCapacity},
		{"a message for nobody but its sender's answer", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob, cy}})
		}, oracle.RuleLost},
		{"a message that one does not get, unanswered", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob}, err: lost})
		}, oracle.RuleLost},
		{"an unanswered message for nobody", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob, cy}, err: lost})
		}, ""},
		{"a volatile message for nobody", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob, cy}, volatile: true})
		}, ""},
		{"a signal that is lost", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{to: bob, dropFor: []*actor{bob}})
		}, oracle.RuleLost},
		{"a signal for another one", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{to: bob, alsoFor: []*actor{cy}})
		}, oracle.RuleStranger},
		{"an echo that was not asked for", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{alsoFor: []*actor{ada}})
		}, oracle.RuleStranger},
		{"an echo that is lost", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{echo: true, dropFor: []*actor{ada}})
		}, oracle.RuleLost},
		{"a refused message", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{err: refusal})
		}, oracle.RuleStranger},
		{"a message under two numbers", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{})
			h.again(bob)
		}, oracle.RuleTwice},
		{"an answer with another number", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{answer: 77})
		}, oracle.RuleOrder},
		{"a message nobody sent", func(h *history, ada, bob, cy *actor) {
			h.tell("r", &wire.Message{From: ada.id, Data: []byte(`"?"`)}, nil)
		}, oracle.RuleStranger},
		{"an event in another room", func(h *history, ada, bob, cy *actor) {
			h.deliver(bob, "other", 1, &wire.LeftPeer{Peer: cy.id})
		}, oracle.RuleStranger},
		{"an event after leaving", func(h *history, ada, bob, cy *actor) {
			h.leave(bob, "r")
			h.deliver(bob, "r", 99, &wire.LeftPeer{Peer: cy.id})
		}, oracle.RuleStranger},
		{"a departure that is told twice", func(h *history, ada, bob, cy *actor) {
			h.leave(bob, "r")
			h.tell("r", &wire.LeftPeer{Peer: bob.id}, nil)
		}, oracle.RuleSeats},
		{"a departure that nobody is told of", func(h *history, ada, bob, cy *actor) {
			h.rooms["r"].seq++
			delete(h.rooms["r"].seats, bob)
			h.step(bob, "leaves", func(c *oracle.Client) { c.Leaving("r"); c.Left("r", nil) })
		}, oracle.RuleSeats},
		{"away without a word", func(h *history, ada, bob, cy *actor) { h.rooms["r"].seat(bob).Away = true }, oracle.RuleSeats},
		{"away twice", func(h *history, ada, bob, cy *actor) {
			h.away(bob, "r")
			h.tell("r", &wire.AwayPeer{Peer: bob.id}, []*actor{bob})
		}, oracle.RuleSeats},
		{"back without away", func(h *history, ada, bob, cy *actor) {
			h.tell("r", &wire.BackPeer{Peer: bob.id}, []*actor{bob})
		}, oracle.RuleSeats},
		{"a state that nobody is told of", func(h *history, ada, bob, cy *actor) {
			h.rooms["r"].seat(bob).State = wire.Object{"mic": []byte("true")}
		}, oracle.RuleSeats},
		{"a seat after the leave", func(h *history, ada, bob, cy *actor) {
			h.step(bob, "leaves", func(c *oracle.Client) { c.Leaving("r"); c.Left("r", nil) })
		}, oracle.RuleGhost},
		{"a seat after the end", func(h *history, ada, bob, cy *actor) {
			h.step(bob, "ends", func(c *oracle.Client) { c.Ending(); c.Ended() })
			h.pass(time.Hour)
		}, oracle.RuleGhost},
		{"a seat for a while after the end", func(h *history, ada, bob, cy *actor) {
			h.step(bob, "ends", func(c *oracle.Client) { c.Ending(); c.Ended() })
		}, ""},
		{"a snapshot from before a leave, of which it hears after it has asked again", func(h *history, ada, bob, cy *actor) {
			var look *oracle.Look
			before := h.rooms["r"].snapshot()
			h.step(ada, "looks", func(c *oracle.Client) { look = c.Looking("r") })
			h.leave(bob, "r")
			h.step(ada, "looks again, and sees what was", func(c *oracle.Client) { c.Looking("r"); look.Saw(before) })
		}, ""},
		{"a snapshot from before a leave, asked for after it", func(h *history, ada, bob, cy *actor) {
			before := h.rooms["r"].snapshot()
			h.leave(bob, "r")
			h.step(ada, "looks, and sees what was", func(c *oracle.Client) { c.Looking("r").Saw(before) })
		}, oracle.RuleGhost},
		{"a resync while it leaves, and one more event", func(h *history, ada, bob, cy *actor) {
			dora, eve := h.actor("dora"), h.actor("eve")
			h.join(dora, "r")
			h.step(bob, "leaves", func(c *oracle.Client) { c.Leaving("r") })
			h.resync(bob, "r")
			delete(h.rooms["r"].seats, bob)
			h.tell("r", &wire.LeftPeer{Peer: bob.id, Reason: wire.ReasonLeft}, nil)
			h.join(eve, "r")
			h.deliver(bob, "r", h.rooms["r"].seq, &wire.JoinedPeer{Peer: *h.rooms["r"].seat(eve)})
			h.step(bob, "has left", func(c *oracle.Client) { c.Left("r", nil) })
		}, ""},
		{"a seat closed by the gateway", func(h *history, ada, bob, cy *actor) {
			h.closeSeat(bob, "r", 0)
			h.publish(ada, "r", sent{})
		}, ""},
		{"a seat closed under the number of another event", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob}})
			h.closeSeat(bob, "r", h.rooms["r"].seq)
		}, oracle.RuleOrder},
		{"a seat of nobody", func(h *history, ada, bob, cy *actor) {
			h.rooms["r"].take(&actor{name: "?", id: "nobody"})
		}, oracle.RuleGhost},
		{"a seat that is gone without a word", func(h *history, ada, bob, cy *actor) {
			h.step(cy, "has no seat", func(c *oracle.Client) { c.Looking("r").Synced(nil, wire.Errorf(wire.CodeNotMember, "no seat")) })
		}, oracle.RuleSeats},
		{"another epoch without a word", func(h *history, ada, bob, cy *actor) { h.rooms["r"].epoch = "another" }, oracle.RuleOrder},
		{"another epoch, of which all are told", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob, cy}})
			h.lose("r")
			h.publish(ada, "r", sent{})
		}, ""},
		{"a gap that a resync covers", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob}})
			h.resync(bob, "r")
			h.publish(ada, "r", sent{})
		}, ""},
		{"a gap that a resync comes too late for", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{dropFor: []*actor{bob}})
			h.publish(ada, "r", sent{})
			h.resync(bob, "r")
		}, oracle.RuleLost},
		{"a message that the resync was to cover", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{})
			h.resync(bob, "r")
			h.again(bob)
		}, oracle.RuleTwice},
		{"an event after the end", func(h *history, ada, bob, cy *actor) {
			h.leave(bob, "r")
			h.step(bob, "ends", func(c *oracle.Client) { c.Ending(); c.Ended() })
			h.deliver(bob, "r", 99, &wire.LeftPeer{Peer: cy.id})
		}, oracle.RuleStranger},
		{"a later number for what came before", func(h *history, ada, bob, cy *actor) {
			h.publish(ada, "r", sent{at: 50})
			h.publish(cy, "r", sent{at: 40, dropFor: []*actor{ada, bob}})
			h.rooms["r"].seq = 60
		}, oracle.RuleOrder},
		{"a seat that a lost join took", func(h *history, ada, bob, cy *actor) {
			dora := h.actor("dora")
			h.step(dora, "joins", func(c *oracle.Client) { c.Joining("r"); c.Joined("r", nil, lost) })
			h.tell("r", &wire.JoinedPeer{Peer: *h.rooms["r"].take(dora)}, []*actor{dora})
			h.publish(ada, "r", sent{})
			h.rejoin(dora, "r")
			h.publish(ada, "r", sent{})
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHistory()
			ada, bob, cy := h.actor("ada"), h.actor("bob"), h.actor("cy")
			for _, a := range []*actor{ada, bob, cy} {
				h.join(a, "r")
			}
			tc.do(h, ada, bob, cy)
			h.settle()
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

// A message that was under way when Redis lost its data may come again, if the harness says that Redis did.
func TestTwiceAfterLoss(t *testing.T) {
	for _, lost := range []bool{false, true} {
		o := oracle.New(oracle.Options{TwiceAfterLoss: lost})
		ada, bob := o.Client("ada"), o.Client("bob")
		ada.Session("a")
		bob.Session("b")
		shot := func(epoch string, seq int64) *wire.Snapshot {
			return &wire.Snapshot{Room: "r", Epoch: epoch, Seq: seq, Capacity: 2, Count: 2, Peers: []wire.Peer{{ID: "a", Order: 1}, {ID: "b", Order: 2}}}
		}
		for _, c := range []*oracle.Client{ada, bob} {
			c.Joining("r")
			c.Joined("r", shot("e", 2), nil)
		}
		m := ada.Sending(oracle.Send{Room: "r"})
		message := &wire.Message{From: "a", Data: m.Data(0)}
		bob.Event(wire.Event{Room: "r", Seq: 3, Body: message})
		bob.Event(wire.Event{Room: "r", Seq: 1, Body: &wire.Resync{Snapshot: *shot("f", 1)}})
		ada.Event(wire.Event{Room: "r", Seq: 1, Body: &wire.Resync{Snapshot: *shot("f", 1)}})
		bob.Event(wire.Event{Room: "r", Seq: 2, Body: message})
		m.Sent(2, nil)
		if lost {
			require.Empty(t, o.Check())
		} else {
			require.NotEmpty(t, o.Check())
		}
		bob.Event(wire.Event{Room: "r", Seq: 3, Body: message})
		require.NotEmpty(t, o.Check(), "never twice in one epoch")
	}
}

// ofThree is a room with the seats a, b and c.
func ofThree(epoch string, seq int64) *wire.Snapshot {
	return &wire.Snapshot{Room: "r", Epoch: epoch, Seq: seq, Capacity: 3, Count: 3, Peers: []wire.Peer{
		{ID: "a", Order: 1}, {ID: "b", Order: 2}, {ID: "c", Order: 3}}}
}

// threeInARoom gives clients with the seats a, b and c in room r, as of number 3 of epoch e.
func threeInARoom(o *oracle.Oracle) (ada, bob, eve *oracle.Client) {
	ada, bob, eve = o.Client("ada"), o.Client("bob"), o.Client("eve")
	clients := map[string]*oracle.Client{"a": ada, "b": bob, "c": eve}
	for id, c := range clients {
		c.Session(id)
		c.Joining("r")
	}
	for _, c := range clients {
		c.Joined("r", ofThree("e", 3), nil)
	}
	return ada, bob, eve
}

// startOver tells one of the three that the room has another epoch.
func startOver(c *oracle.Client) {
	c.Event(wire.Event{Room: "r", Seq: 9, Body: &wire.Resync{Snapshot: *ofThree("f", 9)}})
}

// Redis went back in time: a number came twice, for different events, before anybody knew. It is let pass where the harness
// says so and all start over.
func TestRewinds(t *testing.T) {
	for _, tc := range []struct{ rewinds, told, want bool }{{true, true, true}, {true, false, false}, {false, true, false}} {
		o := oracle.New(oracle.Options{Rewinds: tc.rewinds})
		ada, bob, eve := threeInARoom(o)
		state := func(of string) *wire.StateChanged {
			return &wire.StateChanged{Peer: of, State: wire.Object{"turn": []byte("1")}}
		}
		ada.Event(wire.Event{Room: "r", Seq: 4, Body: state("c")})
		bob.Event(wire.Event{Room: "r", Seq: 4, Body: state("a")})
		eve.Event(wire.Event{Room: "r", Seq: 4, Body: state("a")})
		for _, c := range []*oracle.Client{bob, ada, eve} {
			if tc.told || c != eve {
				startOver(c)
			}
		}
		require.Equal(t, tc.want, len(o.Check()) == 0, "%+v: %v", tc, o.Check())
	}
}

// A message was acknowledged and went with the end of Redis' memory. Others got its number, and the next one, before its
// sender's gateway compared.
func TestLostWithARewind(t *testing.T) {
	for _, tc := range []struct{ rewinds, told, seen, want bool }{
		{true, true, false, true}, {true, false, false, false}, {false, true, false, false}, {true, true, true, false},
	} {
		o := oracle.New(oracle.Options{Rewinds: tc.rewinds})
		ada, bob, eve := threeInARoom(o)
		m := ada.Sending(oracle.Send{Room: "r"})
		m.Sent(4, nil)
		if tc.seen { // so it was published, and bob's gateway is to blame
			eve.Event(wire.Event{Room: "r", Seq: 4, Body: &wire.Message{From: "a", Data: m.Data(0)}})
		}
		next := eve.Sending(oracle.Send{Room: "r"})
		bob.Event(wire.Event{Room: "r", Seq: 5, Body: &wire.Message{From: "c", Data: next.Data(0)}})
		next.Sent(5, nil)
		for _, c := range []*oracle.Client{bob, ada, eve} {
			if tc.told || c != bob {
				startOver(c)
			}
		}
		require.Equal(t, tc.want, len(o.Check()) == 0, "%+v: %v", tc, o.Check())
	}
}

// Clients record from goroutines of their own.
func TestConcurrentRecording(t *testing.T) {
	o := oracle.New(oracle.Options{})
	var recording sync.WaitGroup
	for i := range 8 {
		recording.Go(func() {
			c := o.Client(fmt.Sprint("c", i))
			c.Session(fmt.Sprint("id", i))
			for range 100 {
				c.Sending(oracle.Send{Room: "r"}).Sent(0, errors.New("lost"))
			}
			o.Check()
		})
	}
	recording.Wait()
	require.Equal(t, 8*201, o.Len())
	require.Empty(t, o.Check())
	require.Contains(t, o.Trace("r"), "c7 has not sent room r message c7-100 lost\n")
}

// A harness that makes blocking calls notes that it has joined after it has noted the first events.
func TestBlockingHarness(t *testing.T) {
	for _, blocking := range []bool{true, false} {
		o := oracle.New(oracle.Options{Blocking: blocking})
		ada, bob := o.Client("ada"), o.Client("bob")
		ada.Session("a")
		bob.Session("b")
		peers := []wire.Peer{{ID: "a", Order: 1}, {ID: "b", Order: 2}}
		ada.Joining("r")
		ada.Joined("r", &wire.Snapshot{Room: "r", Epoch: "e", Seq: 1, Capacity: 2, Count: 1, Peers: peers[:1]}, nil)
		bob.Joining("r")
		ada.Event(wire.Event{Room: "r", Seq: 2, Body: &wire.JoinedPeer{Peer: peers[1]}})
		m := ada.Sending(oracle.Send{Room: "r"})
		m.Sent(3, nil)
		bob.Event(wire.Event{Room: "r", Seq: 3, Body: &wire.Message{From: "a", Data: m.Data(10)}})
		bob.Joined("r", &wire.Snapshot{Room: "r", Epoch: "e", Seq: 2, Capacity: 2, Count: 2, Peers: peers}, nil)
		bob.Looking("r").Synced(&wire.Snapshot{Room: "r", Epoch: "e", Seq: 3, Capacity: 2, Count: 2, Peers: peers}, nil)
		if blocking {
			require.Empty(t, o.Check())
		} else {
			require.NotEmpty(t, o.Check())
		}
	}
}

// randomHistory is a run of a cluster that keeps its word.
func randomHistory(seed uint64) *history {
	random := rand.New(rand.NewPCG(seed, 1))
	h := newHistory()
	rooms := []string{"r", "s"}
	for i := range 9 {
		h.actor(fmt.Sprint("c", i))
	}
	for range 120 {
		a, room := h.actors[random.IntN(len(h.actors))], rooms[random.IntN(len(rooms))]
		r := h.rooms[room]
		if r == nil || r.seat(a) == nil {
			if r == nil || len(r.seats) < r.capacity {
				h.join(a, room)
			}
			continue
		}
		others := r.others(a)
		switch random.IntN(12) {
		case 0:
			h.sync(a, room) // else what came last could be missing unseen
			h.leave(a, room)
		case 1:
			h.away(a, room)
		case 2:
			h.state(a, room, fmt.Sprint(random.IntN(100)))
		case 3:
			if len(others) > 0 {
				h.kick(a, others[random.IntN(len(others))], room)
			}
		case 4:
			if random.IntN(3) == 0 {
				for _, member := range h.rooms[room].members() {
					h.sync(member, room) // as above
				}
				h.lose(room)
			} else {
				h.sync(a, room)
				h.resync(a, room)
			}
		case 5, 6:
			if len(others) > 0 {
				h.publish(a, room, sent{to: others[random.IntN(len(others))]})
			}
		case 7:
			h.publish(a, room, sent{volatile: true})
		case 8:
			h.publish(a, room, sent{err: errors.New("lost")})
		default:
			h.publish(a, room, sent{echo: random.IntN(2) == 0})
		}
	}
	h.settle()
	return h
}

func (h *history) text() string {
	var text strings.Builder
	for i, step := range h.steps {
		_, _ = fmt.Fprintln(&text, i, step)
	}
	return text.String()
}
