package room_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A gateway that others gave up learns it from Redis, with whatever it asks first. It takes no seat any more, what it
// says for seats that it had is refused, and its clients learn that another gateway may take them.
func TestGivenUpNode(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		zombie, other := startNode(t, addr, "zombie", nodeOptions{deaf: true}), startNode(t, addr, "other", nodeOptions{})
		p, witness := newPeer(t, zombie, "p"), newPeer(t, other, "witness")
		p.mustJoin(t, "r")
		witness.mustJoin(t, "r")
		for partition := range other.store.Partitions() {
			done := make(chan error, 1)
			other.store.Reap(partition, "zombie", func(_, _ int, err error) { done <- err })
			require.NoError(t, <-done)
		}
		left := witness.await(t, wire.TypeLeftPeer)
		require.Equal(t, &wire.LeftPeer{Peer: "p", Reason: wire.ReasonDisconnected}, left.Body)

		for _, name := range []string{"r", "another"} {
			err := (<-p.startJoin(&wire.Join{Room: name})).err
			var refusal *wire.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, wire.CodeUnavailable, refusal.Code, "to be tried again")
			require.Positive(t, refusal.RetryAfter)
		}
		_, err := p.publish("r", "nobody hears this")
		requireCode(t, wire.CodeUnavailable, err) // the session is about to move
		p.End(wire.ReasonDisconnected)
		require.NoError(t, zombie.rooms.Settled(t.Context()), "its leaves are refused, not repeated for ever")
		require.Equal(t, []string{"witness"}, members(t, other, "r"))
		zombie.emptied(t)
	})
}

// A gateway that others gave up while it was frozen hears of it in order with all the rest. What came after the end of a
// peer's seat is not for that peer.
func TestGivenUpPeersHearNoMore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		zombie, other := w.node(t, "zombie", nodeOptions{}), w.node(t, "other", nodeOptions{})
		witness := newPeer(t, other, "witness")
		witness.mustJoin(t, "r")
		peers := make(map[string]*peer)
		for i := range 6 {
			p := newPeer(t, zombie, fmt.Sprint("p", i))
			if i%2 == 0 { // its seat is kept for its grace
				p = connect(t, zombie, p.id, 1).peer
			}
			p.mustJoin(t, "r")
			peers[p.id] = p
		}
		for partition := range other.store.Partitions() {
			done := make(chan error, 1)
			other.store.Reap(partition, "zombie", func(_, _ int, err error) { done <- err })
			require.NoError(t, <-done)
		}
		time.Sleep(10 * time.Second)
		ends := make(map[string]int64)
		for _, event := range witness.events() {
			switch body := event.Body.(type) {
			case *wire.LeftPeer:
				ends[body.Peer] = event.Seq
			case *wire.AwayPeer:
				ends[body.Peer] = event.Seq
			}
		}
		require.Len(t, ends, len(peers))
		for id, p := range peers {
			for _, event := range p.events() {
				require.Less(t, event.Seq, ends[id], "%s: %v", id, p.record())
			}
			_, err := p.publish("r", "nor is it heard")
			requireCode(t, wire.CodeUnavailable, err)
		}
	})
}

// A leave that was given up for lost is carried out late. The peer is told that its seat is gone, and the others go on.
func TestLateLeave(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n, other := w.node(t, "n", nodeOptions{}), w.node(t, "other", nodeOptions{})
		ada, bob, witness := connect(t, n, "ada", 1), newPeer(t, n, "bob"), newPeer(t, other, "witness")
		ada.mustJoin(t, "r")
		bob.mustJoin(t, "r")
		witness.mustJoin(t, "r")
		done := make(chan error, 1)
		n.store.Leave(store.Leave{
			Seat:  store.Seat{Room: store.Room{App: app, Name: "r"}, Peer: "ada", Node: "n", Generation: 1},
			Event: []byte(`{"type":"left-peer","room":"r","peer":"ada","reason":"left"}`),
		}, func(_ store.Left, err error) { done <- err })
		require.NoError(t, <-done)
		ada.await(t, wire.TypeClosed)
		witness.await(t, wire.TypeLeftPeer)
		seq, err := witness.publish("r", "goes on")
		require.NoError(t, err)
		bob.awaitSeq(t, seq)
		time.Sleep(10 * time.Second)
		require.Equal(t, wire.TypeClosed, ada.events()[len(ada.events())-1].Body.Type())
		require.Equal(t, []string{"bob", "witness"}, members(t, other, "r"))
		_, err = ada.publish("r", "I am here")
		requireCode(t, wire.CodeNotMember, err)
	})
}
