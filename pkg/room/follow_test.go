package room_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// inBubble runs a test on fake time with an embedded Redis.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) {
		w := &world{network: new(memnet.Network)}
		w.redis = memredis.Serve(t, w.network)
		test(t, w)
	})
}

// onCable runs a test on fake time with a node whose way to an embedded Redis can be cut; it waits a second for an answer.
func onCable(t *testing.T, test func(t *testing.T, n *node, way *memnet.Cable)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		memredis.Serve(t, network)
		way := &memnet.Cable{Network: network}
		test(t, startNode(t, memredis.Addr, "n", nodeOptions{dialer: way.DialContext, readTimeout: time.Second}), way)
	})
}

// world is an embedded Redis and the network that leads to it.
type world struct {
	network *memnet.Network
	redis   *miniredis.Miniredis
}

func (w *world) node(t *testing.T, id string, opts nodeOptions) *node {
	t.Helper()
	opts.dialer = w.network.DialContext
	return startNode(t, memredis.Addr, id, opts)
}

// key gives the only key of a kind.
func (w *world) key(t *testing.T, kind string) string {
	t.Helper()
	var found []string
	for _, key := range w.redis.Keys() {
		if strings.Contains(key, "}:"+kind) {
			found = append(found, key)
		}
	}
	require.Len(t, found, 1, "%v", w.redis.Keys())
	return found[0]
}

// What was published while a subscription was lost comes from the log, before what has come since, and once.
func TestGapIsReplayed(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n", nodeOptions{deaf: true})
		other := startNode(t, addr, "other", nodeOptions{})
		p, q, sender := newPeer(t, n, "p"), newPeer(t, n, "q"), newPeer(t, other, "sender")
		for _, p := range []*peer{sender, p, q} {
			p.mustJoin(t, "r")
		}
		epoch := stored(t, other, "r").Epoch
		n.deliver(record(epoch, 3, "q", &wire.JoinedPeer{Peer: wire.Peer{ID: "q", Order: 3, User: "user-q", Name: "Name of q"}}))
		n.gap("r", func() {
			sender.mustPublish(t, "r", 3) // 4 to 6
			// 7, of which q alone is to know. 5 came through, late, and is not told before 4.
			_, err := wait(func(done func(wire.Done, error)) {
				sender.Signal(0, &wire.Signal{Room: "r", To: "q", Data: mustJSON(map[string]int{})}, done)
			})
			require.NoError(t, err)
			n.deliver(message("r", epoch, 5))
			require.Equal(t, []string{"join 2", "joined-peer 3"}, p.record())
		})
		n.deliver(message("r", epoch, 8))
		p.awaitRecord(t, "join 2", "joined-peer 3", "message 4", "message 5", "message 6", "message 8")
		q.awaitRecord(t, "join 3", "message 4", "message 5", "message 6", "signal 7", "message 8")
		require.Equal(t, 1.0, n.metric(t, "signalbox_room_replays_total", "replayed"))
		require.Zero(t, n.metric(t, "signalbox_resyncs_total"))
	})
}

// record is an event for all but a peer.
func record(epoch string, seq int64, except string, body wire.EventBody) store.Event {
	return store.Event{
		Room: roomOf("r"), Epoch: epoch, Seq: seq, Type: string(body.Type()), Except: except, Body: wire.AppendEventBody(nil, "r", body)}
}

// The subscription was lost, and made again, while the first seat in the room was asked for. What was published in between
// is after the join, and must come before what is heard since.
func TestGapBeforeTheSnapshot(t *testing.T) {
	const oneWay = time.Second
	for name, madeAgain := range map[string]time.Duration{
		"made again before the answer": oneWay + 200*time.Millisecond, "made again after the answer": 3 * oneWay,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				other := w.node(t, "other", nodeOptions{})
				sender := newPeer(t, other, "sender")
				epoch := sender.mustJoin(t, "r").Epoch
				w.network.SetLatency(oneWay)
				n := w.node(t, "n", nodeOptions{deaf: true})
				p := newPeer(t, n, "p")
				partition, begun := n.store.Partition(roomOf("r")), time.Now()
				p.startJoin(&wire.Join{Room: "r"}) // 2, a second from now
				n.rooms.Lost(partition)
				time.Sleep(oneWay + 100*time.Millisecond)
				sender.mustPublish(t, "r", 3)
				time.Sleep(time.Until(begun.Add(madeAgain)))
				n.rooms.Resubscribed(partition)
				n.deliver(message("r", epoch, 5))
				p.awaitRecord(t, "join 2", "message 3", "message 4", "message 5")
			})
		})
	}
}

// Events of another life of the room reach the node before the first snapshot's answer: late ones of the last, which are
// void, or those that a loss of data has begun since.
func TestAnotherLifeBeforeTheSnapshot(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		other := w.node(t, "other", nodeOptions{})
		sender := newPeer(t, other, "sender")
		sender.mustJoin(t, "r")
		w.network.SetLatency(time.Second)
		n := w.node(t, "n", nodeOptions{deaf: true})
		p := newPeer(t, n, "p")
		p.startJoin(&wire.Join{Room: "r"})
		n.deliver(message("r", "EARLIER", 99))
		p.awaitRecord(t, "join 2")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"join 2"}, p.record())

		q := newPeer(t, n, "q")
		q.startJoin(&wire.Join{Room: "s"})
		time.Sleep(1500 * time.Millisecond) // it has the seat
		w.redis.FlushAll()
		n.deliver(message("s", "LATER", 1))
		q.await(t, wire.TypeResync)
		require.Equal(t, []string{"q"}, members(t, n, "s"))
	})
}

// Nothing that happened in a quiet room is missed: its log has expired, and nobody is bothered.
func TestGapInAQuietRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{})
		p, q := newPeer(t, n, "p"), newPeer(t, n, "q")
		p.mustJoin(t, "r")
		q.mustJoin(t, "r")
		p.awaitRecord(t, "join 1", "joined-peer 2")
		time.Sleep(time.Hour)
		n.gap("r", func() {})
		q.mustPublish(t, "r", 1)
		p.awaitRecord(t, "join 1", "joined-peer 2", "message 3")
		require.Equal(t, 1.0, n.metric(t, "signalbox_room_replays_total", "replayed"))
	})
}

// The log does not reach back any more: all start over from a snapshot. Who was kicked meanwhile is told so, and does not
// come back by it.
func TestGapLongerThanTheLog(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n, other := startNode(t, addr, "n", nodeOptions{deaf: true}), startNode(t, addr, "other", nodeOptions{})
		p, kicked, moderator := newPeer(t, n, "p"), newPeer(t, n, "kicked"), newPeer(t, other, "moderator")
		for _, p := range []*peer{moderator, p, kicked} {
			p.mustJoin(t, "r")
		}
		n.gap("r", func() {
			_, err := moderator.kick("r", "kicked")
			require.NoError(t, err)
			moderator.mustPublish(t, "r", 600)
		})
		resync := p.await(t, wire.TypeResync)
		require.EqualValues(t, 604, resync.Seq)
		require.Equal(t, []string{"join 2", "resync 604"}, p.record())
		require.Equal(t, wire.ReasonClosed, kicked.await(t, wire.TypeClosed).Body.(*wire.Closed).Reason)
		require.Equal(t, []string{"moderator", "p"}, members(t, other, "r"))
		require.Equal(t, 1.0, n.metric(t, "signalbox_room_replays_total", "log"))
		require.Equal(t, 1.0, n.metric(t, "signalbox_seats"))
		n.deliver(message("r", resync.Body.(*wire.Resync).Epoch, 605))
		p.awaitRecord(t, "join 2", "resync 604", "message 605")
	})
}

// Redis went back in time and on again: the log has other events than the node has seen. Nobody may take what comes for the
// continuation, on no node.
func TestLogWithOtherEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n, other := w.node(t, "n", nodeOptions{}), w.node(t, "other", nodeOptions{})
		p, q := newPeer(t, n, "p"), newPeer(t, other, "q")
		epoch := p.mustJoin(t, "r").Epoch
		q.mustJoin(t, "r")
		q.mustPublish(t, "r", 2) // 3 and 4
		p.awaitRecord(t, "join 1", "joined-peer 2", "message 3", "message 4")
		log := w.key(t, "log:")
		entries, err := w.redis.Stream(log)
		require.NoError(t, err)
		w.redis.Del(log)
		for _, entry := range entries { // 4 says something else
			entry.Values[1] = strings.Replace(entry.Values[1], "message 1", "message X", 1)
			_, err := w.redis.XAdd(log, entry.ID, entry.Values)
			require.NoError(t, err)
		}
		n.gap("r", func() {})
		for _, p := range []*peer{p, q} {
			snapshot := p.await(t, wire.TypeResync).Body.(*wire.Resync)
			require.NotEqual(t, epoch, snapshot.Epoch)
			require.Len(t, snapshot.Peers, 2)
		}
		require.Equal(t, 1.0, n.metric(t, "signalbox_room_replays_total", "rewound"))
		require.Equal(t, 1.0, other.metric(t, "signalbox_room_replays_total", "epoch"))
		p.awaitSeq(t, q.mustPublish(t, "r", 1))
		for _, p := range []*peer{p, q} {
			require.Zero(t, p.seen(wire.TypeLeftPeer))
			require.Equal(t, 1, p.seen(wire.TypeResync))
		}
	})
}

// A connection was lost together with Redis' last events. That Redis has answered one of them came to be known only after that
// the subscription was lost, too; no node has got the event itself, and its sender was told that it is in order.
func TestAnswersOfAGapAreWitnesses(t *testing.T) {
	for name, tc := range map[string]struct{ rewinds, goesOn bool }{
		"nothing was lost": {}, "it was lost": {rewinds: true}, "another has its number": {rewinds: true, goesOn: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				n := w.node(t, "n", nodeOptions{deaf: true})
				p, q := newPeer(t, n, "p"), newPeer(t, n, "q")
				p.mustJoin(t, "r")
				joined := q.mustJoin(t, "r")
				n.gap("r", func() {
					seq, err := p.publish("r", "acknowledged")
					require.NoError(t, err)
					if !tc.rewinds {
						return
					}
					log := w.key(t, "log:")
					entries, err := w.redis.Stream(log)
					require.NoError(t, err)
					w.redis.Del(log)
					for _, entry := range entries[:len(entries)-1] {
						_, err := w.redis.XAdd(log, entry.ID, entry.Values)
						require.NoError(t, err)
					}
					w.redis.HIncrBy(w.key(t, "room:"), "seq", -1)
					if tc.goesOn {
						again, err := q.publish("r", "of the new past")
						require.NoError(t, err)
						require.Equal(t, seq, again)
					}
				})
				time.Sleep(10 * time.Second)
				if tc.rewinds {
					require.NotEqual(t, joined.Epoch, q.await(t, wire.TypeResync).Body.(*wire.Resync).Epoch)
					require.Equal(t, 1, p.seen(wire.TypeResync))
					require.Equal(t, 1.0, n.metric(t, "signalbox_room_replays_total", "rewound"))
					return
				}
				require.Equal(t, 1, q.seen(wire.TypeMessage))
				require.Zero(t, q.seen(wire.TypeResync))
			})
		})
	}
}

// Redis went back to before a join, and others went on: it has no seat for the peer, which would hear nothing for ever.
func TestSeatIsMissing(t *testing.T) {
	for name, notice := range map[string]func(*testing.T, *node, *peer){
		"after a gap": func(_ *testing.T, n *node, _ *peer) { n.gap("r", func() {}) },
		"at a request": func(t *testing.T, _ *node, p *peer) {
			_, err := p.publish("r", "x")
			requireCode(t, wire.CodeUnavailable, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				n, other := w.node(t, "n", nodeOptions{}), w.node(t, "other", nodeOptions{})
				q, p := newPeer(t, other, "q"), newPeer(t, n, "p")
				epoch := q.mustJoin(t, "r").Epoch
				_, err := p.joinWith(&wire.Join{Room: "r", State: wire.Object{"mic": mustJSON(true)}})
				require.NoError(t, err)
				w.redis.HDel(w.key(t, "room:"), "p:p")
				w.redis.HDel(w.key(t, "room:"), "s:p")
				w.redis.HSet(w.key(t, "room:"), "nodes", "other 1", "count", "1")
				q.mustPublish(t, "r", 3)
				notice(t, n, p)
				require.NotEqual(t, epoch, p.await(t, wire.TypeResync).Body.(*wire.Resync).Epoch)
				q.await(t, wire.TypeResync)
				seat := member(t, other, "r", "p")
				require.Equal(t, []any{"n", int64(2)}, []any{seat.Node, seat.Order})
				require.Equal(t, store.State{"mic": mustJSON(true)}, seat.State)
				p.awaitSeq(t, q.mustPublish(t, "r", 1))
				require.Zero(t, p.seen(wire.TypeClosed))
				require.Zero(t, q.seen(wire.TypeLeftPeer))
				require.Equal(t, 1.0, n.metric(t, "signalbox_room_replays_total", "seat"))
			})
		})
	}
}

// A seat that is no more, and of which the log says nothing, is closed when its peer asks.
func TestSeatWasTakenByAnotherConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n, other := w.node(t, "n", nodeOptions{deaf: true}), w.node(t, "other", nodeOptions{})
		first, stays := connect(t, n, "ada", 1), newPeer(t, n, "stays")
		joined := first.mustJoin(t, "r")
		stays.mustJoin(t, "r")
		n.gap("r", func() { // the word that it is fenced is lost
			connect(t, other, "ada", 2).mustResume(t, "r", at(joined, joined.Seq))
		})
		eventually(t, func() bool { return len(first.closings()) == 1 }, "told")
		require.Equal(t, []bool{true}, first.closings())
		require.Equal(t, 1.0, n.metric(t, "signalbox_seats"))
		require.Equal(t, "other", member(t, n, "r", "ada").Node)
		require.Equal(t, joined.Epoch, stored(t, n, "r").Epoch, "nothing was lost")
	})
}

// However often and in whatever order a node hears that events or data are lost, it ends well: it is told everything, and
// everybody keeps the seat.
func TestTroubleInAnyOrder(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				rnd := rand.New(rand.NewPCG(seed, 0))
				n, other := w.node(t, "n", nodeOptions{}), w.node(t, "other", nodeOptions{})
				p, q, r := newPeer(t, n, "p"), newPeer(t, other, "q"), connect(t, n, "r", 1)
				for _, join := range []func(testing.TB, string) *wire.Snapshot{p.mustJoin, q.mustJoin, r.mustJoin} {
					join(t, "r")
				}
				partition := n.store.Partition(roomOf("r"))
				for range 20 {
					switch rnd.IntN(7) {
					case 0, 1:
						n.rooms.Lost(partition)
					case 2, 3:
						n.rooms.Resubscribed(partition)
					case 4:
						n.rooms.Emptied(partition)
					case 5:
						w.redis.FlushAll()
						n.rooms.Emptied(partition)
						other.rooms.Emptied(partition)
					case 6:
						_, _ = q.publish("r", "x")
					}
					time.Sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
				}
				n.rooms.Lost(partition)
				n.rooms.Resubscribed(partition)
				time.Sleep(30 * time.Second)
				require.Equal(t, []string{"p", "q", "r"}, members(t, n, "r"))
				p.awaitSeq(t, q.mustPublish(t, "r", 1))
				for _, p := range []*peer{p, q, r.peer} {
					require.Zero(t, p.seen(wire.TypeClosed), "%v", p.record())
					require.Zero(t, p.seen(wire.TypeLeftPeer), "%v", p.record())
					requireRising(t, p)
				}
				require.Empty(t, r.closings())
			})
		})
	}
}

// requireRising requires that numbers rise from each snapshot on.
func requireRising(t *testing.T, p *peer) {
	t.Helper()
	last := int64(0)
	for _, event := range p.events() {
		if event.Body.Type() != wire.TypeResync {
			require.Greater(t, event.Seq, last, "%v", p.record())
		}
		last = event.Seq
	}
}

// Many events that have waited reach a session in pieces, in order.
func TestManyEventsAfterAGap(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := w.node(t, "n", nodeOptions{deaf: true})
		p := newPeer(t, n, "p")
		epoch := p.mustJoin(t, "r").Epoch
		partition := n.store.Partition(roomOf("r"))
		n.rooms.Lost(partition)
		w.redis.HSet(w.key(t, "room:"), "seq", "1000") // volatile, all of them
		for seq := range int64(1000) {
			if seq > 0 {
				event := message("r", epoch, seq+1)
				event.Volatile = true
				n.deliver(event)
			}
		}
		w.redis.Del(w.key(t, "log:"))
		appendLog(t, w, epoch, 2)
		n.rooms.Resubscribed(partition)
		eventually(t, func() bool { return p.seen(wire.TypeMessage) >= 100 }, "some have come")
		require.Less(t, p.seen(wire.TypeMessage), 200)
		late := message("r", epoch, 1001)
		n.deliver(late)
		eventually(t, func() bool { return p.seen(wire.TypeMessage) == 1000 }, "all have come")
		seqs := []int64{}
		for _, event := range p.events() {
			seqs = append(seqs, event.Seq)
		}
		require.IsIncreasing(t, seqs)
		require.EqualValues(t, 1001, seqs[len(seqs)-1])
	})
}

// appendLog puts a message into the room's log.
func appendLog(t *testing.T, w *world, epoch string, seq int64) {
	t.Helper()
	event := message("r", epoch, seq)
	_, err := w.redis.XAdd(strings.Replace(w.key(t, "room:"), "}:room:", "}:log:", 1), fmt.Sprint(seq, "-0"), []string{
		"e", fmt.Sprintf("1 %s %d %s/r message * - - %s", epoch, seq, app, event.Body)})
	require.NoError(t, err)
}

// More waits than there is memory for. The room is asked about again, and a session that had to do without comes back for it.
func TestTooManyEventsWait(t *testing.T) {
	addr := redistest.Single(t).Addr()
	other := startNode(t, addr, "other", nodeOptions{})
	epoch := newPeer(t, other, "host").mustJoin(t, "r").Epoch
	n := startNode(t, addr, "n", nodeOptions{deaf: true})
	c := connect(t, n, "ada", 1)
	joined := c.mustJoin(t, "r")
	c.lose(t, n)
	c = connect(t, n, "ada", 2)
	_, err := c.resume("r", at(joined, joined.Seq))
	require.NoError(t, err)
	large := message("r", epoch, 1)
	large.Body = append(large.Body[:len(large.Body)-1], fmt.Sprintf(`,"pad":%q}`, strings.Repeat("x", 1<<20))...)
	for seq := range int64(6) {
		large.Seq = 10 + seq
		n.deliver(large)
	}
	c.Begin()
	eventually(t, func() bool { return len(c.closings()) == 1 }, "closed")
	require.Equal(t, []bool{false}, c.closings(), "it is to come back")
	require.Zero(t, c.seen(wire.TypeMessage), "nothing after a gap")
	c.lose(t, n)
	require.Equal(t, wire.ResumeReplayed, connect(t, n, "ada", 3).mustResume(t, "r", at(joined, joined.Seq)).Result)
}
