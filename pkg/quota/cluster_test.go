package quota_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
)

const app = "acme"

// cluster is several nodes and what stands in for Redis between them.
type cluster struct {
	tb     require.TestingT
	quotas map[string]auth.Quotas
	nodes  []*node
	period int64
	told   map[string][]byte // by node
	heard  map[string]int64  // in which period
	rooms  map[string]int64
	away   bool
	// during is what happens while a node waits for the answer to its exchange, before and after it is carried out.
	during func()
	made   int
}

type node struct {
	*quota.Keeper
	name     string
	registry *prometheus.Registry
	sessions []*quota.Session
}

func newCluster(tb require.TestingT, nodes int, quotas map[string]auth.Quotas) *cluster {
	c := &cluster{tb: tb, quotas: quotas, told: make(map[string][]byte), heard: make(map[string]int64), rooms: make(map[string]int64), during: func() {}}
	for range nodes {
		c.start()
	}
	for range 2 {
		c.pass()
	}
	return c
}

// start adds a node.
func (c *cluster) start(changes ...func(*quota.Options)) *node {
	c.made++
	n := &node{name: fmt.Sprint("node", c.made), registry: prometheus.NewRegistry()}
	opts := quota.Options{
		Node: n.name, Quotas: func(app string) auth.Quotas { return c.quotas[app] }, MessageBytes: 1000, Registerer: n.registry,
		Labels: []string{app},
		CountRooms: func(_ context.Context, apps []string) (map[string]int64, error) {
			counts := make(map[string]int64)
			for _, app := range apps {
				counts[app] = c.rooms[app]
			}
			return counts, nil
		},
		Exchange: func(_ context.Context, usage []byte) (time.Time, map[string][]byte, error) {
			c.during()
			if c.away {
				return time.Time{}, nil, errors.New("Redis is away")
			}
			others := maps.Clone(c.told)
			delete(others, n.name)
			for other := range others {
				if c.period-c.heard[other] > quota.Stale {
					delete(others, other)
				}
			}
			c.told[n.name], c.heard[n.name] = usage, c.period
			now := time.Unix(c.period, 0)
			c.during()
			return now, others, nil
		},
	}
	for _, change := range changes {
		change(&opts)
	}
	var err error
	n.Keeper, err = quota.New(opts)
	require.NoError(c.tb, err)
	c.nodes = append(c.nodes, n)
	return n
}

// die ends a node without a word.
func (c *cluster) die(i int) {
	c.nodes = append(c.nodes[:i:i], c.nodes[i+1:]...)
}

// pass is a period in which every node exchanges once.
func (c *cluster) pass() {
	c.period++
	for _, n := range c.nodes {
		n.Period(context.Background())
	}
}

func (n *node) enter(app string) bool {
	s, refusal := n.Enter(app, "ada", netip.Addr{}, false)
	if refusal == nil {
		n.sessions = append(n.sessions, s)
	}
	return refusal == nil
}

func (n *node) leave(i int) {
	n.sessions[i].Leave()
	n.sessions = append(n.sessions[:i:i], n.sessions[i+1:]...)
}

func (c *cluster) connections(app string) (sum int64) {
	for _, n := range c.nodes {
		sum += n.Used(app)
	}
	return sum
}

// Whatever comes and goes where, in whatever order the nodes exchange, also while others wait for their answers, and while nodes begin:
// no app has more connections than its quota, nor all nodes together more than its rates.
func TestQuotasAreNeverOverrun(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		quotas := map[string]auth.Quotas{}
		apps := []string{"a", "b"}
		for _, app := range apps {
			quotas[app] = auth.Quotas{
				Connections:       rapid.IntRange(1, 60).Draw(r, "connections"),
				MessagesPerSecond: rapid.IntRange(1, 100).Draw(r, "messages"), BytesPerSecond: 5000,
			}
		}
		c := newCluster(r, rapid.IntRange(1, 5).Draw(r, "nodes"), quotas)
		check := func(when string) {
			for _, app := range apps {
				require.LessOrEqual(r, c.connections(app), int64(quotas[app].Connections), "%s: %s", app, when)
				var rate, bytes float64
				for _, n := range c.nodes {
					rate += n.Rate(app, float64(quotas[app].MessagesPerSecond), false)
					bytes += n.Rate(app, 5000, true)
				}
				require.LessOrEqual(r, rate, float64(quotas[app].MessagesPerSecond)*(1+1e-9), "%s: %s", app, when)
				require.LessOrEqual(r, bytes, 5000*(1+1e-9), "%s: %s", app, when)
			}
		}
		arrive := func() {
			for range rapid.IntRange(0, 10).Draw(r, "events") {
				n := rapid.SampledFrom(c.nodes).Draw(r, "node")
				switch {
				case len(n.sessions) > 0 && rapid.IntRange(0, 3).Draw(r, "leaves") == 0:
					n.leave(rapid.IntRange(0, len(n.sessions)-1).Draw(r, "who"))
				default:
					n.enter(rapid.SampledFrom(apps).Draw(r, "app"))
				}
				if len(n.sessions) > 0 {
					for range rapid.IntRange(0, 20).Draw(r, "says") {
						n.sessions[0].Message(100)
					}
				}
				check("after an arrival")
			}
		}
		c.during = arrive
		for range rapid.IntRange(1, 12).Draw(r, "periods") {
			c.period++
			for _, i := range rapid.Permutation(indices(len(c.nodes))).Draw(r, "order") {
				c.nodes[i].Period(context.Background())
				check("after an exchange")
			}
			switch rapid.IntRange(0, 9).Draw(r, "change") {
			case 0: // a node begins; it lets nobody in before the others count it
				during := c.during
				c.during = func() {}
				c.start()
				for range 2 {
					c.pass()
				}
				c.during = during
			case 1:
				if len(c.nodes) > 1 {
					c.die(0)
				}
			}
		}
	})
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// What is claimed where nobody comes is given back: one node alone can use all of a quota in the end, also when the others have had it.
func TestAllOfAQuotaCanBeUsed(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			c := newCluster(t, 3, map[string]auth.Quotas{app: {Connections: limit}})
			for i := range 3 {
				periods := 0
				for ; c.connections(app) < int64(limit); periods++ {
					require.Less(t, periods, 40, "node %d has %d", i, c.nodes[i].Used(app))
					for c.nodes[i].enter(app) {
					}
					c.pass()
				}
				t.Logf("node %d: all of it after %d periods", i, periods)
				require.False(t, c.nodes[i].enter(app))
				for len(c.nodes[i].sessions) > 0 {
					c.nodes[i].leave(0)
				}
				c.pass()
			}
		})
	}
}

// A rate goes where it is asked for, within four periods, and a node that had none can begin at once.
func TestRatesFollowDemand(t *testing.T) {
	c := newCluster(t, 3, map[string]auth.Quotas{app: {MessagesPerSecond: 300}})
	rates := func() (all [3]float64) {
		for i, n := range c.nodes {
			all[i] = math.Round(n.Rate(app, 300, false))
		}
		return all
	}
	for _, n := range c.nodes {
		require.True(t, n.enter(app))
	}
	require.Equal(t, [3]float64{100, 100, 100}, rates())
	say := func(i, times int) {
		for range times {
			c.nodes[i].sessions[0].Message(1)
		}
	}
	for range 4 {
		say(0, 1000)
		c.pass()
	}
	require.Equal(t, [3]float64{280, 10, 10}, rates(), "a tenth is divided evenly")
	for range 8 {
		say(0, 200)
		say(2, 100)
		c.pass()
	}
	after := rates()
	require.InDelta(t, 190, after[0], 12)
	require.InDelta(t, 100, after[2], 12)
	require.Equal(t, 10., after[1])
}

// While Redis is away every node keeps what it had; nobody gets more. When it is back, they go on.
func TestSharesAreKeptWithoutRedis(t *testing.T) {
	c := newCluster(t, 2, map[string]auth.Quotas{app: {Connections: 100, MessagesPerSecond: 100}})
	for range 10 {
		require.True(t, c.nodes[0].enter(app))
	}
	for range 3 {
		c.pass()
	}
	c.away = true
	before := c.nodes[0].Rate(app, 100, false)
	for range 50 {
		c.pass()
		c.nodes[0].enter(app)
		c.nodes[1].enter(app)
		c.nodes[1].enter(app)
	}
	require.Equal(t, before, c.nodes[0].Rate(app, 100, false))
	require.Greater(t, c.nodes[0].Used(app), int64(20), "its own ten, and a part of what was left")
	require.Greater(t, c.nodes[1].Used(app), int64(20))
	require.LessOrEqual(t, c.connections(app), int64(100))
	c.away = false
	for len(c.nodes[0].sessions) > 0 {
		c.nodes[0].leave(0)
	}
	for range 5 {
		c.pass()
	}
	require.True(t, c.nodes[1].enter(app))
}

// A node that dies takes its part with it for three periods, and one that the others have given up for dead finds less when it is back.
func TestTheDeadAreNotCounted(t *testing.T) {
	c := newCluster(t, 2, map[string]auth.Quotas{app: {Connections: 10}})
	for c.nodes[0].enter(app) {
	}
	for c.nodes[1].enter(app) {
	}
	require.EqualValues(t, 10, c.connections(app))
	lost := c.nodes[0]
	c.die(0)
	for range quota.Stale {
		c.pass()
		require.False(t, c.nodes[0].enter(app))
	}
	for range 3 {
		c.pass()
		for c.nodes[0].enter(app) {
		}
	}
	require.EqualValues(t, 10, c.nodes[0].Used(app))
	c.nodes = append(c.nodes, lost)
	require.EqualValues(t, 15, c.connections(app), "as much more as it had")
	lost.leave(0)
	c.pass()
	require.False(t, lost.enter(app))
}

// An app whose quota is changed is held to the new one, and its sessions, which were let in before, are counted.
func TestQuotasChange(t *testing.T) {
	c := newCluster(t, 2, map[string]auth.Quotas{})
	for range 10 {
		require.True(t, c.nodes[0].enter(app))
	}
	c.quotas[app] = auth.Quotas{Connections: 12}
	for range 5 {
		c.pass()
	}
	for range 6 {
		c.nodes[1].enter(app)
		c.nodes[0].enter(app)
		c.pass()
	}
	require.EqualValues(t, 12, c.connections(app))
	c.quotas[app] = auth.Quotas{Connections: 5}
	c.pass()
	for range 3 {
		c.nodes[0].leave(0)
		c.pass()
		require.False(t, c.nodes[0].enter(app))
		require.False(t, c.nodes[1].enter(app))
	}
	delete(c.quotas, app)
	c.pass()
	require.True(t, c.nodes[0].enter(app))
}

// Rooms are counted by Redis, and those that are newer added: there are never more than the quota, whatever ends meanwhile.
func TestRooms(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 40).Draw(r, "rooms")
		c := newCluster(r, 3, map[string]auth.Quotas{app: {Rooms: limit}})
		for _, n := range c.nodes {
			require.True(r, n.enter(app))
		}
		join := func() {
			for range rapid.IntRange(0, 8).Draw(r, "joins") {
				n := rapid.SampledFrom(c.nodes).Draw(r, "node")
				if n.sessions[0].App().TakeRoom() != nil {
					continue
				}
				made := rapid.Bool().Draw(r, "made")
				if made {
					c.rooms[app]++
				}
				n.sessions[0].App().RoomAnswered(made)
				require.LessOrEqual(r, c.rooms[app], int64(limit))
			}
			if c.rooms[app] > 0 && rapid.IntRange(0, 2).Draw(r, "ends") == 0 {
				c.rooms[app]--
			}
		}
		c.during = join
		for range rapid.IntRange(1, 15).Draw(r, "periods") {
			c.period++
			for _, i := range rapid.Permutation(indices(3)).Draw(r, "order") {
				c.nodes[i].Period(context.Background())
			}
		}
	})
}

func TestAllRoomsCanBeMade(t *testing.T) {
	c := newCluster(t, 3, map[string]auth.Quotas{app: {Rooms: 20}})
	require.True(t, c.nodes[1].enter(app))
	for range 60 {
		for c.nodes[1].sessions[0].App().TakeRoom() == nil {
			c.rooms[app]++
			c.nodes[1].sessions[0].App().RoomAnswered(true)
		}
		c.pass()
	}
	require.EqualValues(t, 20, c.rooms[app])
}

// What nobody uses is forgotten, by all nodes, and what an entry is made of is bounded.
func TestIdleAppsAreForgotten(t *testing.T) {
	c := newCluster(t, 2, map[string]auth.Quotas{app: {Connections: 10}, "other": {}})
	require.True(t, c.nodes[0].enter(app))
	require.True(t, c.nodes[0].enter("other"))
	c.pass()
	c.pass()
	require.Equal(t, 1, c.nodes[1].Apps(), "it knows of what others use, where there is a quota")
	for range 30 {
		c.pass()
	}
	require.Equal(t, []int{2, 1}, []int{c.nodes[0].Apps(), c.nodes[1].Apps()})
	c.nodes[0].leave(0)
	c.nodes[0].leave(0)
	for range 30 {
		c.pass()
	}
	require.Equal(t, []int{0, 0}, []int{c.nodes[0].Apps(), c.nodes[1].Apps()})
}

// Past the number of apps whose use is told, each node has an even share.
func TestTooManyAppsGetEvenShares(t *testing.T) {
	c := newCluster(t, 0, map[string]auth.Quotas{"a": {Connections: 9}, "b": {Connections: 9}, "c": {Connections: 9}})
	for range 3 {
		c.start(func(o *quota.Options) { o.Apps = 1 })
	}
	c.pass()
	c.pass()
	for range 20 {
		for _, n := range c.nodes {
			for _, app := range []string{"a", "b", "c"} {
				n.enter(app)
			}
		}
		c.pass()
	}
	for _, app := range []string{"a", "b", "c"} {
		require.EqualValues(t, 9, c.connections(app), app)
	}
}
