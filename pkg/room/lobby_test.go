package room_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (p *peer) waitFor(tb testing.TB, name string) *wire.Waiting {
	tb.Helper()
	snapshot, err := p.joinWith(&wire.Join{Room: name, Wait: true})
	require.NoError(tb, err)
	return snapshot.Waiting
}

func (p *peer) controls(action, target string) (wire.Controlled, error) {
	return wait(func(done func(wire.Controlled, error)) {
		p.Control(0, &wire.Control{Room: "r", Action: action, To: target}, done)
	})
}

var waiters = nodeOptions{Options: room.Options{Waiting: 2, Capacity: 1}}

// Who waits is told its place, gets the seat when it is free, and hears nothing of the room before.
func TestWaiting(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here, there := startNode(t, addr, "here", waiters), startNode(t, addr, "there", waiters)
	ada, bob, cid := newPeer(t, here, "ada"), newPeer(t, there, "bob"), newPeer(t, here, "cid")
	ada.mustJoin(t, "r")
	require.Equal(t, &wire.Waiting{Position: 1, Count: 1, Reason: wire.WaitFull}, bob.waitFor(t, "r"))
	require.Equal(t, &wire.Waiting{Position: 2, Count: 2, Reason: wire.WaitFull}, cid.waitFor(t, "r"))
	_, err := newPeer(t, there, "eve").joinWith(&wire.Join{Room: "r", Wait: true})
	requireCode(t, wire.CodeRoomFull, err)
	_, err = cid.publish("r", "let me in")
	requireCode(t, wire.CodeNotMember, err)
	bob.awaitBody(t, &wire.Waiting{Position: 1, Count: 2, Reason: wire.WaitFull})
	ada.awaitBody(t, &wire.WaitingPeer{Peer: wire.Waiter{ID: "cid", User: "user-cid", Name: "Name of cid"}, Reason: wire.WaitFull})
	_, err = ada.publish("r", "for members")
	require.NoError(t, err)
	snapshot, err := ada.look("r")
	require.NoError(t, err)
	require.Len(t, snapshot.Queue, 2)
	require.Equal(t, wire.Waiter{ID: "bob", User: "user-bob", Name: "Name of bob", Reason: wire.WaitFull}, snapshot.Queue[0])

	require.NoError(t, ada.leave("r"))
	seated := bob.await(t, wire.TypeSeated).Body.(*wire.Seated)
	require.Equal(t, []any{"bob", 1, "bob"}, []any{seated.Self, len(seated.Peers), seated.Peers[0].ID})
	cid.awaitBody(t, &wire.Waiting{Position: 1, Count: 1, Reason: wire.WaitFull})
	require.NotContains(t, bob.record(), "message 4")
	seq, err := bob.publish("r", "here I am")
	require.NoError(t, err)
	require.Greater(t, seq, seated.Seq)

	require.NoError(t, cid.leave("r"), "a place is given up like a seat")
	bob.awaitBody(t, &wire.GonePeer{Peer: "cid", Reason: wire.ReasonLeft})
	require.NotContains(t, cid.record(), word("message", seq))
	bob.End(wire.ReasonLeft)
	require.NoError(t, there.rooms.Settled(t.Context()))
	here.emptied(t)
	there.emptied(t)
	require.Empty(t, members(t, here, "r"))
}

// A moderated room: who may not moderate waits until it is let in, or is sent away.
func TestModeratedRoom(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here, there := startNode(t, addr, "here", waiters), startNode(t, addr, "there", waiters)
	policy := func(string) room.Policy { return room.Policy{Moderated: true, Capacity: 5, Waiting: 5} }
	as := func(n *node, id string, can room.Permissions) *peer {
		return newPeerAs(t, n, room.Identity{
			ID: id, App: app, User: "user-" + id, Policy: policy, Grant: func(string) (room.Permissions, bool) { return can, true },
		})
	}
	guest, rude := as(there, "guest", room.Permissions{Publish: true}), as(there, "rude", room.Permissions{Publish: true})
	boss := as(here, "boss", room.Permissions{Publish: true, Moderate: true})
	_, err := guest.join("r")
	requireCode(t, wire.CodeRoomLocked, err)
	require.Equal(t, wire.WaitModerated, guest.waitFor(t, "r").Reason)
	joined := boss.mustJoin(t, "r")
	require.Equal(t, []wire.Waiter{{ID: "guest", User: "user-guest", Reason: wire.WaitModerated}}, joined.Queue)
	rude.waitFor(t, "r")
	_, err = guest.controls(wire.ActionAdmit, "guest")
	requireCode(t, wire.CodeForbidden, err)
	_, err = boss.controls(wire.ActionAdmit, "nobody")
	requireCode(t, wire.CodePeerGone, err)
	reply, err := boss.controls(wire.ActionAdmit, "guest")
	require.NoError(t, err)
	require.Equal(t, 1, reply.Affected)
	require.Len(t, guest.await(t, wire.TypeSeated).Body.(*wire.Seated).Peers, 2)
	// Whose seat it is, is on another node than who calls: the only peer there must not be passed over for it.
	require.Equal(t, "guest", boss.await(t, wire.TypeJoinedPeer).Body.(*wire.JoinedPeer).Peer.ID)
	_, err = boss.controls(wire.ActionDeny, "rude")
	require.NoError(t, err)
	rude.awaitBody(t, &wire.Closed{Reason: wire.ReasonDenied, By: "boss"})
	guest.awaitBody(t, &wire.GonePeer{Peer: "rude", Reason: wire.ReasonDenied})
	rude.waitFor(t, "r") // may ask again
	_, err = there.rooms.Operator().Admit(t.Context(), store.Room{App: app, Name: "r"}, "", false)
	require.NoError(t, err)
	rude.await(t, wire.TypeSeated)
}

// A session that waits goes on waiting over another connection, on another gateway.
func TestWaitingIsResumed(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here, there := startNode(t, addr, "here", waiters), startNode(t, addr, "there", waiters)
	ada := newPeer(t, here, "ada")
	ada.mustJoin(t, "r")
	first := newPeerAs(t, here, room.Identity{ID: "bob", App: app, User: "user-bob", Grant: everything, Generation: 1, Grace: time.Minute})
	snapshot, err := first.joinWith(&wire.Join{Room: "r", Wait: true})
	require.NoError(t, err)
	first.Lose()
	second := newPeerAs(t, there, room.Identity{ID: "bob", App: app, User: "user-bob", Grant: everything, Generation: 2, Grace: time.Minute})
	rooms, err := wait(func(done func(map[string]wire.ResumedRoom, error)) {
		second.Resume(map[string]wire.Position{"r": {Epoch: snapshot.Epoch, Seq: snapshot.Seq}}, done)
	})
	require.NoError(t, err)
	require.Equal(t, map[string]wire.ResumedRoom{"r": {Result: wire.ResumeWaiting}}, rooms)
	second.Begin()
	second.awaitBody(t, &wire.Waiting{Position: 1, Count: 1, Reason: wire.WaitFull})
	require.NoError(t, ada.leave("r"))
	second.await(t, wire.TypeSeated)
	require.Zero(t, first.seen(wire.TypeSeated))
}

// What the word is lost of is found by asking again: here Redis loses everything, and with it who waits.
func TestWaitingOutlivesLostData(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.node(t, "a", waiters), w.node(t, "b", waiters)
		ada, bob := newPeer(t, a, "ada"), newPeer(t, b, "bob")
		ada.mustJoin(t, "r")
		bob.waitFor(t, "r")
		w.redis.FlushAll()
		ada.await(t, wire.TypeResync)
		eventually(t, func() bool {
			snapshot, err := ada.look("r")
			return err == nil && len(snapshot.Queue) == 1
		}, "bob waits again")
		require.NoError(t, ada.leave("r"))
		bob.await(t, wire.TypeSeated)
	})
}

// A queue is the same after Redis has lost everything: also where nodes have nobody in the room but those who wait.
func TestQueueOutlivesLostData(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		three := nodeOptions{Options: room.Options{Waiting: 9, Capacity: 1}}
		a, b, c := w.node(t, "a", three), w.node(t, "b", three), w.node(t, "c", three)
		ada := newPeer(t, a, "ada")
		ada.mustJoin(t, "r")
		names := []string{"w1", "w2", "w3", "w4", "w5"}
		waiters := map[string]*peer{}
		for i, name := range names {
			waiters[name] = newPeer(t, []*node{b, c, a, c, b}[i], name)
			waiters[name].waitFor(t, "r")
		}
		queue := func() (ids []string) {
			if snapshot, err := ada.look("r"); err == nil {
				for _, waiter := range snapshot.Queue {
					ids = append(ids, waiter.ID)
				}
			}
			return ids
		}
		w.redis.FlushAll()
		ada.await(t, wire.TypeResync)
		eventually(t, func() bool { return len(queue()) == len(names) }, "all wait again")
		require.Equal(t, names, queue())
		require.Zero(t, waiters["w1"].seen(wire.TypeSeated)+waiters["w5"].seen(wire.TypeClosed))
		require.NoError(t, ada.leave("r"))
		for _, name := range names {
			waiters[name].await(t, wire.TypeSeated)
			require.NoError(t, waiters[name].leave("r"))
		}
	})
}

// Who is sent away before its node has the answer to its join is told both, and does not wait for ever.
func TestDeniedBeforeTheAnswer(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here := startNode(t, addr, "here", waiters)
	newPeer(t, here, "ada").mustJoin(t, "r")
	late := waiters
	late.stopped = true
	there := startNode(t, addr, "there", late)
	denied := func(arrived string) store.Event {
		return store.Event{Room: store.Room{App: app, Name: "r"}, Type: store.TypeDenied, To: "bob", Body: []byte(
			`{"type":"denied","arrived":` + arrived + `,"reason":"denied","by":"ada"}`)}
	}
	bob, cid := newPeer(t, there, "bob"), newPeer(t, there, "cid")
	outcome := bob.startJoin(&wire.Join{Room: "r", Wait: true})
	there.deliver(denied("9000000000000000"))
	there.run()
	require.NotNil(t, (<-outcome).snapshot.Waiting)
	bob.awaitBody(t, &wire.Closed{Reason: wire.ReasonDenied, By: "ada"})
	require.Equal(t, []string{"join 2", "closed 0"}, bob.record())
	cid.waitFor(t, "r")
	before := denied("1") // of a place that it had before
	before.To = "cid"
	there.deliver(before)
	require.Zero(t, cid.seen(wire.TypeClosed))
}

// A policy by name decides about capacity, who may make a room, and the chat.
func TestPolicies(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "here", nodeOptions{})
	policies := map[string]room.Policy{
		"pair": {Capacity: 2, MaxCapacity: 2, Chat: -1, NoSpotlight: true}, "made": {NoCreate: true},
		"next": {Succession: true}, "stays": {Keep: time.Hour},
	}
	as := func(id string) *peer {
		return newPeerAs(t, n, room.Identity{
			ID: id, App: app, User: "user-" + id, Grant: everything, Policy: func(name string) room.Policy { return policies[name] },
		})
	}
	ada, bob := as("ada"), as("bob")
	require.Equal(t, 2, ada.mustJoin(t, "pair").Capacity)
	_, err := bob.joinWith(&wire.Join{Room: "pair", Capacity: 3})
	requireCode(t, wire.CodeLimit, err)
	_, err = wait(func(done func(wire.Done, error)) {
		ada.Publish(0, &wire.Publish{Room: "pair", Topic: wire.TopicChat, Data: mustJSON("x"), Keep: true}, done)
	})
	requireCode(t, wire.CodeForbidden, err)
	update := func(change wire.RoomChange) (wire.Updated, error) {
		return wait(func(done func(wire.Updated, error)) {
			ada.UpdateRoom(0, &wire.UpdateRoom{Room: "pair", Version: 1, RoomChange: change}, done)
		})
	}
	three := 3
	_, err = update(wire.RoomChange{Capacity: &three})
	requireCode(t, wire.CodeLimit, err)
	_, err = update(wire.RoomChange{Spotlight: (&wire.Spotlight{Interval: 5000, Order: []string{"ada"}}).Append(nil)})
	requireCode(t, wire.CodeForbidden, err)
	_, err = ada.join("made")
	requireCode(t, wire.CodeForbidden, err)
	_, err = ada.join("made")
	requireCode(t, wire.CodeForbidden, err)
	epoch := ada.mustJoin(t, "stays").Epoch
	require.NoError(t, ada.leave("stays"))
	require.Equal(t, epoch, bob.mustJoin(t, "stays").Epoch)
	ada.mustJoin(t, "next")
	bob.mustJoin(t, "next")
	presenter := "ada"
	_, err = wait(func(done func(wire.Updated, error)) {
		bob.UpdateRoom(0, &wire.UpdateRoom{Room: "next", Version: 1, RoomChange: wire.RoomChange{Presenter: &presenter}}, done)
	})
	require.NoError(t, err)
	require.NoError(t, ada.leave("next"))
	eventually(t, func() bool {
		changed, ok := bob.await(t, wire.TypeRoom).Body.(*wire.RoomChanged)
		return ok && changed.Version == 3 && *changed.Presenter == "bob"
	}, "bob presents")
}

// Where the first one moderates, it does so by its seat, also after it has come back on another gateway, and nobody after it does.
func TestFirstModerates(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here, there := startNode(t, addr, "here", waiters), startNode(t, addr, "there", waiters)
	policy := func(string) room.Policy {
		return room.Policy{FirstModerates: true, Moderated: true, Capacity: 5, Waiting: 5}
	}
	identity := func(id string, generation int64) room.Identity {
		publishes := func(string) (room.Permissions, bool) { return room.Permissions{Publish: true}, true }
		return room.Identity{ID: id, App: app, User: id, Generation: generation, Grace: time.Minute, Grant: publishes, Policy: policy}
	}
	ada, bob := newPeerAs(t, here, identity("ada", 1)), newPeerAs(t, there, identity("bob", 1))
	snapshot := ada.mustJoin(t, "r")
	require.Equal(t, &wire.Waiting{Position: 1, Count: 1, Reason: wire.WaitModerated}, bob.waitFor(t, "r"))
	controlled, err := ada.controls(wire.ActionAdmit, "bob")
	require.NoError(t, err)
	require.Equal(t, 1, controlled.Affected)
	bob.await(t, wire.TypeSeated)
	_, err = bob.controls(wire.ActionKick, "ada")
	requireCode(t, wire.CodeForbidden, err)

	moved := newPeerAs(t, there, identity("ada", 2))
	results, err := wait(func(done func(map[string]wire.ResumedRoom, error)) {
		moved.Resume(map[string]wire.Position{"r": {Epoch: snapshot.Epoch, Seq: snapshot.Seq}}, done)
	})
	require.NoError(t, err)
	require.Equal(t, wire.ResumeReplayed, results["r"].Result)
	moved.Begin()
	controlled, err = moved.controls(wire.ActionKick, "bob")
	require.NoError(t, err)
	require.Equal(t, 1, controlled.Affected)
}
