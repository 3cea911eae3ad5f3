package room_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A session goes on over another connection, on the same gateway or another one: what it missed comes first, once and in
// order, and then what happens.
func TestResume(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		for name, sameNode := range map[string]bool{"same node": true, "another node": false} {
			t.Run(name, func(t *testing.T) {
				here, there := startNode(t, addr, "here", nodeOptions{}), startNode(t, addr, "there", nodeOptions{})
				next := there
				if sameNode {
					next = here
				}
				first, witness := connect(t, here, "ada", 1), newPeer(t, there, "witness")
				witness.mustJoin(t, "r")
				joined := first.mustJoin(t, "r")
				witness.mustPublish(t, "r", 1)
				first.awaitRecord(t, "join 2", "message 3")
				first.lose(t, here)
				require.Equal(t, "ada", witness.await(t, wire.TypeAwayPeer).Body.(*wire.AwayPeer).Peer)
				require.True(t, member(t, there, "r", "ada").Away)
				here.emptied(t)
				witness.mustPublish(t, "r", 2) // 5 and 6, of which the client shall have got 5 in its last moment

				second := connect(t, next, "ada", 2)
				result, err := second.resume("r", at(joined, 5))
				require.NoError(t, err)
				require.Equal(t, wire.ResumedRoom{Result: wire.ResumeReplayed}, result)
				require.Equal(t, "ada", witness.await(t, wire.TypeBackPeer).Body.(*wire.BackPeer).Peer) // 7
				live := witness.mustPublish(t, "r", 2)
				require.EqualValues(t, 9, live)
				require.Empty(t, second.record(), "nothing before it was welcomed")
				second.Begin()
				witness.mustPublish(t, "r", 1)
				second.awaitRecord(t, "message 6", "message 8", "message 9", "message 10")
				_, err = second.publish("r", "I am back")
				require.NoError(t, err)
				require.Empty(t, second.closings())
				require.Equal(t, 1, witness.seen(wire.TypeAwayPeer))
				require.Equal(t, 1, witness.seen(wire.TypeBackPeer))
				require.Zero(t, witness.seen(wire.TypeLeftPeer))
				second.End(wire.ReasonLeft)
				witness.End(wire.ReasonLeft)
				next.settle(t)
				there.settle(t)
				require.Empty(t, members(t, here, "r"))
			})
		}
	})
}

// One room is taken over before another: the first connection, which is closed for it, does not tell the other room that the
// peer went away, unless it is not taken over in good time.
func TestRoomsAreTakenOverOneByOne(t *testing.T) {
	for name, late := range map[string]bool{"all in time": false, "one is too late": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				here, there := w.node(t, "here", nodeOptions{}), w.node(t, "there", nodeOptions{})
				first, witness := connect(t, here, "ada", 1), newPeer(t, there, "witness")
				q, r := first.mustJoin(t, "q"), first.mustJoin(t, "r")
				witness.mustJoin(t, "r")
				second := connect(t, there, "ada", 2)
				second.mustResume(t, "q", at(q, q.Seq))
				synctest.Wait()
				require.Equal(t, []bool{true}, first.closings())
				first.Lose()
				if late {
					time.Sleep(time.Minute)
				}
				second.mustResume(t, "r", at(r, r.Seq))
				time.Sleep(time.Minute)
				told := 0
				if late {
					told = 1
				}
				require.Equal(t, told, witness.seen(wire.TypeAwayPeer))
				require.Equal(t, told, witness.seen(wire.TypeBackPeer))
				require.Zero(t, witness.seen(wire.TypeLeftPeer))
				require.EqualValues(t, told, here.metric(t, "signalbox_lost_seats_total"))
				require.False(t, member(t, there, "r", "ada").Away)
			})
		})
	}
}

// The client had seen a room whose log is gone by now, or never had one of that epoch.
func TestResumeFromASnapshot(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Addr(), "n", nodeOptions{})
	first, witness := connect(t, n, "ada", 1), newPeer(t, n, "witness")
	witness.mustJoin(t, "r")
	joined := first.mustJoin(t, "r")
	first.lose(t, n)
	witness.mustPublish(t, "r", 3)
	removeLog(t, server)
	second := connect(t, n, "ada", 2)
	require.Equal(t, wire.ResumeResync, second.mustResume(t, "r", at(joined, 2)).Result)
	witness.mustPublish(t, "r", 1)
	second.awaitRecord(t, "resync 7", "message 8")
	snapshot := second.events()[0].Body.(*wire.Resync)
	require.Len(t, snapshot.Peers, 2)
	require.Equal(t, "ada", snapshot.Self)
	require.Equal(t, joined.Epoch, snapshot.Epoch)

	// It says that it has seen what Redis has not: numbers began anew, and the room has another epoch.
	third := connect(t, n, "ada", 3)
	require.Equal(t, wire.ResumeResync, third.mustResume(t, "r", at(joined, 1000)).Result)
	resync := third.await(t, wire.TypeResync)
	require.Greater(t, resync.Seq, int64(1000))
	require.NotEqual(t, joined.Epoch, resync.Body.(*wire.Resync).Epoch)
	again := witness.await(t, wire.TypeResync).Body.(*wire.Resync)
	require.Equal(t, resync.Body.(*wire.Resync).Epoch, again.Epoch, "all start over")
	witness.mustPublish(t, "r", 1)
	third.await(t, wire.TypeMessage)
}

// removeLog is Redis without the only room's log.
func removeLog(t *testing.T, server *redistest.Server) {
	t.Helper()
	removed, err := server.Do("EVAL", `return redis.call('DEL', unpack(redis.call('KEYS', 'sb:{*}:log:*')))`, "0")
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
}

// The seat is no more when the client comes back.
func TestResumeGone(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		for name, tc := range map[string]struct {
			alone bool
			lost  func(t *testing.T, n *node, witness *peer)
		}{
			"kicked while it was away": {false, func(t *testing.T, _ *node, witness *peer) {
				_, err := witness.kick("r", "ada")
				require.NoError(t, err)
				require.Equal(t, wire.ReasonKicked, witness.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Reason)
			}},
			"the grace is over": {false, func(t *testing.T, n *node, witness *peer) {
				expire(t, n, "r")
				require.Equal(t, wire.ReasonDisconnected, witness.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Reason)
			}},
			"the room has ended": {true, func(t *testing.T, n *node, _ *peer) {
				expire(t, n, "r")
				require.False(t, stored(t, n, "r").Found)
			}},
		} {
			t.Run(name, func(t *testing.T) {
				n := startNode(t, addr, "n", nodeOptions{})
				first := connectAs(t, n, room.Identity{ID: "ada", User: "u", Generation: 1, Grace: time.Millisecond})
				witness := newPeer(t, n, "witness")
				joined := first.mustJoin(t, "r")
				if !tc.alone {
					witness.mustJoin(t, "r")
				}
				first.lose(t, n)
				tc.lost(t, n, witness)
				second := connect(t, n, "ada", 2)
				require.Equal(t, wire.ResumedRoom{Result: wire.ResumeGone}, second.mustResume(t, "r", at(joined, joined.Seq)))
				_, err := second.publish("r", "x")
				requireCode(t, wire.CodeNotMember, err)
				require.True(t, second.mustJoin(t, "r").Seq > 0)
				witness.End(wire.ReasonLeft)
				second.End(wire.ReasonLeft)
				n.settle(t)
				n.emptied(t)
				require.Empty(t, members(t, n, "r"))
			})
		}
	})
}

// expire gives up the away seats whose grace is over.
func expire(t *testing.T, n *node, name string) {
	t.Helper()
	eventually(t, func() bool {
		expired, err := wait(func(done func(int, error)) {
			n.store.Expire(n.store.Partition(roomOf(name)), time.Now().Add(time.Hour), func(expired, _ int, err error) { done(expired, err) })
		})
		require.NoError(t, err)
		return expired == 1
	}, "a seat expires")
}

// Only the client knows which of its connections is the last.
func TestEarlierConnectionsAreRefused(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		here, there := startNode(t, addr, "here", nodeOptions{}), startNode(t, addr, "there", nodeOptions{})
		first := connect(t, here, "ada", 1)
		joined := first.mustJoin(t, "r")
		third := connect(t, here, "ada", 3)
		require.Equal(t, wire.ResumeReplayed, third.mustResume(t, "r", at(joined, joined.Seq)).Result)
		eventually(t, func() bool { return len(first.closings()) == 1 }, "the first is told")
		require.Equal(t, []bool{true}, first.closings())
		first.Lose() // as its session does then
		for _, late := range []*connection{connect(t, here, "ada", 2), connect(t, there, "ada", 2), connect(t, here, "ada", 3), connect(t, there, "ada", 3)} {
			_, err := late.resume("r", at(joined, joined.Seq))
			requireCode(t, wire.CodeResumeRefused, err)
			late.Lose() // as its session does
			here.settle(t)
			there.settle(t)
			require.Empty(t, late.closings(), "its client may begin a new session on it")
		}
		seat := member(t, here, "r", "ada")
		require.Equal(t, []any{"here", int64(3), false}, []any{seat.Node, seat.Generation, seat.Away})
		_, err := third.publish("r", "still here")
		require.NoError(t, err)

		fourth := connect(t, there, "ada", 4)
		fourth.mustResume(t, "r", at(joined, joined.Seq))
		eventually(t, func() bool { return len(third.closings()) == 1 }, "the third is told, by Redis")
		require.Equal(t, []bool{true}, third.closings())
		here.emptied(t)
		_, err = third.publish("r", "not any more")
		requireCode(t, wire.CodeNotMember, err)
		require.Equal(t, 1.0, here.metric(t, "signalbox_fenced_seats_total"))
	})
}

// What an earlier connection still has under way has no effect, and its end takes nothing away, whatever comes first.
func TestTakenOverWithoutAWord(t *testing.T) {
	addr := redistest.Single(t).Addr()
	here, there := startNode(t, addr, "here", nodeOptions{deaf: true}), startNode(t, addr, "there", nodeOptions{})
	first := connect(t, here, "ada", 1)
	joined := first.mustJoin(t, "r")
	second := connect(t, there, "ada", 2)
	second.mustResume(t, "r", at(joined, joined.Seq))
	_, err := first.publish("r", "from the past")
	requireCode(t, wire.CodeUnavailable, err)
	eventually(t, func() bool { return len(first.closings()) > 0 }, "it is told to come back")
	require.False(t, first.closings()[0])
	first.lose(t, here)
	first = connect(t, here, "bob", 1)
	first.mustJoin(t, "r")
	connect(t, there, "bob", 2).mustResume(t, "r", at(joined, joined.Seq))
	first.End(wire.ReasonLeft)
	here.settle(t)
	require.Equal(t, []string{"ada", "bob"}, members(t, there, "r"))
}

// A resume that Redis does not answer, and the end of its connection: the seat is away, not held by nobody for ever.
func TestResumeIsNotAnswered(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Addr(), "n", nodeOptions{readTimeout: 700 * time.Millisecond})
	first := connect(t, n, "ada", 1)
	joined := first.mustJoin(t, "r")
	server.Stop()
	first.Lose()
	second := connect(t, n, "ada", 2)
	_, err := second.resume("r", at(joined, joined.Seq))
	requireCode(t, wire.CodeUnavailable, err)
	second.Lose()
	n.emptied(t)
	third := connect(t, n, "ada", 3)
	outcome := third.startResume("r", at(joined, joined.Seq))
	third.Lose() // it has waited for long enough
	server.Cont()
	<-outcome
	third.Begin()
	n.settle(t)
	n.emptied(t)
	seat := member(t, n, "r", "ada")
	require.True(t, seat.Away)
	require.Equal(t, wire.ResumeReplayed, connect(t, n, "ada", 4).mustResume(t, "r", at(joined, joined.Seq)).Result)
}

// The way to Redis was cut when a connection was lost, and still when the session's next one came and went: the first one's
// seat would have been nobody's, held for as long as the gateway lives.
func TestDepartureOutlivesALaterConnection(t *testing.T) {
	onCable(t, func(t *testing.T, n *node, way *memnet.Cable) {
		first := connect(t, n, "ada", 1)
		joined := first.mustJoin(t, "r")
		way.Cut()
		first.Lose()
		time.Sleep(1500 * time.Millisecond) // the departure was not answered, and is to be repeated in half a second
		second := connect(t, n, "ada", 2)
		_, err := second.resume("r", at(joined, joined.Seq))
		requireCode(t, wire.CodeUnavailable, err)
		second.Lose()
		way.Each((*memnet.Conn).Sever) // what was sent is lost
		way.Heal()
		n.settle(t)
		n.emptied(t)
		require.True(t, member(t, n, "r", "ada").Away)
	})
}

// The answer of a leave was lost with the connection, and that of the join after it. Both are sent again.
func TestLeaveAndJoinAgain(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n", nodeOptions{})
		first, witness := connect(t, n, "ada", 1), newPeer(t, n, "witness")
		witness.mustJoin(t, "r")
		numbered := func(c *connection, id int64) error {
			_, err := wait(func(done func(*wire.Snapshot, error)) { c.Join(id, &wire.Join{Room: "r"}, done) })
			return err
		}
		leave := func(c *connection, id int64) error {
			_, err := wait(func(done func(wire.Done, error)) { c.Leave(id, "r", done) })
			return err
		}
		require.NoError(t, numbered(first, 1)) // 2
		epoch := stored(t, n, "r").Epoch
		require.NoError(t, leave(first, 2)) // 3
		require.NoError(t, numbered(first, 3))
		order := member(t, n, "r", "ada").Order
		first.lose(t, n)
		second := connect(t, n, "ada", 2)
		result := second.mustResume(t, "r", wire.Position{Epoch: epoch, Seq: 2})
		require.Equal(t, wire.ResumedRoom{Result: wire.ResumeResync, Request: 3}, result)
		require.NoError(t, leave(second, 2), "answered as then")
		require.NoError(t, numbered(second, 3))
		require.Equal(t, order, member(t, n, "r", "ada").Order, "it is the same seat")
		require.Equal(t, 1, witness.seen(wire.TypeLeftPeer))
		_, err := second.publish("r", "here")
		require.NoError(t, err)
		require.NoError(t, leave(second, 4))
		_, err = second.publish("r", "gone")
		requireCode(t, wire.CodeNotMember, err)
	})
}

// A request that comes again is answered as it was then. Were what it says now taken for what it said, a client could have the
// room put right again and again, by saying something else.
func TestRepeatedRequestIsNoWitness(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		first, witness := connect(t, n, "ada", 1), newPeer(t, n, "witness")
		witness.mustJoin(t, "r")
		joined := first.mustJoin(t, "r")
		say := func(c *connection, id int64, data string) wire.Done {
			reply, err := wait(func(done func(wire.Done, error)) { c.Publish(id, &wire.Publish{Room: "r", Data: mustJSON(data)}, done) })
			require.NoError(t, err)
			return reply
		}
		said := say(first, 5, "this")
		second := connect(t, n, "ada", 2)
		require.EqualValues(t, 5, second.mustResume(t, "r", at(joined, joined.Seq)).Request)
		require.Equal(t, said.Seq, say(second, 5, "something else").Seq)
		n.gap("r", func() {})
		time.Sleep(time.Second)
		witness.awaitSeq(t, say(second, 6, "what comes").Seq)
		time.Sleep(10 * time.Second)
		require.Zero(t, witness.seen(wire.TypeResync), "%v", witness.record())
		require.Equal(t, joined.Epoch, stored(t, n, "r").Epoch)
	})
}

func TestResumeLimits(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "n", nodeOptions{Options: room.Options{PerSession: 2}})
	c := connect(t, n, "ada", 2)
	positions := map[string]wire.Position{}
	for i := range 3 {
		positions["r"+strconv.Itoa(i)] = wire.Position{Epoch: "e", Seq: 1}
	}
	_, err := wait(func(done func(map[string]wire.ResumedRoom, error)) { c.Resume(positions, done) })
	requireCode(t, wire.CodeLimit, err)
	rooms, err := wait(func(done func(map[string]wire.ResumedRoom, error)) { c.Resume(nil, done) })
	require.NoError(t, err)
	require.Empty(t, rooms)
	delete(positions, "r2")
	rooms, err = wait(func(done func(map[string]wire.ResumedRoom, error)) { c.Resume(positions, done) })
	require.NoError(t, err)
	require.Equal(t, map[string]wire.ResumedRoom{"r0": {Result: wire.ResumeGone}, "r1": {Result: wire.ResumeGone}}, rooms)
	n.emptied(t)
}

// A session that moves to another connection of the same gateway takes all its seats before the old one is closed. The end of
// that one would have made those away, for all to see, that were not asked for yet.
func TestTakeoverIsNotSeen(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "n", nodeOptions{})
	connects := func(generation int64) (p *peer) {
		identity := room.Identity{
			ID: "ada", App: app, User: "ada", Grant: everything, Generation: generation, Grace: time.Minute}
		identity.Detached = func(bool) { p.Lose() } // as the end of its connection does
		p = newPeerAs(t, n, identity)
		return p
	}
	witness, first := newPeer(t, n, "witness"), connects(1)
	positions := make(map[string]wire.Position)
	for i := range 8 {
		name := "r" + strconv.Itoa(i)
		witness.mustJoin(t, name)
		positions[name] = at(first.mustJoin(t, name), 2)
	}
	const moves = 50
	for i := range int64(moves) {
		next := connects(i + 2)
		_, err := wait(func(done func(map[string]wire.ResumedRoom, error)) { next.Resume(positions, done) })
		require.NoError(t, err)
		next.Begin()
		n.settle(t)
	}
	witness.mustPublish(t, "r0", 1)
	require.Zero(t, witness.seen(wire.TypeAwayPeer))
}

// A user's next session takes the place of the earlier one, also of one that is away, and nobody else's.
func TestSameUserIsReplaced(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		here, there := startNode(t, addr, "here", nodeOptions{}), startNode(t, addr, "there", nodeOptions{})
		as := func(n *node, id, user string, replace bool) *connection {
			return connectAs(t, n, room.Identity{ID: id, User: user, Generation: 1, Replace: replace})
		}
		away, present, other := as(here, "ada-1", "ada", false), as(here, "ada-2", "ada", false), as(there, "eve", `ada","name":"x`, false)
		for _, c := range []*connection{away, present, other} {
			c.mustJoin(t, "r")
		}
		away.lose(t, here)
		next := as(there, "ada-3", "ada", true)
		snapshot := next.mustJoin(t, "r")
		require.Equal(t, 2, snapshot.Count)
		closed := present.await(t, wire.TypeClosed).Body.(*wire.Closed)
		require.Equal(t, wire.ReasonReplaced, closed.Reason)
		eventually(t, func() bool { return other.seen(wire.TypeLeftPeer) == 2 }, "both have left: %v", other.record)
		require.Equal(t, wire.ReasonReplaced, other.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Reason)
		here.emptied(t)
		require.Equal(t, []string{"eve", "ada-3"}, members(t, there, "r"))
		require.Empty(t, present.closings(), "the session goes on, without the seat")
	})
}

// Without a grace a lost connection gives its seat up at once.
func TestNoGrace(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "n", nodeOptions{})
	p, witness := newPeer(t, n, "p"), newPeer(t, n, "witness")
	p.mustJoin(t, "r")
	witness.mustJoin(t, "r")
	p.Lose()
	n.settle(t)
	require.Equal(t, wire.ReasonDisconnected, witness.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Reason)
	require.Zero(t, witness.seen(wire.TypeAwayPeer))
}
