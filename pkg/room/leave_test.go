package room_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Requests of one session that do not wait for each other's replies take effect in their order.
func TestPipelinedLeaveAndJoin(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n1", nodeOptions{})
		witness, p := newPeer(t, n, "witness"), newPeer(t, n, "p")
		witness.mustJoin(t, "r")
		p.mustJoin(t, "r")
		leave := func() <-chan error {
			outcome := make(chan error, 1)
			p.Leave(0, "r", func(_ wire.Done, err error) { outcome <- err })
			return outcome
		}
		for round := range 20 {
			first := leave()
			second := p.startJoin(&wire.Join{Room: "r"})
			third := make(chan error, 1)
			p.Publish(0, &wire.Publish{Room: "r", Data: mustJSON(round)}, func(_ wire.Done, err error) { third <- err })
			require.NoError(t, <-first)
			require.NoError(t, (<-second).err)
			require.NoError(t, <-third, "the new seat is there for what comes after its join")
			require.Equal(t, 2.0, n.metric(t, "signalbox_seats"))
		}
		_, err := witness.publish("r", "to p")
		require.NoError(t, err)
		p.await(t, wire.TypeMessage)

		// Twice, and again after a join that is under way.
		first, second := leave(), leave()
		third := p.startJoin(&wire.Join{Room: "r"})
		fourth := leave()
		require.NoError(t, <-first)
		requireCode(t, wire.CodeNotMember, <-second)
		require.NoError(t, (<-third).err)
		require.NoError(t, <-fourth)
		require.Equal(t, []string{"witness"}, members(t, n, "r"))
		require.Equal(t, 1.0, n.metric(t, "signalbox_seats"))
	})
}

func TestEnd(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		t.Run("gives up every seat and tells the others why", func(t *testing.T) {
			n1, n2 := startNode(t, addr, "n1", nodeOptions{}), startNode(t, addr, "n2", nodeOptions{})
			witness, p := newPeer(t, n2, "witness"), newPeer(t, n1, "p")
			for _, name := range []string{"a", "b"} {
				witness.mustJoin(t, name)
				p.mustJoin(t, name)
			}
			p.End(wire.ReasonDisconnected)
			n1.emptied(t)
			require.NoError(t, n1.rooms.Settled(t.Context()))
			for _, name := range []string{"a", "b"} {
				require.Equal(t, []string{"witness"}, members(t, n1, name))
			}
			eventually(t, func() bool { return len(witness.events()) == 4 }, "the witness is told: %v", witness.record)
			for _, event := range witness.events()[2:] {
				require.Equal(t, &wire.LeftPeer{Peer: "p", Reason: wire.ReasonDisconnected}, event.Body)
			}
			_, err := p.join("a")
			requireCode(t, wire.CodeUnavailable, err)
			_, err = p.publish("a", "after the end")
			requireCode(t, wire.CodeNotMember, err)
		})
		t.Run("leaves no seat of a join under way", func(t *testing.T) {
			n := startNode(t, addr, "n1", nodeOptions{})
			var ending sync.WaitGroup
			for i := range 50 {
				p := newPeer(t, n, fmt.Sprint("p", i))
				ending.Go(func() {
					for room := range 5 {
						p.startJoin(&wire.Join{Room: fmt.Sprint("r", room)})
					}
					p.End(wire.ReasonDisconnected)
				})
			}
			ending.Wait()
			require.NoError(t, n.rooms.Settled(t.Context()))
			for room := range 5 {
				require.Empty(t, members(t, n, fmt.Sprint("r", room)))
			}
			n.emptied(t)
		})
		t.Run("tells nothing afterwards", func(t *testing.T) {
			n := startNode(t, addr, "n1", nodeOptions{})
			witness, p := newPeer(t, n, "witness"), newPeer(t, n, "p")
			witness.mustJoin(t, "r")
			p.mustJoin(t, "r")
			var publishing sync.WaitGroup
			publishing.Go(func() {
				for range 100 {
					if _, err := witness.publish("r", "more"); err != nil {
						t.Error(err)
					}
				}
			})
			p.await(t, wire.TypeMessage)
			p.End(wire.ReasonLeft)
			record := p.record()
			publishing.Wait()
			require.Equal(t, record, p.record())
		})
	})
}

// stalled is a Redis that can be stopped, with a node that gives up on it soon.
func stalled(t *testing.T) (*redistest.Server, *node) {
	t.Helper()
	server := redistest.Single(t)
	return server, startNode(t, server.Addr(), "n1", nodeOptions{readTimeout: 700 * time.Millisecond})
}

// A session that ends while Redis is away leaves no ghost: its leave is repeated until it is answered.
func TestLeaveIsRepeated(t *testing.T) {
	server, n := stalled(t)
	other := startNode(t, server.Addr(), "other", nodeOptions{})
	witness, p := newPeer(t, other, "witness"), newPeer(t, n, "p")
	witness.mustJoin(t, "r")
	p.mustJoin(t, "r")
	refused := func() float64 { return errorsOf(t, n) }

	server.Stop()
	p.End(wire.ReasonDisconnected)
	eventually(t, func() bool { return refused() >= 2 }, "the leave is tried again while Redis is away")
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, n.rooms.Settled(short), context.DeadlineExceeded)
	server.Cont()
	require.NoError(t, n.rooms.Settled(t.Context()))
	require.Equal(t, []string{"witness"}, members(t, other, "r"))
	witness.await(t, wire.TypeLeftPeer)
	n.emptied(t)
}

// errorsOf counts the calls that Redis did not answer.
func errorsOf(t *testing.T, n *node) float64 {
	t.Helper()
	return n.metric(t, "signalbox_redis_errors_total", "timeout")
}

// A join that Redis did not answer may have taken a seat. The client was told that it has none.
func TestUnavailableJoinLeavesNoSeat(t *testing.T) {
	server, n := stalled(t)
	p := newPeer(t, n, "p")
	server.Stop()
	_, err := p.join("r")
	requireCode(t, wire.CodeUnavailable, err)
	n.emptied(t)
	server.Cont()
	require.NoError(t, n.rooms.Settled(t.Context()))
	require.Empty(t, members(t, n, "r"))
	require.Equal(t, 1.0, n.metric(t, "signalbox_joins_total", "unavailable"))
}

// The client comes back with its join before the seat of the first one was given up: the leave must not be repeated
// then, or it would take the new seat away, with the client none the wiser.
func TestJoinAfterUnavailableJoin(t *testing.T) {
	server, n := stalled(t)
	p := newPeer(t, n, "p")
	server.Stop()
	_, err := p.join("r")
	requireCode(t, wire.CodeUnavailable, err)
	// The leave is tried at once, and in vain.
	eventually(t, func() bool { return errorsOf(t, n) >= 2 }, "the leave was tried")
	server.Cont()
	for err != nil {
		_, err = p.join("r")
	}
	require.NoError(t, n.rooms.Settled(t.Context()))
	require.Equal(t, []string{"p"}, members(t, n, "r"))
	_, err = p.publish("r", "still here")
	require.NoError(t, err)
}

// A seated peer's second join is not answered, and took effect after a kick of which this node hears only later.
func TestUnavailableJoinOfTheKicked(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, server.Addr(), "n1", nodeOptions{readTimeout: 700 * time.Millisecond, deaf: true})
	other := startNode(t, server.Addr(), "other", nodeOptions{})
	moderator, p := newPeer(t, other, "moderator"), newPeer(t, n, "p")
	moderator.mustJoin(t, "r")
	epoch := p.mustJoin(t, "r").Epoch
	kicked, err := moderator.kick("r", "p")
	require.NoError(t, err)

	server.Stop()
	_, err = p.join("r")
	requireCode(t, wire.CodeUnavailable, err)
	server.Cont()
	eventually(t, func() bool { return len(members(t, other, "r")) == 2 }, "the join took effect, unanswered")
	n.deliver(loss("r", epoch, kicked.Seq, "p"))
	require.Equal(t, "closed 3", p.record()[len(p.record())-1])
	require.NoError(t, n.rooms.Settled(t.Context()))
	require.Equal(t, []string{"moderator"}, members(t, other, "r"), "no seat of which its client does not know")
	n.emptied(t)
}

func TestMetrics(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "n1", nodeOptions{deaf: true})
	ada, bob := newPeer(t, n, "ada"), newPeer(t, n, "bob")
	epoch := ada.mustJoin(t, "a").Epoch
	bob.mustJoin(t, "a")
	ada.mustJoin(t, "b")
	_, err := bob.joinWith(&wire.Join{Room: "a", Capacity: 1 << 20})
	requireCode(t, wire.CodeLimit, err)
	require.Equal(t, 2.0, n.metric(t, "signalbox_rooms"))
	require.Equal(t, 3.0, n.metric(t, "signalbox_seats"))
	require.Equal(t, 3.0, n.metric(t, "signalbox_joins_total", "ok"))
	require.Equal(t, 1.0, n.metric(t, "signalbox_joins_total", "limit"))

	n.deliver(message("a", epoch, 2)) // in bob's snapshot, news to ada
	n.deliver(message("a", epoch, 2))
	n.deliver(message("a", epoch, 3))
	n.deliver(message("nowhere", epoch, 1))
	directed := message("a", epoch, 4)
	directed.To = "nobody"
	n.deliver(directed)
	require.Equal(t, 3.0, n.metric(t, "signalbox_events_delivered_total"))
	for _, reason := range []string{"seen", "no_room", "no_peer"} {
		require.Equal(t, 1.0, n.metric(t, "signalbox_events_discarded_total", reason), reason)
	}
}
