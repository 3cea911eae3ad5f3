package room_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Redis has lost everything. The gateways put back what their clients have, and the room as it was. No client sees another
// one leave, nobody new takes a seat meanwhile, and signaling goes on.
func TestDataIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.node(t, "a", nodeOptions{}), w.node(t, "b", nodeOptions{})
		ada, bob, cid := newPeer(t, a, "ada"), newPeer(t, b, "bob"), newPeer(t, a, "cid")
		_, err := ada.joinWith(&wire.Join{Room: "r", Capacity: 4, State: wire.Object{"mic": mustJSON(true)}})
		require.NoError(t, err)
		gone := newPeer(t, b, "gone") // so that orders have a hole
		gone.mustJoin(t, "r")
		bob.mustJoin(t, "r")
		require.NoError(t, gone.leave("r"))
		cid.mustJoin(t, "r")
		presenter, locked := "bob", true
		_, err = wait(func(done func(wire.Updated, error)) {
			ada.UpdateRoom(0, &wire.UpdateRoom{Room: "r", Version: 1, RoomChange: wire.RoomChange{
				Locked: &locked, Presenter: &presenter, Properties: wire.Object{"title": mustJSON("stand-up")},
				Spotlight: (&wire.Spotlight{Start: 1, Interval: 5000, Order: []string{"ada"}}).Append(nil),
			}}, done)
		})
		require.NoError(t, err)
		_, err = wait(func(done func(wire.Done, error)) {
			bob.SetState(0, &wire.SetState{Room: "r", State: wire.Object{"hand": mustJSON(true)}}, done)
		})
		require.NoError(t, err)
		_, err = wait(func(done func(wire.Controlled, error)) {
			cid.Control(0, &wire.Control{Room: "r", Action: wire.ActionMute, Kind: wire.KindAudio, To: "ada"}, done)
		})
		require.NoError(t, err)
		all := []*peer{ada, bob, cid}
		ada.await(t, wire.TypeControl)
		before := stored(t, a, "r")
		told := ada.seen(wire.TypeJoinedPeer)

		w.redis.FlushAll()
		lost := time.Now()
		late := newPeer(t, b, "late")
		_, err = late.join("r")
		requireCode(t, wire.CodeUnavailable, err) // not room_locked: what there was is not known
		for _, p := range all {
			p.await(t, wire.TypeResync)
		}
		require.Less(t, time.Since(lost), 5*time.Second)
		after := stored(t, b, "r")
		require.NotEqual(t, before.Epoch, after.Epoch)
		require.Greater(t, after.Seq, before.Seq, "numbers go on")
		after.Epoch, after.Seq = before.Epoch, before.Seq
		require.Equal(t, before, after)
		for _, p := range all {
			snapshot := p.await(t, wire.TypeResync).Body.(*wire.Resync)
			require.Equal(t, p.id, snapshot.Self)
			require.Len(t, snapshot.Peers, 3)
			require.Equal(t, wire.Object{"mic": mustJSON(true), wire.StateMutedAudio: mustJSON(true)}, snapshot.Peers[0].State)
			require.LessOrEqual(t, p.seen(wire.TypeLeftPeer), 1, "that of gone: %v", p.record())
		}
		require.Equal(t, told, ada.seen(wire.TypeJoinedPeer), "those who were there are not new")
		time.Sleep(5 * time.Second)
		moderator := newPeer(t, b, "moderator")
		snapshot := moderator.mustJoin(t, "r")
		require.EqualValues(t, 5, snapshot.Peers[3].Order, "orders go on")
		_, err = late.join("r")
		requireCode(t, wire.CodeRoomFull, err)
		seq := bob.mustPublish(t, "r", 1)
		for _, p := range []*peer{ada, cid, moderator} {
			p.awaitSeq(t, seq)
			requireRising(t, p)
			require.LessOrEqual(t, p.seen(wire.TypeResync), 1)
		}
		require.Equal(t, 2.0, a.metric(t, "signalbox_restored_seats_total"))
		require.Equal(t, 1.0, b.metric(t, "signalbox_restored_seats_total"))
	})
}

// A gateway came so late that others have taken the seats by then.
func TestSeatsAreTakenByOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		late, other := w.node(t, "late", nodeOptions{deaf: true}), w.node(t, "other", nodeOptions{})
		ada, bob, eve := newPeer(t, late, "ada"), newPeer(t, late, "bob"), newPeer(t, other, "eve")
		_, err := ada.joinWith(&wire.Join{Room: "r", Capacity: 2})
		require.NoError(t, err)
		bob.mustJoin(t, "r")
		gate, _, _ := strings.Cut(w.key(t, "room:"), "room:")
		w.redis.FlushAll()
		require.NoError(t, w.redis.Set(gate+"gate", "0"))
		_, err = eve.joinWith(&wire.Join{Room: "r", Capacity: 2})
		require.NoError(t, err)
		late.rooms.Emptied(late.store.Partition(roomOf("r")))
		bob.await(t, wire.TypeResync)
		closed := ada.await(t, wire.TypeClosed)
		require.Equal(t, wire.Event{Room: "r", Body: &wire.Closed{Reason: wire.ReasonClosed}}, *closed, "a number would be another event's")
		require.Equal(t, []string{"eve", "bob"}, members(t, other, "r"), "ada's place in the order is eve's")
		require.Equal(t, 1.0, late.metric(t, "signalbox_seats"))
		_, err = ada.publish("r", "x")
		requireCode(t, wire.CodeNotMember, err)
		_, err = bob.publish("r", "x")
		require.NoError(t, err)
		requireCode(t, wire.CodeNotMember, ada.leave("r"))
	})
}

// Seats that are asked for, or given up, while a room is put right are what their own answers say.
func TestRepairWithRequestsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		other := w.node(t, "other", nodeOptions{})
		witness := newPeer(t, other, "witness")
		witness.mustJoin(t, "r")
		w.network.SetLatency(100 * time.Millisecond)
		n := w.node(t, "n", nodeOptions{})
		stays, leaves, left := newPeer(t, n, "stays"), newPeer(t, n, "leaves"), connect(t, n, "moves", 1)
		for _, join := range []func(string) (*wire.Snapshot, error){stays.join, leaves.join, left.join} {
			_, err := join("r")
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		place := at(&wire.Snapshot{Epoch: stored(t, other, "r").Epoch}, 4)
		comes, moved := newPeer(t, n, "comes"), connect(t, n, "moves", 2)
		n.rooms.Emptied(n.store.Partition(roomOf("r"))) // a false alarm
		coming := comes.startJoin(&wire.Join{Room: "r"})
		gone := make(chan error, 1)
		leaves.Leave(0, "r", func(_ wire.Done, err error) { gone <- err })
		result := moved.mustResume(t, "r", place)
		require.NoError(t, (<-coming).err)
		require.NoError(t, <-gone)
		require.Equal(t, wire.ResumeReplayed, result.Result)
		stays.await(t, wire.TypeResync)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"witness", "stays", "moves", "comes"}, members(t, other, "r"))
		require.Equal(t, 1, witness.seen(wire.TypeLeftPeer), "%v", witness.record())
		seq := witness.mustPublish(t, "r", 1)
		for _, p := range []*peer{stays, comes, moved.peer} {
			p.awaitSeq(t, seq)
		}
		require.Equal(t, 3.0, n.metric(t, "signalbox_seats"))
		require.Equal(t, []bool{true}, left.closings())
	})
}

// A room that somebody else has made again counts from 1. Who leaves before all start over has left, though the number of that is lower
// than those that it has seen.
func TestLeaveOfARoomThatCountsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n, other := w.node(t, "n", nodeOptions{deaf: true}), w.node(t, "other", nodeOptions{})
		first, stays, leaves := newPeer(t, n, "first"), newPeer(t, n, "stays"), newPeer(t, n, "leaves")
		first.mustJoin(t, "r") // its place in the order is free for the newcomer
		stays.mustJoin(t, "r")
		require.NoError(t, first.leave("r"))
		for range 10 {
			stays.mustPublish(t, "r", 1)
		}
		leaves.mustJoin(t, "r")
		w.redis.FlushAll()
		_, err := newPeer(t, other, "early").join("r")
		requireCode(t, wire.CodeUnavailable, err)
		time.Sleep(5 * time.Second)
		newcomer := newPeer(t, other, "newcomer")
		newcomer.mustJoin(t, "r")
		n.rooms.Emptied(n.store.Partition(roomOf("r")))
		newcomer.awaitSeq(t, 3)
		require.NoError(t, leaves.leave("r"))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"newcomer", "stays"}, members(t, other, "r"))
		require.Zero(t, leaves.seen(wire.TypeClosed), "%v", leaves.record())
		require.Equal(t, 1.0, n.metric(t, "signalbox_seats"))
	})
}

// A connection was lost while Redis did not answer. When it does, the seat is to be kept for the grace, also if the room is
// put right before that is said.
func TestRepairBeforeADeparture(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		away, stays := connect(t, n, "away", 1), newPeer(t, n, "stays")
		joined := away.mustJoin(t, "r")
		stays.mustJoin(t, "r")
		w.redis.SetError("LOADING Redis is loading the dataset in memory")
		away.Lose()
		time.Sleep(100 * time.Millisecond)
		w.redis.SetError("")
		n.rooms.Emptied(n.store.Partition(roomOf("r")))
		stays.await(t, wire.TypeResync)
		require.Equal(t, []string{"away", "stays"}, members(t, n, "r"))
		n.settle(t)
		require.Equal(t, "away", stays.await(t, wire.TypeAwayPeer).Body.(*wire.AwayPeer).Peer)
		require.Zero(t, stays.seen(wire.TypeLeftPeer))
		require.True(t, member(t, n, "r", "away").Away)
		connect(t, n, "away", 2).mustResume(t, "r", at(joined, joined.Seq))
	})
}

// Redis does not answer for long while rooms are put right: it is asked until it does.
func TestRepairIsRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{deaf: true})
		p := newPeer(t, n, "p")
		p.mustJoin(t, "r")
		partition := n.store.Partition(roomOf("r"))
		for name, begin := range map[string]func(){
			"restore": func() { n.rooms.Emptied(partition) },
			"replay":  func() { n.gap("r", func() {}) },
		} {
			w.redis.SetError("LOADING Redis is loading the dataset in memory")
			begin()
			time.Sleep(time.Minute)
			require.Zero(t, p.seen(wire.TypeClosed), name)
			if name == "restore" {
				w.redis.FlushAll()
			}
			w.redis.SetError("")
			time.Sleep(10 * time.Second)
			require.Equal(t, []string{"p"}, members(t, n, "r"), name)
		}
		require.LessOrEqual(t, p.seen(wire.TypeResync), 2)
		require.NotZero(t, p.seen(wire.TypeResync))
	})
}

// What the last seat of a room has begun ends with it: it must not touch the room that comes after.
func TestRepairEndsWithTheLastSeat(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		p := newPeer(t, n, "p")
		p.mustJoin(t, "r")
		w.redis.FlushAll()
		n.rooms.Emptied(n.store.Partition(roomOf("r")))
		p.End(wire.ReasonLeft)
		n.settle(t)
		n.emptied(t)
		q := newPeer(t, n, "q")
		_, err := q.join("r")
		requireCode(t, wire.CodeUnavailable, err) // nothing has shut the gate before
		time.Sleep(5 * time.Second)
		q = newPeer(t, n, "q")
		q.mustJoin(t, "r")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"q"}, members(t, n, "r"))
		require.Equal(t, []string{"join 1"}, q.record())
	})
}

// Redis turns out to have been empty only once the seat was given: it is put back.
func TestDataIsLostWhileJoining(t *testing.T) {
	for name, resumes := range map[string]bool{"joins": false, "resumes": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				other := w.node(t, "other", nodeOptions{})
				before := connect(t, other, "ada", 1)
				joined := before.mustJoin(t, "r")
				before.lose(t, other)
				w.network.SetLatency(time.Second)
				n := w.node(t, "n", nodeOptions{deaf: true})
				c := connect(t, n, "ada", 2)
				if !resumes {
					c = connect(t, n, "bob", 1)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					if resumes {
						c.mustResume(t, "r", at(joined, joined.Seq))
					} else {
						c.mustJoin(t, "r")
					}
				}()
				time.Sleep(1500 * time.Millisecond) // it has the seat, and does not know
				w.redis.FlushAll()
				n.rooms.Emptied(n.store.Partition(roomOf("r")))
				<-done
				c.await(t, wire.TypeResync)
				require.Equal(t, []string{c.id}, members(t, other, "r"))
				_, err := c.publish("r", "here")
				require.NoError(t, err)
			})
		})
	}
}
