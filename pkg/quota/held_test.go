package quota_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
)

func toldCluster(tb require.TestingT, nodes int, quotas map[string]auth.Quotas, told int) *cluster {
	c := newCluster(tb, 0, quotas)
	for range nodes {
		c.start(func(o *quota.Options) { o.HoldersTold = told })
	}
	for range 2 {
		c.pass()
	}
	return c
}

// come has a user come to a node from no address.
func (n *node) come(user string) bool {
	s, refusal := n.Enter(app, user, netip.Addr{}, false)
	if refusal == nil {
		n.sessions = append(n.sessions, s)
	}
	return refusal == nil
}

// Wherever a user comes and goes, in whatever order the nodes exchange, the user has at most one connection more than the quota for
// each further node.
func TestUsersHoldOverNodes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit, nodes := rapid.IntRange(1, 20).Draw(r, "limit"), rapid.IntRange(1, 5).Draw(r, "nodes")
		c := toldCluster(r, nodes, map[string]auth.Quotas{app: {PerUser: auth.HolderQuotas{Connections: limit}}}, 100)
		total := func() (sum int) {
			for _, n := range c.nodes {
				sum += len(n.sessions)
			}
			return sum
		}
		c.during = func() {
			for range rapid.IntRange(0, 6).Draw(r, "events") {
				n := rapid.SampledFrom(c.nodes).Draw(r, "node")
				switch {
				case len(n.sessions) > 0 && rapid.IntRange(0, 3).Draw(r, "leaves") == 0:
					n.leave(rapid.IntRange(0, len(n.sessions)-1).Draw(r, "who"))
				case rapid.Bool().Draw(r, "many"):
					for n.come("ada") {
					}
				default:
					n.come("ada")
				}
				require.LessOrEqual(r, total(), limit+nodes-1)
				require.LessOrEqual(r, len(n.sessions), limit)
			}
		}
		for range rapid.IntRange(1, 20).Draw(r, "periods") {
			c.period++
			for _, i := range rapid.Permutation(indices(len(c.nodes))).Draw(r, "order") {
				c.nodes[i].Period(context.Background())
			}
		}
	})
}

// All that a user may have the user can have on one node, where all others have nothing, and once it goes, on another one.
func TestAUserCanHaveAllOnOneNode(t *testing.T) {
	for _, limit := range []int{1, 2, 5, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			c := toldCluster(t, 3, map[string]auth.Quotas{app: {PerUser: auth.HolderQuotas{Connections: limit}}}, 100)
			for i := range 3 {
				n := c.nodes[i]
				periods := 0
				for ; len(n.sessions) < limit; periods++ {
					require.Less(t, periods, 60)
					for n.come("ada") {
					}
					c.pass()
				}
				t.Logf("all of it after %d periods", periods)
				require.False(t, n.come("ada"))
				require.True(t, n.come("bob"), "the quota is each user's own")
				for len(n.sessions) > 0 {
					n.leave(0)
				}
			}
		})
	}
}

// Who has all on one node is refused by the others: as something that passes for a while, as what the others have told may be over, and then
// for good.
func TestWhatOthersHaveMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := toldCluster(t, 2, map[string]auth.Quotas{app: {PerUser: auth.HolderQuotas{Connections: 1}}}, 100)
		require.True(t, c.nodes[0].come("ada"))
		c.pass()
		c.pass()
		for range 3 {
			_, refusal := enter(t, c.nodes[1].Keeper, "ada", "")
			require.Equal(t, []any{"user", true}, []any{refusal.Scope, refusal.Passing})
			time.Sleep(time.Second)
		}
		_, refusal := enter(t, c.nodes[1].Keeper, "ada", "")
		require.False(t, refusal.Passing)
		c.nodes[0].leave(0)
		c.pass()
		c.pass()
		require.True(t, c.nodes[1].come("ada"))

		_, refusal = enter(t, c.nodes[1].Keeper, "ada", "")
		require.False(t, refusal.Passing, "that it has them here is sure")
	})
}

// A user, and an address, who are asked for much on several nodes share their rates as apps do, and have all of them on one node alone.
func TestRatesOfUsersFollowDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 60
		c := toldCluster(t, 3, map[string]auth.Quotas{app: {
			PerUser: auth.HolderQuotas{RateQuotas: auth.RateQuotas{MessagesPerSecond: perSecond}},
			PerIP:   auth.HolderQuotas{RateQuotas: auth.RateQuotas{JoinsPerSecond: perSecond}},
		}}, 100)
		for i, n := range c.nodes {
			n.sessions = append(n.sessions, mustEnter(t, n.Keeper, "ada", "192.0.2.1"), mustEnter(t, n.Keeper, fmt.Sprint("user", i), "192.0.2.2"))
		}
		// load asks for twice the rate on some nodes, for some periods, and gives what was let through in each second.
		load := func(periods int, nodes ...*node) (messages, joins float64) {
			for range periods {
				for range 50 {
					time.Sleep(20 * time.Millisecond)
					for range 2 * perSecond / 50 {
						for _, n := range nodes {
							if n.sessions[0].Message(1) == nil {
								messages++
							}
							if n.sessions[1].Join() == nil {
								joins++
							}
						}
					}
				}
				c.pass()
			}
			return messages / float64(periods), joins / float64(periods)
		}
		load(6, c.nodes...)
		messages, joins := load(10, c.nodes...)
		require.InDelta(t, perSecond, messages, perSecond*0.05, "wherever they come from")
		require.InDelta(t, perSecond, joins, perSecond*0.05)
		load(12, c.nodes[0])
		messages, joins = load(10, c.nodes[0])
		require.InDelta(t, perSecond, messages, perSecond*0.05, "all of it on one node, when the others are asked for nothing")
		require.InDelta(t, perSecond, joins, perSecond*0.05)
	})
}

// Past the number of those that are told of, and without it, each node holds them to their quotas by itself.
func TestUsersThatAreNotToldOf(t *testing.T) {
	for _, told := range []int{0, 1} {
		c := toldCluster(t, 2, map[string]auth.Quotas{app: {PerUser: auth.HolderQuotas{Connections: 2}}}, told)
		users := []string{"ada", "bob"}
		for _, n := range c.nodes {
			n.come("ada") // the first one, who is told of where anybody is
		}
		for range 10 {
			c.pass()
		}
		for _, n := range c.nodes {
			for _, user := range users[told:] {
				for n.come(user) {
				}
			}
			require.Len(t, n.sessions, 1+2*len(users[told:])-(1-told))
		}
		if told == 1 {
			require.False(t, c.nodes[0].come("ada"), "one on each node is all that there may be")
		}
	}
}

// Users and addresses of two apps have nothing in common, whatever their names are; and who is gone is forgotten.
func TestHoldersOfAppsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := auth.Quotas{PerUser: auth.HolderQuotas{Connections: 1}, PerIP: auth.HolderQuotas{Connections: 1}}
		c := toldCluster(t, 2, map[string]auth.Quotas{"a": quotas, "a-b": quotas}, 100)
		address := netip.MustParseAddr("192.0.2.1")
		var sessions []*quota.Session
		for _, app := range []string{"a", "a-b"} {
			s, refusal := c.nodes[0].Enter(app, "192.0.2.1/32", address, false)
			require.Nil(t, refusal)
			sessions = append(sessions, s)
		}
		c.pass()
		c.pass()
		_, refusal := c.nodes[1].Enter("a", "192.0.2.1/32", netip.MustParseAddr("192.0.2.7"), false)
		require.Equal(t, "user", refusal.Scope)
		_, refusal = c.nodes[1].Enter("a", "ann", address, false)
		require.Equal(t, "ip", refusal.Scope)
		require.Equal(t, 4, c.nodes[0].Holders())
		for _, s := range sessions {
			s.Leave()
		}
		for range 40 {
			time.Sleep(time.Second)
			c.pass()
			c.nodes[0].Sweep()
			c.nodes[1].Sweep()
		}
		require.Equal(t, []int{0, 0}, []int{c.nodes[0].Holders(), c.nodes[1].Holders()})
	})
}

// What others tell can be anything: of what is no number of theirs nothing is believed.
func FuzzOthersTell(f *testing.F) {
	f.Add([]byte(`{"apps":{"acme":[1,2,3]},"holders":"AAAA"}`))
	f.Add([]byte(`{"apps":{"acme":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,-1]},"holders":"AAAAAAAAAAAAAAAABQUFBQ=="}`))
	f.Add([]byte(`{"holders":7}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := toldCluster(t, 1, map[string]auth.Quotas{app: {Connections: 3, PerUser: auth.HolderQuotas{Connections: 2}}}, 100)
		c.told["other"], c.heard["other"] = text, 1<<40
		for range 3 {
			c.pass()
			c.nodes[0].come("ada")
		}
		require.LessOrEqual(t, len(c.nodes[0].sessions), 2)
	})
}
