package room_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestKick(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		for _, tc := range []struct {
			name   string
			remote bool
			all    bool
		}{
			{name: "a peer of the same node"},
			{name: "a peer of another node", remote: true},
			{name: "everybody else", remote: true, all: true},
		} {
			t.Run(tc.name, func(t *testing.T) {
				here := startNode(t, addr, "here", nodeOptions{})
				there := here
				if tc.remote {
					there = startNode(t, addr, "there", nodeOptions{})
				}
				moderator, witness, victim := newPeer(t, here, "moderator"), newPeer(t, here, "witness"), newPeer(t, there, "victim")
				for _, p := range []*peer{moderator, witness, victim} {
					p.mustJoin(t, "r")
				}
				target, affected, gone := "victim", 1, []*peer{victim}
				if tc.all {
					target, affected, gone = "", 2, []*peer{witness, victim}
				}
				reply, err := moderator.kick("r", target)
				require.NoError(t, err)
				require.Equal(t, affected, reply.Affected)

				for _, p := range gone {
					closed := p.await(t, wire.TypeClosed)
					require.Equal(t, "r", closed.Room)
					require.Equal(t, &wire.Closed{Reason: wire.ReasonKicked, By: "moderator"}, closed.Body)
					_, err = p.publish("r", "still here?")
					requireCode(t, wire.CodeNotMember, err)
					requireCode(t, wire.CodeNotMember, p.leave("r"))
				}
				left := moderator.await(t, wire.TypeLeftPeer)
				require.Equal(t, reply.Seq, left.Seq)
				require.Equal(t, &wire.LeftPeer{Peer: "victim", Reason: wire.ReasonKicked, By: "moderator"}, left.Body)
				if !tc.all {
					require.Equal(t, left, witness.await(t, wire.TypeLeftPeer), "a bystander is told the same")
				}
				require.Len(t, members(t, here, "r"), 3-affected)
				require.Equal(t, float64(3-affected), here.metric(t, "signalbox_seats"))
				if tc.remote {
					there.emptied(t)
				}
				require.NotContains(t, victim.record(), "left-peer", "one is not told of oneself")
				// What comes after is not for the kicked any more, and a seat can be had again.
				seq, err := moderator.publish("r", "gone")
				require.NoError(t, err)
				again := victim.mustJoin(t, "r")
				require.Equal(t, seq+1, again.Seq)
				require.Equal(t, word("join", again.Seq), victim.record()[len(victim.record())-1])
				require.NotContains(t, victim.record(), word("message", seq))
				for _, p := range []*peer{moderator, witness, victim} {
					p.End(wire.ReasonLeft)
				}
				require.NoError(t, here.rooms.Settled(t.Context()))
				require.NoError(t, there.rooms.Settled(t.Context()))
				require.Empty(t, members(t, here, "r"))
				here.emptied(t)
				there.emptied(t)
			})
		}
	})
}

func word(kind string, seq int64) string { return kind + " " + string(mustJSON(seq)) }

// A kick and a join of the kicked that cross. The kick's event reaches the node over one connection, the join's reply
// over another: either may come first, whichever happened first in Redis. Were they taken as they come, a peer would
// hold a seat that its gateway does not know: told nothing, never given up.
func TestKickAndJoinCross(t *testing.T) {
	server := redistest.Single(t)
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, c crossing)
	}{
		{"kicked, joined again, the event comes late", func(t *testing.T, c crossing) {
			seq := c.kick(t)
			c.victim.mustJoin(t, "r")
			c.node.deliver(loss("r", c.epoch, seq, "victim"))
			c.requireSeated(t)
		}},
		{"kicked, joined again, the event comes before the reply", func(t *testing.T, c crossing) {
			seq := c.kick(t)
			reply := c.held(t, func() { c.node.deliver(loss("r", c.epoch, seq, "victim")) })
			require.NoError(t, reply.err)
			c.requireSeated(t)
		}},
		{"joined again, kicked, the event comes before the reply", func(t *testing.T, c crossing) {
			reply := c.held(t, func() {
				c.node.deliver(loss("r", c.epoch, 3, "victim"))
				c.node.deliver(message("r", c.epoch, 4))
			})
			require.NoError(t, reply.err)
			require.Equal(t, []string{"join 2", "join 2", "closed 3"}, recordOnce(t, c.victim, "closed 3"))
			c.node.emptied(t)
		}},
		{"kicked, refused, the event comes before the reply", func(t *testing.T, c crossing) {
			seq := c.kick(t)
			newPeer(t, c.other, "successor").mustJoin(t, "r") // takes the last seat
			reply := c.held(t, func() { c.node.deliver(loss("r", c.epoch, seq, "victim")) })
			requireCode(t, wire.CodeRoomFull, reply.err)
			require.Equal(t, "closed 3", c.victim.record()[1], "told of the loss before it is refused a seat")
			c.node.emptied(t)
		}},
		{"two joins under way", func(t *testing.T, c crossing) {
			seq := c.kick(t)
			var second <-chan told
			first := c.held(t, func() {
				second = c.victim.startJoin(&wire.Join{Room: "r"})
				c.node.deliver(loss("r", c.epoch, seq, "victim"))
			})
			require.NoError(t, first.err)
			require.NoError(t, (<-second).err)
			c.requireSeated(t)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := server.Do("FLUSHALL")
			require.NoError(t, err)
			c := crossing{server: server, other: startNode(t, server.Addr(), "other", nodeOptions{})}
			c.node = startNode(t, server.Addr(), "n1", nodeOptions{deaf: true})
			c.moderator, c.victim = newPeer(t, c.other, "moderator"), newPeer(t, c.node, "victim")
			_, err = c.moderator.joinWith(&wire.Join{Room: "r", Capacity: 2})
			require.NoError(t, err)
			c.epoch = c.victim.mustJoin(t, "r").Epoch
			tc.run(t, c)
		})
	}
}

// crossing is a room of two seats with a moderator on one node and a victim on another, which hears only what the test
// delivers to it.
type crossing struct {
	server            *redistest.Server
	node, other       *node
	moderator, victim *peer
	epoch             string
}

func (c crossing) kick(t *testing.T) int64 {
	t.Helper()
	reply, err := c.moderator.kick("r", "victim")
	require.NoError(t, err)
	return reply.Seq
}

// held has the victim join, with during happening before Redis answers.
func (c crossing) held(t *testing.T, during func()) told {
	t.Helper()
	c.server.Stop()
	outcome := c.victim.startJoin(&wire.Join{Room: "r"})
	during()
	c.server.Cont()
	return <-outcome
}

// requireSeated requires that the victim has a seat here and in Redis: it is told what happens and can act.
func (c crossing) requireSeated(t *testing.T) {
	t.Helper()
	record := c.victim.record()
	require.Equal(t, "join 4", record[len(record)-1], "%v", record)
	require.NotContains(t, record, "closed 3")
	require.Contains(t, members(t, c.other, "r"), "victim")
	c.node.deliver(message("r", c.epoch, 9))
	require.Contains(t, c.victim.record(), "message 9")
	_, err := c.victim.publish("r", "here")
	require.NoError(t, err)
	c.node.deliver(loss("r", c.epoch, 99, "victim"))
	require.Contains(t, c.victim.record(), "closed 99", "a loss of the new seat is told")
}
